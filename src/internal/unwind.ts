import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { guarded } from "./guard.ts"
import { observe, record } from "./observe.ts"
import type { Entry, Failure, Frame, Item, ParallelGroup, Run } from "./run.ts"

/*
 * Undoing what a saga, or a part of it, has done.
 *
 * 1. What is to be undone is decided and taken once, before the first compensation, so a second unwinding can't take it
 *    again.
 * 2. The caller is uninterruptible, and so is every compensation. With a time limit it runs in a fiber of its own, which
 *    nothing but that limit interrupts.
 * 3. A compensation that fails is remembered and the next one runs; under `stop` no other one starts.
 */

/** What unwinding left behind. The rollback was clean where both are empty. */
export interface Rollback {
  readonly failures: ReadonlyArray<Failure>
  /** The steps that were not tried. */
  readonly remaining: ReadonlyArray<Entry>
}

/** Takes what is pending at or below `frame` and undoes it. Must run uninterruptibly. */
export const unwind = (frame: Frame, cause: Cause.Cause<unknown>): Effect.Effect<Rollback> => {
  const run = frame.run
  const unwinding = new Unwinding(run, cause, take(frame))
  const { entries } = unwinding
  // A time limit that has passed before a crash is not to pass again.
  const tried = run.journal === undefined ? entries : entries.filter((entry) => !run.journal!.isLeft(frame, entry))
  const started = record(run, { _tag: "UnwindStarted", frame, cause, pending: entries, at: unwinding.startedAt })
  // Whatever ends the plan, what it has not tried is accounted for.
  const undone = Effect.flatMap(Effect.exit(runPlan(unwinding, plan(frame, tried), 0)), () => {
    const { failures, remaining } = unwinding
    if (remaining.length > 0) run.hasRemaining = true
    const at = run.clock.currentTimeMillisUnsafe()
    return Effect.as(record(run, { _tag: "UnwindFinished", frame, remaining, at }), { failures, remaining })
  })
  return run.unheard ? undone : Effect.andThen(started, undone)
}

/** What is pending at or below `frame`, the last to end first, as nobody's business any more but the caller's. */
export const take = (frame: Frame): ReadonlyArray<Entry> => {
  const { log } = frame.run
  const entries: Array<Entry> = []
  for (let index = log.length - 1; index >= frame.logStart; index--) {
    const item = log[index]!
    if (item._tag === "Step" && item.stack === "Pending" && frame.contains(item.frame)) {
      item.stack = "Taken"
      entries.push(item)
    }
  }
  return entries
}

class Unwinding {
  readonly run: Run
  readonly cause: Cause.Cause<unknown>
  readonly entries: ReadonlyArray<Entry>
  readonly startedAt: number
  readonly failures: Array<Failure> = []
  /** The entries whose compensation a time limit of the saga ended. */
  readonly timedOut = new Set<Entry>()
  /** Whether the saga limits the time of its compensations. */
  readonly limited: boolean
  /** By the monotonic clock, in nanoseconds. */
  private deadline: bigint | undefined

  constructor(run: Run, cause: Cause.Cause<unknown>, entries: ReadonlyArray<Entry>) {
    const { clock, options } = run
    this.run = run
    this.cause = cause
    this.entries = entries
    this.startedAt = clock.currentTimeMillisUnsafe()
    this.limited = options.compensationTimeout !== undefined || options.unwindTimeout !== undefined
    this.deadline = options.unwindTimeout === undefined
      ? undefined
      : clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(options.unwindTimeout)
  }

  get remaining(): ReadonlyArray<Entry> {
    return this.entries.filter((entry) => entry.stack === "Taken")
  }

  get millisLeft(): number {
    if (this.deadline === undefined) return Infinity
    return Number(this.deadline - this.run.clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  /** Whether a compensation that is late waits for an operator, like any that fails. */
  get parks(): boolean {
    return this.run.journal?.parks === true
  }

  /** Whether no further compensation may start. */
  get halted(): boolean {
    return this.run.stopped || (this.millisLeft <= 0 && !this.parks)
  }

  liftDeadline(): void {
    this.deadline = undefined
  }
}

/* What runs one after another: an entry, or the branches of a group that unwind side by side. */
type Plan = ReadonlyArray<Entry | { readonly _tag: "Branches"; readonly branches: ReadonlyMap<Frame, Array<Entry>> }>

const plan = (scope: Frame, entries: ReadonlyArray<Entry>): Plan => {
  if (!scope.run.hasParallelGroups) return entries
  const groups = new Map<ParallelGroup, Map<Frame, Array<Entry>>>()
  const order: Array<Entry | ParallelGroup> = []
  for (const entry of entries) {
    const branch = outermostBranch(scope, entry.frame)
    if (branch === undefined) {
      order.push(entry)
      continue
    }
    let branches = groups.get(branch.group!)
    if (branches === undefined) {
      groups.set(branch.group!, branches = new Map())
      order.push(branch.group!)
    }
    const own = branches.get(branch)
    if (own === undefined) branches.set(branch, [entry])
    else own.push(entry)
  }
  return order.map((item) => item._tag === "Step" ? item : { _tag: "Branches", branches: groups.get(item)! })
}

/* The branch of a parallel group that `frame` is in, seen from `scope`. */
const outermostBranch = (scope: Frame, frame: Frame): Frame | undefined => {
  let branch: Frame | undefined
  for (let current: Frame | undefined = frame; current !== undefined && current !== scope; current = current.outer) {
    if (current.group !== undefined) branch = current
  }
  return branch
}

/*
 * Compensations have the context of their step, all else that of the saga. Where there is nothing else, no observer and
 * no time limit, the context that entries mostly share is set once for all of them.
 */
const runPlan = (unwinding: Unwinding, items: Plan, depth: number): Effect.Effect<void> => {
  const alone = unwinding.run.unheard && !unwinding.limited
  const first = alone ? items.find((item) => item._tag === "Step") : undefined
  if (first === undefined) return runItems(unwinding, items, undefined, depth)
  return Effect.setContext(runItems(unwinding, items, first.context, depth), first.context)
}

const runItems = (
  unwinding: Unwinding,
  items: Plan,
  context: Context.Context<never> | undefined,
  depth: number
): Effect.Effect<void> => {
  let index = 0
  return Effect.whileLoop({
    while: () => index < items.length && !unwinding.halted,
    body: (): Effect.Effect<Exit.Exit<unknown, unknown> | void> => {
      const item = items[index]!
      return item._tag === "Step" ? compensate(unwinding, item, context) : runBranches(unwinding, item.branches, depth)
    },
    step: (exit) => {
      const item = items[index++]!
      // Where somebody wants to hear of it, `compensate` has done this before.
      if (item._tag === "Step" && unwinding.run.unheard) settle(unwinding, item, exit!)
    }
  })
}

/*
 * Branches are planned when they start. Where groups are nested, their fibers start and end one inside the other, so now
 * and then one yields: that depth must not overflow the stack.
 */
const runBranches = (
  unwinding: Unwinding,
  branches: ReadonlyMap<Frame, ReadonlyArray<Entry>>,
  depth: number
): Effect.Effect<void> =>
  Effect.forEach(
    branches,
    ([branch, own]) => {
      const undone = Effect.suspend(() => runPlan(unwinding, plan(branch, own), depth + 1))
      return depth % 50 === 49 ? Effect.andThen(Effect.yieldNow, Effect.andThen(undone, Effect.yieldNow)) : undone
    },
    { concurrency: "unbounded", discard: true }
  )

const compensate = (
  unwinding: Unwinding,
  entry: Entry,
  context: Context.Context<never> | undefined
): Effect.Effect<Exit.Exit<unknown, unknown>> => {
  const { run } = unwinding
  entry.stack = "Tried"
  const invoked = invoke(unwinding, entry)
  const inContext = entry.context === context ? invoked : Effect.setContext(invoked, entry.context)
  const compensated = Effect.exit(unwinding.parks ? inContext : limit(unwinding, entry, inContext))
  if (run.unheard) return compensated
  const at = run.clock.currentTimeMillisUnsafe()
  return observe(run, { _tag: "CompensationStarted", entry, at }).pipe(
    Effect.andThen(compensated),
    Effect.tap((exit) => observe(run, settle(unwinding, entry, exit)))
  )
}

/* Writes to the log how a compensation ended. */
const settle = (unwinding: Unwinding, entry: Entry, exit: Exit.Exit<unknown, unknown>): Item => {
  const { run } = unwinding
  const at = entry.kept?.at ?? run.clock.currentTimeMillisUnsafe()
  const cause = Exit.isSuccess(exit) ? returnedFailure(exit.value) : exit.cause
  const item: Item = cause === undefined
    ? { _tag: "CompensationSucceeded", entry, at }
    : { _tag: "CompensationFailed", entry, cause, unwinding, at }
  run.log.push(item)
  if (cause === undefined) return item
  const failure: Failure = { entry, cause, timedOut: unwinding.timedOut.has(entry) }
  run.failures.push(failure)
  unwinding.failures.push(failure)
  if (run.options.onCompensationFailure === "stop") run.stopped = true
  return item
}

const invoke = (unwinding: Unwinding, entry: Entry): Effect.Effect<unknown, unknown> => {
  const { compensate } = entry.step
  return Effect.suspend(() => {
    if (unwinding.limited && unwinding.parks) {
      entry.kept!.limits = {
        apply: (attempts) => limit(unwinding, entry, attempts),
        lift: () => unwinding.liftDeadline()
      }
    }
    const returned: unknown = compensate!(entry.given as never, unwinding.cause, entry)
    if (Effect.isEffect(returned)) return returned
    if (returned instanceof Promise) handleRejection(returned)
    return Effect.die(new Error(notAnEffect(entry)))
    // The services that the compensation needs were in the context of its step, by the type of the step.
  }) as Effect.Effect<unknown, unknown>
}

const limit = <R>(
  unwinding: Unwinding,
  entry: Entry,
  effect: Effect.Effect<unknown, unknown, R>
): Effect.Effect<unknown, unknown, R> => {
  if (!unwinding.limited) return effect
  const { compensationTimeout, unwindTimeout } = unwinding.run.options
  return Effect.suspend(() => {
    if (compensationTimeout === undefined && unwinding.millisLeft === Infinity) return effect
    const left = Duration.millis(Math.max(0, unwinding.millisLeft))
    const own = compensationTimeout !== undefined && Duration.isLessThanOrEqualTo(compensationTimeout, left)
    return Effect.timeoutOrElse(effect, {
      duration: own ? compensationTimeout : left,
      orElse: () => {
        unwinding.timedOut.add(entry)
        return Effect.fail(
          new Cause.TimeoutError(
            own
              ? `The compensation of step "${entry.step.name}" did not end within ${
                Duration.format(compensationTimeout)
              }.`
              : `The compensation of step "${entry.step.name}" was running when the unwindTimeout of ${
                Duration.format(unwindTimeout!)
              } passed.`
          )
        )
      }
    })
  })
}

/* `Effect.result` or `Effect.exit` at the end of a compensation would hide its failure. */
export const returnedFailure = (value: unknown): Cause.Cause<unknown> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  return guarded(() => failureIn(value))
}

const failureIn = (value: object): Cause.Cause<unknown> | undefined => {
  if (value instanceof Promise) {
    handleRejection(value)
    return Cause.die(new Error("The compensation succeeded with a promise: wrap it in Effect.tryPromise."))
  }
  if (Exit.isExit(value)) return Exit.isFailure(value) ? asDefect(value.cause) : undefined
  if (Result.isResult(value)) return Result.isFailure(value) ? Cause.die(value.failure) : undefined
  return value instanceof Error ? Cause.die(value) : undefined
}

/* A promise that nobody handles would end the process when it rejects. */
const handleRejection = (promise: Promise<unknown>): void => {
  promise.catch(() => {})
}

/* The type of the compensation does not name what it returned among its errors, so it can't be a typed failure. */
const asDefect = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.map((reason) => reason._tag === "Fail" ? Cause.makeDieReason(reason.error) : reason))

const notAnEffect = (entry: Entry): string =>
  `The compensation of step "${entry.step.name}" returned no Effect, so nothing tells whether the step was undone. ` +
  `Wrap a promise in Effect.tryPromise and a plain function in Effect.sync.`
