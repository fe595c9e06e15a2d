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
    /** Of something that it was not parked for, or once more. */
    | { readonly _tag: "ParkedAgain"; readonly reason: string }
    /** For something else than what was decided on. */
    | { readonly _tag: "StillParked"; readonly reason: string }
    | { readonly _tag: "GoesOn" }
  )

export interface Decided {
  readonly decision: Decision
  readonly id: string
  /** The step that was named. */
  readonly path: string | undefined
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
    const left = until - (yield* Clock.currentTimeMillis)
    if (outcome._tag !== "GoesOn" || left <= 0) return outcome
    yield* Effect.sleep(Math.min(left, Math.max(interval, rest * Duration.toMillis(took))))
  }
})

const outcomeIn = ({ events, execution: record }: Exported, decided: Decided): Outcome => {
  const seen = { record, timeline: SagaTimeline.make({ record, events }) }
  if (isFinished(record.status)) return { ...seen, _tag: "Ended" }
  const index = events.findLastIndex((event) => isOf(event, decided))
  const decision = events[index]
  if (record.status !== "Parked" || decision === undefined) return { ...seen, _tag: "GoesOn" }
  const after = events.slice(index + 1)
  const parked = after.findLast((event) => event._tag === "Parked")
  if (parked !== undefined) return { ...seen, _tag: "ParkedAgain", reason: parked.reason }
  return isDone(decision, events.slice(0, index), after)
    ? { ...seen, _tag: "StillParked", reason: record.reason ?? "" }
    : { ...seen, _tag: "GoesOn" }
}

const tags: Record<Decision, JournalEvent["_tag"]> = {
  retry: "Retried",
  skip: "Skipped",
  resolve: "Resolved",
  cancel: "CancelRequested"
}

const isOf = (event: JournalEvent, { decision, path }: Decided): boolean =>
  event._tag === tags[decision] && (path === undefined || !("path" in event) || event.path === path)

/* Whether nothing more comes of a decision that has left the execution parked. */
const isDone = (
  decision: JournalEvent,
  before: ReadonlyArray<JournalEvent>,
  after: ReadonlyArray<JournalEvent>
): boolean => {
  switch (decision._tag) {
    case "Retried":
      return after.some((event) =>
        (event._tag === "CompensationSucceeded" || event._tag === "StepSucceeded") && event.path === decision.path
      )
    case "CancelRequested":
      // What is being undone as a whole can't be cancelled any more.
      return before.some((event) => event._tag === "UnwindStarted" && event.scope === "")
    default:
      return true
  }
}
