/*
 * The stores that the suites of durable sagas run on. A store outlives the engines that a test starts on it, one after
 * another or at once.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { SagaStore } from "effect-saga"
import { file, forgetOwner } from "../sqliteFile.ts"

export class Storage extends Context.Service<Storage, {
  /** Opens the store, as a process does that starts. */
  readonly layer: Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError>
  /** Makes the caller the owner although there may be one, which was paused for too long or has died. */
  readonly takeOver: (
    owner: string
  ) => Effect.Effect<SagaStore.Ownership, SagaStore.SagaStoreError, Scope.Scope>
}>()("effect-saga/test/Storage") {}

export type StorageLayer = Layer.Layer<Storage>

export const memory: StorageLayer = Layer.effect(Storage, SagaStore.makeMemory)

export const sqlite: StorageLayer = Layer.effect(
  Storage,
  Effect.map(file, (filename) => {
    const layer = Layer.fresh(SagaStore.layerSqlite({ filename }))
    return {
      layer,
      takeOver: Effect.fnUntraced(function*(owner: string) {
        yield* forgetOwner(filename)
        const store = Context.get(yield* Layer.build(layer), SagaStore.SagaStore)
        return yield* store.acquire({ owner, standby: false })
      })
    }
  })
)
