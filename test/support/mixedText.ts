/** Makes texts that have as many bytes as any of their length, and don't get shorter where a store compresses them. */
export const makeMixedText = () => {
  let state = 1
  const character = () => {
    state = state * 16_807 % 2_147_483_647
    return String.fromCharCode(0x4E00 + state % 20_000)
  }
  return (length: number): string => Array.from({ length }, character).join("")
}
