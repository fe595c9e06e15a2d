import * as Schema from "effect/Schema"
import { Outcome } from "../SagaReport.ts"
import { Status } from "./store.ts"

/* What a timeline is made of. What is not known, or does not apply, is `null`, so that its JSON always has all keys. */

const Time = Schema.Number

const Millis = Schema.Number

/**
 * What is shown of something that is stored: its JSON; that a payload codec has made it unreadable; or that it was left
 * out.
 *
 * @category models
 * @since 0.1.0
 */
export const Stored = Schema.Union([
  Schema.TaggedStruct("Json", { json: Schema.Json }),
  Schema.TaggedStruct("Sealed", {}),
  Schema.TaggedStruct("Redacted", {})
])

/**
 * @category models
 * @since 0.1.0
 */
export type Stored = typeof Stored.Type

/**
 * One thing that went wrong.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** A failure, a defect, or an interruption. */
  readonly kind: "Fail" | "Die" | "Interrupt"
  /** The `_tag` of the error, or the name of its class. */
  readonly tag: string | null
  readonly message: string | null
  /** What else it holds: its other fields or, where it is no object, itself. */
  readonly fields: Schema.Json
  /** The frames of its stack. */
  readonly stack: ReadonlyArray<string>
  /** What it was caused by. Of a saga that was not wholly undone: why it had failed. */
  readonly because: ReadonlyArray<Failure>
  /** Of a saga that was not wholly undone: the compensations that failed. */
  readonly compensations: ReadonlyArray<{ readonly step: string; readonly failures: ReadonlyArray<Failure> }>
}

/**
 * Schema of a `Failure`.
 *
 * @category models
 * @since 0.1.0
 */
export const Failure: Schema.Codec<Failure> = Schema.Struct({
  kind: Schema.Literals(["Fail", "Die", "Interrupt"]),
  tag: Schema.NullOr(Schema.String),
  message: Schema.NullOr(Schema.String),
  fields: Schema.Json,
  stack: Schema.Array(Schema.String),
  because: Schema.Array(Schema.suspend((): Schema.Codec<Failure> => Failure)),
  compensations: Schema.Array(Schema.Struct({
    step: Schema.String,
    failures: Schema.Array(Schema.suspend((): Schema.Codec<Failure> => Failure))
  }))
})

/**
 * Why something failed, as far as it can be read.
 *
 * @category models
 * @since 0.1.0
 */
export const Cause = Schema.Union([
  Schema.TaggedStruct("Failures", { failures: Schema.Array(Failure) }),
  Schema.TaggedStruct("Sealed", {})
])

/**
 * @category models
 * @since 0.1.0
 */
export type Cause = typeof Cause.Type

/**
 * How an execution, or a child of one, ended.
 *
 * @category models
 * @since 0.1.0
 */
export const Result = Schema.Union([
  Schema.TaggedStruct("Succeeded", { value: Stored }),
  Schema.TaggedStruct("Failed", { cause: Cause })
])

/**
 * @category models
 * @since 0.1.0
 */
export type Result = typeof Result.Type

/**
 * One try of an action or of a compensation. One that has not ended is in flight, or was when its process ended.
 *
 * @category models
 * @since 0.1.0
 */
export const Attempt = Schema.Struct({
  /** As the action is told; it begins with 1 again where an operator has a step tried again. */
  number: Schema.Number,
  /** `null` for compensations of branches, which may run side by side: the journal has only their ends. */
  startedAt: Schema.NullOr(Time),
  endedAt: Schema.NullOr(Time),
  durationMillis: Schema.NullOr(Millis),
  /** Why it failed. */
  cause: Schema.NullOr(Cause),
  /** When the next one was due after it. */
  retryAt: Schema.NullOr(Time)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Attempt = typeof Attempt.Type

/**
 * Where the compensation of a step stands.
 *
 * - `Pending`: it is to run after others. Where branches are undone side by side, it may run already.
 * - `InFlight`: it runs, or is the next to run.
 * - `WaitingForRetry`: it failed, and runs again at `retryAt`.
 * - `Parked`: it failed, and waits for a decision.
 * - `Succeeded`: it has undone the step.
 * - `Failed`: it failed for good.
 * - `GivenUp`: it failed, and an operator gave it up.
 * - `Resolved`: an operator has undone the step by hand.
 * - `Remaining`: it was never tried, and will not be.
 *
 * @category models
 * @since 0.1.0
 */
export const CompensationState = Schema.Literals([
  "Pending",
  "InFlight",
  "WaitingForRetry",
  "Parked",
  "Succeeded",
  "Failed",
  "GivenUp",
  "Resolved",
  "Remaining"
])

/**
 * @category models
 * @since 0.1.0
 */
export type CompensationState = typeof CompensationState.Type

/**
 * The compensation of a step that is to be undone, or has been.
 *
 * @category models
 * @since 0.1.0
 */
export const Compensation = Schema.Struct({
  /** What is undone: the saga (empty), or the savepoint or nested saga at this path. */
  scope: Schema.String,
  state: CompensationState,
  attempts: Schema.Array(Attempt),
  startedAt: Schema.NullOr(Time),
  endedAt: Schema.NullOr(Time),
  durationMillis: Schema.NullOr(Millis),
  retryAt: Schema.NullOr(Time),
  /** Why its last attempt failed. */
  cause: Schema.NullOr(Cause)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Compensation = typeof Compensation.Type

/**
 * Where a step stands: an outcome as in `SagaReport`, or
 *
 * - `InFlight`: its action had started and had not ended,
 * - `WaitingForRetry`: its action failed, and runs again at `retryAt`,
 * - `Compensating`: its compensation is in flight, or waits for its next attempt,
 * - `GivenUp`: an operator gave it, or its compensation, up,
 * - `Resolved`: an operator has done, or undone, it by hand.
 *
 * @category models
 * @since 0.1.0
 */
export const StepState = Schema.Literals([
  ...Outcome.literals,
  "InFlight",
  "WaitingForRetry",
  "Compensating",
  "GivenUp",
  "Resolved"
])

/**
 * @category models
 * @since 0.1.0
 */
export type StepState = typeof StepState.Type

const entry = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    /** The number of the event that it begins with. */
    sequence: Schema.Number,
    /** When that was. */
    at: Time,
    ...fields
  })

const place = {
  path: Schema.String,
  /** The path of the step whose compensation it is a part of. */
  compensationOf: Schema.NullOr(Schema.String)
}

const decidedBy = {
  operator: Schema.NullOr(Schema.String),
  reason: Schema.NullOr(Schema.String)
}

/**
 * A step. `input` and `value` are known when its action has ended.
 *
 * `NoCompensation` is said of steps that leave nothing to undo: they have no compensation, or a saga within this one has
 * committed them.
 *
 * @category models
 * @since 0.1.0
 */
export const Step = entry("Step", {
  ...place,
  /** The last part of its path. */
  name: Schema.String,
  state: StepState,
  /** How it ended, in the words of `SagaReport`. */
  outcome: Schema.NullOr(Outcome),
  attempts: Schema.Array(Attempt),
  startedAt: Time,
  endedAt: Schema.NullOr(Time),
  durationMillis: Schema.NullOr(Millis),
  retryAt: Schema.NullOr(Time),
  input: Schema.NullOr(Stored),
  value: Schema.NullOr(Stored),
  /** Why its action failed. */
  cause: Schema.NullOr(Cause),
  compensation: Schema.NullOr(Compensation)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Step = typeof Step.Type

/**
 * A wait until a time.
 *
 * @category models
 * @since 0.1.0
 */
export const Timer = entry("Timer", {
  ...place,
  state: Schema.Literals(["Waiting", "Fired", "Interrupted"]),
  dueAt: Time,
  endedAt: Schema.NullOr(Time)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Timer = typeof Timer.Type

/**
 * A wait for a signal. `received` is the `sequence` of the `Signal` that it was given.
 *
 * @category models
 * @since 0.1.0
 */
export const SignalWait = entry("SignalWait", {
  ...place,
  signal: Schema.String,
  state: Schema.Literals(["Waiting", "Consumed", "Interrupted"]),
  endedAt: Schema.NullOr(Time),
  received: Schema.NullOr(Schema.Number)
})

/**
 * @category models
 * @since 0.1.0
 */
export type SignalWait = typeof SignalWait.Type

/**
 * A signal that arrived. `consumedBy` is the path of the wait that it was given to.
 *
 * @category models
 * @since 0.1.0
 */
export const Signal = entry("Signal", {
  signal: Schema.String,
  value: Stored,
  consumedBy: Schema.NullOr(Schema.String),
  consumedAt: Schema.NullOr(Time)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Signal = typeof Signal.Type

/**
 * A recorded value: the time, a random number or a unique id.
 *
 * @category models
 * @since 0.1.0
 */
export const Value = entry("Value", { ...place, value: Stored })

/**
 * @category models
 * @since 0.1.0
 */
export type Value = typeof Value.Type

/**
 * A child, as far as its parent knows of it.
 *
 * @category models
 * @since 0.1.0
 */
export const Child = entry("Child", {
  ...place,
  /** The id of its execution. */
  child: Schema.String,
  state: Schema.Literals(["Running", "Completed", "Compensated", "Failed", "Interrupted"]),
  cancelled: Schema.Boolean,
  endedAt: Schema.NullOr(Time),
  result: Schema.NullOr(Result)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Child = typeof Child.Type

/**
 * The pivot at `path` succeeded.
 *
 * @category models
 * @since 0.1.0
 */
export const Commit = entry("Commit", { path: Schema.String })

/**
 * @category models
 * @since 0.1.0
 */
export type Commit = typeof Commit.Type

/**
 * The saga, or the savepoint or nested saga at `scope`, is undone.
 *
 * @category models
 * @since 0.1.0
 */
export const Unwind = entry("Unwind", {
  /** Empty for the saga as a whole. */
  scope: Schema.String,
  compensationOf: Schema.NullOr(Schema.String),
  cause: Cause,
  state: Schema.Literals(["Running", "Finished"]),
  endedAt: Schema.NullOr(Time),
  /** The steps to undo: those whose compensation has ended in that order, then the rest in the order in which it runs. */
  steps: Schema.Array(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Unwind = typeof Unwind.Type

/**
 * Somebody asked to cancel the execution.
 *
 * @category models
 * @since 0.1.0
 */
export const CancelRequest = entry("CancelRequest", decidedBy)

/**
 * @category models
 * @since 0.1.0
 */
export type CancelRequest = typeof CancelRequest.Type

const parking = {
  /** As in `JournalEvent.Parked`. */
  kind: Schema.Literals(["CompensationFailed", "FailedAfterPivot", "Mismatch", "NotRegistered"]),
  /** Empty where it is not about one step. */
  path: Schema.String,
  steps: Schema.Array(Schema.String),
  /** Why, in a sentence. */
  reason: Schema.String,
  cause: Schema.NullOr(Cause)
}

/**
 * The execution could not go on by itself, until `endedAt`.
 *
 * @category models
 * @since 0.1.0
 */
export const Parking = entry("Parking", { ...parking, endedAt: Schema.NullOr(Time) })

/**
 * @category models
 * @since 0.1.0
 */
export type Parking = typeof Parking.Type

/**
 * What an operator decided. `on` is what the execution was parked for.
 *
 * @category models
 * @since 0.1.0
 */
export const Decision = entry("Decision", {
  decision: Schema.Literals(["Retried", "Skipped", "Resolved"]),
  on: Schema.NullOr(parking.kind),
  path: Schema.String,
  /** What it was resolved with. */
  value: Schema.NullOr(Stored),
  ...decidedBy
})

/**
 * @category models
 * @since 0.1.0
 */
export type Decision = typeof Decision.Type

/**
 * The execution went on, because its code fits again.
 *
 * @category models
 * @since 0.1.0
 */
export const Resumption = entry("Resumption", {})

/**
 * @category models
 * @since 0.1.0
 */
export type Resumption = typeof Resumption.Type

/**
 * Anything that happened.
 *
 * @category models
 * @since 0.1.0
 */
export const Entry = Schema.Union([
  Step,
  Timer,
  SignalWait,
  Signal,
  Value,
  Child,
  Commit,
  Unwind,
  CancelRequest,
  Parking,
  Decision,
  Resumption
])

/**
 * @category models
 * @since 0.1.0
 */
export type Entry = typeof Entry.Type

/**
 * Something that an operator can do now.
 *
 * @category models
 * @since 0.1.0
 */
export const Action = Schema.Struct({
  action: Schema.Literals(["retry", "skip", "resolve", "cancel"]),
  /** What the decision has to name, where the execution is parked for several things, or for a step. */
  path: Schema.NullOr(Schema.String),
  /** Whether it needs a value: the JSON of the success of the step. */
  needsValue: Schema.Boolean,
  /** What it does, in a sentence or two. */
  effect: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Action = typeof Action.Type

/**
 * Something that the execution is parked for now, and the decisions that are possible.
 *
 * @category models
 * @since 0.1.0
 */
export const Parked = Schema.Struct({
  ...parking,
  since: Time,
  actions: Schema.Array(Action)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Parked = typeof Parked.Type

/**
 * A step that took effect, was to be undone, and is not. `Failed`, `GivenUp` and `Remaining` stay so.
 *
 * @category models
 * @since 0.1.0
 */
export const Remaining = Schema.Struct({
  path: Schema.String,
  scope: Schema.String,
  state: CompensationState.pick(["Pending", "InFlight", "WaitingForRetry", "Parked", "Failed", "GivenUp", "Remaining"])
})

/**
 * @category models
 * @since 0.1.0
 */
export type Remaining = typeof Remaining.Type

/**
 * What happened in an execution, and what can be done now. Times are milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export const SagaTimeline = Schema.Struct({
  /** The version of this shape. */
  v: Schema.Literal(1),
  execution: Schema.Struct({
    id: Schema.String,
    definition: Schema.String,
    version: Schema.Number,
    parent: Schema.NullOr(Schema.String),
    status: Status,
    /** Since when it has had this status. */
    since: Time,
    /** Whether somebody asked to cancel it. */
    cancelled: Schema.Boolean,
    startedAt: Time,
    endedAt: Schema.NullOr(Time)
  }),
  /** From its first event to its last. */
  durationMillis: Millis,
  /** Whether payloads, inputs, values, and all of errors but their kinds were left out. */
  redacted: Schema.Boolean,
  payload: Stored,
  /** `null` as long as it has not ended. */
  result: Schema.NullOr(Result),
  /** The path of the pivot that committed it. */
  pivot: Schema.NullOr(Schema.String),
  /** In the order of the journal: that in which they began. */
  entries: Schema.Array(Entry),
  /** What is not undone: first what will be, in that order, then what nobody will undo any more. */
  remaining: Schema.Array(Remaining),
  /** What it is parked for now. */
  parked: Schema.Array(Parked),
  /** What can be done with the execution as a whole, beside the decisions on what it is parked for. */
  actions: Schema.Array(Action)
})

/**
 * @category models
 * @since 0.1.0
 */
export type SagaTimeline = typeof SagaTimeline.Type
