/*
 * Golden output of the examples: what a program prints is recorded and compared with a file beside it. Stack frames
 * differ between runners and machines, so they are left out. `UPDATE_GOLDEN=1` writes the files anew.
 */
import { Console, Effect } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { format } from "node:util"
import { expect } from "vitest"

/** Removes the lines of stack frames, also where they are indented under a report. */
export const withoutFrames = (text: string): string =>
  text.split("\n").filter((line) => !/^\s*(│\s*)?at /.test(line)).join("\n")

/** Runs `program` and gives back what it printed. */
export const recordOutput = Effect.fnUntraced(function*(program: Effect.Effect<void>) {
  const lines: Array<string> = []
  const print = (...args: ReadonlyArray<unknown>) => {
    lines.push(`${format(...args)}\n`)
  }
  const recording: Console.Console = Object.assign(Object.create(console), {
    log: print,
    info: print,
    debug: print,
    warn: print,
    error: print
  })
  yield* Effect.provideService(program, Console.Console, recording)
  return lines.join("")
})

/** Compares `output` with the golden file, or writes the file where `UPDATE_GOLDEN=1`. */
export const expectGolden = async (file: URL, output: string): Promise<void> => {
  const actual = withoutFrames(output)
  if (process.env.UPDATE_GOLDEN === "1") await writeFile(file, actual)
  expect(actual).toBe(await readFile(file, "utf8"))
}
