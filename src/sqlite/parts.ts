/// <reference types="node" />
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { Status } from "../internal/store.ts"
import { type Asked, type Condition, one, type Range, rangeConditions } from "./filter.ts"

/*
 * Parts of the executions, each found by one index.
 */

/** A part of the executions. */
export interface Part {
  readonly table: string
  readonly createdAt: string
  readonly key: string
  readonly conditions: ReadonlyArray<Condition>
}

export const ofExecutions = (index: string, ...conditions: ReadonlyArray<Condition>): Part => ({
  table: `executions INDEXED BY ${index}`,
  createdAt: "executions.created_at",
  key: "executions.key",
  conditions
})

export const ofAttribute = ([name, value]: readonly [string, string]): Part => ({
  table: "attributes AS found",
  createdAt: "found.created_at",
  key: "found.execution",
  conditions: [one("found.name = ?", name), one("found.value = ?", value)]
})

export interface Statements {
  readonly prepare: (sql: string) => StatementSync
  readonly select: (part: Part, range: Range, newestFirst: boolean, limit: number) => ReadonlyArray<Place>
  readonly count: (part: Part, range: Range, limit?: number) => number
}

export interface Place {
  readonly key: number
  readonly createdAt: number
}

export const makeStatements = (database: DatabaseSync): Statements => {
  // There are as many as there are ways to combine what can be asked for.
  const prepared = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    let statement = prepared.get(sql)
    if (statement === undefined) prepared.set(sql, statement = database.prepare(sql))
    return statement
  }

  return {
    prepare,
    select: (part, range, newestFirst, limit) => {
      const { sql, values } = where(part, range)
      return prepare(
        `SELECT ${part.createdAt} AS created_at, ${part.key} AS key FROM ${part.table} ${sql}
        ${orderBy(part, newestFirst)} LIMIT ?`
      ).all(...values, limit).map((row) => ({ key: row["key"] as number, createdAt: row["created_at"] as number }))
    },
    count: (part, range, limit = -1) => {
      const { sql, values } = where(part, range)
      const row = prepare(`SELECT count(*) AS count FROM (SELECT 1 FROM ${part.table} ${sql} LIMIT ?)`)
        .get(...values, limit)
      return row!["count"] as number
    }
  }
}

/** The clause for a part of the executions, within a range. */
export const where = (part: Part, range: Range): Condition => {
  const all = [...part.conditions, ...rangeConditions(range, part.createdAt, part.key)]
  return {
    sql: all.length === 0 ? "" : `WHERE ${all.map(({ sql }) => sql).join(" AND ")}`,
    values: all.flatMap(({ values }) => values)
  }
}

export const orderBy = ({ createdAt, key }: Part, newestFirst: boolean): string =>
  newestFirst ? `ORDER BY ${createdAt} DESC, ${key} DESC` : `ORDER BY ${createdAt}, ${key}`

/** The pairs of status and definition of which there are executions, of all errors or of one. */
export const pairs = (
  { prepare }: Statements,
  { definition, error, statuses = Status.literals }: Pick<Asked, "definition" | "error" | "statuses">
): ReadonlyArray<Part> => {
  const [index, of, values] = error === undefined
    ? ["executions_by_status", "status = ?", []] as const
    : ["executions_by_error", "error = ? AND status = ?", [error]] as const
  const definitionsOf = (status: string): ReadonlyArray<string> =>
    prepare(`
      WITH RECURSIVE found (definition) AS (
        SELECT min(definition) FROM executions INDEXED BY ${index} WHERE ${of}
        UNION ALL
        SELECT (SELECT min(definition) FROM executions INDEXED BY ${index} WHERE ${of} AND definition > found.definition)
        FROM found WHERE found.definition IS NOT NULL
      )
      SELECT definition FROM found WHERE definition IS NOT NULL`)
      .all(...values, status, ...values, status).map((row) => row["definition"] as string)
  return statuses.flatMap((status) =>
    (definition === undefined ? definitionsOf(status) : [definition]).map((definition) =>
      ofExecutions(
        index,
        ...values.map((error) => one("executions.error = ?", error)),
        one("executions.status = ?", status),
        one("executions.definition = ?", definition)
      )
    )
  )
}
