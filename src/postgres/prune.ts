import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type PruneOptions, unfinishedStatuses } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Attempt, Attempts } from "./attempts.ts"
import { decode } from "./rows.ts"
import { type Lines, numbers, texts, whole } from "./session.ts"
import type { Settings } from "./settings.ts"

/*
 * Deletes finished executions in parts, each in one statement. A part is found first, by a statement that only reads: what
 * is to be deleted has ended for good, and if it was deleted on a connection that broke, it is known how many there were.
 */

/* Executions that are looked at for a part: deleting them takes some milliseconds. */
const keysPerPart = 500

const Part = Schema.Struct({ keys: Schema.Array(Schema.Int), last: Schema.NullOr(Schema.Int) })

const decodePart = decode(Part)

type Part = typeof Part.Type

const find = (
  settings: Settings,
  after: number,
  { finishedBefore, statuses }: Required<PruneOptions>
): Attempt<Part> => {
  const schema = `"${settings.schema}"`
  const sql = `
    WITH looked AS MATERIALIZED (
      SELECT key, status, updated_at, parent FROM ${schema}.executions WHERE key > $1 ORDER BY key LIMIT ${keysPerPart}
    )
    SELECT (SELECT max(key)::float8 FROM looked) AS last, ARRAY(
      SELECT key::float8 FROM looked
      WHERE updated_at < $2 AND status = ANY ($3::text[]) AND coalesce(
        (SELECT parents.status FROM ${schema}.executions AS parents WHERE parents.id = looked.parent) <> ALL ($4::text[]),
        true
      )
    ) AS keys`
  const parameters = [whole(after), whole(finishedBefore), texts(statuses ?? []), texts(unfinishedStatuses)]
  return (session) => Effect.flatMap(session.query(sql, parameters), ([row]) => decodePart(settings.store, row))
}

/** How many executions were deleted. */
const remove = (settings: Settings, keys: ReadonlyArray<number>): Attempt<number> => {
  const schema = `"${settings.schema}"`
  // A key is never given again, not even that of the newest execution.
  const sql = `
    WITH keep AS (
      UPDATE ${schema}.owner SET last_key = newest.key
      FROM (SELECT max(key) AS key FROM ${schema}.executions) AS newest WHERE last_key < newest.key
    ), events AS (
      DELETE FROM ${schema}.events WHERE execution = ANY ($1::bigint[])
    ), transactions AS (
      DELETE FROM ${schema}.transactions WHERE execution = ANY ($1::bigint[])
    )
    DELETE FROM ${schema}.executions WHERE key = ANY ($1::bigint[]) RETURNING 1`
  const parameters = [numbers(keys)]
  return (session, isRepeated) =>
    // What is not there any more was deleted by an attempt before this one, or by somebody else at the same time.
    Effect.map(session.query(sql, parameters), (rows) => isRepeated ? keys.length : rows.length)
}

export const prune = Effect.fnUntraced(function*(
  settings: Settings,
  attempts: Attempts,
  lines: Lines,
  options: Required<PruneOptions>
): Effect.fn.Return<number, SagaStoreError> {
  let count = 0
  for (let after: number | null = 0; after !== null;) {
    const { keys, last }: Part = yield* attempts.read(lines, find(settings, after, options))
    if (keys.length > 0) count += yield* attempts.write(lines, remove(settings, keys))
    after = last
  }
  return count
})
