import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { Status } from "./store.ts"
import { kindOfCause, kindOfReason } from "./storedKind.ts"

/*
 * The state of an execution: a fold over its journal. A running execution applies each event as it appends it, a recovered
 * one those that it reads, so both know the same.
 *
 * The state is changed in place, by `apply` alone: it belongs to one execution, and most events change one field of it.
 * What a step or a wait resulted in is no part of the state: a running saga has it, and a replay takes it from the events.
 */

type EventOf<Tag extends JournalEvent["_tag"]> = Extract<JournalEvent, { readonly _tag: Tag }>

/** The attempts that failed so far, of a step or of a compensation. */
export interface Attempts {
  /** How many there were. */
  count: number
  /** Those since the last decision of an operator, which starts the schedule of retries anew. */
  failed: Array<{ readonly at: number; readonly cause: Json }>
  /** When the next attempt is due. */
  retryAt: number | undefined
}

export interface Unwind {
  readonly cause: Json
  readonly pending: ReadonlyArray<string>
  finished: boolean
  /** What was not tried, when it has finished. */
  remaining: ReadonlyArray<string>
}

export type Decision = EventOf<"Retried"> | EventOf<"Skipped"> | EventOf<"Resolved">

/** A decision, with what the compensation had failed with. */
export type Decided = Decision & { readonly failure: Json }

/** That an operator has given a value for a step that failed after the pivot. */
export interface Resolution {
  /** The number of its event. */
  readonly sequence: number
  readonly path: string
  /** The request that asked for it, where that waits for what becomes of it. */
  readonly request: string | undefined
  /** Why the value was refused, when it was. */
  refusal: string | undefined
}

export interface Signal {
  readonly name: string
  /** The number of the event that received it. */
  readonly sequence: number
  readonly value: Json
}

export type FinishedEvent = EventOf<"ExecutionCompleted"> | EventOf<"ExecutionCompensated"> | EventOf<"ExecutionFailed">

export interface Progress {
  readonly started: EventOf<"ExecutionStarted">
  /** How many events there are. */
  sequence: number
  /** By `stepKey` or `compensationKey`, as long as the step or the compensation has not ended. */
  attempts: Map<string, Attempts> | undefined
  /** The timers that have not fired: when they are due. */
  timers: Map<string, number> | undefined
  /** The paths that wait for a timer, a signal or a child. */
  waits: Set<string> | undefined
  /** Signals that nobody has been given. */
  signals: Array<Signal> | undefined
  /** The children that have not ended. */
  children: Map<string, string> | undefined
  /** By scope: what was decided to be undone. */
  unwinds: Map<string, Unwind> | undefined
  /** What the execution is parked for, by path. */
  parked: Map<string, EventOf<"Parked">> | undefined
  /** Decisions on a compensation which has not ended since. */
  decisions: Map<string, Decided> | undefined
  resolutions: Array<Resolution> | undefined
  committed: boolean
  cancelled: boolean
  cancelledBy: EventOf<"CancelRequested"> | undefined
  finished: FinishedEvent | undefined
}

export const make = (started: EventOf<"ExecutionStarted">): Progress => ({
  started,
  sequence: 1,
  attempts: undefined,
  timers: undefined,
  waits: undefined,
  signals: undefined,
  children: undefined,
  unwinds: undefined,
  parked: undefined,
  decisions: undefined,
  resolutions: undefined,
  committed: false,
  cancelled: false,
  cancelledBy: undefined,
  finished: undefined
})

export const fromEvents = (events: ReadonlyArray<JournalEvent>): Progress => {
  const [first] = events
  if (first === undefined || first._tag !== "ExecutionStarted") {
    throw new RangeError("The first event of a journal has to be ExecutionStarted")
  }
  const progress = make(first)
  for (let index = 1; index < events.length; index++) apply(progress, events[index]!)
  return progress
}

export const stepKey = (path: string): string => path

/* As a path is one line, no path is the same as this. */
export const compensationKey = (path: string): string => `undo\n${path}`

export const statusOfFinished = ({ _tag }: FinishedEvent): "Completed" | "Compensated" | "Failed" =>
  _tag === "ExecutionCompleted" ? "Completed" : _tag === "ExecutionCompensated" ? "Compensated" : "Failed"

export const statusOf = (progress: Progress): Status => {
  if (progress.finished !== undefined) return statusOfFinished(progress.finished)
  if (progress.parked !== undefined && progress.parked.size > 0) return "Parked"
  if (isBeingUndone(progress)) return "Compensating"
  return progress.waits !== undefined && progress.waits.size > 0 ? "Waiting" : "Running"
}

/** Why the execution is parked, in one line. */
export const parkedReason = (progress: Progress): string | undefined =>
  progress.parked === undefined || progress.parked.size === 0
    ? undefined
    : Array.from(progress.parked.values(), (parked) => parked.reason).join(" ")

const maxErrorLength = 200

/**
 * The kind of the error that the execution is parked for or, where it is not parked, that it failed with or is undone for.
 */
export const errorOf = (progress: Progress): string | null => {
  const kind = errorKind(progress)
  // Databases keep neither zero characters nor half of what takes two in UTF-16.
  return kind?.slice(0, maxErrorLength).replaceAll(/[\0\p{Surrogate}]/gu, "") || null
}

const errorKind = ({ finished, parked, unwinds }: Progress): string | null => {
  if (finished !== undefined) {
    return finished._tag === "ExecutionCompleted" ? null : kindOfCause(finished.result)
  }
  const [first] = parked?.values() ?? []
  if (first === undefined) return kindOfCause(unwinds?.get("")?.cause ?? null)
  if (isForCode(first)) return first.kind
  return first.kind === "CompensationFailed" ? kindOfCause(first.cause) : kindOfReason(first.cause)
}

/** Whether the saga as a whole is being undone, or has been. */
export const isBeingUndone = ({ unwinds }: Progress): boolean => unwinds?.has("") === true

/** Whether an execution is parked until it finds code that fits. Then it goes on by itself. */
export const isForCode = ({ kind }: EventOf<"Parked">): boolean => kind === "Mismatch" || kind === "NotRegistered"

/** Applies the next event. */
export const apply = (progress: Progress, event: JournalEvent): void => {
  progress.sequence++
  switch (event._tag) {
    case "ExecutionStarted":
      return
    case "StepStarted":
      return
    case "AttemptFailed":
      return failed(progress, stepKey(event.path), event)
    case "StepSucceeded":
    case "StepFailed":
      progress.attempts?.delete(stepKey(event.path))
      return
    case "SagaCommitted":
      progress.committed = true
      return
    case "UnwindStarted":
      ;(progress.unwinds ??= new Map()).set(event.scope, {
        cause: event.cause,
        pending: event.pending,
        finished: false,
        remaining: []
      })
      return
    case "CompensationAttemptFailed":
      return failed(progress, compensationKey(event.path), event)
    case "CompensationSucceeded":
    case "CompensationFailed":
      progress.attempts?.delete(compensationKey(event.path))
      progress.parked?.delete(event.path)
      progress.decisions?.delete(event.path)
      return
    case "UnwindFinished": {
      const unwind = progress.unwinds?.get(event.scope)
      if (unwind === undefined) return
      unwind.finished = true
      unwind.remaining = event.remaining
      return
    }
    case "TimerStarted":
      ;(progress.timers ??= new Map()).set(event.path, event.dueAt)
      progress.waits = with_(progress.waits, event.path)
      return
    case "SignalReceived":
      ;(progress.signals ??= []).push({ name: event.name, sequence: progress.sequence, value: event.value })
      return
    case "SignalAwaited":
      progress.waits = with_(progress.waits, event.path)
      return
    case "SignalConsumed":
      progress.signals = progress.signals?.filter(({ sequence }) => sequence !== event.signal)
      progress.waits?.delete(event.path)
      return
    case "TimerFired":
    case "WaitInterrupted":
      progress.timers?.delete(event.path)
      progress.waits?.delete(event.path)
      progress.children?.delete(event.path)
      return
    case "ValueRecorded":
      return
    case "ChildStarted":
      ;(progress.children ??= new Map()).set(event.path, event.child)
      progress.waits = with_(progress.waits, event.path)
      return
    case "ChildFinished":
      progress.children?.delete(event.path)
      progress.waits?.delete(event.path)
      return
    case "CancelRequested":
      progress.cancelled = true
      progress.cancelledBy = event
      return
    case "Parked":
      progress.decisions?.delete(event.path)
      ;(progress.parked ??= new Map()).set(event.path, event)
      // What was decided before has been done, in vain.
      progress.decisions?.delete(event.path)
      if (event.kind === "FailedAfterPivot") {
        // A step that was resolved has not failed since, so its value was refused.
        const resolution = progress.resolutions?.findLast(({ path }) => path === event.path)
        if (resolution !== undefined) resolution.refusal ??= event.reason
      }
      if (event.kind === "CompensationFailed") {
        ;(progress.attempts ??= new Map()).set(compensationKey(event.path), {
          count: event.attempt,
          failed: [],
          retryAt: undefined
        })
      }
      return
    case "Retried":
    case "Skipped":
    case "Resolved": {
      const parked = progress.parked?.get(event.path)
      if (parked?.kind === "CompensationFailed") {
        ;(progress.decisions ??= new Map()).set(event.path, { ...event, failure: parked.cause })
      }
      if (parked?.kind === "FailedAfterPivot" && event._tag === "Resolved") {
        const { path, request } = event
        ;(progress.resolutions ??= []).push({ sequence: progress.sequence, path, request, refusal: undefined })
      }
      progress.parked?.delete(event.path)
      return
    }
    case "Resumed": {
      const parked = progress.parked?.get("")
      if (parked !== undefined && isForCode(parked)) progress.parked!.delete("")
      return
    }
    case "ExecutionCompleted":
    case "ExecutionCompensated":
    case "ExecutionFailed":
      progress.finished = event
  }
}

const failed = (
  progress: Progress,
  key: string,
  { at, attempt, cause, retryAt }: EventOf<"AttemptFailed"> | EventOf<"CompensationAttemptFailed">
): void => {
  const all = progress.attempts ??= new Map()
  let attempts = all.get(key)
  if (attempts === undefined) all.set(key, attempts = { count: attempt, failed: [], retryAt })
  attempts.count = attempt
  attempts.failed.push({ at, cause })
  attempts.retryAt = retryAt
}

const with_ = (set: Set<string> | undefined, path: string): Set<string> => (set ?? new Set()).add(path)
