import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SagaStore } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { ask } from "./ask.ts"
import * as Attempts from "./attempts.ts"
import { inspect } from "./inspection.ts"
import * as Listener from "./listener.ts"
import type { Rows } from "./listing.ts"
import * as Ownership from "./ownership.ts"
import { prune } from "./prune.ts"
import * as Queries from "./queries.ts"
import {
  decodeAnswers,
  decodeCount,
  decodeCounts,
  decodeEnded,
  decodeIds,
  decodeJournals,
  decodeRecords,
  decodeRequests
} from "./rows.ts"
import { prepare } from "./schema.ts"
import { makeLines, type Row } from "./session.ts"
import type { Settings } from "./settings.ts"

/* How long to try to open a store, in milliseconds: whoever starts a program is told soon that its server is not there. */
const patience = 5000

/* After so many seconds a connection that nobody uses is closed. */
const idleSeconds = 60

/** A store in a schema of PostgreSQL. Its connections close with the scope. */
export const make = Effect.fnUntraced(function*(
  settings: Settings
): Effect.fn.Return<SagaStore["Service"], SagaStoreError, Scope.Scope> {
  const lines = yield* makeLines(settings, { size: settings.maxConnections, idleSeconds })
  let isOpen = true
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isOpen = false
    })
  )
  const attempts = Attempts.make(settings, () => isOpen)
  const now = yield* Clock.currentTimeMillis
  yield* attempts.write(lines, (session) => prepare(settings, session, now), Math.min(settings.retryFor, patience))
  const bells = yield* Listener.make(settings)

  const { store: name } = settings
  const queries = Queries.make(`"${settings.schema}"`)
  const read = (rows: Rows): Effect.Effect<ReadonlyArray<Row>, SagaStoreError> => attempts.read(lines, rows)

  return {
    name,
    acquire: Ownership.acquire({ settings, attempts, lines, bells }),
    find: (id) =>
      // The server has no zero characters, and no execution has any in its id.
      id.includes("\0") ? Effect.undefined : Effect.map(
        Effect.flatMap(read(queries.find(id)), (rows) => decodeJournals(settings, rows)),
        ([found]) => found
      ),
    unfinished: ({ after, limit }) =>
      Effect.flatMap(read(queries.unfinished(after, limit)), (rows) => decodeJournals(settings, rows)),
    list: (options = {}) => Effect.flatMap(read(queries.list(options)), (rows) => decodeRecords(name, rows)),
    count: (filter = {}) => Effect.flatMap(read(queries.count(filter)), (rows) => decodeCount(name, rows)),
    counts: ({ since }) => Effect.flatMap(read(queries.counts(since)), (rows) => decodeCounts(name, rows)),
    changed: ({ after, from, limit }) =>
      Effect.flatMap(read(queries.changed(from, after, limit)), (rows) => decodeRecords(name, rows)),
    inspect: attempts.read(lines, (session) => inspect(settings, session)),
    prune: (options) => prune(settings, attempts, lines, options),
    existing: (ids) => Effect.flatMap(read(queries.existing(ids)), (rows) => decodeIds(name, rows)),
    ended: (ids) => Effect.flatMap(read(queries.ended(ids)), (rows) => decodeEnded(name, rows)),
    ask: (requests) =>
      requests.length === 0 ? Effect.void : Effect.tap(
        attempts.write(lines, ask(settings, requests)),
        // Those who listen in this process need not wait for the server to tell them.
        () => Effect.sync(() => bells.requested.ring())
      ),
    requests: ({ execution, limit } = {}) =>
      Effect.flatMap(read(queries.requests(execution, limit)), (rows) => decodeRequests(name, rows)),
    answers: (ids) => Effect.flatMap(read(queries.answers(ids)), (rows) => decodeAnswers(name, rows)),
    requested: bells.requested.rings,
    news: bells.news.rings
  }
})
