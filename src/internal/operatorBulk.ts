import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { NotApplicable, SagaEngineError } from "../SagaEngineError.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Client } from "./client.ts"
import { alreadyBeingUndone, type DecisionBy } from "./decisions.ts"
import { type Commands, isBeingUndone, parkedPaths } from "./operatorCommands.ts"
import {
  byPosition,
  type ExecutionFilter,
  type ExecutionRecord,
  type Position,
  type SagaStore,
  type Status,
  unfinishedStatuses
} from "./store.ts"

/* The same decision on many executions. What is asked at once shares the commits of the client and of the engine. */

/**
 * What can be done with many executions at once.
 *
 * @category models
 * @since 0.1.0
 */
export type BulkAction = "retry" | "skip" | "cancel"

/**
 * What became of one of many: of an execution or, where it is parked for several steps, of each.
 *
 * @category models
 * @since 0.1.0
 */
export interface BulkResult {
  /** As it was before. */
  readonly execution: ExecutionRecord
  /** The step that it is parked for; `null` where it is not one step. */
  readonly path: string | null
  /**
   * `Planned` in a dry run, or `Refused` where that can be seen already; else `Refused` also where it was not answered, and
   * may still be done, as `error` says then.
   */
  readonly outcome:
    | { readonly _tag: "Planned" }
    | { readonly _tag: "Done" }
    | { readonly _tag: "Refused"; readonly error: SagaEngineError }
}

const concurrency = 64

export const bulk = (
  { client, commands, store }: {
    readonly store: SagaStore["Service"]
    readonly client: Client
    readonly commands: Commands
  },
  action: BulkAction,
  { by, dryRun, filter, limit }: {
    readonly filter: ExecutionFilter
    readonly by: DecisionBy
    readonly dryRun: boolean
    readonly limit: number
  }
): Stream.Stream<BulkResult, SagaStoreError | SagaEngineError> => {
  const decidable: ReadonlyArray<Status> = action === "cancel" ? unfinishedStatuses : ["Parked"]
  const statuses = decidable.filter((status) => filter.statuses === undefined || filter.statuses.includes(status))

  const ask = ({ id }: ExecutionRecord, path: string | undefined) =>
    commands.ask(
      id,
      action === "cancel"
        ? client.cancel(id, by)
        : client.decide(id, action === "retry" ? "Retried" : "Skipped", { path, by }),
      path || undefined
    )

  /* As the engine would say. */
  const planned = ({ id, status }: ExecutionRecord): Effect.Effect<BulkResult["outcome"], SagaStoreError> =>
    action !== "cancel" || (status !== "Compensating" && status !== "Parked")
      ? Effect.succeed({ _tag: "Planned" })
      : Effect.map(store.find(id), (found) =>
        found !== undefined && isBeingUndone(found)
          ? { _tag: "Refused", error: beingUndone(id) }
          : { _tag: "Planned" })

  const decide = (
    execution: ExecutionRecord,
    path: string | undefined,
    isThere: IsThere
  ): Effect.Effect<BulkResult, SagaStoreError> => {
    const result = (outcome: BulkResult["outcome"]): BulkResult => ({ execution, path: path || null, outcome })
    if (dryRun) return Effect.map(planned(execution), result)
    return Effect.matchEffect(Effect.andThen(isThere, ask(execution, path)), {
      onSuccess: () => Effect.succeed(result({ _tag: "Done" })),
      onFailure: (error) =>
        error._tag === "SagaEngineError" ? Effect.succeed(result({ _tag: "Refused", error })) : Effect.fail(error)
    })
  }

  /* Where that can't be told, or it is not parked any more, the engine says so. */
  const pathsOf = ({ id }: ExecutionRecord): Effect.Effect<ReadonlyArray<string | undefined>, SagaStoreError> =>
    action === "cancel"
      ? Effect.succeed([undefined])
      : Effect.map(store.find(id), (found) => {
        const paths = found === undefined ? [] : parkedPaths(found)
        return paths.length > 0 ? paths : [undefined]
      })

  const results = (isThere: IsThere) => (execution: ExecutionRecord) =>
    Effect.flatMap(pathsOf(execution), (paths) => Effect.forEach(paths, (path) => decide(execution, path, isThere)))

  /* To cancel twice changes nothing. */
  const isInVain = ({ cancelled }: ExecutionRecord): boolean => action === "cancel" && cancelled

  const pages = (last: Position) =>
    Stream.paginate<Place, ExecutionRecord, SagaStoreError | SagaEngineError>(
      { after: undefined, left: limit },
      Effect.fnUntraced(function*({ after, left }) {
        if (!dryRun) yield* commands.engine
        const size = Math.min(concurrency, left)
        const page = yield* store.list({ ...filter, statuses, order: "oldest", after, limit: size })
        const before = page.filter((record) => byPosition(record, last) <= 0)
        const wanted = before.filter((record) => !isInVain(record))
        const rest = left - wanted.length
        const isMore = before.length === size && rest > 0
        return [wanted, isMore ? Option.some({ after: page.at(-1), left: rest }) : Option.none()] as const
      })
    )

  return Stream.unwrap(Effect.gen(function*() {
    if (!dryRun) yield* commands.engine
    if (statuses.length === 0) return Stream.empty
    // What is parked meanwhile is left for the next time: it would never end where that is faster.
    const [last] = yield* store.list({ ...filter, statuses, order: "newest", limit: 1 })
    if (last === undefined) return Stream.empty
    // It may end at any time, and then nothing more is asked.
    const isThere = yield* Effect.cachedWithTTL(commands.engine, "1 second")
    return Stream.flattenIterable(Stream.mapEffect(pages(last), results(isThere), { concurrency, unordered: !dryRun }))
  }))
}

/** Fails where no engine has the store. */
type IsThere = Effect.Effect<void, SagaStoreError | SagaEngineError>

interface Place {
  readonly after: Position | undefined
  /** How many executions may still be decided on. */
  readonly left: number
}

const beingUndone = (execution: string): SagaEngineError =>
  new SagaEngineError({ reason: new NotApplicable({ execution, detail: alreadyBeingUndone }) })
