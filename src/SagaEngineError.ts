/**
 * Why what was asked of an engine was not done, or is not known to be done.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { SagaStoreError } from "./SagaStoreError.ts"

/**
 * There is no execution of this id: it was never started, or has been pruned.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionNotFound
  extends Schema.TaggedError<ExecutionNotFound>("effect-saga/SagaEngineError/ExecutionNotFound")("ExecutionNotFound", {
    execution: Schema.String
  })
{
  override get message(): string {
    return `There is no execution "${this.execution}": it was never started, or has been pruned. ` +
      `An id is the name of the definition, a slash, and the idempotency key of the payload.`
  }
}

/**
 * The execution has ended, so nothing can be changed any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyFinished
  extends Schema.TaggedError<AlreadyFinished>("effect-saga/SagaEngineError/AlreadyFinished")("AlreadyFinished", {
    execution: Schema.String,
    status: Schema.String
  })
{
  override get message(): string {
    return `Execution "${this.execution}" has ended (${this.status}), so nothing can be changed any more.`
  }
}

/**
 * A decision was made on an execution that is not parked.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotParked extends Schema.TaggedError<NotParked>("effect-saga/SagaEngineError/NotParked")("NotParked", {
  execution: Schema.String,
  status: Schema.String
}) {
  override get message(): string {
    return `Execution "${this.execution}" is not parked: it is ${this.status}. ` +
      `Only what is parked can be retried, skipped or resolved.`
  }
}

/**
 * A decision was made on another step than those that the execution is parked for or, without a `path`, on none of several.
 * `parked` are their paths; that of an execution which is parked as a whole is empty.
 *
 * @category errors
 * @since 0.1.0
 */
export class WrongStep extends Schema.TaggedError<WrongStep>("effect-saga/SagaEngineError/WrongStep")("WrongStep", {
  execution: Schema.String,
  path: Schema.optionalKey(Schema.String),
  parked: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const parked = this.parked.map(named).join(", ")
    return this.path === undefined
      ? `Execution "${this.execution}" is parked for ${parked}. Say for which of them the decision is, with its path.`
      : `Execution "${this.execution}" is not parked for ${named(this.path)}, but for ${parked}.`
  }
}

const named = (path: string): string => path === "" ? "itself as a whole" : `"${path}"`

/**
 * The decision does not fit where the execution stands.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotApplicable
  extends Schema.TaggedError<NotApplicable>("effect-saga/SagaEngineError/NotApplicable")("NotApplicable", {
    execution: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `Execution "${this.execution}" was left as it is: ${this.detail}.`
  }
}

/**
 * What was given does not fit its schema, or has no id.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPayload
  extends Schema.TaggedError<InvalidPayload>("effect-saga/SagaEngineError/InvalidPayload")("InvalidPayload", {
    what: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `${this.what} can't be used: ${this.detail}`
  }
}

/**
 * The value that a step after the pivot was resolved with does not fit the schema of its success. The execution is parked
 * again, for the same step.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidValue
  extends Schema.TaggedError<InvalidValue>("effect-saga/SagaEngineError/InvalidValue")("InvalidValue", {
    execution: Schema.String,
    path: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `Execution "${this.execution}" stays parked. ${this.detail.replace(/\.$/, "")}. ` +
      `Give the JSON of what the step succeeds with.`
  }
}

/**
 * No engine runs on the store, so nothing was asked. `owner` is the last one that is known, `silence` for how long it has
 * given no sign of life, in milliseconds.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoEngine extends Schema.TaggedError<NoEngine>("effect-saga/SagaEngineError/NoEngine")("NoEngine", {
  store: Schema.String,
  owner: Schema.NullOr(Schema.String),
  silence: Schema.optionalKey(Schema.NullOr(Schema.Number))
}) {
  override get message(): string {
    const silence = this.silence === undefined || this.silence === null
      ? ""
      : `, which has given no sign of life for ${Math.round(this.silence / 1000)} s`
    const last = this.owner === null ? "" : ` The last one was ${this.owner}${silence}.`
    return `No engine runs on ${this.store}, so nothing was asked.${last} ` +
      `Start the service that runs its sagas, and try again.`
  }
}

/**
 * It was asked, or that is not known, and no answer has come: it may be done yet. `millis` is for how long answers are waited
 * for. `cause` is there where the store has failed before that time was over.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unanswered extends Schema.TaggedError<Unanswered>("effect-saga/SagaEngineError/Unanswered")("Unanswered", {
  execution: Schema.String,
  /** The step that it was about. */
  path: Schema.optionalKey(Schema.String),
  store: Schema.String,
  millis: Schema.Number,
  cause: Schema.optionalKey(SagaStoreError)
}) {
  override get message(): string {
    const asked = `What was asked${this.path === undefined ? "" : ` for "${this.path}"`}`
    const what = this.cause === undefined
      ? `The engine of ${this.store} has not answered within ${
        this.millis / 1000
      } s. ${asked} may still be done, when an ` +
        `engine finds it in the store.`
      : `${this.cause.message} ${asked} may have come to it all the same, and may still be done.`
    return `${what} Don't ask again before you have looked at "${this.execution}".`
  }
}

/**
 * The error of everything that an engine refuses, and of what could not be asked of one. Nothing was changed, except where
 * the reason is `Unanswered` (what was asked may be done yet) or `InvalidValue` (the journal says that it was tried).
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaEngineError
  extends Schema.TaggedError<SagaEngineError>("effect-saga/SagaEngineError")("SagaEngineError", {
    reason: Schema.Union([
      ExecutionNotFound,
      AlreadyFinished,
      NotParked,
      WrongStep,
      NotApplicable,
      InvalidPayload,
      InvalidValue,
      NoEngine,
      Unanswered
    ])
  })
{
  override get message(): string {
    return this.reason.message
  }
}

/**
 * The execution was cancelled, and all that it had done is undone.
 *
 * @category errors
 * @since 0.1.0
 */
export class Cancelled extends Schema.TaggedError<Cancelled>("effect-saga/SagaEngineError/Cancelled")("Cancelled", {
  execution: Schema.String
}) {
  override get message(): string {
    return `Execution "${this.execution}" was cancelled, and what it had done was undone.`
  }
}
