/*
 * A bank whose accounts are in the database of the store, and engines that work for it, for tests of what becomes of the
 * accounts.
 */
import { it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, Logger, type Redacted, Schema, Scope } from "effect"
import { DurableSaga, type JournalEvent, SagaEngine, SagaStore, Step } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { SqlClient, SqlError } from "effect/sql"
import { databaseUrl } from "./postgres/database.ts"
import { openPool, type Pool, schemaWithTables } from "./postgres/pool.ts"

export class Broke extends Schema.TaggedError<Broke>()("Broke", { account: Schema.String }) {}

/** A saga whose payload is its id. */
export const Job = DurableSaga.make("Job", {
  payload: Schema.String,
  success: Schema.Json,
  error: Schema.Union([Broke, Step.TimeoutError, SqlError.SqlError, Schema.String]),
  idempotencyKey: (id) => id
})

export interface Bank {
  readonly url: Redacted.Redacted
  /** That of the store, and of the accounts. */
  readonly schema: string
  /** What every process has. */
  readonly pool: Context.Context<Pool>
  /** Adds to the balance of an account, by default of the only one, in the transaction at hand. */
  readonly add: (amount: number) => Effect.Effect<number, SqlError.SqlError, SqlClient.SqlClient>
  readonly balance: Effect.Effect<number>
  /** The keys and values of the records, in order. */
  readonly records: Effect.Effect<ReadonlyArray<readonly [key: string, value: string]>>
  readonly query: <A extends object>(statement: string) => Effect.Effect<ReadonlyArray<A>>
  /** Starts an engine, in a process of its own as far as it can tell. It ends with the test at the latest. */
  readonly start: (
    definitions: Layer.Layer<never, never, SagaEngine.SagaEngine | Pool>,
    options?: EngineOptions
  ) => Effect.Effect<TestEngine, never, Scope.Scope>
}

export interface EngineOptions {
  readonly engine?: SagaEngine.Options
  /** Where its store finds the database. */
  readonly url?: Redacted.Redacted
  /** What its steps find the database with. */
  readonly pool?: Context.Context<Pool>
  readonly store?: Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError>
}

export interface TestEngine {
  readonly use: <A, E>(self: Effect.Effect<A, E, SagaEngine.SagaEngine>) => Effect.Effect<A, E>
  /** Runs a job to its end. */
  readonly run: (id: string) => Effect.Effect<Exit.Exit<unknown, unknown>>
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<JournalEvent.JournalEvent>>
  /** Nothing reaches its store any more that has such an event, and it does not hear of that. */
  readonly loseEvents: (tag: JournalEvent.JournalEvent["_tag"]) => Effect.Effect<void>
  readonly stop: Effect.Effect<void>
}

/** A test with a bank of its own. */
export const test = (
  sentence: string,
  body: (bank: Bank) => Effect.Effect<void, unknown, Scope.Scope>
): void => {
  it.live(sentence, () => Effect.provide(Effect.flatMap(open, body), quiet), 60_000)
}

/* Faults are logged, and these are tests of faults. */
const quiet = Logger.layer([])

/** Opens a bank until the scope closes. */
export const open = Effect.gen(function*() {
  const url = yield* databaseUrl
  const schema = yield* schemaWithTables
  const pool = yield* openPool(url)
  const sql = Context.get(pool, SqlClient.SqlClient)
  const query = <A extends object>(statement: string) => Effect.orDie(sql.unsafe<A>(statement))
  yield* query(`CREATE TABLE ${schema}.accounts (id text PRIMARY KEY, balance integer NOT NULL)`)
  yield* query(`INSERT INTO ${schema}.accounts VALUES ('a', 0), ('b', 0)`)
  const bank: Bank = {
    url,
    schema,
    pool,
    add: (amount) =>
      Effect.flatMap(SqlClient.SqlClient, (sql) =>
        Effect.map(
          sql.unsafe<{ balance: number }>(
            `UPDATE ${schema}.accounts SET balance = balance + $1 WHERE id = 'a' RETURNING balance`,
            [amount]
          ),
          ([row]) => row!.balance
        )),
    balance: Effect.map(
      query<{ balance: number }>(`SELECT balance FROM ${schema}.accounts WHERE id = 'a'`),
      ([row]) => row!.balance
    ),
    records: Effect.map(
      query<{ key: string; value: string }>(`SELECT key, value FROM ${schema}.transactions ORDER BY execution, key`),
      (rows) => rows.map(({ key, value }) => [key, value] as const)
    ),
    query,
    start: (definitions, options = {}) => Effect.orDie(startEngine(bank, definitions, options))
  }
  return bank
})

const startEngine = Effect.fnUntraced(function*(
  bank: Bank,
  definitions: Layer.Layer<never, never, SagaEngine.SagaEngine | Pool>,
  options: EngineOptions
) {
  const scope = yield* Scope.fork(yield* Scope.Scope)
  const lost = new Set<string>()
  const store = Layer.effect(
    SagaStore.SagaStore,
    Effect.map(SagaStore.SagaStore, (store) => ({
      ...store,
      acquire: (options) =>
        Effect.map(store.acquire(options), (ownership) => ({
          ...ownership,
          commit: (appends) => {
            const tags = appends.flatMap(({ events }) => events.map((event) => JSON.parse(event)._tag))
            return tags.some((tag) => lost.has(tag)) ? Effect.never : ownership.commit(appends)
          }
        }))
    } satisfies SagaStore.SagaStore["Service"]))
  ).pipe(Layer.provide(options.store ?? PostgresStore.layer({ url: options.url ?? bank.url, schema: bank.schema })))
  const context = yield* Scope.provide(
    Layer.build(Layer.fresh(
      definitions.pipe(
        Layer.provideMerge(SagaEngine.layer({ shutdownTimeout: "50 millis", ...options.engine })),
        Layer.provide(store),
        Layer.provide(Layer.succeedContext(options.pool ?? bank.pool))
      )
    )),
    scope
  )
  const use: TestEngine["use"] = (self) => Effect.provideContext(self, context)
  return {
    use,
    run: (id) => Effect.exit(use(Job.execute(id))),
    history: (id) => Effect.orDie(use(Effect.flatMap(SagaEngine.SagaEngine, (engine) => engine.history(id)))),
    loseEvents: (tag) =>
      Effect.sync(() => {
        lost.add(tag)
      }),
    stop: Scope.close(scope, Exit.void)
  } satisfies TestEngine
})

/** What a failed run died of, or failed with, as people read it. */
export const problemOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? `success: ${JSON.stringify(exit.value)}`
    : Cause.prettyErrors(exit.cause).map(({ message, name }) => `${name}: ${message}`).join("; ")
