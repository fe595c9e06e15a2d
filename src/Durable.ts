/**
 * Time and chance for durable sagas.
 *
 * The body of a durable saga runs again after a crash, so what it reads between its steps has to be the same again. What
 * this module gives is written down when it is first asked for. All of it works in compensations too, and outside a
 * durable saga it is what Effect has.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Check from "./internal/check.ts"
import * as internal from "./internal/durableWait.ts"

/**
 * Waits for a duration, counted from when it is first asked for. After a crash it waits for what is left; what fell due
 * meanwhile is due at once.
 *
 * **Gotchas**
 *
 * In a forked fiber it does not outlast its saga: once that has ended, the fiber is interrupted instead of going on. What
 * is to happen later belongs in an execution of its own.
 *
 * @category time
 * @since 0.1.0
 */
export const sleep = (duration: Duration.Input, options?: {
  /** What the timer is called in the journal. Default `"sleep"`. */
  readonly name?: string | undefined
}): Effect.Effect<void> => {
  Check.options("Durable.sleep", options)
  Check.name("Durable.sleep", options?.name)
  const checked = Check.delay("Durable.sleep: duration", duration)
  return internal.sleep(Duration.toMillis(checked), Effect.sleep(checked), options?.name ?? "sleep")
}

/**
 * The time in milliseconds since the epoch, as it was when it was first asked for.
 *
 * @category time
 * @since 0.1.0
 */
export const now: Effect.Effect<number> = internal.value("now", Clock.currentTimeMillis)

/**
 * A random number from 0 to 1, the same after a crash.
 *
 * @category random
 * @since 0.1.0
 */
export const random: Effect.Effect<number> = internal.value("random", Random.next)

/**
 * A unique id (a UUID of version 4), the same after a crash.
 *
 * @category random
 * @since 0.1.0
 */
export const uuid: Effect.Effect<string> = internal.value("uuid", Effect.sync(() => crypto.randomUUID()))
