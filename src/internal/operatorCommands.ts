import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NoEngine, SagaEngineError, Unanswered } from "../SagaEngineError.ts"
import { isUnknown, type SagaStoreError } from "../SagaStoreError.ts"
import type { Refusal } from "./decisions.ts"
import { decodeEvents, progressOf } from "./journalText.ts"
import * as Progress from "./progress.ts"
import { accepted, found, refuse } from "./refuse.ts"
import { isFinished, nameOfOwner, type SagaStore, type StoredExecution } from "./store.ts"

/** What an execution is parked for, in order: paths of steps, or an empty one where that is no step. */
export const parkedPaths = ({ events }: StoredExecution): ReadonlyArray<string> =>
  Array.from(progressOf(decodeEvents(events))?.parked?.keys() ?? []).toSorted()

export const isBeingUndone = ({ events }: StoredExecution): boolean => {
  const progress = progressOf(decodeEvents(events))
  return progress !== undefined && Progress.isBeingUndone(progress)
}

/*
 * What is asked of an engine. Nobody is asked where nobody listens, so that nothing is done hours later that somebody
 * wanted now. What was asked, or may have been, and was not answered, may still be done: it fails with `Unanswered`. So
 * where it fails with an error of the store, nothing was asked.
 */
export class Commands {
  private readonly store: SagaStore["Service"]
  private readonly answerTimeout: Duration.Duration

  constructor(store: SagaStore["Service"], answerTimeout: Duration.Duration) {
    this.store = store
    this.answerTimeout = answerTimeout
  }

  /** Fails where no engine has the store. */
  readonly engine: Effect.Effect<void, SagaStoreError | SagaEngineError> = Effect.suspend(() =>
    Effect.flatMap(this.store.inspect, ({ owner }) =>
      owner?.isAlive === true
        ? Effect.void
        : Effect.fail(
          new SagaEngineError({
            reason: new NoEngine({
              store: this.store.name,
              owner: owner === undefined ? null : nameOfOwner(owner),
              silence: owner?.silence ?? null
            })
          })
        ))
  )

  /** Asks for a change of an execution that has not ended. */
  perform(
    id: string,
    asking: (execution: StoredExecution) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  ): Effect.Effect<void, SagaStoreError | SagaEngineError> {
    return Effect.flatMap(found(id, this.store.find(id)), (execution) => {
      const { status } = execution.record
      return isFinished(status)
        ? refuse(id, { _tag: "AlreadyFinished", status })
        : Effect.andThen(this.engine, asking(execution))
    })
  }

  /** Asks, about the step at `path` if there is one, and waits for the answer. */
  ask(
    id: string,
    asking: Effect.Effect<Refusal | undefined, SagaStoreError>,
    path?: string
  ): Effect.Effect<void, SagaStoreError | SagaEngineError> {
    const unanswered = (cause?: SagaStoreError) =>
      Effect.fail(
        new SagaEngineError({
          reason: new Unanswered({
            execution: id,
            ...(path === undefined ? undefined : { path }),
            store: this.store.name,
            millis: Duration.toMillis(this.answerTimeout),
            ...(cause === undefined ? undefined : { cause })
          })
        })
      )
    return accepted(id, asking).pipe(
      Effect.catchTag(
        "SagaStoreError",
        (error): Effect.Effect<never, SagaStoreError | SagaEngineError> =>
          isNotAsked(error) ? Effect.fail(error) : unanswered(error)
      ),
      Effect.timeoutOrElse({ duration: this.answerTimeout, orElse: () => unanswered() })
    )
  }
}

/* A request that a store refuses is not in it. Anything else may as well be about the answer. */
const isNotAsked = ({ reason }: SagaStoreError): boolean =>
  reason._tag === "AccessDenied" ||
  (reason._tag === "Unavailable" && reason.problem !== "closed" && !isUnknown(reason))
