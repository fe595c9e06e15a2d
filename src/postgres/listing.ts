import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { type ExecutionFilter, type ListOptions, Status } from "../internal/store.ts"
import { recordColumns } from "./rows.ts"
import { type Row, type Session, texts, whole } from "./session.ts"
import {
  type Attribute,
  between,
  definitionOf,
  filters,
  hasPrefix,
  isImpossible,
  Statement,
  type Wanted,
  wantedOf
} from "./wanted.ts"

/*
 * How lists are found. All are in order of `created_at`, then of `key`.
 *
 * - An index has executions in order of status, definition and time; another one, of those that have an error, in order of
 *   error, status, definition and time. In each pair of status and definition they are in order of time, so a page of each
 *   pair is enough to make a page of all.
 * - Where neither is asked for, an index in order of time alone leads from one to the next.
 * - An index of attributes has those with one name and value in order of time.
 * - The index of prefixes and that of changes are in other orders. If few executions are found by them, these are collected
 *   and sorted. Else there are so many that a walk in order meets them soon.
 *
 * A plan is made when nobody may have counted the rows yet, and is kept. So a statement leaves no choice of what to look
 * things up by: it has the filters of its list and no others, a range is that of a whole index and a page a part of its
 * whole order, and what else a row has to be is asked in words that no index has.
 */

export type Rows = (session: Session) => Effect.Effect<ReadonlyArray<Row>, SqlError>

export interface Listing {
  readonly list: (options: ListOptions) => Rows
  readonly count: (filter: ExecutionFilter) => Rows
}

/* As many executions are few. */
const few = 10_000

/** Makes lists of the executions in a schema. */
export const make = (schema: string): Listing => {
  const choose = Effect.fnUntraced(function*(session: Session, wanted: Wanted): Effect.fn.Return<Find, SqlError> {
    const ways = waysOf(wanted)
    const inOrder = isPaired(wanted) ? inPairs : inTime
    if (ways.length === 0) return inOrder
    const statement = new Statement(schema)
    const sizes = ways.map((way, index) => `${way.size(statement, wanted)}::float8 AS size${index}`)
    const [row] = yield* statement.run(session, `SELECT ${sizes.join(", ")}`)
    const [first, ...others] = ways.map((way, index) => ({ way, size: Number(row?.[`size${index}`]) }))
    const least = others.reduce((one, other) => other.size < one.size ? other : one, first!)
    if (least.size <= few) return least.way.find
    return inOrder === inTime && wanted.attributes.length > 0 ? first!.way.find : inOrder
  })

  return {
    list: (options) => (session) => {
      const wanted = wantedOf(options)
      if (isImpossible(wanted)) return Effect.succeed([])
      return Effect.flatMap(choose(session, wanted), (find) => {
        const statement = new Statement(schema)
        const found = find(statement, wanted, statement.given(whole(options.limit ?? 100)))
        return statement.run(session, `${found} ${records(schema, wanted)}`)
      })
    },
    count: (filter) => (session) => {
      const wanted = wantedOf(filter)
      if (isImpossible(wanted)) return Effect.succeed([{ count: 0 }])
      return Effect.flatMap(choose(session, wanted), (find) => {
        const statement = new Statement(schema)
        const found = find(statement, wanted, undefined)
        return statement.run(session, `${found} SELECT count(*)::float8 AS count FROM found`)
      })
    }
  }
}

const records = (schema: string, { direction }: Wanted): string =>
  `SELECT ${recordColumns} FROM found JOIN ${schema}.executions AS e ON e.key = found.key
  ORDER BY found.created_at ${direction}, found.key ${direction}`

/** The first executions of a list that is in order of pairs, as `found`. */
export const pageOfPairs = (statement: Statement, options: ListOptions, limit: string): string =>
  inPairs(statement, wantedOf(options), limit)

/* ------------------------------------------------------------------------------------------------ in order */

/** A statement up to times and keys, named `found`: of all, or of the first `limit` of them in their order. */
type Find = (statement: Statement, wanted: Wanted, limit: string | undefined) => string

const isPaired = (wanted: Wanted): boolean =>
  [wanted.statuses, wanted.error, definitionOf(wanted)].some((one) => one !== undefined)

const page = (
  columns: ReadonlyArray<string>,
  { direction }: Wanted,
  limit: string | undefined
): string =>
  limit === undefined
    ? " OFFSET 0"
    : ` ORDER BY ${columns.map((column) => `${column} ${direction}`).join(", ")} LIMIT ${limit}`

/* In order of time, whatever they are. */
const inTime: Find = (statement, wanted, limit) => {
  const columns = ["e.created_at", "e.key"]
  const where = between(statement, wanted, columns) + filters(statement, wanted)
  return `WITH found AS (
    SELECT e.created_at, e.key FROM ${statement.schema}.executions AS e WHERE ${where}${page(columns, wanted, limit)}
  )`
}

/* Each status with each definition that has it, one after another, and what is in the index for each such pair. */
const inPairs: Find = (statement, wanted, limit) => {
  const executions = `${statement.schema}.executions`
  const error = wanted.error === undefined ? undefined : statement.given(wanted.error)
  const isIndexed = error === undefined ? "" : "e.error IS NOT NULL AND "
  const errors = error === undefined ? [] : [error]
  const columns = [...errors.map(() => "e.error"), "e.status", "e.definition", "e.created_at", "e.key"]
  const statuses = `unnest(${statement.given(texts(wanted.statuses ?? Status.literals))}::text[]) AS given (status)`

  const next = (status: string, definition: string) => {
    const names = columns.slice(0, -2).join(", ")
    const group = columns.slice(0, -3).join(", ")
    return `(
      SELECT e.definition FROM ${executions} AS e
      WHERE ${isIndexed}(${names}) > (${[...errors, status, definition].join(", ")})
        AND (${group}) <= (${[...errors, status].join(", ")})
      ORDER BY ${names} LIMIT 1
    )`
  }
  const definition = definitionOf(wanted)
  const pairs = definition === undefined
    ? `SELECT status, ${next("given.status", "''")} FROM ${statuses}
      UNION ALL
      SELECT status, ${next("pairs.status", "pairs.definition")} FROM pairs WHERE definition IS NOT NULL`
    : `SELECT status, ${statement.given(definition)}::text FROM ${statuses}`

  const inPair = between(statement, wanted, columns, [...errors, "pairs.status", "pairs.definition"])
  const rest = filters(statement, wanted, { statuses: undefined, definition: undefined, error: undefined })
  const end = limit === undefined ? "" : page(["page.created_at", "page.key"], wanted, limit)
  return `WITH RECURSIVE pairs (status, definition) AS (${pairs}), found AS (
    SELECT page.created_at, page.key FROM pairs, LATERAL (
      SELECT e.created_at, e.key FROM ${executions} AS e
      WHERE ${isIndexed}${inPair}${rest}${page(columns, wanted, limit)}
    ) AS page${end}
  )`
}

/* ------------------------------------------------------------------------------------------------ by what few have */

/** Another index, which may have less of them. */
interface Way {
  readonly find: Find
  /** How many it has, up to one too many. */
  readonly size: (statement: Statement, wanted: Wanted) => string
}

const waysOf = ({ attributes, prefix, updatedBefore }: Wanted): ReadonlyArray<Way> => [
  ...attributes.map(byAttribute),
  ...(prefix === undefined ? [] : [byPrefix(prefix)]),
  ...(updatedBefore === undefined ? [] : [byChange(updatedBefore)])
]

const countOf = (found: string): string => `(SELECT count(*) FROM (SELECT FROM ${found} LIMIT ${few + 1}) AS counted)`

const byAttribute = (attribute: Attribute): Way => {
  const columns = ["a.name", "a.value", "a.created_at", "a.key"]
  const isFound = (statement: Statement, wanted: Wanted) =>
    between(statement, wanted, columns, attribute.map((text) => statement.given(text)))
  return {
    // In order of time, too.
    find: (statement, wanted, limit) => {
      const where = isFound(statement, wanted)
      const others = wanted.attributes.filter(([name]) => name !== attribute[0])
      const rest = filters(statement, wanted, { attributes: others })
      // It is not looked at where nothing is asked of it.
      const execution = rest === "" ? "" : `, LATERAL (
          SELECT * FROM ${statement.schema}.executions WHERE key = a.key LIMIT 1
        ) AS e`
      return `WITH found AS (
        SELECT a.created_at, a.key FROM ${statement.schema}.attributes AS a${execution}
        WHERE ${where}${rest}${page(columns, wanted, limit)}
      )`
    },
    size: (statement, wanted) =>
      countOf(`${statement.schema}.attributes AS a WHERE ${isFound(statement, wanted)} ORDER BY ${columns.join(", ")}`)
  }
}

const byPrefix = (prefix: string): Way =>
  collected((statement) => hasPrefix(statement, prefix), "left(e.id, 200)", "prefix")

const byChange = (updatedBefore: number): Way =>
  collected(
    (statement) => `(e.updated_at, e.key) < (${statement.given(whole(updatedBefore))}, 0)`,
    "e.updated_at, e.key",
    "updatedBefore"
  )

/* Those that an index has in an order of its own, for what it is that they have been found by. */
const collected = (
  condition: (statement: Statement) => string,
  order: string,
  found: "prefix" | "updatedBefore"
): Way => ({
  find: (statement, wanted, limit) => {
    const columns = ["e.created_at", "e.key"]
    const where = between(statement, wanted, columns) + filters(statement, wanted, { [found]: undefined })
    return `WITH few AS MATERIALIZED (
      SELECT e.* FROM ${statement.schema}.executions AS e WHERE ${condition(statement)}
    ), found AS (SELECT e.created_at, e.key FROM few AS e WHERE ${where}${page(columns, wanted, limit)})`
  },
  size: (statement) => countOf(`${statement.schema}.executions AS e WHERE ${condition(statement)} ORDER BY ${order}`)
})
