import { type ExecutionRecord, finishedStatuses, type Position, unfinishedStatuses } from "../internal/store.ts"
import * as Listing from "./listing.ts"
import { recordColumns } from "./rows.ts"
import { texts, whole } from "./session.ts"
import { Statement } from "./wanted.ts"

/*
 * What is read from the tables, and how it is found.
 *
 * A plan is made when nobody may have counted the rows yet, and is kept. So a statement leaves no choice of what to look
 * things up by: what else a row has to be is asked when it is found.
 */

type Rows = Listing.Rows

export interface Queries extends Listing.Listing {
  readonly find: (id: string) => Rows
  readonly unfinished: (after: Position | undefined, limit: number) => Rows
  readonly counts: (since: number) => Rows
  readonly changed: (
    from: number,
    after: Pick<ExecutionRecord, "updatedAt" | "key"> | undefined,
    limit: number
  ) => Rows
  readonly existing: (ids: ReadonlyArray<string>) => Rows
  readonly ended: (ids: ReadonlyArray<string>) => Rows
  readonly requests: (execution: string | undefined, limit: number | undefined) => Rows
  readonly answers: (ids: ReadonlyArray<string>) => Rows
}

export const make = (schema: string): Queries => {
  const executions = `${schema}.executions`
  const events = `${schema}.events`

  const journals = (order: string) => `
    SELECT ${recordColumns}, coalesce(journal.numbers, '{}') AS numbers, coalesce(journal.events, '{}') AS events
    FROM found JOIN ${executions} AS e ON e.key = found.key LEFT JOIN LATERAL (
      SELECT array_agg(seq ORDER BY seq) AS numbers, array_agg(event ORDER BY seq) AS events
      FROM ${events} WHERE execution = e.key
    ) AS journal ON true
    ORDER BY ${order}`

  const byId = `WITH found AS (SELECT key FROM ${executions} WHERE id = $1) ${journals("found.key")}`

  const parked = `
    WITH parked AS MATERIALIZED (SELECT key, updated_at FROM ${executions} WHERE status = 'Parked')
    SELECT ${recordColumns} FROM (SELECT key FROM parked ORDER BY updated_at, key LIMIT 1) AS oldest
    JOIN ${executions} AS e ON e.key = oldest.key`
  const counts = `
    SELECT (
      SELECT coalesce(json_agg(groups), '[]') FROM (
        SELECT definition, status, count(*) FROM ${executions} GROUP BY status, definition
      ) AS groups
    )::text AS groups,
    (SELECT row_to_json(oldest) FROM (${parked}) AS oldest)::text AS "oldestParked",
    (SELECT count(*) FROM ${executions} WHERE (created_at, key) > ($1, 0))::float8 AS started,
    (
      SELECT coalesce(json_agg(ended), '[]') FROM (
        SELECT status, count(*) FROM ${executions}
        WHERE (updated_at, key) > ($1, 0) AND status || '' = ANY ($2::text[]) GROUP BY status
      ) AS ended
    )::text AS ended`

  const changed = `
    SELECT ${recordColumns} FROM ${executions} AS e WHERE (e.updated_at, e.key) > ($1, $2)
    ORDER BY e.updated_at, e.key LIMIT $3`

  const existing = `
    SELECT given.id FROM unnest($1::text[]) AS given (id), LATERAL (
      SELECT FROM ${executions} WHERE id = given.id LIMIT 1
    ) AS e`

  const ended = `
    SELECT ${recordColumns}, last.event
    FROM unnest($1::text[]) AS given (id), LATERAL (
      SELECT * FROM ${executions} WHERE id = given.id LIMIT 1
    ) AS e LEFT JOIN LATERAL (
      SELECT event FROM ${events} WHERE execution = e.key ORDER BY seq DESC LIMIT 1
    ) AS last ON true
    WHERE e.status = ANY ($2::text[])`

  const unanswered = `SELECT id, execution, request, position FROM ${schema}.requests WHERE answer IS NULL`
  const unansweredOfAll = `${unanswered} ORDER BY position LIMIT $1`
  const unansweredOf = `
    WITH found AS MATERIALIZED (${unanswered} AND execution = $1) SELECT * FROM found ORDER BY position LIMIT $2`

  const answers = `
    SELECT r.id AS request, r.answer
    FROM unnest($1::text[]) AS given (id), LATERAL (
      SELECT id, answer FROM ${schema}.requests WHERE id = given.id LIMIT 1
    ) AS r WHERE r.answer IS NOT NULL`

  return {
    find: (id) => ({ query }) => query(byId, [id]),
    unfinished: (after, limit) => (session) => {
      const statement = new Statement(schema)
      const options = { statuses: unfinishedStatuses, order: "oldest", after } as const
      const found = Listing.pageOfPairs(statement, options, statement.given(whole(limit)))
      return statement.run(session, `${found} ${journals("found.created_at, found.key")}`)
    },
    ...Listing.make(schema),
    counts: (since) => ({ query }) => query(counts, [whole(Math.ceil(since)), texts(finishedStatuses)]),
    changed: (from, after, limit) => ({ query }) => {
      const isAfter = after !== undefined && after.updatedAt >= from
      const place = isAfter ? [after.updatedAt, after.key] : [Math.ceil(from), 0]
      return query(changed, [...place, limit].map(whole))
    },
    existing: (ids) => ({ query }) => query(existing, [texts(ids)]),
    ended: (ids) => ({ query }) => query(ended, [texts(ids), texts(finishedStatuses)]),
    requests: (execution, limit = Infinity) => ({ query }) =>
      execution === undefined ? query(unansweredOfAll, [whole(limit)]) : query(unansweredOf, [execution, whole(limit)]),
    answers: (ids) => ({ query }) => query(answers, [texts(ids)])
  }
}
