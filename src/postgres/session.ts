import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import { endsSession, failureOf } from "./failure.ts"
import type { Settings } from "./settings.ts"
import { isSqlError } from "./sqlFailure.ts"

/*
 * The connections of a store.
 *
 * - They are its own. Whatever business code does with its pool, the journal has a connection.
 * - They are opened when they are needed, and again when they break.
 * - A connection that gives no answer for long is closed, which fails whoever waits for one.
 */

export type Row = PgConnection.Row

export interface Session {
  readonly query: (sql: string, parameters?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, SqlError>
  /** Runs a statement that is not kept prepared. */
  readonly queryOnce: (sql: string, parameters?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, SqlError>
  /** Makes a connection one that listens, until the scope closes. Then a channel gives its notifications from now on. */
  readonly listener: Effect.Effect<
    (channel: string) => Effect.Effect<Queue.Dequeue<unknown, SqlError>, SqlError, Scope.Scope>,
    never,
    Scope.Scope
  >
}

/*
 * What a session has set for itself, whatever the database, or the role, has as defaults:
 *
 * - Statements wait for a lock for a second at a time. Whoever runs them tries again.
 * - Tables are read by their indexes, and in the order of these. A plan is made while a table is small, or before anybody has
 *   counted its rows, and kept while it grows.
 * - A client that has vanished without notice, with a lock, is given up after half a minute.
 * - A commit is durable when it returns. Where others have to have it too, that stays so.
 */
const setUp = `
  SELECT set_config('search_path', 'pg_catalog', false), set_config('lock_timeout', '1s', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false), set_config('enable_bitmapscan', 'off', false),
    set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false)`

/** Opens a connection until the scope closes. */
export const open = Effect.fnUntraced(function*(
  { connection }: Settings
): Effect.fn.Return<Session, SqlError, Scope.Scope> {
  const opened = yield* PgConnection.make(connection)
  yield* opened.query(setUp, [], false)
  return {
    query: (sql, parameters) => Effect.map(opened.query(sql, parameters), ({ rows }) => rows),
    queryOnce: (sql, parameters) => Effect.map(opened.query(sql, parameters, false), ({ rows }) => rows),
    listener: Effect.map(opened.pin, (pinned) => (channel) => pinned.listen(channel))
  }
})

/* ------------------------------------------------------------------------------------------------ lines */

/** Connections that are shared by those who need one for a moment. */
export interface Lines {
  /** Waits for a connection that is free. */
  readonly use: <A, E>(f: (session: Session) => Effect.Effect<A, E | SqlError>) => Effect.Effect<A, E | SqlError>
}

interface Line {
  readonly session: Session
  readonly close: Effect.Effect<void>
  /** For how many seconds it has been used, or has not been used. */
  seconds: number
}

/** Opens up to `size` connections when they are needed. They close with the scope, whether or not they are used. */
export const makeLines = Effect.fnUntraced(function*(
  settings: Settings,
  options: {
    readonly size: number
    /** For how long a connection stays that nobody uses. */
    readonly idleSeconds: number
  }
): Effect.fn.Return<Lines, never, Scope.Scope> {
  const permits = Semaphore.makeUnsafe(options.size)
  const free: Array<Line> = []
  const used = new Set<Line>()
  let isClosed = false
  // A server that does not answer is one that is away, but a slow answer needs its time.
  const patience = Math.ceil(Math.max(settings.retryFor, 5000) / 1000)

  const openLine = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const close = Scope.close(scope, Exit.void)
    const session = yield* Effect.onError(Scope.provide(open(settings), scope), () => close)
    if (isClosed) yield* close
    return { session, close, seconds: 0 }
  })

  const giveBack = (line: Line, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
    used.delete(line)
    line.seconds = 0
    // After an interruption nobody knows what it still does.
    if (isClosed || Exit.hasInterrupts(exit) || isBroken(settings, exit)) return line.close
    free.push(line)
    return Effect.void
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return Effect.forEach([...free.splice(0), ...used], ({ close }) => close, { discard: true })
    })
  )

  const sweep = Effect.suspend(() => {
    for (const line of [...free, ...used]) line.seconds++
    const idle = free.filter(({ seconds }) => seconds > options.idleSeconds)
    for (const line of idle) free.splice(free.indexOf(line), 1)
    const silent = Array.from(used).filter(({ seconds }) => seconds > patience)
    return Effect.forEach([...idle, ...silent], ({ close }) => close, { discard: true })
  })
  yield* Effect.forkScoped(Effect.forever(Effect.delay(sweep, "1 second")))

  return {
    use: (f) =>
      permits.withPermit(
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            Effect.suspend(() => free.length > 0 ? Effect.succeed(free.pop()!) : restore(openLine)),
            (line) => {
              used.add(line)
              line.seconds = 0
              return Effect.onExit(restore(f(line.session)), (exit) => giveBack(line, exit))
            }
          )
        )
      )
  }
})

const isBroken = (settings: Settings, exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((reason) =>
    reason._tag === "Fail" && isSqlError(reason.error) && endsSession(failureOf(settings, reason.error))
  )

/* ------------------------------------------------------------------------------------------------ parameters */

/** Texts, or nulls, as one parameter. */
export const texts = (values: ReadonlyArray<string | null>): unknown =>
  // The type is one that the driver knows.
  Result.getOrThrow(PgTypes.array(values, PgTypes.OID.text))

/** Numbers or booleans as one parameter, which the server reads as what the statement says they are. */
export const numbers = (values: ReadonlyArray<number | boolean>): string => `{${values.join(",")}}`

/** A whole number as a parameter, as far as numbers of JavaScript are exact. */
export const whole = (value: number): string =>
  String(Math.trunc(Math.max(Math.min(value, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER)))
