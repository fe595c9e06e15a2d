import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as SagaObserver from "../SagaObserver.ts"
import { toEvent } from "./log.ts"
import { CurrentFrame, type Item, type Run } from "./run.ts"

/**
 * Hands `item` to the journal of the saga, where it has one: at once, and the effect waits until it is durable. Then
 * hands it to the observer.
 */
export const observe = (run: Run, item: Item): Effect.Effect<void> => {
  const kept = run.journal?.keep(item)
  // What a replay repeats has been observed when it happened.
  if (kept === "Repeated") return Effect.void
  if (run.observer === undefined) return kept ?? Effect.void
  const told = tell(run, item)
  return kept === undefined ? told : Effect.andThen(kept, told)
}

/*
 * Never fails: what the observer does wrong is logged. A saga that the observer runs is not part of the one that it
 * observes, and is not observed itself.
 */
const tell = (run: Run, item: Item): Effect.Effect<void> => {
  const { observer } = run
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
