import * as Effect from "effect/Effect"
import { toEvent } from "./log.ts"
import type { Item, Run } from "./run.ts"

/** Hands `item` to the observer of the saga, if there is one. Never fails: what the observer does wrong is logged. */
export const observe = (run: Run, item: Item): Effect.Effect<void> => {
  const observer = run.observer
  if (observer === undefined) return Effect.void
  const event = toEvent(item)
  return Effect.suspend(() => observer.onEvent(event)).pipe(
    Effect.catchCause((cause) =>
      Effect.logWarning(`The observer of saga "${event.saga}" failed on ${event._tag}; the saga goes on.`, cause)
    ),
    Effect.asVoid
  )
}

/** Writes `item` to the log and hands it to the observer. */
export const record = (run: Run, item: Item): Effect.Effect<void> => {
  run.log.push(item)
  return observe(run, item)
}
