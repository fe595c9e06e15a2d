/**
 * The least text that is greater than all that begin with `prefix`; `undefined` where there is none. Texts are in the order
 * of their bytes in UTF-8, which is that of their code points; halves of what takes two in UTF-16 are none.
 */
export const textAfter = (prefix: string): string | undefined => {
  const characters = Array.from(prefix)
  while (characters.at(-1) === "\u{10FFFF}") characters.pop()
  const last = characters.pop()?.codePointAt(0)
  if (last === undefined) return undefined
  const next = last >= 0xD7FF && last < 0xE000 ? 0xE000 : last + 1
  return characters.join("") + String.fromCodePoint(next)
}
