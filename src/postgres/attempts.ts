import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type { SqlError } from "effect/sql/SqlError"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { failureOf, toStoreError, unavailable } from "./failure.ts"
import type { Lines, Session } from "./session.ts"
import type { Settings } from "./settings.ts"
import { isSqlError } from "./sqlFailure.ts"

/*
 * Tries again what fails for a reason that passes: the server is away or restarts, has no connection free, has ended a
 * statement for a deadlock, or something else has the lock.
 *
 * A connection that breaks leaves the outcome open: what was asked for may have been done, and may be under way even now. So
 * whatever is tried again has to be something that can be done twice, or has to look first; it is told.
 */

export interface Attempt<A> {
  (session: Session, isRepeated: boolean): Effect.Effect<A, SqlError | SagaStoreError>
}

export interface Attempts {
  /** An attempt that has begun goes on to its end, and then an interruption counts. */
  readonly write: <A>(lines: Lines, attempt: Attempt<A>, retryFor?: number) => Effect.Effect<A, SagaStoreError>
  readonly read: <A>(lines: Lines, attempt: Attempt<A>, retryFor?: number) => Effect.Effect<A, SagaStoreError>
}

type Restore = <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>

const firstDelay = 10
const longestDelay = 500

/** Attempts as long as `isOpen`. They fail with `closed` after that. */
export const make = (settings: Settings, isOpen: () => boolean): Attempts => {
  const closed = unavailable(settings, "closed")

  const perform = <A>(
    lines: Lines,
    attempt: Attempt<A>,
    restore: Restore,
    retryFor = settings.retryFor
  ): Effect.Effect<A, SagaStoreError> =>
    Effect.clockWith((clock) => {
      const startedAt = clock.monotonicTimeNanosUnsafe()
      const once = (delay: number): Effect.Effect<A, SagaStoreError> =>
        Effect.catch(
          Effect.suspend(() => isOpen() ? lines.use((session) => attempt(session, delay > 0)) : closed),
          (error): Effect.Effect<A, SagaStoreError> => {
            if (!isSqlError(error)) return Effect.fail(error)
            if (!isOpen()) return closed
            const failure = failureOf(settings, error)
            const tookMillis = Number(clock.monotonicTimeNanosUnsafe() - startedAt) / 1e6
            if (failure._tag !== "Passing" || tookMillis >= retryFor) return toStoreError(settings, failure, error)
            const next = Math.min(Math.max(delay * 2, firstDelay), longestDelay)
            return Effect.andThen(restore(Effect.sleep(next)), once(next))
          }
        )
      return once(0)
    })

  return {
    write: (lines, attempt, retryFor) =>
      Effect.uninterruptibleMask((restore) => perform(lines, attempt, restore, retryFor)),
    read: (lines, attempt, retryFor) => perform(lines, attempt, identity, retryFor)
  }
}
