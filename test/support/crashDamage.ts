/*
 * Ways in which a log is not what was written: an event of it was lost, repeated, moved or changed.
 */
import type { JournalEvent } from "effect-saga"

type Event = JournalEvent.JournalEvent

export interface Damage {
  readonly what: string
  readonly events: ReadonlyArray<string>
  /** Whether nobody can go on with it. */
  readonly isFatal: boolean
}

const results: ReadonlySet<Event["_tag"]> = new Set([
  "StepSucceeded",
  "TimerFired",
  "SignalConsumed",
  "ValueRecorded",
  "ChildFinished",
  "CompensationSucceeded"
])

/** Every damage of one event of a log. */
export const damagesOf = (events: ReadonlyArray<string>): ReadonlyArray<Damage> =>
  events.flatMap((text, index) => {
    const event = JSON.parse(text) as Event
    const what = (damage: string) => `event ${index + 1} (${event._tag}) ${damage}`
    const replaced = (...by: ReadonlyArray<unknown>): ReadonlyArray<string> => [
      ...events.slice(0, index),
      ...by.map((one) => typeof one === "string" ? one : JSON.stringify(one)),
      ...events.slice(index + 1)
    ]
    const isResult = results.has(event._tag)
    const damages: Array<Damage> = [
      { what: what("is torn"), events: replaced(text.slice(0, -3)), isFatal: true },
      { what: what("is of a later version"), events: replaced({ ...event, v: 2 }), isFatal: true },
      { what: what("is none that is known"), events: replaced({ ...event, _tag: "SomethingElse" }), isFatal: true },
      { what: what("is there twice"), events: replaced(event, event), isFatal: isResult }
    ]
    if (events.length > 1) {
      damages.push({ what: what("is lost"), events: replaced(), isFatal: event._tag === "ExecutionStarted" })
    }
    if (index + 1 < events.length) {
      damages.push({
        what: what("has changed places with the next one"),
        events: [...events.slice(0, index), events[index + 1]!, text, ...events.slice(index + 2)],
        isFatal: event._tag === "ExecutionStarted"
      })
    }
    if (isResult && "path" in event) {
      damages.push({
        what: what("has another path"),
        events: replaced({ ...event, path: `${event.path}x` }),
        isFatal: true
      })
    }
    if (event._tag === "StepSucceeded") {
      damages.push(
        {
          what: what("has another input"),
          events: replaced({ ...event, input: { given: "something else", noise: "" } }),
          isFatal: true
        },
        { what: what("has a value of another kind"), events: replaced({ ...event, value: 5 }), isFatal: true }
      )
    }
    if (event._tag === "UnwindStarted") {
      damages.push({
        what: what("has other steps to undo"),
        events: replaced({ ...event, pending: [...event.pending, "x"] }),
        isFatal: true
      })
    }
    return damages
  })
