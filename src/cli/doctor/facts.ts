import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { unfinishedStatuses } from "../../internal/store.ts"
import type { SagaOperator } from "../../SagaOperator.ts"
import type { SagaStoreError } from "../../SagaStoreError.ts"
import type { Facts } from "./checks.ts"
import { diskOf } from "./disk.ts"
import { findStale } from "./stale.ts"

/** What there is to know of a store that can be read. */
export const gather = Effect.fnUntraced(function*(
  operator: SagaOperator["Service"],
  options: {
    readonly store: string
    readonly program: string
    /** Where the store is a file. */
    readonly filename: string | undefined
    readonly staleAfter: number
  }
): Effect.fn.Return<Facts, SagaStoreError> {
  const before = yield* Clock.currentTimeMillis
  const inspection = yield* operator.inspect
  const now = yield* Clock.currentTimeMillis
  const { groups, oldestParked } = yield* operator.stats()
  const { stale, unseen } = yield* findStale(operator, options.staleAfter)
  const countOf = (statuses: ReadonlyArray<string>) =>
    groups.reduce((sum, { count, status }) => statuses.includes(status) ? sum + count : sum, 0)
  return {
    now,
    store: options.store,
    program: options.program,
    readMillis: now - before,
    inspection,
    parked: countOf(["Parked"]),
    oldestParked,
    unfinished: countOf(unfinishedStatuses),
    staleAfter: options.staleAfter,
    stale,
    unseen,
    disk: options.filename === undefined ? undefined : yield* diskOf(options.filename)
  }
})
