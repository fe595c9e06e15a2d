/*
 * A process with an engine for tests of the command line. It takes a file of SQLite or the url of a database, the folder
 * that says what fails, and how many trips to book. It prints "ready" when all of them are parked or have ended, and runs
 * until it is killed.
 */
import { Effect } from "effect"
import * as process from "node:process"
import { layer, settled, Trip } from "./cliSagas.ts"

const [, , db = "", folder = "", trips = "1"] = process.argv

const customers = ["Ada", "Grace"]

const program = Effect.gen(function*() {
  yield* Effect.forEach(
    Array.from({ length: Number(trips) }, (_, index) => String(index + 1)),
    (id) => Trip.start({ id, customer: customers[Number(id) - 1] ?? "the club" }),
    { concurrency: "unbounded", discard: true }
  )
  yield* settled
  yield* Effect.sync(() => process.stdout.write("ready\n"))
  return yield* Effect.never
})

await Effect.runPromise(Effect.provide(program, layer(db, folder)))
