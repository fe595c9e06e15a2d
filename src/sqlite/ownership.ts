import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Bell } from "../internal/bell.ts"
import * as process from "../internal/process.ts"
import {
  answerRetention,
  type Append,
  type EarlySignal,
  isFinished,
  nameOfOwner,
  type Ownership
} from "../internal/store.ts"
import { Owned, OwnershipLost, SagaStoreError } from "../SagaStoreError.ts"
import type { Driver } from "./driver.ts"
import { isBusy, unavailable } from "./errors.ts"
import type { Candidate, Fenced } from "./operations.ts"
import { decodeOwner, lease, type OwnerRow } from "./ownerRow.ts"
import { decodeSignals } from "./rows.ts"

/*
 * Who owns a file. The single row of the table `owner` says it, with an epoch that rises with each owner and a count of
 * beats that the owner raises each second.
 *
 * - Each write of an owner compares the epoch in its own transaction, so whoever was replaced can write no more, however
 *   long it was paused and wherever in its code.
 * - Whoever waits for an owner to die compares beats, not times, and counts its own waiting: the wall clock may jump, and
 *   a machine or container that is paused pauses both sides. Only on the first look the time of the last beat counts,
 *   so that a start after a crash need not wait.
 * - A take-over succeeds only if the row is still as it was seen, so an owner that beats meanwhile keeps the store, and of
 *   several that wait one wins.
 */

const heartbeat = "1 second"

/* Others hold the lock for as long as it takes to leave a request. Whoever has it for longer is not waited for here. */
const betweenAttempts = "5 millis"
const untilFree = { while: isBusy, times: 29 }

/* Between two looks for answers that were kept for long enough. */
const cleaning = "1 minute"

const look = { standby: 500, once: 250 }

export const acquire = (store: string, driver: Driver, news: Bell) =>
  Effect.fnUntraced(function*(options: {
    readonly owner: string
    readonly standby: boolean
  }): Effect.fn.Return<Ownership, SagaStoreError, Scope.Scope> {
    const candidate = { ...process.self(), name: options.owner }
    const pause = options.standby ? look.standby : look.once
    let seen: OwnerRow | undefined
    let silence = 0
    while (true) {
      const row: OwnerRow = yield* Effect.flatMap(
        driver.call("owner"),
        (row) => decodeOwner(store, row)
      )
      const now = yield* Clock.currentTimeMillis
      const isUnchanged = seen?.epoch === row.epoch && seen.beats === row.beats
      silence = isUnchanged ? silence + pause : 0
      const isFree = row.epoch === 0 || row.released_at !== null || silence >= lease ||
        (seen === undefined && now - row.heartbeat_at > lease) || process.isDead(row)
      if (isFree) {
        const taken = yield* takeOver(store, driver, news, row, candidate).pipe(
          // Whoever waits anyway waits for the lock too.
          Effect.catchIf((error) => options.standby && error.isTransient, () => Effect.undefined)
        )
        if (taken !== undefined) return taken
      } else if (seen !== undefined && !isUnchanged && !options.standby) {
        return yield* new SagaStoreError({
          reason: new Owned({ store, owner: nameOfOwner(row), since: row.acquired_at })
        })
      }
      seen = row
      yield* Effect.sleep(pause)
    }
  })

const takeOver = Effect.fnUntraced(function*(
  store: string,
  driver: Driver,
  news: Bell,
  seen: OwnerRow,
  candidate: Candidate
) {
  const now = yield* Clock.currentTimeMillis
  const epoch = seen.epoch + 1
  const lost = Deferred.makeUnsafe<never, SagaStoreError>()
  let isReleased = false
  const last = yield* Effect.acquireRelease(
    Effect.retry(driver.call("takeOver", seen, candidate, now), whileLocked),
    (last) =>
      Effect.suspend(() => {
        isReleased = true
        return last === undefined ? Effect.void : release(driver, epoch)
      })
  )
  if (last === undefined) return undefined

  const checkFence = (row: Fenced): Effect.Effect<void, SagaStoreError> =>
    row === undefined ? Effect.void : Effect.flatMap(decodeOwner(store, row), (row) => {
      Deferred.doneUnsafe(lost, Effect.fail(lostError(store, row)))
      return Deferred.await(lost)
    })

  const write = (
    operation: (now: number) => Effect.Effect<Fenced, SagaStoreError>,
    isNews: () => boolean
  ): Effect.Effect<void, SagaStoreError> => {
    // What was written is also told, to those who listen in this process.
    const attempt = Effect.uninterruptible(Effect.clockWith((clock) =>
      isReleased
        ? unavailable(store, "closed", undefined)
        : Effect.flatMap(operation(clock.currentTimeMillisUnsafe()), (row) => {
          if (row === undefined && news.isHeard && isNews()) news.ring()
          return checkFence(row)
        })
    ))
    return Effect.catchIf(attempt, isBusy, () => Effect.retry(Effect.delay(attempt, betweenAttempts), untilFree))
  }

  yield* Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => Effect.flatMap(driver.call("beat", epoch, now), checkFence)),
    Effect.retry({ while: (error) => error.isTransient, schedule: Schedule.spaced("100 millis"), times: 9 }),
    // A beat that fails for another reason says nothing new: the next write of the owner fails with it.
    Effect.ignore,
    Effect.repeat({ schedule: Schedule.spaced(heartbeat), until: () => Deferred.isDoneUnsafe(lost) }),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  yield* Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => driver.call("deleteAnswered", epoch, now - answerRetention)),
    Effect.tap(Effect.yieldNow),
    Effect.repeat({ while: (mayBeMore) => mayBeMore }),
    // What is left is deleted the next time.
    Effect.ignore,
    Effect.repeat({ schedule: Schedule.spaced(cleaning), until: () => Deferred.isDoneUnsafe(lost) }),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  return {
    epoch,
    lastKey: last.key,
    lastChange: last.change,
    lost: Deferred.await(lost),
    commit: (appends) => write((now) => driver.call("commit", epoch, appends, now), () => appends.some(isNews)),
    keepSignal: (signal, answer) =>
      write((now) => driver.call("keepSignal", epoch, signal, answer, now), () => answer !== undefined),
    answer: (answers) => write((now) => driver.call("answer", epoch, answers, now), () => answers.length > 0),
    earlySignals: Effect.flatMap(
      driver.call("earlySignals"),
      (rows): Effect.Effect<ReadonlyArray<EarlySignal>, SagaStoreError> => decodeSignals(store, rows)
    )
  } satisfies Ownership
})

const isNews = ({ answer, record }: Append): boolean =>
  answer !== undefined || (record !== undefined && isFinished(record.status))

/* Where it can't be written down that the store is free, the next owner finds out by the missing heartbeat. */
const release = (driver: Driver, epoch: number): Effect.Effect<void> =>
  Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => driver.call("release", epoch, now)),
    Effect.retry(whileLocked),
    Effect.ignore
  )

const whileLocked = {
  while: (error: SagaStoreError) => error.isTransient,
  schedule: Schedule.spaced("50 millis"),
  times: 20
}

const lostError = (store: string, row: OwnerRow): SagaStoreError =>
  new SagaStoreError({ reason: new OwnershipLost({ store, owner: nameOfOwner(row) }) })
