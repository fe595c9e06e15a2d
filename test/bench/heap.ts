/** Lets what has been scheduled run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/* What a turn of the event loop or a compilation in the background still holds is let go after some collections. */
export const heapUsed = async (collections: number): Promise<number> => {
  for (let index = 0; index < collections; index++) {
    await turn()
    globalThis.gc!()
  }
  return process.memoryUsage().heapUsed
}
