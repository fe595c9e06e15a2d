import { Effect } from "effect"
import { SagaStore } from "effect-saga"
import { DatabaseSync } from "node:sqlite"

/*
 * What a store really has, to be compared with what it should have.
 */

export interface Found {
  /** How many executions there are, by status. */
  readonly statuses: Record<string, number>
  readonly events: number | undefined
}

/** Reads a file without the store that wrote it. */
export const inFile = (file: string): Found => {
  const database = new DatabaseSync(file, { readOnly: true })
  const statuses = database.prepare("SELECT status, count(*) AS count FROM executions GROUP BY status").all()
  const events = database.prepare("SELECT count(*) AS count FROM events").get()
  database.close()
  return {
    statuses: Object.fromEntries(statuses.map(({ count, status }) => [status, count])),
    events: Number(events!["count"])
  }
}

export const inStore: Effect.Effect<Found, SagaStore.SagaStoreError, SagaStore.SagaStore> = Effect.gen(function*() {
  const store = yield* SagaStore.SagaStore
  const statuses: Record<string, number> = {}
  for (const { status } of yield* store.list({ limit: Infinity })) statuses[status] = (statuses[status] ?? 0) + 1
  return { statuses, events: undefined }
})
