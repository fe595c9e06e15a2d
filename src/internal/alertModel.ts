import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ExecutionRecord } from "./store.ts"
import { Cause, Parking } from "./timelineModel.ts"

/* What alerts are made of. What does not apply is `null`, so that their JSON always has all keys. */

const alert = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    /** The version of this shape. */
    v: Schema.Literal(1),
    /**
     * The id of the execution, `#`, and the number of the event in its journal. The same when it is told again, so that
     * receivers can drop what they have had.
     */
    id: Schema.String,
    /** The execution, as the store has it when this is told. It may have gone on since. */
    execution: ExecutionRecord,
    /** When it happened, in milliseconds since the epoch. */
    at: Schema.Number,
    /** Whether an engine has found it when it started. It may have been told before that. */
    isRepeated: Schema.Boolean,
    ...fields,
    /** The paths of the steps that were to be undone after this, in order; where it is parked, those it is parked for, too. */
    remaining: Schema.Array(Schema.String)
  })

/**
 * An execution can't go on without a decision.
 *
 * @category models
 * @since 0.1.0
 */
export const ParkedAlert = alert("Parked", {
  /** What for, as in `JournalEvent.Parked`. */
  kind: Parking.fields.kind,
  /** The path of the step that it is parked for; `null` where that is not one step. */
  step: Schema.NullOr(Schema.String),
  /** The paths of the steps because of which it failed after its pivot. */
  steps: Schema.Array(Schema.String),
  /** Why, in a sentence. */
  reason: Schema.String,
  /** What failed. `null` where nothing did: the code does not fit, or is not there. */
  cause: Schema.NullOr(Cause)
})

/**
 * @category models
 * @since 0.1.0
 */
export type ParkedAlert = typeof ParkedAlert.Type

/**
 * A step could not be undone, and the execution went on without that: because `onCompensationFailure` is `"fail"`, or
 * because an operator gave it up.
 *
 * @category models
 * @since 0.1.0
 */
export const CompensationFailedAlert = alert("CompensationFailed", {
  /** The path of the step. */
  step: Schema.String,
  /** How often its compensation was tried. */
  attempt: Schema.Number,
  cause: Cause,
  /** Whether an operator gave it up. */
  isGivenUp: Schema.Boolean
})

/**
 * @category models
 * @since 0.1.0
 */
export type CompensationFailedAlert = typeof CompensationFailedAlert.Type

/**
 * Any alert. As JSON it is what webhooks send.
 *
 * @category models
 * @since 0.1.0
 */
export const Alert = Schema.Union([ParkedAlert, CompensationFailedAlert])

/**
 * @category models
 * @since 0.1.0
 */
export type Alert = typeof Alert.Type

/**
 * Who is told. What is left out is not told to them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  /** Handles one alert. Its failures are logged and change nothing. */
  readonly onParked?: ((alert: ParkedAlert) => Effect.Effect<unknown, unknown>) | undefined
  /** Handles one alert. Its failures are logged and change nothing. */
  readonly onCompensationFailed?: ((alert: CompensationFailedAlert) => Effect.Effect<unknown, unknown>) | undefined
}
