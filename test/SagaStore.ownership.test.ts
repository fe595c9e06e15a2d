import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { DatabaseSync } from "node:sqlite"
import { execute, file, forgetOwner } from "./support/sqliteFile.ts"
import { numberIn, start } from "./support/storeProcess.ts"
import { appended, keysOf, reasonOf, started } from "./support/storeValues.ts"

/** Opens the file until the scope closes. */
const open = (filename: string) =>
  Effect.map(Layer.build(SagaStore.layerSqlite({ filename })), Context.get(SagaStore.SagaStore))

const owner = { owner: "engine", standby: false }
const standby = { owner: "standby", standby: true }

/** A file with an owner whose process never beats, as `changes` to its row describe it. */
const orphan = Effect.fnUntraced(function*(changes: string) {
  const filename = yield* file
  yield* Effect.scoped(Effect.flatMap(open(filename), (store) => store.acquire({ ...owner, owner: "orphan" })))
  yield* execute(filename, `UPDATE owner SET released_at = NULL, ${changes}`)
  return filename
})

/**
 * Stops a process between two commits: in the middle of one it would hold the lock, and nobody could write before it goes
 * on.
 */
const stop = Effect.fnUntraced(function*(child: Effect.Success<ReturnType<typeof start>>, filename: string) {
  const isLocked = Effect.map(Effect.exit(execute(filename, "BEGIN IMMEDIATE; ROLLBACK")), Exit.isFailure)
  yield* child.signal("SIGSTOP")
  yield* Effect.sleep("50 millis")
  while (yield* isLocked) {
    yield* child.signal("SIGCONT")
    yield* Effect.sleep("3 millis")
    yield* child.signal("SIGSTOP")
    yield* Effect.sleep("50 millis")
  }
})

describe("ownership of a SQLite file", () => {
  it.live("is taken at once from a process that was killed, with all it had committed", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const child = yield* start("write", filename)
      const first = yield* child.lineOf("committed")
      yield* Effect.sleep("100 millis")

      yield* child.signal("SIGKILL")
      yield* child.ended
      const committed = [first, ...(yield* child.rest).filter((line) => line.startsWith("committed"))]
      const store = yield* open(filename)
      const startedAt = performance.now()
      const { commit, epoch, lastKey } = yield* store.acquire(owner)
      const took = performance.now() - startedAt

      // Well before its lease ends.
      assert.isBelow(took, 3000)
      assert.strictEqual(epoch, 2)
      // The last one may have been committed and not printed any more.
      assert.include([numberIn(committed.at(-1)!), numberIn(committed.at(-1)!) + 1], lastKey)
      const all = yield* store.unfinished({ after: undefined, limit: lastKey })
      assert.deepStrictEqual(all.map((one) => one.record.key), Array.from({ length: lastKey }, (_, index) => index + 1))
      yield* commit([started(lastKey + 1)])
    }), 20_000)

  it.effect(
    "is taken from a process that was stopped, which can't append when it goes on",
    () =>
      Effect.gen(function*() {
        const filename = yield* file
        const child = yield* start("write", filename)
        yield* child.lineOf("committed")
        const store = yield* open(filename)
        yield* TestClock.withLive(stop(child, filename))

        const waiting = yield* Effect.forkChild(store.acquire(standby))
        yield* TestClock.adjust("3 seconds")
        const isWaiting = waiting.pollUnsafe() === undefined
        yield* TestClock.adjust("2 seconds")
        const { commit, lastKey } = yield* Fiber.join(waiting)
        yield* child.signal("SIGCONT")
        const failed = yield* child.lineOf("failed")

        assert.isTrue(isWaiting)
        assert.strictEqual(failed, "failed OwnershipLost")
        assert.strictEqual((yield* store.list({ limit: 1 }))[0]?.key, lastKey)
        yield* commit([started(lastKey + 1)])
        assert.strictEqual((yield* store.list({ limit: 1 }))[0]?.key, lastKey + 1)
      }),
    20_000
  )

  it.live("is not taken from a process that lives", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const child = yield* start("write", filename)
      yield* child.lineOf("committed")
      const store = yield* open(filename)

      const reason = yield* reasonOf(store.acquire(owner))

      assert(reason._tag === "Owned")
      assert.include(reason.owner, `child (process ${child.pid} on `)
      assert.strictEqual(Math.abs(reason.since - Date.now()) < 30_000, true)
      yield* child.rest
      yield* child.lineOf("committed")
    }), 20_000)

  it.effect("excludes two engines in one process", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const [one, other] = [yield* open(filename), yield* open(filename)]
      const { commit } = yield* one.acquire(owner)

      const refused = yield* Effect.forkChild(reasonOf(other.acquire(owner)))
      yield* TestClock.adjust("2 seconds")

      assert.strictEqual((yield* Fiber.join(refused))._tag, "Owned")
      yield* commit([started(1)])
      assert.deepStrictEqual(keysOf(yield* other.list()), [1])
    }))

  it.effect("goes to one of several that wait", () =>
    Effect.gen(function*() {
      const filename = yield* orphan("host = 'elsewhere', heartbeat_at = 0")
      const stores = yield* Effect.all([open(filename), open(filename), open(filename)])

      const waiting = yield* Effect.forEach(stores, (store) => Effect.forkChild(store.acquire(standby)))
      yield* TestClock.adjust("20 seconds")

      assert.strictEqual(waiting.filter((fiber) => fiber.pollUnsafe() !== undefined).length, 1)
      yield* Effect.forEach(waiting, Fiber.interrupt)
    }))

  it.effect("is taken within 5 seconds from an owner of which nothing is known but that it is silent", () =>
    Effect.gen(function*() {
      const unknown = [
        "host = 'elsewhere', heartbeat_at = ",
        // A process of that number does not exist here, but may in another container with the same host name.
        "process = 'boot/pid:[1] 77', pid = 99999999, heartbeat_at = ",
        "host = 'elsewhere', pid = 99999999, heartbeat_at = ",
        // By a clock that is ahead.
        "host = 'elsewhere', heartbeat_at = 9000000000000 + "
      ]
      for (const changes of unknown) {
        for (const options of [owner, standby]) {
          const now = yield* Clock.currentTimeMillis
          const store = yield* open(yield* orphan(`${changes}${now}`))

          const acquiring = yield* Effect.forkChild(store.acquire(options))
          yield* TestClock.adjust("3900 millis")
          const isWaiting = acquiring.pollUnsafe() === undefined
          yield* TestClock.adjust("1 second")

          assert.isTrue(isWaiting, changes)
          assert.isDefined(acquiring.pollUnsafe(), changes)
          yield* Fiber.join(acquiring)
        }
      }
    }))

  it.effect("is taken at once from an owner that had been silent for long before the first look", () =>
    Effect.gen(function*() {
      const filename = yield* orphan("host = 'elsewhere', heartbeat_at = -60000")
      const store = yield* open(filename)

      const { epoch } = yield* store.acquire(owner)

      assert.strictEqual(epoch, 2)
    }))

  it.effect("is taken at once from an earlier process that had the number of this one", () =>
    Effect.gen(function*() {
      const filename = yield* orphan("heartbeat_at = 0, process = substr(process, 1, instr(process, ' ')) || '1'")
      const store = yield* open(filename)

      const { epoch } = yield* store.acquire(owner)

      assert.strictEqual(epoch, 2)
    }))

  it.effect("stays with an owner that beats, although the clock of one that waits jumps ahead", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const [first, second] = [yield* open(filename), yield* open(filename)]
      const { commit } = yield* first.acquire(owner)
      const clock = yield* Clock.Clock
      let ahead = 0
      const jumping: Clock.Clock = {
        ...clock,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + ahead),
        sleep: (duration) => clock.sleep(duration)
      }
      const waiting = yield* Effect.forkChild(
        Effect.provideService(second.acquire(standby), Clock.Clock, jumping)
      )

      for (let round = 0; round < 10; round++) {
        yield* TestClock.adjust("2 seconds")
        ahead += round % 2 === 0 ? 3_600_000 : -7_200_000
      }

      yield* commit([started(1)])
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(waiting)
    }))

  it.effect("is found lost by the heartbeat where nothing is written", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const [first, second] = [yield* open(filename), yield* open(filename)]
      const { lost } = yield* first.acquire(owner)
      const watch = yield* Effect.forkChild(reasonOf(lost))
      yield* forgetOwner(filename)
      yield* second.acquire(standby)

      yield* TestClock.adjust("1 second")

      const reason = yield* Fiber.join(watch)
      assert(reason._tag === "OwnershipLost")
      assert.include(reason.message, "standby")
    }))

  it.effect("is kept over beats that could not be written for a while", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const [first, second] = [yield* open(filename), yield* open(filename)]
      const { commit } = yield* first.acquire(owner)
      const other = new DatabaseSync(filename)
      const waiting = yield* Effect.forkChild(second.acquire(standby))

      for (let round = 0; round < 4; round++) {
        other.exec("BEGIN IMMEDIATE")
        yield* TestClock.adjust("2500 millis")
        other.exec("ROLLBACK")
        yield* TestClock.adjust("1 second")
      }

      other.close()
      assert.isUndefined(waiting.pollUnsafe())
      yield* commit([started(1)])
      yield* Fiber.interrupt(waiting)
    }))

  it.effect("waits, while the file is locked, to take it and to give it back", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open(filename)
      const scope = yield* Scope.make()
      yield* Scope.provide(store.acquire(owner), scope)
      const other = new DatabaseSync(filename)

      other.exec("BEGIN IMMEDIATE")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("200 millis")
      const isClosing = closing.pollUnsafe() === undefined
      other.exec("ROLLBACK")
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      other.exec("BEGIN IMMEDIATE")
      const waiting = yield* Effect.forkChild(store.acquire(standby))
      yield* TestClock.adjust("1 second")
      const isWaiting = waiting.pollUnsafe() === undefined
      other.exec("ROLLBACK")
      yield* TestClock.adjust("1 second")
      const { commit } = yield* Fiber.join(waiting)

      other.close()
      assert.isTrue(isClosing)
      assert.isTrue(isWaiting)
      yield* commit([started(1)])
    }))

  it.effect("stays with an owner that beats just when another is about to take it", () =>
    Effect.gen(function*() {
      const filename = yield* orphan("host = 'elsewhere', heartbeat_at = -60000")
      const store = yield* open(filename)
      const beating = new DatabaseSync(filename)

      beating.exec("BEGIN IMMEDIATE; UPDATE owner SET beats = beats + 1, heartbeat_at = 0")
      const acquiring = yield* Effect.forkChild(reasonOf(store.acquire(owner)))
      yield* TestClock.adjust("100 millis")
      beating.exec("COMMIT")
      yield* TestClock.adjust("500 millis")

      beating.close()
      assert.strictEqual((yield* Fiber.join(acquiring))._tag, "Owned")
    }))

  it.effect("brings the early signals that others have kept meanwhile", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const [one, other] = [yield* open(filename), yield* open(filename)]
      yield* Effect.scoped(Effect.flatMap(one.acquire(owner), ({ commit }) => commit([started(1)])))
      const signal = { execution: "Trip/2", event: "{}" }
      yield* Effect.scoped(Effect.flatMap(other.acquire(owner), ({ keepSignal }) => keepSignal(signal)))

      const { commit, earlySignals } = yield* one.acquire(owner)

      assert.deepStrictEqual(yield* earlySignals, [signal])
      yield* commit([started(2)])
      assert.deepStrictEqual(yield* earlySignals, [])
    }))

  it.effect("checks the epoch in the transaction that appends", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open(filename)
      const { commit } = yield* store.acquire(owner)
      yield* commit([started(1)])
      yield* execute(filename, "UPDATE owner SET epoch = epoch + 1, name = 'another'")

      const reason = yield* reasonOf(commit([appended(1, 2), started(2)]))

      assert(reason._tag === "OwnershipLost")
      assert.deepStrictEqual((yield* store.find("Trip/1"))?.events.length, 1)
      assert.deepStrictEqual(keysOf(yield* store.list()), [1])
    }))
})
