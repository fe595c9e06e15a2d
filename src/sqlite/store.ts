import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { finishedStatuses, type SagaStore } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import * as driver from "./driver.ts"
import type { Pruned } from "./operations.ts"
import * as ownership from "./ownership.ts"
import { decodeJournal, decodeRecords } from "./rows.ts"
import * as workerDriver from "./workerDriver.ts"

/** A store in a file of SQLite, which is closed with the scope. */
export const make = Effect.fnUntraced(function*(
  options: Omit<driver.Options, "store"> & { readonly worker: boolean }
): Effect.fn.Return<SagaStore["Service"], SagaStoreError, Scope.Scope> {
  const name = `SQLite file ${JSON.stringify(options.filename)}`
  const { call } = yield* (options.worker ? workerDriver : driver).make({ ...options, store: name })
  return {
    name,
    acquire: ownership.acquire(name, { call }),
    find: (id) =>
      Effect.flatMap(
        call("find", id),
        (journal) => journal === undefined ? Effect.undefined : decodeJournal(name, journal)
      ),
    unfinished: ({ after, limit }) =>
      Effect.flatMap(
        call("unfinished", after, limit),
        Effect.forEach((journal) => decodeJournal(name, journal))
      ),
    list: (options = {}) => Effect.flatMap(call("list", options), (rows) => decodeRecords(name, rows)),
    prune: Effect.fnUntraced(function*({ finishedBefore, statuses = finishedStatuses }) {
      let count = 0
      for (let from: number | undefined = 0; from !== undefined;) {
        const pruned: Pruned = yield* call("prune", from, finishedBefore, statuses)
        count += pruned.count
        from = pruned.next
        yield* Effect.yieldNow
      }
      return count
    })
  }
})
