import { Effect, Layer } from "effect"
import { SagaStore } from "effect-saga"

/*
 * The stores that are measured, with a look at what the engine writes to them.
 */

export interface StoreOptions {
  /** In memory where there is none. */
  readonly file: string | undefined
  /** Milliseconds that each commit takes on top, as on a disk that is slow to sync. */
  readonly slowSync: number
}

/** What has been committed so far. */
export interface Written {
  commits: number
  appends: number
  events: number
  /** How many executions were inserted, and how often one was updated. */
  records: number
  /** The execution of which all is kept that was appended. */
  readonly sampled: string
  sampledKey: number | undefined
  readonly sample: Array<SagaStore.Append>
}

export const nothingWritten = (sampled: string): Written => ({
  commits: 0,
  appends: 0,
  events: 0,
  records: 0,
  sampled,
  sampledKey: undefined,
  sample: []
})

/** A store that counts in `written` what is committed. */
export const layer = (
  { file, slowSync }: StoreOptions,
  written: Written
): Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError> => {
  const watched = (ownership: SagaStore.Ownership): SagaStore.Ownership => ({
    ...ownership,
    commit: (appends) =>
      Effect.map(ownership.commit(appends), () => {
        count(written, appends)
        if (slowSync > 0) block(slowSync)
      })
  })
  return Layer.effect(
    SagaStore.SagaStore,
    Effect.map(SagaStore.SagaStore, (store) => ({
      ...store,
      acquire: (options) => Effect.map(store.acquire(options), watched)
    }))
  ).pipe(Layer.provide(file === undefined ? SagaStore.layerMemory : SagaStore.layerSqlite({ filename: file })))
}

const count = (written: Written, appends: ReadonlyArray<SagaStore.Append>): void => {
  written.commits++
  written.appends += appends.length
  for (const append of appends) {
    written.events += append.events.length
    if (append.record !== undefined) written.records++
    if (append.firstSequence === 1 && append.record?.id === written.sampled) written.sampledKey = append.key
    if (append.key === written.sampledKey) written.sample.push(append)
  }
}

/* The thread waits for the disk in a sync of SQLite as it does here. */
const block = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
