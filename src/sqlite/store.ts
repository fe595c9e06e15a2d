import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { finishedStatuses, type SagaStore } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import * as driver from "./driver.ts"
import { isBusy } from "./errors.ts"
import * as News from "./news.ts"
import * as OwnerRow from "./ownerRow.ts"
import * as ownership from "./ownership.ts"
import type { Pruned, PrunedTo } from "./prune.ts"
import { decodeAnswers, decodeCounts, decodeEnded, decodeJournal, decodeRecords, decodeRequests } from "./rows.ts"
import * as workerDriver from "./workerDriver.ts"

/* Ids per read, so that each blocks the thread for some milliseconds only. */
const idsPerRead = 500

/*
 * Other processes hold the lock for as long as a commit takes, and soon again for the next one: here are as many attempts
 * as it takes to come between two of them.
 */
const untilFree = {
  while: isBusy,
  schedule: Schedule.spaced("20 millis").pipe(Schedule.jittered, Schedule.upTo({ duration: "5 seconds" }))
}

/** A store in a file of SQLite, which is closed with the scope. */
export const make = Effect.fnUntraced(function*(
  options: Omit<driver.Options, "store"> & { readonly worker: boolean }
): Effect.fn.Return<SagaStore["Service"], SagaStoreError, Scope.Scope> {
  const name = `SQLite file ${JSON.stringify(options.filename)}`
  const { call } = yield* (options.worker ? workerDriver : driver).make({ ...options, store: name })
  const bells = yield* News.make({ call })
  return {
    name,
    acquire: ownership.acquire(name, { call }, bells.news),
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
    count: (filter = {}) => call("count", filter),
    counts: ({ since }) => Effect.flatMap(call("counts", since), (rows) => decodeCounts(name, rows)),
    changed: ({ after, from, limit }) => {
      const [time, key] = after === undefined || after.updatedAt < from ? [from, -1] : [after.updatedAt, after.key]
      return Effect.flatMap(call("changed", time, key, limit), (rows) => decodeRecords(name, rows))
    },
    inspect: Effect.gen(function*() {
      const { owner, ...inspected } = yield* call("inspect")
      return { ...inspected, owner: yield* OwnerRow.inspect(name, owner, yield* Clock.currentTimeMillis) }
    }),
    prune: Effect.fnUntraced(function*({ finishedBefore, onProgress, statuses = finishedStatuses }) {
      let count = 0
      let from: PrunedTo | undefined
      do {
        // A part that met a lock has deleted nothing.
        const pruned: Pruned = yield* Effect.retry(call("prune", from, finishedBefore, statuses), untilFree)
        count += pruned.count
        from = pruned.next
        onProgress?.(count)
        yield* Effect.yieldNow
      } while (from !== undefined)
      return count
    }),
    existing: (ids) => inParts(ids, (part) => call("existing", part)),
    ended: (ids) => inParts(ids, (part) => Effect.flatMap(call("ended", part), (rows) => decodeEnded(name, rows))),
    ask: (requests) =>
      Effect.retry(
        // What was written is also told.
        Effect.uninterruptible(Effect.map(call("ask", requests), () => bells.requested.ring())),
        untilFree
      ),
    requests: ({ execution, limit } = {}) =>
      Effect.flatMap(call("requests", execution, limit), (rows) => decodeRequests(name, rows)),
    answers: (ids) =>
      inParts(ids, (part) => Effect.flatMap(call("answers", part), (rows) => decodeAnswers(name, rows))),
    requested: bells.requested.rings,
    news: bells.news.rings
  }
})

const inParts = <A>(
  ids: ReadonlyArray<string>,
  read: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<A>, SagaStoreError>
): Effect.Effect<ReadonlyArray<A>, SagaStoreError> =>
  ids.length <= idsPerRead
    ? read(ids)
    : Effect.map(
      Effect.forEach(Arr.chunksOf(ids, idsPerRead), (part) => Effect.tap(read(part), Effect.yieldNow)),
      Arr.flatten
    )
