/// <reference types="node" />
import type { DatabaseSync } from "node:sqlite"
import { type ExecutionFilter, type ListOptions, type Position, unfinishedStatuses } from "../internal/store.ts"
import { fromFilter, type Range, rangeOf } from "./filter.ts"
import { makeStatements, pairs, type Place } from "./parts.ts"
import { plan } from "./plan.ts"
import type { Row } from "./requests.ts"

/*
 * What there is of executions, for the snapshot of the caller.
 */

/** What `counts` finds, as rows. */
export interface CountRows {
  readonly groups: ReadonlyArray<Row>
  readonly oldestParked: Row | undefined
  readonly started: number
  /** By status. */
  readonly ended: ReadonlyArray<Row>
}

export interface Lists {
  readonly list: (options: ListOptions) => ReadonlyArray<Row>
  readonly unfinished: (after: Position | undefined, limit: number) => ReadonlyArray<Row>
  readonly count: (filter: ExecutionFilter) => number
  readonly counts: (since: number) => CountRows
  readonly changed: (from: number, key: number, limit: number) => ReadonlyArray<Row>
}

export const makeLists = (database: DatabaseSync): Lists => {
  const statements = makeStatements(database)
  const selectByKey = database.prepare("SELECT * FROM executions WHERE key = ?")
  const selectGroups = database.prepare(`
    SELECT status, definition, count(*) AS count FROM executions INDEXED BY executions_by_status
    GROUP BY status, definition`)
  const selectOldestParked = database.prepare(`
    SELECT * FROM executions INDEXED BY executions_by_status WHERE status = 'Parked' ORDER BY updated_at, key LIMIT 1`)
  const selectStarted = database.prepare(
    "SELECT count(*) AS count FROM executions INDEXED BY executions_by_creation WHERE created_at >= ?"
  )
  const selectEnded = database.prepare(`
    SELECT status, count(*) AS count FROM executions INDEXED BY executions_by_change
    WHERE updated_at >= ? AND status IN ('Completed', 'Compensated', 'Failed') GROUP BY status`)
  const selectChanged = database.prepare(`
    SELECT * FROM executions INDEXED BY executions_by_change
    WHERE updated_at >= ?1 AND (updated_at > ?1 OR key > ?2) ORDER BY updated_at, key LIMIT ?3`)

  const rows = (places: ReadonlyArray<Place>, newestFirst: boolean, limit: number): ReadonlyArray<Row> => {
    const direction = newestFirst ? -1 : 1
    return places
      .toSorted((one, other) => direction * (one.createdAt - other.createdAt || one.key - other.key))
      .slice(0, limit)
      .map(({ key }) => selectByKey.get(key)!)
  }

  return {
    list: (options) => {
      const { limit = 100, order } = options
      const asked = fromFilter(options)
      if (asked === undefined) return []
      const newestFirst = order !== "oldest"
      const places = plan(statements, asked, rangeOf(options), { _tag: "Page", newestFirst, limit })
        .flatMap(({ part, range }) => statements.select(part, range, newestFirst, limit))
      return rows(places, newestFirst, limit)
    },
    unfinished: (after, limit) => {
      const range: Range = { lower: after, upper: undefined }
      const places = pairs(statements, { statuses: unfinishedStatuses })
        .flatMap((part) => statements.select(part, range, false, limit))
      return rows(places, false, limit)
    },
    count: (filter) => {
      const asked = fromFilter(filter)
      if (asked === undefined) return 0
      return plan(statements, asked, rangeOf(filter), { _tag: "Count" })
        .reduce((sum, { part, range }) => sum + statements.count(part, range), 0)
    },
    counts: (since) => ({
      groups: selectGroups.all(),
      oldestParked: selectOldestParked.get(),
      started: selectStarted.get(since)!["count"] as number,
      ended: selectEnded.all(since)
    }),
    changed: (from, key, limit) => selectChanged.all(from, key, limit)
  }
}
