import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import { decodeStored } from "./codec.ts"
import * as Progress from "./progress.ts"
import type * as Model from "./timelineModel.ts"
import {
  type Compensation,
  compensationIn,
  endAttempt,
  endCompensationAttempt,
  isOpen,
  type Step,
  stepEntry,
  type Unwind
} from "./timelineStates.ts"
import type { Reader } from "./timelineStored.ts"

/*
 * The steps of a timeline: their actions, their compensations and the unwinds that these belong to.
 *
 * That an action starts is in the journal. That a compensation does is not: it starts when the one before it has ended,
 * but where branches are undone side by side nobody can tell when that was.
 */

export type ParkedEvent = Extract<JournalEvent, { readonly _tag: "Parked" }>

type EventOf<Tag extends JournalEvent["_tag"]> = Extract<JournalEvent, { readonly _tag: Tag }>

export class History {
  private readonly steps = new Map<string, Step>()
  private readonly unwinds: Array<Unwind> = []
  private readonly reader: Reader
  private readonly progress: Progress.Progress
  private readonly keep: (entry: Model.Entry | (() => Model.Entry)) => void

  constructor(
    reader: Reader,
    progress: Progress.Progress,
    keep: (entry: Model.Entry | (() => Model.Entry)) => void
  ) {
    this.reader = reader
    this.progress = progress
    this.keep = keep
  }

  /** Takes an event in, before the fold does. */
  add(event: JournalEvent, sequence: number): void {
    const { progress, reader } = this
    switch (event._tag) {
      case "StepStarted":
        return this.startAction(event.path, event.at, sequence, event.attempt)
      case "AttemptFailed": {
        const step = this.step(event.path, event.at, sequence)
        endAttempt(step, event, reader.cause(event.cause), event.retryAt)
        step.action = "WaitingForRetry"
        step.retryAt = event.retryAt
        return
      }
      case "StepSucceeded":
      case "StepFailed":
        return this.endAction(event, sequence)
      case "SagaCommitted":
        for (const step of this.steps.values()) if (step.stands === "Succeeded") step.stands = "Committed"
        return
      case "UnwindStarted":
        return this.startUnwind(event, sequence)
      case "UnwindFinished": {
        const unwind = this.unwinds.find(({ entry }) => entry.scope === event.scope)
        if (unwind !== undefined) unwind.entry.endedAt = event.at
        return
      }
      case "CompensationAttemptFailed": {
        const compensation = this.compensation(event.path, event.at, sequence)
        compensation.cause = reader.cause(event.cause)
        endCompensationAttempt(compensation, event, compensation.cause, event.retryAt)
        compensation.nextAt = Math.max(event.at, event.retryAt)
        return
      }
      case "CompensationSucceeded":
      case "CompensationFailed":
        return this.endCompensation(event, sequence)
      case "Parked":
        return this.park(event, sequence)
      case "Retried":
      case "Skipped":
      case "Resolved":
        return this.decide(event, progress.parked?.get(event.path))
      case "ExecutionCompensated":
      case "ExecutionFailed":
        if (!progress.committed) this.leaveNothing("")
        return
      default:
        return
    }
  }

  /* ------------------------------------------------------------------------------------------------ actions */

  startAction(path: string, at: number, sequence: number, attempt: number | undefined): void {
    const step = this.step(path, at, sequence)
    if (isOpen(step.attempts.at(-1))) return
    const number = attempt ?? (this.progress.attempts?.get(Progress.stepKey(path))?.count ?? 0) + 1
    step.attempts.push({ number, startedAt: at, endedAt: null, durationMillis: null, cause: null, retryAt: null })
    step.action = "InFlight"
    step.retryAt = null
    step.endedAt = null
    step.cause = null
  }

  private step(path: string, at: number, sequence: number): Step {
    const known = this.steps.get(path)
    if (known !== undefined) return known
    const step: Step = {
      sequence,
      path,
      startedAt: at,
      attempts: [],
      action: "InFlight",
      endedAt: null,
      retryAt: null,
      input: null,
      value: null,
      cause: null,
      stands: this.progress.committed ? "Committed" : "Succeeded",
      compensation: undefined
    }
    this.steps.set(path, step)
    const compensationOf = this.compensationAround(path)
    this.keep(() => stepEntry(step, compensationOf))
    return step
  }

  private endAction(event: EventOf<"StepSucceeded"> | EventOf<"StepFailed">, sequence: number): void {
    const { reader } = this
    const step = this.step(event.path, event.startedAt, sequence)
    const cause = event._tag === "StepFailed" ? reader.cause(event.cause) : null
    const last = step.attempts.at(-1)
    // After a restart the last attempt has started once more.
    if (isOpen(last)) last.startedAt = Math.max(last.startedAt ?? 0, event.startedAt)
    // One that was given up while it waited has failed as the last one did, and made no other attempt.
    if (isOpen(last) || last === undefined || event._tag === "StepSucceeded") endAttempt(step, event, cause, null)
    step.action = event._tag === "StepSucceeded" ? "Succeeded" : mayHaveTakenEffect(event.cause) ? "Unknown" : "Failed"
    step.endedAt = event.at
    step.retryAt = null
    step.input = reader.stored(event.input)
    step.value = event._tag === "StepSucceeded" ? reader.stored(event.value) : null
    step.cause = cause
  }

  /* ------------------------------------------------------------------------------------------------ undoing */

  private startUnwind(event: EventOf<"UnwindStarted">, sequence: number): void {
    const { at, pending, scope } = event
    const unwind: Unwind = {
      pending,
      ended: [],
      next: 0,
      entry: {
        _tag: "Unwind",
        sequence,
        at,
        scope,
        compensationOf: this.compensationAround(scope),
        cause: this.reader.cause(event.cause),
        state: "Running",
        endedAt: null,
        steps: pending
      }
    }
    this.unwinds.push(unwind)
    this.keep(unwind.entry)
    pending.forEach((path, index) => {
      this.step(path, at, sequence).compensation = compensationIn(unwind, index === 0 ? at : null)
    })
    this.leaveNothing(scope)
  }

  /* What succeeded at or below `scope` and is not among what is undone leaves nothing to undo. */
  private leaveNothing(scope: string): void {
    for (const step of this.steps.values()) {
      if (step.compensation === undefined && isWithin(step.path, scope)) step.stands = "NoCompensation"
    }
  }

  private compensation(path: string, at: number, sequence: number): Compensation {
    return this.step(path, at, sequence).compensation ??= compensationIn(undefined, null)
  }

  private endCompensation(
    event: EventOf<"CompensationSucceeded"> | EventOf<"CompensationFailed">,
    sequence: number
  ): void {
    const compensation = this.compensation(event.path, event.at, sequence)
    const decision = this.progress.decisions?.get(event.path)?._tag
    const succeeded = event._tag === "CompensationSucceeded"
    const cause = succeeded ? null : this.reader.cause(event.cause)
    // What an operator decided is no attempt.
    if (compensation.attempts.at(-1)?.number !== event.attempt) {
      endCompensationAttempt(compensation, event, cause, null)
    }
    compensation.state = succeeded
      ? decision === "Resolved" ? "Resolved" : "Succeeded"
      : decision === "Skipped"
      ? "GivenUp"
      : "Failed"
    compensation.ended = true
    compensation.endedAt = event.at
    if (!succeeded) compensation.cause = cause
    else if (decision !== "Resolved") compensation.cause = null
    const { unwind } = compensation
    if (unwind === undefined) return
    const { ended, entry, pending } = unwind
    ended.push(event.path)
    while (unwind.next < pending.length && this.isUndone(pending[unwind.next]!)) unwind.next++
    const next = pending[unwind.next]
    if (next !== undefined && !isInBranch(next, entry.scope)) this.steps.get(next)!.compensation!.nextAt ??= event.at
  }

  private isUndone(path: string): boolean {
    return this.steps.get(path)?.compensation?.ended === true
  }

  /* ------------------------------------------------------------------------------------------------ decisions */

  private park(event: ParkedEvent, sequence: number): void {
    if (event.kind === "CompensationFailed") {
      const compensation = this.compensation(event.path, event.at, sequence)
      compensation.cause = this.reader.cause(event.cause)
      endCompensationAttempt(compensation, event, compensation.cause, null)
      compensation.nextAt = null
    } else if (event.kind === "FailedAfterPivot") {
      for (const path of event.steps) {
        const step = this.steps.get(path)
        // The value that it was resolved with does not fit.
        if (step?.action !== "Resolved") continue
        step.action = "Failed"
        step.value = null
      }
    }
  }

  private decide(event: Progress.Decision, parked: ParkedEvent | undefined): void {
    if (parked?.kind === "CompensationFailed") {
      const compensation = this.steps.get(event.path)?.compensation
      if (event._tag === "Retried" && compensation !== undefined) compensation.nextAt = event.at
      return
    }
    if (parked?.kind !== "FailedAfterPivot") return
    for (const path of event._tag === "Resolved" ? [event.path] : parked.steps) {
      const step = this.steps.get(path)
      if (step === undefined) continue
      switch (event._tag) {
        case "Retried":
          step.action = "WaitingForRetry"
          step.retryAt = event.at
          break
        case "Skipped":
          step.action = "GivenUp"
          break
        case "Resolved":
          step.action = "Resolved"
          step.value = this.reader.stored(event.value)
      }
    }
  }

  /* ------------------------------------------------------------------------------------------------ the end */

  /** Says where everything stands after the last event. */
  end(): void {
    const { finished, unwinds } = this.progress
    for (const { ended, entry, pending } of this.unwinds) {
      const isOver = finished !== undefined || unwinds?.get(entry.scope)?.finished === true
      entry.state = isOver ? "Finished" : "Running"
      if (isOver) entry.endedAt ??= finished?.at ?? null
      const left = pending.filter((path) => !this.isUndone(path))
      entry.steps = [...ended, ...left]
      left.forEach((path, index) => this.leave(path, index === 0, isOver))
    }
  }

  private leave(path: string, isNext: boolean, isOver: boolean): void {
    const { attempts, decisions, parked } = this.progress
    const compensation = this.steps.get(path)!.compensation!
    const decision = decisions?.get(path)?._tag
    const before = attempts?.get(Progress.compensationKey(path))
    if (decision === "Skipped") compensation.state = "GivenUp"
    else if (decision === "Resolved") compensation.state = "Resolved"
    else if (isOver) compensation.state = "Remaining"
    else if (parked?.get(path)?.kind === "CompensationFailed") compensation.state = "Parked"
    else if (before?.retryAt !== undefined) {
      compensation.state = "WaitingForRetry"
      compensation.retryAt = before.retryAt
    } else if (isNext || decision === "Retried") {
      compensation.state = "InFlight"
      compensation.attempts.push({
        number: (before?.count ?? 0) + 1,
        startedAt: compensation.nextAt,
        endedAt: null,
        durationMillis: null,
        cause: null,
        retryAt: null
      })
    }
  }

  /** What is not undone. */
  remaining(): ReadonlyArray<Model.Remaining> {
    const will: Array<Model.Remaining> = []
    const not: Array<Model.Remaining> = []
    for (const { entry: { scope, steps } } of this.unwinds) {
      const here: Array<Model.Remaining> = []
      for (const path of steps) {
        const { state } = this.steps.get(path)!.compensation!
        if (state === "Succeeded" || state === "Resolved") continue
        const isLost = state === "Failed" || state === "GivenUp" || state === "Remaining"
        ;(isLost ? not : here).push({ path, scope, state })
      }
      // What is undone within something else is undone before that.
      will.unshift(...here)
    }
    return [...will, ...not]
  }

  /** The step whose compensation has asked for what is at `path`. */
  compensationAround(path: string): string | null {
    for (let index = path.lastIndexOf("/undo"); index > 0; index = path.lastIndexOf("/undo", index - 1)) {
      const step = path.slice(0, index)
      if (/^(#\d+)?\//.test(path.slice(index + 5)) && this.steps.get(step)?.compensation !== undefined) return step
    }
    return null
  }
}

const isWithin = (path: string, scope: string): boolean => scope === "" || path.startsWith(`${scope}/`)

const isInBranch = (path: string, scope: string): boolean => path.includes("]/", scope.length)

/* As in `SagaReport`; and what became of an ambiguous step is not known by its own words. */
const mayHaveTakenEffect = (cause: Json): boolean => {
  const reasons = decodeStored(cause)
  return Exit.isSuccess(reasons) && reasons.value.some((reason) => {
    if (reason._tag !== "Fail") return reason._tag === "Interrupt"
    const { error } = reason
    const tag = typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined
    return tag === "TimeoutError" || tag === "OutcomeUnknown"
  })
}
