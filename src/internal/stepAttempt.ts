import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { CauseCodec } from "./codec.ts"
import type { Execution } from "./execution.ts"
import type { Keeper } from "./keeper.ts"
import type { Attempts } from "./progress.ts"
import { apartFromFrame, type Entry, type Frame } from "./run.ts"
import type { AnyEffect, AnySchedule, CallContext, CompensationContext, StepSpec } from "./stepSpec.ts"
import { returnedFailure } from "./unwind.ts"

/* What the attempts of actions and those of compensations have in common. */

/** The execution whose step is running: what an action may not do by itself, but can start children with. */
export class CurrentAction extends Context.Service<CurrentAction, { readonly execution: Execution }>()(
  "effect-saga/Step/CurrentAction"
) {}

export const currentAction = (context: Context.Context<never>): CurrentAction["Service"] | undefined =>
  Context.getOrUndefined(context as Context.Context<CurrentAction>, CurrentAction)

/** The execution that a frame belongs to. */
export const executionOf = (frame: Frame): Execution | undefined =>
  // There is one implementation of the interface, which the core does not know.
  (frame.run.journal as Keeper | undefined)?.execution

/*
 * The delay before the next attempt, or undefined where there is none. A schedule has a state: that of a recovered step
 * is made anew by telling it of the attempts that failed before, without waiting.
 */
export const retries = (
  schedule: AnySchedule,
  before: Attempts | undefined,
  codec: CauseCodec,
  execution: Execution,
  path: string
): Effect.Effect<(cause: Cause.Cause<unknown>) => Effect.Effect<number | undefined>, never, unknown> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<unknown>()
    const step = yield* Schedule.toStep(schedule)
    const next = (now: number, cause: Cause.Cause<unknown>): Effect.Effect<number | undefined> => {
      const error = Cause.findErrorOption(cause)
      // As everywhere in Effect, defects and interruptions are not retried.
      if (Option.isNone(error) || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.succeed(undefined)
      return Effect.matchCauseEffect(Effect.provideContext(step(now, error.value), services), {
        // For ever is no time at which to try again.
        onSuccess: ([, delay]) => Effect.succeed(Duration.isFinite(delay) ? Duration.toMillis(delay) : undefined),
        onFailure: (end) =>
          Pull.isDoneCause(end) ? Effect.succeed(undefined) : Effect.failCause(end as Cause.Cause<never>)
      })
    }
    for (const { at, cause } of before?.failed ?? []) {
      yield* next(at, yield* execution.causeOf(cause, codec, `A failed attempt of step "${path}"`))
    }
    return (cause: Cause.Cause<unknown>) => Effect.suspend(() => next(execution.now, cause))
  })

/*
 * A saga in an action is one of its own, in memory, as the action is repeated as a whole: it finds no frame. Steps in one
 * place mostly have one context, so theirs is made once.
 */
export const actionContext = ({ context, frame }: Entry, execution: Execution): Context.Context<never> => {
  if (frame.actions?.of !== context) {
    frame.actions = {
      of: context,
      context: Context.add(apartFromFrame(context), CurrentAction, { execution })
    }
  }
  return frame.actions.context
}

/* By the type of its step, the services that it needs are in the context of the step. */
export const inContext = (self: AnyEffect, context: Context.Context<never>): AnyEffect =>
  Effect.setContext(self as Effect.Effect<unknown, unknown>, context)

export const limited = (effect: AnyEffect, duration: Duration.Duration | undefined, what: string): AnyEffect =>
  duration === undefined ? effect : Effect.timeoutOrElse(effect, {
    duration,
    orElse: () => Effect.fail(new Cause.TimeoutError(`${what} did not end within ${Duration.format(duration)}.`))
  })

/* Outside a durable saga a key has to be unique among all processes. An action and its compensation have the same one. */
export const memoryKeyOf = (entry: Entry): string => {
  let key = memoryKeys.get(entry)
  if (key === undefined) memoryKeys.set(entry, key = `${crypto.randomUUID()}/${entry.path ?? entry.step.name}`)
  return key
}

const memoryKeys = new WeakMap<Entry, string>()

export const asEffect = (returned: unknown, phase: "action" | "compensation", step: string): AnyEffect => {
  if (Effect.isEffect(returned)) return returned
  if (returned instanceof Promise) returned.catch(() => {})
  return Effect.die(
    new Error(
      `The ${phase} of step "${step}" returned no Effect. ` +
        `Wrap a promise in Effect.tryPromise and a plain function in Effect.sync.`
    )
  )
}

/** An attempt to undo what has given `value`. */
export const undone = (
  { compensate, compensationTimeout }: StepSpec,
  value: unknown,
  context: CallContext & { readonly input: unknown; readonly cause: Cause.Cause<unknown> },
  step: string
): AnyEffect =>
  Effect.suspend(() =>
    limited(
      asEffect(compensate!(value as never, context as CompensationContext), "compensation", step),
      compensationTimeout,
      `The compensation of step "${step}"`
    )
  )

/** Fails where a compensation has succeeded with a failure. */
export const orReturnedFailure = (value: unknown): Effect.Effect<void, unknown> => {
  const cause = returnedFailure(value)
  return cause === undefined ? Effect.void : Effect.failCause(cause)
}

/** Stands for the value of an action that has taken effect, where nothing could be kept of it and a restart has lost it. */
export const lost: unique symbol = Symbol("effect-saga/Step/lost")
