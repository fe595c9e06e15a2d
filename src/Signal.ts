/**
 * Messages to a durable saga that waits for them: an approval, a payment that arrived.
 *
 * A signal is kept from the moment it is sent, also before anyone waits for it and before the saga has started. The saga
 * is given the signals of one name in the order in which they were sent, each of them once.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DurableOnly } from "./CompensationStack.ts"
import * as Check from "./internal/check.ts"
import * as Codec from "./internal/codec.ts"
import { awaitSignal, sleep } from "./internal/durableWait.ts"
import type { Storable } from "./Step.ts"

/**
 * A kind of signal, with the schema of what it carries.
 *
 * @category models
 * @since 0.1.0
 */
export interface Signal<out S extends Storable> {
  readonly name: string
  readonly schema: S
  /** Waits for the next signal of this kind, in the body of a durable saga or in a compensation. */
  readonly await: Effect.Effect<S["Type"], never, DurableOnly>
  /**
   * As `await`, and gives up after a duration, which is counted from when it is first asked for, over restarts. What comes
   * later is kept for who waits next.
   */
  readonly awaitFor: (duration: Duration.Input) => Effect.Effect<Option.Option<S["Type"]>, never, DurableOnly>
}

/**
 * Creates a kind of signal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <S extends Storable>(name: string, schema: S): Signal<S> => {
  Check.requiredName("Signal.make", name)
  Check.requiredSchema("Signal.make: schema", schema)
  const signal = awaitSignal<S["Type"]>(name, Codec.make(schema))
  return {
    name,
    schema,
    await: signal,
    awaitFor: (duration) => {
      const checked = Check.delay(`Signal "${name}": awaitFor`, duration)
      const over = sleep(Duration.toMillis(checked), Effect.sleep(checked), `${name} timeout`)
      return Effect.raceFirst(Effect.asSome(signal), Effect.as(over, Option.none()))
    }
  }
}
