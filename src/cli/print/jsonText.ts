/* What JSON leaves as it is, although a terminal obeys it, or hides others for it. Lines break between values only. */
const unsafe = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** JSON that can be printed anywhere: each character that a terminal would obey is written as its number. */
export const jsonText = (encoded: unknown, indent: number): string =>
  JSON.stringify(encoded, null, indent).replaceAll(
    unsafe,
    (character) => character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
  )
