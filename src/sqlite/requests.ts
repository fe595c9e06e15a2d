/// <reference types="node" />
import type { DatabaseSync } from "node:sqlite"
import type { Answer, Request } from "../internal/store.ts"

/*
 * The table of requests. Each of its reads names its index, and with it the statement is refused where the index can't
 * serve it: what nobody has deleted yet must not make them slower.
 */

export type Row = Record<string, unknown>

export interface Requests {
  readonly ask: (requests: ReadonlyArray<Request>) => void
  /** Those without an answer, in order of arrival. */
  readonly unanswered: (execution: string | undefined, limit: number | undefined) => ReadonlyArray<Row>
  readonly answers: (ids: ReadonlyArray<string>) => ReadonlyArray<Row>
  /** Gives answers, for the transaction of the caller. */
  readonly answer: (answers: ReadonlyArray<Answer>, now: number) => void
  /** Deletes at most this many that were answered before this time, and returns how many. */
  readonly deleteAnswered: (before: number, limit: number) => number
}

export const makeRequests = (database: DatabaseSync): Requests => {
  const insert = database.prepare(
    "INSERT INTO requests (id, execution, request) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
  )
  const selectUnanswered = database.prepare(`
    SELECT id, execution, request FROM requests INDEXED BY requests_unanswered
    WHERE answer IS NULL ORDER BY position LIMIT ?`)
  const selectUnansweredOf = database.prepare(`
    SELECT id, execution, request FROM requests INDEXED BY requests_unanswered
    WHERE answer IS NULL AND execution = ? ORDER BY position LIMIT ?`)
  const selectAnswer = database.prepare(
    "SELECT id AS request, answer FROM requests WHERE id = ? AND answer IS NOT NULL"
  )
  const updateAnswer = database.prepare(
    "UPDATE requests SET answer = ?, answered_at = ? WHERE id = ? AND answer IS NULL"
  )
  const deleteUnanswered = database.prepare("DELETE FROM requests WHERE id = ? AND answer IS NULL")
  const deleteAnswered = database.prepare(`
    DELETE FROM requests WHERE position IN (
      SELECT position FROM requests INDEXED BY requests_answered WHERE answered_at < ? LIMIT ?
    )`)

  return {
    ask: (requests) => {
      for (const { execution, id, request } of requests) insert.run(id, execution, request)
    },
    // A limit below zero is none.
    unanswered: (execution, limit = -1) =>
      execution === undefined ? selectUnanswered.all(limit) : selectUnansweredOf.all(execution, limit),
    answers: (ids) =>
      ids.flatMap((id) => {
        const row = selectAnswer.get(id)
        return row === undefined ? [] : [row]
      }),
    answer: (answers, now) => {
      for (const { answer, request } of answers) {
        if (answer === undefined) deleteUnanswered.run(request)
        else updateAnswer.run(answer, now, request)
      }
    },
    deleteAnswered: (before, limit) => Number(deleteAnswered.run(before, limit).changes)
  }
}
