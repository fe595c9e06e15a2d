import { type Asked, before, conditions, from, idConditions, type IdRange, one, type Range } from "./filter.ts"
import { ofAttribute, ofExecutions, orderBy, pairs, type Part, type Statements, where } from "./parts.ts"

/*
 * Which indexes the executions that are asked for are found by.
 *
 * - A part of an index in which keys are in the order of lists gives a page by being read from where the page begins until
 *   it is full, with what the index does not know looked up in the rows. Such parts are: those of a pair of status and
 *   definition, also under a kind of error, of an attribute, and that of all executions.
 * - Where few rows have an id in the range, or an old `updated_at`, those are collected and sorted.
 * - What few have is looked for first: with it, few rows are looked at, whatever else is asked for. Where many have each of
 *   it, a page is full soon.
 * - What has similar ids was often started at similar times, as where ids begin with a date. So where many have an id in the
 *   range, and a part is read to find them, what is not between their keys is passed over without a look at its row. To
 *   find out those keys takes as long as to pass over as many, so it is left where the page is full soon anyway.
 * - What was changed before some time was created before it too, so there is no need to look at what came later. Except
 *   where a clock was set back: what seems to have changed before it was created has an index of its own.
 */

/* For a page, this many rows may be collected and sorted, and this many entries counted to find out what few have. */
const sortable = 10_000
const countable = 50_000

/* Where a page is full after this many rows for each that is in it, that is soon. */
const rowsPerFound = 10

/** How some of what is asked for is found, and all of it. */
interface Candidate {
  /** Parts of which each has some of it and together they have all, with the conditions that they are for. */
  readonly parts: ReadonlyArray<Part>
  /** What else is asked for. */
  readonly rest: Asked
  readonly isSorted: boolean
}

/** What the executions are found for. */
export type Use =
  | { readonly _tag: "Count" }
  | { readonly _tag: "Page"; readonly newestFirst: boolean; readonly limit: number }

/** Parts of executions that together are those which are asked for, each with its range. */
export const plan = (
  statements: Statements,
  asked: Asked,
  range: Range,
  use: Use
): ReadonlyArray<{ readonly part: Part; readonly range: Range }> => {
  const all = candidates(statements, asked)
  const everything = { parts: [ofExecutions("executions_by_creation")], rest: asked, isSorted: true }
  const { candidate: { isSorted, parts, rest }, count } = fewest(statements, all, range, use) ??
    { candidate: everything, count: Infinity }
  const { ids, updatedBefore } = rest
  const isSparse = use._tag === "Page" && ids !== undefined && count > sortable &&
    !isFullSoon(statements, parts, ids, range, use)
  const keys = isSparse ? keysOf(statements, ids) : undefined
  const found = parts.map((part) => withRest(part, rest, keys))
  if (!isSorted || updatedBefore === undefined) return found.map((part) => ({ part, range }))
  const setBack = ofExecutions(
    "executions_set_back",
    one("executions.updated_at < executions.created_at"),
    ...conditions(asked)
  )
  return [
    ...found.map((part) => ({ part, range: before(range, updatedBefore) })),
    { part: setBack, range: from(range, updatedBefore) }
  ]
}

const candidates = (statements: Statements, asked: Asked): ReadonlyArray<Candidate> => {
  const { attributes, definition, error, ids, statuses, updatedBefore } = asked
  return [
    ...attributes.map((attribute) => ({
      parts: [ofAttribute(attribute)],
      rest: { ...asked, attributes: attributes.filter((other) => other !== attribute) },
      isSorted: true
    })),
    ...(statuses === undefined && definition === undefined && error === undefined ? [] : [{
      parts: pairs(statements, asked),
      rest: { ...asked, statuses: undefined, definition: undefined, error: undefined },
      isSorted: true
    }]),
    ...(ids === undefined ? [] : [{
      parts: [ofExecutions("sqlite_autoindex_executions_1", ...idConditions(ids))],
      // A slash ends the name of the definition.
      rest: { ...asked, ids: undefined, definition: ids.from.includes("/") ? undefined : definition },
      isSorted: false
    }]),
    ...(updatedBefore === undefined ? [] : [{
      parts: [ofExecutions("executions_by_change", one("executions.updated_at < ?", updatedBefore))],
      rest: { ...asked, updatedBefore: undefined },
      isSorted: false
    }])
  ]
}

/* That of which there are the fewest, unless those are too many to be sorted. What is counted needs no order. */
const fewest = (
  statements: Statements,
  candidates: ReadonlyArray<Candidate>,
  range: Range,
  use: Use
): { readonly candidate: Candidate; readonly count: number } | undefined => {
  const isInOrder = ({ isSorted }: Candidate) => isSorted || use._tag === "Count"
  const whole = candidates.find((candidate) => isInOrder(candidate) && conditions(candidate.rest).length === 0)
  if (whole !== undefined) return { candidate: whole, count: Infinity }
  let found: { readonly candidate: Candidate; readonly count: number } | undefined
  for (const candidate of candidates) {
    const most = isInOrder(candidate) ? countable : sortable + 1
    const count = countUpTo(statements, candidate, range, most)
    if (count < (found?.count ?? Infinity) && (isInOrder(candidate) || count <= sortable)) {
      found = { candidate, count }
    }
  }
  return found
}

const countUpTo = (statements: Statements, { isSorted, parts }: Candidate, range: Range, most: number): number => {
  let count = 0
  for (const part of parts) {
    // The other indexes do not have the time of creation.
    count += statements.count(part, isSorted ? range : { lower: undefined, upper: undefined }, most - count)
    if (count >= most) break
  }
  return count
}

/* Whether a page is full after so few rows that nothing is to be found out before. */
const isFullSoon = (
  { prepare }: Statements,
  parts: ReadonlyArray<Part>,
  ids: IdRange,
  range: Range,
  { limit, newestFirst }: Extract<Use, { readonly _tag: "Page" }>
): boolean => {
  const wanted = idConditions(ids)
  let [left, missing] = [rowsPerFound * limit, limit]
  for (const part of parts) {
    const { sql, values } = where(part, range)
    const { found, seen } = prepare(
      `SELECT count(*) AS seen, coalesce(sum(${wanted.map(({ sql }) => sql).join(" AND ")}), 0) AS found FROM (
        SELECT ${part.key} AS key FROM ${part.table} ${sql} ${orderBy(part, newestFirst)} LIMIT ?
      ) AS first CROSS JOIN executions ON executions.key = first.key`
    ).get(...wanted.flatMap(({ values }) => values), ...values, left) as {
      readonly found: number
      readonly seen: number
    }
    left -= seen
    missing -= found
    if (missing <= 0) return true
    if (left <= 0) return false
  }
  return false
}

interface Keys {
  readonly least: number
  readonly greatest: number
}

/* Between which keys all with such ids are. */
const keysOf = ({ prepare }: Statements, ids: IdRange): Keys => {
  const all = idConditions(ids)
  return prepare(
    `SELECT min(key) AS least, max(key) AS greatest FROM executions INDEXED BY sqlite_autoindex_executions_1
    WHERE ${all.map(({ sql }) => sql).join(" AND ")}`
  ).get(...all.flatMap(({ values }) => values)) as unknown as Keys
}

const withRest = (part: Part, rest: Asked, keys: Keys | undefined): Part => {
  const more = conditions(rest)
  if (more.length === 0) return part
  // An attribute has what its execution is found by, and the rest is in the row of that.
  const table = part.key === "found.execution"
    ? `${part.table} CROSS JOIN executions ON executions.key = ${part.key}`
    : part.table
  const near = keys === undefined ? [] : [one(`${part.key} BETWEEN ? AND ?`, keys.least, keys.greatest)]
  return { ...part, table, conditions: [...part.conditions, ...near, ...more] }
}
