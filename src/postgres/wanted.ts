import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { textAfter } from "../internal/prefix.ts"
import { type ListOptions, Status } from "../internal/store.ts"
import { type Row, type Session, texts, whole } from "./session.ts"

/*
 * What a list is asked for, and how statements say it.
 */

/** A statement that grows, and its parameters. */
export class Statement {
  readonly parameters: Array<unknown> = []
  readonly schema: string

  constructor(schema: string) {
    this.schema = schema
  }

  given(parameter: unknown): string {
    return `$${this.parameters.push(parameter)}`
  }

  run({ query }: Session, sql: string): Effect.Effect<ReadonlyArray<Row>, SqlError> {
    return query(sql, this.parameters)
  }
}

/* ------------------------------------------------------------------------------------------------ what is looked for */

/** A filter as the statements take it: no list is empty by mistake, and what does not restrict anything is not there. */
export interface Wanted {
  readonly statuses: ReadonlyArray<Status> | undefined
  readonly definition: string | undefined
  readonly prefix: string | undefined
  readonly error: string | undefined
  readonly updatedBefore: number | undefined
  readonly attributes: ReadonlyArray<Attribute>
  readonly direction: "ASC" | "DESC"
  /** Times and keys between which they are, both not included. */
  readonly lower: Place
  readonly upper: Place
}

export type Attribute = readonly [name: string, value: string]

type Place = readonly [createdAt: number, key: number]

/* Keys are numbered from 1, so a time with 0 comes before all that were created at that time. */
export const wantedOf = (options: ListOptions): Wanted => {
  const { after, createdBefore = Infinity, createdFrom = -Infinity, idPrefix = "", order = "newest" } = options
  const statuses = options.statuses === undefined ? Status.literals : Array.from(new Set(options.statuses))
  const lower: Place = [Math.ceil(createdFrom), 0]
  const upper: Place = [Math.ceil(createdBefore), 0]
  const last: Place | undefined = after === undefined ? undefined : [after.createdAt, after.key]
  const isLater = (one: Place, other: Place) => one[0] > other[0] || (one[0] === other[0] && one[1] > other[1])
  return {
    statuses: statuses.length === Status.literals.length ? undefined : statuses,
    definition: options.definition,
    prefix: idPrefix === "" ? undefined : idPrefix,
    error: options.error,
    updatedBefore: options.updatedBefore === undefined ? undefined : Math.ceil(options.updatedBefore),
    attributes: Object.entries(options.attributes ?? {}),
    direction: order === "newest" ? "DESC" : "ASC",
    lower: order === "oldest" && last !== undefined && isLater(last, lower) ? last : lower,
    upper: order === "newest" && last !== undefined && isLater(upper, last) ? last : upper
  }
}

/* The server has no zero characters. */
export const isImpossible = ({ attributes, definition = "", error = "", prefix = "" }: Wanted): boolean =>
  [definition, error, prefix, ...attributes.flat()].some((text) => text.includes("\0"))

/* An id begins with the name of its definition, which has no slash, and a slash. */
export const definitionOf = ({ definition, prefix = "" }: Wanted): string | undefined =>
  definition ?? (prefix.includes("/") ? prefix.slice(0, prefix.indexOf("/")) : undefined)

/* ------------------------------------------------------------------------------------------------ conditions */

export const between = (
  statement: Statement,
  { lower, upper }: Wanted,
  columns: ReadonlyArray<string>,
  leading: ReadonlyArray<string> = []
): string => {
  const row = (place: Place) => [...leading, ...place.map((number) => statement.given(whole(number)))].join(", ")
  return `(${columns.join(", ")}) > (${row(lower)}) AND (${columns.join(", ")}) < (${row(upper)})`
}

/* Begins with the prefix, in terms of the index: it has the first characters, and its order is that of code points. */
export const hasPrefix = (statement: Statement, prefix: string): string => {
  const given = statement.given(prefix)
  const next = textAfter(prefix)
  const end = next === undefined ? "" : ` AND left(e.id, 200) <= left(${statement.given(next)}, 200)`
  return `left(e.id, 200) >= left(${given}, 200)${end} AND starts_with(e.id, ${given})`
}

/* What rows `e` have to be besides what they were found by. */
export const filters = (statement: Statement, wanted: Wanted, found: Partial<Wanted> = {}): string => {
  const { attributes, definition, error, prefix, statuses, updatedBefore } = { ...wanted, ...found }
  const conditions: Array<string> = []
  if (statuses !== undefined) conditions.push(`e.status = ANY (${statement.given(texts(statuses))}::text[])`)
  if (definition !== undefined) conditions.push(`e.definition = ${statement.given(definition)}`)
  if (error !== undefined) conditions.push(`e.error = ${statement.given(error)}`)
  if (prefix !== undefined) conditions.push(`starts_with(e.id, ${statement.given(prefix)})`)
  if (updatedBefore !== undefined) conditions.push(`e.updated_at + 0 < ${statement.given(whole(updatedBefore))}`)
  return [...conditions, ...hasAttributes(statement, attributes)].map((condition) => ` AND ${condition}`).join("")
}

const hasAttributes = (statement: Statement, attributes: ReadonlyArray<Attribute>): ReadonlyArray<string> => {
  if (attributes.length === 0) return []
  const names = statement.given(texts(attributes.map(([name]) => name)))
  const values = statement.given(texts(attributes.map(([, value]) => value)))
  return [`cardinality(${names}::text[]) = (
    SELECT count(*) FROM unnest(${names}::text[], ${values}::text[]) AS wanted (name, value), LATERAL (
      SELECT FROM ${statement.schema}.attributes AS a
      WHERE a.name = wanted.name AND a.value = wanted.value AND a.created_at = e.created_at AND a.key = e.key LIMIT 1
    ) AS there
  )`]
}
