import { Effect, Queue } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("storeProgram.ts", import.meta.url))

/**
 * Starts `storeProgram.ts`, and kills it with the scope. `thread: "worker"` gives the database a thread of its own, and
 * `limit` is the size that files may have, in KiB.
 */
export const start = Effect.fnUntraced(function*(
  command: string,
  filename: string,
  { limit, thread = "main" }: { readonly limit?: number; readonly thread?: "main" | "worker" } = {}
) {
  const lines = yield* Queue.make<string>()
  const parts = [process.execPath, "--conditions=effect-saga-source", program, command, filename, thread]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      limit === undefined
        ? spawn(parts[0]!, parts.slice(1), { stdio: ["ignore", "pipe", "inherit"] })
        : spawn("bash", ["-c", `ulimit -f ${limit}; exec "$@"`, "bash", ...parts], {
          stdio: ["ignore", "pipe", "inherit"]
        })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  createInterface({ input: child.stdout }).on("line", (line) => Queue.offerUnsafe(lines, line))
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve())
  })
  return {
    pid: child.pid!,
    /** The next line that it prints. */
    line: Queue.take(lines),
    /** The lines that it has printed and nobody has taken. */
    rest: Queue.clear(lines),
    /** The next line of its own that starts with the word. */
    lineOf: (word: string): Effect.Effect<string> =>
      Effect.repeat(Queue.take(lines), { until: (line) => line.startsWith(`${word} `) }),
    signal: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)),
    ended: Effect.promise(() => ended)
  }
})

/** The number at the end of a line. */
export const numberIn = (line: string): number => Number(line.slice(line.lastIndexOf(" ") + 1))
