/*
 * A process with a store in PostgreSQL, for tests that stop or kill it. It takes a schema, and the url from its environment,
 * and commits one execution after another for as long as it can, printing a line for each.
 */
import { Effect, Redacted } from "effect"
import { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import * as process from "node:process"
import { started } from "./storeValues.ts"

const print = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const write = Effect.gen(function*() {
  const store = yield* SagaStore.SagaStore
  const { commit, lastKey } = yield* store.acquire({ owner: "child", standby: false })
  for (let key = lastKey + 1;; key++) {
    yield* commit([started(key)])
    yield* print(`committed ${key}`)
  }
})

await write.pipe(
  Effect.scoped,
  Effect.provide(
    PostgresStore.layer({ url: Redacted.make(process.env["DATABASE_URL"]!), schema: process.argv[2]! })
  ),
  Effect.catch((error) => print(`failed ${error.reason._tag}`)),
  Effect.runPromise
)
