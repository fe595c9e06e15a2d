/**
 * Sagas that survive their process.
 *
 * A definition names a saga and the schemas of its payload, success and error; `toLayer` gives it a body, which an engine
 * runs. Every result of a step is written to the journal of its execution before the saga goes on, so an execution whose process
 * was killed goes on where it stopped: forward, or undoing.
 *
 * **Details**
 *
 * - A body is an effect like any other, with `Step`s instead of `Saga.step`, and is closed like by `Saga.transact`.
 *   Everything that `Saga` promises holds for it: `Saga.all`, `Saga.savepoint`, `Saga.pivot` and the rules of undoing.
 * - After a crash the body runs again from its start, and steps that had ended return at once what they returned then.
 * - One payload, one execution: starting it again joins the one that runs, or reads the result of the one that has ended.
 * - What a schema calls `Redacted` is stored with a mark, `{"~redacted": ...}`, and no operator is shown it. It is in the
 *   store all the same: encrypting is up to the `codec` of the engine.
 *
 * **Gotchas**
 *
 * Code between steps has to be deterministic: it runs again after a crash, and has to ask for the same steps with the same
 * inputs. Take the time from `Durable.now` and ids from `Durable.uuid`, do everything that has an effect, or whose
 * result may change, in a `Step`, and branch on nothing else. An execution whose code asks for something else than its
 * journal has is parked, before anything is done.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CompensationStack, DurableOnly, DurableStack, Pivot } from "./CompensationStack.ts"
import * as Attributes from "./internal/attributes.ts"
import * as Check from "./internal/check.ts"
import * as Codec from "./internal/codec.ts"
import type { Definition } from "./internal/definition.ts"
import * as durableWait from "./internal/durableWait.ts"
import { currentFrame } from "./internal/run.ts"
import type { StartCall } from "./internal/runner.ts"
import { currentAction, executionOf } from "./internal/stepAttempt.ts"
import { type DecisionOptions, type Result, SagaEngine } from "./SagaEngine.ts"
import { Cancelled, InvalidPayload, SagaEngineError } from "./SagaEngineError.ts"
import { CommittedIncomplete, CompensationFailed } from "./SagaError.ts"
import { SagaStoreError } from "./SagaStoreError.ts"
import type { Signal } from "./Signal.ts"
import type { Storable } from "./Step.ts"

export type { Attributes } from "./internal/attributes.ts"
export { Cancelled } from "./SagaEngineError.ts"

/**
 * How an execution of a definition with the error `E` may fail:
 *
 * - with `E`, when all that it had done was undone,
 * - with `CompensationFailed`, when something was not undone,
 * - with `CommittedIncomplete`, when it failed after its pivot and counts as done,
 * - with `Cancelled`, when somebody had it cancelled and all was undone.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure<E> = E | CompensationFailed<E, unknown> | CommittedIncomplete<E> | Cancelled

/**
 * Why a call of an engine did not do what it should: the store can't be used now, or the engine refused.
 *
 * @category models
 * @since 0.1.0
 */
export type CallError = SagaStoreError | SagaEngineError

/**
 * A definition of durable sagas.
 *
 * @category models
 * @since 0.1.0
 */
export interface DurableSaga<
  out Name extends string,
  Payload extends Storable,
  Success extends Storable,
  Error extends Storable
> {
  readonly name: Name
  readonly version: number
  readonly payload: Payload
  readonly success: Success
  readonly error: Error

  /** Gives the definition its body, and has an engine run it. The layer has to live as long as executions are to run. */
  readonly toLayer: <E extends BodyError<Error["Type"]>, R>(
    body: (
      payload: Payload["Type"]
    ) => Effect.Effect<Success["Type"], E, R> & NoPlainStep<R>
  ) => Layer.Layer<never, never, SagaEngine | BodyServices<R>>

  /** The id of the execution of a payload: the name of the definition, a slash, and the idempotency key. */
  readonly executionId: (payload: Payload["Type"]) => string

  /**
   * Starts the execution of a payload, or joins it, and waits for its result. In the body of another durable saga it is a
   * child of that one: started once, its result kept, and cancelled when the parent is, or when it stops waiting. What a
   * child has done stays done when its parent is undone, unless a `Step` around it says how to undo it.
   */
  readonly execute: (
    payload: Payload["Type"]
  ) => Effect.Effect<Success["Type"], Failure<Error["Type"]> | CallError, SagaEngine>

  /** Starts the execution of a payload, or joins it. Returns its id once the start is durable. */
  readonly start: (payload: Payload["Type"]) => Effect.Effect<string, CallError, SagaEngine>

  /** Waits for the result of an execution. */
  readonly await: (
    execution: string
  ) => Effect.Effect<Success["Type"], Failure<Error["Type"]> | CallError, SagaEngine>

  /** The result of an execution, if it has ended. */
  readonly poll: (
    execution: string
  ) => Effect.Effect<Option.Option<Exit.Exit<Success["Type"], Failure<Error["Type"]>>>, CallError, SagaEngine>

  /** Has an execution undone at its next step or wait, and its children with it. Returns once that is durable. */
  readonly cancel: (execution: string, options?: DecisionOptions) => Effect.Effect<void, CallError, SagaEngine>

  /** Sends a signal, also to an execution that has not started yet. Returns once that is durable. */
  readonly signal: <S extends Storable>(
    execution: string,
    signal: Signal<S>,
    value: S["Type"],
    options?: DecisionOptions
  ) => Effect.Effect<void, CallError, SagaEngine>
}

/**
 * The errors that the body of a definition with the error `E` may fail with.
 *
 * @category utility types
 * @since 0.1.0
 */
export type BodyError<E> =
  | E
  | CompensationFailed<unknown, unknown>
  | CommittedIncomplete<unknown>
  | Cancelled
  | CallError

/**
 * The services that the body needs from its layer.
 *
 * @category utility types
 * @since 0.1.0
 */
export type BodyServices<R> = R extends DurableStack<unknown> | DurableOnly | Pivot | SagaEngine ? never : R

/**
 * Makes a body with a `Saga.step`, or with a `Saga.pivot` of a plain effect, an error.
 *
 * @category utility types
 * @since 0.1.0
 */
export type NoPlainStep<R> = [Extract<R, CompensationStack<unknown>>] extends [never] ? unknown
  : "Saga.step, or Saga.pivot of a plain effect, would be repeated after a crash: in a durable saga, make steps with Step.make"

/**
 * Defines durable sagas.
 *
 * **Details**
 *
 * - The name stands in ids, before a slash. It has at most 200 characters.
 * - `version` (default 1): change it when the code of the body changes so that executions that are running do not fit any
 *   more. They go on with the code that they began with, as long as a definition of that version is registered, too.
 * - `payload`, `success`, `error`: schemas, by default `Void`, `Void` and `Never`.
 * - `idempotencyKey`: what makes two payloads the same execution.
 * - `attributes`: what operators look for among executions, such as `({ customer }) => ({ customer })`. At most 20, with
 *   names of up to 100 characters and values of up to 500. They are kept as texts, as they are when the execution begins,
 *   for whoever can read the store: a `PayloadCodec` does not seal them, so put no secrets there.
 * - `onCompensationFailure`: what happens when a compensation has failed for good, or the saga failed after its pivot.
 *   `"park"` (default) waits for the decision of an operator: `SagaEngine.retry`, `skip` or `resolve`, and `cancel` after the pivot.
 *   `"fail"` goes on, and fails with `CompensationFailed` or `CommittedIncomplete`.
 *
 * **Example** (A saga that is kept)
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"
 *
 * const log: Array<string> = []
 * const note = (line: string) => Effect.sync(() => { log.push(line) })
 *
 * const reserve = Step.make("reserve", { action: () => note("reserve"), compensate: () => note("release") })
 * const charge = Step.make("charge", {
 *   input: Schema.Number,
 *   error: Schema.String,
 *   action: (amount) => amount > 100 ? Effect.fail("limit passed") : note("charge"),
 *   compensate: () => note("refund")
 * })
 *
 * const Order = DurableSaga.make("Order", {
 *   payload: Schema.Struct({ id: Schema.String, amount: Schema.Number }),
 *   success: Schema.String,
 *   error: Schema.String,
 *   idempotencyKey: ({ id }) => id
 * })
 * const OrderLayer = Order.toLayer(Effect.fnUntraced(function*({ amount, id }) {
 *   yield* reserve()
 *   yield* charge(amount)
 *   return `${id} is paid`
 * }))
 *
 * // Or SagaStore.layerSqlite({ filename: "sagas.db" })
 * const app = OrderLayer.pipe(Layer.provideMerge(SagaEngine.layer()), Layer.provide(SagaStore.layerMemory))
 *
 * const program = Effect.gen(function*() {
 *   return [
 *     yield* Order.execute({ id: "a", amount: 50 }),
 *     yield* Effect.flip(Order.execute({ id: "b", amount: 500 })),
 *     yield* Order.execute({ id: "a", amount: 50 })
 *   ]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(app))) // => ["a is paid", "limit passed", "a is paid"]
 * log // => ["reserve", "charge", "reserve", "release"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  const Name extends string,
  Payload extends Storable = Schema.Void,
  Success extends Storable = Schema.Void,
  Error extends Storable = Schema.Never
>(name: Name, options: {
  readonly version?: number | undefined
  readonly payload?: Payload | undefined
  readonly success?: Success | undefined
  readonly error?: Error | undefined
  readonly idempotencyKey: (payload: Payload["Type"]) => string
  readonly attributes?: ((payload: Payload["Type"]) => Attributes.Attributes) | undefined
  readonly onCompensationFailure?: "park" | "fail" | undefined
}): DurableSaga<Name, Payload, Success, Error> => {
  check(name, options)
  const version = options.version ?? 1
  // Where a schema is not given, its type parameter is that of the default.
  const payload = (options.payload ?? Schema.Void) as Payload
  const success = (options.success ?? Schema.Void) as Success
  const error = (options.error ?? Schema.Never) as Error
  const payloads = Codec.make(payload)
  const successes = Codec.make(success)
  const causes = Codec.makeCause([
    error,
    CompensationFailed.schema({
      error: Schema.Union([error, Codec.AnyFailure]),
      compensationError: Codec.AnyFailure
    }) as Storable,
    CommittedIncomplete.schema({ error: Schema.Union([error, Codec.AnyFailure]) }) as Storable,
    Cancelled,
    SagaStoreError,
    SagaEngineError
  ])

  const idOf = (value: Payload["Type"]): string => `${name}/${options.idempotencyKey(value)}`

  /* What the engine is told to start. */
  const callOf = (value: Payload["Type"]): Exit.Exit<StartCall, SagaEngineError> => {
    const encoded = payloads.encode(value)
    if (Exit.isFailure(encoded)) return Exit.fail(invalid(`The payload of "${name}"`, message(encoded.cause)))
    const key: unknown = options.idempotencyKey(value)
    if (typeof key !== "string" || key === "") {
      return Exit.fail(invalid(`The payload of "${name}"`, `its idempotency key has to be a text that is not empty`))
    }
    if (!Check.isStorable(key)) {
      return Exit.fail(invalid(`The payload of "${name}"`, `its idempotency key has zero or half characters`))
    }
    const given: Attributes.Attributes = options.attributes === undefined ? {} : options.attributes(value)
    const problem = Attributes.problemWith(given)
    if (problem !== undefined) return Exit.fail(invalid(`The payload of "${name}"`, problem))
    const parent = currentAction(Fiber.getCurrent()!.context)?.execution.id
    return Exit.succeed({
      id: `${name}/${key}`,
      definition: name,
      version,
      payload: encoded.value,
      attributes: Attributes.stored(given),
      parent
    })
  }

  const resultOf = (
    execution: string,
    { cancelled, result, status }: Result
  ): Exit.Exit<Exit.Exit<Success["Type"], Failure<Error["Type"]>>, SagaEngineError> => {
    if (cancelled && status === "Compensated") return Exit.succeed(Exit.fail(new Cancelled({ execution })))
    const decoded = status === "Completed" ? successes.decode(result) : causes.decode(result)
    if (Exit.isFailure(decoded)) {
      return Exit.fail(invalid(`The result of execution "${execution}"`, message(decoded.cause)))
    }
    // The cause was encoded by the same codec, from that of the body.
    return Exit.succeed(
      status === "Completed"
        ? Exit.succeed(decoded.value)
        : Exit.failCause(decoded.value as Cause.Cause<Failure<Error["Type"]>>)
    )
  }

  const awaitResult = (execution: string) =>
    Effect.flatMap(
      SagaEngine,
      (engine) => Effect.flatMap(engine.await(execution), (result) => Effect.flatten(resultOf(execution, result)))
    )

  const start = (value: Payload["Type"]) =>
    Effect.flatMap(
      SagaEngine,
      (engine) => Effect.flatMap(callOf(value), (call) => Effect.as(engine.start(call), call.id))
    )

  return {
    name,
    version,
    payload,
    success,
    error,
    toLayer: (body) => {
      Check.callback(`DurableSaga "${name}": body`, body, "a function that returns an Effect")
      return Layer.effectDiscard(Effect.gen(function*() {
        const engine = yield* SagaEngine
        const context = yield* Effect.context<never>()
        const definition: Definition = {
          name,
          version,
          onCompensationFailure: options.onCompensationFailure ?? "park",
          payload: payloads,
          success: successes,
          cause: causes,
          body: body as Definition["body"],
          context
        }
        yield* engine.register(definition)
      })) as never
    },
    executionId: idOf,
    execute: (value) =>
      Effect.flatMap(SagaEngine, (engine) =>
        Effect.flatMap(callOf(value), (call) => {
          const frame = currentFrame(Fiber.getCurrent()!.context)
          const execution = frame === undefined ? undefined : executionOf(frame)
          if (execution === undefined) {
            return Effect.flatMap(engine.run(call), (result) => Effect.flatten(resultOf(call.id, result)))
          }
          return Effect.flatMap(durableWait.child(call), (ended) => {
            const exit = resultOf(call.id, ended)
            return Exit.isSuccess(exit)
              ? exit.value
              : execution.mismatch(`The result of child "${call.id}" does not fit its schema any more.`)
          })
        })),
    start,
    await: awaitResult,
    poll: (execution) =>
      Effect.flatMap(SagaEngine, (engine) =>
        Effect.flatMap(engine.poll(execution), (result) =>
          result === undefined
            ? Effect.succeed(Option.none())
            : Exit.map(resultOf(execution, result), Option.some))),
    cancel: (execution, by) => Effect.flatMap(SagaEngine, (engine) => engine.cancel(execution, by)),
    signal: (execution, signal, value, by) =>
      Effect.flatMap(SagaEngine, (engine) => {
        const encoded = Codec.make(signal.schema).encode(value)
        return Exit.isSuccess(encoded)
          ? engine.signal(execution, signal.name, encoded.value, by)
          : Effect.fail(invalid(`Signal "${signal.name}"`, message(encoded.cause)))
      })
  }
}

const check = (name: string, options: Parameters<typeof make>[1]): void => {
  const where = "DurableSaga.make"
  Check.definitionName(where, name)
  Check.requiredOptions(where, options)
  Check.keys(where, options, [
    "version",
    "payload",
    "success",
    "error",
    "idempotencyKey",
    "attributes",
    "onCompensationFailure"
  ])
  Check.integer(`${where}: version`, options.version)
  for (const key of ["payload", "success", "error"] as const) Check.schema(`${where}: ${key}`, options[key])
  Check.callback(
    `${where}: idempotencyKey`,
    options.idempotencyKey,
    "a function from the payload to a text"
  )
  if (options.attributes !== undefined) {
    Check.callback(`${where}: attributes`, options.attributes, "a function from the payload to an object")
  }
  Check.oneOf(`${where}: onCompensationFailure`, options.onCompensationFailure, ["park", "fail"])
}

const invalid = (what: string, detail: string): SagaEngineError =>
  new SagaEngineError({ reason: new InvalidPayload({ what, detail }) })

const message = (cause: Cause.Cause<Schema.SchemaError>): string =>
  cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error.message : String(reason)).join("; ")
