import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Codec } from "../internal/codec.ts"
import type { Execution } from "../internal/execution.ts"
import { causeLine } from "../internal/render.ts"
import type { Fence } from "./fence.ts"
import { isConflict, isConnectionLost, isMissing, isRefused, messageOf, sqlErrors, stateOf } from "./sqlFailure.ts"
import * as Statements from "./stepStatements.ts"

/*
 * Runs an action in a transaction that commits once, whatever happens to the process and its connections.
 *
 * 1. The transaction first takes a lock on its key, which is held until it has ended, then looks for its record. So
 *    whoever gets past the look-up knows that no other transaction with this key has committed or still can.
 * 2. The record is its last statement. It locks the row that says who owns the store: a take-over waits for a transaction
 *    that is about to commit, and one that comes after the take-over finds nothing to lock, and rolls back.
 * 3. Nothing but a look-up tells what became of a COMMIT without an answer. So nothing that goes wrong with a transaction,
 *    nor with any before it, ends a step before a look-up has found no record.
 * 4. From its record to its COMMIT a transaction may be idle for a second. A process that is paused just there would keep
 *    the next owner waiting for as long as it is paused.
 *
 * A process that dies before COMMIT leaves nothing. One that dies after it leaves the record, which the next run of the
 * step finds instead of acting.
 */

/** An action that runs in a transaction. */
export interface Plain<A, E, R> {
  readonly sql: SqlClient.SqlClient
  readonly action: Effect.Effect<A, E, R>
  /** The statement that begins it, where that is not the client's own. */
  readonly begin: string | undefined
  /** What people call the action. */
  readonly name: string
}

/** One that is recorded. */
export interface Recorded<A, E, R> extends Plain<A, E, R> {
  readonly codec: Codec<A>
  readonly execution: Execution
  readonly fence: Fence
  /** What the record is kept under: unique in its execution. */
  readonly key: string
}

/** How one attempt ended, as far as it knows. */
type Ended<A, E> =
  /** It has committed, or an earlier one had. */
  | { readonly _tag: "Committed"; readonly value: A }
  /** It is rolled back. Where it is not certain, an earlier one may have committed all the same. */
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<E | SqlError>; readonly isCertain: boolean }
  /** It is rolled back, as its record could not be written. */
  | { readonly _tag: "Unrecorded" }
  /** Another engine owns the store. */
  | { readonly _tag: "Fenced" }
  /** An earlier attempt has not ended yet. */
  | { readonly _tag: "Held" }
  /** The database ended it in favour of another one. */
  | { readonly _tag: "Conflict"; readonly cause: Cause.Cause<E | SqlError> }
  /** It has no connection any more, or has got none. */
  | {
    readonly _tag: "Lost"
    readonly error: SqlError
    readonly hadBegun: boolean
    /** What it fails with if it is not tried again. */
    readonly cause: Cause.Cause<E | SqlError>
  }
  /** Records can't be looked up. */
  | { readonly _tag: "Unusable"; readonly why: string }

/* Fails a transaction, so that it is rolled back. */
class RollBack<A, E> extends Data.TaggedError("RollBack")<{ readonly ended: Ended<A, E> }> {}

/* More than these say that it is the action itself that ends its connections. */
const maxLosses = 5

const maxConflicts = 10

/** Runs the action, or finds what it had succeeded with. */
export const exactlyOnce = Effect.fnUntraced(function*<A, E, R>(
  transaction: Recorded<A, E, R>
): Effect.fn.Return<A, E | SqlError, R> {
  const { execution, name } = transaction
  let losses = 0
  let conflicts = 0
  let pauses = 0
  /** How it ends if it has not committed. */
  let verdict: Cause.Cause<E | SqlError> | undefined
  while (true) {
    const ended: Ended<A, E> = yield* attempt(transaction, verdict)
    switch (ended._tag) {
      case "Committed":
        return ended.value
      case "Failed":
        if (ended.isCertain) return yield* Effect.failCause(ended.cause)
        verdict = ended.cause
        continue
      case "Unrecorded":
        continue
      case "Fenced":
        // It ends with its engine, which will have noticed within a second.
        return yield* execution.wait<never>(() => {})
      case "Unusable":
        return yield* execution.stop(
          `${name} can't look up whether it has run already: ${ended.why} Nothing is lost: put it right, and the ` +
            `execution goes on when its engine starts again.`
        )
      case "Held":
        yield* endHolder(transaction)
        break
      case "Conflict":
        if (++conflicts > maxConflicts) verdict = ended.cause
        break
      case "Lost":
        if (ended.hadBegun && ++losses > maxLosses) verdict = ended.cause
        // Not each time, as all that run at the moment may wait like this for long.
        if (pauses % 20 === 0) {
          yield* Effect.logWarning(`${name} has lost its database: ${messageOf(ended.error)}. It tries again.`)
        }
        break
    }
    yield* execution.unlessHalted(pause(pauses++, ended._tag === "Conflict" ? 250 : 1000))
  }
})

/** Runs the action in a transaction, and again where the database asks for that. */
export const once = Effect.fnUntraced(function*<A, E, R>(
  transaction: Plain<A, E, R>
): Effect.fn.Return<A, E | SqlError, R> {
  const { action, begin, sql } = transaction
  const isNested = (yield* Effect.serviceOption(sql.transactionService))._tag === "Some"
  for (let conflicts = 0;; conflicts++) {
    const exit = yield* Effect.exit(open(sql, begin, action))
    if (Exit.isSuccess(exit)) return exit.value
    // A savepoint can't be repeated: it is the transaction around it that has to be.
    const isFinal = isNested || conflicts === maxConflicts || !sqlErrors(exit.cause).some(isConflict)
    if (isFinal) return yield* Effect.failCause(exit.cause)
    yield* pause(conflicts, 250)
  }
})

/* Longer each time, and not the same for all who were in each other's way. */
const pause = (pauses: number, longest: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextBetween(0.5, 1.5), (factor) => Effect.sleep(Math.min(10 * 2 ** pauses, longest) * factor))

const open = <A, E, R>(
  sql: SqlClient.SqlClient,
  begin: string | undefined,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  begin === undefined ? sql.withTransaction(self) : Effect.flatMap(SqlClient.BeginTransaction, (around) =>
    // Not for the transactions that the action opens with other clients.
    Effect.provideService(
      sql.withTransaction(Effect.provideService(self, SqlClient.BeginTransaction, around)),
      SqlClient.BeginTransaction,
      begin
    ))

const attempt = Effect.fnUntraced(function*<A, E, R>(
  transaction: Recorded<A, E, R>,
  verdict: Cause.Cause<E | SqlError> | undefined
): Effect.fn.Return<Ended<A, E>, never, R> {
  const { action, begin, codec, execution, fence, key, name, sql } = transaction
  const statements = Statements.make(sql, fence, execution.key, key)
  let reached: "Begin" | "Action" | "Record" | "Commit" = "Begin"
  let failure: Cause.Cause<E | SqlError> | undefined
  let isCertain = true

  const refuse = (ended: Ended<A, E>) => Effect.fail(new RollBack({ ended }))
  const body = Effect.gen(function*(): Effect.fn.Return<Ended<A, E>, RollBack<A, E> | SqlError, R> {
    const { epoch, isLocked, isolation } = yield* statements.lock
    if (epoch === null) return yield* refuse({ _tag: "Unusable", why: yield* otherDatabase(fence, statements) })
    if (epoch !== fence.epoch) return yield* refuse({ _tag: "Fenced" })
    if (!isLocked) return yield* refuse({ _tag: "Held" })
    const found = yield* statements.find
    if (found !== undefined) return { _tag: "Committed", value: yield* readValue(found, transaction) }
    if (verdict !== undefined) return yield* refuse({ _tag: "Failed", cause: verdict, isCertain: true })
    // On the other levels a look-up sees what there was before the lock was taken.
    isCertain = isolation === "read committed"
    reached = "Action"
    const exit = yield* Effect.exit(action)
    if (Exit.isFailure(exit)) {
      failure = exit.cause
      return yield* refuse({ _tag: "Failed", cause: exit.cause, isCertain })
    }
    reached = "Record"
    const encoded = codec.encode(exit.value)
    if (Exit.isFailure(encoded)) {
      return yield* Effect.die(
        new Error(`${name} was rolled back, as its value does not fit its schema: ${Cause.pretty(encoded.cause)}`)
      )
    }
    const value = JSON.stringify(yield* execution.seal(encoded.value))
    if (!(yield* statements.record(value, execution.now))) return yield* refuse({ _tag: "Unrecorded" })
    reached = "Commit"
    return { _tag: "Committed", value: exit.value }
  })

  const exit = yield* Effect.exit(open(sql, begin, body))
  if (Exit.isSuccess(exit)) return exit.value
  const { cause } = exit
  const rollBack = cause.reasons.find((reason) => Cause.isFailReason(reason) && reason.error instanceof RollBack)
  // Of the transaction itself: those of the action are in `failure`.
  const error = sqlErrors(cause)[0]
  if (error === undefined) {
    if (failure !== undefined && sqlErrors(failure).some(isConflict)) return { _tag: "Conflict", cause: failure }
    // What is no `RollBack` is a defect or an interruption, and is rolled back, too.
    return rollBack === undefined
      ? { _tag: "Failed", cause: cause as Cause.Cause<never>, isCertain }
      : (rollBack as Cause.Fail<RollBack<A, E>>).error.ended
  }
  if (isConflict(error)) return { _tag: "Conflict", cause: failure ?? Cause.fail(error) }
  if (reached === "Begin" && isRefused(error)) {
    const why = isMissing(error) ? Effect.option(otherDatabase(fence, statements)) : Effect.succeedNone
    return { _tag: "Unusable", why: Option.getOrElse(yield* why, () => `${messageOf(error)}.`) }
  }
  // What has no code does not come from the server, which may have committed. Where the action failed, ROLLBACK has, too.
  if (reached === "Begin" || failure !== undefined || isConnectionLost(error) || stateOf(error) === undefined) {
    return { _tag: "Lost", error, hadBegun: reached !== "Begin", cause: failure ?? Cause.fail(error) }
  }
  // The server has refused the record or the COMMIT, so all is rolled back.
  return {
    _tag: "Failed",
    cause: stateOf(error) === "25P02" ? Cause.die(new Error(aborted(name), { cause: error })) : Cause.fail(error),
    isCertain
  }
})

const decodeText = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Json))

/* What an earlier attempt has succeeded with. */
const readValue = <A, E, R>(
  text: string,
  { codec, execution, name }: Recorded<A, E, R>
): Effect.Effect<A> => {
  const what = `The value that ${name} had committed with`
  const misfit = (cause: Cause.Cause<unknown>) =>
    execution.mismatch(`${what} does not fit its schema any more: ${causeLine(cause, execution.isInClear)}.`)
  const json = decodeText(text)
  return Exit.isFailure(json) ? misfit(json.cause) : Effect.flatMap(execution.open(json.value, what), (opened) => {
    const value = codec.decode(opened)
    return Exit.isSuccess(value) ? Effect.succeed(value.value) : misfit(value.cause)
  })
}

/*
 * Only this step takes its lock. So who has it is an attempt that nobody waits for any more: that of an engine that was
 * replaced, or one whose connection was lost on this side only. While it could commit, this one must not act.
 */
const endHolder = <A, E, R>({ execution, fence, key, name, sql }: Recorded<A, E, R>): Effect.Effect<void> =>
  Effect.catch(
    Statements.make(sql, fence, execution.key, key).endHolder,
    (error) =>
      isConnectionLost(error) ? Effect.void : Effect.logWarning(
        `${name} waits for an earlier attempt, whose connection it can't end: ${messageOf(error)}. ` +
          `The role of this client has to be that of the other one, or a member of pg_signal_backend.`
      )
  )

const otherDatabase = Effect.fnUntraced(function*(fence: Fence, statements: Statements.Statements) {
  const place = yield* statements.place
  return `the journal is in the store ${fence.store}, schema "${fence.schema}", and its SqlClient uses ${place}, where ` +
    `that store is not. Both have to be in one database.`
})

const aborted = (name: string): string =>
  `${name} was rolled back, as a statement in it had failed and the action went on. PostgreSQL takes nothing more in such ` +
  `a transaction: put what may fail into sql.withTransaction, or let the action fail.`
