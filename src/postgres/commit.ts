import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { type Answer, type Append, type EarlySignal, type ExecutionRecord, isFinished } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Attempt } from "./attempts.ts"
import { corrupt } from "./failure.ts"
import { channels } from "./listener.ts"
import { decode } from "./rows.ts"
import { numbers, type Session, texts } from "./session.ts"
import type { Settings } from "./settings.ts"
import { stateOf } from "./sqlFailure.ts"

/*
 * The writes of an owner. Each is one statement, and so one transaction and one round trip.
 *
 * - The fence locks the row of the owner, if it still has our epoch and term, against a change of either. A take-over waits
 *   for that. A write that comes while one is under way waits for it, looks at the row again, and finds none: then it writes
 *   nothing, as whatever it writes is joined with the fence.
 * - The parts of a statement see the tables as they were before it, so each row is written by one part, once: of several
 *   records of an execution the last counts, and it is inserted where the execution is new.
 * - What was sent on a connection that broke may have been written, be under way, or be on its way to the server. Before it is
 *   sent again a new term begins, which ends all that: it waits for what is under way, and what comes later finds no fence.
 *   Then a look tells. A journal that has the events of a commit has all of it.
 */

/** Which owner writes, and for which time it has begun to. */
export interface Tenure {
  readonly epoch: number
  term: number
}

/** Whether the owner is still the owner, else nothing was written. */
export type IsOwner = boolean

/** A statement that grows. Its parts share the numbers of the parameters. */
class Fenced {
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

/* Writes, unless the owner was replaced. Where only the term is not the one that it was, nothing was written either. */
const perform = Effect.fnUntraced(function*(
  settings: Settings,
  session: Session,
  tenure: Tenure,
  statement: (tenure: Tenure) => Fenced
): Effect.fn.Return<IsOwner, SqlError> {
  const once = Effect.suspend(() => {
    const { parameters, sql } = statement(tenure)
    return Effect.map(session.query(sql, parameters), (rows) => rows.length > 0)
  })
  if (yield* once) return true
  return (yield* beginTerm(settings, session, tenure)) && (yield* once)
})

const beginTerm = (settings: Settings, session: Session, tenure: Tenure): Effect.Effect<IsOwner, SqlError> =>
  Effect.map(
    session.query(
      `UPDATE ${schemaOf(settings)}.owner SET term = term + 1 WHERE epoch = $1 RETURNING term::float8 AS term`,
      [String(tenure.epoch)]
    ),
    ([row]) => {
      if (row === undefined) return false
      tenure.term = Number(row["term"])
      return true
    }
  )

const schemaOf = (settings: Settings): string => `"${settings.schema}"`

/* ------------------------------------------------------------------------------------------------ parts */

const addEvents = (statement: Fenced, schema: string, { events, executions, sequences }: Events): void => {
  const given = `unnest(${statement.given(numbers(executions))}::bigint[], ${
    statement.given(numbers(sequences))
  }::integer[], ${statement.given(texts(events))}::text[])`
  statement.part(
    "added",
    `INSERT INTO ${schema}.events (execution, seq, event) SELECT given.* FROM fence, ${given} AS given`
  )
}

const startExecutions = (statement: Fenced, schema: string, records: ReadonlyArray<ExecutionRecord>): void => {
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
    `${statement.given(numbers(records.map(({ updatedAt }) => updatedAt)))}::bigint[]`
  ]
  statement.part(
    "started",
    `INSERT INTO ${schema}.executions (
      key, id, definition, version, status, cancelled, reason, parent, created_at, updated_at
    ) SELECT given.* FROM fence, unnest(${given.join(", ")}) AS given`
  )
}

const changeExecutions = (statement: Fenced, schema: string, records: ReadonlyArray<ExecutionRecord>): void => {
  const given = [
    `${statement.given(numbers(records.map(({ key }) => key)))}::bigint[]`,
    `${statement.given(numbers(records.map(({ version }) => version)))}::bigint[]`,
    `${statement.given(texts(records.map(({ status }) => status)))}::text[]`,
    `${statement.given(numbers(records.map(({ cancelled }) => cancelled)))}::boolean[]`,
    `${statement.given(texts(records.map(reasonOf)))}::text[]`,
    `${statement.given(numbers(records.map(({ updatedAt }) => updatedAt)))}::bigint[]`
  ]
  statement.part(
    "changed",
    `UPDATE ${schema}.executions AS old
    SET version = given.version, status = given.status, cancelled = given.cancelled, reason = given.reason,
      updated_at = given.updated_at
    FROM fence, unnest(${given.join(", ")}) AS given (key, version, status, cancelled, reason, updated_at)
    WHERE old.key = given.key RETURNING 1`
  )
  // Nothing is written where a row is not there: a division by zero undoes all.
  const expected = statement.given(String(records.length))
  statement.result(`1 / (SELECT CASE count(*) WHEN ${expected}::bigint THEN 1 ELSE 0 END FROM changed) AS changed`)
}

const isRowMissing = (error: SqlError): boolean => stateOf(error) === "22012"

/*
 * A request gets one answer, whoever gives how many. That it has none is said in other words than those of the index of
 * such requests, so that it is found by its id.
 */
const answerRequests = (statement: Fenced, schema: string, answers: ReadonlyArray<Answer>, now: number): void => {
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

const tellNews = (statement: Fenced, settings: Settings): void => {
  statement.result(`pg_notify('${channels(settings).news}', '') IS NULL AS told`)
}

/* A reason may quote what services said, and the server has no zero characters. */
const reasonOf = ({ reason }: ExecutionRecord): string | null =>
  reason === null ? null : reason.replaceAll("\0", "\u{FFFD}")

/* ------------------------------------------------------------------------------------------------ commit */

/** Rows of events, column by column. */
interface Events {
  readonly executions: ReadonlyArray<number>
  readonly sequences: ReadonlyArray<number>
  readonly events: ReadonlyArray<string>
}

/** What a commit writes. */
export interface Batch extends Events {
  readonly started: ReadonlyArray<ExecutionRecord>
  readonly changed: ReadonlyArray<ExecutionRecord>
  readonly answers: ReadonlyArray<Answer>
  readonly isNews: boolean
}

/** The rows of appends. Throws where they make no sense. */
export const batchOf = (appends: ReadonlyArray<Append>): Batch => {
  const executions: Array<number> = []
  const sequences: Array<number> = []
  const texts: Array<string> = []
  const started = new Map<number, ExecutionRecord>()
  const changed = new Map<number, ExecutionRecord>()
  const answers: Array<Answer> = []
  let isNews = false
  for (const { answer, events, firstSequence, key, record } of appends) {
    for (let index = 0; index < events.length; index++) {
      executions.push(key)
      sequences.push(firstSequence + index)
      texts.push(events[index]!)
    }
    if (record !== undefined) {
      if (firstSequence === 1 || started.has(key)) started.set(key, record)
      else changed.set(key, record)
      isNews ||= isFinished(record.status)
    } else if (firstSequence === 1) {
      throw new Error(`Execution ${key} is new and has no record`)
    }
    if (answer !== undefined) answers.push(answer)
  }
  return {
    executions,
    sequences,
    events: texts,
    started: [...started.values()],
    changed: [...changed.values()],
    answers,
    isNews: isNews || answers.length > 0
  }
}

const commitStatement = (
  settings: Settings,
  tenure: Tenure,
  batch: Batch,
  received: ReadonlyArray<string>,
  now: number
): Fenced => {
  const schema = schemaOf(settings)
  const statement = new Fenced(schema, tenure)
  if (batch.events.length > 0) addEvents(statement, schema, batch)
  if (batch.started.length > 0) startExecutions(statement, schema, batch.started)
  if (batch.changed.length > 0) changeExecutions(statement, schema, batch.changed)
  answerRequests(statement, schema, batch.answers, now)
  if (received.length > 0) {
    statement.part(
      "received",
      `DELETE FROM ${schema}.early_signals AS early USING fence, unnest(${
        statement.given(texts(received))
      }::text[]) AS given (execution) WHERE early.execution = given.execution`
    )
  }
  if (batch.isNews) tellNews(statement, settings)
  return statement
}

/** Whether it is not known what became of the commit before. */
export interface Doubt {
  isOpen: boolean
}

/** Writes all of a batch or nothing, and takes the early signals out of the store that its executions have received. */
export const commit = (
  settings: Settings,
  tenure: Tenure,
  doubt: Doubt,
  batch: Batch,
  received: ReadonlyArray<string>,
  now: number
): Attempt<IsOwner> => {
  const statement = (tenure: Tenure) => commitStatement(settings, tenure, batch, received, now)
  return Effect.fnUntraced(function*(session, isRepeated) {
    if (isRepeated) doubt.isOpen = true
    if (doubt.isOpen) {
      if (!(yield* beginTerm(settings, session, tenure))) return false
      if (yield* isThere(settings, batch, session)) return true
      doubt.isOpen = false
    }
    return yield* Effect.catchIf(
      perform(settings, session, tenure, statement),
      isRowMissing,
      () => corrupt(settings, "an execution that runs is not in the table executions")
    )
  })
}

const decodeFound = decode(Schema.Struct({ events: Schema.Int, same: Schema.Int, started: Schema.Int }))

/* Whether all of a batch is there, else nothing is. A batch without events can be written twice. */
const isThere = Effect.fnUntraced(function*(
  settings: Settings,
  { events, executions, sequences, started }: Batch,
  session: Session
): Effect.fn.Return<boolean, SqlError | SagaStoreError> {
  const schema = schemaOf(settings)
  const [row] = yield* session.query(
    `SELECT count(*)::integer AS events, (count(*) FILTER (WHERE there.event = given.event))::integer AS same, (
        SELECT count(*)::integer FROM unnest($4::bigint[], $5::text[]) AS given (key, id)
        JOIN ${schema}.executions AS there ON there.key = given.key AND there.id = given.id
      ) AS started
    FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS given (execution, seq, event)
    JOIN ${schema}.events AS there ON there.execution = given.execution AND there.seq = given.seq`,
    [
      numbers(executions),
      numbers(sequences),
      texts(events),
      numbers(started.map(({ key }) => key)),
      texts(started.map(({ id }) => id))
    ]
  )
  const found = yield* decodeFound(settings.store, row)
  if (found.events === 0 && found.started === 0) return false
  if (found.same === events.length && found.started === started.length) return true
  return yield* corrupt(settings, "a journal has other events than those that were written to it")
})

/* ------------------------------------------------------------------------------------------------ the other writes */

/**
 * Keeps a signal. Its own id tells it from others when the attempt is repeated. One that a client asks for is kept as long as
 * the request has no answer: its execution may have received it since.
 */
export const keepSignal = (
  settings: Settings,
  tenure: Tenure,
  id: string,
  { event, execution }: EarlySignal,
  answer: Answer | undefined,
  now: number
): Attempt<IsOwner> => {
  const schema = schemaOf(settings)
  return (session) =>
    perform(settings, session, tenure, (tenure) => {
      const statement = new Fenced(schema, tenure)
      const values = [id, execution, event].map((value) => statement.given(value))
      const isAsked = answer === undefined
        ? ""
        : ` WHERE NOT EXISTS (SELECT FROM ${schema}.requests WHERE id = ${values[0]} AND answer IS NOT NULL)`
      statement.part(
        "kept",
        `INSERT INTO ${schema}.early_signals (id, execution, event)
        SELECT ${values[0]}, ${values[1]}, ${values[2]} FROM fence${isAsked} ON CONFLICT (id) DO NOTHING`
      )
      if (answer !== undefined) {
        answerRequests(statement, schema, [answer], now)
        tellNews(statement, settings)
      }
      return statement
    })
}

/** Answers requests. */
export const answer = (
  settings: Settings,
  tenure: Tenure,
  answers: ReadonlyArray<Answer>,
  now: number
): Attempt<IsOwner> =>
(session) =>
  perform(settings, session, tenure, (tenure) => {
    const statement = new Fenced(schemaOf(settings), tenure)
    answerRequests(statement, schemaOf(settings), answers, now)
    if (answers.length > 0) tellNews(statement, settings)
    return statement
  })
