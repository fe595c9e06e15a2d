import { PgConnection, PgTypes } from "@effect/sql-pg"
import { Effect, Latch, Layer, Result } from "effect"
import { SagaEngine, SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { schema, Trip, tripLayer } from "./definition.ts"
import { counts, type Variant } from "./load.ts"
import { done, payloadOf } from "./trip.ts"

/*
 * The limit: the rows that the engine writes for a saga, in as many commits, and nothing runs between them. One connection
 * writes what all sagas in flight have to append at one time in one statement, which is one transaction and one round
 * trip.
 */

interface Part {
  readonly number: number
  readonly appends: ReadonlyArray<SagaStore.Append>
  readonly resume: (effect: Effect.Effect<void>) => void
}

export const raw: Variant = {
  start: (url, { fails }) =>
    Effect.gen(function*() {
      const sample = yield* sampleOf(fails)
      // It makes its tables.
      yield* Effect.scoped(Layer.build(PostgresStore.layer({ url, schema })))
      const connection = yield* PgConnection.make({
        url,
        // As the store has it: its tables are read by their indexes, however the server thinks of tables that grow.
        startupParameters: {
          search_path: schema,
          enable_seqscan: "off",
          enable_hashjoin: "off",
          enable_mergejoin: "off",
          plan_cache_mode: "force_generic_plan"
        }
      })
      let waiting: Array<Part> = []
      const latch = Latch.makeUnsafe(false)

      const writeAll = Effect.gen(function*() {
        yield* latch.await
        // Whoever was told that the last ones are written goes on first.
        yield* Effect.yieldNow
        latch.closeUnsafe()
        const batch = waiting
        waiting = []
        const { parameters, sql } = statement(batch)
        yield* connection.query(sql, parameters)
        for (const { resume } of batch) resume(Effect.void)
      })
      yield* Effect.forkScoped(Effect.forever(Effect.orDie(writeAll)))

      const write = (number: number, appends: ReadonlyArray<SagaStore.Append>): Effect.Effect<void> =>
        Effect.callback((resume) => {
          waiting.push({ number, appends, resume })
          latch.openUnsafe()
        })
      return Effect.fnUntraced(function*(number) {
        for (const appends of sample) yield* write(number, appends)
        return !fails
      })
    }),
  found: counts(`SELECT status AS name FROM ${schema}.executions UNION ALL SELECT 'events' FROM ${schema}.events`),
  expected: (sagas, fails) => ({
    [fails ? "Compensated" : "Completed"]: sagas,
    events: (fails ? 8 : 5) * sagas
  })
}

/* All that the engine appends for one saga, commit by commit, seen in a store in memory. */
const sampleOf = (fails: boolean) =>
  Effect.gen(function*() {
    const commits: Array<ReadonlyArray<SagaStore.Append>> = []
    const watched = Layer.effect(
      SagaStore.SagaStore,
      Effect.map(SagaStore.SagaStore, (store) => ({
        ...store,
        acquire: (options: Parameters<typeof store.acquire>[0]) =>
          Effect.map(store.acquire(options), (ownership) => ({
            ...ownership,
            commit: (batch: ReadonlyArray<SagaStore.Append>) => {
              commits.push(batch)
              return ownership.commit(batch)
            }
          }))
      }))
    )
    yield* Effect.exit(Trip.execute(payloadOf(1))).pipe(
      Effect.provide(
        tripLayer(fails).pipe(
          Layer.provideMerge(SagaEngine.layer()),
          Layer.provide(watched),
          Layer.provide(SagaStore.layerMemory)
        )
      )
    )
    // That one was not a part of what is measured.
    Object.assign(done, { actions: 0, compensations: 0 })
    return commits
  })

const recordColumns = "key, id, definition, version, status, cancelled, reason, parent, created_at, updated_at"

const statement = (batch: ReadonlyArray<Part>) => {
  const appends = batch.flatMap(({ appends, number }) => appends.map((append) => ({ ...append, number })))
  const parameters: Array<unknown> = []
  const next = (parameter: unknown, type: string) => `$${parameters.push(parameter)}::${type}[]`
  const parts: Array<string> = []

  const inserted = appends.flatMap(({ firstSequence, number, record }) =>
    record !== undefined && firstSequence === 1 ? [{ ...record, key: number, id: `Trip/trip-${number}` }] : []
  )
  if (inserted.length > 0) {
    const columns = [
      next(numbers(inserted.map(({ key }) => key)), "bigint"),
      next(texts(inserted.map(({ id }) => id)), "text"),
      next(texts(inserted.map(({ definition }) => definition)), "text"),
      next(numbers(inserted.map(({ version }) => version)), "bigint"),
      next(texts(inserted.map(({ status }) => status)), "text"),
      next(numbers(inserted.map(({ cancelled }) => cancelled)), "boolean"),
      next(texts(inserted.map(({ reason }) => reason)), "text"),
      next(texts(inserted.map(({ parent }) => parent)), "text"),
      next(numbers(inserted.map(({ createdAt }) => createdAt)), "bigint"),
      next(numbers(inserted.map(({ updatedAt }) => updatedAt)), "bigint")
    ]
    parts.push(`inserted AS (INSERT INTO executions (${recordColumns}) SELECT * FROM unnest(${columns.join(", ")}))`)
  }

  const updated = appends.flatMap(({ firstSequence, number, record }) =>
    record !== undefined && firstSequence > 1 ? [{ ...record, key: number }] : []
  )
  if (updated.length > 0) {
    const columns = [
      next(numbers(updated.map(({ key }) => key)), "bigint"),
      next(texts(updated.map(({ status }) => status)), "text"),
      next(numbers(updated.map(({ cancelled }) => cancelled)), "boolean"),
      next(texts(updated.map(({ reason }) => reason)), "text"),
      next(numbers(updated.map(({ updatedAt }) => updatedAt)), "bigint")
    ]
    parts.push(
      `updated AS (UPDATE executions AS e
        SET status = u.status, cancelled = u.cancelled, reason = u.reason, updated_at = u.updated_at
        FROM unnest(${columns.join(", ")}) AS u (key, status, cancelled, reason, updated_at)
        WHERE e.key = u.key)`
    )
  }

  const events = appends.flatMap(({ events, firstSequence, number }) =>
    events.map((event, index) => ({ execution: number, sequence: firstSequence + index, event }))
  )
  const columns = [
    next(numbers(events.map(({ execution }) => execution)), "bigint"),
    next(numbers(events.map(({ sequence }) => sequence)), "integer"),
    next(texts(events.map(({ event }) => event)), "text")
  ]
  const sql = `INSERT INTO events (execution, seq, event) SELECT * FROM unnest(${columns.join(", ")})`
  return { sql: parts.length === 0 ? sql : `WITH ${parts.join(", ")} ${sql}`, parameters }
}

const texts = (values: ReadonlyArray<string | null>): unknown =>
  Result.getOrThrow(PgTypes.array(values, PgTypes.OID.text))

/* As text, which the server reads as what the statement says they are. */
const numbers = (values: ReadonlyArray<number | boolean>): string => `{${values.join(",")}}`
