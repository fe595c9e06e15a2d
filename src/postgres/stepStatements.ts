import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fence } from "./fence.ts"

/*
 * What the transaction of a step says to the database, beside what its action says.
 */

const LockRow = Schema.Struct({
  isolation: Schema.String,
  isLocked: Schema.Boolean,
  /** Of the owner of the store; null where the store is not in this database. */
  epoch: Schema.NullOr(Schema.NumberFromString)
})

const decodeLock = Schema.decodeUnknownEffect(LockRow)

const RecordRow = Schema.Struct({ value: Schema.String })

const decodeRecords = Schema.decodeUnknownEffect(Schema.Array(RecordRow))

const PlaceRow = Schema.Struct({
  database: Schema.String,
  // Null where it is reached through a socket of the system.
  host: Schema.NullOr(Schema.String),
  port: Schema.NullOr(Schema.String)
})

const decodePlace = Schema.decodeUnknownEffect(PlaceRow)

/** The statements about one key of one execution. Names are not transformed, whatever the client does for others. */
export const make = (client: SqlClient, fence: Fence, execution: number, key: string) => {
  const sql = client.withoutTransforms()
  // Not as an identifier of the client, which may transform those.
  const schema = sql.literal(quoted(fence.schema))
  const lock = `effect-saga/${fence.store}/${execution}/${key}`

  return {
    /** Takes the lock on the key until the transaction ends, if it is free. */
    lock: sql`
      SELECT current_setting('transaction_isolation') AS isolation,
        pg_try_advisory_xact_lock(hashtextextended(${lock}, 0)) AS "isLocked",
        (SELECT epoch::text FROM ${schema}.owner WHERE store = ${fence.store}) AS epoch
    `.pipe(Effect.flatMap(([row]) => Effect.orDie(decodeLock(row)))),

    /** The value with which a transaction of this key has committed. */
    find: sql`
      SELECT value FROM ${schema}.transactions WHERE execution = ${execution} AND key = ${key}
    `.pipe(Effect.flatMap((rows) => Effect.orDie(decodeRecords(rows))), Effect.map(([row]) => row?.value)),

    /*
     * Returns whether this engine still owns the store. The lock on the row of the owner is the weakest that a take-over
     * waits for: the owner may give signs of life meanwhile, and a transaction that began before one is not refused for it.
     */
    record: (value: string, at: number): Effect.Effect<boolean, SqlError> =>
      Effect.map(
        sql`
          WITH owner AS MATERIALIZED (
            SELECT 1 FROM ${schema}.owner
            WHERE store = ${fence.store} AND epoch = ${fence.epoch}
              AND set_config('idle_in_transaction_session_timeout', '1s', true) IS NOT NULL
            FOR KEY SHARE
          )
          INSERT INTO ${schema}.transactions (execution, key, value, at)
          SELECT ${execution}, ${key}, ${value}, ${at} FROM owner
          ON CONFLICT DO NOTHING
          RETURNING key
        `,
        (rows) => rows.length > 0
      ),

    /* Only for the owner: one that was replaced must not end the transactions of the next one. */
    endHolder: sql`
      SELECT pg_terminate_backend(pid) FROM pg_locks
      WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = hashtextextended(${lock}, 0)
        AND EXISTS (SELECT 1 FROM ${schema}.owner WHERE store = ${fence.store} AND epoch = ${fence.epoch})
    `,

    /** What the client is connected to. */
    place: sql`
      SELECT current_database() AS database, host(inet_server_addr()) AS host, inet_server_port()::text AS port
    `.pipe(
      Effect.flatMap(([row]) => Effect.orDie(decodePlace(row))),
      Effect.map(({ database, host, port }) =>
        `the database "${database}"${host === null || port === null ? "" : ` at ${host}:${port}`}`
      )
    )
  }
}

export type Statements = ReturnType<typeof make>

/** A name as SQL writes it. */
export const quoted = (name: string): string => `"${name.replaceAll("\"", "\"\"")}"`
