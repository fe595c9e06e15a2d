/**
 * What happens in a saga, as data.
 *
 * Every transition of a saga is one event. A `SagaObserver` receives them as they happen, and a `SagaReport` is a fold
 * over them, so whoever keeps the events of a saga can rebuild its report.
 *
 * **Details**
 *
 * - The events of one saga arrive in order; those of parallel branches are interleaved as they happened.
 * - `root` is the run that a whole tree of nested sagas belongs to, `run` the saga that the event is about.
 * - `path` names a step within its root: the names of the savepoints, branches and nested sagas around it, then its own
 *   name, with `#2` where the same name occurs a second time in the same place: `all[1]/book-car`, `charge#2`.
 * - `at` and `startedAt` are milliseconds since the epoch, by the `Clock` of the saga.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"

/**
 * What all events have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface Base {
  /** The name of the saga. */
  readonly saga: string
  /** The run of the saga: unique in its process. */
  readonly run: string
  /** The run of the outermost saga around it; equal to `run` where there is none. */
  readonly root: string
  readonly at: number
}

/**
 * What the events of one step have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepBase extends Base {
  readonly step: string
  readonly path: string
  /** Which attempt of the nearest enclosing `Effect.retry` this was, counted from 1. */
  readonly attempt: number
}

/**
 * A saga started. `path` is its place in the outermost saga, empty where there is none.
 *
 * @category events
 * @since 0.1.0
 */
export interface SagaStarted extends Base {
  readonly _tag: "SagaStarted"
  readonly path: string
}

/**
 * The action of a step started.
 *
 * @category events
 * @since 0.1.0
 */
export interface StepStarted extends StepBase {
  readonly _tag: "StepStarted"
}

/**
 * The action of a step succeeded. From here on it is `compensable`, unless it has no compensation or came after a pivot.
 *
 * @category events
 * @since 0.1.0
 */
export interface StepSucceeded extends StepBase {
  readonly _tag: "StepSucceeded"
  readonly value: unknown
  readonly compensable: boolean
  /** Known where an observer follows the saga. */
  readonly startedAt: number | undefined
}

/**
 * The action of a step failed. Its outcome is `Unknown` where it was interrupted or timed out: it may have taken effect.
 * It is `compensable` where it was declared with `stepExit`.
 *
 * @category events
 * @since 0.1.0
 */
export interface StepFailed extends StepBase {
  readonly _tag: "StepFailed"
  readonly outcome: "Failed" | "Unknown"
  readonly cause: Cause.Cause<unknown>
  readonly compensable: boolean
  /** Known where an observer follows the saga. */
  readonly startedAt: number | undefined
}

/**
 * A pivot succeeded: nothing that the saga has done will be undone any more.
 *
 * @category events
 * @since 0.1.0
 */
export interface SagaCommitted extends Base {
  readonly _tag: "SagaCommitted"
  readonly pivot: string
}

/**
 * A saga, or the savepoint at `scope`, began to undo what it had done because of `cause`. `pending` are the paths of
 * the steps to compensate, in the order in which that will happen.
 *
 * @category events
 * @since 0.1.0
 */
export interface UnwindStarted extends Base {
  readonly _tag: "UnwindStarted"
  readonly scope: string
  readonly cause: Cause.Cause<unknown>
  readonly pending: ReadonlyArray<string>
}

/**
 * The saga failed with a cause that its `compensateWhen` does not undo: everything done stays done.
 *
 * @category events
 * @since 0.1.0
 */
export interface UnwindDeclined extends Base {
  readonly _tag: "UnwindDeclined"
  readonly cause: Cause.Cause<unknown>
  readonly remaining: ReadonlyArray<string>
}

/**
 * The compensation of a step started.
 *
 * @category events
 * @since 0.1.0
 */
export interface CompensationStarted extends StepBase {
  readonly _tag: "CompensationStarted"
}

/**
 * The compensation of a step succeeded: the step is undone.
 *
 * @category events
 * @since 0.1.0
 */
export interface CompensationSucceeded extends StepBase {
  readonly _tag: "CompensationSucceeded"
}

/**
 * The compensation of a step failed: the step is not undone, or not wholly. This is what a dead-letter sink needs:
 * `value` is what the compensation was given (for `stepExit` the `Exit` of the action), `reason` why the saga unwinds,
 * `remaining` the paths that are not yet undone besides this one.
 *
 * @category events
 * @since 0.1.0
 */
export interface CompensationFailed extends StepBase {
  readonly _tag: "CompensationFailed"
  readonly value: unknown
  readonly cause: Cause.Cause<unknown>
  readonly reason: Cause.Cause<unknown>
  readonly remaining: ReadonlyArray<string>
}

/**
 * A saga or a savepoint finished undoing. `remaining` are the paths of the steps whose compensation was never started,
 * because an earlier one failed under `onCompensationFailure: "stop"` or the `unwindTimeout` passed.
 *
 * @category events
 * @since 0.1.0
 */
export interface UnwindFinished extends Base {
  readonly _tag: "UnwindFinished"
  readonly scope: string
  readonly remaining: ReadonlyArray<string>
}

/**
 * A saga succeeded.
 *
 * @category events
 * @since 0.1.0
 */
export interface SagaCompleted extends Base {
  readonly _tag: "SagaCompleted"
}

/**
 * A saga failed, and all that it had done was undone.
 *
 * @category events
 * @since 0.1.0
 */
export interface SagaCompensated extends Base {
  readonly _tag: "SagaCompensated"
  readonly cause: Cause.Cause<unknown>
}

/**
 * A saga failed and something that it had done was not undone: a compensation failed, the pivot had been passed, or
 * `compensateWhen` declined.
 *
 * @category events
 * @since 0.1.0
 */
export interface SagaFailed extends Base {
  readonly _tag: "SagaFailed"
  readonly cause: Cause.Cause<unknown>
}

/**
 * Any event of a saga.
 *
 * @category models
 * @since 0.1.0
 */
export type SagaEvent =
  | SagaStarted
  | StepStarted
  | StepSucceeded
  | StepFailed
  | SagaCommitted
  | UnwindStarted
  | UnwindDeclined
  | CompensationStarted
  | CompensationSucceeded
  | CompensationFailed
  | UnwindFinished
  | SagaCompleted
  | SagaCompensated
  | SagaFailed
