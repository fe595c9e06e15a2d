/// <reference types="node" />
import type { DatabaseSync } from "node:sqlite"
import { unfinishedStatuses } from "../internal/store.ts"

/** The last entry that was looked at, in the order of `executions_by_change`. */
export interface PrunedTo {
  readonly updatedAt: number
  readonly status: string
  readonly key: number
}

/** How many executions were deleted, and where the next part begins. */
export interface Pruned {
  readonly count: number
  readonly next: PrunedTo | undefined
}

/* Executions per transaction, so that it holds the lock for some milliseconds only. */
const partSize = 200

/** Deletes finished executions in parts, by the time at which they finished. */
export const makePrune = (database: DatabaseSync) => {
  const unfinished = unfinishedStatuses.map((status) => `'${status}'`).join(", ")

  return (from: PrunedTo | undefined, finishedBefore: number, statuses: ReadonlyArray<string>): Pruned => {
    const { key, status, updatedAt } = from ?? { updatedAt: Number.MIN_SAFE_INTEGER, status: "", key: 0 }
    const part = database.prepare(`
      SELECT updated_at, status, key FROM executions INDEXED BY executions_by_change
      WHERE (updated_at, status, key) > (?, ?, ?) AND updated_at < ? ORDER BY updated_at, status, key LIMIT ?`)
      .all(updatedAt, status, key, finishedBefore, partSize) as unknown as ReadonlyArray<Entry>
    const finished = part.filter(({ status }) => statuses.includes(status)).map(({ key }) => key)
    const keys = finished.length === 0 ? [] : database.prepare(`
      SELECT key FROM executions WHERE key IN (${marks(finished)}) AND NOT EXISTS (
        SELECT 1 FROM executions AS parents WHERE parents.id = executions.parent AND parents.status IN (${unfinished})
      )`).all(...finished).map((row) => row["key"] as number)
    const last = part.length < partSize ? undefined : part.at(-1)!
    const next = last === undefined ? undefined : { updatedAt: last.updated_at, status: last.status, key: last.key }
    if (keys.length === 0) return { count: 0, next }
    database.exec("BEGIN IMMEDIATE")
    // A key is never given again, not even that of the newest execution.
    database.exec("UPDATE owner SET last_key = max(last_key, (SELECT max(key) FROM executions))")
    database.prepare(`DELETE FROM events WHERE execution IN (${marks(keys)})`).run(...keys)
    database.prepare(`
      DELETE FROM attributes WHERE (name, value, created_at, execution) IN (
        SELECT found.key, found.value, executions.created_at, executions.key
        FROM executions CROSS JOIN json_each(executions.attributes) AS found
        WHERE executions.key IN (${marks(keys)}) AND executions.attributes IS NOT NULL
      )`).run(...keys)
    const { changes } = database.prepare(`DELETE FROM executions WHERE key IN (${marks(keys)})`).run(...keys)
    database.exec("COMMIT")
    return { count: Number(changes), next }
  }
}

interface Entry {
  readonly updated_at: number
  readonly status: string
  readonly key: number
}

const marks = (values: ReadonlyArray<unknown>): string => values.map(() => "?").join(", ")
