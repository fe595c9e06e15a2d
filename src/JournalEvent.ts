/**
 * What happens in a durable execution, as data.
 *
 * The journal of an execution is the list of its events, numbered from 1. Nothing else is stored of what it did: after a
 * crash its state is a fold over these events, by the same code that follows a running execution.
 *
 * **Details**
 *
 * - `v` is the version of the shape, `at` the time in milliseconds since the epoch.
 * - `path` is the place of a step, timer or wait in its saga, as in `SagaEvent`.
 * - Payloads, inputs, values and causes are what a schema made JSON of, after the `PayloadCodec` of the engine. What the
 *   schema calls `Redacted` is `{"~redacted": ...}` there.
 * - `after` says how many results the saga had been given when this one was asked for. With it a replay hands out results
 *   so that whatever had started before one came in has started again before it comes in again. It is -1 for what a
 *   compensation asked for, which is in no order with the rest.
 * - `starts` are the paths of the steps whose actions start once this event is durable, each with its `after`. So a restart
 *   knows which actions may have been running, and no start costs a write of its own.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const event = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    v: Schema.Literal(1),
    at: Schema.Number,
    ...fields,
    starts: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.String, Schema.Number])))
  })

const path = Schema.String
const after = Schema.Number

/* Who decided, and why. */
const decision = {
  operator: Schema.optionalKey(Schema.String),
  reason: Schema.optionalKey(Schema.String)
}

/**
 * The first event: an execution of this definition was started.
 *
 * @category events
 * @since 0.1.0
 */
export const ExecutionStarted = event("ExecutionStarted", {
  id: Schema.String,
  definition: Schema.String,
  version: Schema.Number,
  payload: Schema.Json,
  parent: Schema.optionalKey(Schema.String),
  /** What lists look for; left out where there is nothing. */
  attributes: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
})

/**
 * An attempt of a step is about to start. Mostly `starts` of another event says so.
 *
 * @category events
 * @since 0.1.0
 */
export const StepStarted = event("StepStarted", { path, after, attempt: Schema.Number })

/**
 * An attempt of a step failed, and the next one starts at `retryAt`.
 *
 * @category events
 * @since 0.1.0
 */
export const AttemptFailed = event("AttemptFailed", {
  path,
  attempt: Schema.Number,
  cause: Schema.Json,
  retryAt: Schema.Number
})

/**
 * The action of a step succeeded.
 *
 * @category events
 * @since 0.1.0
 */
export const StepSucceeded = event("StepSucceeded", {
  path,
  after,
  startedAt: Schema.Number,
  attempt: Schema.Number,
  input: Schema.Json,
  value: Schema.Json
})

/**
 * The action of a step failed for good. With `tookEffect` it had succeeded with a value that does not fit its schema, and
 * what it did could not be undone at once: it is undone with the saga.
 *
 * @category events
 * @since 0.1.0
 */
export const StepFailed = event("StepFailed", {
  path,
  after,
  startedAt: Schema.Number,
  attempt: Schema.Number,
  input: Schema.Json,
  cause: Schema.Json,
  tookEffect: Schema.optionalKey(Schema.Boolean)
})

/**
 * The pivot at `path` succeeded: what was done is not undone any more.
 *
 * @category events
 * @since 0.1.0
 */
export const SagaCommitted = event("SagaCommitted", { path })

/**
 * The saga (`scope` is empty), or the savepoint or nested saga at `scope`, is being undone. `pending` are the steps to
 * compensate, in that order.
 *
 * @category events
 * @since 0.1.0
 */
export const UnwindStarted = event("UnwindStarted", {
  scope: Schema.String,
  cause: Schema.Json,
  pending: Schema.Array(Schema.String)
})

/**
 * An attempt of a compensation failed, and the next one starts at `retryAt`.
 *
 * @category events
 * @since 0.1.0
 */
export const CompensationAttemptFailed = event("CompensationAttemptFailed", {
  path,
  attempt: Schema.Number,
  cause: Schema.Json,
  retryAt: Schema.Number
})

/**
 * A step was undone.
 *
 * @category events
 * @since 0.1.0
 */
export const CompensationSucceeded = event("CompensationSucceeded", { path, after, attempt: Schema.Number })

/**
 * A step could not be undone, and nobody will try again.
 *
 * @category events
 * @since 0.1.0
 */
export const CompensationFailed = event("CompensationFailed", {
  path,
  after,
  attempt: Schema.Number,
  cause: Schema.Json
})

/**
 * All that could be undone of the savepoint or nested saga at `scope` has been undone.
 *
 * @category events
 * @since 0.1.0
 */
export const UnwindFinished = event("UnwindFinished", {
  scope: Schema.String,
  remaining: Schema.Array(Schema.String)
})

/**
 * @category events
 * @since 0.1.0
 */
export const TimerStarted = event("TimerStarted", { path, dueAt: Schema.Number })

/**
 * @category events
 * @since 0.1.0
 */
export const TimerFired = event("TimerFired", { path, after })

/**
 * A signal arrived. It is kept until the saga waits for it.
 *
 * @category events
 * @since 0.1.0
 */
export const SignalReceived = event("SignalReceived", { name: Schema.String, value: Schema.Json, ...decision })

/**
 * @category events
 * @since 0.1.0
 */
export const SignalAwaited = event("SignalAwaited", { path, name: Schema.String })

/**
 * The saga was given the signal that the event numbered `signal` received.
 *
 * @category events
 * @since 0.1.0
 */
export const SignalConsumed = event("SignalConsumed", {
  path,
  after,
  name: Schema.String,
  signal: Schema.Number,
  value: Schema.Json
})

/**
 * The wait for a timer, a signal or a child ended without a result: something else was faster, or failed.
 *
 * @category events
 * @since 0.1.0
 */
export const WaitInterrupted = event("WaitInterrupted", { path })

/**
 * The saga was given the time, a random number or a unique id.
 *
 * @category events
 * @since 0.1.0
 */
export const ValueRecorded = event("ValueRecorded", { path, after, value: Schema.Json })

/**
 * @category events
 * @since 0.1.0
 */
export const ChildStarted = event("ChildStarted", { path, after, child: Schema.String })

/**
 * A child ended. `value` or `cause` is its result.
 *
 * @category events
 * @since 0.1.0
 */
export const ChildFinished = event("ChildFinished", {
  path,
  after,
  child: Schema.String,
  status: Schema.Literals(["Completed", "Compensated", "Failed"]),
  cancelled: Schema.Boolean,
  result: Schema.Json
})

/**
 * Somebody asked to cancel the execution.
 *
 * @category events
 * @since 0.1.0
 */
export const CancelRequested = event("CancelRequested", decision)

/**
 * The execution can't go on without a decision:
 *
 * - `CompensationFailed`: the step at `path` could not be undone,
 * - `FailedAfterPivot`: the saga failed after its pivot, because of the steps in `steps`; where that is one, `path` names it,
 * - `Mismatch`: the code does not fit the journal,
 * - `NotRegistered`: no engine has the definition, or this version of it.
 *
 * @category events
 * @since 0.1.0
 */
export const Parked = event("Parked", {
  kind: Schema.Literals(["CompensationFailed", "FailedAfterPivot", "Mismatch", "NotRegistered"]),
  path: Schema.String,
  steps: Schema.Array(Schema.String),
  /** How often the compensation has been tried. */
  attempt: Schema.Number,
  reason: Schema.String,
  cause: Schema.Json
})

/**
 * An operator had the execution try again what it is parked for. `path` is empty where that is not one compensation.
 *
 * @category events
 * @since 0.1.0
 */
export const Retried = event("Retried", { path, ...decision })

/**
 * An operator gave up what the execution is parked for.
 *
 * @category events
 * @since 0.1.0
 */
export const Skipped = event("Skipped", { path, ...decision })

/**
 * An operator did what the execution is parked for: the compensation counts as done, the step has succeeded with `value`.
 * Where the value does not fit the step, the execution is parked once more. `request` is the request that asked for it, where
 * that is answered only when this is known.
 *
 * @category events
 * @since 0.1.0
 */
export const Resolved = event("Resolved", {
  path,
  value: Schema.Json,
  ...decision,
  request: Schema.optionalKey(Schema.String)
})

/**
 * A parked execution goes on, because its code fits now.
 *
 * @category events
 * @since 0.1.0
 */
export const Resumed = event("Resumed", {})

/**
 * The last event of an execution that succeeded.
 *
 * @category events
 * @since 0.1.0
 */
export const ExecutionCompleted = event("ExecutionCompleted", { result: Schema.Json })

/**
 * The last event of an execution that failed and was undone.
 *
 * @category events
 * @since 0.1.0
 */
export const ExecutionCompensated = event("ExecutionCompensated", { result: Schema.Json })

/**
 * The last event of an execution that failed, of which something was not undone.
 *
 * @category events
 * @since 0.1.0
 */
export const ExecutionFailed = event("ExecutionFailed", { result: Schema.Json })

/**
 * Any event of a journal.
 *
 * @category models
 * @since 0.1.0
 */
export const JournalEvent = Schema.Union([
  ExecutionStarted,
  StepStarted,
  AttemptFailed,
  StepSucceeded,
  StepFailed,
  SagaCommitted,
  UnwindStarted,
  CompensationAttemptFailed,
  CompensationSucceeded,
  CompensationFailed,
  UnwindFinished,
  TimerStarted,
  TimerFired,
  SignalReceived,
  SignalAwaited,
  SignalConsumed,
  WaitInterrupted,
  ValueRecorded,
  ChildStarted,
  ChildFinished,
  CancelRequested,
  Parked,
  Retried,
  Skipped,
  Resolved,
  Resumed,
  ExecutionCompleted,
  ExecutionCompensated,
  ExecutionFailed
])

/**
 * @category models
 * @since 0.1.0
 */
export type JournalEvent = typeof JournalEvent.Type
