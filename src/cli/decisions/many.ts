import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { alreadyBeingUndone } from "../../internal/decisions.ts"
import { type ExecutionFilter, type ExecutionRecord, isFinished } from "../../internal/store.ts"
import { shellWord } from "../../internal/timelineText.ts"
import type { DecisionOptions } from "../../SagaEngine.ts"
import { AlreadyFinished, NotApplicable, NotParked, SagaEngineError } from "../../SagaEngineError.ts"
import type { BulkAction, Error, SagaOperator } from "../../SagaOperator.ts"
import { similarTo } from "../print/similar.ts"

/* One decision on many: first it is planned what it would be about, and then just that is asked of the engine. */

/** Which executions are decided on. */
export type Targets =
  | { readonly _tag: "Ids"; readonly ids: ReadonlyArray<string> }
  | { readonly _tag: "Filter"; readonly filter: ExecutionFilter; readonly limit: number | undefined }

/** What became of one of them, or of a step that it is parked for. */
export interface Result {
  readonly id: string
  /** As it was before; undefined where there is none, or where it is not shown. */
  readonly record: ExecutionRecord | undefined
  readonly path: string | null
  readonly outcome:
    | { readonly _tag: "Planned" }
    | { readonly _tag: "Done" }
    | { readonly _tag: "Refused"; readonly error: SagaEngineError; readonly hint?: string }
    /** It was asked, or that is not known: it may still be done. Without an error, it was interrupted. */
    | { readonly _tag: "Unanswered"; readonly error: Error | undefined }
    /** As the engine, or the store, was gone before its turn, or it was interrupted. */
    | { readonly _tag: "NotAsked" }
}

export interface Request {
  readonly action: BulkAction
  readonly targets: Targets
  readonly by: DecisionOptions
}

/* How many requests are on their way at a time. */
const concurrency = 64

/** Says what would be decided. What can be seen to be in vain is refused already. */
export const plan = (
  operator: SagaOperator["Service"],
  { action, targets }: Request
): Stream.Stream<Result, Error> =>
  targets._tag === "Filter"
    ? Stream.map(
      operator.bulk(action, { filter: targets.filter, limit: targets.limit, dryRun: true }),
      ({ execution, outcome, path }) => ({ id: execution.id, record: execution, path, outcome })
    )
    : Stream.fromIterable(new Set(targets.ids)).pipe(
      Stream.mapEffect((id) => planOne(operator, action, id), { concurrency }),
      Stream.flattenIterable
    )

/* An execution that is parked for several steps gets a decision on each, as it does where a filter has found it. */
const planOne = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  action: BulkAction,
  id: string
): Effect.fn.Return<ReadonlyArray<Result>, Error> {
  const refused = (record: ExecutionRecord | undefined) => (error: SagaEngineError) =>
    Effect.succeed<ReadonlyArray<Result>>([{ id, record, path: null, outcome: { _tag: "Refused", error } }])
  return yield* operator.get(id).pipe(
    Effect.flatMap((record) =>
      pathsOf(operator, action, record).pipe(
        Effect.map((paths) => paths.map((path): Result => ({ id, record, path, outcome: { _tag: "Planned" } }))),
        Effect.catchTag("SagaEngineError", refused(record))
      )
    ),
    Effect.catchTag(
      "SagaEngineError",
      (error) =>
        Effect.map(similarTo(operator, id), (similar): ReadonlyArray<Result> => [{
          id,
          record: undefined,
          path: null,
          outcome: { _tag: "Refused", error, ...(similar.length === 0 ? {} : { hint: didYouMean(similar) }) }
        }])
    )
  )
})

const pathsOf = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  action: BulkAction,
  { cancelled, id: execution, status }: ExecutionRecord
): Effect.fn.Return<ReadonlyArray<string | null>, Error> {
  if (isFinished(status)) return yield* refusal(new AlreadyFinished({ execution, status }))
  if (action === "cancel" && cancelled) {
    return yield* refusal(new NotApplicable({ execution, detail: "it is already cancelled" }))
  }
  if (status !== "Parked" && action !== "cancel") return yield* refusal(new NotParked({ execution, status }))
  if (status !== "Parked" && status !== "Compensating") return [null]
  const { actions, parked } = yield* operator.timeline(execution, { redact: true })
  if (action === "cancel") {
    return actions.some((possible) => possible.action === "cancel")
      ? [null]
      : yield* refusal(new NotApplicable({ execution, detail: alreadyBeingUndone }))
  }
  // Where it is not parked any more, the engine says so.
  return parked.length === 0 ? [null] : parked.map(({ path }) => path === "" ? null : path)
})

const didYouMean = (similar: ReadonlyArray<string>): string => ` Did you mean ${similar.map(shellWord).join(", ")}?`

const refusal = (reason: SagaEngineError["reason"]) => Effect.fail(new SagaEngineError({ reason }))

interface Listener {
  /** Is told what became of each, as soon as it is known. */
  readonly onResult: (result: Result) => Effect.Effect<void>
  /** Is told how far it had come. */
  readonly onInterrupt: (results: ReadonlyArray<Result>) => Effect.Effect<void>
}

/**
 * Decides on what was planned, and on nothing else: what is parked for another step by now is refused. A refusal does not
 * stop the others. After an error that says that no engine answers, or that the store can't be used, nothing more is asked,
 * and what is on its way runs to its end.
 */
export const perform = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  { action, by }: Request,
  planned: ReadonlyArray<Result>,
  { onInterrupt, onResult }: Listener
) {
  let error: Error | undefined
  const results = planned.map((one): Result => one.outcome._tag === "Planned" ? { ...one, outcome: notAsked } : one)
  const become = (index: number, outcome: Result["outcome"]): Result => results[index] = { ...results[index]!, outcome }
  const outcomeOf = (failed: Error): Result["outcome"] => {
    if (failed._tag === "SagaEngineError" && failed.reason._tag === "Unanswered") {
      return { _tag: "Unanswered", error: failed }
    }
    if (failed._tag === "SagaEngineError" && failed.reason._tag !== "NoEngine") {
      return { _tag: "Refused", error: failed }
    }
    error ??= failed
    return notAsked
  }
  const ask = ({ id, path }: Result, index: number): Effect.Effect<Result["outcome"]> => {
    if (error !== undefined) return Effect.succeed(notAsked)
    become(index, { _tag: "Unanswered", error: undefined })
    // Of a whole execution, the path is empty: without one, it would be whatever it is parked for then.
    return Effect.match(
      action === "cancel" ? operator.cancel(id, by) : operator[action](id, { ...by, path: path ?? "" }),
      {
        onSuccess: () => ({ _tag: "Done" }),
        onFailure: outcomeOf
      }
    )
  }

  yield* Effect.forEach(
    planned,
    (one, index) =>
      Effect.suspend(() => one.outcome._tag === "Planned" ? ask(one, index) : Effect.succeed(one.outcome)).pipe(
        Effect.flatMap((outcome) => onResult(become(index, outcome)))
      ),
    { concurrency, discard: true }
  ).pipe(Effect.onInterrupt(() => onInterrupt(results)))
  return { results, error }
})

const notAsked = { _tag: "NotAsked" } as const
