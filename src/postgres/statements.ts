import type { Answer, ExecutionRecord } from "../internal/store.ts"
import { channels } from "./listener.ts"
import { numbers, texts } from "./session.ts"
import type { Settings } from "./settings.ts"

/*
 * What the statements of an owner are made of. Each part is joined with the fence: see commit.ts.
 */

/** Which owner writes, and for which time it has begun to. */
export interface Tenure {
  readonly epoch: number
  term: number
}

/** A statement that grows. Its parts share the numbers of the parameters. */
export class Fenced {
  readonly parameters: Array<unknown> = []
  private readonly parts: Array<string> = []
  private readonly results: Array<string> = ["epoch"]

  constructor(schema: string, { epoch, term }: Tenure) {
    this.parts.push(
      `fence AS MATERIALIZED (
        SELECT epoch FROM ${schema}.owner
        WHERE epoch = ${this.given(String(epoch))} AND term = ${this.given(String(term))} FOR KEY SHARE
      )`
    )
  }

  given(parameter: unknown): string {
    return `$${this.parameters.push(parameter)}`
  }

  part(name: string, sql: string): void {
    this.parts.push(`${name} AS (${sql})`)
  }

  result(sql: string): void {
    this.results.push(sql)
  }

  get sql(): string {
    return `WITH ${this.parts.join(", ")} SELECT ${this.results.join(", ")} FROM fence`
  }
}

/** Rows of events, column by column. */
export interface Events {
  readonly executions: ReadonlyArray<number>
  readonly sequences: ReadonlyArray<number>
  readonly events: ReadonlyArray<string>
}

export const addEvents = (statement: Fenced, schema: string, { events, executions, sequences }: Events): void => {
  const given = `unnest(${statement.given(numbers(executions))}::bigint[], ${
    statement.given(numbers(sequences))
  }::integer[], ${statement.given(texts(events))}::text[])`
  statement.part(
    "added",
    `INSERT INTO ${schema}.events (execution, seq, event) SELECT given.* FROM fence, ${given} AS given`
  )
}

export const startExecutions = (statement: Fenced, schema: string, records: ReadonlyArray<ExecutionRecord>): void => {
  const given = [
    `${statement.given(numbers(records.map(({ key }) => key)))}::bigint[]`,
    `${statement.given(texts(records.map(({ id }) => id)))}::text[]`,
    `${statement.given(texts(records.map(({ definition }) => definition)))}::text[]`,
    `${statement.given(numbers(records.map(({ version }) => version)))}::bigint[]`,
    `${statement.given(texts(records.map(({ status }) => status)))}::text[]`,
    `${statement.given(numbers(records.map(({ cancelled }) => cancelled)))}::boolean[]`,
    `${statement.given(texts(records.map(reasonOf)))}::text[]`,
    `${statement.given(texts(records.map(({ parent }) => parent)))}::text[]`,
    `${statement.given(numbers(records.map(({ createdAt }) => createdAt)))}::bigint[]`,
    `${statement.given(numbers(records.map(({ updatedAt }) => updatedAt)))}::bigint[]`,
    `${statement.given(texts(records.map(errorOf)))}::text[]`,
    `${statement.given(texts(records.map(attributesOf)))}::text[]`
  ]
  statement.part(
    "started",
    `INSERT INTO ${schema}.executions (
      key, id, definition, version, status, cancelled, reason, parent, created_at, updated_at, error, attributes
    ) SELECT given.* FROM fence, unnest(${given.join(", ")}) AS given`
  )
  const attributes = records.flatMap(({ attributes, createdAt, key }) =>
    Object.entries(attributes).map(([name, value]) => ({ name, value, createdAt, key }))
  )
  if (attributes.length === 0) return
  const columns = [
    `${statement.given(texts(attributes.map(({ name }) => name)))}::text[]`,
    `${statement.given(texts(attributes.map(({ value }) => value)))}::text[]`,
    `${statement.given(numbers(attributes.map(({ createdAt }) => createdAt)))}::bigint[]`,
    `${statement.given(numbers(attributes.map(({ key }) => key)))}::bigint[]`
  ]
  statement.part(
    "described",
    `INSERT INTO ${schema}.attributes (name, value, created_at, key)
    SELECT given.* FROM fence, unnest(${columns.join(", ")}) AS given`
  )
}

export const changeExecutions = (statement: Fenced, schema: string, records: ReadonlyArray<ExecutionRecord>): void => {
  const given = [
    `${statement.given(numbers(records.map(({ key }) => key)))}::bigint[]`,
    `${statement.given(numbers(records.map(({ version }) => version)))}::bigint[]`,
    `${statement.given(texts(records.map(({ status }) => status)))}::text[]`,
    `${statement.given(numbers(records.map(({ cancelled }) => cancelled)))}::boolean[]`,
    `${statement.given(texts(records.map(reasonOf)))}::text[]`,
    `${statement.given(texts(records.map(errorOf)))}::text[]`,
    `${statement.given(numbers(records.map(({ updatedAt }) => updatedAt)))}::bigint[]`
  ]
  statement.part(
    "changed",
    `UPDATE ${schema}.executions AS old
    SET version = given.version, status = given.status, cancelled = given.cancelled, reason = given.reason,
      error = given.error, updated_at = given.updated_at
    FROM fence, unnest(${given.join(", ")}) AS given (key, version, status, cancelled, reason, error, updated_at)
    WHERE old.key = given.key RETURNING 1`
  )
  // Nothing is written where a row is not there: a division by zero undoes all.
  const expected = statement.given(String(records.length))
  statement.result(`1 / (SELECT CASE count(*) WHEN ${expected}::bigint THEN 1 ELSE 0 END FROM changed) AS changed`)
}

/*
 * A request gets one answer, whoever gives how many. That it has none is said in other words than those of the index of
 * such requests, so that it is found by its id.
 */
export const answerRequests = (
  statement: Fenced,
  schema: string,
  answers: ReadonlyArray<Answer>,
  now: number
): void => {
  const kept = new Map<string, string>()
  const unkept = new Set<string>()
  for (const { answer, request } of answers) {
    if (kept.has(request) || unkept.has(request)) continue
    if (answer === undefined) unkept.add(request)
    else kept.set(request, answer)
  }
  if (kept.size > 0) {
    const given = `unnest(${statement.given(texts([...kept.keys()]))}::text[], ${
      statement.given(texts([...kept.values()]))
    }::text[])`
    statement.part(
      "answered",
      `UPDATE ${schema}.requests AS asked SET answer = given.answer, answered_at = ${statement.given(String(now))}
      FROM fence, ${given} AS given (id, answer) WHERE asked.id = given.id AND asked.answered_at IS NULL`
    )
  }
  if (unkept.size > 0) {
    statement.part(
      "forgotten",
      `DELETE FROM ${schema}.requests AS asked USING fence, unnest(${
        statement.given(texts([...unkept]))
      }::text[]) AS given (id) WHERE asked.id = given.id AND asked.answered_at IS NULL`
    )
  }
}

export const tellNews = (statement: Fenced, settings: Settings): void => {
  statement.result(`pg_notify('${channels(settings).news}', '') IS NULL AS told`)
}

/* What services said may have zero characters, and the server has none. */
const storable = (text: string | null): string | null => text === null ? null : text.replaceAll("\0", "\u{FFFD}")

const reasonOf = ({ reason }: ExecutionRecord): string | null => storable(reason)

const errorOf = ({ error }: ExecutionRecord): string | null => storable(error)

const attributesOf = ({ attributes }: ExecutionRecord): string | null =>
  Object.keys(attributes).length === 0 ? null : JSON.stringify(attributes)
