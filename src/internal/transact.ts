import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { CommittedIncomplete, CompensationFailed, withOrigin } from "../SagaError.ts"
import * as SagaReport from "../SagaReport.ts"
import { sharesReason, thrown } from "./cause.ts"
import { guarded } from "./guard.ts"
import { pathOf, toEvents } from "./log.ts"
import { record } from "./observe.ts"
import {
  blockedBy,
  CurrentFrame,
  currentFrame,
  type Failure,
  Frame,
  type Journal,
  Run,
  type RunOptions
} from "./run.ts"
import { take, unwind } from "./unwind.ts"

/** The run that a cause comes from, as an annotation: the report is made when somebody asks for it. */
class FailedRun extends Context.Service<FailedRun, Run>()("effect-saga/Saga/FailedRun") {}

export const report = (cause: Cause.Cause<unknown>): SagaReport.SagaReport | undefined => {
  const run = Context.getOrUndefined(Cause.annotations(cause), FailedRun)
  if (run !== undefined) return reportOf(run)
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = thrown(reason)
    const report = guarded(() =>
      error instanceof CompensationFailed || error instanceof CommittedIncomplete ? error.report : undefined
    )
    if (report !== undefined) return report
  }
  return undefined
}

const reportOf = (run: Run): SagaReport.SagaReport => SagaReport.fromEvents(toEvents(run))

/** Runs `self` as a saga of its own. */
export const transact = (
  self: Effect.Effect<unknown, unknown, unknown>,
  options: RunOptions
): Effect.Effect<unknown, unknown, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const fiber = Fiber.getCurrent()!
    const around = currentFrame(fiber.context)
    const parent = around === undefined || around.run.root.ended ? undefined : around
    const run = new Run(options, parent?.run, fiber)
    return begin(
      fiber,
      new Frame(run, parent, parent === undefined ? "" : parent.claimFrame(options.name), undefined),
      self,
      restore
    )
  })

/** Runs `self` as a saga that `journal` keeps. */
export const transactDurable = (
  self: Effect.Effect<unknown, unknown, unknown>,
  options: RunOptions,
  journal: Journal
): Effect.Effect<unknown, unknown, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const fiber = Fiber.getCurrent()!
    return begin(fiber, new Frame(new Run(options, undefined, fiber, journal), undefined, "", undefined), self, restore)
  })

const begin = (
  fiber: Fiber.Fiber<unknown, unknown>,
  frame: Frame,
  self: Effect.Effect<unknown, unknown, unknown>,
  restore: Restore
): Effect.Effect<unknown, unknown, unknown> => {
  const { run } = frame
  const started = record(run, { _tag: "SagaStarted", run, frame, at: run.clock.currentTimeMillisUnsafe() })
  return run.observer === undefined
    ? enclose(fiber, frame, self, restore, fail)
    : Effect.andThen(started, Effect.suspend(() => enclose(fiber, frame, self, restore, fail)))
}

/** Runs `self` as a part of the saga in force that unwinds alone. */
export const savepoint = (
  self: Effect.Effect<unknown, unknown, unknown>,
  name: string
): Effect.Effect<unknown, unknown, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const fiber = Fiber.getCurrent()!
    const around = currentFrame(fiber.context)
    // Outside a saga there is nothing to keep apart: the steps themselves refuse to start.
    if (around === undefined) return restore(self)
    const frame = new Frame(around.run, around, around.claimFrame(name), undefined)
    return enclose(fiber, frame, self, restore, rollBack)
  })

type Restore = (effect: Effect.Effect<unknown, unknown, unknown>) => Effect.Effect<unknown, unknown, unknown>

/*
 * Runs `self` in `frame`. How it ended is handled where nothing can interrupt, and not before every action that runs in
 * the frame has ended too. The caller is uninterruptible, so the context that is set here is always set back.
 */
const enclose = (
  fiber: Fiber.Fiber<unknown, unknown>,
  frame: Frame,
  self: Effect.Effect<unknown, unknown, unknown>,
  restore: Restore,
  onFailure: (frame: Frame, cause: Cause.Cause<unknown>) => Effect.Effect<never, unknown>
): Effect.Effect<unknown, unknown, unknown> => {
  const { context } = fiber
  const { outer, run: { journal } } = frame
  const outermost = frame.parent === undefined

  const failed = (cause: Cause.Cause<unknown>): Effect.Effect<never, unknown> => {
    fiber.setContext(context)
    frame.status = "Unwinding"
    // The saga around a savepoint must not end before it: they may be in different fibers.
    outer?.enter()
    // Nothing comes between the look at what is in flight and the taking of what is to be undone.
    const handled: Effect.Effect<never, unknown> = Effect.suspend(() => {
      if (frame.inFlight > 0) return Effect.andThen(frame.awaitIdle(), handled)
      if (journal === undefined) return onFailure(frame, cause)
      if (outermost) journal.bodyEnded(cause)
      return journal.halted ? Effect.failCause(cause) : onFailure(frame, journal.reasonOf(frame, cause))
    })
    return Effect.ensuring(
      handled,
      Effect.sync(() => {
        frame.status = "Closed"
        outer?.leave()
      })
    )
  }

  const succeeded = (value: unknown): Effect.Effect<unknown, unknown, unknown> => {
    fiber.setContext(context)
    // What was decided to be undone before a crash never turns forward again.
    if (journal?.isUndone(frame) === true) return failed(Cause.interrupt())
    // The steps of a savepoint are in the log of the saga, at or below its frame: there is nothing to hand over.
    if (outer !== undefined) return Effect.succeed(value)
    frame.status = "Closed"
    if (frame.inFlight === 0) {
      if (outermost) journal?.bodyEnded(undefined)
      return journal?.halted === true ? Effect.interrupt : complete(frame.run, value)
    }
    // Actions in forked fibers settle first. An interruption that comes meanwhile finds a saga that has not ended.
    return Effect.matchCauseEffect(Effect.andThen(frame.awaitIdle(), restore(Effect.void)), {
      onSuccess: () => succeeded(value),
      onFailure: failed
    })
  }

  fiber.setContext(Context.add(context, CurrentFrame, frame))
  return Effect.matchCauseEffect(restore(self), { onSuccess: succeeded, onFailure: failed })
}

const complete = (run: Run, value: unknown): Effect.Effect<unknown> => {
  run.ended = true
  // Nobody will read it: a saga that completed has no report, unless an observer or the saga around it has one.
  if (run.observer === undefined && run.parent === undefined) return Effect.succeed(value)
  return Effect.as(record(run, { _tag: "SagaCompleted", run, at: run.clock.currentTimeMillisUnsafe() }), value)
}

const fail = (frame: Frame, cause: Cause.Cause<unknown>): Effect.Effect<never, unknown> => {
  const run = frame.run
  if (run.committedBy !== undefined) {
    return finish(run, cause, "SagaFailed", () => committedIncomplete(run, cause))
  }
  const refused = decline(run, cause)
  if (refused === true) {
    const at = run.clock.currentTimeMillisUnsafe()
    const declined = record(run, { _tag: "UnwindDeclined", run, cause, remaining: take(frame), at })
    return Effect.andThen(
      declined,
      finish(run, cause, "SagaFailed", () => run.failures.length === 0 ? cause : dirty(run, cause))
    )
  }
  const why = refused === false ? cause : Cause.fromReasons([...cause.reasons, ...refused.reasons])
  return Effect.flatMap(unwind(frame, why), () =>
    // The savepoints of the saga count, too.
    run.failures.length === 0 && !run.hasRemaining
      ? finish(run, why, "SagaCompensated", () => why)
      : finish(run, why, "SagaFailed", () => dirty(run, why)))
}

/* Whether `compensateWhen` leaves everything as it is. Where it throws, the saga unwinds and the defect is kept. */
const decline = (run: Run, cause: Cause.Cause<unknown>): boolean | Cause.Cause<never> => {
  const { compensateWhen } = run.options
  if (compensateWhen === undefined) return false
  const answer = Effect.runSyncExit(Effect.sync(() => compensateWhen(cause)))
  return Exit.isSuccess(answer) ? !answer.value : answer.cause
}

const rollBack = (frame: Frame, cause: Cause.Cause<unknown>): Effect.Effect<never, unknown> => {
  const run = frame.run
  if (run.committedBy !== undefined) {
    // A pivot of its own is known to its type, and a retry must not repeat what counts as done.
    return Effect.failCause(frame.contains(run.committedBy.frame) ? committedIncomplete(run, cause) : cause)
  }
  // The saga around it, unwinding or over, has what this savepoint would undo: it undoes that, or has succeeded with it.
  if (blockedBy(frame.outer!) !== undefined) return Effect.failCause(cause)
  return Effect.flatMap(unwind(frame, cause), ({ failures, remaining }) => {
    if (failures.length === 0 && remaining.length === 0) return Effect.failCause(cause)
    /*
     * The type of a savepoint does not know the time limits of its saga. A compensation that they ended must not be
     * taken for one that failed as its type says, and what could not be undone must not be redone.
     */
    const typed = failures.some((failure) => !failure.timedOut && Cause.hasFails(failure.cause))
    return Effect.failCause(compensationFailed(run, cause, failures, typed))
  })
}

/*
 * The types of effects do not exist at run time. Where no failed compensation has a typed failure, they may all be of
 * the kind that can't fail, so the saga dies; the time limits of a saga are part of its type. The type of a durable saga
 * names CompensationFailed whatever its compensations are, and a defect would not come back from the journal as what it is.
 */
const dirty = (run: Run, cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const isDurable = run.journal !== undefined && run.parent === undefined
  const typed = isDurable || run.failures.length === 0 || run.failures.some(({ cause }) => Cause.hasFails(cause))
  return compensationFailed(run, cause, run.failures, typed)
}

const compensationFailed = (
  run: Run,
  cause: Cause.Cause<unknown>,
  failures: ReadonlyArray<Failure>,
  typed: boolean
): Cause.Cause<unknown> => {
  const report = reportOf(run)
  const error = new CompensationFailed<unknown, unknown>({
    saga: run.options.name,
    reason: withOrigins(cause, report),
    failures: failures.map(({ cause, entry }) => ({ step: pathOf(entry), cause })),
    report
  })
  return raise(typed ? Cause.makeFailReason(error) : Cause.makeDieReason(error), cause)
}

const committedIncomplete = (run: Run, cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const report = reportOf(run)
  const error = new CommittedIncomplete({ saga: run.options.name, reason: withOrigins(cause, report), report })
  return raise(Cause.makeFailReason(error), cause)
}

/* Names the step of each failure, as long as it can be told by identity: not after it was stored or sent. */
const withOrigins = (cause: Cause.Cause<unknown>, report: SagaReport.SagaReport): Cause.Cause<unknown> =>
  Cause.fromReasons(cause.reasons.map((reason) => {
    const one = Cause.fromReasons([reason])
    const step = report.steps.find((step) => step.cause !== undefined && sharesReason(step.cause, one))
    return withOrigin(reason, { step: step?.path, phase: "action" })
  }))

/* An interrupted fiber stays interrupted, whatever else is to be said. */
const raise = (reason: Cause.Reason<unknown>, cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  Cause.fromReasons([reason, ...cause.reasons.filter(Cause.isInterruptReason)])

const finish = (
  run: Run,
  reason: Cause.Cause<unknown>,
  how: "SagaCompensated" | "SagaFailed",
  result: () => Cause.Cause<unknown>
): Effect.Effect<never, unknown> => {
  run.ended = true
  const recorded = record(run, { _tag: how, run, cause: reason, at: run.clock.currentTimeMillisUnsafe() })
  const cause = result()
  const failed = Effect.failCause(withRun(cause, run))
  /* Who interrupts a fiber rarely reads its exit, and a timeout or race drops it: say aloud what is not undone. */
  const told = how === "SagaCompensated" ? recorded : Effect.andThen(
    recorded,
    Effect.flatMap(
      isInterrupted,
      (interrupted) => interrupted ? Effect.exit(Effect.logError(SagaReport.render(reportOf(run)))) : Effect.void
    )
  )
  return run.unheard && told === recorded ? failed : Effect.andThen(told, failed)
}

/*
 * Interruptions are only annotated where there is nothing else: leaving an uninterruptible region, a fiber adds its own
 * to the cause, and takes one with other annotations for a second one.
 */
const withRun = (cause: Cause.Cause<unknown>, run: Run): Cause.Cause<unknown> => {
  const annotations = Context.make(FailedRun, run)
  const interrupted = Cause.hasInterruptsOnly(cause)
  return Cause.fromReasons(
    cause.reasons.map((reason) =>
      // One that has the run of a nested saga must not keep it.
      reason._tag !== "Interrupt" || interrupted || reason.annotations.has(FailedRun.key)
        ? reason.annotate(annotations, { overwrite: true })
        : reason
    )
  )
}

/* Whether the fiber is to be interrupted as soon as it can be. */
const isInterrupted: Effect.Effect<boolean> = Effect.map(Effect.exit(Effect.interruptible(Effect.void)), Exit.isFailure)
