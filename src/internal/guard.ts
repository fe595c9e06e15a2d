import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * What `look` returns, or `undefined` where it throws. Values that users fail with and return may be hostile to being
 * looked at (a proxy, a getter that throws), and nothing that a saga still has to do may be lost to that.
 */
export const guarded = <A>(look: () => A): A | undefined => {
  const exit = Effect.runSyncExit(Effect.sync(look))
  return Exit.isSuccess(exit) ? exit.value : undefined
}

/** `instanceof`, for any value. */
export const isInstance = <A>(value: unknown, type: abstract new(...args: never) => A): value is A =>
  guarded(() => value instanceof type) === true
