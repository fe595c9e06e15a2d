/**
 * Why an engine did not do what it was asked for.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

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
 * The error of everything that an engine refuses. Nothing was changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaEngineError
  extends Schema.TaggedError<SagaEngineError>("effect-saga/SagaEngineError")("SagaEngineError", {
    reason: Schema.Union([ExecutionNotFound, AlreadyFinished, NotApplicable, InvalidPayload])
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
