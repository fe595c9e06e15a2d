/**
 * Steps whose results can be kept: an action with its compensation, and the schemas of what goes in and comes out.
 *
 * **Details**
 *
 * - A step is a function from its input to an effect. In the body of a `DurableSaga` the result is written down before
 *   the saga goes on, so an action that has succeeded never runs again, whatever happens to the process. In memory, in
 *   `Saga.transact`, it is a `Saga.step` like any other.
 * - An action that was running when the process died runs again, as does a compensation, with the same `idempotencyKey`:
 *   at least once. Hand that key to the service that is called, and it takes effect once.
 * - Attempts that failed, and when the next one is due, are written down too.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { DurableStack } from "./CompensationStack.ts"
import * as Check from "./internal/check.ts"
import * as Codec from "./internal/codec.ts"
import { call } from "./internal/durableStep.ts"
import type { AnySchedule, StepSpec } from "./internal/stepSpec.ts"

/**
 * A schema whose values can be stored and read without services.
 *
 * @category models
 * @since 0.1.0
 */
export type Storable = Schema.ConstraintCodec<unknown, unknown, never, never>

/**
 * What an ambiguous step fails with when the process died while its action ran: it may have taken effect, and it does
 * not run again.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("effect-saga/Step/OutcomeUnknown")(
  "OutcomeUnknown",
  { step: Schema.String }
) {
  override get message(): string {
    return `Step "${this.step}" was running when its process ended, so nobody knows whether it took effect.`
  }
}

/**
 * Schema of what a time limit makes of an action, for definitions whose error it is.
 *
 * @category errors
 * @since 0.1.0
 */
export const TimeoutError: Schema.Codec<
  Cause.TimeoutError,
  { readonly _tag: "TimeoutError"; readonly message: string }
> = Codec.TimeoutError

/**
 * What an action is told besides its input.
 *
 * @category models
 * @since 0.1.0
 */
export interface ActionContext {
  /**
   * The same for every attempt of this step, in every process, and for no other step. In memory, where nothing is
   * repeated after a crash, it is unique.
   */
  readonly idempotencyKey: string
  /** Counted from 1. */
  readonly attempt: number
}

/**
 * What a compensation is told besides the value of its action. `idempotencyKey` is that of the action, `attempt` counts
 * the attempts of the compensation.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompensationContext<out Input> extends ActionContext {
  readonly input: Input
  /** Why the saga is undone. */
  readonly cause: Cause.Cause<unknown>
}

/**
 * How an action is undone, if it can be: `compensate` once it has succeeded, or `compensateExit` whatever became of it,
 * which gets the `Exit` of the action.
 *
 * @category options
 * @since 0.1.0
 */
export type Compensation<Input, Success, ActionError, CompensationError, R> =
  | {
    readonly compensate?:
      | ((value: Success, context: CompensationContext<Input>) => Effect.Effect<unknown, CompensationError, R>)
      | undefined
    readonly compensateExit?: never
  }
  | {
    readonly compensateExit: (
      exit: Exit.Exit<Success, ActionError>,
      context: CompensationContext<Input>
    ) => Effect.Effect<unknown, CompensationError, R>
    readonly compensate?: never
  }

/**
 * A step: call it with its input, in a saga. With a name it has that name in reports and journals, as where one step is
 * needed twice at the same time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Step<in Input, out Success, out Error, out CompensationError, out R> {
  (input: Input, options?: CallOptions): Effect.Effect<Success, Error, R | DurableStack<CompensationError>>
  readonly stepName: string
}

/**
 * @category options
 * @since 0.1.0
 */
export interface CallOptions {
  readonly name?: string | undefined
}

/**
 * Creates a step.
 *
 * **Details**
 *
 * - `input`, `success`, `error`, `compensationError`: schemas, by default `Void`, `Void`, `Never` and `Never`.
 * - `retry` and `compensationRetry`: when a failed attempt is repeated. The schedule gets the error, so `Schedule.while` can
 *   leave errors out, after `Schedule.setInputType` has told it their type. Defects are not repeated.
 * - `timeout`: how long each attempt of the action may take. After that it is interrupted and fails with
 *   `Cause.TimeoutError` (as schema: `Step.TimeoutError`), and nobody knows whether it took effect: such an action is best undone with `compensateExit`.
 * - `compensationTimeout`: how long each attempt of the compensation may take.
 * - `ambiguous`: for an action that must not run twice, and whose service knows no idempotency keys. Its start is written
 *   down first; when the process dies while it runs, it fails with `OutcomeUnknown` instead of running again.
 *
 * **Gotchas**
 *
 * - A value that does not fit the schema of the step can't be kept: it is undone at once, and the step dies. Where undoing
 *   it at once fails, it is undone with the saga.
 * - Without `success` nothing is kept of what the action succeeds with: the body and the compensation are given `undefined`.
 *
 * **Example** (A step in memory)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Saga, Step } from "effect-saga"
 *
 * const log: Array<string> = []
 * const note = (line: string) => Effect.sync(() => { log.push(line) })
 *
 * const charge = Step.make("charge", {
 *   input: Schema.Number,
 *   success: Schema.String,
 *   action: (amount) => Effect.as(note(`charge ${amount}`), "receipt-1"),
 *   compensate: (receipt, { input }) => note(`refund ${input} for ${receipt}`)
 * })
 *
 * const program = charge(100).pipe(Effect.andThen(Effect.fail("out of stock")), Saga.transact, Effect.flip)
 *
 * await Effect.runPromise(program) // => "out of stock"
 * log // => ["charge 100", "refund 100 for receipt-1"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  Input extends Storable = Schema.Void,
  Success extends Storable = Schema.Void,
  Error extends Storable = Schema.Never,
  CompensationError extends Storable = Schema.Never,
  R1 = never,
  R2 = never,
  R3 = never,
  R4 = never,
  Timeout extends Duration.Input | undefined = undefined,
  CompensationTimeout extends Duration.Input | undefined = undefined,
  const Ambiguous extends boolean | undefined = false
>(
  name: string,
  options:
    & {
      readonly input?: Input | undefined
      readonly success?: Success | undefined
      readonly error?: Error | undefined
      readonly compensationError?: CompensationError | undefined
      readonly action: (
        input: Input["Type"],
        context: ActionContext
      ) => Effect.Effect<Success["Type"], Error["Type"], R1>
      readonly retry?: Schedule.Schedule<unknown, Error["Type"] | make.TimeLimit<Timeout>, never, R3> | undefined
      readonly compensationRetry?:
        | Schedule.Schedule<unknown, CompensationError["Type"] | make.TimeLimit<CompensationTimeout>, never, R4>
        | undefined
      readonly timeout?: Timeout
      readonly compensationTimeout?: CompensationTimeout
      readonly ambiguous?: Ambiguous
    }
    & Compensation<
      Input["Type"],
      Success["Type"],
      Error["Type"] | make.TimeLimit<Timeout> | make.Unknown<Ambiguous>,
      CompensationError["Type"],
      R2
    >
): Step<
  Input["Type"],
  Success["Type"],
  Error["Type"] | make.TimeLimit<Timeout> | make.Unknown<Ambiguous>,
  CompensationError["Type"] | make.TimeLimit<CompensationTimeout>,
  R1 | R2 | R3 | R4
> => {
  const spec = specOf(name, options as unknown as AnyOptions)
  const step = (input?: unknown, options?: CallOptions) => {
    if (options !== undefined) {
      Check.options(`Step "${name}"`, options)
      Check.name(`Step "${name}"`, options.name)
    }
    return call(spec, input, options?.name ?? name)
  }
  return Object.assign(step, { stepName: name }) as never
}

/**
 * @since 0.1.0
 */
export declare namespace make {
  /**
   * What a time limit adds to the errors of a step.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type TimeLimit<Timeout> = [Timeout & {}] extends [never] ? never : Cause.TimeoutError

  /**
   * What being ambiguous adds to the errors of a step.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Unknown<Ambiguous> = [Ambiguous & true] extends [never] ? never : OutcomeUnknown
}

interface AnyOptions {
  readonly input?: Storable
  readonly success?: Storable
  readonly error?: Storable
  readonly compensationError?: Storable
  readonly action: StepSpec["action"]
  readonly compensate?: StepSpec["compensate"]
  readonly compensateExit?: StepSpec["compensate"]
  readonly retry?: AnySchedule
  readonly compensationRetry?: AnySchedule
  readonly timeout?: Duration.Input
  readonly compensationTimeout?: Duration.Input
  readonly ambiguous?: boolean
}

const specOf = (name: string, options: AnyOptions): StepSpec => {
  const where = "Step.make"
  Check.requiredName(where, name)
  Check.requiredOptions(where, options)
  Check.keys(where, options, [
    "input",
    "success",
    "error",
    "compensationError",
    "action",
    "compensate",
    "compensateExit",
    "retry",
    "compensationRetry",
    "timeout",
    "compensationTimeout",
    "ambiguous"
  ])
  for (const key of ["input", "success", "error", "compensationError"] as const) {
    Check.schema(`${where}: ${key}`, options[key])
  }
  for (const key of ["retry", "compensationRetry"] as const) Check.schedule(`${where}: ${key}`, options[key])
  Check.callback(`${where}: action`, options.action, "a function that returns an Effect")
  for (const key of ["compensate", "compensateExit"] as const) {
    if (options[key] !== undefined) {
      Check.callback(`${where}: ${key}`, options[key], "a function that returns an Effect")
    }
  }
  if (options.compensate !== undefined) {
    Check.absent(`${where}: compensateExit, beside compensate,`, options.compensateExit)
  }
  Check.flag(`${where}: ambiguous`, options.ambiguous)
  return {
    name,
    input: Codec.make(options.input ?? Schema.Void),
    success: Codec.make(options.success ?? Schema.Void),
    isVoid: options.success === undefined || options.success === Schema.Void,
    cause: Codec.makeCause([options.error ?? Schema.Never, OutcomeUnknown]),
    compensationCause: Codec.makeCause([options.compensationError ?? Schema.Never]),
    action: options.action,
    compensate: options.compensate ?? options.compensateExit,
    compensatesExit: options.compensateExit !== undefined,
    retry: options.retry,
    compensationRetry: options.compensationRetry,
    timeout: Check.duration(`${where}: timeout`, options.timeout),
    compensationTimeout: Check.duration(`${where}: compensationTimeout`, options.compensationTimeout),
    ambiguous: options.ambiguous === true,
    outcomeUnknown: (step) => new OutcomeUnknown({ step })
  }
}
