/**
 * Sagas as typed effects.
 *
 * A saga keeps data consistent across services without a distributed transaction: each step is an action with a
 * compensation, and when a later step fails, what was done is undone in reverse.
 *
 * **Details**
 *
 * - `step(action, compensate)` is an effect like any other. Compose steps with `Effect.gen`, `pipe`, `Saga.all`, and
 *   close the saga with `transact`.
 * - Once an action has succeeded its compensation is on the stack; no interruption and no defect comes between.
 * - Any exit but success unwinds: a typed failure, a defect in a step or between steps, an interruption.
 * - Compensations run in reverse order of completion, uninterruptibly, each of them whatever happens to the others.
 * - An action that has started settles before anything is undone.
 * - A saga that was undone fails with its original cause. One that was not, or not wholly, fails with
 *   `CompensationFailed` or `CommittedIncomplete`, never with the original error alone.
 *
 * The idea is that of H. Garcia-Molina and K. Salem, "Sagas", SIGMOD 1987.
 *
 * **Example** (Undoing a reservation)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const log: Array<string> = []
 * const note = (line: string) => Effect.sync(() => { log.push(line) })
 *
 * const order = Effect.gen(function*() {
 *   yield* Saga.step(note("reserve"), () => note("release"))
 *   yield* Saga.step(note("charge"), () => note("refund"))
 *   return yield* Effect.fail("out of stock")
 * }).pipe(Saga.transact)
 *
 * await Effect.runPromise(Effect.flip(order)) // => "out of stock"
 * log // => ["reserve", "charge", "refund", "release"]
 * ```
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type * as Types from "effect/Types"
import type { CompensationStack, DurableStack, Pivot } from "./CompensationStack.ts"
import { withBranches } from "./internal/branches.ts"
import * as Check from "./internal/check.ts"
import type { RunOptions, StepDefinition } from "./internal/run.ts"
import { runStep } from "./internal/step.ts"
import * as internal from "./internal/transact.ts"
import { type CommittedIncomplete, CompensationFailed, type Failure } from "./SagaError.ts"
import type { SagaReport } from "./SagaReport.ts"

export type { CompensationStack, DurableOnly, DurableStack, Pivot } from "./CompensationStack.ts"
export { CommittedIncomplete, CompensationFailed, type Failure, FailureOrigin, type StepFailure } from "./SagaError.ts"

/**
 * Choices for one step.
 *
 * @category options
 * @since 0.1.0
 */
export interface StepOptions {
  /** What the step is called in reports, events and errors. Default `"step"`. */
  readonly name?: string | undefined
  /**
   * Whether an interruption may end the running action. Default `false`: a started action settles, and is then undone
   * like any other. Where it is `true`, an interrupted action has the outcome `Unknown`; `stepExit` can undo it.
   */
  readonly interruptible?: boolean | undefined
}

/**
 * Choices for a pivot or a savepoint.
 *
 * @category options
 * @since 0.1.0
 */
export interface NameOptions {
  /** What it is called in reports, events and errors. Default `"pivot"` or `"savepoint"`. */
  readonly name?: string | undefined
}

/**
 * Choices for a whole saga.
 *
 * @category options
 * @since 0.1.0
 */
export interface TransactOptions {
  /** What the saga is called in reports, events and errors. Default `"saga"`. */
  readonly name?: string | undefined
  /**
   * What happens to the compensations that are still to run when one has failed: `"continue"` (default) runs them,
   * `"stop"` leaves them, and the report lists them as remaining.
   */
  readonly onCompensationFailure?: "continue" | "stop" | undefined
  /**
   * How long each compensation may take. One that takes longer is interrupted and counts as failed; where it can't be
   * interrupted, it is waited for, and counts as failed all the same.
   */
  readonly compensationTimeout?: Duration.Input | undefined
  /** How long unwinding may take in all. What has not been undone by then is left, and reported as remaining. */
  readonly unwindTimeout?: Duration.Input | undefined
  /**
   * Which causes undo the saga, by default all. With a cause it rejects the saga fails and leaves everything as it is;
   * the report says so.
   */
  readonly compensateWhen?: ((cause: Cause.Cause<unknown>) => boolean) | undefined
}

/**
 * How the compensations of parallel branches run: `"sequential"` (default) in reverse order of completion over all
 * branches, `"parallel"` branch by branch side by side, each in its own reverse order.
 *
 * @category options
 * @since 0.1.0
 */
export interface BranchOptions {
  readonly concurrency?: Types.Concurrency | undefined
  readonly compensation?: "sequential" | "parallel" | undefined
}

/**
 * Runs `action` and, once it has succeeded, remembers how to undo it.
 *
 * **Details**
 *
 * When the saga fails later, `compensate` gets the value of the action and the cause of the failure. It runs with the
 * services that the action had. The errors of `compensate` travel in the requirements, as `CompensationStack<CE>`, until
 * `transact` turns them into `CompensationFailed<E, CE>`.
 *
 * A started action is not interrupted, neither from outside nor by the failure of a sibling: it may have taken effect.
 * Timeouts inside the action work as always.
 *
 * **Gotchas**
 *
 * - A step that fails is not compensated: it is up to an action to leave nothing behind when it fails. Where it can't,
 *   use `stepExit`.
 * - A compensation runs after the body of its saga has ended, so a scope that was closed in the body is closed for it.
 *   One that needs a scope brings its own with `Effect.scoped`, or the saga stands inside `Effect.scoped`.
 * - A saga waits for the actions that run in forked fibers. Join those fibers, and give their actions a timeout: one
 *   that never settles holds up the end of its saga, `interruptible` or not.
 *
 * **Example** (Giving the compensation what the action returned)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const undone: Array<number> = []
 *
 * const program = Saga.step(
 *   Effect.succeed(42),
 *   (id) => Effect.sync(() => { undone.push(id) }),
 *   { name: "book-flight" }
 * ).pipe(
 *   Effect.andThen(Effect.fail("no hotel")),
 *   Saga.transact,
 *   Effect.flip
 * )
 *
 * await Effect.runPromise(program) // => "no hotel"
 * undone // => [42]
 * ```
 *
 * @see {@link stepExit} for an action that has to be undone even where it failed
 * @category combinators
 * @since 0.1.0
 */
export const step: {
  <A, CE = never, R2 = never>(
    compensate: (value: NoInfer<A>, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): <E, R>(action: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2 | CompensationStack<CE>>
  <A, CE = never, R2 = never>(
    compensate: (value: A, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): <B extends A, E, R>(action: Effect.Effect<B, E, R>) => Effect.Effect<B, E, R | R2 | CompensationStack<CE>>
  <A, E, R, CE = never, R2 = never>(
    action: Effect.Effect<A, E, R>,
    compensate: (value: NoInfer<A>, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): Effect.Effect<A, E, R | R2 | CompensationStack<CE>>
} = stepOf("step")

/**
 * Runs `action` and undoes it whatever became of it: when it failed, died, timed out or was interrupted too.
 *
 * **When to use**
 *
 * Use where an action that did not succeed may have taken effect all the same, as a request that timed out.
 *
 * **Details**
 *
 * `compensate` gets the `Exit` of the action, so it can look up what happened, or act on success or failure only. In all
 * else it is a `step`: when its own failure ends the saga, its compensation is the first to run.
 *
 * **Example** (Undoing a charge whose answer never came)
 *
 * ```ts
 * import { Effect, Exit } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const log: Array<string> = []
 *
 * const program = Saga.stepExit(
 *   Effect.fail("connection reset"),
 *   (exit) => Effect.sync(() => { log.push(Exit.isFailure(exit) ? "void the charge if there is one" : "refund") }),
 *   { name: "charge" }
 * ).pipe(Saga.transact, Effect.flip)
 *
 * await Effect.runPromise(program) // => "connection reset"
 * log // => ["void the charge if there is one"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const stepExit: {
  <A, E, CE = never, R2 = never>(
    compensate: (exit: NoInfer<Exit.Exit<A, E>>, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): <R>(action: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2 | CompensationStack<CE>>
  <A, E, CE = never, R2 = never>(
    compensate: (exit: Exit.Exit<A, E>, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): <B extends A, F extends E, R>(
    action: Effect.Effect<B, F, R>
  ) => Effect.Effect<B, F, R | R2 | CompensationStack<CE>>
  <A, E, R, CE = never, R2 = never>(
    action: Effect.Effect<A, E, R>,
    compensate: (exit: NoInfer<Exit.Exit<A, E>>, cause: Cause.Cause<unknown>) => Effect.Effect<unknown, CE, R2>,
    options?: StepOptions
  ): Effect.Effect<A, E, R | R2 | CompensationStack<CE>>
} = stepOf("stepExit")

/**
 * Compensation of a step that has nothing to undo. The step still has a name and a place in the report, where its
 * outcome is `NoCompensation` when the saga unwinds.
 *
 * @category combinators
 * @since 0.1.0
 */
export const noCompensation = (): Effect.Effect<void> => Effect.void

/**
 * Runs `action` as the point of no return: once it has succeeded, the saga counts as done.
 *
 * **Details**
 *
 * What stands before a pivot that succeeded is never undone, and steps after it leave no compensation. When the saga
 * fails later, it fails with `CommittedIncomplete<E>`, which only a saga with a pivot has among its errors. A pivot that
 * fails is a step that fails: the saga unwinds.
 *
 * **Example** (Failing after the confirmation was sent)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const program = Effect.gen(function*() {
 *   yield* Saga.step(Effect.succeed("paid"), () => Effect.die("never runs"))
 *   yield* Saga.pivot(Effect.succeed("mail sent"), { name: "send-mail" })
 *   return yield* Effect.fail("statistics are down")
 * }).pipe(
 *   Saga.transact,
 *   Effect.catchTag("CommittedIncomplete", (error) => Effect.succeed(error._tag))
 * )
 *
 * await Effect.runPromise(program) // => "CommittedIncomplete"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const pivot: <const Arg extends Effect.All.EffectAny | NameOptions | undefined = {}>(
  actionOrOptions?: Arg,
  options?: NameOptions
) => [Arg] extends [Effect.Effect<infer A, infer E, infer R>] ? Effect.Effect<A, E, R | pivot.Requirement<R>>
  : <A, E, R>(action: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | pivot.Requirement<R>> = withOptions(
    "Saga.pivot",
    checkName,
    (action, name = "pivot") =>
      runStep(action, { name, kind: "pivot", compensate: undefined, interruptible: false, durable: false })
  )

/**
 * @since 0.1.0
 */
export declare namespace pivot {
  /**
   * What a pivot adds to the requirements `R` of its action: in a durable saga the action is a `Step`.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Requirement<R> =
    | Pivot
    | ([Extract<R, DurableStack<unknown>>] extends [never] ? CompensationStack<never> : never)
}

/**
 * Runs effects with steps in them side by side or one after another, as `Effect.all` does, with a stack for each.
 *
 * **Details**
 *
 * Takes tuples, structs and iterables, with the options of `Effect.all` and its inference. When one branch fails, the
 * queued ones never start, and the actions that run settle before anything is undone. The failures of all branches are
 * in the cause.
 *
 * **Gotchas**
 *
 * As with `Effect.all`, branches run one after another unless `concurrency` says otherwise.
 *
 * **Example** (Booking hotel and car at the same time)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const book = (what: string) => Saga.step(Effect.succeed(`${what} booked`), () => Effect.void, { name: what })
 *
 * const program = Saga.all({ hotel: book("hotel"), car: book("car") }, { concurrency: "unbounded" }).pipe(
 *   Saga.transact
 * )
 *
 * await Effect.runPromise(program) // => { hotel: "hotel booked", car: "car booked" }
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const all = <
  const Arg extends Iterable<Effect.All.EffectAny> | Record<string, Effect.All.EffectAny>,
  O extends AllOptions
>(arg: Arg, options?: O & NoExcess<O, AllOptions>): Effect.All.Return<Arg, O> => {
  checkBranches("Saga.all", options)
  Check.oneOf("Saga.all: mode", options?.mode, ["default", "result"])
  return withBranches<unknown, unknown, unknown>(
    "all",
    options?.compensation ?? "sequential",
    (branch) =>
      Effect.all(
        isIterable(arg)
          ? Array.from(arg, (effect, index) => branch(effect, index))
          : Object.fromEntries(Object.entries(arg).map(([key, effect]) => [key, branch(effect, key)])),
        options
      )
    // `branch` changes no type, so this is what `Effect.all` returns for `arg` and `options`.
  ) as Effect.All.Return<Arg, O>
}

/**
 * Runs an effect with steps in it for each element, as `Effect.forEach` does, with a stack for each.
 *
 * @see {@link all} for what happens when a branch fails
 * @category combinators
 * @since 0.1.0
 */
export const forEach: {
  <A, B, E, R, S extends Iterable<A> = Iterable<A>, const Discard extends boolean = false>(
    f: (a: A, i: number) => Effect.Effect<B, E, R>,
    options?: BranchOptions & { readonly discard?: Discard | undefined }
  ): (self: [S] extends [never] ? Iterable<A> : S) => Effect.Effect<
    Discard extends false ? Arr.ReadonlyArray.With<S, B> : void,
    E,
    R
  >
  <B, E, R, S extends Iterable<unknown>, const Discard extends boolean = false>(
    self: S,
    f: (a: Arr.ReadonlyArray.Infer<S>, i: number) => Effect.Effect<B, E, R>,
    options?: BranchOptions & { readonly discard?: Discard | undefined }
  ): Effect.Effect<Discard extends false ? Arr.ReadonlyArray.With<S, B> : void, E, R>
} = dual((args) => typeof args[1] === "function", <A, B, E, R>(
  self: Iterable<A>,
  f: (a: A, i: number) => Effect.Effect<B, E, R>,
  options?: BranchOptions & { readonly discard?: boolean | undefined }
): Effect.Effect<Array<B> | void, E, R> => {
  checkBranches("Saga.forEach", options)
  return withBranches(
    "forEach",
    options?.compensation ?? "sequential",
    (branch) => Effect.forEach(self, (a, i) => branch(Effect.suspend(() => f(a, i)), i), options)
  )
})

/**
 * Makes a part of a saga unwind alone when it fails. When it succeeds, its steps join the stack around it.
 *
 * **When to use**
 *
 * Use with `Effect.retry` to undo and redo a part of a saga, and with `Effect.catchTag` to go another way round a part
 * that failed.
 *
 * **Details**
 *
 * When a compensation of the part fails, the savepoint fails with `CompensationFailed`. When the part had a pivot and
 * fails after it, the savepoint fails with `CommittedIncomplete`, as its saga would.
 *
 * **Gotchas**
 *
 * Do not redo what could not be undone: let a retry leave `CompensationFailed` alone, as in
 * `Effect.retry({ times: 2, while: (error) => !Saga.isCompensationFailed(error) })`. A savepoint that starts after the
 * pivot of its saga undoes nothing: retry its steps, not the whole of it.
 *
 * **Example** (Undoing and redoing a part)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const log: Array<string> = []
 * const note = (line: string) => Effect.sync(() => { log.push(line) })
 * let tries = 0
 *
 * const program = Effect.gen(function*() {
 *   yield* Saga.step(note("reserve"), () => note("release"))
 *   yield* Saga.step(note("charge"), () => note("refund")).pipe(
 *     Effect.andThen(Effect.suspend(() => ++tries < 2 ? Effect.fail("bank is busy") : Effect.void)),
 *     Saga.savepoint,
 *     Effect.retry({ times: 1 })
 *   )
 * }).pipe(Saga.transact)
 *
 * await Effect.runPromise(program)
 * log // => ["reserve", "charge", "refund", "charge"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const savepoint: <const Arg extends Effect.All.EffectAny | NameOptions | undefined = {}>(
  effectOrOptions?: Arg,
  options?: NameOptions
) => [Arg] extends [Effect.Effect<infer A, infer E, infer R>]
  ? Effect.Effect<A, E | Failure<E, CompensationStack.Error<R>> | transact.Incomplete<E, R>, R>
  : <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | Failure<E, CompensationStack.Error<R>> | transact.Incomplete<E, R>, R> = withOptions(
    "Saga.savepoint",
    checkName,
    (self, name = "savepoint") => internal.savepoint(self, name)
  )

/**
 * Closes a saga: on any exit but success, what its steps have done is undone.
 *
 * **Details**
 *
 * - Undone: the saga fails with its original cause, and `report` tells what happened.
 * - Not wholly undone: it fails with `CompensationFailed`. A saga whose compensations can't fail by their types, and one
 *   of them died, dies with that same error.
 * - Failed after its pivot: it fails with `CommittedIncomplete`.
 * - With a `compensationTimeout` or `unwindTimeout`, a compensation may also fail with `Cause.TimeoutError`.
 *
 * A `transact` inside a saga is a saga of its own: it commits, or is undone, on its own.
 *
 * **Example** (Handling a saga that could not be undone)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const program = Saga.step(
 *   Effect.succeed(100),
 *   () => Effect.fail("refund refused" as const),
 *   { name: "charge" }
 * ).pipe(
 *   Effect.andThen(Effect.fail("out of stock" as const)),
 *   Saga.transact({ name: "order" }),
 *   Effect.catchTag("CompensationFailed", (error) => Effect.succeed(error.failures.map(({ step }) => step))),
 *   Effect.catch((error) => Effect.succeed(error))
 * )
 *
 * await Effect.runPromise(program) // => ["charge"]
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const transact: <
  const Arg extends Effect.All.EffectAny | TransactOptions | undefined = UnlimitedOptions,
  const O extends TransactOptions = UnlimitedOptions
>(
  effectOrOptions?: Arg & NoExcess<Arg, TransactOptions>,
  options?: O & NoExcess<O, TransactOptions>
) => [Arg] extends [Effect.Effect<infer A, infer E, infer R>] ? Effect.Effect<
    A,
    | E
    | Failure<E, CompensationStack.Error<R> | transact.TimeLimit<O>>
    | transact.Incomplete<E, R>,
    transact.Without<R>
  >
  : <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<
    A,
    | E
    | Failure<E, CompensationStack.Error<R> | transact.TimeLimit<Arg>>
    | transact.Incomplete<E, R>,
    transact.Without<R>
  > = withOptions("Saga.transact", transactOptions, internal.transact)

/**
 * @since 0.1.0
 */
export declare namespace transact {
  /**
   * The error of a compensation that a time limit in the options `O` ended.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type TimeLimit<O> = [
    O extends unknown ? O[keyof O & ("compensationTimeout" | "unwindTimeout")] & {} : never
  ] extends [never] ? never : Cause.TimeoutError

  /**
   * The error that a pivot in `R` adds to a saga that fails with `E`.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Incomplete<E, R> = R extends Pivot ? CommittedIncomplete<E> : never

  /**
   * The requirements `R` without those that only a saga provides.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Without<R> = R extends CompensationStack<unknown> | DurableStack<unknown> | Pivot ? never : R
}

/**
 * Defines a function whose calls are sagas: a generator function as for `Effect.fn`, already transacted. The name is
 * that of the saga and of its tracing span.
 *
 * **Example** (Defining a saga with a name)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const transfer = Saga.fn("transfer")(function*(amount: number) {
 *   yield* Saga.step(Effect.succeed("debited"), () => Effect.void, { name: "debit" })
 *   if (amount > 100) return yield* Effect.fail("limit passed")
 *   return amount
 * })
 *
 * await Effect.runPromise(transfer(50)) // => 50
 * await Effect.runPromise(Effect.flip(transfer(500))) // => "limit passed"
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const fn = <const O extends FnOptions = Omit<UnlimitedOptions, "name"> & Tracer.SpanOptionsNoTrace>(
  name: string,
  options?: O & NoExcess<O, FnOptions>
): fn.Make<O> => {
  Check.name("Saga.fn", name)
  Check.options("Saga.fn", options)
  const settings = runOptions("Saga.fn", { ...options, name })
  const traced = Effect.fn(name, options)
  return ((body: (...args: Array<never>) => Generator<Effect.Effect<unknown, unknown, unknown>, unknown, never>) =>
    traced(body, (self) => internal.transact(self, settings))) as never
}

/**
 * @since 0.1.0
 */
export declare namespace fn {
  /**
   * Takes the body of a saga and gives back the function that runs it.
   *
   * @category utility types
   * @since 0.1.0
   */
  export interface Make<O extends TransactOptions> {
    <Eff extends Effect.All.EffectAny, A, Args extends ReadonlyArray<unknown>>(
      body: (this: unassigned, ...args: Args) => Generator<Eff, A, never>
    ): (...args: Args) => Effect.Effect<
      A,
      | Effect.Error<Eff>
      | Failure<Effect.Error<Eff>, CompensationStack.Error<Effect.Services<Eff>> | transact.TimeLimit<O>>
      | transact.Incomplete<Effect.Error<Eff>, Effect.Services<Eff>>,
      transact.Without<Effect.Services<Eff>>
    >
    <Self, Eff extends Effect.All.EffectAny, A, Args extends ReadonlyArray<unknown>>(
      body: (this: Self, ...args: Args) => Generator<Eff, A, never>
    ): (this: Self, ...args: Args) => Effect.Effect<
      A,
      | Effect.Error<Eff>
      | Failure<Effect.Error<Eff>, CompensationStack.Error<Effect.Services<Eff>> | transact.TimeLimit<O>>
      | transact.Incomplete<Effect.Error<Eff>, Effect.Services<Eff>>,
      transact.Without<Effect.Services<Eff>>
    >
  }
}

/**
 * Whether an error is a `CompensationFailed`: what was done is not, or not wholly, undone.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCompensationFailed = (error: unknown): error is CompensationFailed<unknown, unknown> =>
  error instanceof CompensationFailed

/**
 * The report of the saga that failed with `cause`: what became of each step. `None` where the cause comes from no saga.
 *
 * **Details**
 *
 * The report travels as an annotation of the cause, so it is there for a clean rollback too, whose error is unchanged.
 * It lives in the process: a cause that was stored or sent has lost it, except where its error is `CompensationFailed`
 * or `CommittedIncomplete`. As long as the cause is kept, so are the values of the steps.
 *
 * **Example** (Reading what became of each step)
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Saga } from "effect-saga"
 *
 * const program = Saga.step(Effect.void, () => Effect.void, { name: "reserve" }).pipe(
 *   Effect.andThen(Effect.fail("out of stock")),
 *   Saga.transact,
 *   Effect.catchCause((cause) => Effect.succeed(Option.getOrThrow(Saga.report(cause))))
 * )
 *
 * const report = await Effect.runPromise(program)
 * report.steps.map((step) => `${step.path}: ${step.outcome}`) // => ["reserve: Compensated"]
 * ```
 *
 * @category reporting
 * @since 0.1.0
 */
export const report = (cause: Cause.Cause<unknown>): Option.Option<SagaReport> =>
  Option.fromUndefinedOr(internal.report(cause))

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/*
 * `dual` for functions whose options may be left out. It differs in when options are checked: where they are written,
 * not where the effect comes in. The signature above each use is the type of what `run` does.
 */
function withOptions<Options, Settings>(
  where: string,
  check: (where: string, options: Options | undefined) => Settings,
  run: (self: AnyEffect, settings: Settings) => AnyEffect
) {
  return (first?: unknown, second?: unknown): never => {
    if (Effect.isEffect(first)) return run(first, check(where, second as Options | undefined)) as never
    Check.noPromise(`${where}: effect`, first)
    const settings = check(where, first as Options | undefined)
    return ((self: AnyEffect) => run(self, settings)) as never
  }
}

/* By hand and not with `dual`, which costs a fifth of what a whole step does. */
function stepOf(kind: "step" | "stepExit") {
  return (first: unknown, second: unknown, third?: unknown): never => {
    if (Effect.isEffect(first)) return runStep(first, defineStep(kind, second, third)) as never
    if (typeof second === "function") Check.effect(`Saga.${kind}: action`, first)
    const definition = defineStep(kind, first, second)
    return ((action: AnyEffect) => runStep(action, definition)) as never
  }
}

const defineStep = (kind: "step" | "stepExit", compensate: unknown, options: unknown): StepDefinition => {
  if (typeof compensate !== "function") {
    Check.callback(`Saga.${kind}: compensate`, compensate, "a function that returns an Effect")
  }
  const checked = options === undefined ? undefined : checkStep(`Saga.${kind}`, options as StepOptions)
  return {
    name: checked?.name ?? "step",
    kind,
    compensate: compensate === noCompensation ? undefined : compensate as StepDefinition["compensate"],
    interruptible: checked?.interruptible === true,
    durable: false
  }
}

const checkStep = (where: string, options: StepOptions): StepOptions => {
  Check.options(where, options)
  Check.name(where, options.name)
  Check.flag(`${where}: interruptible`, options.interruptible)
  return options
}

function checkName(where: string, options: NameOptions | undefined): string | undefined {
  Check.options(where, options)
  Check.name(where, options?.name)
  return options?.name
}

/* `Effect.fn` hands its arguments to what follows the body: they must not be taken for options. */
function transactOptions(where: string, options: TransactOptions | undefined): RunOptions {
  if (options === undefined) return defaults
  Check.options(where, options)
  Check.keys(where, options, Object.keys(defaults))
  return runOptions(where, options)
}

function runOptions(where: string, options: TransactOptions): RunOptions {
  Check.name(where, options.name)
  Check.oneOf(`${where}: onCompensationFailure`, options.onCompensationFailure, ["continue", "stop"])
  if (options.compensateWhen !== undefined) {
    Check.callback(
      `${where}: compensateWhen`,
      options.compensateWhen,
      "a function from a cause to true or false"
    )
  }
  return {
    name: options.name ?? defaults.name,
    onCompensationFailure: options.onCompensationFailure ?? defaults.onCompensationFailure,
    compensationTimeout: Check.duration(`${where}: compensationTimeout`, options.compensationTimeout),
    unwindTimeout: Check.duration(`${where}: unwindTimeout`, options.unwindTimeout),
    compensateWhen: options.compensateWhen
  }
}

const defaults: RunOptions = {
  name: "saga",
  onCompensationFailure: "continue",
  compensationTimeout: undefined,
  unwindTimeout: undefined,
  compensateWhen: undefined
}

const checkBranches = (where: string, options: BranchOptions | undefined): void => {
  if (options === undefined) return
  Check.options(where, options)
  Check.concurrency(where, options.concurrency)
  Check.oneOf(`${where}: compensation`, options.compensation, ["sequential", "parallel"])
}

const isIterable = <A>(value: Iterable<A> | Record<string, A>): value is Iterable<A> => Symbol.iterator in value

/* No inference site, and the default of type parameters for options: gives callbacks in them their contextual type. */
type UnlimitedOptions = Omit<TransactOptions, "compensationTimeout" | "unwindTimeout">
type FnOptions = Omit<TransactOptions, "name"> & Tracer.SpanOptionsNoTrace
type AllOptions = BranchOptions & {
  readonly discard?: boolean | undefined
  readonly mode?: "default" | "result" | undefined
}

/* Makes keys of `O` that are none of `Allowed` an error: TypeScript finds no excess property in an inferred type. */
type NoExcess<O, Allowed> = O extends Effect.All.EffectAny ? unknown
  : [Exclude<keyof O, keyof Allowed>] extends [never] ? unknown
  : { readonly [K in Exclude<keyof O, keyof Allowed>]: never }

/* Tells bodies without a `this` from those with one. */
declare const unassigned: unique symbol
type unassigned = typeof unassigned
