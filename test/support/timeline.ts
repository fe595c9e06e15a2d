/*
 * Journals for tests of timelines: those that are kept as files, and short ones that a test writes down itself.
 */
import { assert } from "@effect/vitest"
import { Schema } from "effect"
import { JournalEvent, type SagaStore, SagaTimeline } from "effect-saga"
import { readdirSync, readFileSync } from "node:fs"
import { linesOf } from "./goldenJournal.ts"

export type Event = JournalEvent.JournalEvent

/** What a store has of an execution. */
export interface Stored {
  readonly record: SagaStore.ExecutionRecord
  readonly events: ReadonlyArray<Event>
}

const folder = new URL("../golden/", import.meta.url)

/** The executions of each golden journal, by its name. */
export const goldenJournals: ReadonlyMap<string, ReadonlyArray<Stored>> = new Map(
  readdirSync(folder).filter((file) => file.endsWith(".jsonl")).toSorted().map((file) => {
    const executions = new Map<number, { record: SagaStore.ExecutionRecord; readonly events: Array<Event> }>()
    for (const { events, key, record } of linesOf(readFileSync(new URL(file, folder), "utf8"))) {
      const known = executions.get(key)
      if (known === undefined) executions.set(key, { record: record!, events: [...events] })
      else {
        known.events.push(...events)
        if (record !== null) known.record = record
      }
    }
    return [file.slice(0, -".jsonl".length), Array.from(executions.values())] as const
  })
)

/** The first events of a journal, in every number. */
export const prefixesOf = ({ events, record }: Stored): ReadonlyArray<Stored> =>
  events.map((_, index) => ({ record, events: events.slice(0, index + 1) }))

/** When the journals of tests begin. */
export const morning = Date.UTC(2026, 0, 5, 9)

/** So many seconds after that. */
export const second = (seconds: number): number => morning + seconds * 1000

const decodeEvents = Schema.decodeUnknownSync(Schema.Array(JournalEvent.JournalEvent))

/** What is written of an event besides its time: its kind, and its fields. */
export type Written = readonly [tag: Event["_tag"], fields?: { readonly [field: string]: unknown }]

/** A journal whose first event is the start of `Order/7`, and in which each event comes a second after the one before. */
export const journal = (
  started: { readonly [field: string]: unknown },
  ...written: ReadonlyArray<Written>
): Stored => {
  const first = { id: "Order/7", definition: "Order", version: 1, payload: { id: "7" }, ...started }
  const events = decodeEvents(
    [["ExecutionStarted", first] as const, ...written].map(([_tag, fields], index) => ({
      _tag,
      v: 1,
      at: second(index),
      ...fields
    }))
  )
  return {
    record: {
      key: 1,
      id: first.id,
      definition: first.definition,
      version: first.version,
      status: "Running",
      cancelled: false,
      reason: null,
      error: null,
      attributes: {},
      parent: null,
      createdAt: morning,
      updatedAt: morning
    },
    events
  }
}

const starts = (...paths: ReadonlyArray<string>) => paths.map((path) => [path, 0])

/** Starts the actions at these paths with an event. */
export const starting = (...paths: ReadonlyArray<string>) => ({ starts: starts(...paths) })

export const fail = (tag: string, fields: { readonly [field: string]: unknown } = {}) => [
  { _tag: "Fail", error: { _tag: tag, ...fields } }
]

export const interrupt = [{ _tag: "Interrupt" }]

/** A step that succeeded, `starting` others. */
export const succeeded = (path: string, ...next: ReadonlyArray<string>): Written => [
  "StepSucceeded",
  {
    path,
    after: 0,
    startedAt: morning,
    attempt: 1,
    input: `input of ${path}`,
    value: `value of ${path}`,
    ...starting(...next)
  }
]

export const failed = (path: string, cause: unknown = fail("Refused")): Written => [
  "StepFailed",
  { path, after: 0, startedAt: morning, attempt: 1, input: `input of ${path}`, cause }
]

export const unwinding = (
  scope: string,
  pending: ReadonlyArray<string>,
  cause: unknown = fail("Refused")
): Written => ["UnwindStarted", { scope, cause, pending }]

export const compensated = (
  path: string,
  attempt = 1
): Written => ["CompensationSucceeded", { path, after: 0, attempt }]

/** The compensation at `path` failed, and the execution is parked for that. */
export const parkedFor = (path: string, attempt = 1): Written => ["Parked", {
  kind: "CompensationFailed",
  path,
  steps: [],
  attempt,
  reason: `Step "${path}" could not be undone: Stuck.`,
  cause: fail("Stuck")
}]

export const parkedAfterPivot = (path: string, ...steps: ReadonlyArray<string>): Written => ["Parked", {
  kind: "FailedAfterPivot",
  path,
  steps,
  attempt: 0,
  reason: "It failed after its pivot: Refused",
  cause: fail("CommittedIncomplete", { saga: "Order", reason: fail("Refused"), origins: steps, report: {} })
}]

export const parkedForCode = (kind: "Mismatch" | "NotRegistered", reason: string): Written => [
  "Parked",
  { kind, path: "", steps: [], attempt: 0, reason, cause: null }
]

export const timelineOf = (stored: Stored): SagaTimeline.SagaTimeline => SagaTimeline.make(stored)

export const entriesOf = <Tag extends SagaTimeline.Entry["_tag"]>(timeline: SagaTimeline.SagaTimeline, tag: Tag) =>
  timeline.entries.filter((entry): entry is Extract<SagaTimeline.Entry, { readonly _tag: Tag }> => entry._tag === tag)

export const stepAt = (timeline: SagaTimeline.SagaTimeline, path: string): SagaTimeline.Step => {
  const step = entriesOf(timeline, "Step").find((step) => step.path === path)
  assert.isDefined(step)
  return step!
}

/** From its JSON, and to it. */
export const decode = Schema.decodeUnknownSync(SagaTimeline.SagaTimeline)
export const encode = Schema.encodeSync(SagaTimeline.SagaTimeline)
