/**
 * Where the events of a saga go.
 *
 * An observer sees every event of every saga that runs under it, in order. It is the place for metrics, logs, alerts
 * and dead letters.
 *
 * **Details**
 *
 * - The saga waits for the observer, so that an event has been handled before the next thing happens. Hand slow work to
 *   a queue.
 * - An observer never changes the result of a saga: when it fails or dies, that is logged as a warning, and the saga
 *   goes on.
 * - Without an observer no event is built.
 * - In a durable saga, what had been observed and was not on disk when a process died happens, and is observed, again.
 *   Nothing else is: an execution that goes on repeats no events.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { SagaEvent } from "./SagaEvent.ts"

/**
 * Receives the events of sagas.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaObserver {
  /** Handles one event. Its failures are logged and change nothing. */
  readonly onEvent: (event: SagaEvent) => Effect.Effect<unknown, unknown>
}

/**
 * The observer in force, by default one that ignores all events.
 *
 * **Example** (Counting failed compensations)
 *
 * ```ts
 * import { Effect, Ref } from "effect"
 * import { Saga, SagaObserver } from "effect-saga"
 *
 * const program = Effect.gen(function*() {
 *   const tags = yield* Ref.make<ReadonlyArray<string>>([])
 *   const observer = SagaObserver.make((event) => Ref.update(tags, (seen) => [...seen, event._tag]))
 *
 *   yield* Saga.step(Effect.succeed(1), () => Effect.void).pipe(
 *     Saga.transact,
 *     Effect.provideService(SagaObserver.SagaObserver, observer)
 *   )
 *   return yield* Ref.get(tags)
 * })
 *
 * await Effect.runPromise(program) // => ["SagaStarted", "StepStarted", "StepSucceeded", "SagaCompleted"]
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const SagaObserver: Context.Reference<SagaObserver> = Context.Reference<SagaObserver>(
  "effect-saga/SagaObserver",
  { defaultValue: () => ignore }
)

/**
 * Observer that ignores all events, at no cost.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ignore: SagaObserver = { onEvent: () => Effect.void }

/**
 * Creates an observer from a function that handles one event.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (onEvent: (event: SagaEvent) => Effect.Effect<unknown, unknown>): SagaObserver => ({ onEvent })

/**
 * Creates an observer that hands each event to `first`, then to `second`, even where `first` fails.
 *
 * @category combinators
 * @since 0.1.0
 */
export const both = (first: SagaObserver, second: SagaObserver): SagaObserver =>
  first === ignore ? second : second === ignore ? first : {
    onEvent: Effect.fnUntraced(function*(event) {
      const exits = [yield* Effect.exit(first.onEvent(event)), yield* Effect.exit(second.onEvent(event))]
      yield* Exit.asVoidAll(exits)
    })
  }

/**
 * Layer that adds an observer to those already in force.
 *
 * **Gotchas**
 *
 * Layers that are built beside each other, as by `Layer.mergeAll`, don't see each other, and the last one counts. Provide
 * one after another, or combine the observers with `both`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (observer: SagaObserver): Layer.Layer<never> =>
  Layer.effectContext(Effect.map(
    Effect.service(SagaObserver),
    (current) => Context.make(SagaObserver, both(current, observer))
  ))
