import type { Json } from "effect/Schema"
import { fitting, lengthOf, piecesOf } from "./columns.ts"
import { isMark, redacted } from "./redaction.ts"

/*
 * Texts for a terminal. What is shown comes from users, who may have written anything: a character that a terminal would
 * obey, or that would hide others, is shown by its number.
 */

export type Style = "plain" | "dim" | "bold" | "red" | "yellow" | "green" | "cyan"

export type Span = readonly [style: Style, text: string]

/** A line that is cut where it is too long. */
export interface Line {
  readonly spans: ReadonlyArray<Span>
  /** How many columns it has also where there are fewer. */
  readonly atLeast: number
}

export const line = (...spans: ReadonlyArray<Span>): Line => ({ spans, atLeast: 0 })

export const wholeLine = (...spans: ReadonlyArray<Span>): Line => ({ spans, atLeast: Infinity })

/** Below so many columns there is no room for what matters, and a terminal may rather wrap the lines. */
export const minWidth = 72

export const emptyLine: Line = line()

const codes: Record<Exclude<Style, "plain">, number> = { dim: 2, bold: 1, red: 31, yellow: 33, green: 32, cyan: 36 }

/** The line as it is written. Nothing of a span gets by here unescaped. */
export const paint = ({ atLeast, spans }: Line, width: number, colors: boolean): string => {
  const columns = Math.max(width, atLeast)
  const fittingSpans = columns === Infinity
    ? spans.map(([style, text]) => [style, escaped(text)] as const)
    : fit(spans, columns)
  const texts = fittingSpans.map(([style, text]) =>
    !colors || style === "plain" || text.trim() === "" ? text : `\u001b[${codes[style]}m${text}\u001b[0m`
  )
  return texts.join("").trimEnd()
}

const fit = (spans: ReadonlyArray<Span>, width: number): ReadonlyArray<Span> => {
  const out: Array<Span> = []
  let left = width
  for (const [index, [style, text]] of spans.entries()) {
    const isLast = spans.slice(index + 1).every(([, more]) => more.trim() === "")
    // What follows needs a place for its mark.
    const shown = cut(text, isLast ? left : Math.max(1, left - 1))
    out.push([style, shown])
    left -= lengthOf(shown)
    if (left <= 1 && !isLast) {
      if (!shown.endsWith(mark)) out.push([style, mark])
      break
    }
  }
  return out
}

/** What says that more follows. */
export const mark = "…"

/** A text of at most so many columns, escaped. */
export const cut = (text: string, length: number): string => {
  const shown = beginning(text, length)
  if (shown.isAll && lengthOf(shown.text) <= length) return shown.text
  const pieces = piecesOf(shown.text)
  return `${pieces.slice(0, fitting(pieces, length - 1)).join("")}${mark}`
}

/** As `cut`, but the end stays: numbers of occurrences are there. */
export const cutMiddle = (text: string, length: number): string => {
  const shown = beginning(text, length)
  if (shown.isAll && lengthOf(shown.text) <= length) return shown.text
  const end = Math.min(10, Math.floor(length / 3))
  const pieces = piecesOf(escaped(text.slice(-4 * end))).toReversed()
  const tail = pieces.slice(0, fitting(pieces, end)).toReversed().join("")
  return `${cut(text, length - lengthOf(tail))}${tail}`
}

/* As much of a text, escaped, as may be shown in so many columns: marks take none, so there may be many in one. */
const beginning = (text: string, length: number): { readonly text: string; readonly isAll: boolean } => {
  const isAll = text.length <= 4 * length + 4
  return { text: escaped(isAll ? text : text.slice(0, 4 * length + 4)), isAll }
}

/* Controls, formats such as those that turn the direction of a text, separators of lines, and halves of characters. */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

export const escaped = (text: string): string =>
  text.replaceAll(unsafe, (character) => {
    switch (character) {
      case "\n":
        return "\\n"
      case "\r":
        return "\\r"
      case "\t":
        return "\\t"
      default: {
        const hex = character.codePointAt(0)!.toString(16)
        return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`
      }
    }
  })

/** The lines of a text, none wider than `width`, and not more than `maxLines`. */
export const wrap = (text: string, width: number, maxLines: number): ReadonlyArray<string> => {
  const out: Array<string> = []
  const bounded = text.slice(0, 4 * width * maxLines)
  for (const one of bounded.split(/\r\n|\n/)) {
    if (out.length > maxLines) break
    wrapLine(escaped(one.trimEnd()), width, out)
  }
  if (out.length <= maxLines && bounded.length === text.length) return out
  const shown = out.slice(0, maxLines)
  const last = shown.at(-1) ?? ""
  return [...shown.slice(0, -1), lengthOf(last) < width ? `${last}${mark}` : cut(`${last}${mark}`, width)]
}

const wrapLine = (text: string, width: number, out: Array<string>): void => {
  let rest = piecesOf(text)
  while (true) {
    const room = fitting(rest, width)
    if (room === rest.length) break
    const space = rest.lastIndexOf(" ", room)
    // A word that is too long is broken.
    const end = space > room / 3 ? space : Math.max(1, room)
    out.push(rest.slice(0, end).join(""))
    rest = rest.slice(rest[end] === " " ? end + 1 : end)
  }
  out.push(rest.join(""))
}

/** JSON in one line, the first `length` characters of it: values may be huge, and deep. */
export const compact = (json: Json, length: number): string => {
  const out = { text: "" }
  writeJson(json, out, length, 0)
  return cut(out.text, length)
}

const writeJson = (json: Json, out: { text: string }, length: number, depth: number): void => {
  if (out.text.length > 2 * length) return
  if (typeof json === "string") {
    out.text += JSON.stringify(json.slice(0, 2 * length + 2))
    return
  }
  if (typeof json !== "object" || json === null) {
    out.text += String(json)
    return
  }
  if (isMark(json)) {
    out.text += redacted
    return
  }
  const isList = Array.isArray(json)
  if (depth > 20) {
    out.text += isList ? `[${mark}]` : `{${mark}}`
    return
  }
  out.text += isList ? "[" : "{"
  let isFirst = true
  for (const [key, value] of isList ? json.entries() : Object.entries(json)) {
    if (out.text.length > 2 * length) return
    out.text += isFirst ? "" : ","
    isFirst = false
    if (!isList) out.text += `${JSON.stringify(String(key).slice(0, 2 * length + 2))}:`
    writeJson(value, out, length, depth + 1)
  }
  out.text += isList ? "]" : "}"
}

/** A time, as people and programs read it. */
export const instant = (millis: number): string =>
  Math.abs(millis) <= 8_640_000_000_000_000 ? new Date(millis).toISOString() : String(millis)

/** A duration in its two largest units. */
export const duration = (millis: number): string => {
  if (!(Math.abs(millis) < 1e15)) return `${millis} ms`
  const ms = Math.abs(Math.round(millis))
  if (ms < 1000) return `${ms}ms`
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10}s`
  const seconds = Math.floor(ms / 1000)
  const units = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const
  const first = units.findIndex(([size]) => seconds >= size)
  return units.slice(first, first + 2)
    .map((
      [size, unit],
      index
    ) => [Math.floor(seconds / size) % (index === 0 ? Infinity : units[first]![0] / size), unit])
    .filter(([count], index) => index === 0 || count !== 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ")
}

/** A command that is about one execution. An id that begins with a dash comes after all options. */
export const commandLine = (
  program: string,
  command: string,
  id: string,
  options: ReadonlyArray<string> = []
): string => {
  const words = id.startsWith("-") ? [...options, "--", shellWord(id)] : [shellWord(id), ...options]
  return [program, command, ...words].join(" ")
}

/** A text as one word of a shell, whatever is in it. */
export const shellWord = (text: string): string => {
  if (/^[\w/.][\w/.:@%+=,-]*$/.test(text)) return text
  if (text.search(unsafe) < 0) return `'${text.replaceAll("'", `'\\''`)}'`
  // Only this kind of word can name characters by their numbers.
  const word = text.replaceAll(/[\\']/g, "\\$&").replaceAll(unsafe, (character) => {
    const code = character.codePointAt(0)!
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`
  })
  return `$'${word}'`
}
