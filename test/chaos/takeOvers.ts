/*
 * Takes a store in PostgreSQL over many times while all earlier owners still write, and counts what they could write too
 * late: `node --conditions=effect-saga-source test/chaos/takeOvers.ts 1000`.
 */
import { Effect } from "effect"
import { start } from "../support/postgres/server.ts"
import { takeOvers } from "../support/takeOvers.ts"

const times = Number(process.argv[2] ?? 1000)

const program = Effect.gen(function*() {
  const server = yield* start()
  const result = yield* Effect.scoped(takeOvers({ url: server.url, schema: "sagas" }, times))
  yield* Effect.log(`${times} take-overs: ${JSON.stringify(result)}`)
  if (result.stale.length > 0 || result.accepted !== result.written || result.refused !== times) process.exitCode = 1
})

await Effect.runPromise(Effect.scoped(program))
