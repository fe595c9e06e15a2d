import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import type { Execution } from "./execution.ts"
import { pathOf } from "./log.ts"
import { endedEarly, otherPending, scopeName } from "./mismatch.ts"
import * as Progress from "./progress.ts"
import { causeLine } from "./render.ts"
import type { Entry, Frame, Item, Journal, Keeping } from "./run.ts"

/*
 * Keeps a saga in the journal of its execution: what the core asks for, and which events its items make.
 *
 * 1. An item becomes an event in the synchronous block in which it enters the log of the saga, so both have one order.
 * 2. What was recorded before is not written again. Where it differs, the execution is parked, and nothing is undone.
 */

export class Keeper implements Journal {
  readonly execution: Execution
  /** How the outermost saga ended; known when its body, and its undoing, have ended. */
  outcome: "Completed" | "Compensated" | "Failed" | undefined = undefined
  private openedReasons: Map<string, Json> | undefined = undefined

  constructor(execution: Execution) {
    this.execution = execution
  }

  get halted(): boolean {
    return this.execution.halted
  }

  get parks(): boolean {
    return this.execution.definition.onCompensationFailure === "park"
  }

  isRecorded(path: string): boolean {
    return this.execution.recovered?.has(path) === true
  }

  isStarted(path: string): boolean {
    return this.execution.recovered?.unfinished(path) !== undefined
  }

  hold(frame: Frame, path: string): Effect.Effect<void> | undefined {
    return this.execution.hold(frame, path)
  }

  isUndone(frame: Frame): boolean {
    const { cancelled, committed, unwinds } = this.execution.progress
    return unwinds?.has(frame.path) === true || (cancelled && !committed && frame.parent === undefined)
  }

  isLeft(frame: Frame, entry: Entry): boolean {
    return this.execution.progress.unwinds?.get(frame.path)?.remaining.includes(pathOf(entry)) === true
  }

  reasonOf(frame: Frame, cause: Cause.Cause<unknown>): Cause.Cause<unknown> {
    const { definition, progress } = this.execution
    const unwind = progress.unwinds?.get(frame.path)
    // A body that failed by itself has failed as it did before; one that was stopped did not get that far.
    if (unwind === undefined || !Cause.hasInterruptsOnly(cause)) return cause
    const recorded = definition.cause.decode(this.openedReasons?.get(frame.path) ?? unwind.cause)
    return Exit.isSuccess(recorded) ? recorded.value : cause
  }

  /** Opens what `reasonOf` may be asked for. */
  get openReasons(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { unwinds } = this.execution.progress
      if (unwinds === undefined) return Effect.void
      const opened = this.openedReasons = new Map<string, Json>()
      return Effect.forEach(
        Array.from(unwinds),
        ([scope, { cause }]) =>
          Effect.map(
            this.execution.open(cause, `The reason why ${scopeName(scope)} is undone`),
            (reason) => opened.set(scope, reason)
          ),
        { discard: true }
      )
    })
  }

  bodyEnded(cause: Cause.Cause<unknown> | undefined): void {
    const missing = this.halted ? undefined : this.execution.recovered?.missing
    if (missing === undefined) return
    const failure = cause === undefined || Cause.hasInterruptsOnly(cause)
      ? undefined
      : causeLine(cause, this.execution.isInClear)
    this.execution.mismatch(endedEarly(missing, failure))
  }

  keep(item: Item): Keeping {
    const { journal, recovered } = this.execution
    switch (item._tag) {
      case "Step":
        return this.keepStep(item)
      case "SagaCommitted":
        if (item.entry.frame.run.parent !== undefined) return this.repeated
        if (journal.progress.committed) return "Repeated"
        journal.note({ ...journal.head("SagaCommitted"), path: pathOf(item.entry) })
        return undefined
      case "UnwindStarted":
        return this.keepUnwind(item.frame, item.cause, item.pending.map(pathOf))
      case "CompensationStarted": {
        const kept = item.entry.kept!
        kept.recorded = this.isRecorded(Progress.compensationKey(pathOf(item.entry)))
        kept.at = undefined
        return this.halted ? Effect.interrupt : kept.recorded ? "Repeated" : undefined
      }
      case "CompensationSucceeded": {
        const { after, attempt, recorded } = item.entry.kept!
        if (recorded) return "Repeated"
        journal.note({ ...journal.head("CompensationSucceeded"), path: pathOf(item.entry), after, attempt })
        return undefined
      }
      case "CompensationFailed": {
        if (this.halted) return Effect.interrupt
        const { after, attempt, failure, recorded } = item.entry.kept!
        if (recorded) return "Repeated"
        const note = (cause: Json) =>
          journal.note({ ...journal.head("CompensationFailed"), path: pathOf(item.entry), after, attempt, cause })
        if (failure?.cause === item.cause) {
          note(failure.stored)
          return undefined
        }
        // A time limit of the saga ended it.
        return Effect.map(this.execution.seal(this.execution.definition.cause.encode(item.cause)), note)
      }
      case "UnwindFinished":
        return this.keepUnwound(item.frame, item.remaining)
      case "SagaCompleted":
      case "SagaCompensated":
      case "SagaFailed":
        if (item.run.parent !== undefined) return this.repeated
        this.outcome = item._tag === "SagaFailed"
          ? "Failed"
          : item._tag === "SagaCompensated"
          ? "Compensated"
          : "Completed"
        return undefined
      case "SagaStarted":
        if (item.run.parent !== undefined) return this.repeated
        return recovered === undefined ? undefined : "Repeated"
      case "StepStarted":
        return item.entry.kept!.recorded ? "Repeated" : undefined
      case "UnwindDeclined":
        return this.repeated
    }
  }

  /* For what is not recorded by itself: it is a repetition as long as the results around it are. */
  private get repeated(): "Repeated" | undefined {
    return this.execution.isReplaying ? "Repeated" : undefined
  }

  private keepStep(entry: Entry): Keeping {
    if (entry.step.kind === "pivot") return this.repeated
    const { after, attempt, input, recorded, result } = entry.kept!
    const exit = entry.exit!
    if (recorded) return "Repeated"
    const { journal } = this.execution
    const path = pathOf(entry)
    const startedAt = entry.startedAt ?? entry.endedAt
    if (Exit.isSuccess(exit)) {
      journal.note({
        _tag: "StepSucceeded",
        v: 1,
        at: entry.endedAt,
        path,
        after,
        startedAt,
        attempt,
        input,
        value: result
      })
      return undefined
    }
    // An action that was stopped with its engine has not ended: it runs again.
    if (this.halted && Cause.hasInterrupts(exit.cause)) return Effect.interrupt
    journal.note({
      _tag: "StepFailed",
      v: 1,
      at: entry.endedAt,
      path,
      after,
      startedAt,
      attempt,
      input,
      cause: result,
      ...(entry.unkept === undefined ? {} : { tookEffect: true })
    })
    return undefined
  }

  private keepUnwind(frame: Frame, cause: Cause.Cause<unknown>, pending: ReadonlyArray<string>): Keeping {
    const { definition, host, journal, progress } = this.execution
    const recorded = progress.unwinds?.get(frame.path)
    if (recorded !== undefined) {
      return sameList(recorded.pending, pending)
        ? "Repeated"
        : this.execution.mismatch(otherPending(frame.path, recorded.pending, pending))
    }
    // Where a crash came between, children of a saga that was cancelled are not cancelled yet.
    const alone = frame.parent === undefined && progress.cancelled ? host.cancelChildren(this.execution) : Effect.void
    // Nothing is decided by undoing nothing.
    if (pending.length === 0) return this.repeated ?? alone
    return Effect.andThen(
      alone,
      Effect.map(
        this.execution.seal(definition.cause.encode(cause)),
        (cause) => journal.note({ ...journal.head("UnwindStarted"), scope: frame.path, cause, pending })
      )
    )
  }

  private keepUnwound(frame: Frame, remaining: ReadonlyArray<Entry>): Keeping {
    if (this.halted) return Effect.interrupt
    const { journal } = this.execution
    const unwind = journal.progress.unwinds?.get(frame.path)
    if (unwind === undefined) return this.repeated
    if (unwind.finished) return "Repeated"
    if (frame.parent !== undefined) {
      journal.note({ ...journal.head("UnwindFinished"), scope: frame.path, remaining: remaining.map(pathOf) })
    }
    return undefined
  }
}

const sameList = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index])
