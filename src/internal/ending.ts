import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { SagaStoreError, Unavailable } from "../SagaStoreError.ts"

/** Whether an engine has ended: from then on it takes nothing any more, and says why. */
export class Ending {
  private ended: SagaStoreError | undefined = undefined
  private readonly whenEnded = Deferred.makeUnsafe<SagaStoreError>()

  /** Why it has ended, or is about to; undefined where neither is so. */
  get error(): SagaStoreError | undefined {
    return this.ended
  }

  /** Fails where the engine has ended. */
  readonly ready: Effect.Effect<void, SagaStoreError> = Effect.suspend(() =>
    this.ended === undefined ? Effect.void : Effect.fail(this.ended)
  )

  /** Waits for the end. */
  readonly awaited: Effect.Effect<SagaStoreError> = Deferred.await(this.whenEnded)

  /** From here on nothing new is taken. What runs may still write how it ended. */
  begin(error: SagaStoreError): void {
    this.ended ??= error
  }

  /** Nothing can be written any more. */
  end(error: SagaStoreError): void {
    this.ended = error
  }

  /** Tells those who wait for the end. */
  tell(error: SagaStoreError): void {
    Deferred.doneUnsafe(this.whenEnded, Effect.succeed(error))
  }
}

/** For who asks an engine that has been closed. */
export const closed = (store: string): SagaStoreError =>
  new SagaStoreError({ reason: new Unavailable({ store, problem: "closed", cause: undefined }) })
