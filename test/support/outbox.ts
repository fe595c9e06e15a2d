/*
 * Outboxes in a schema of their own, for tests of what is sent and what arrives.
 */
import { it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, type Redacted, Schedule, Schema, Scope } from "effect"
import { Outbox } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"
import { databaseUrl } from "./postgres/database.ts"
import { openPool, type Pool, schemaWithTables } from "./postgres/pool.ts"

export const Message = Schema.Struct({ key: Schema.String, text: Schema.String })
export type Message = typeof Message.Type

export interface Setting {
  readonly url: Redacted.Redacted
  readonly schema: string
  readonly outbox: Outbox.Outbox<Message>
  /** Runs with a pool of the test. */
  readonly use: <A, E>(self: Effect.Effect<A, E, Pool>) => Effect.Effect<A, E>
  readonly send: (key: string, ...texts: ReadonlyArray<string>) => Effect.Effect<void>
  /** The rows of the table, in order. */
  readonly rows: Effect.Effect<
    ReadonlyArray<{ readonly message: string; readonly status: string; readonly attempts: number }>
  >
}

/** What a relay has delivered, in order. */
export const makeInbox = () => {
  const lines: Array<string> = []
  const deliveries: Array<Outbox.Delivery> = []
  return {
    lines: lines as ReadonlyArray<string>,
    deliveries: deliveries as ReadonlyArray<Outbox.Delivery>,
    take: ({ key, text }: Message, delivery: Outbox.Delivery) =>
      Effect.sync(() => {
        lines.push(`${key}: ${text}`)
        deliveries.push(delivery)
      }),
    /** Waits until so many have arrived. */
    has: (count: number) => until(Effect.sync(() => lines.length), (length) => length >= count, () => lines)
  }
}

/** Waits for a condition that a server makes true. */
export const until = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  isExpected: (value: A) => boolean,
  seen?: () => unknown
): Effect.Effect<void, E, R> =>
  Effect.repeat(self, { until: isExpected, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.timeoutOrElse({
      duration: "20 seconds",
      orElse: () => Effect.die(new Error(`It never came to this. Last seen: ${JSON.stringify(seen?.())}`))
    }),
    Effect.asVoid
  )

/** Starts a relay with a pool of its own, as another process. It ends with the scope of the test, at the latest. */
export const startRelay = Effect.fnUntraced(function*<E>(
  { outbox, url }: { readonly outbox: Outbox.Outbox<Message>; readonly url: Redacted.Redacted },
  handler: (message: Message, delivery: Outbox.Delivery) => Effect.Effect<unknown, E>,
  options?: Outbox.RelayOptions<E>
) {
  const scope = yield* Scope.fork(yield* Scope.Scope)
  const pool = yield* Scope.provide(openPool(url), scope)
  yield* Scope.provide(
    Layer.build(Layer.provide(Layer.fresh(outbox.toLayer(handler, options)), Layer.succeedContext(pool))),
    scope
  )
  return { stop: Scope.close(scope, Exit.void) }
})

/** A test with tables of its own. */
export const test = (
  sentence: string,
  body: (setting: Setting) => Effect.Effect<void, unknown, Scope.Scope>,
  options?: Partial<Parameters<typeof Outbox.make<typeof Message>>[1]>
): void => {
  it.live(sentence, () =>
    Effect.gen(function*() {
      const url = yield* databaseUrl
      const schema = yield* schemaWithTables
      const pool = yield* openPool(url)
      const outbox = Outbox.make("messages", { message: Message, key: ({ key }) => key, schema, ...options })
      const use: Setting["use"] = (self) => Effect.provideContext(self, pool)
      const sql = Context.get(pool, SqlClient.SqlClient)
      yield* body({
        url,
        schema,
        outbox,
        use,
        send: (key, ...texts) =>
          Effect.orDie(use(Effect.forEach(texts, (text) => outbox.send({ key, text }), { discard: true }))),
        rows: Effect.orDie(
          sql.unsafe(`SELECT message, status, attempts FROM ${schema}.outbox ORDER BY position`)
        ) as Setting["rows"]
      })
    }).pipe(Effect.provide(Logger.layer([]))), 60_000)
}
