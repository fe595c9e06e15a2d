/**
 * Steps that change the database in which their saga is kept, exactly once.
 *
 * A step of `Step.make` runs at least once: nobody knows what became of an action that was running when its process died,
 * so it runs again. Where the action writes to the very database that has the journal, it need not: this step runs in a
 * transaction that also records that it has run. Either both are there or neither is.
 *
 * **Details**
 *
 * - The action, and the compensation, run in a transaction of the `SqlClient` in their context. What they do in that
 *   database, at any depth, is part of it; so is what an `Outbox` sends.
 * - A step that fails, dies or is interrupted has changed nothing. A step that has committed does not run again,
 *   whichever process dies, and whenever. A connection that is lost during COMMIT leaves the outcome open for nobody but
 *   the step: it looks whether it has committed before it goes on.
 * - An engine that was replaced by another one, because it was paused, can't commit any more: neither the journal nor
 *   business data.
 * - Deadlocks and serialization failures are not failures of the step: it runs again. While the database is away, it waits.
 * - In memory, in `Saga.transact`, the action runs in a transaction and nothing is recorded.
 *
 * **Gotchas**
 *
 * - What an action does elsewhere (calls a service, sends a mail) happens at least once, as with `Step.make`, and more often,
 *   as a transaction may have to run again. Leave that to a `Step.make`, or to an `Outbox`.
 * - The engine runs on a PostgreSQL store, and the client uses the same database. A role of its own needs rights there:
 *   `USAGE` on the schema of the store, `SELECT` and `UPDATE` on `owner` (whose row it locks), `SELECT` and `INSERT` on
 *   `transactions`. Where nobody can tell whether a step has run, since the client has not got these, or uses another
 *   database, the execution is parked with a reason that says so, and goes on when its engine starts again.
 * - Each step that runs occupies a connection of the pool.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { createHash } from "node:crypto"
import * as Check from "../internal/check.ts"
import * as Codec from "../internal/codec.ts"
import type { Execution } from "../internal/execution.ts"
import { currentFrame } from "../internal/run.ts"
import { asEffect, currentAction, executionOf } from "../internal/stepAttempt.ts"
import * as Step from "../Step.ts"
import { fenceOf } from "./fence.ts"
import { isSqlError } from "./sqlFailure.ts"
import * as Transaction from "./stepTransaction.ts"

/**
 * How much a transaction may notice of those beside it.
 *
 * @category options
 * @since 0.1.0
 */
export type Isolation = "read committed" | "repeatable read" | "serializable"

/**
 * Creates a step whose action and compensation are transactions.
 *
 * **Details**
 *
 * Options are those of `Step.make`, with these differences:
 *
 * - Action and compensation may also fail with `SqlError`. Where the database asks for it, or was away, they run again, up
 *   to a limit. Any other failure of SQL is a defect, and the step dies of it; unless `error` (or `compensationError`) has
 *   it as a case, as in `Schema.Union([InsufficientFunds, SqlError.SqlError])`: then it is a failure as any other.
 * - `timeout` and `compensationTimeout` limit what runs between BEGIN and COMMIT. What fails with `Cause.TimeoutError` is
 *   rolled back, so its outcome is known.
 * - `isolation`: by default that of the database.
 * - `ambiguous` is left out: no outcome is.
 *
 * **Gotchas**
 *
 * After a statement has failed, PostgreSQL refuses all others until the transaction is rolled back. An action that goes on
 * after a failure of SQL has to put that part into `sql.withTransaction`, which makes a savepoint.
 *
 * **Example** (Money that leaves one account and arrives on another)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { SqlClient } from "effect/sql"
 * import { PostgresStep } from "effect-saga/postgres"
 *
 * class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {}) {}
 *
 * const Transfer = Schema.Struct({ from: Schema.String, to: Schema.String, amount: Schema.Int })
 *
 * export const transfer = PostgresStep.make("transfer", {
 *   input: Transfer,
 *   error: InsufficientFunds,
 *   action: Effect.fnUntraced(function*({ amount, from, to }) {
 *     const sql = yield* SqlClient.SqlClient
 *     const debited = yield* sql`
 *       UPDATE accounts SET balance = balance - ${amount} WHERE id = ${from} AND balance >= ${amount} RETURNING id
 *     `
 *     if (debited.length === 0) return yield* new InsufficientFunds()
 *     yield* sql`UPDATE accounts SET balance = balance + ${amount} WHERE id = ${to}`
 *   })
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  Input extends Step.Storable = Schema.Void,
  Success extends Step.Storable = Schema.Void,
  Error extends Step.Storable = Schema.Never,
  CompensationError extends Step.Storable = Schema.Never,
  R1 = never,
  R2 = never,
  R3 = never,
  R4 = never,
  Timeout extends Duration.Input | undefined = undefined,
  CompensationTimeout extends Duration.Input | undefined = undefined
>(
  name: string,
  options:
    & {
      readonly input?: Input | undefined
      readonly success?: Success | undefined
      readonly error?: Error | undefined
      readonly compensationError?: CompensationError | undefined
      readonly action: (
        input: Input["Type"],
        context: Step.ActionContext
      ) => Effect.Effect<Success["Type"], Error["Type"] | SqlError, R1>
      readonly retry?: Schedule.Schedule<unknown, Error["Type"] | Step.make.TimeLimit<Timeout>, never, R3> | undefined
      readonly compensationRetry?:
        | Schedule.Schedule<unknown, CompensationError["Type"] | Step.make.TimeLimit<CompensationTimeout>, never, R4>
        | undefined
      readonly timeout?: Timeout
      readonly compensationTimeout?: CompensationTimeout
      readonly isolation?: Isolation | undefined
    }
    & Step.Compensation<
      Input["Type"],
      Success["Type"],
      Error["Type"] | Step.make.TimeLimit<Timeout>,
      CompensationError["Type"] | SqlError,
      R2
    >
): Step.Step<
  Input["Type"],
  Success["Type"],
  Error["Type"] | Step.make.TimeLimit<Timeout>,
  CompensationError["Type"] | Step.make.TimeLimit<CompensationTimeout>,
  R1 | R2 | R3 | R4 | SqlClient.SqlClient
> => {
  const erased = options as unknown as AnyOptions
  const where = "PostgresStep.make"
  Check.requiredName(where, name)
  Check.requiredOptions(where, erased)
  Check.keys(where, erased, keys)
  for (const key of ["success", "error", "compensationError"] as const) {
    Check.schema(`${where}: ${key}`, erased[key])
  }
  Check.oneOf(`${where}: isolation`, erased.isolation, levels)
  Check.callback(`${where}: action`, erased.action, "a function that returns an Effect")
  const { action, compensate, compensateExit, compensationTimeout, isolation, timeout, ...rest } = erased
  const begin = isolation === undefined ? undefined : `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}`
  const forward: Phase = {
    kind: "action",
    what: (step) => `Step "${step}"`,
    key: storable,
    codec: Codec.make(erased.success ?? Schema.Void),
    declares: Schema.is(erased.error ?? Schema.Never),
    limit: Check.duration(`${where}: timeout`, timeout),
    begin
  }
  const backward: Phase = {
    kind: "compensation",
    what: (step) => `The compensation of step "${step}"`,
    key: (path) => `${storable(path)}\nundo`,
    codec: discarded,
    declares: Schema.is(erased.compensationError ?? Schema.Never),
    limit: Check.duration(`${where}: compensationTimeout`, compensationTimeout),
    begin
  }
  const undoing = (compensation: Call | undefined): Call | undefined =>
    typeof compensation !== "function"
      // As it is, for `Step.make` to say what is wrong with it.
      ? compensation
      : (given, context) => inTransaction(name, backward, () => compensation(given, context), context)
  const step: unknown = Step.make(name, {
    ...rest,
    action: (input: unknown, context: Step.ActionContext) =>
      inTransaction(name, forward, () => action(input, context), context),
    ...compensate === undefined ? undefined : { compensate: undoing(compensate) },
    ...compensateExit === undefined ? undefined : { compensateExit: undoing(compensateExit) }
  } as never)
  // What is passed on is what was given, but for services and errors, which are as the type of this function says.
  return step as never
}

/* By the type of the step, the services that it needs are in the context that it runs in. */
type AnyEffect = Effect.Effect<unknown, unknown, unknown>

type Call = (given: unknown, context: Step.ActionContext) => AnyEffect

interface AnyOptions {
  readonly input?: Step.Storable
  readonly success?: Step.Storable
  readonly error?: Step.Storable
  readonly compensationError?: Step.Storable
  readonly action: Call
  readonly compensate?: Call
  readonly compensateExit?: Call
  readonly timeout?: Duration.Input
  readonly compensationTimeout?: Duration.Input
  readonly isolation?: Isolation
}

const keys = [
  "input",
  "success",
  "error",
  "compensationError",
  "action",
  "compensate",
  "compensateExit",
  "retry",
  "compensationRetry",
  "timeout",
  "compensationTimeout",
  "isolation"
]

const levels: ReadonlyArray<Isolation> = ["read committed", "repeatable read", "serializable"]

/* What an action and a compensation differ in. */
interface Phase {
  readonly kind: "action" | "compensation"
  readonly what: (step: string) => string
  /** What its record is kept under, for a step at `path`. */
  readonly key: (path: string) => string
  readonly codec: Codec.Codec<unknown>
  /** Whether its type has this failure. */
  readonly declares: (failure: unknown) => boolean
  readonly limit: Duration.Duration | undefined
  readonly begin: string | undefined
}

/*
 * Names may hold what texts in a database can't, and be longer than its indexes can have. No path has two lines, so what has
 * stands for something else.
 */
const storable = (path: string): string => {
  const text = Check.isStorable(path) ? path : `\n${JSON.stringify(path)}`
  return text.length <= maxKey ? text : `\n${createHash("sha256").update(text).digest("hex")}`
}

/* Of three bytes at most, in a row of an index that takes 2704. */
const maxKey = 800

/* Nobody asks what a compensation returns. */
const discarded: Codec.Codec<unknown> = {
  encode: () => Exit.succeed(null),
  decode: () => Exit.succeed(undefined)
}

const inTransaction = (
  step: string,
  phase: Phase,
  call: () => AnyEffect,
  { idempotencyKey }: Step.ActionContext
): AnyEffect =>
  Effect.contextWith((context: Context.Context<never>) => {
    const execution = executionIn(context)
    const path = execution === undefined ? step : idempotencyKey.slice(execution.id.length + 1)
    const name = phase.what(path)
    const sql = Context.getUnsafe(context, SqlClient.SqlClient)
    const action = limited(Effect.suspend(() => asEffect(call(), phase.kind, step)), phase.limit, name)
    const transaction = { sql, action, begin: phase.begin, name }
    if (execution === undefined) return declared(phase, Transaction.once(transaction))
    const fence = fenceOf(execution.host.ownership)
    if (fence === undefined) return Effect.die(new Error(otherStore(name)))
    if (!sql.onDialectOrElse({ pg: () => true, orElse: () => false })) return Effect.die(new Error(otherClient(name)))
    if (Context.getOrUndefined(context, sql.transactionService) !== undefined) {
      return Effect.die(new Error(nested(name)))
    }
    return declared(
      phase,
      Transaction.exactlyOnce({ ...transaction, codec: phase.codec, execution, fence, key: phase.key(path) })
    )
  })

/* The execution of which this is the action, or the compensation, of a step; undefined in memory. */
const executionIn = (context: Context.Context<never>): Execution | undefined => {
  // Actions of durable steps stand in no frame; those of a saga in memory inside one stand in its own.
  const frame = currentFrame(context)
  return frame === undefined ? currentAction(context)?.execution : executionOf(frame)
}

const limited = (action: AnyEffect, limit: Duration.Duration | undefined, name: string): AnyEffect =>
  limit === undefined ? action : Effect.timeoutOrElse(action, {
    duration: limit,
    orElse: () =>
      Effect.fail(
        new Cause.TimeoutError(`${name} did not end within ${Duration.format(limit)}, and was rolled back.`)
      )
  })

/* Makes defects of failures of SQL that the type does not have. */
const declared = ({ declares }: Phase, self: AnyEffect): AnyEffect =>
  Effect.catchCause(
    self,
    (cause) =>
      Effect.failCause(Cause.fromReasons(cause.reasons.map((reason) =>
        Cause.isFailReason(reason) && isSqlError(reason.error) && !declares(reason.error)
          ? Cause.makeDieReason(reason.error).annotate(Cause.reasonAnnotations(reason))
          : reason
      )))
  )

const otherStore = (name: string): string =>
  `${name} was not started: its engine does not run on a PostgreSQL store, so nothing could record that it has run. ` +
  `Give the engine the store of effect-saga/postgres, in the database of the step, or make the step with Step.make.`

const otherClient = (name: string): string =>
  `${name} was not started: its SqlClient is not one of PostgreSQL, and so not one of the database that has the journal. ` +
  `Provide the pool of that database, or make the step with Step.make.`

const nested = (name: string): string =>
  `${name} was not started: it is called in a transaction that its saga has opened, which may still roll back what the ` +
  `journal has. A step opens its own: call it outside of sql.withTransaction.`
