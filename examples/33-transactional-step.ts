/*
 * Money is moved from one account to another, and the process dies between the COMMIT and the journal, which has not heard
 * of it. A step of `Step.make` runs again, and the money moves twice. A step of `PostgresStep.make` left a record in the
 * transaction that moved the money, and finds it. (Here an engine is closed at that very moment.)
 */
import { Console, Deferred, Effect, Layer, Schema } from "effect"
import { DurableSaga, SagaEngine, Step } from "effect-saga"
import { PostgresStep } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"
import { type Database, withDatabase } from "./postgres/database.ts"

const move = Effect.fnUntraced(function*(amount: number, whenCommitted: Effect.Effect<void>) {
  const sql = yield* SqlClient.SqlClient
  yield* Console.log(`    ${amount} from a to b`)
  yield* sql`UPDATE accounts SET balance = balance - ${amount} WHERE id = 'a'`
  yield* sql`UPDATE accounts SET balance = balance + ${amount} WHERE id = 'b'`
  yield* sql.afterCommit(whenCommitted)
})

/** The same transfer twice. Each is one transaction; only the second one is known to be. */
const makeSteps = (whenCommitted: Effect.Effect<void>) => ({
  "Step.make": Step.make("transfer", {
    input: Schema.Int,
    action: (amount) => SqlClient.SqlClient.use((sql) => Effect.orDie(sql.withTransaction(move(amount, whenCommitted))))
  }),
  "PostgresStep.make": PostgresStep.make("transfer", {
    input: Schema.Int,
    action: (amount) => move(amount, whenCommitted)
  })
})

const Payment = DurableSaga.make("Payment", { payload: Schema.String, idempotencyKey: (kind) => kind })

type Kind = keyof ReturnType<typeof makeSteps>

const inProcess = <A, E>(
  { store }: Database,
  kind: Kind,
  whenCommitted: Effect.Effect<void>,
  use: Effect.Effect<A, E, SagaEngine.SagaEngine>
) =>
  Effect.provide(
    use,
    Payment.toLayer(() => makeSteps(whenCommitted)[kind](100)).pipe(
      Layer.provideMerge(SagaEngine.layer({ shutdownTimeout: "1 millis" })),
      Layer.provide(store)
    )
  )

const pay = Effect.fnUntraced(function*(database: Database, kind: Kind) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`UPDATE accounts SET balance = CASE id WHEN 'a' THEN 1000 ELSE 0 END`
  yield* Console.log(kind)

  yield* Console.log("  The first process")
  const committed = yield* Deferred.make<void>()
  const dying = Effect.andThen(Deferred.succeed(committed, undefined), Effect.never)
  yield* inProcess(database, kind, dying, Effect.andThen(Payment.start(kind), Deferred.await(committed)))
  yield* Console.log("    dies")

  yield* Console.log("  The second process")
  yield* inProcess(database, kind, Effect.void, Payment.await(Payment.executionId(kind)))
  const accounts = yield* sql<{ id: string; balance: number }>`SELECT id, balance FROM accounts ORDER BY id`
  yield* Console.log(`    is done: ${accounts.map(({ balance, id }) => `${id} has ${balance}`).join(", ")}`)
})

export const program: Effect.Effect<void> = withDatabase("example_33", (database) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE accounts (id text PRIMARY KEY, balance integer NOT NULL)`
    yield* sql`INSERT INTO accounts VALUES ('a', 0), ('b', 0)`

    yield* pay(database, "Step.make")
    yield* pay(database, "PostgresStep.make")
  }))

if (import.meta.main) await Effect.runPromise(program)
