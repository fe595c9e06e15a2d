import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import { Corrupt, SagaStoreError } from "../SagaStoreError.ts"
import type * as Attributes from "./attributes.ts"
import type { DecisionBy, DecisionKind, DecisionOptions, Refusal } from "./decisions.ts"
import { decodeEvents } from "./journalText.ts"
import type * as Progress from "./progress.ts"
import type { ExecutionRecord, ListOptions, PruneOptions, StoredExecution } from "./store.ts"

/*
 * What can be asked of the executions in a store: of the engine that owns it, or of a client that leaves requests for
 * that engine. Payloads, values and results are as they are stored.
 */

/** What is known of how an execution ended: its last event. */
export type Finished = Progress.FinishedEvent & { readonly cancelled: boolean }

export interface ChildCall {
  readonly id: string
  readonly definition: string
  readonly version: number
  readonly payload: Schema.Json
  readonly attributes?: Attributes.Stored | undefined
}

export interface StartCall extends ChildCall {
  readonly parent?: string | undefined
}

export interface Runner {
  /** Starts an execution, or joins the one that has its id. Returns when that is durable. */
  readonly start: (call: StartCall) => Effect.Effect<void, SagaStoreError>
  /**
   * Starts an execution, or joins the one that has its id, and waits until it has ended. `undefined` where it was pruned
   * before anybody could see how.
   */
  readonly run: (call: StartCall) => Effect.Effect<Finished | undefined, SagaStoreError>
  /** Waits until an execution has ended. `undefined` where there is none of this id. */
  readonly awaitFinished: (id: string) => Effect.Effect<Finished | undefined, SagaStoreError>
  /** How an execution ended, if it has; `undefined` where there is none of this id. */
  readonly poll: (id: string) => Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError>
  /** Has an execution undone, at its next step or wait. Its children, too. */
  readonly cancel: (id: string, by: DecisionBy) => Effect.Effect<Refusal | undefined, SagaStoreError>
  /** Keeps a signal for an execution, which may be one that has not been started. */
  readonly signal: (
    id: string,
    name: string,
    value: Schema.Json,
    by: DecisionBy
  ) => Effect.Effect<Refusal | undefined, SagaStoreError>
  /** Decides on what an execution is parked for: all of it, or the step at `path`. */
  readonly decide: (
    id: string,
    kind: DecisionKind,
    options: DecisionOptions
  ) => Effect.Effect<Refusal | undefined, SagaStoreError>
  /** What is stored of an execution. */
  readonly find: (id: string) => Effect.Effect<StoredExecution | undefined, SagaStoreError>
  readonly list: (options: ListOptions) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError>
  readonly prune: (options: PruneOptions) => Effect.Effect<number, SagaStoreError>
}

/** How an execution ended, from its last event. */
export const finishedFrom = (
  store: string,
  record: ExecutionRecord,
  text: string | undefined
): Exit.Exit<Finished, SagaStoreError> => {
  const last = text === undefined ? undefined : decodeEvents([text])?.[0]
  return last !== undefined && isLast(last)
    ? Exit.succeed({ ...last, cancelled: record.cancelled })
    : Exit.fail(corrupt(store, `execution ${record.id} has ended and its journal has no last event`))
}

export const unreadable = (store: string, id: string): SagaStoreError =>
  corrupt(store, `the journal of execution ${id} is damaged, or was written by a later version of this library`)

const corrupt = (store: string, detail: string): SagaStoreError =>
  new SagaStoreError({ reason: new Corrupt({ store, detail, cause: undefined }) })

const isLast = (event: JournalEvent): event is Progress.FinishedEvent =>
  event._tag === "ExecutionCompleted" || event._tag === "ExecutionCompensated" || event._tag === "ExecutionFailed"

/* ------------------------------------------------------------------------------------------------ requests */

const by = { operator: Schema.optionalKey(Schema.String), reason: Schema.optionalKey(Schema.String) }

/** What a client asks for, as it is stored. `v` is the version of the shape; a `plain` value came through no payload codec. */
export const Asked = Schema.Union([
  Schema.TaggedStruct("Start", {
    v: Schema.Literal(1),
    definition: Schema.String,
    version: Schema.Number,
    payload: Schema.Json,
    attributes: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  }),
  Schema.TaggedStruct("Signal", {
    v: Schema.Literal(1),
    name: Schema.String,
    value: Schema.Json,
    plain: Schema.optionalKey(Schema.Literal(true)),
    ...by
  }),
  Schema.TaggedStruct("Cancel", { v: Schema.Literal(1), ...by }),
  Schema.TaggedStruct("Decide", {
    v: Schema.Literal(1),
    kind: Schema.Literals(["Retried", "Skipped", "Resolved"]),
    path: Schema.optionalKey(Schema.String),
    value: Schema.Json,
    hasValue: Schema.optionalKey(Schema.Literal(true)),
    plain: Schema.optionalKey(Schema.Literal(true)),
    ...by
  })
])

export type Asked = typeof Asked.Type

/** What became of it. */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Done", {}),
  Schema.TaggedStruct("NotFound", {}),
  Schema.TaggedStruct("AlreadyFinished", { status: Schema.String }),
  Schema.TaggedStruct("NotParked", { status: Schema.String }),
  Schema.TaggedStruct("WrongStep", {
    path: Schema.optionalKey(Schema.String),
    parked: Schema.Array(Schema.String)
  }),
  Schema.TaggedStruct("InvalidValue", { path: Schema.String, detail: Schema.String }),
  Schema.TaggedStruct("NotApplicable", { detail: Schema.String })
])

const decodeAskedText = Schema.decodeUnknownExit(Schema.fromJsonString(Asked))
const decodeOutcomeText = Schema.decodeUnknownExit(Schema.fromJsonString(Outcome))

/** `undefined` where a later version of this library has asked for it. */
export const decodeAsked = (text: string): Asked | undefined => {
  const asked = decodeAskedText(text)
  return Exit.isSuccess(asked) ? asked.value : undefined
}

export const encodeOutcome = (refusal: Refusal | undefined): string => JSON.stringify(refusal ?? { _tag: "Done" })

export const decodeOutcome = (store: string, text: string): Exit.Exit<Refusal | undefined, SagaStoreError> => {
  const outcome = decodeOutcomeText(text)
  if (Exit.isFailure(outcome)) return Exit.fail(corrupt(store, "the answer to a request can't be read"))
  return Exit.succeed(outcome.value._tag === "Done" ? undefined : outcome.value)
}
