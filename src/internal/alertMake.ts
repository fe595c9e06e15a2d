import type { JournalEvent } from "../JournalEvent.ts"
import type { Alert } from "./alertModel.ts"
import { progressOf } from "./journalText.ts"
import type { ExecutionRecord } from "./store.ts"
import * as Timeline from "./timelineMake.ts"
import { isLost } from "./timelineUndoing.ts"

/*
 * From a journal to alerts. They are made of timelines, so what a payload codec has sealed, and what is redacted, stays so.
 */

export const idOf = (execution: string, sequence: number): string => `${execution}#${sequence}`

/** Whether there is an alert for such an event. */
export const isTold = ({ _tag }: JournalEvent): boolean => _tag === "Parked" || _tag === "CompensationFailed"

/** The alert for the event with this number, as it was then; undefined where there is none. */
export const alertOf = (
  execution: ExecutionRecord,
  journal: ReadonlyArray<JournalEvent>,
  sequence: number,
  isRepeated: boolean
): Alert | undefined => {
  const event = journal[sequence - 1]
  if (event === undefined || !isTold(event)) return undefined
  const { entries, remaining } = Timeline.make({
    record: execution,
    events: journal.slice(0, sequence),
    redact: false,
    sealed: undefined
  })
  const head = { v: 1, id: idOf(execution.id, sequence), execution, at: event.at, isRepeated } as const
  const left = remaining.filter(({ state }) => !isLost(state)).map(({ path }) => path)
  if (event._tag === "CompensationFailed") {
    const step = entries.find((entry) => entry._tag === "Step" && entry.path === event.path)
    const compensation = step?._tag === "Step" ? step.compensation : null
    return {
      _tag: "CompensationFailed",
      ...head,
      step: event.path,
      attempt: event.attempt,
      cause: compensation?.cause ?? { _tag: "Sealed" },
      isGivenUp: compensation?.state === "GivenUp",
      remaining: left
    }
  }
  const parking = entries.find((entry) => entry._tag === "Parking" && entry.sequence === sequence)
  if (parking?._tag !== "Parking") return undefined
  const { cause, kind, path, reason, steps } = parking
  return {
    _tag: "Parked",
    ...head,
    kind,
    step: path === "" ? null : path,
    steps,
    reason,
    cause,
    remaining: left
  }
}

/** The numbers of the events that are told again after a start, in order. */
export const repeatedOf = (journal: ReadonlyArray<JournalEvent>, since: number): ReadonlyArray<number> => {
  const failed = journal.flatMap(({ _tag, at }, index) =>
    _tag === "CompensationFailed" && at >= since ? [index + 1] : []
  )
  return [...parkedBy(journal), ...failed].toSorted((one, other) => one - other)
}

/** The numbers of the events by which it is still parked, in order. */
export const parkedBy = (journal: ReadonlyArray<JournalEvent>): ReadonlyArray<number> =>
  Array.from(progressOf(journal)?.parked?.values() ?? [], (event) => journal.indexOf(event) + 1)
    .toSorted((one, other) => one - other)
