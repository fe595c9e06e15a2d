/// <reference types="node" />
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { statSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { guarded } from "../internal/guard.ts"
import { nameOfOwner } from "../internal/store.ts"
import { Incompatible, SagaStoreError } from "../SagaStoreError.ts"
import { corrupt, fromThrown, isBusy, unavailable } from "./errors.ts"
import { type Connection, makeOperations, type Operations } from "./operations.ts"
import * as OwnerRow from "./ownerRow.ts"
import * as schema from "./schema.ts"

/** How a file is opened. */
export interface Options {
  /** What the store is called in errors. */
  readonly store: string
  readonly filename: string
  readonly synchronous: "full" | "normal"
  /** Whether tables that are missing are made, and those of an earlier version changed. */
  readonly migrate: boolean
  /** Size of the file at most, in pages of 4 KiB, for tests of a full disk. */
  readonly maxPages?: number | undefined
}

/** Does operations on the tables, in this thread or in another. None of them can be interrupted. */
export interface Driver {
  readonly call: <Name extends keyof Operations>(
    name: Name,
    ...parameters: Parameters<Operations[Name]>
  ) => Effect.Effect<ReturnType<Operations[Name]>, SagaStoreError>
}

/*
 * Waiting for a lock blocks the thread, and whoever calls repeats what was busy, so SQLite itself waits just long enough
 * for a short transaction of another process.
 */
const busyTimeout = 5

/** Opens a file in this thread, and closes it with the scope. */
export const make = (options: Options): Effect.Effect<Driver, SagaStoreError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.retry(open(options), {
        while: isBusy,
        schedule: Schedule.spaced("50 millis"),
        times: 60
      }),
      ({ close }) => Effect.sync(() => guarded(close))
    ),
    (operations) => ({
      call: (name, ...parameters) =>
        Effect.catch(Effect.try({ try: () => perform(operations, name, parameters), catch: identity }), (thrown) => {
          // Where SQLite has rolled back by itself, as after a full disk, there is nothing left to roll back.
          guarded(operations.rollback)
          return fromThrown(options.store, thrown)
        })
    })
  )

/* The name ties operation, parameters and result together, which the type of a union of functions can't say. */
const perform = <Name extends keyof Operations>(
  operations: Operations,
  name: Name,
  parameters: Parameters<Operations[Name]>
): ReturnType<Operations[Name]> =>
  (operations[name] as (...parameters: Parameters<Operations[Name]>) => ReturnType<Operations[Name]>)(...parameters)

const open = (options: Options): Effect.Effect<Connection, SagaStoreError> =>
  Effect.suspend(() => {
    // SQLite would make it.
    if (!options.migrate && isMissing(options.filename)) return unavailable(options.store, "missing", undefined)
    return attempt(
      options.store,
      () => new DatabaseSync(options.filename, { enableForeignKeyConstraints: false })
    ).pipe(
      Effect.flatMap((database) =>
        Effect.onError(prepare(database, options), () => Effect.sync(() => guarded(() => database.close())))
      )
    )
  })

/* Where that can't be told, SQLite says what is wrong. */
const isMissing = (filename: string): boolean =>
  guarded(() => statSync(filename, { throwIfNoEntry: false }) === undefined) ?? false

const prepare = Effect.fnUntraced(function*(database: DatabaseSync, options: Options) {
  const { store } = options
  const now = yield* Clock.currentTimeMillis
  const content = yield* attempt(store, () => {
    database.exec(`PRAGMA busy_timeout = ${busyTimeout}`)
    return schema.inspect(database)
  })
  // Before anything is changed in the file.
  if (content._tag === "Foreign") {
    return yield* incompatible(store, "it is a database of another program")
  }
  if (content._tag === "Store" && content.version > schema.version) {
    const versions = `its tables have version ${content.version}, and this one knows them up to ${schema.version}`
    return yield* incompatible(store, `a later version of effect-saga has written it: ${versions}`)
  }
  if (!options.migrate && content._tag === "Empty") {
    return yield* incompatible(store, "it is empty. The service that uses it makes its tables when it starts")
  }
  if (!options.migrate && content._tag === "Store" && content.version < schema.version) {
    const versions = `its tables have version ${content.version}, and this one needs version ${schema.version}`
    return yield* incompatible(
      store,
      `${versions}. A service with this version of effect-saga upgrades them when it starts`
    )
  }
  if (content._tag === "Store" && content.version < schema.version) {
    const row = yield* attempt(store, () => database.prepare("SELECT * FROM owner").get()!)
    const owner = yield* OwnerRow.inspect(store, row, now)
    if (owner?.isAlive === true) {
      const engine = `an engine of an earlier version has it, ${nameOfOwner(owner)}`
      return yield* incompatible(store, `${engine}, which could not write to tables of this version. Stop it first`)
    }
  }
  const mode = yield* attempt(store, () => {
    const { journal_mode: mode } = database.prepare("PRAGMA journal_mode = WAL").get()!
    database.exec(`PRAGMA synchronous = ${options.synchronous}; PRAGMA cache_size = -16000`)
    if (options.maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${options.maxPages}`)
    if (content._tag === "Empty" || content.version < schema.version) schema.migrate(database, now)
    return mode
  })
  if (mode !== "wal") return yield* corrupt(store, "it can't have a write-ahead log", undefined)
  return yield* attempt(store, () => makeOperations(database, options.filename))
})

const attempt = <A>(store: string, f: () => A): Effect.Effect<A, SagaStoreError> =>
  Effect.catch(Effect.try({ try: f, catch: identity }), (thrown) => fromThrown(store, thrown))

const incompatible = (store: string, detail: string): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Incompatible({ store, detail }) }))
