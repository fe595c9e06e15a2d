import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ExecutionRecord, isFinished } from "../../internal/store.ts"
import type { JournalEvent } from "../../JournalEvent.ts"
import type { Error, Exported, SagaOperator } from "../../SagaOperator.ts"
import * as SagaTimeline from "../../SagaTimeline.ts"
import type { Decision } from "./advised.ts"

/* What becomes of a decision. The journal tells: it has the decision, and what was written after it. */

/** What has become of a decision on one execution. */
export type Outcome =
  & { readonly record: ExecutionRecord; readonly timeline: SagaTimeline.SagaTimeline }
  & (
    | { readonly _tag: "Ended" }
    /** Of something that it was not parked for, or once more. `isFirst`, where it was not parked before. */
    | { readonly _tag: "ParkedAgain"; readonly reason: string; readonly isFirst: boolean }
    /** For something else than what was decided on; or, of a cancellation, for what has to be over before. */
    | { readonly _tag: "StillParked"; readonly reason: string; readonly decision: Decision }
    /** Of a signal: it was taken, and the execution waits for something else. */
    | { readonly _tag: "Waits" }
    /** Of a signal: the execution does not wait for it yet. */
    | { readonly _tag: "Kept" }
    | { readonly _tag: "GoesOn"; readonly decision: Decision }
    /** As `GoesOn`, but that no engine runs any more. */
    | { readonly _tag: "Stalled" }
  )

export interface Decided {
  readonly decision: Decision
  readonly id: string
  /** The step that was named. */
  readonly path: string | undefined
  /** The name of the signal. */
  readonly signal?: string
}

const interval = 100

/* As who watches does: most of the time a store is left to its engine. */
const rest = 5

/** Looks at what becomes of a decision that was made, until it has come to something or the time is over. */
export const outcome = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  decided: Decided,
  wait: Duration.Duration
): Effect.fn.Return<Outcome, Error> {
  const look = Effect.map(operator.export(decided.id), (exported) => outcomeIn(exported, decided))
  const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(wait)
  while (true) {
    const [took, outcome] = yield* Effect.timed(look)
    if (outcome._tag !== "GoesOn") return outcome
    const left = until - (yield* Clock.currentTimeMillis)
    if (left <= 0) {
      const { owner } = yield* operator.inspect
      return owner?.isAlive === true ? outcome : { ...outcome, _tag: "Stalled" }
    }
    yield* Effect.sleep(Math.min(left, Math.max(interval, rest * Duration.toMillis(took))))
  }
})

type Parked = Extract<JournalEvent, { readonly _tag: "Parked" }>

const isParked = (event: JournalEvent): event is Parked => event._tag === "Parked"

const outcomeIn = ({ events, execution: record }: Exported, decided: Decided): Outcome => {
  const timeline = SagaTimeline.make({ record, events })
  const seen = { record, timeline, decision: decided.decision }
  if (isFinished(record.status)) return { ...seen, _tag: "Ended" }
  const index = events.findLastIndex((event) => isOf(event, decided))
  const decision = events[index]
  if (decision === undefined) return { ...seen, _tag: "GoesOn" }
  const before = events.slice(0, index)
  const after = events.slice(index + 1)
  const isFirst = !before.some(isParked)
  if (decision._tag === "SignalReceived" && record.status !== "Parked") {
    return { ...seen, _tag: ofSignal(events, index, record) }
  }
  if (record.status !== "Parked") return { ...seen, _tag: "GoesOn" }
  const parked = after.filter(isParked)
  const again = parked.findLast((event) => isOwn(event, decision))
  if (again !== undefined) return { ...seen, _tag: "ParkedAgain", reason: again.reason, isFirst }
  if (!isDone(decision, timeline, after)) return { ...seen, _tag: "GoesOn" }
  // What was parked before is somebody else's decision.
  const wasParked = new Set(before.filter(isParked).map(({ path }) => path))
  const next = parked.findLast(({ path }) => !wasParked.has(path))
  return next === undefined
    ? { ...seen, _tag: "StillParked", reason: record.reason ?? "" }
    : { ...seen, _tag: "ParkedAgain", reason: next.reason, isFirst }
}

const tags: Record<Decision, JournalEvent["_tag"]> = {
  retry: "Retried",
  skip: "Skipped",
  resolve: "Resolved",
  cancel: "CancelRequested",
  signal: "SignalReceived"
}

const isOf = (event: JournalEvent, { decision, path, signal }: Decided): boolean =>
  event._tag === tags[decision] && (path === undefined || !("path" in event) || event.path === path) &&
  (signal === undefined || !("name" in event) || event.name === signal)

/* Whether what it was parked for is what has come of a decision. Others may have decided on other compensations meanwhile. */
const isOwn = ({ kind, path }: Parked, decision: JournalEvent): boolean =>
  kind !== "CompensationFailed" || !("path" in decision) || decision.path === "" || decision.path === path

/* Whether nothing more comes of a decision that has left the execution parked. */
const isDone = (
  decision: JournalEvent,
  { parked }: SagaTimeline.SagaTimeline,
  after: ReadonlyArray<JournalEvent>
): boolean => {
  switch (decision._tag) {
    case "Retried":
      return after.some((event) =>
        (event._tag === "CompensationSucceeded" || event._tag === "StepSucceeded") && event.path === decision.path
      )
    case "CancelRequested":
      // What failed after its pivot ends at once. All else has to be decided on, or its code has to be there, before.
      return parked.some(({ kind }) => kind !== "FailedAfterPivot")
    default:
      return true
  }
}

const ofSignal = (
  events: ReadonlyArray<JournalEvent>,
  index: number,
  { status }: ExecutionRecord
): "Waits" | "Kept" | "GoesOn" => {
  const received = events[index]!
  const consumed = events.findIndex((event) => event._tag === "SignalConsumed" && event.signal === index + 1)
  if (consumed >= 0) return status === "Waiting" && events.length > consumed + 1 ? "Waits" : "GoesOn"
  const waits = new Set<string>()
  for (const event of events) {
    if (event._tag === "SignalAwaited" && "name" in received && event.name === received.name) waits.add(event.path)
    if (event._tag === "SignalConsumed" || event._tag === "WaitInterrupted") waits.delete(event.path)
  }
  return waits.size > 0 ? "GoesOn" : "Kept"
}
