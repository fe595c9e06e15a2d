import { Context, Effect, Layer } from "effect"
import { SagaStore } from "effect-saga"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { OpenAgain, TakeOver } from "./storeValues.ts"

/** A folder that is deleted with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** A file that does not exist yet, and is deleted with the scope. */
export const file = Effect.map(folder, (folder) => join(folder, "sagas.db"))

/** Runs statements as another program would, on a connection of its own. */
export const execute = (filename: string, sql: string): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new DatabaseSync(filename)),
    (database) => Effect.sync(() => database.exec(sql)),
    (database) => Effect.sync(() => database.close())
  )

/** What a query of another program finds. */
export const select = (filename: string, sql: string): Effect.Effect<ReadonlyArray<Record<string, unknown>>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new DatabaseSync(filename, { readOnly: true })),
    (database) => Effect.sync(() => database.prepare(sql).all().map((row) => ({ ...row }))),
    (database) => Effect.sync(() => database.close())
  )

/** Makes it look as if the owner had not given a sign of life for long. */
export const forgetOwner = (filename: string) => execute(filename, "UPDATE owner SET heartbeat_at = -1000000")

const takeOver = (filename: string) =>
  Layer.effect(
    TakeOver,
    Effect.map(SagaStore.SagaStore, (store) => (owner) =>
      Effect.andThen(forgetOwner(filename), store.acquire({ owner, standby: false })))
  )

/** Opens the file until the scope closes. */
export const open = (options: SagaStore.SqliteOptions) =>
  Effect.map(Layer.build(Layer.fresh(SagaStore.layerSqlite(options))), Context.get(SagaStore.SagaStore))

/** A store in a file of its own. */
export const layer = (options?: Omit<SagaStore.SqliteOptions, "filename">) =>
  Layer.unwrap(
    Effect.map(
      file,
      (filename) =>
        takeOver(filename).pipe(
          Layer.provideMerge(SagaStore.layerSqlite({ filename, ...options })),
          Layer.merge(Layer.succeed(OpenAgain, open({ filename, ...options })))
        )
    )
  )
