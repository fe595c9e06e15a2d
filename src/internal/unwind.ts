import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { observe, record } from "./observe.ts"
import type { Entry, Failure, Frame, ParallelGroup, Run } from "./run.ts"

/*
 * Undoing what a saga, or a part of it, has done.
 *
 * 1. What is to be undone is decided and taken once, before the first compensation, so a second unwinding can't take it
 *    again.
 * 2. The caller is uninterruptible, and so is every compensation; only the limits of the saga can end one.
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
  const entries = take(frame)
  const unwinding = new Unwinding(run, cause, entries)
  const started = record(run, { _tag: "UnwindStarted", frame, cause, pending: entries, at: unwinding.startedAt })
  const undone = Effect.flatMap(runPlan(unwinding, plan(frame, entries)), () => {
    const remaining = unwinding.remaining
    run.remaining.push(...remaining)
    const finished = record(run, {
      _tag: "UnwindFinished",
      frame,
      remaining,
      at: run.clock.currentTimeMillisUnsafe()
    })
    return Effect.as(finished, { failures: unwinding.failures, remaining })
  })
  return run.observer === undefined ? undone : Effect.andThen(started, undone)
}

/** What is pending at or below `frame`, the last to end first, as nobody's business any more but the caller's. */
export const take = (frame: Frame): ReadonlyArray<Entry> => {
  const { log } = frame.run
  const entries: Array<Entry> = []
  for (let index = log.length - 1; index >= frame.logStart; index--) {
    const item = log[index]!
    if (item._tag === "Step" && item.pending && frame.contains(item.frame)) {
      item.pending = false
      entries.push(item)
    }
  }
  return entries
}

class Unwinding {
  readonly run: Run
  readonly cause: Cause.Cause<unknown>
  readonly entries: ReadonlyArray<Entry>
  readonly tried = new Set<Entry>()
  readonly failures: Array<Failure> = []
  readonly startedAt: number
  readonly deadline: number

  constructor(run: Run, cause: Cause.Cause<unknown>, entries: ReadonlyArray<Entry>) {
    const { clock, options } = run
    this.run = run
    this.cause = cause
    this.entries = entries
    this.startedAt = clock.currentTimeMillisUnsafe()
    this.deadline = options.unwindTimeout === undefined
      ? Infinity
      : this.startedAt + Duration.toMillis(options.unwindTimeout)
  }

  get remaining(): ReadonlyArray<Entry> {
    return this.tried.size === this.entries.length ? [] : this.entries.filter((entry) => !this.tried.has(entry))
  }

  /** Whether no further compensation may start. */
  get halted(): boolean {
    return this.run.stopped ||
      (this.deadline !== Infinity && this.run.clock.currentTimeMillisUnsafe() >= this.deadline)
  }
}

/* What runs one after another: an entry, or the branches of a group that unwind side by side. */
type Plan = ReadonlyArray<Entry | { readonly _tag: "Branches"; readonly branches: ReadonlyArray<Plan> }>

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
  return order.map((item) =>
    item._tag === "Step" ? item : {
      _tag: "Branches",
      branches: Array.from(groups.get(item)!, ([branch, own]) => plan(branch, own))
    }
  )
}

/* The branch of a parallel group that `frame` is in, seen from `scope`. */
const outermostBranch = (scope: Frame, frame: Frame): Frame | undefined => {
  let branch: Frame | undefined
  for (let current: Frame | undefined = frame; current !== undefined && current !== scope; current = current.outer) {
    if (current.group !== undefined) branch = current
  }
  return branch
}

const runPlan = (unwinding: Unwinding, items: Plan): Effect.Effect<void> => {
  let index = 0
  return Effect.whileLoop({
    while: () => index < items.length && !unwinding.halted,
    body: () => {
      const item = items[index]!
      return item._tag === "Step"
        ? compensate(unwinding, item)
        : Effect.forEach(item.branches, (branch) => runPlan(unwinding, branch), {
          concurrency: "unbounded",
          discard: true
        })
    },
    step: () => {
      index++
    }
  })
}

const compensate = (unwinding: Unwinding, entry: Entry): Effect.Effect<void> => {
  unwinding.tried.add(entry)
  const { run } = unwinding
  const compensated = Effect.flatMap(Effect.exit(invoke(unwinding, entry)), (exit) => settle(unwinding, entry, exit))
  return run.observer === undefined ? compensated : Effect.andThen(
    observe(run, { _tag: "CompensationStarted", entry, at: run.clock.currentTimeMillisUnsafe() }),
    compensated
  )
}

const settle = (
  unwinding: Unwinding,
  entry: Entry,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> => {
  const { run } = unwinding
  const at = run.clock.currentTimeMillisUnsafe()
  const cause = Exit.isSuccess(exit) ? returnedFailure(exit.value) : exit.cause
  if (cause === undefined) return record(run, { _tag: "CompensationSucceeded", entry, at })
  const timedOut = cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof LimitPassed)
  const failure: Failure = { entry, cause, timedOut }
  run.failures.push(failure)
  unwinding.failures.push(failure)
  if (run.options.onCompensationFailure === "stop") run.stopped = true
  const { remaining } = unwinding
  return record(run, { _tag: "CompensationFailed", entry, cause, reason: unwinding.cause, remaining, at })
}

const invoke = (unwinding: Unwinding, entry: Entry): Effect.Effect<unknown, unknown> => {
  const { compensate } = entry.step
  const called = Effect.suspend(() => {
    const effect: unknown = compensate!(entry.given as never, unwinding.cause)
    return Effect.isEffect(effect) ? effect : Effect.die(new Error(notAnEffect(entry)))
  })
  const limited = limit(unwinding, entry, called as Effect.Effect<unknown, unknown>)
  return Effect.setContext(limited, entry.context)
}

/** What a limit of the saga makes a compensation fail with. */
class LimitPassed extends Cause.TimeoutError {}

const limit = (
  unwinding: Unwinding,
  entry: Entry,
  effect: Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const { compensationTimeout, unwindTimeout } = unwinding.run.options
  if (compensationTimeout === undefined && unwindTimeout === undefined) return effect
  const left = Duration.millis(unwinding.deadline - unwinding.run.clock.currentTimeMillisUnsafe())
  const own = compensationTimeout !== undefined && Duration.isLessThanOrEqualTo(compensationTimeout, left)
  return Effect.timeoutOrElse(effect, {
    duration: own ? compensationTimeout : left,
    orElse: () =>
      Effect.fail(
        new LimitPassed(
          own
            ? `The compensation of step "${entry.step.name}" did not end within ${
              Duration.format(compensationTimeout)
            }.`
            : `The compensation of step "${entry.step.name}" was running when the unwindTimeout of ${
              Duration.format(unwindTimeout!)
            } passed.`
        )
      )
  })
}

/* `Effect.result` or `Effect.exit` at the end of a compensation would hide its failure. */
const returnedFailure = (value: unknown): Cause.Cause<unknown> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (Exit.isExit(value)) return Exit.isFailure(value) ? asDefect(value.cause) : undefined
  if (Result.isResult(value)) return Result.isFailure(value) ? Cause.die(value.failure) : undefined
  return value instanceof Error ? Cause.die(value) : undefined
}

/* The type of the compensation does not name what it returned among its errors, so it can't be a typed failure. */
const asDefect = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.map((reason) => reason._tag === "Fail" ? Cause.makeDieReason(reason.error) : reason))

const notAnEffect = (entry: Entry): string =>
  `The compensation of step "${entry.step.name}" returned no Effect, so nothing tells whether the step was undone. ` +
  `Wrap a promise in Effect.tryPromise and a plain function in Effect.sync.`
