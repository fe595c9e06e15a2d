import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import { mask } from "./redaction.ts"
import type { ExecutionRecord } from "./store.ts"
import { redactedReason } from "./timelineMake.ts"
import type { Cause } from "./timelineModel.ts"
import { makeReader } from "./timelineStored.ts"

/* What operators see of journals. */

/** An event without its secrets. */
export const masked = (event: JournalEvent): JournalEvent => mapStored(event, (_, json) => mask(json))

/** A journal without all that users of the application, and operators, may have put in. Of causes, their kinds stay. */
export const redactedEvents = (events: ReadonlyArray<JournalEvent>): ReadonlyArray<JournalEvent> => {
  const [started] = events
  if (started?._tag !== "ExecutionStarted") return []
  const reader = makeReader(events, { redact: true })
  return events.map((event) => {
    const redacted = mapStored(event, (key, json) => isCause(event, key) ? kindsOf(reader.cause(json)) : null)
    switch (redacted._tag) {
      case "ExecutionStarted": {
        const { attributes: _, ...rest } = redacted
        return rest
      }
      case "Parked":
        return { ...redacted, reason: redactedReason(started, redacted, reader.cause(redacted.cause)) }
      case "Retried":
      case "Skipped":
      case "Resolved":
      case "CancelRequested":
      case "SignalReceived": {
        const { operator: _, reason: __, ...rest } = redacted
        return rest
      }
      default:
        return redacted
    }
  })
}

/** The record that goes with such a journal. */
export const redactedRecord = (record: ExecutionRecord): ExecutionRecord => ({
  ...record,
  reason: null,
  attributes: {}
})

type Stored = "payload" | "input" | "value" | "cause" | "result"

const stored: ReadonlyArray<Stored> = ["payload", "input", "value", "cause", "result"]

const mapStored = (event: JournalEvent, f: (key: Stored, json: Json) => Json): JournalEvent => {
  const changed: { [key in Stored]?: Json } = {}
  // Whichever event has one of these, it is any JSON.
  const fields = event as { readonly [key in Stored]?: Json }
  for (const key of stored) {
    const json = fields[key]
    if (json !== undefined) changed[key] = f(key, json)
  }
  return { ...event, ...changed } as JournalEvent
}

const isCause = (event: JournalEvent, key: Stored): boolean => {
  if (key === "cause") return true
  if (key !== "result") return false
  return event._tag === "ChildFinished" ? event.status !== "Completed" : event._tag !== "ExecutionCompleted"
}

/* A cause as it is stored, so that a timeline can be made of it. */
const kindsOf = (cause: Cause): Json =>
  cause._tag === "Sealed" ? null : cause.failures.map(({ kind, tag }): Json => {
    const error = tag === null ? null : { _tag: tag }
    switch (kind) {
      case "Fail":
        return { _tag: "Fail", error }
      case "Die":
        return { _tag: "Die", defect: error }
      case "Interrupt":
        return { _tag: "Interrupt" }
    }
  })
