/**
 * Messages that leave exactly when the transaction that sends them commits.
 *
 * A service that changes its database and then tells others may die in between, and a service that tells them first may
 * roll back. An outbox is a table of that database: `send` writes the message in the transaction at hand, so both happen
 * or neither, and a relay delivers it afterwards.
 *
 * **Details**
 *
 * - At least once: a relay that dies between the handler and the note that it has succeeded delivers the message again,
 *   with the same `id`. Handlers that start a durable saga whose idempotency key is in the message, or remember the `id`, are
 *   not confused by that.
 * - In order, per key: messages of one key are delivered in the order in which their transactions committed, one after
 *   another. Keys go side by side. A message that fails holds back those of its key, and no others.
 * - Any number of processes may have the relay of an outbox: one of them works, and another one goes on when it ends or its
 *   connection is lost, at once, and when it hangs, within six seconds.
 * - A handler that can't be interrupted goes on when its relay has lost its connection, and may end after the next relay has
 *   delivered the same message, or the next one of the key.
 * - A relay is woken by `NOTIFY`, and looks now and then by itself.
 *
 * `effect/persistence` has a `PersistedQueue`, which is the better choice for work in no particular order: it keeps no order
 * per key, as it takes any message that is due while an earlier one fails, and no order of commits.
 *
 * **Gotchas**
 *
 * - Until a transaction ends, it holds back others that send with the same key. Two transactions that send with the same
 *   two keys in different order may end in a deadlock, after which a `PostgresStep` runs again; others fail with `SqlError`.
 * - A relay keeps two connections of its pool, and needs sessions: a pooler between may not hand them out per transaction.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Check from "../internal/check.ts"
import * as Codec from "../internal/codec.ts"
import type { PayloadCodec } from "../internal/definition.ts"
import type { Storable } from "../Step.ts"
import * as Relay from "./outboxRelay.ts"
import * as Table from "./outboxTable.ts"

/**
 * What a handler is told besides the message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivery {
  /** The same each time this message is delivered, and for no other message. */
  readonly id: string
  /** Counted from 1. An attempt that its process did not survive does not count. */
  readonly attempt: number
}

/**
 * A message that was given up, until an operator decides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dead<out Message> {
  readonly id: string
  readonly key: string
  /** None where it does not fit its schema any more. */
  readonly message: Option.Option<Message>
  /** How often it was delivered in vain. */
  readonly attempts: number
  /** Why it failed the last time, in one line. */
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly sentAt: number
}

/**
 * How messages are relayed.
 *
 * @category options
 * @since 0.1.0
 */
export interface RelayOptions<in E> {
  /** How many keys are delivered side by side. Default 16. */
  readonly concurrency?: number | undefined
  /**
   * When a message that failed is delivered again; where the schedule ends, the message is dead. It gets the cause of the
   * failure, so `Schedule.while` can give messages up at once. Default: after 100 milliseconds, then twice as long each time, up
   * to half a minute, 20 times, which are five minutes.
   */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<E>> | undefined
  /**
   * What becomes of the messages of the same key after a dead one.
   *
   * - `"block"` (default): they wait until an operator retries it or skips it. What is in order stays in order: nobody hears
   *   that a booking was cancelled before hearing of the booking.
   * - `"continue"`: they are delivered. A dead message that is retried comes after them.
   */
  readonly onDead?: "block" | "continue" | undefined
  /** For how long messages are kept that were delivered. By default they are deleted at once. */
  readonly keepDelivered?: Duration.Input | undefined
  /** How often to look by itself. Default every five seconds. */
  readonly pollInterval?: Duration.Input | undefined
}

/**
 * A named outbox.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outbox<in out Message> {
  readonly outboxName: string
  /**
   * Sends a message with the transaction at hand: that of a `PostgresStep`, or of `sql.withTransaction`. Without one it is
   * sent at once.
   */
  readonly send: (message: Message) => Effect.Effect<void, SqlError, SqlClient.SqlClient>
  /**
   * Layer that delivers messages to `handler` as long as it lives. Of all such layers of an outbox one works at a time, so
   * their handlers have to do the same.
   */
  readonly toLayer: <E, R>(
    handler: (message: Message, delivery: Delivery) => Effect.Effect<unknown, E, R>,
    options?: RelayOptions<E>
  ) => Layer.Layer<never, never, PgClient.PgClient | Exclude<R, Scope.Scope>>
  /** The messages that were given up, oldest first. */
  readonly dead: Effect.Effect<ReadonlyArray<Dead<Message>>, SqlError, SqlClient.SqlClient>
  /** Has a dead message delivered again, in its old place. Returns whether there was one with this id. */
  readonly retry: (id: string) => Effect.Effect<boolean, SqlError, SqlClient.SqlClient>
  /** Deletes a dead message, and lets those after it pass. Returns whether there was one with this id. */
  readonly skip: (id: string) => Effect.Effect<boolean, SqlError, SqlClient.SqlClient>
}

/**
 * Creates an outbox.
 *
 * **Details**
 *
 * - `message`: the schema of the messages.
 * - `key`: what keeps messages in order among each other, such as the id of what they are about. At most 500 characters.
 * - `schema`: where the table is. Default `effect_saga`, as that of the store. An engine on a PostgreSQL store makes the table.
 * - `codec`: how messages are stored, as that of an engine: the place for encryption. Keys are stored as they are.
 *
 * **Example** (Telling others about a booking)
 *
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { SqlClient } from "effect/sql"
 * import { Outbox, PostgresStep } from "effect-saga/postgres"
 *
 * const Booked = Schema.Struct({ trip: Schema.String, seat: Schema.String })
 *
 * const bookings = Outbox.make("bookings", { message: Booked, key: ({ trip }) => trip })
 *
 * export const bookSeat = PostgresStep.make("book-seat", {
 *   input: Booked,
 *   action: Effect.fnUntraced(function*(booked) {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`INSERT INTO seats ${sql.insert(booked)}`
 *     yield* bookings.send(booked)
 *   })
 * })
 *
 * export const BookingsLayer = bookings.toLayer(({ seat, trip }) => Console.log(`seat ${seat} is for ${trip}`))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Message extends Storable>(name: string, options: {
  readonly message: Message
  readonly key: (message: Message["Type"]) => string
  readonly schema?: string | undefined
  readonly codec?: PayloadCodec | undefined
}): Outbox<Message["Type"]> => {
  const where = "Outbox.make"
  Check.indexedName(where, name)
  Check.requiredOptions(where, options)
  Check.keys(where, options, ["message", "key", "schema", "codec"])
  Check.requiredSchema(`${where}: message`, options.message)
  Check.callback(`${where}: key`, options.key, "a function that returns a string")
  const schema = options.schema ?? "effect_saga"
  Check.text(`${where}: schema`, schema)
  const codec = options.codec
  if (codec !== undefined) Check.codec(`${where}: codec`, codec)
  const table: Table.Table = { schema, outbox: name }
  const messages = Codec.make<Message["Type"]>(options.message)

  const withTable = <A>(
    use: (statements: Table.Statements, sql: SqlClient.SqlClient) => Effect.Effect<A, SqlError>
  ): Effect.Effect<A, SqlError, SqlClient.SqlClient> =>
    Effect.flatMap(SqlClient.SqlClient, (sql) => Table.explained(table, use(Table.make(sql, table), sql)))

  const open = (stored: string): Effect.Effect<Message["Type"], unknown> =>
    Effect.flatMap(
      decodeText(stored),
      (json) =>
        Effect.flatMap(codec === undefined ? Effect.succeed(json) : codec.decode(json), (json) => messages.decode(json))
    )

  return {
    outboxName: name,
    send: (message) =>
      Effect.gen(function*() {
        const key = options.key(message)
        if (typeof key !== "string" || key.length > maxKey || !Check.isStorable(key)) {
          return yield* Effect.die(
            new Error(
              `The key of a message of outbox "${name}" has to be a string of at most ${maxKey} characters that can be stored.`
            )
          )
        }
        const encoded = messages.encode(message)
        if (Exit.isFailure(encoded)) {
          return yield* Effect.die(
            new Error(`A message of outbox "${name}" does not fit its schema.`, { cause: encoded.cause })
          )
        }
        const sealed = codec === undefined ? encoded.value : yield* codec.encode(encoded.value)
        yield* withTable((statements, sql) =>
          Effect.andThen(
            statements.send(key, JSON.stringify(sealed)),
            // Not with the transaction: those that notify commit one after another. What nobody hears is found later.
            sql.afterCommit(Effect.ignore(Effect.timeoutOption(statements.ring, "1 second")))
          )
        )
      }),
    toLayer: <E, R>(
      handler: (message: Message["Type"], delivery: Delivery) => Effect.Effect<unknown, E, R>,
      relay: RelayOptions<E> = {}
    ) => {
      const where = `Outbox "${name}"`
      Check.callback(`${where}: handler`, handler, "a function that returns an Effect")
      Check.requiredOptions(where, relay)
      Check.keys(where, relay, ["concurrency", "retry", "onDead", "keepDelivered", "pollInterval"])
      Check.integer(`${where}: concurrency`, relay.concurrency)
      Check.schedule(`${where}: retry`, relay.retry)
      Check.oneOf(`${where}: onDead`, relay.onDead, ["block", "continue"])
      const pollInterval = Check.duration(`${where}: pollInterval`, relay.pollInterval) ?? Duration.seconds(5)
      const keepDelivered = Check.duration(`${where}: keepDelivered`, relay.keepDelivered)
      return Layer.effectDiscard(Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
        const handle = ({ attempts, id, message }: Table.Row): Effect.Effect<unknown, E> =>
          Effect.provideContext(
            Effect.scoped(Effect.flatMap(
              // What can't be read may be readable again when a new version of the program has started.
              Effect.orDie(open(message)),
              (message) => handler(message, { id, attempt: attempts + 1 })
            )),
            context
            // All that the handler needs is its scope and what is in this context, which TypeScript can't compute.
          ) as Effect.Effect<unknown, E>
        yield* Effect.forkScoped(Relay.run({
          sql,
          table,
          handle,
          retry: relay.retry ?? patiently,
          onDead: relay.onDead ?? "block",
          concurrency: relay.concurrency ?? 16,
          pollInterval,
          keepDelivered,
          isInClear: codec === undefined
        }))
      }))
    },
    dead: withTable(({ dead }) =>
      Effect.flatMap(
        dead,
        (rows) =>
          Effect.forEach(rows, ({ attempts, id, key, message, reason, sentAt }) =>
            Effect.map(
              Effect.option(open(message)),
              (message): Dead<Message["Type"]> => ({ id, key, message, attempts, reason: reason ?? "", sentAt })
            ))
      )
    ),
    retry: (id) => withTable(({ retry, ring }) => Effect.tap(retry(id), ring)),
    skip: (id) => withTable(({ ring, skip }) => Effect.tap(skip(id), ring))
  }
}

/* Of three bytes at most, in a row of an index that takes 2704 with the name of the outbox. */
const maxKey = 500

const decodeText = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Json))

const patiently = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.upTo({ times: 20 })
)
