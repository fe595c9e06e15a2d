/// <reference types="node" />
import type { SQLInputValue } from "node:sqlite"
import { textAfter } from "../internal/prefix.ts"
import { type ExecutionFilter, type ListOptions, Status } from "../internal/store.ts"

/* What executions are looked for by, as conditions in SQL. */

export interface Condition {
  readonly sql: string
  readonly values: ReadonlyArray<SQLInputValue>
}

/** Ids from this one on, and below the other where there is one. */
export interface IdRange {
  readonly from: string
  readonly to: string | undefined
}

/** What a row has to be besides its place in the order. What is left out is not asked for. */
export interface Asked {
  readonly statuses?: ReadonlyArray<string> | undefined
  readonly definition?: string | undefined
  readonly ids?: IdRange | undefined
  readonly updatedBefore?: number | undefined
  readonly error?: string | undefined
  readonly attributes: ReadonlyArray<readonly [name: string, value: string]>
}

/** What is asked for, or `undefined` where no execution can be so. */
export const fromFilter = (filter: ExecutionFilter): Asked | undefined => {
  const { definition, idPrefix = "" } = filter
  const statuses = filter.statuses === undefined ? undefined : Array.from(new Set<string>(filter.statuses))
  if (statuses?.length === 0) return undefined
  // The name of the definition ends at the first slash of an id.
  const slash = idPrefix.indexOf("/")
  const implied = slash === -1 ? undefined : idPrefix.slice(0, slash)
  if (definition !== undefined && implied !== undefined && implied !== definition) return undefined
  return {
    statuses: statuses?.length === Status.literals.length ? undefined : statuses,
    definition: definition ?? implied,
    ids: idPrefix === "" || slash === idPrefix.length - 1 ? undefined : { from: idPrefix, to: textAfter(idPrefix) },
    updatedBefore: filter.updatedBefore,
    error: filter.error,
    attributes: Object.entries(filter.attributes ?? {})
  }
}

/** The conditions on a row of `executions`. */
export const conditions = (
  { attributes, definition, error, ids, statuses, updatedBefore }: Asked
): ReadonlyArray<Condition> => [
  ...(statuses === undefined ? [] : [one(`executions.status IN (${statuses.map(() => "?").join(", ")})`, ...statuses)]),
  ...(definition === undefined ? [] : [one("executions.definition = ?", definition)]),
  ...(ids === undefined ? [] : idConditions(ids)),
  ...(updatedBefore === undefined ? [] : [one("executions.updated_at < ?", updatedBefore)]),
  ...(error === undefined ? [] : [one("executions.error = ?", error)]),
  ...attributes.map(([name, value]) =>
    one(
      `EXISTS (
        SELECT 1 FROM attributes
        WHERE name = ? AND value = ? AND created_at = executions.created_at AND execution = executions.key
      )`,
      name,
      value
    )
  )
]

export const idConditions = ({ from, to }: IdRange): ReadonlyArray<Condition> => [
  one("executions.id >= ?", from),
  ...(to === undefined ? [] : [one("executions.id < ?", to)])
]

export const one = (sql: string, ...values: ReadonlyArray<SQLInputValue>): Condition => ({ sql, values })

/** A part of the order of lists, whichever way that is read. */
export interface Range {
  readonly lower: Bound | undefined
  readonly upper: Bound | undefined
}

/** A time of creation, or the place of an execution, which is itself outside. A time is inside as `lower` only. */
export interface Bound {
  readonly createdAt: number
  readonly key?: number | undefined
}

/** Where in the order a page is. Of a time and the cursor, the narrower implies the other. */
export const rangeOf = ({ after, createdBefore, createdFrom, order }: ListOptions): Range => {
  const lower = createdFrom === undefined ? undefined : { createdAt: createdFrom }
  const upper = createdBefore === undefined ? undefined : { createdAt: createdBefore }
  if (after === undefined) return { lower, upper }
  return order === "oldest"
    ? { lower: lower === undefined || lower.createdAt <= after.createdAt ? after : lower, upper }
    : { lower, upper: upper === undefined || upper.createdAt > after.createdAt ? after : upper }
}

/** The part that was created before this time, */
export const before = ({ lower, upper }: Range, time: number): Range => ({
  lower,
  upper: upper === undefined || time <= upper.createdAt ? { createdAt: time } : upper
})

/** and the rest. */
export const from = ({ lower, upper }: Range, time: number): Range => ({
  lower: lower === undefined || lower.createdAt < time ? { createdAt: time } : lower,
  upper
})

export const rangeConditions = (
  { lower, upper }: Range,
  createdAt: string,
  key: string
): ReadonlyArray<Condition> => [
  ...(lower === undefined
    ? []
    : [
      lower.key === undefined
        ? one(`${createdAt} >= ?`, lower.createdAt)
        : one(`(${createdAt}, ${key}) > (?, ?)`, lower.createdAt, lower.key)
    ]),
  ...(upper === undefined
    ? []
    : [
      upper.key === undefined
        ? one(`${createdAt} < ?`, upper.createdAt)
        : one(`(${createdAt}, ${key}) < (?, ?)`, upper.createdAt, upper.key)
    ])
]
