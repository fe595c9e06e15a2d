import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ExecutionRecord, finishedStatuses, type PruneOptions, unfinishedStatuses } from "../internal/store.ts"
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

const Part = Schema.Struct({
  keys: Schema.Array(Schema.Int),
  last: Schema.NullOr(Schema.Int),
  /** Those of the executions that have some. */
  described: Schema.fromJsonString(Schema.Array(
    Schema.Struct({
      key: Schema.Int,
      createdAt: Schema.Int,
      attributes: Schema.fromJsonString(ExecutionRecord.fields.attributes)
    })
  ))
})

const decodePart = decode(Part)

type Part = typeof Part.Type

const find = (
  settings: Settings,
  after: number,
  { finishedBefore, statuses = finishedStatuses }: PruneOptions
): Attempt<Part> => {
  const schema = `"${settings.schema}"`
  const sql = `
    WITH looked AS MATERIALIZED (
      SELECT key, status, created_at, updated_at, parent, attributes FROM ${schema}.executions
      WHERE key > $1 ORDER BY key LIMIT ${keysPerPart}
    ), part AS MATERIALIZED (
      SELECT key, created_at, attributes FROM looked
      WHERE updated_at < $2 AND status = ANY ($3::text[]) AND coalesce(
        (SELECT parents.status FROM ${schema}.executions AS parents WHERE parents.id = looked.parent) <> ALL ($4::text[]),
        true
      )
    )
    SELECT (SELECT max(key)::float8 FROM looked) AS last, ARRAY(SELECT key::float8 FROM part) AS keys, coalesce((
      SELECT json_agg(json_build_object('key', key, 'createdAt', created_at, 'attributes', attributes))
      FROM part WHERE attributes IS NOT NULL
    ), '[]')::text AS described`
  const parameters = [whole(after), whole(finishedBefore), texts(statuses), texts(unfinishedStatuses)]
  return (session) => Effect.flatMap(session.query(sql, parameters), ([row]) => decodePart(settings.store, row))
}

/** How many executions were deleted. */
const remove = (settings: Settings, { described, keys }: Part): Attempt<number> => {
  const schema = `"${settings.schema}"`
  const attributes = described.flatMap(({ attributes, createdAt, key }) =>
    Object.entries(attributes).map(([name, value]) => ({ name, value, createdAt, key }))
  )
  // A key is never given again, not even that of the newest execution.
  const sql = `
    WITH keep AS (
      UPDATE ${schema}.owner SET last_key = newest.key
      FROM (SELECT max(key) AS key FROM ${schema}.executions) AS newest WHERE last_key < newest.key
    ), events AS (
      DELETE FROM ${schema}.events WHERE execution = ANY ($1::bigint[])
    ), attributes AS (
      DELETE FROM ${schema}.attributes AS there
      USING unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS given (name, value, created_at, key)
      WHERE there.name = given.name AND there.value = given.value AND there.created_at = given.created_at
        AND there.key = given.key
    ), transactions AS (
      DELETE FROM ${schema}.transactions WHERE execution = ANY ($1::bigint[])
    )
    DELETE FROM ${schema}.executions WHERE key = ANY ($1::bigint[]) RETURNING 1`
  const parameters = [
    numbers(keys),
    texts(attributes.map(({ name }) => name)),
    texts(attributes.map(({ value }) => value)),
    numbers(attributes.map(({ createdAt }) => createdAt)),
    numbers(attributes.map(({ key }) => key))
  ]
  return (session, isRepeated) =>
    // What is not there any more was deleted by an attempt before this one, or by somebody else at the same time.
    Effect.map(session.query(sql, parameters), (rows) => isRepeated ? keys.length : rows.length)
}

export const prune = Effect.fnUntraced(function*(
  settings: Settings,
  attempts: Attempts,
  lines: Lines,
  options: PruneOptions
): Effect.fn.Return<number, SagaStoreError> {
  let count = 0
  for (let after: number | null = 0; after !== null;) {
    const part: Part = yield* attempts.read(lines, find(settings, after, options))
    if (part.keys.length > 0) {
      count += yield* attempts.write(lines, remove(settings, part))
      options.onProgress?.(count)
    }
    after = part.last
  }
  return count
})
