import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Ref, Schedule, Schema } from "effect"
import { SagaEngine, SagaStore } from "effect-saga"
import { Outbox, PostgresStep, PostgresStore } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"
import { Job, problemOf } from "./support/bank.ts"
import { until } from "./support/outbox.ts"
import { start } from "./support/postgres/server.ts"

const jobs = Array.from({ length: 60 }, (_, index) => `job ${index}`)

const deposits = Outbox.make("deposits", { message: Schema.String, key: (id) => id })

const deposit = PostgresStep.make("deposit", {
  input: Schema.String,
  action: Effect.fnUntraced(function*(id) {
    const sql = yield* SqlClient.SqlClient
    yield* sql`UPDATE accounts SET balance = balance + 1`
    yield* Effect.sleep("5 millis")
    yield* deposits.send(id)
  })
})

describe("When the server is killed and stopped under them", () => {
  it.live("steps happen once, and what they send arrives", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const arrived = yield* Ref.make(new Map<string, number>())
      const pool = PgClient.layer({ url: server.url })
      const relay = deposits.toLayer(
        (id) => Ref.update(arrived, (all) => new Map(all).set(id, (all.get(id) ?? 0) + 1)),
        { pollInterval: "100 millis" }
      )
      const program = Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE accounts (balance integer)`
        yield* sql`INSERT INTO accounts VALUES (0)`
        const running = yield* Effect.forkChild(Effect.forEach(jobs, (job) =>
          Effect.exit(
            // A start may be refused while the store is away.
            Effect.retry(Job.execute(job), {
              while: (error) => error instanceof SagaStore.SagaStoreError,
              schedule: Schedule.spaced("50 millis")
            })
          ), { concurrency: 10 }))

        for (const by of ["kill", "stop", "kill"] as const) {
          yield* Effect.sleep("200 millis")
          yield* server.restart({ by })
        }
        const exits = yield* Fiber.join(running)
        yield* until(Ref.get(arrived), (all) => all.size === jobs.length)
        const [account] = yield* sql<{ balance: number }>`SELECT balance FROM accounts`

        assert.deepStrictEqual(exits.filter(Exit.isFailure).map(problemOf), [])
        assert.strictEqual(account!.balance, jobs.length)
      })

      yield* Effect.provide(
        program,
        Layer.mergeAll(Job.toLayer((id) => Effect.as(deposit(id), null)), relay).pipe(
          Layer.provideMerge(SagaEngine.layer()),
          Layer.provide(PostgresStore.layer({ url: server.url, retryFor: "1 minute" })),
          Layer.provideMerge(pool)
        )
      )
    }).pipe(Effect.provide(Logger.layer([]))), 90_000)
})
