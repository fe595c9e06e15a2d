import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { Corrupt, SagaStoreError, Unavailable } from "../SagaStoreError.ts"

/*
 * What node:sqlite throws, as errors of a store. Numbers are the result codes of SQLite; the low byte of an extended one
 * is its primary one.
 */

const problems: Record<number, Unavailable["problem"]> = {
  5: "busy",
  6: "busy",
  8: "read-only",
  10: "input-output",
  13: "full",
  14: "can't be opened",
  // The locking protocol of the write-ahead log gave up after many attempts.
  15: "busy"
}

/*
 * 1 is an error in a statement: ours are right, so it is the tables that are not there, or not as they were made.
 */
const damages = new Set([1, 11, 26])

/** Fails with what `thrown` means for the store, or dies of it where it means nothing. */
export const fromThrown = (store: string, thrown: unknown): Effect.Effect<never, SagaStoreError> => {
  if (!Predicate.isError(thrown) || !Predicate.hasProperty(thrown, "code")) return Effect.die(thrown)
  // node:sqlite refuses to work on a database that was closed, and to read integers that no number can hold.
  if (thrown.code === "ERR_INVALID_STATE") return unavailable(store, "closed", thrown)
  if (thrown.code === "ERR_OUT_OF_RANGE") return corrupt(store, thrown.message, thrown)
  if (!Predicate.hasProperty(thrown, "errcode") || typeof thrown.errcode !== "number") return Effect.die(thrown)
  const code = thrown.errcode & 0xff
  const problem = problems[code]
  if (problem !== undefined) return unavailable(store, problem, thrown)
  return damages.has(code) ? corrupt(store, thrown.message, thrown) : Effect.die(thrown)
}

/** Whether another connection has the lock. */
export const isBusy = ({ reason }: SagaStoreError): boolean =>
  reason._tag === "Unavailable" && reason.problem === "busy"

export const unavailable = (
  store: string,
  problem: Unavailable["problem"],
  cause: unknown
): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Unavailable({ store, problem, cause }) }))

export const corrupt = (store: string, detail: string, cause: unknown): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Corrupt({ store, detail, cause }) }))
