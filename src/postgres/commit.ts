import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import { type Answer, type Append, type EarlySignal, type ExecutionRecord, isFinished } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Attempt } from "./attempts.ts"
import { corrupt } from "./failure.ts"
import { decode } from "./rows.ts"
import { numbers, type Session, texts } from "./session.ts"
import type { Settings } from "./settings.ts"
import { stateOf } from "./sqlFailure.ts"
import {
  addEvents,
  answerRequests,
  changeExecutions,
  type Events,
  Fenced,
  startExecutions,
  tellNews,
  type Tenure
} from "./statements.ts"

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

export type { Tenure } from "./statements.ts"

/** Whether the owner is still the owner, else nothing was written. */
export type IsOwner = boolean

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

const isRowMissing = (error: SqlError): boolean => stateOf(error) === "22012"

/* ------------------------------------------------------------------------------------------------ commit */

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
