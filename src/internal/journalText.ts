import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { JournalEvent } from "../JournalEvent.ts"
import * as Progress from "./progress.ts"

/* Journals as stores have them: one JSON text for each event. */

const decodeEvent = Schema.decodeUnknownExit(Schema.fromJsonString(JournalEvent))

/** The state after these events; `undefined` where they make no journal. */
export const progressOf = (events: ReadonlyArray<JournalEvent> | undefined): Progress.Progress | undefined =>
  events?.[0]?._tag === "ExecutionStarted" ? Progress.fromEvents(events) : undefined

/** `undefined` where an event is damaged, or of a later version. */
export const decodeEvents = (texts: ReadonlyArray<string>): ReadonlyArray<JournalEvent> | undefined => {
  const events: Array<JournalEvent> = []
  for (const text of texts) {
    const event = decodeEvent(text)
    if (Exit.isFailure(event)) return undefined
    events.push(event.value)
  }
  return events
}

/** What all events have. */
export const head = <Tag extends JournalEvent["_tag"]>(_tag: Tag, at: number) => ({ _tag, v: 1 as const, at })
