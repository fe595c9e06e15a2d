import type * as Model from "./timelineModel.ts"

/* A step while its timeline is made, and what is told of it in the end. */

export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export type Attempt = Mutable<Model.Attempt>

export interface Step {
  readonly sequence: number
  readonly path: string
  readonly startedAt: number
  readonly attempts: Array<Attempt>
  action: "InFlight" | "WaitingForRetry" | "Succeeded" | "Failed" | "Unknown" | "GivenUp" | "Resolved"
  endedAt: number | null
  retryAt: number | null
  input: Model.Stored | null
  value: Model.Stored | null
  cause: Model.Cause | null
  /** What became of its success: the saga may undo it, has passed its pivot, or has nothing to undo it with. */
  stands: "Succeeded" | "Committed" | "NoCompensation"
  compensation: Compensation | undefined
}

export interface Compensation {
  readonly unwind: Unwind | undefined
  readonly attempts: Array<Attempt>
  /** When the next attempt starts, where that is known. */
  nextAt: number | null
  state: Model.CompensationState
  ended: boolean
  endedAt: number | null
  retryAt: number | null
  cause: Model.Cause | null
}

export interface Unwind {
  readonly entry: Mutable<Model.Unwind>
  readonly pending: ReadonlyArray<string>
  readonly ended: Array<string>
  /** The place in `pending` of the first that has not ended. */
  next: number
}

export const compensationIn = (unwind: Unwind | undefined, nextAt: number | null): Compensation => ({
  unwind,
  attempts: [],
  nextAt,
  state: "Pending",
  ended: false,
  endedAt: null,
  retryAt: null,
  cause: null
})

/* --------------------------------------------------------------------------------------------------- attempts */

export const isOpen = (attempt: Attempt | undefined): attempt is Attempt =>
  attempt !== undefined && attempt.endedAt === null

export const endAttempt = (
  { attempts, startedAt }: Step,
  { at, attempt }: { readonly at: number; readonly attempt: number },
  cause: Model.Cause | null,
  retryAt: number | null
): void => {
  const last = attempts.at(-1)
  if (isOpen(last)) {
    last.number = attempt
    close(last, at, cause, retryAt)
  } else attempts.push(closed(attempt, attempts.length === 0 ? startedAt : last!.retryAt, at, cause, retryAt))
}

export const endCompensationAttempt = (
  { attempts, nextAt }: Compensation,
  { at, attempt }: { readonly at: number; readonly attempt: number },
  cause: Model.Cause | null,
  retryAt: number | null
): void => {
  attempts.push(closed(attempt, nextAt, at, cause, retryAt))
}

const closed = (
  number: number,
  startedAt: number | null,
  at: number,
  cause: Model.Cause | null,
  retryAt: number | null
): Attempt => {
  const attempt = { number, startedAt, endedAt: null, durationMillis: null, cause: null, retryAt: null }
  close(attempt, at, cause, retryAt)
  return attempt
}

const close = (attempt: Attempt, at: number, cause: Model.Cause | null, retryAt: number | null): void => {
  attempt.endedAt = at
  attempt.durationMillis = between(attempt.startedAt, at)
  attempt.cause = cause
  attempt.retryAt = retryAt
}

/* Clocks may be set back meanwhile. */
const between = (startedAt: number | null, endedAt: number | null): number | null =>
  startedAt === null || endedAt === null ? null : Math.max(0, endedAt - startedAt)

/* --------------------------------------------------------------------------------------------------- entries */

export const stepEntry = (step: Step, compensationOf: string | null): Model.Step => ({
  _tag: "Step",
  sequence: step.sequence,
  at: step.startedAt,
  path: step.path,
  compensationOf,
  name: nameOf(step.path),
  state: stateOf(step),
  outcome: outcomeOf(step),
  attempts: step.attempts,
  startedAt: step.startedAt,
  endedAt: step.endedAt,
  durationMillis: between(step.startedAt, step.endedAt),
  retryAt: step.retryAt,
  input: step.input,
  value: step.value,
  cause: step.cause,
  compensation: step.compensation === undefined ? null : compensationEntry(step.compensation)
})

const compensationEntry = (compensation: Compensation): Model.Compensation => {
  const startedAt = compensation.attempts[0]?.startedAt ?? null
  return {
    scope: compensation.unwind?.entry.scope ?? "",
    state: compensation.state,
    attempts: compensation.attempts,
    startedAt,
    endedAt: compensation.endedAt,
    durationMillis: between(startedAt, compensation.endedAt),
    retryAt: compensation.retryAt,
    cause: compensation.cause
  }
}

const stateOf = (step: Step): Model.StepState => {
  switch (step.compensation?.state) {
    case "InFlight":
    case "WaitingForRetry":
      return "Compensating"
    case "Succeeded":
      return "Compensated"
    case "Parked":
    case "Failed":
      return "CompensationFailed"
    case "GivenUp":
    case "Resolved":
    case "Remaining":
      return step.compensation.state
    case "Pending":
    case undefined:
      return step.action === "Succeeded" ? step.stands : step.action
  }
}

const outcomeOf = (step: Step): Model.Step["outcome"] => {
  switch (step.compensation?.state) {
    case "Succeeded":
    case "Resolved":
      return "Compensated"
    case "Parked":
    case "Failed":
    case "GivenUp":
      return "CompensationFailed"
    case "Remaining":
      return "Remaining"
    default:
      return outcomeOfAction(step)
  }
}

const outcomeOfAction = ({ action, stands }: Step): Model.Step["outcome"] => {
  switch (action) {
    case "InFlight":
    case "WaitingForRetry":
      return null
    case "Succeeded":
    case "Resolved":
      return stands
    case "GivenUp":
      return "Failed"
    default:
      return action
  }
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1).replace(/#\d+$/, "")
