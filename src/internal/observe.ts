import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as SagaObserver from "../SagaObserver.ts"
import { toEvent } from "./log.ts"
import { CurrentFrame, type Item, type Run } from "./run.ts"

/**
 * Hands `item` to the observer of the saga, if there is one. Never fails: what the observer does wrong is logged. A saga
 * that the observer runs is not part of the one that it observes, and is not observed itself.
 */
export const observe = (run: Run, item: Item): Effect.Effect<void> => {
  const observer = run.observer
  if (observer === undefined) return Effect.void
  const event = toEvent(item)
  return Effect.suspend(() => {
    const handled = observer.onEvent(event)
    return Effect.isEffect(handled) ? handled : Effect.die(new Error("The observer returned no Effect."))
  }).pipe(
    Effect.updateContext(apart),
    Effect.catchCause((cause) =>
      Effect.logWarning(`The observer of saga "${event.saga}" failed on ${event._tag}; the saga goes on.`, cause)
    ),
    // A logger may fail as well.
    Effect.exit,
    Effect.asVoid
  )
}

const apart = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(Context.omit(CurrentFrame)(context), SagaObserver.SagaObserver, SagaObserver.ignore)

/** Writes `item` to the log and hands it to the observer. */
export const record = (run: Run, item: Item): Effect.Effect<void> => {
  run.log.push(item)
  return observe(run, item)
}
