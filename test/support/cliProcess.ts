/*
 * An engine in a process of its own, as operators have it, and the command line beside it.
 */
import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Cli from "./cli.ts"
import { folder as temporary } from "./sqliteFile.ts"

const engine = fileURLToPath(new URL("cliEngine.ts", import.meta.url))

export interface Started {
  readonly folder: string
  readonly hotelIsBack: Effect.Effect<void>
  /** Runs a command line here, which takes no process. */
  readonly run: (...args: ReadonlyArray<string>) => Effect.Effect<Cli.Ran>
  /** Runs the command line as a process. */
  readonly spawn: (...args: ReadonlyArray<string>) => Effect.Effect<Cli.Ran>
  /** Runs a line of a shell that has `effect-saga`. */
  readonly shell: (line: string) => Effect.Effect<Cli.Ran>
}

/**
 * Starts an engine that has booked trips, all of which are parked, as their hotel is down: the first of Ada, the second of
 * Grace, the others of a club. `db` names the store in a folder. The engine is killed with the scope.
 */
export const start = Effect.fnUntraced(function*(db: (folder: string) => string, trips: number) {
  const folder = yield* temporary
  writeFileSync(join(folder, "hotel-is-down"), "")
  const url = db(folder)
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-saga-source", engine, url, folder, String(trips)], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  yield* Effect.callback<void>((resume) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "ready") resume(Effect.void)
    })
    child.once("close", () => resume(Effect.die(new Error("The engine has ended."))))
  })
  const env = { EFFECT_SAGA_DB: url }
  const started: Started = {
    folder,
    hotelIsBack: Effect.sync(() => rmSync(join(folder, "hotel-is-down"), { force: true })),
    run: (...args) => Cli.run(args, { env }),
    spawn: (...args) => Cli.spawn(args, { env }),
    shell: (line) =>
      Effect.callback((resume) => {
        const words = [process.execPath, "--conditions=effect-saga-source", Cli.program].map((word) => `'${word}'`)
        execFile(
          "bash",
          ["--norc", "-c", `effect-saga() { ${words.join(" ")} "$@"; }\n${line}`],
          { env: { PATH: process.env.PATH, ...env }, maxBuffer: 1e8 },
          (error, stdout, stderr) =>
            resume(Effect.succeed({ code: error === null ? 0 : error.code as number, stdout, stderr }))
        )
      })
  }
  return started
})
