import type { PgClient } from "@effect/sql-pg/PgClient"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import { causeLine } from "../internal/render.ts"
import * as Table from "./outboxTable.ts"
import { isMissing, messageOf } from "./sqlFailure.ts"

/*
 * Delivers the messages of one outbox.
 *
 * 1. Of all processes that relay an outbox one does it, the others stand by: the one whose session has the lock. So there
 *    are no claims to write, to renew and to wait for: when a process or its connection dies, the database frees the lock
 *    at once. The session gives a sign of life each second, and is ended by those who stand by when it gives none for five.
 * 2. What became of a message is written by that very session. A relay that was replaced can't write it any more.
 * 3. A key has one fiber at a time, which goes on to the next message when it is durable that this one was delivered. So a
 *    crash repeats at most the last message of each key.
 *
 * Dying before the handler has returned, or before it is durable that it has, a relay leaves the message to the next one,
 * which delivers it again.
 */

export interface Options<E> {
  readonly sql: PgClient
  readonly table: Table.Table
  readonly handle: (row: Table.Row) => Effect.Effect<unknown, E>
  readonly retry: Schedule.Schedule<unknown, Cause.Cause<E>>
  readonly onDead: "block" | "continue"
  readonly concurrency: number
  readonly pollInterval: Duration.Duration
  /** For how long messages stay that were delivered. */
  readonly keepDelivered: Duration.Duration | undefined
  /** Whether reasons may show what messages hold. */
  readonly isInClear: boolean
}

const heartbeat = "1 second"

/* Without a sign of life for this long, a relay counts as hung. */
const silence = 5000

const standby = "1 second"

/** Relays for ever. */
export const run = <E>(options: Options<E>): Effect.Effect<never> =>
  Effect.scoped(lead(options)).pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        // Whoever interrupts this does not get here: something that it uses was closed.
        ? Effect.void
        : Effect.logWarning(`Outbox "${options.table.outbox}" is not relayed for now. ${whyNot(options, cause)}`)
    ),
    Effect.andThen(Effect.sleep("1 second")),
    Effect.forever
  )

const whyNot = <E>({ table }: Options<E>, cause: Cause.Cause<SqlError>): string => {
  const error = Cause.squash(cause)
  return error instanceof SqlError
    ? isMissing(error) ? Table.noTables(table.schema) : `${messageOf(error)}.`
    : causeLine(cause)
}

/* Waits for its turn, then relays as long as its session lives. */
const lead = Effect.fnUntraced(function*<E>(
  options: Options<E>
): Effect.fn.Return<never, SqlError, Scope.Scope> {
  const { sql, table } = options
  const statements = Table.make(sql, table)
  const connection = yield* sql.reserve
  const session: Session = (statement) => {
    const [text, values] = statement.compile()
    return connection.execute(text, values, undefined)
  }
  // The connection goes back to its pool, and is not to take the lock there. One that does not answer is closed there.
  const unlock = Effect.ignore(connection.execute("SELECT pg_advisory_unlock_all()", [], undefined))
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(unlock), "1 second"))
  while (!(yield* isTaken(session(statements.lead)))) {
    yield* session(statements.endSilent(silence))
    yield* Effect.sleep(standby)
  }
  return yield* new Relay(options, statements, session, yield* Queue.unbounded<Outcome>()).run
})

/** Runs a statement on the session that has the lock. */
type Session = (statement: Statement<unknown>) => Effect.Effect<ReadonlyArray<unknown>, SqlError>

const isTaken = (asked: ReturnType<Session>): Effect.Effect<boolean, SqlError> =>
  Effect.flatMap(asked, ([row]) => Effect.map(Effect.orDie(decodeLead(row)), ({ leads }) => leads))

const decodeLead = Schema.decodeUnknownEffect(Schema.Struct({ leads: Schema.Boolean }))

/** What became of an attempt to deliver a message. */
type Outcome =
  & { readonly id: string; readonly written: Deferred.Deferred<void> }
  & (
    | { readonly _tag: "Delivered" }
    | { readonly _tag: "Later"; readonly failed: Failed; readonly delay: number }
    | { readonly _tag: "Dead"; readonly failed: Failed }
  )

interface Failed {
  readonly attempts: number
  readonly reason: string
}

class Relay<E> {
  private readonly options: Options<E>
  private readonly statements: Table.Statements
  private readonly session: Session
  /** The keys whose messages are being delivered. */
  private readonly busy = new Set<string>()
  private readonly bell = Latch.makeUnsafe()
  private readonly outcomes: Queue.Queue<Outcome>
  /** The last key of those that were found, so that each has its turn. */
  private after: string | undefined = undefined

  constructor(options: Options<E>, statements: Table.Statements, session: Session, outcomes: Queue.Queue<Outcome>) {
    this.options = options
    this.statements = statements
    this.session = session
    this.outcomes = outcomes
  }

  /** Works until the session can't be used any more. What is being delivered then is interrupted with the scope. */
  get run(): Effect.Effect<never, SqlError, Scope.Scope> {
    return Effect.flatMap(
      Effect.all([this.beat, this.write, this.prune, this.listen, this.deliver], { concurrency: "unbounded" }),
      () => Effect.never
    )
  }

  private get beat(): Effect.Effect<void, SqlError> {
    return Effect.asVoid(Effect.repeat(
      Effect.timeoutOrElse(this.session(this.options.sql`SELECT 1`), {
        duration: silence,
        orElse: () => Effect.fail(hung)
      }),
      Schedule.spaced(heartbeat)
    ))
  }

  /** Wakes whoever waits for messages. What is sent while nothing listens is found by looking now and then. */
  private get listen(): Effect.Effect<void> {
    const bell = Table.bellOf(this.options.table)
    return this.options.sql.listen(Table.channel).pipe(
      Effect.tap(() => this.bell.open),
      Effect.flatMap((notifications) =>
        Effect.forever(
          Effect.flatMap(Queue.take(notifications), ({ payload }) => payload === bell ? this.bell.open : Effect.void)
        )
      ),
      Effect.scoped,
      Effect.catch((error) =>
        Effect.logDebug(`Outbox "${this.options.table.outbox}" hears nothing: ${messageOf(error)}.`)
      ),
      Effect.repeat(Schedule.spaced("1 second")),
      Effect.asVoid
    )
  }

  private get prune(): Effect.Effect<void, SqlError> {
    const { keepDelivered } = this.options
    return keepDelivered === undefined ? Effect.void : Effect.asVoid(Effect.repeat(
      Effect.suspend(() => this.session(this.statements.deleteKept(Duration.toMillis(keepDelivered)))),
      Schedule.spaced("1 minute")
    ))
  }

  private get deliver(): Effect.Effect<never, SqlError, Scope.Scope> {
    return Effect.forever(Effect.suspend(() => {
      this.bell.closeUnsafe()
      return Effect.flatMap(this.find(), (found) => {
        if (this.free === 0) return this.bell.await
        return found > 0 ?
          Effect.void :
          Effect.flatMap(this.patience, (millis) => Effect.raceFirst(this.bell.await, Effect.sleep(millis)))
      })
    }))
  }

  private get free(): number {
    return this.options.concurrency - this.busy.size
  }

  /* Until the next attempt is due, and not for too long. */
  private get patience(): Effect.Effect<number, SqlError> {
    const longest = Duration.toMillis(this.options.pollInterval)
    const asked = this.session(this.statements.wait(Array.from(this.busy), this.options.onDead))
    return Effect.flatMap(
      asked,
      ([row]) =>
        Effect.map(
          Table.readWait(row),
          (millis) => millis === undefined ? longest : Math.min(Math.max(millis, 0), longest)
        )
    )
  }

  /** Starts to deliver the messages of as many keys as there is room for, and returns how many there are. */
  private find(): Effect.Effect<number, SqlError, Scope.Scope> {
    return Effect.suspend(() => {
      const { after, free } = this
      if (free === 0) return Effect.succeed(0)
      const busy = Array.from(this.busy)
      const asked = this.session(this.statements.due({ after, busy, limit: free, onDead: this.options.onDead }))
      return Effect.flatMap(Effect.flatMap(asked, Table.read), (rows) => {
        const keys = byKey(rows)
        this.after = keys.size < free ? undefined : rows.at(-1)!.key
        // Those before `after` have not been asked for.
        if (keys.size === 0 && after !== undefined) return this.find()
        return Effect.as(
          Effect.forEach(keys, ([key, messages]) => this.deliverKey(key, messages), { discard: true }),
          keys.size
        )
      })
    })
  }

  private deliverKey(key: string, messages: ReadonlyArray<Table.Row>): Effect.Effect<unknown, never, Scope.Scope> {
    this.busy.add(key)
    const inTurn = Effect.gen({ self: this }, function*() {
      for (const message of messages) {
        if (message.status !== "Pending" || !message.isDue) return
        if (!(yield* this.attempt(message))) return
      }
    })
    return Effect.forkScoped(Effect.ensuring(
      inTurn,
      Effect.sync(() => {
        this.busy.delete(key)
        this.bell.openUnsafe()
      })
    ))
  }

  /** Returns whether the message was delivered, when that, or that it was not, is durable. */
  private attempt(message: Table.Row): Effect.Effect<boolean> {
    const { id } = message
    return Effect.gen({ self: this }, function*() {
      const exit = yield* Effect.exit(this.options.handle(message))
      const written = Deferred.makeUnsafe<void>()
      const outcome: Outcome = Exit.isSuccess(exit)
        ? { _tag: "Delivered", id, written }
        : yield* this.failed(message, exit.cause, written)
      yield* Queue.offer(this.outcomes, outcome)
      yield* Deferred.await(written)
      return outcome._tag === "Delivered"
    })
  }

  private failed(
    { attempts: before, id, key }: Table.Row,
    cause: Cause.Cause<E>,
    written: Deferred.Deferred<void>
  ): Effect.Effect<Outcome> {
    const { isInClear, onDead, retry, table } = this.options
    const attempts = before + 1
    const reason = causeLine(cause, isInClear)
    // A schedule that breaks would have the message delivered without a pause.
    const delay = Effect.catchCause(
      delayAfter(retry, attempts, cause),
      (defect) => Effect.as(Effect.logError(`The schedule of outbox "${table.outbox}" is broken.`, defect), undefined)
    )
    return Effect.flatMap(delay, (delay): Effect.Effect<Outcome> => {
      if (delay !== undefined) {
        return Effect.succeed({ _tag: "Later", id, written, failed: { attempts, reason }, delay })
      }
      const rest = onDead === "block" ? "; the messages after it wait until an operator retries or skips it" : ""
      return Effect.as(
        Effect.logError(
          `Outbox "${table.outbox}" has given up message ${id} of key "${key}" after ${attempts} attempts${rest}. ${reason}`
        ),
        { _tag: "Dead", id, written, failed: { attempts, reason } }
      )
    })
  }

  /** Writes what became of messages, that of many in one transaction. */
  private get write(): Effect.Effect<never, SqlError> {
    const { statements } = this
    return Effect.forever(Effect.gen({ self: this }, function*() {
      const outcomes = yield* Queue.takeAll(this.outcomes)
      const delivered = outcomes.filter(({ _tag }) => _tag === "Delivered").map(({ id }) => id)
      if (delivered.length > 0) {
        yield* this.session(
          this.options.keepDelivered === undefined ? statements.delete(delivered) : statements.keep(delivered)
        )
      }
      for (const outcome of outcomes) {
        if (outcome._tag === "Later") yield* this.session(statements.later(outcome.id, outcome.failed, outcome.delay))
        if (outcome._tag === "Dead") yield* this.session(statements.bury(outcome.id, outcome.failed))
      }
      for (const { written } of outcomes) Deferred.doneUnsafe(written, Exit.void)
    }))
  }
}

const byKey = (rows: ReadonlyArray<Table.Row>): ReadonlyMap<string, ReadonlyArray<Table.Row>> => {
  const keys = new Map<string, Array<Table.Row>>()
  for (const row of rows) {
    const messages = keys.get(row.key)
    if (messages === undefined) keys.set(row.key, [row])
    else messages.push(row)
  }
  return keys
}

const hung = new SqlError({
  reason: new ConnectionError({ cause: new Error("no answer for 5 seconds"), message: "The server does not answer" })
})

/*
 * A schedule has a state, and the attempts before this one may have been made by another process. So it is made anew, as
 * if all of them had failed like this one, one delay after another.
 */
const delayAfter = <E>(
  retry: Schedule.Schedule<unknown, Cause.Cause<E>>,
  attempts: number,
  cause: Cause.Cause<E>
): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(retry)
    let now = 0
    let delay = 0
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const next = yield* Pull.catchDone(step(now, cause), () => Effect.undefined)
      if (next === undefined) return undefined
      delay = Duration.toMillis(next[1])
      now += delay
    }
    return delay
  })
