import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SagaStoreError } from "../SagaStoreError.ts"

/**
 * Where an execution stands. `Running`, `Waiting` (for a timer or a signal), `Compensating` and `Parked` (until an
 * operator decides), then for good `Completed`, `Compensated` (all undone) or `Failed` (something was not undone).
 *
 * @category models
 * @since 0.1.0
 */
export const Status = Schema.Literals([
  "Running",
  "Waiting",
  "Compensating",
  "Parked",
  "Completed",
  "Compensated",
  "Failed"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * The statuses that are for good.
 *
 * @category models
 * @since 0.1.0
 */
export const finishedStatuses = ["Completed", "Compensated", "Failed"] as const satisfies ReadonlyArray<Status>

/** The statuses of the executions that an engine goes on with. */
export const unfinishedStatuses = [
  "Running",
  "Waiting",
  "Compensating",
  "Parked"
] as const satisfies ReadonlyArray<Status>

export const isFinished = (status: Status): status is (typeof finishedStatuses)[number] =>
  finishedStatuses.some((finished) => finished === status)

/**
 * What a store knows of an execution besides its journal. Times are whole milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export const ExecutionRecord = Schema.Struct({
  /** Number of the execution in its store, given by the owner, ascending from 1. Never given twice. */
  key: Schema.Int,
  /** Unique in its store: the name of the definition, a slash, and the id that its payload has. Has no zero characters. */
  id: Schema.String,
  definition: Schema.String,
  version: Schema.Int,
  status: Status,
  /** Whether somebody asked to cancel it. */
  cancelled: Schema.Boolean,
  /** Why it is parked, in one line. */
  reason: Schema.NullOr(Schema.String),
  /**
   * The kind of the error that it is parked for or, where it is not parked, that it failed with: its `_tag`, or the name
   * of its class. `null` where there is none, and where a payload codec has made it unreadable. At most 200 characters.
   */
  error: Schema.NullOr(Schema.String),
  /** What lists look for, as `attributes` of its definition gave it. */
  attributes: Schema.Record(Schema.String, Schema.String),
  /** The execution that started this one as its child. */
  parent: Schema.NullOr(Schema.String),
  createdAt: Schema.Int,
  updatedAt: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type ExecutionRecord = typeof ExecutionRecord.Type

/**
 * What one execution adds to its journal at one time. It is written wholly or not at all.
 *
 * @category models
 * @since 0.1.0
 */
export interface Append {
  readonly key: number
  /** The record after these events, where they change it; always there when `firstSequence` is 1. */
  readonly record: ExecutionRecord | undefined
  /** Events of an execution are numbered from 1, without gaps. With 1, the execution is new. */
  readonly firstSequence: number
  /** Events as JSON texts. */
  readonly events: ReadonlyArray<string>
  /** The request that is done by this. */
  readonly answer?: Answer | undefined
}

/**
 * What a client in any process asks of the engine that owns the store, now or later.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  /** Unique in its store, given by the client. */
  readonly id: string
  /** The id of the execution that it is about, which may not have been started yet. */
  readonly execution: string
  /** What is asked, as JSON text. */
  readonly request: string
}

/**
 * What became of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  /** The id of the request. */
  readonly request: string
  /** JSON text, kept for the client for ten minutes. Where it is undefined, nobody waits for it, and nothing is kept. */
  readonly answer: string | undefined
}

/** For how long answers are kept at least, in milliseconds. */
export const answerRetention = 600_000

/**
 * A signal for an execution that has not been started yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface EarlySignal {
  /** The same where it is kept again, because it is not known whether it is there; any where nobody does that. */
  readonly id?: string | undefined
  /** The id that the execution will have. */
  readonly execution: string
  /** The event that receives it, as JSON text. */
  readonly event: string
}

/**
 * The right to write to a store, which one engine has at a time. It ends with the scope in which it was acquired.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ownership {
  /** Higher than that of every owner before. Each write checks that it is still the highest. */
  readonly epoch: number
  /** Whether commits are made elsewhere, while this process goes on. Default `false`. */
  readonly isApart?: boolean | undefined
  /** The highest key of an execution so far, 0 where there is none. */
  readonly lastKey: number
  /** The latest `updatedAt` of an execution so far, 0 where there is none. */
  readonly lastChange: number
  /** Never succeeds; fails when another engine has taken the store over, noticed by a write or by the heartbeat. */
  readonly lost: Effect.Effect<never, SagaStoreError>
  /**
   * Writes all of it in one transaction, and returns when it is durable. Where it fails, nothing of it is written, and
   * the same call may be repeated if the error is transient. Where the store can't be reached, all of it may have been
   * written, and the next call has to be the same one, which finds out. A new execution takes the early signals for its id out of
   * the store. A request that was answered already, or is not there, changes nothing.
   */
  readonly commit: (appends: ReadonlyArray<Append>) => Effect.Effect<void, SagaStoreError>
  /** Keeps a signal, and answers the request for that in the same transaction. */
  readonly keepSignal: (signal: EarlySignal, answer?: Answer) => Effect.Effect<void, SagaStoreError>
  /** Answers requests for which nothing is to be written. */
  readonly answer: (answers: ReadonlyArray<Answer>) => Effect.Effect<void, SagaStoreError>
  /** All early signals, in order of arrival. */
  readonly earlySignals: Effect.Effect<ReadonlyArray<EarlySignal>, SagaStoreError>
}

/**
 * An execution with its journal.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredExecution {
  readonly record: ExecutionRecord
  /** The events as JSON texts, oldest first. */
  readonly events: ReadonlyArray<string>
}

/**
 * An execution that has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndedExecution {
  readonly record: ExecutionRecord
  /** Its last event as JSON text. */
  readonly event: string
}

/**
 * Some of the executions in a store: those for which all that is given is so. Times are milliseconds since the epoch.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionFilter {
  readonly statuses?: ReadonlyArray<Status> | undefined
  readonly definition?: string | undefined
  /** What their ids begin with. */
  readonly idPrefix?: string | undefined
  /** Created at this time or later. */
  readonly createdFrom?: number | undefined
  /** Created before this time. */
  readonly createdBefore?: number | undefined
  /** Whose `updatedAt` is before this time. */
  readonly updatedBefore?: number | undefined
  /** The `error` of the record. */
  readonly error?: string | undefined
  /** Search attributes that they have, with just these values. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

/** The place of an execution in lists, which are in order of `createdAt`, then of `key`. */
export type Position = Pick<ExecutionRecord, "createdAt" | "key">

export const byPosition = (one: Position, other: Position): number =>
  one.createdAt - other.createdAt || one.key - other.key

/**
 * A page of a list of executions.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions extends ExecutionFilter {
  /** Default `"newest"`: the one that was created last comes first. */
  readonly order?: "newest" | "oldest" | undefined
  /** Lists what comes after this one in the order: the last of the page before. */
  readonly after?: Position | undefined
  /** Default 100. */
  readonly limit?: number | undefined
}

/**
 * How many executions there are, and how many have begun and ended of late.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Only those of which there are some, in order of definitions, then of statuses as `Status` has them. */
  readonly groups: ReadonlyArray<{
    readonly definition: string
    readonly status: Status
    readonly count: number
  }>
  /** The parked one whose `updatedAt` is the earliest. */
  readonly oldestParked: ExecutionRecord | undefined
  /** How many were created since the time that was given. */
  readonly started: number
  /** How many have ended since then. */
  readonly ended: Readonly<Record<"Completed" | "Compensated" | "Failed", number>>
}

/** What an owner is called in errors. */
export const nameOfOwner = (
  { host, name, pid }: { readonly name: string; readonly host: string; readonly pid: number }
): string => `${name} (process ${pid} on ${host})`

/**
 * What a store says of itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inspection {
  /** The number of the last migration of its tables; 0 where it has none. */
  readonly version: number
  /** The engine that has the store, or had it last and did not give it back. */
  readonly owner: {
    readonly name: string
    readonly host: string
    readonly pid: number
    /** Milliseconds since the epoch. */
    readonly acquiredAt: number
    /** For how long it has given no sign of life, in milliseconds. It gives one each second. */
    readonly silence: number
    /** Whether it counts as alive. Where it does not, the next engine takes the store. */
    readonly isAlive: boolean
  } | undefined
  /** How many requests have no answer. */
  readonly unanswered: number
  /** How much room it takes on its disk, in bytes; undefined where it has none. */
  readonly bytes: number | undefined
}

/**
 * Which finished executions to delete.
 *
 * @category models
 * @since 0.1.0
 */
export interface PruneOptions {
  /** Default all three. */
  readonly statuses?: ReadonlyArray<"Completed" | "Compensated" | "Failed"> | undefined
  /** Executions that finished before this time, in milliseconds since the epoch. */
  readonly finishedBefore: number
  /** Is told now and then how many were deleted so far. */
  readonly onProgress?: ((deleted: number) => void) | undefined
}

/**
 * Where journals live.
 *
 * @category services
 * @since 0.1.0
 */
export class SagaStore extends Context.Service<SagaStore, {
  /** What people call it, such as `SQLite file "/var/lib/sagas.db"`. */
  readonly name: string
  /**
   * Makes the caller the owner until its scope closes. Where a living engine owns the store, fails with `Owned`, or with
   * `standby` waits until that one is gone. An owner that died is replaced within 5 seconds.
   */
  readonly acquire: (options: {
    /** What the owner is called in the errors of others. */
    readonly owner: string
    readonly standby: boolean
  }) => Effect.Effect<Ownership, SagaStoreError, Scope.Scope>
  readonly find: (id: string) => Effect.Effect<StoredExecution | undefined, SagaStoreError>
  /** Those of these ids for which there are executions. */
  readonly existing: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, SagaStoreError>
  /** Unfinished executions with their journals, oldest first, after the one at `after`, at most `limit`. */
  readonly unfinished: (options: {
    readonly after: Position | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<StoredExecution>, SagaStoreError>
  readonly list: (options?: ListOptions) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError>
  readonly count: (filter?: ExecutionFilter) => Effect.Effect<number, SagaStoreError>
  /** `since` is in milliseconds since the epoch. */
  readonly counts: (options: { readonly since: number }) => Effect.Effect<Counts, SagaStoreError>
  /**
   * Executions whose `updatedAt` is `from` or later, in order of `updatedAt`, then of `key`, after the one at `after`, at
   * most `limit`.
   */
  readonly changed: (options: {
    readonly from: number
    readonly after?: Pick<ExecutionRecord, "updatedAt" | "key"> | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError>
  readonly inspect: Effect.Effect<Inspection, SagaStoreError>
  /**
   * Deletes finished executions, and returns how many. Never one that is not finished, nor one whose parent is not: the
   * parent may still have to read how it ended. Executions are deleted in parts, each wholly or not at all.
   */
  readonly prune: (options: PruneOptions) => Effect.Effect<number, SagaStoreError>
  /** Those of these executions that have ended. */
  readonly ended: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<EndedExecution>, SagaStoreError>
  /**
   * Leaves requests for the engine that owns the store, or will own it. Returns when they are durable. What is there
   * already under an id stays as it is, so the same call may be repeated.
   */
  readonly ask: (requests: ReadonlyArray<Request>) => Effect.Effect<void, SagaStoreError>
  /** The requests that have no answer, oldest first: all, or those about one execution, at most `limit`. */
  readonly requests: (options?: {
    readonly execution?: string | undefined
    readonly limit?: number | undefined
  }) => Effect.Effect<ReadonlyArray<Request>, SagaStoreError>
  /** The answers that there are to the requests with these ids. */
  readonly answers: (
    ids: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<{ readonly request: string; readonly answer: string }>, SagaStoreError>
  /**
   * Emits at once, and again whenever there may be requests that were not there before; now and then also where there
   * are none.
   */
  readonly requested: Stream.Stream<void>
  /**
   * Emits at once, and again whenever executions may have ended, or requests may have been answered; now and then also
   * where nothing has changed.
   */
  readonly news: Stream.Stream<void>
}>()("effect-saga/SagaStore") {}
