import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import * as process from "../internal/process.ts"
import { answerRetention, type EarlySignal, nameOfOwner } from "../internal/store.ts"
import { Owned, OwnershipLost, SagaStoreError } from "../SagaStoreError.ts"

import type { Attempt, Attempts } from "./attempts.ts"
import * as Commit from "./commit.ts"
import { unavailable } from "./failure.ts"
import { type FencedOwnership, FenceId } from "./fence.ts"
import type { Bells } from "./listener.ts"
import { decode, decodeOwner, decodeSignals, type OwnerRow } from "./rows.ts"
import { type Lines, makeLines, type Session } from "./session.ts"
import type { Settings } from "./settings.ts"

/*
 * Who owns a store. The single row of the table `owner` says it, with an epoch that rises with each owner and a count of
 * beats that the owner raises each second.
 *
 * - Each write of an owner is joined with a fence, the row with its epoch: see commit.ts. So whoever was replaced can write
 *   no more, however long it was paused and wherever in its code.
 * - Whoever waits for an owner to die compares beats, and counts its own waiting. A time in which it could not look does
 *   not count, as the owner could not beat either: after one, the count begins anew.
 * - On the first look the time of the last beat counts, by the clock of the server and since it was started, so that a
 *   start after a crash need not wait for long. Clocks may jump: the owner still has the time to beat once more.
 * - A take-over succeeds only if the row is still as it was seen, so an owner that beats meanwhile keeps the store, and of
 *   several that wait one wins. The row has the claim of the one that did, who may have lost its connection just then.
 */

const heartbeat = "1 second"

/* Without a beat for so many milliseconds, an owner counts as dead. With the time between two looks it stays below 5000. */
export const lease = 4000

/* The same for an owner that had not been heard of for that long when it was looked at first. */
const shortLease = 1500

const look = { standby: 500, once: 250 }

/* How long to try to beat, and to give the store back. */
const patience = { beat: 1000, release: 1000 }

/* Between two looks for answers that were kept for long enough. */
const cleaning = "1 minute"

/** What an ownership is made of. */
export interface Context {
  readonly settings: Settings
  readonly attempts: Attempts
  /** Connections for what is not the owner's alone. */
  readonly lines: Lines
  readonly bells: Bells
}

export const acquire = (context: Context) =>
  Effect.fnUntraced(function*(options: {
    readonly owner: string
    readonly standby: boolean
  }): Effect.fn.Return<FencedOwnership, SagaStoreError, Scope.Scope> {
    const candidate: Candidate = { ...process.self(), name: options.owner, claim: crypto.randomUUID() }
    const pause = options.standby ? look.standby : look.once
    // Whoever waits anyway waits for the server too.
    const waitFor = <A, R>(
      self: Effect.Effect<A, SagaStoreError, R>
    ): Effect.Effect<A | undefined, SagaStoreError, R> =>
      Effect.catchIf(self, (error) => options.standby && error.isTransient, () => Effect.undefined)

    let watch: Watch | undefined
    while (true) {
      const looked = yield* waitFor(lookAt(context))
      if (looked === undefined) watch = { seen: undefined, silence: 0, lease }
      else {
        const { owner } = looked
        const { seen } = watch ?? {}
        watch = next(watch, looked, pause)
        if (owner.epoch === 0 || owner.isReleased || watch.silence >= watch.lease || process.isDead(owner)) {
          const taken = yield* waitFor(whileTaken(takeOver(context, owner, candidate)))
          if (taken !== undefined) return taken
        } else if (seen !== undefined && !isSame(seen, owner) && !options.standby) {
          const reason = new Owned({
            store: context.settings.store,
            owner: nameOfOwner(owner),
            since: owner.acquiredAt
          })
          return yield* new SagaStoreError({ reason })
        }
      }
      yield* Effect.sleep(pause)
    }
  })

/* ------------------------------------------------------------------------------------------------ looking */

/** What is known of an owner by looking at it now and then. */
interface Watch {
  readonly seen: OwnerRow | undefined
  /** For how long it has given no sign of life, in milliseconds. */
  readonly silence: number
  /** Until then it counts as alive. */
  readonly lease: number
}

interface Look {
  readonly owner: OwnerRow
  /** Whether the server could not be asked at once. */
  readonly wasAway: boolean
}

const next = (watch: Watch | undefined, { owner, wasAway }: Look, pause: number): Watch => {
  if (watch === undefined) {
    return { seen: owner, silence: 0, lease: wasAway || owner.silence < lease ? lease : shortLease }
  }
  return wasAway || watch.seen === undefined || !isSame(watch.seen, owner)
    ? { seen: owner, silence: 0, lease }
    : { ...watch, silence: watch.silence + pause }
}

const isSame = (one: OwnerRow, other: OwnerRow): boolean => one.epoch === other.epoch && one.beats === other.beats

const lookAt = ({ attempts, lines, settings }: Context): Effect.Effect<Look, SagaStoreError> =>
  attempts.read(
    lines,
    (session, isRepeated) => Effect.map(readOwner(settings, session), (owner) => ({ owner, wasAway: isRepeated }))
  )

/* The server can't have been told of a beat before it was started. */
export const readOwner = (settings: Settings, session: Session): Effect.Effect<OwnerRow, SqlError | SagaStoreError> =>
  Effect.flatMap(
    session.query(`
      SELECT epoch::float8 AS epoch, store::text AS store, claim::text AS claim, name, host, pid, process,
        acquired_at::float8 AS "acquiredAt", beats::float8 AS beats, released_at IS NOT NULL AS "isReleased",
        least(
          ${millis} - heartbeat_at,
          extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000
        )::float8 AS silence
      FROM "${settings.schema}".owner WHERE one`),
    (rows) => decodeOwner(settings, rows)
  )

/* Now, by the clock of the server. */
const millis = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

/* ------------------------------------------------------------------------------------------------ taking over */

/** Who wants to own a store. */
interface Candidate extends process.ProcessIdentity {
  readonly name: string
  readonly claim: string
}

/* What a take-over has opened is closed at once where it did not come to anything. */
const whileTaken = <A>(
  self: Effect.Effect<A | undefined, SagaStoreError, Scope.Scope>
): Effect.Effect<A | undefined, SagaStoreError, Scope.Scope> =>
  Effect.flatMap(
    Effect.flatMap(Effect.scope, Scope.fork),
    (scope) =>
      Effect.onExit(Scope.provide(self, scope), (exit) =>
        Exit.isSuccess(exit) && exit.value !== undefined ? Effect.void : Scope.close(scope, exit))
  )

const takeOver = Effect.fnUntraced(function*(
  { attempts, bells, lines, settings }: Context,
  seen: OwnerRow,
  candidate: Candidate
): Effect.fn.Return<FencedOwnership | undefined, SagaStoreError, Scope.Scope> {
  const epoch = seen.epoch + 1
  const lost = Deferred.makeUnsafe<never, SagaStoreError>()
  let isReleased = false
  const isTaken = yield* Effect.acquireRelease(
    attempts.write(lines, claim(settings, seen, candidate)),
    (isTaken) =>
      Effect.suspend(() => {
        isReleased = true
        return isTaken ? Effect.ignore(attempts.write(lines, release(settings, epoch), patience.release)) : Effect.void
      })
  )
  if (!isTaken) return undefined

  // The connections that the owner has to have are opened now, as others may use up all that the server has.
  const writing = yield* makeLines(settings, { size: 1, idleSeconds: Infinity })
  const beating = yield* makeLines(settings, { size: 1, idleSeconds: Infinity })
  // Read after the take-over: whatever an earlier owner has written is there by now, or never will be.
  const { lastChange, lastKey, signalled, term } = yield* attempts.read(
    writing,
    (session) => readState(settings, session)
  )
  const tenure: Commit.Tenure = { epoch, term }
  const doubt: Commit.Doubt = { isOpen: false }
  const scope = yield* Effect.scope

  const lose = Effect.flatMap(attempts.read(lines, (session) => readOwner(settings, session)), (owner) => {
    Deferred.doneUnsafe(
      lost,
      Effect.fail(
        new SagaStoreError({ reason: new OwnershipLost({ store: settings.store, owner: nameOfOwner(owner) }) })
      )
    )
    return Deferred.await(lost)
  })

  const write = (
    attempt: (now: number) => Attempt<Commit.IsOwner>,
    isNews: boolean
  ): Effect.Effect<void, SagaStoreError> =>
    Effect.clockWith((clock) =>
      isReleased
        ? unavailable(settings, "closed")
        : Effect.flatMap(attempts.write(writing, attempt(clock.currentTimeMillisUnsafe())), (isOwner) => {
          if (!isOwner) return lose
          // Those who listen in this process need not wait for the server to tell them.
          if (isNews) bells.news.ring()
          return Effect.void
        })
    )

  let isBeating = false
  const beatApart = Effect.suspend(() => {
    isBeating = true
    return Effect.ensuring(
      attempts.write(beating, beat(settings, epoch), patience.beat),
      Effect.sync(() => {
        isBeating = false
      })
    )
  })
  const beatBetween = attempts.write(writing, beat(settings, epoch), patience.beat)

  /*
   * A connection may have died without notice, and give no answer. What is sent on it may still arrive, which does no harm.
   */
  const giveSign = Effect.suspend(() =>
    isBeating ? beatBetween : Effect.flatMap(Effect.forkIn(beatApart, scope), (fiber) =>
      Effect.flatMap(
        Effect.timeoutOption(Effect.exit(Fiber.join(fiber)), patience.beat),
        (exit) => exit._tag === "Some" && Exit.isSuccess(exit.value) ? Effect.succeed(exit.value.value) : beatBetween
      ))
  ).pipe(Effect.flatMap((isOwner) => isOwner ? Effect.void : lose))
  yield* giveSign
  yield* giveSign.pipe(
    // A beat that fails says nothing new: the next write of the owner fails with it.
    Effect.ignore,
    Effect.repeat({ schedule: Schedule.spaced(heartbeat), until: () => Deferred.isDoneUnsafe(lost) }),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  yield* Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => attempts.write(lines, deleteAnswered(settings, now - answerRetention))),
    // What is left is deleted the next time.
    Effect.ignore,
    Effect.repeat(Schedule.spaced(cleaning)),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  return {
    [FenceId]: { schema: settings.schema, epoch, store: seen.store },
    epoch,
    isApart: true,
    lastKey,
    lastChange,
    lost: Deferred.await(lost),
    commit: (appends) =>
      Effect.suspend(() => {
        const batch = Commit.batchOf(appends)
        const received = signalled.size === 0 ? [] : batch.started.map(({ id }) => id).filter((id) => signalled.has(id))
        return write((now) => Commit.commit(settings, tenure, doubt, batch, received, now), batch.isNews).pipe(
          // Whatever the last attempt has failed with, an earlier one may have written it.
          Effect.catchIf((error) => doubt.isOpen && error.isTransient, (error) =>
            unavailable(settings, "can't be reached", error)),
          Effect.onExit((exit) =>
            Effect.sync(() => {
              doubt.isOpen = Exit.isFailure(exit)
              if (Exit.isSuccess(exit)) {
                for (const id of received) {
                  signalled.delete(id)
                }
              }
            })
          )
        )
      }),
    keepSignal: (signal, answer) =>
      Effect.suspend(() => {
        const id = answer?.request ?? signal.id ?? crypto.randomUUID()
        // Before it is there: one more does no harm.
        signalled.add(signal.execution)
        return write((now) => Commit.keepSignal(settings, tenure, id, signal, answer, now), answer !== undefined)
      }),
    answer: (answers) => write((now) => Commit.answer(settings, tenure, answers, now), answers.length > 0),
    earlySignals: Effect.suspend(() =>
      isReleased ? unavailable(settings, "closed") : attempts.read(writing, (session) => readSignals(settings, session))
    )
  } satisfies FencedOwnership
})

/** Whether the store is the candidate's now. What was done on a connection that broke is found by its claim. */
const claim = (settings: Settings, seen: OwnerRow, candidate: Candidate): Attempt<boolean> =>
  Effect.fnUntraced(function*(session, isRepeated) {
    const { claim, host, name, pid, process } = candidate
    const rows = yield* session.query(
      `UPDATE "${settings.schema}".owner
      SET epoch = epoch + 1, beats = beats + 1, claim = $3, name = $4, host = $5, pid = $6, process = $7,
        acquired_at = ${millis}, heartbeat_at = ${millis}, released_at = NULL
      WHERE epoch = $1 AND beats = $2 RETURNING 1`,
      [String(seen.epoch), String(seen.beats), claim, name, host, String(pid), process]
    )
    if (rows.length > 0 || !isRepeated) return rows.length > 0
    const owner = yield* readOwner(settings, session)
    return owner.claim === claim && owner.epoch === seen.epoch + 1
  })

const decodeState = decode(Schema.Struct({ lastKey: Schema.Int, lastChange: Schema.Int, term: Schema.Int }))

const readState = Effect.fnUntraced(function*(settings: Settings, session: Session) {
  const [row] = yield* session.query(
    `SELECT greatest(last_key, (SELECT max(key) FROM "${settings.schema}".executions))::float8 AS "lastKey",
      least(coalesce((SELECT max(updated_at) FROM "${settings.schema}".executions), 0), ${Number.MAX_SAFE_INTEGER})
        ::float8 AS "lastChange",
      term::float8 AS term
    FROM "${settings.schema}".owner WHERE one`
  )
  const state = yield* decodeState(settings.store, row)
  const signals = yield* readSignals(settings, session)
  /* The executions for whose ids there are early signals; some more do no harm. Only the owner adds signals. */
  return { ...state, signalled: new Set(signals.map(({ execution }) => execution)) }
})

const readSignals = (
  settings: Settings,
  session: Session
): Effect.Effect<ReadonlyArray<EarlySignal>, SqlError | SagaStoreError> =>
  Effect.flatMap(
    session.query(`SELECT execution, event FROM "${settings.schema}".early_signals ORDER BY position`),
    (rows) => decodeSignals(settings.store, rows)
  )

/* ------------------------------------------------------------------------------------------------ signs of life */

/* Does not wait for the disk, nor for a standby of the server: what counts is that the server has heard of it. */
const beat = (settings: Settings, epoch: number): Attempt<boolean> => (session) =>
  Effect.map(
    session.query(
      `UPDATE "${settings.schema}".owner SET beats = beats + 1, heartbeat_at = ${millis}
      WHERE epoch = $1 AND set_config('synchronous_commit', 'off', true) IS NOT NULL RETURNING 1`,
      [String(epoch)]
    ),
    (rows) => rows.length > 0
  )

/* Where it can't be written down that the store is free, the next owner finds out by the missing heartbeat. */
const release = (settings: Settings, epoch: number): Attempt<void> => (session) =>
  Effect.asVoid(session.query(
    `UPDATE "${settings.schema}".owner SET beats = beats + 1, released_at = ${millis} WHERE epoch = $1`,
    [String(epoch)]
  ))

const deleteAnswered = (settings: Settings, before: number): Attempt<void> => (session) =>
  Effect.asVoid(session.query(
    `DELETE FROM "${settings.schema}".requests WHERE answered_at < $1`,
    [String(before)]
  ))
