import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SagaOperator } from "../../SagaOperator.ts"
import type { SagaStoreError } from "../../SagaStoreError.ts"
import * as SagaTimeline from "../../SagaTimeline.ts"
import type { Stale } from "./checks.ts"

/* Each of them is read with its journal. */
const maxRead = 1000

/**
 * The executions that should go on, and to which nothing has happened for so many milliseconds, and of how many that is
 * not known. The record of an execution changes more rarely than its journal, so its last event tells.
 */
export const findStale = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  staleAfter: number
): Effect.fn.Return<{ readonly stale: ReadonlyArray<Stale>; readonly unseen: number }, SagaStoreError> {
  const now = yield* Clock.currentTimeMillis
  const filter = { statuses: ["Running", "Compensating"], updatedBefore: now - staleAfter } as const
  const candidates = yield* operator.listAll({ ...filter, order: "oldest" }).pipe(
    Stream.take(maxRead),
    Stream.runCollect
  )
  const stale: Array<Stale> = []
  for (const record of candidates) {
    const events = yield* Effect.catchTag(operator.history(record.id), "SagaEngineError", () => Effect.succeed([]))
    const last = events.at(-1)
    // It may have been deleted meanwhile.
    if (last === undefined || last.at >= now - staleAfter) continue
    if (!isWaiting(SagaTimeline.make({ record, events }), now)) stale.push({ id: record.id, at: last.at })
  }
  const all = candidates.length < maxRead ? candidates.length : yield* operator.count(filter)
  return { stale: stale.toSorted((one, other) => one.at - other.at), unseen: Math.max(0, all - candidates.length) }
})

/* Whether there is something that it waits for, however long that takes. */
const isWaiting = ({ entries }: SagaTimeline.SagaTimeline, now: number): boolean =>
  entries.some((entry) => {
    switch (entry._tag) {
      case "Timer":
        return entry.state === "Waiting" && entry.dueAt > now
      case "SignalWait":
        return entry.state === "Waiting"
      case "Child":
        return entry.state === "Running"
      case "Step":
        return (entry.retryAt ?? entry.compensation?.retryAt ?? 0) > now
      default:
        return false
    }
  })
