/* What JSON may say, and its value in JavaScript does not have: digits of a number, and all but the last of equal names. */

/** What would be lost of a text, in a sentence with what to do about it. */
export interface Loss {
  readonly position: number
  /** After the name of the text. */
  readonly what: string
  readonly advice: string
}

/** The first loss in a text that is JSON. */
export const lossOf = (text: string): Loss | undefined => {
  /* The names so far of each object that is open; undefined for a list. */
  const open: Array<Set<string> | undefined> = []
  for (const { 0: token, index } of tokensOf(text)) {
    switch (token[0]) {
      case "{":
        open.push(new Set())
        break
      case "[":
        open.push(undefined)
        break
      case "}":
      case "]":
        open.pop()
        break
      case `"`: {
        const name = JSON.parse(token) as string
        const names = open.at(-1)
        if (names?.has(name) === true) return { position: index, ...twice }
        names?.add(name)
        break
      }
      default: {
        const value = Number(token)
        if (!isExact(token, value)) return { position: index, ...inexact(value) }
      }
    }
  }
  return undefined
}

const twice = {
  what: "has a name twice in one object",
  advice: "Only the last of them would be kept: leave the others out."
}

const inexact = (value: number) => ({
  what: "has a number that would not be kept as it is",
  advice: (Number.isFinite(value)
    ? `It would become ${value}: give one of at most 15 digits.`
    : "It is too large: the largest is about 1.8e308.") +
    " Where the code takes a text, put it in double quotes."
})

interface Token {
  readonly 0: string
  readonly index: number
}

const begin = /["{}[\]]|-?\d[\d.eE+-]*/g

/* Brackets, numbers and names. An expression for texts would need more room than there is for a long one. */
function* tokensOf(text: string): Generator<Token> {
  const next = new RegExp(begin)
  for (let found = next.exec(text); found !== null; found = next.exec(text)) {
    const { 0: token, index } = found
    if (token !== `"`) {
      yield found
      continue
    }
    const end = endOf(text, index)
    next.lastIndex = end
    if (isName(text, end)) yield { 0: text.slice(index, end), index }
  }
}

const endOf = (text: string, start: number): number => {
  for (let quote = text.indexOf(`"`, start + 1);; quote = text.indexOf(`"`, quote + 1)) {
    let escapes = 0
    while (text[quote - 1 - escapes] === "\\") escapes++
    if (escapes % 2 === 0) return quote + 1
  }
}

const isName = (text: string, end: number): boolean => {
  const colon = /\s*:/y
  colon.lastIndex = end
  return colon.test(text)
}

const isExact = (source: string, value: number): boolean =>
  Number.isFinite(value) && (String(value) === source || decimalOf(String(value)) === decimalOf(source))

/* Of all ways to write one number the same. */
const decimalOf = (number: string): string => {
  const [, sign, whole, part = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(number)!
  const digits = `${whole}${part}`
  const first = digits.search(/[1-9]/)
  if (first < 0) return "0"
  let end = digits.length
  while (digits[end - 1] === "0") end--
  return `${sign}${digits.slice(first, end)}e${Number(exponent) - part.length + digits.length - end}`
}
