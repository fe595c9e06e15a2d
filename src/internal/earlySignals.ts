import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { isUnknown, type SagaStoreError } from "../SagaStoreError.ts"
import type { RequestAnswer } from "./desk.ts"
import type { EarlySignal, Ownership } from "./store.ts"

/** Signals for executions that have not been started. They are in the store, too, until the execution is. */
export class EarlySignals {
  private readonly ownership: Ownership
  private kept: Array<EarlySignal>

  constructor(ownership: Ownership, stored: ReadonlyArray<EarlySignal>) {
    this.ownership = ownership
    this.kept = Array.from(stored)
  }

  /** Keeps one. Returns when it is durable; where it may be, it is kept again until that is known. */
  keep(signal: EarlySignal, answer?: RequestAnswer): Effect.Effect<void, SagaStoreError> {
    return Effect.suspend(() => {
      const known = { ...signal, id: crypto.randomUUID() }
      const answered = answer?.take()
      return Effect.retry(
        Effect.suspend(() => this.ownership.keepSignal(known, answered)),
        { while: ({ reason }) => isUnknown(reason), schedule: Schedule.spaced("1 second") }
      ).pipe(
        Effect.andThen(Effect.sync(() => {
          this.kept.push(signal)
        }))
      )
    })
  }

  /** The events of those for the execution of this id, which is about to be started. */
  take(id: string): ReadonlyArray<string> {
    if (this.kept.length === 0) return []
    const taken = this.kept.filter(({ execution }) => execution === id)
    if (taken.length > 0) this.kept = this.kept.filter(({ execution }) => execution !== id)
    return taken.map(({ event }) => event)
  }

  /** Keeps what was taken for an execution that the store has refused. */
  putBack(id: string, events: ReadonlyArray<string>): void {
    this.kept.push(...events.map((event) => ({ execution: id, event })))
  }
}
