import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import { isMissing } from "./sqlFailure.ts"
import { quoted } from "./stepStatements.ts"

/*
 * The messages of one outbox, as the database has them. Times are milliseconds by the clock of the database, so that it
 * does not matter which process looks at them.
 */

/** Where a message stands. One that was delivered is deleted, unless it is to be kept. */
export type Status = "Pending" | "Dead" | "Delivered"

/** A message that may be due, as it is stored. */
export interface Row {
  readonly id: string
  readonly key: string
  readonly message: string
  readonly status: Status
  /** How often it was delivered in vain. */
  readonly attempts: number
  readonly sentAt: number
  readonly isDue: boolean
  readonly reason: string | null
}

const Rows = Schema.Array(Schema.Struct({
  id: Schema.String,
  key: Schema.String,
  message: Schema.String,
  status: Schema.Literals(["Pending", "Dead", "Delivered"]),
  attempts: Schema.Int,
  sentAt: Schema.NumberFromString,
  isDue: Schema.Boolean,
  reason: Schema.NullOr(Schema.String)
}))

const decodeRows = Schema.decodeUnknownEffect(Rows)

const Wait = Schema.Struct({ millis: Schema.NullOr(Schema.NumberFromString) })

const decodeWait = Schema.decodeUnknownEffect(Wait)

/** How many messages of one key are read at a time. */
const chunk = 20

const now = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

export interface Table {
  readonly schema: string
  readonly outbox: string
}

/** What everybody listens to who relays messages in this database. */
export const channel = "effect_saga_outbox"

/** What is said on the channel when there may be something to relay. */
export const bellOf = ({ outbox, schema }: Table): string => `${schema}/${outbox}`

/** The statements of one outbox. Names are not transformed, whatever the client does for others. */
export const make = (client: SqlClient, { outbox, schema }: Table) => {
  const sql = client.withoutTransforms()
  const table = sql.literal(`${quoted(schema)}.outbox`)
  const columns = sql.literal(
    `id::text AS id, key, message, status, attempts, sent_at::text AS "sentAt", reason, ` +
      `(due_at IS NULL OR due_at <= ${now}) AS "isDue"`
  )
  const at = sql.literal(now)
  const relay = `effect-saga/outbox/${schema}/${outbox}`

  /*
   * Goes from key to key by the index, and so does not read what it has no use for: the other messages of the keys, nor
   * more keys than are wanted.
   */
  const heads = (after: string | undefined, onDead: "block" | "continue") => {
    const undelivered = onDead === "block" ? sql.literal("status <> 'Delivered'") : sql.literal("status = 'Pending'")
    const next = (condition: Statement<unknown> | undefined) =>
      sql`
        SELECT key, status, due_at FROM ${table}
        WHERE outbox = ${outbox} AND ${undelivered} ${condition === undefined ? sql`` : sql`AND ${condition}`}
        ORDER BY key, position LIMIT 1
      `
    return sql`
      WITH RECURSIVE heads AS (
        (${next(after === undefined ? undefined : sql`key > ${after}`)})
        UNION ALL
        SELECT next.* FROM heads, LATERAL (${next(sql`key > heads.key`)}) next
      )
    `
  }

  return {
    /*
     * The lock on the key is taken before the message gets its position, and kept until the transaction ends: of two
     * messages of one key the one that commits first comes first, and whoever sees one sees all before it.
     */
    send: (key: string, message: string): Effect.Effect<void, SqlError> =>
      Effect.asVoid(
        sql`
          WITH turn AS MATERIALIZED (
            SELECT pg_advisory_xact_lock(hashtextextended(${`effect-saga/outbox/${schema}/${outbox}/${key}`}, 0))
          )
          INSERT INTO ${table} (outbox, key, message, status, attempts, sent_at)
          SELECT ${outbox}, ${key}, ${message}, 'Pending', 0, ${at} FROM turn
        `
      ),

    ring: Effect.asVoid(sql`SELECT pg_notify(${channel}, ${bellOf({ outbox, schema })})`),

    /** The first messages of up to `limit` keys after this one which can be delivered now, in order of their keys. */
    due: (options: {
      readonly after: string | undefined
      readonly busy: ReadonlyArray<string>
      readonly limit: number
      readonly onDead: "block" | "continue"
    }): Statement<object> =>
      sql`
        ${heads(options.after, options.onDead)}
        SELECT ${columns} FROM (
          SELECT key AS head FROM heads
          WHERE status = 'Pending' AND (due_at IS NULL OR due_at <= ${at})
            AND NOT key = ANY(${options.busy}::text[])
          LIMIT ${options.limit}
        ) heads, LATERAL (
          SELECT * FROM ${table}
          WHERE outbox = ${outbox} AND key = head
            AND ${options.onDead === "block" ? sql.literal("status <> 'Delivered'") : sql.literal("status = 'Pending'")}
          ORDER BY position LIMIT ${chunk}
        ) messages
        ORDER BY key, position
      `,

    /** In how many milliseconds the next key is due that waits for another attempt; it may have been due by now. */
    wait: (busy: ReadonlyArray<string>, onDead: "block" | "continue"): Statement<object> =>
      sql`
        ${heads(undefined, onDead)}
        SELECT (min(due_at) - ${at})::text AS millis FROM heads
        WHERE status = 'Pending' AND NOT key = ANY(${busy}::text[])
      `,

    delete: (ids: ReadonlyArray<string>): Statement<object> => sql`DELETE FROM ${table} WHERE id = ANY(${ids}::uuid[])`,

    keep: (ids: ReadonlyArray<string>): Statement<object> =>
      sql`UPDATE ${table} SET status = 'Delivered', ended_at = ${at} WHERE id = ANY(${ids}::uuid[])`,

    deleteKept: (millis: number): Statement<object> =>
      sql`
        DELETE FROM ${table} WHERE outbox = ${outbox} AND status = 'Delivered' AND ended_at < ${at} - ${millis}::bigint
      `,

    later: (
      id: string,
      failed: { readonly attempts: number; readonly reason: string },
      delay: number
    ): Statement<object> =>
      sql`
        UPDATE ${table}
        SET attempts = ${failed.attempts}, reason = ${failed.reason}, due_at = ${at} + ${Math.ceil(delay)}::bigint
        WHERE id = ${id}::uuid AND status = 'Pending'
      `,

    bury: (id: string, failed: { readonly attempts: number; readonly reason: string }): Statement<object> =>
      sql`
        UPDATE ${table}
        SET status = 'Dead', attempts = ${failed.attempts}, reason = ${failed.reason}, due_at = NULL, ended_at = ${at}
        WHERE id = ${id}::uuid AND status = 'Pending'
      `,

    dead: sql`
      SELECT ${columns} FROM ${table} WHERE outbox = ${outbox} AND status = 'Dead' ORDER BY position
    `.pipe(Effect.flatMap((rows) => read(rows))),

    retry: (id: string): Effect.Effect<boolean, SqlError> =>
      Effect.map(
        sql`
          UPDATE ${table} SET status = 'Pending', attempts = 0, due_at = NULL, ended_at = NULL
          WHERE outbox = ${outbox} AND status = 'Dead' AND id::text = ${id} RETURNING id
        `,
        (rows) => rows.length > 0
      ),

    skip: (id: string): Effect.Effect<boolean, SqlError> =>
      Effect.map(
        sql`DELETE FROM ${table} WHERE outbox = ${outbox} AND status = 'Dead' AND id::text = ${id} RETURNING id`,
        (rows) => rows.length > 0
      ),

    /** Takes the lock of who relays, for as long as the session lives. */
    lead: sql`SELECT pg_try_advisory_lock(hashtextextended(${relay}, 0)) AS leads`,

    /** Ends the session of who relays, if it has given no sign of life for so long. */
    endSilent: (millis: number): Statement<object> =>
      sql`
        SELECT pg_terminate_backend(locks.pid)
        FROM pg_locks locks JOIN pg_stat_activity activity ON activity.pid = locks.pid
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (classid::bigint << 32) | objid::bigint = hashtextextended(${relay}, 0)
          AND activity.state_change < clock_timestamp() - ${millis} * interval '1 millisecond'
      `
  }
}

export type Statements = ReturnType<typeof make>

/* What the library has written itself is as it was written. */
export const read = (rows: unknown): Effect.Effect<ReadonlyArray<Row>> => Effect.orDie(decodeRows(rows))

export const readWait = (row: unknown): Effect.Effect<number | undefined> =>
  Effect.map(Effect.orDie(decodeWait(row)), ({ millis }) => millis ?? undefined)

/** Says what to do where there are no tables. */
export const explained = <A, R>(
  { schema }: Table,
  self: Effect.Effect<A, SqlError, R>
): Effect.Effect<A, SqlError, R> =>
  Effect.catch(
    self,
    (error) => isMissing(error) ? Effect.die(new Error(noTables(schema), { cause: error })) : Effect.fail(error)
  )

export const noTables = (schema: string): string =>
  `There is no table "outbox" in the schema "${schema}" of this database. An engine makes it, when it opens its store there.`
