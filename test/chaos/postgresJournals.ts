/*
 * The journals in a store, read as rows of its tables and not through it: whether an event is lost or doubled.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, type Redacted, Result, Schema } from "effect"
import { JournalEvent } from "effect-saga"
import * as Reactivity from "effect/reactivity/Reactivity"
import { kinds, refusedBy } from "./postgresTrip.ts"

/** Where the store of a campaign has its tables. */
export const schema = "sagas"

/** Opens a way to ask a server, which the store does not know of. */
export const connect = Effect.fnUntraced(function*(url: Redacted.Redacted) {
  const sql = yield* Effect.provide(PgClient.makeClient({ url }), Reactivity.layer)
  return <A extends object>(statement: string, values: ReadonlyArray<unknown> = []) => sql.unsafe<A>(statement, values)
})

export interface Journals {
  readonly count: number
  readonly events: number
  /** Journals with a gap, or without an event that they should have. */
  readonly lost: number
  /** Journals with an event twice, or one that they should not have. */
  readonly doubled: number
  readonly problems: ReadonlyArray<string>
}

interface Row {
  readonly id: string | null
  readonly status: string
  readonly seqs: ReadonlyArray<number>
  readonly events: ReadonlyArray<string>
}

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(JournalEvent.JournalEvent))

/** Reads all journals, and compares them with what the sagas of these trips have to have done. */
export const readJournals = Effect.fnUntraced(function*(url: Redacted.Redacted, trips: Iterable<string>) {
  const ask = yield* connect(url)
  const rows = yield* ask<Row>(
    `SELECT max(executions.id) AS id, max(executions.status) AS status, array_agg(seq ORDER BY seq) AS seqs,
      array_agg(event ORDER BY seq) AS events
    FROM ${schema}.executions FULL JOIN ${schema}.events ON execution = key GROUP BY coalesce(key, execution)`
  )
  const missing = new Set(trips)
  const problems: Array<string> = []
  const figures = { count: rows.length, events: 0, lost: 0, doubled: 0 }
  const tell = (figure: "lost" | "doubled", what: string) => {
    figures[figure]++
    problems.push(what)
  }

  for (const { events, id, seqs, status } of rows) {
    const trip = id?.slice("Trip/".length)
    figures.events += events.length
    if (trip === undefined) tell("doubled", "There is a journal without an execution.")
    else if (!missing.delete(trip)) tell("doubled", `${trip} has two journals, or one that nobody asked for.`)
    else {
      if (!seqs.every((seq, index) => seq === index + 1)) tell("lost", `The journal of ${trip} has a gap: ${seqs}.`)
      const decoded = events.map((event) => decode(event))
      const names = decoded.map((event) => Result.isSuccess(event) ? nameOf(event.success) : "an unreadable event")
      // Written by itself only where it can't be part of another event.
      const found = names.filter((name) => !name.startsWith("StepStarted"))
      const expected = expectedOf(trip)
      if (String(found) !== String(expected)) {
        const isMore = found.some((name, index) => found.indexOf(name) !== index || !expected.includes(name))
        tell(isMore ? "doubled" : "lost", `The journal of ${trip} has ${found} instead of ${expected}.`)
      }
      if (`Execution${status}` !== expected.at(-1)) tell("lost", `${trip} has the status ${status}.`)
    }
  }
  for (const trip of missing) tell("lost", `${trip} has no journal.`)
  return { ...figures, problems } satisfies Journals
})

const nameOf = (event: JournalEvent.JournalEvent): string =>
  "path" in event ? `${event._tag} ${event.path}` : event._tag

const expectedOf = (trip: string): ReadonlyArray<string> => {
  const refusing = refusedBy(trip)
  const booked = refusing === undefined ? kinds : kinds.slice(0, kinds.indexOf(refusing))
  const forward = ["ExecutionStarted", ...booked.map((kind) => `StepSucceeded book-${kind}`)]
  if (refusing === undefined) return [...forward, "ExecutionCompleted"]
  return [
    ...forward,
    `StepFailed book-${refusing}`,
    ...booked.length === 0 ? [] : ["UnwindStarted"],
    ...booked.map((kind) => `CompensationSucceeded book-${kind}`).toReversed(),
    "ExecutionCompensated"
  ]
}
