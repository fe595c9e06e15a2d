import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { finishedStatuses, type ListOptions, Status, unfinishedStatuses } from "../internal/store.ts"
import { recordColumns } from "./rows.ts"
import { type Row, type Session, texts, whole } from "./session.ts"

/*
 * What is read from the tables, and how it is found.
 *
 * An index has executions in order of status, definition and key. In each pair of status and definition they are in order
 * of keys, so a page of each pair is enough to make a page of all. A page is asked for as a part of the whole order: else
 * the server may think that it is found sooner among all keys.
 *
 * A plan is made when nobody may have counted the rows yet, and is kept. So a statement leaves no choice of what to look
 * things up by: what else a row has to be is asked when it is found.
 */

export type Rows = (session: Session) => Effect.Effect<ReadonlyArray<Row>, SqlError>

export interface Queries {
  readonly find: (id: string) => Rows
  readonly unfinished: (after: number, limit: number) => Rows
  readonly list: (options: ListOptions) => Rows
  readonly existing: (ids: ReadonlyArray<string>) => Rows
  readonly ended: (ids: ReadonlyArray<string>) => Rows
  readonly requests: (execution: string | undefined, limit: number | undefined) => Rows
  readonly answers: (ids: ReadonlyArray<string>) => Rows
}

export const make = (schema: string): Queries => {
  const executions = `${schema}.executions`
  const events = `${schema}.events`

  const journals = `
    SELECT ${recordColumns}, coalesce(journal.numbers, '{}') AS numbers, coalesce(journal.events, '{}') AS events
    FROM found JOIN ${executions} AS e ON e.key = found.key LEFT JOIN LATERAL (
      SELECT array_agg(seq ORDER BY seq) AS numbers, array_agg(event ORDER BY seq) AS events
      FROM ${events} WHERE execution = e.key
    ) AS journal ON true
    ORDER BY e.key`

  const byId = `WITH found AS (SELECT key FROM ${executions} WHERE id = $1) ${journals}`

  /* Each status in $1 with each definition that has it, one after another. */
  const pairs = `pairs (status, definition) AS (
      SELECT status, (SELECT min(definition) FROM ${executions} AS e WHERE e.status = given.status)
      FROM unnest($1::text[]) AS given (status)
      UNION ALL
      SELECT status, (
        SELECT min(definition) FROM ${executions} AS e WHERE e.status = pairs.status AND e.definition > pairs.definition
      ) FROM pairs WHERE definition IS NOT NULL
    )`

  const unfinished = `
    WITH RECURSIVE ${pairs}, found AS (
      SELECT page.key FROM pairs, LATERAL (
        SELECT key FROM ${executions} AS e
        WHERE (e.status, e.definition, e.key) > (pairs.status, pairs.definition, $2)
          AND (e.status, e.definition, e.key) <= (pairs.status, pairs.definition, 9223372036854775807)
        ORDER BY e.status, e.definition, e.key LIMIT $3
      ) AS page ORDER BY page.key LIMIT $3
    ) ${journals}`

  const newest = `SELECT ${recordColumns} FROM ${executions} AS e WHERE e.key < $1 ORDER BY e.key DESC LIMIT $2`

  const pageOf = (definition: string) => `
    SELECT page.key FROM pairs, LATERAL (
      SELECT key FROM ${executions} AS e
      WHERE (e.status, e.definition, e.key) < (pairs.status, ${definition}, $2)
        AND (e.status, e.definition, e.key) > (pairs.status, ${definition}, 0)
      ORDER BY e.status DESC, e.definition DESC, e.key DESC LIMIT $3
    ) AS page ORDER BY page.key DESC LIMIT $3`
  const records = `SELECT ${recordColumns} FROM found JOIN ${executions} AS e ON e.key = found.key ORDER BY e.key DESC`
  const byStatus = `WITH RECURSIVE ${pairs}, found AS (${pageOf("pairs.definition")}) ${records}`
  const byDefinition = `
    WITH pairs (status) AS (SELECT unnest($1::text[])), found AS (${pageOf("$4")}) ${records}`

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
    unfinished: (after, limit) => ({ query }) =>
      query(unfinished, [texts(unfinishedStatuses), whole(after), whole(limit)]),
    list: ({ before = Infinity, definition, limit = 100, statuses }) => ({ query }) => {
      if (statuses === undefined && definition === undefined) return query(newest, [whole(before), whole(limit)])
      const given = texts(statuses === undefined ? Status.literals : Array.from(new Set(statuses)))
      return definition === undefined
        ? query(byStatus, [given, whole(before), whole(limit)])
        : query(byDefinition, [given, whole(before), whole(limit), definition])
    },
    existing: (ids) => ({ query }) => query(existing, [texts(ids)]),
    ended: (ids) => ({ query }) => query(ended, [texts(ids), texts(finishedStatuses)]),
    requests: (execution, limit = Infinity) => ({ query }) =>
      execution === undefined ? query(unansweredOfAll, [whole(limit)]) : query(unansweredOf, [execution, whole(limit)]),
    answers: (ids) => ({ query }) => query(answers, [texts(ids)])
  }
}
