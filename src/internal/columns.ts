/* How many columns of a terminal a text takes. */

/* Most texts. */
const plain = /^[ -~]*$/

/* A character with the marks that stand on it. An expression without a bound would need room for each of them. */
const piece = /.[\p{Mn}\p{Me}\u1160-\u11ff]{0,20}/gsu

const nothing = /^[\p{Mn}\p{Me}\u1160-\u11ff]/u

/*
 * What has the property East_Asian_Width W or F in the Unicode standard (EastAsianWidth.txt), and where it leaves gaps within
 * a script, those with it. Pictures are those that are shown as such by themselves, or that U+FE0F asks to be (UAX #11); each
 * half of a flag takes one column.
 */
const wide = new RegExp(
  "^(?:[\\u1100-\\u115f\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\u3247\\u3250-\\ua4cf\\ua960-\\ua97f\\uac00-\\ud7a3" +
    "\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f\\uff01-\\uff60\\uffe0-\\uffe6\\u{16fe0}-\\u{18dff}\\u{1aff0}-\\u{1b2ff}" +
    "\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}]|(?![\\u{1f1e6}-\\u{1f1ff}])\\p{Emoji_Presentation}|\\p{Emoji}\\ufe0f)",
  "u"
)

/** The parts of a text that are not torn apart. */
export const piecesOf = (text: string): ReadonlyArray<string> =>
  plain.test(text) ? text.split("") : text.match(piece) ?? []

/** How many columns one of `piecesOf` takes. */
export const columnsOf = (piece: string): number =>
  plain.test(piece) ? 1 : wide.test(piece) ? 2 : nothing.test(piece) ? 0 : 1

/** How many columns a text takes, of characters that a terminal shows. */
export const lengthOf = (text: string): number =>
  plain.test(text) ? text.length : piecesOf(text).reduce((sum, piece) => sum + columnsOf(piece), 0)

/** How many of these pieces there is room for. */
export const fitting = (pieces: ReadonlyArray<string>, columns: number): number => {
  let left = columns
  const end = pieces.findIndex((piece) => (left -= columnsOf(piece)) < 0)
  return end < 0 ? pieces.length : end
}
