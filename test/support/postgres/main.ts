/*
 * npm run postgres -- --port 5432 --data folder
 *
 * Starts a server and prints how to use it. It runs until Ctrl-C. Its data is gone then, unless `--data` says where it
 * stays.
 */
import { Console, Effect, Redacted } from "effect"
import { parseArgs } from "node:util"
import { start } from "./server.ts"

const { values } = parseArgs({ options: { port: { type: "string" }, data: { type: "string" } } })

const port = values.port === undefined ? undefined : Number(values.port)
if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
  throw new RangeError(`--port has to be a number from 1 to 65535, but is ${values.port}`)
}

const signalled = Effect.callback<void>((resume) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resume(Effect.void))
})

const program = Effect.gen(function*() {
  const server = yield* start({ port, dataFolder: values.data })
  const url = Redacted.value(server.url)
  yield* Console.log(
    [
      `PostgreSQL listens on ${url}`,
      "",
      `  DATABASE_URL=${url} npm test`,
      "",
      values.data === undefined
        ? "Ctrl-C ends it and removes its data."
        : `Ctrl-C ends it. Its data stays in ${server.dataFolder}, with the password for the next time.`
    ].join("\n")
  )
  yield* Effect.never
})

await Effect.scoped(program).pipe(
  Effect.raceFirst(signalled),
  Effect.catch((error) =>
    Effect.andThen(
      Console.error(error.message),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )
  ),
  Effect.runPromise
)
