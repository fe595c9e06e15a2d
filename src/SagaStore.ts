/**
 * Where the journals of durable sagas live.
 *
 * `layerSqlite` keeps them in a file, `layerMemory` in memory for tests. An engine owns a store, one at a time; lists,
 * look-ups and `prune` need no engine.
 *
 * **Details**
 *
 * - What a commit writes is there wholly or not at all, also after `kill -9` and a loss of power. Dying before it returns,
 *   a process may find either when it starts again; once it has returned, what it wrote is durable.
 * - A commit that fails has written nothing, and may be repeated as it is where the error `isTransient`.
 * - Each owner has a higher epoch than the one before, and each write compares it in its own transaction: an engine that
 *   was paused, and replaced meanwhile, can't write any more, and fails with `OwnershipLost`.
 * - An owner that has died is replaced at once where that can be known, and after 4 seconds without a sign of life
 *   anywhere else.
 * - What is read goes through a schema. What does not fit it is `Corrupt`, and never half-read.
 *
 * The tables of a SQLite file are documented in `docs/schema.md`.
 *
 * **Example** (Listing the executions that wait for an operator)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SagaStore } from "effect-saga"
 *
 * const parked = Effect.flatMap(SagaStore.SagaStore, (store) => store.list({ statuses: ["Parked"] }))
 *
 * await Effect.runPromise(Effect.provide(parked, SagaStore.layerMemory)) // => []
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Check from "./internal/check.ts"
import * as memory from "./internal/memoryStore.ts"
import { type Ownership, SagaStore } from "./internal/store.ts"
import type { SagaStoreError } from "./SagaStoreError.ts"

export {
  type Answer,
  type Append,
  type Counts,
  type EarlySignal,
  type EndedExecution,
  type ExecutionFilter,
  ExecutionRecord,
  type Inspection,
  type ListOptions,
  type Ownership,
  type Position,
  type PruneOptions,
  type Request,
  SagaStore,
  Status,
  type StoredExecution
} from "./internal/store.ts"
export {
  AccessDenied,
  Corrupt,
  Incompatible,
  Owned,
  OwnershipLost,
  SagaStoreError,
  Unavailable
} from "./SagaStoreError.ts"

/**
 * A store in memory that several engines share, one after another or at once, as tests of restarts do.
 *
 * @category models
 * @since 0.1.0
 */
export interface Memory {
  /** Layer of this store: what is written stays when the layer is closed, for whoever builds it again. */
  readonly layer: Layer.Layer<SagaStore>
  /** Makes the caller the owner at once. An owner before it has lost the store, as if it had been paused too long. */
  readonly takeOver: (owner: string) => Effect.Effect<Ownership, never, Scope.Scope>
}

/**
 * Creates a store in memory to share between engines.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory: Effect.Effect<Memory> = Effect.map(memory.make, ({ open, takeOver }) => ({
  // Fresh, so that the layer is built anew also where layers are shared.
  layer: Layer.fresh(Layer.effect(SagaStore, open)),
  takeOver
}))

/**
 * Layer of a store in memory, for tests: each time it is built, it is empty.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<SagaStore> = Layer.unwrap(Effect.map(makeMemory, ({ layer }) => layer))

/**
 * Choices for a store in a file of SQLite.
 *
 * @category options
 * @since 0.1.0
 */
export interface SqliteOptions {
  /** Path of the file. It is created where there is none; its folder has to exist. */
  readonly filename: string
  /**
   * When a commit counts as durable.
   *
   * - `"full"` (default): when it is on the disk. It survives the end of the process, a crash of the system and a loss
   *   of power, as far as the disk keeps its word.
   * - `"normal"`: when the system has it. It survives the end of the process, also by `kill -9`; but a crash of the
   *   system or a loss of power may take the last commits with it. The journals are whole then, and shorter: steps that
   *   had succeeded run again, an execution whose start was acknowledged may be gone, and a saga that had begun to be
   *   undone may go forward although some of its compensations have run.
   */
  readonly synchronous?: "full" | "normal" | undefined
  /**
   * Whether the database has a thread of its own. Default `false`: a commit blocks the event loop for as long as the disk
   * takes to make it durable, which on a fast disk costs less than passing data between threads. With `true` the event
   * loop stays free meanwhile. Choose it where the disk is slow (some milliseconds) and the process has other work.
   */
  readonly worker?: boolean | undefined
  /**
   * Whether the file is made where there is none, and its tables are upgraded where an earlier version has made them.
   * Default `true`. With `false`, nothing is made or changed: a tool that looks at the store of a service leaves that to the
   * service. A missing file is `Unavailable` then, and an empty one or one with older tables `Incompatible`.
   */
  readonly migrate?: boolean | undefined
}

/**
 * Layer of a store in a file of SQLite, on `node:sqlite`, which Node has from 22.13 on. The file is opened with the layer
 * and closed with it.
 *
 * **Gotchas**
 *
 * - A commit blocks the event loop while the disk makes it durable, unless `worker` is set.
 * - An event loop that is blocked for longer than 4 seconds gives no sign of life: an engine that waits for the store takes
 *   it over.
 * - Don't delete or replace the file while it is open.
 * - It has to be on a local disk.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSqlite = (options: SqliteOptions): Layer.Layer<SagaStore, SagaStoreError> => {
  const where = "SagaStore.layerSqlite"
  Check.requiredOptions(where, options)
  Check.keys(where, options, ["filename", "synchronous", "worker", "migrate"])
  checkFilename(where, options.filename)
  Check.flag(`${where}: worker`, options.worker)
  Check.flag(`${where}: migrate`, options.migrate)
  Check.oneOf(`${where}: synchronous`, options.synchronous, ["full", "normal"])
  return Layer.effect(
    SagaStore,
    Effect.flatMap(
      // Here, so that only who uses it loads node:sqlite.
      Effect.promise(() => import("./sqlite/store.ts")),
      (sqlite) =>
        sqlite.make({
          filename: options.filename,
          synchronous: options.synchronous ?? "full",
          worker: options.worker ?? false,
          migrate: options.migrate ?? true
        })
    )
  )
}

/* SQLite gives the other names a meaning of their own: a database that is gone when it is closed, and a URI. */
const checkFilename = (where: string, filename: unknown): void => {
  if (typeof filename !== "string" || filename === "" || filename === ":memory:" || filename.startsWith("file:")) {
    const actual = typeof filename === "string" ? JSON.stringify(filename) : String(filename)
    throw new RangeError(
      `${where}: filename has to be the path of a file (SagaStore.layerMemory needs none), but is ${actual}`
    )
  }
}
