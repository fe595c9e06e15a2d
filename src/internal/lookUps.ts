import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { SagaStore } from "./store.ts"

interface Asked {
  readonly id: string
  readonly answer: Deferred.Deferred<boolean, SagaStoreError>
}

const maxBatch = 1024

/** Looks up whether executions exist. Those that are asked for while the store is read share the next read. */
export class LookUps {
  private readonly store: SagaStore["Service"]
  private asked: Array<Asked> = []
  private isReading = false

  constructor(store: SagaStore["Service"]) {
    this.store = store
  }

  exists(id: string): Effect.Effect<boolean, SagaStoreError> {
    return Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<boolean, SagaStoreError>()
      this.asked.push({ id, answer })
      if (this.isReading) return Deferred.await(answer)
      this.isReading = true
      // Nobody else's answer depends on whether this one is still waited for.
      return Effect.andThen(Effect.forkDetach(this.read, { startImmediately: true }), Deferred.await(answer))
    })
  }

  private readonly read: Effect.Effect<void> = Effect.suspend(() => {
    const asked = this.asked.splice(0, maxBatch)
    return Effect.flatMap(Effect.exit(this.store.existing(asked.map(({ id }) => id))), (exit) => {
      const existing = Exit.map(exit, (ids) => new Set(ids))
      for (const { answer, id } of asked) Deferred.doneUnsafe(answer, Exit.map(existing, (ids) => ids.has(id)))
      if (this.asked.length > 0) return this.read
      this.isReading = false
      return Effect.void
    })
  })
}
