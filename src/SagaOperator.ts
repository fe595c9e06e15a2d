/**
 * Shows what there is in a store, and decides on what can't go on by itself.
 *
 * It needs a store and no code of the sagas in it, so it is for tools: the command line is made of it, and so may be a page
 * of your own. The engine may run in the same process or in any other.
 *
 * **Details**
 *
 * - What is read comes from the store at once, whether or not an engine runs.
 * - What is changed is asked of the engine that owns the store, as a request in the store, and done when it returns. It is
 *   done once, and written to the journal with the name of the operator and the reason. Where no engine runs, nothing is
 *   asked, and it fails with `NoEngine`. Where it was asked, or that is not known, and no answer has come, it fails with
 *   `Unanswered`: it may still be done, so look at the execution before you ask again.
 * - What a schema marks as `Redacted` is never shown: `{"~redacted": null}` stands in its place.
 * - Who watches or follows looks at the store five times a second, less often where looking takes long, and goes on after
 *   a store could not be read for a while.
 *
 * **Example** (Counting the executions that wait for an operator)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { SagaOperator, SagaStore } from "effect-saga"
 *
 * const parked = Effect.flatMap(SagaOperator.SagaOperator, (operator) => operator.count({ statuses: ["Parked"] }))
 *
 * const layer = Layer.provide(SagaOperator.layer(), SagaStore.layerMemory)
 *
 * await Effect.runPromise(Effect.provide(parked, layer)) // => 0
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Check from "./internal/check.ts"
import { Client } from "./internal/client.ts"
import { decisionBy, type DecisionKind } from "./internal/decisions.ts"
import * as FilterCheck from "./internal/filterCheck.ts"
import { decodeEvents } from "./internal/journalText.ts"
import * as Bulk from "./internal/operatorBulk.ts"
import { Commands, parkedPaths } from "./internal/operatorCommands.ts"
import { masked, redactedEvents, redactedRecord } from "./internal/operatorEvents.ts"
import * as Watch from "./internal/operatorWatch.ts"
import { found, refuse } from "./internal/refuse.ts"
import { unreadable } from "./internal/runner.ts"
import {
  type Counts,
  type ExecutionFilter,
  type ExecutionRecord,
  type Inspection,
  type ListOptions,
  type PruneOptions as StorePruneOptions,
  SagaStore
} from "./internal/store.ts"
import type { JournalEvent } from "./JournalEvent.ts"
import type { DecisionOptions, ParkedOptions } from "./SagaEngine.ts"
import type { SagaEngineError } from "./SagaEngineError.ts"
import type { SagaStoreError } from "./SagaStoreError.ts"
import * as SagaTimeline from "./SagaTimeline.ts"

export type { BulkAction, BulkResult } from "./internal/operatorBulk.ts"

/**
 * Why a call failed: the store can't be used now, or there is nothing to do it on.
 *
 * @category errors
 * @since 0.1.0
 */
export type Error = SagaStoreError | SagaEngineError

/**
 * Which executions to do something with at once, and who has decided so.
 *
 * @category options
 * @since 0.1.0
 */
export interface BulkOptions extends DecisionOptions {
  /**
   * For `retry` and `skip`, only those of these that are parked; for `cancel`, only those that have not ended, and are not
   * cancelled already.
   */
  readonly filter: ExecutionFilter
  /** Whether only to say what would be done. Default `false`. */
  readonly dryRun?: boolean | undefined
  /** How many of the oldest of them at most. Default all. */
  readonly limit?: number | undefined
}

/**
 * How to make a timeline: as `SagaTimeline.make` does.
 *
 * @category options
 * @since 0.1.0
 */
export type TimelineOptions = Pick<SagaTimeline.MakeOptions, "redact" | "sealed">

/**
 * How many executions there are, and how fast they come and go.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stats extends Counts {
  /** The time for which `started` and `ended` count, in milliseconds, up to now. */
  readonly windowMillis: number
}

/**
 * An execution for a report of a bug.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exported {
  readonly v: 1
  readonly execution: ExecutionRecord
  readonly events: ReadonlyArray<JournalEvent>
  /**
   * Whether payloads, inputs, values, search attributes, all of errors but their kinds, and what operators wrote (their
   * names, reasons and values) were left out.
   */
  readonly redacted: boolean
}

/**
 * Which finished executions to delete.
 *
 * @category options
 * @since 0.1.0
 */
export type PruneOptions =
  & (
    /** Those that ended at least that long ago. */
    | { readonly olderThan: Duration.Input; readonly finishedBefore?: undefined }
    /** Those that ended before this time, in milliseconds since the epoch: the same ones as were counted, say. */
    | { readonly finishedBefore: number; readonly olderThan?: undefined }
  )
  & {
    /** Default all that are final. */
    readonly statuses?: StorePruneOptions["statuses"]
    /** Is told now and then how many were deleted so far. */
    readonly onProgress?: ((deleted: number) => void) | undefined
  }

/**
 * Shows and decides. See the module for what it promises.
 *
 * @category services
 * @since 0.1.0
 */
export class SagaOperator extends Context.Service<SagaOperator, {
  readonly list: (options?: ListOptions) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError>
  /** All of a list, read in pages as it is consumed. `limit` is the size of a page, by default 500. */
  readonly listAll: (options?: ListOptions) => Stream.Stream<ExecutionRecord, SagaStoreError>
  readonly count: (filter?: ExecutionFilter) => Effect.Effect<number, SagaStoreError>
  readonly get: (id: string) => Effect.Effect<ExecutionRecord, Error>
  /** The journal of an execution, oldest event first. */
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<JournalEvent>, Error>
  /** What became of an execution and its steps; options as for `SagaTimeline.make`. */
  readonly timeline: (id: string, options?: TimelineOptions) => Effect.Effect<SagaTimeline.SagaTimeline, Error>
  /** An execution with its journal. */
  readonly export: (id: string, options?: { readonly redact?: boolean | undefined }) => Effect.Effect<Exported, Error>
  /** `window` is the time for which it counts what has begun and ended. Default 1 hour. */
  readonly stats: (options?: { readonly window?: Duration.Input | undefined }) => Effect.Effect<Stats, SagaStoreError>
  readonly inspect: Effect.Effect<Inspection, SagaStoreError>

  /** Has an execution undone, at its next step or wait, and its children with it. */
  readonly cancel: (id: string, options?: DecisionOptions) => Effect.Effect<void, Error>
  /** Has a parked execution try again what it is parked for. */
  readonly retry: (id: string, options?: ParkedOptions) => Effect.Effect<void, Error>
  /** Gives up what an execution is parked for. */
  readonly skip: (id: string, options?: ParkedOptions) => Effect.Effect<void, Error>
  /**
   * Says that what an execution is parked for was done by hand; after its pivot, with `value` as the JSON of its success.
   * Fails with `InvalidValue` where that does not fit the schema of the step, and the execution stays parked.
   */
  readonly resolve: (id: string, value?: Json, options?: ParkedOptions) => Effect.Effect<void, Error>
  /**
   * Sends a signal to an execution that has been started. `value` is JSON as the schema of the signal encodes it. Fails with
   * `NotApplicable` where the execution waits for it and that does not fit; where it does not wait yet, nobody can tell.
   */
  readonly signal: (id: string, name: string, value: Json, options?: DecisionOptions) => Effect.Effect<void, Error>
  /** Decides on many. Emits what became of each as soon as it is known; a refusal does not stop the others. */
  readonly bulk: (action: Bulk.BulkAction, options: BulkOptions) => Stream.Stream<Bulk.BulkResult, Error>
  /**
   * Deletes executions that have ended, and returns how many. Never one that has not, or whose parent has not. Their
   * journals, with who decided what, are deleted with them, and their ids can be started anew: keep them for longer than
   * anything may deliver their payloads again.
   */
  readonly prune: (options: PruneOptions) => Effect.Effect<number, SagaStoreError>

  /**
   * Emits the record of an execution whenever it has changed, from now on: when it begins, waits, is undone, is parked, goes
   * on and ends. What changes twice within a moment is emitted once.
   * The clock of this process and that of the engine have to agree within ten seconds.
   */
  readonly watch: (filter?: ExecutionFilter) => Stream.Stream<ExecutionRecord, SagaStoreError>
  /** Emits the events of an execution, those that there are and those that come, until it has ended. */
  readonly follow: (id: string) => Stream.Stream<JournalEvent, Error>
}>()("effect-saga/SagaOperator") {}

/**
 * Choices for an operator.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * How long what is asked of the engine may take until it fails with `Unanswered`. It may still be done then. Default 10
   * seconds.
   */
  readonly answerTimeout?: Duration.Input | undefined
}

/**
 * Creates an operator, which can be used until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<SagaOperator["Service"], never, SagaStore | Scope.Scope> => {
  const answerTimeout = check("SagaOperator.make", options)
  return Effect.gen(function*() {
    const store = yield* SagaStore
    const client = new Client(store, { hasCodec: false })
    yield* client.open
    return serviceOf(store, client, new Commands(store, answerTimeout))
  })
}

/**
 * Layer of an operator of the store that is provided to it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<SagaOperator, never, SagaStore> => {
  check("SagaOperator.layer", options)
  return Layer.effect(SagaOperator, make(options))
}

const check = (where: string, options: Options): Duration.Duration => {
  Check.options(where, options)
  Check.keys(where, options, ["answerTimeout"])
  return Check.duration(`${where}: answerTimeout`, options.answerTimeout ?? "10 seconds")!
}

const serviceOf = (
  store: SagaStore["Service"],
  client: Client,
  commands: Commands
): SagaOperator["Service"] => {
  /** An execution with its journal, in which there is the event that each one begins with. */
  const read = Effect.fnUntraced(function*(id: string) {
    const { events, record } = yield* found(id, store.find(id))
    const decoded = decodeEvents(events)
    if (decoded?.[0]?._tag !== "ExecutionStarted") return yield* unreadable(store.name, id)
    return { record, events: decoded }
  })

  const decide = (name: string, kind: DecisionKind) => {
    const where = `SagaOperator.${name}`
    return (id: string, value: Json | undefined, options: ParkedOptions | undefined): Effect.Effect<void, Error> => {
      checkDecision(where, options, ["path"])
      Check.string(`${where}: path`, options?.path)
      return commands.perform(
        id,
        (execution) => {
          // What is decided is what can be seen now, and not what it may be parked for when the engine comes to it.
          const parked = options?.path === undefined ? parkedPaths(execution) : [options.path]
          if (parked.length > 1) return refuse(id, { _tag: "WrongStep", parked })
          const [path] = parked
          const hasValue = value !== undefined && value !== null
          return commands.ask(
            id,
            client.decide(id, kind, { path, value, hasValue, by: decisionBy(options) }),
            path || undefined
          )
        }
      )
    }
  }
  const [retry, skip, resolve] = [decide("retry", "Retried"), decide("skip", "Skipped"), decide("resolve", "Resolved")]

  return {
    list: (options) => {
      FilterCheck.list("SagaOperator.list", options)
      return store.list(options)
    },
    listAll: (options) => {
      FilterCheck.list("SagaOperator.listAll", options)
      const limit = options?.limit ?? 500
      return Stream.paginate(options?.after, (after) =>
        Effect.map(store.list({ ...options, after, limit }), (page) => [
          page,
          page.length < limit ? Option.none() : Option.some(page.at(-1))
        ]))
    },
    count: (filter) => {
      FilterCheck.filter("SagaOperator.count", filter)
      return store.count(filter)
    },
    get: (id) => Effect.map(found(id, store.find(id)), ({ record }) => record),
    history: (id) => Effect.map(read(id), ({ events }) => events.map(masked)),
    timeline: (id, options) => {
      const where = "SagaOperator.timeline"
      Check.options(where, options)
      Check.keys(where, options ?? {}, ["redact", "sealed"])
      Check.flag(`${where}: redact`, options?.redact)
      Check.flag(`${where}: sealed`, options?.sealed)
      return Effect.map(read(id), (found) => SagaTimeline.make({ ...found, ...options }))
    },
    export: (id, options) => {
      const where = "SagaOperator.export"
      Check.options(where, options)
      Check.keys(where, options ?? {}, ["redact"])
      Check.flag(`${where}: redact`, options?.redact)
      const redacted = options?.redact === true
      return Effect.map(read(id), ({ events, record }) => ({
        v: 1,
        execution: redacted ? redactedRecord(record) : record,
        events: redacted ? redactedEvents(events) : events.map(masked),
        redacted
      }))
    },
    stats: (options) => {
      const where = "SagaOperator.stats"
      Check.options(where, options)
      Check.keys(where, options ?? {}, ["window"])
      const windowMillis = Math.ceil(
        Duration.toMillis(Check.duration(`${where}: window`, options?.window ?? "1 hour")!)
      )
      return Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => Effect.map(store.counts({ since: now - windowMillis }), (counts) => ({ ...counts, windowMillis }))
      )
    },
    inspect: store.inspect,
    cancel: (id, options) => {
      checkDecision("SagaOperator.cancel", options)
      return commands.perform(id, () => commands.ask(id, client.cancel(id, decisionBy(options))))
    },
    retry: (id, options) => retry(id, undefined, options),
    skip: (id, options) => skip(id, undefined, options),
    resolve,
    signal: (id, name, value, options) => {
      const where = "SagaOperator.signal"
      Check.requiredName(where, name)
      checkDecision(where, options)
      return commands.perform(id, () => commands.ask(id, client.signal(id, name, value, decisionBy(options))))
    },
    bulk: (action, options) => {
      const where = "SagaOperator.bulk"
      Check.oneOf(`${where}: action`, action, ["retry", "skip", "cancel"])
      checkDecision(where, options, ["filter", "dryRun", "limit"])
      Check.requiredOptions(`${where}: filter`, options.filter)
      FilterCheck.filter(`${where}: filter`, options.filter)
      Check.flag(`${where}: dryRun`, options.dryRun)
      Check.integer(`${where}: limit`, options.limit)
      return Bulk.bulk({ store, client, commands }, action, {
        filter: options.filter,
        by: decisionBy(options),
        dryRun: options.dryRun === true,
        limit: options.limit ?? Infinity
      })
    },
    prune: (options) => {
      const where = "SagaOperator.prune"
      Check.requiredOptions(where, options)
      Check.keys(where, options, ["olderThan", "finishedBefore", "statuses", "onProgress"])
      const { finishedBefore, olderThan, onProgress, statuses } = options
      if (finishedBefore !== undefined) {
        Check.wholeNumber(`${where}: finishedBefore`, finishedBefore)
        Check.absent(`${where}: olderThan`, olderThan)
      }
      const age = finishedBefore === undefined
        ? Duration.toMillis(Check.delay(`${where}: olderThan`, olderThan))
        : 0
      FilterCheck.finished(`${where}: statuses`, statuses)
      if (onProgress !== undefined) Check.callback(`${where}: onProgress`, onProgress, "a function")
      return Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => store.prune({ finishedBefore: finishedBefore ?? Math.floor(now - age), statuses, onProgress })
      )
    },
    watch: (filter) => {
      FilterCheck.filter("SagaOperator.watch", filter)
      return Watch.watch(store, filter ?? {})
    },
    follow: (id) => Watch.follow(store, id)
  }
}

const checkDecision = (
  where: string,
  options: DecisionOptions | undefined,
  others: ReadonlyArray<string> = []
): void => {
  Check.options(where, options)
  if (options === undefined) return
  Check.keys(where, options, ["operator", "reason", ...others])
  Check.string(`${where}: operator`, options.operator)
  Check.string(`${where}: reason`, options.reason)
}
