/**
 * How a saga fails when it was not, or not wholly, undone.
 *
 * A saga that was undone fails with its original error. One that was not fails with an error of its own, so that a
 * handler for the original error can't take a half-undone saga for an undone one:
 *
 * - `CompensationFailed`: at least one compensation failed, or was never tried.
 * - `CommittedIncomplete`: the saga failed after its pivot. It counts as done, and nothing was undone.
 *
 * Both carry the whole story: why the saga failed, which compensations failed and why, and what became of each step.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Inspectable from "effect/Inspectable"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { AnyFailure } from "./internal/codec.ts"
import * as SagaReport from "./SagaReport.ts"

/**
 * Annotation on each reason of the combined `cause` of a `CompensationFailed`: the step that it comes from, by its path
 * (`undefined` for code between steps), and whether its action or its compensation failed.
 *
 * @category annotations
 * @since 0.1.0
 */
export class FailureOrigin extends Context.Service<FailureOrigin, {
  readonly step: string | undefined
  readonly phase: "action" | "compensation"
}>()("effect-saga/SagaError/FailureOrigin") {}

/**
 * A compensation that failed: the path of its step, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepFailure<out CE> {
  readonly step: string
  readonly cause: Cause.Cause<CE>
}

/**
 * The saga failed because of `reason`, and undoing it failed too. `failures` holds the compensations that failed, in the
 * order in which they ran; what was done, undone and left is in `report`, and readable in `message`.
 *
 * @category errors
 * @since 0.1.0
 */
export class CompensationFailed<out E, out CE> extends Data.TaggedError("CompensationFailed")<{
  readonly saga: string
  readonly reason: Cause.Cause<unknown>
  readonly failures: ReadonlyArray<StepFailure<unknown>>
  readonly report: SagaReport.SagaReport
}> {
  /**
   * Creates a schema from those of the error of the saga and of its compensations, so that the error can be sent and
   * stored. Decoding gives back an instance of the class; defects keep name, message and stack.
   */
  static readonly schema = <E extends Schema.Top, CE extends Schema.Top>(options: {
    readonly error: E
    readonly compensationError: CE
  }) => compensationFailedSchema(options.error, options.compensationError)

  declare readonly reason: Cause.Cause<E>
  declare readonly failures: ReadonlyArray<StepFailure<CE>>

  constructor(fields: {
    readonly saga: string
    readonly reason: Cause.Cause<E>
    readonly failures: ReadonlyArray<StepFailure<CE>>
    readonly report: SagaReport.SagaReport
  }) {
    super(fields)
    showAsMessage(this, ["reason", "failures", "report"])
  }

  /** All failures in one cause, each annotated with its `FailureOrigin`: why the saga failed, then the compensations. */
  override get cause(): Cause.Cause<E | CE> {
    return Cause.fromReasons<E | CE>([
      ...this.reason.reasons,
      ...this.failures.flatMap(({ cause, step }) =>
        cause.reasons.map((reason) => withOrigin(reason, { step, phase: "compensation" }))
      )
    ])
  }

  override get message(): string {
    return SagaReport.render(this.report)
  }
}

/**
 * The saga failed because of `reason` after its pivot. What it did counts: nothing was undone.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommittedIncomplete<out E> extends Data.TaggedError("CommittedIncomplete")<{
  readonly saga: string
  readonly reason: Cause.Cause<unknown>
  readonly report: SagaReport.SagaReport
}> {
  /** Creates a schema from that of the error of the saga, so that the error can be sent and stored. */
  static readonly schema = <E extends Schema.Top>(options: { readonly error: E }) =>
    committedIncompleteSchema(options.error)

  declare readonly reason: Cause.Cause<E>

  constructor(fields: {
    readonly saga: string
    readonly reason: Cause.Cause<E>
    readonly report: SagaReport.SagaReport
  }) {
    super(fields)
    showAsMessage(this, ["reason", "report"])
  }

  override get message(): string {
    return SagaReport.render(this.report)
  }
}

/**
 * The error that undoing adds to a saga which fails with `E`, when its compensations may fail with `CE`: none where they
 * can't fail.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Failure<E, CE> = [CE] extends [never] ? never : CompensationFailed<E, CE>

/*
 * Wherever these errors are printed, their message is what people need: not the frames in which a saga ended, which are
 * those of this library, and not the fields, which are dumped at length when an error ends the process.
 */
const showAsMessage = (error: Error & { readonly _tag: string }, fields: ReadonlyArray<string>): void => {
  const text = () => `${error._tag}: ${error.message}`
  Object.defineProperties(error, {
    stack: { get: text, configurable: true },
    toString: { value: text, configurable: true },
    [Inspectable.NodeInspectSymbol]: { value: text, configurable: true }
  })
  for (const field of fields) Object.defineProperty(error, field, { enumerable: false })
}

/** Annotates a failure with where it comes from. */
export const withOrigin = <E>(reason: Cause.Reason<E>, origin: FailureOrigin["Service"]): Cause.Reason<E> =>
  reason.annotate(Context.make(FailureOrigin, origin), { overwrite: true })

/* Annotations are not part of a stored cause, so the steps of the failures in `reason` are stored beside it. */
const origins = Schema.Array(Schema.NullOr(Schema.String))

const originsOf = (reason: Cause.Cause<unknown>): ReadonlyArray<string | null> =>
  reason.reasons.map((one) => Context.getOrUndefined(Cause.reasonAnnotations(one), FailureOrigin)?.step ?? null)

const withStoredOrigins = <E>(reason: Cause.Cause<E>, steps: ReadonlyArray<string | null>): Cause.Cause<E> =>
  Cause.fromReasons(
    reason.reasons.map((one, index) => withOrigin(one, { step: steps[index] ?? undefined, phase: "action" }))
  )

const compensationFailedSchema = <E extends Schema.Top, CE extends Schema.Top>(error: E, compensationError: CE) =>
  Schema.TaggedStruct("CompensationFailed", {
    saga: Schema.String,
    reason: Schema.Cause(error, AnyFailure),
    origins,
    failures: Schema.Array(Schema.Struct({
      step: Schema.String,
      cause: Schema.Cause(compensationError, AnyFailure)
    })),
    report: SagaReport.SagaReport
  }).pipe(Schema.decodeTo(
    Schema.instanceOf(CompensationFailed<E["Type"], CE["Type"]>),
    SchemaTransformation.transform({
      decode: ({ failures, origins, reason, report, saga }) =>
        new CompensationFailed<E["Type"], CE["Type"]>({
          saga,
          reason: withStoredOrigins(reason, origins),
          failures,
          report
        }),
      encode: ({ _tag, failures, reason, report, saga }) => ({
        _tag,
        saga,
        reason,
        origins: originsOf(reason),
        failures,
        report
      })
    })
  ))

const committedIncompleteSchema = <E extends Schema.Top>(error: E) =>
  Schema.TaggedStruct("CommittedIncomplete", {
    saga: Schema.String,
    reason: Schema.Cause(error, AnyFailure),
    origins,
    report: SagaReport.SagaReport
  }).pipe(Schema.decodeTo(
    Schema.instanceOf(CommittedIncomplete<E["Type"]>),
    SchemaTransformation.transform({
      decode: ({ origins, reason, report, saga }) =>
        new CommittedIncomplete<E["Type"]>({ saga, reason: withStoredOrigins(reason, origins), report }),
      encode: ({ _tag, reason, report, saga }) => ({ _tag, saga, reason, origins: originsOf(reason), report })
    })
  ))
