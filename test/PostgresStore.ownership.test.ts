import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Queue, Redacted, Schedule, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { fenceOf } from "../src/postgres/fence.ts"
import { query } from "./support/postgres/database.ts"
import * as Proxy from "./support/postgres/proxy.ts"
import { start } from "./support/postgres/server.ts"
import { forgetOwner, open, owned, type Place, place, rowsOf } from "./support/postgresStore.ts"
import { appended, inTime, keysOf, reasonOf, started } from "./support/storeValues.ts"
import { takeOvers } from "./support/takeOvers.ts"

const owner = { owner: "engine", standby: false }
const standby = { owner: "standby", standby: true }

const program = fileURLToPath(new URL("support/postgresProgram.ts", import.meta.url))

/** A process that owns the store and writes to it. It is killed with the scope. */
const writer = Effect.fnUntraced(function*({ schema, url }: Place) {
  const lines = yield* Queue.make<string>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-saga-source", program, schema], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, DATABASE_URL: Redacted.value(url) }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  createInterface({ input: child.stdout }).on("line", (line) => Queue.offerUnsafe(lines, line))
  return {
    pid: child.pid!,
    signal: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)),
    /** The next line of its own that starts with the word. */
    lineOf: (word: string) => Effect.repeat(Queue.take(lines), { until: (line) => line.startsWith(word) })
  }
})

/** A store with an owner that never beats, as `changes` to its row describe it. */
const orphan = Effect.fnUntraced(function*(changes: string) {
  const at = yield* place
  yield* Effect.scoped(Effect.flatMap(open(at), (store) => store.acquire({ ...owner, owner: "orphan" })))
  yield* query(at.url, `UPDATE ${at.schema}.owner SET released_at = NULL, ${changes}`)
  return at
})

const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const startedAt = performance.now()
    return Effect.map(self, (value) => [value, performance.now() - startedAt] as const)
  })

const now = "floor(extract(epoch FROM clock_timestamp()) * 1000)"

// Most of them wait for a lease to end.
describe.concurrent("ownership of a store in PostgreSQL", () => {
  it.live("is taken at once from a process that was killed, with all it had committed", () =>
    Effect.gen(function*() {
      const at = yield* place
      const child = yield* writer(at)
      yield* child.lineOf("committed 20")

      yield* child.signal("SIGKILL")
      const store = yield* open(at)
      const [{ commit, epoch, lastKey }, took] = yield* timed(store.acquire(owner))

      assert.isBelow(took, 3000)
      assert.strictEqual(epoch, 2)
      assert.isAtLeast(lastKey, 20)
      const all = yield* store.unfinished({ after: undefined, limit: lastKey })
      assert.deepStrictEqual(
        all.map(({ record }) => record.key),
        Array.from({ length: lastKey }, (_, index) => index + 1)
      )
      yield* commit([started(lastKey + 1)])
    }), 20_000)

  it.live(
    "is taken within 5 seconds from a process that was stopped, which can't write when it goes on",
    () =>
      Effect.gen(function*() {
        const at = yield* place
        const child = yield* writer(at)
        yield* child.lineOf("committed 5")
        const store = yield* open(at)
        const waiting = yield* Effect.forkChild(store.acquire(standby))
        yield* Effect.sleep("1 second")
        const isWaiting = waiting.pollUnsafe() === undefined

        yield* child.signal("SIGSTOP")
        const [{ commit, lastKey }, took] = yield* timed(Fiber.join(waiting))
        yield* commit([started(lastKey + 1)])
        yield* child.signal("SIGCONT")
        const failed = yield* child.lineOf("failed")

        assert.isTrue(isWaiting)
        assert.isAbove(took, 3000)
        assert.isBelow(took, 5000)
        assert.strictEqual(failed, "failed OwnershipLost")
        assert.strictEqual((yield* store.list({ limit: 1 }))[0]?.key, lastKey + 1)
      }),
    30_000
  )

  it.live("is not taken from a process that lives", () =>
    Effect.gen(function*() {
      const at = yield* place
      const child = yield* writer(at)
      yield* child.lineOf("committed")
      const store = yield* open(at)

      const reason = yield* reasonOf(store.acquire(owner))

      assert(reason._tag === "Owned")
      assert.include(reason.owner, `child (process ${child.pid} on `)
      assert.isBelow(Math.abs(reason.since - Date.now()), 30_000)
    }), 20_000)

  it.live("lets no stale owner append, whoever takes over and whenever", () =>
    Effect.gen(function*() {
      const at = yield* place

      const result = yield* takeOvers(at, 60)

      assert.deepStrictEqual(result.stale, [])
      assert.strictEqual(result.refused, 60)
      assert.isAbove(result.accepted, 60)
      assert.strictEqual(result.written, result.accepted)
    }), 60_000)

  it.effect("goes to one of several that wait", () =>
    Effect.gen(function*() {
      const at = yield* orphan("host = 'elsewhere', heartbeat_at = 0")
      const stores = yield* Effect.all([open(at), open(at), open(at)])

      const waiting = yield* Effect.forEach(stores, (store) => Effect.forkChild(store.acquire(standby)))
      const epoch = Effect.map(rowsOf(at, "epoch", "owner"), ([epoch]) => epoch)
      yield* TestClock.adjust("500 millis").pipe(
        // Signs of life are on their way in real time, which passes more slowly here.
        Effect.andThen(TestClock.withLive(Effect.sleep("30 millis"))),
        Effect.repeat({ times: 60 })
      )

      assert.strictEqual(waiting.filter((fiber) => fiber.pollUnsafe() !== undefined).length, 1)
      assert.strictEqual(yield* epoch, "2")
      yield* Effect.forEach(waiting, Fiber.interrupt)
    }), 20_000)

  it.live(
    "is taken within 5 seconds from an owner of which nothing is known but that it is silent",
    () =>
      Effect.gen(function*() {
        const unknown = [
          `host = 'elsewhere', heartbeat_at = ${now}`,
          // A process of that number does not exist here, but may in another container with the same host name.
          `process = 'boot/pid:[1] 77', pid = 99999999, heartbeat_at = ${now}`,
          // By a clock that was ahead.
          `host = 'elsewhere', heartbeat_at = ${now} + 3600000`
        ]
        yield* Effect.forEach(unknown, (changes) =>
          Effect.forEach([owner, standby], (options) =>
            Effect.gen(function*() {
              const store = yield* open(yield* orphan(changes))

              const [{ epoch }, took] = yield* timed(store.acquire(options))

              assert.strictEqual(epoch, 2)
              assert.isAbove(took, 3900)
              assert.isBelow(took, 5000)
            }), { concurrency: "unbounded" }), { concurrency: "unbounded" })
      }),
    20_000
  )

  it.live(
    "is taken within 2 seconds from an owner that had been silent for long before the first look",
    () =>
      Effect.gen(function*() {
        const at = yield* orphan("host = 'elsewhere', heartbeat_at = 0")
        const store = yield* open(at)
        // A server that was not there heard of nobody.
        yield* Effect.repeat(
          query<{ old: boolean }>(at.url, "SELECT clock_timestamp() - pg_postmaster_start_time() > '4 s' AS old"),
          { until: ([row]) => row!.old, schedule: Schedule.spaced("200 millis") }
        )

        const [{ epoch }, took] = yield* timed(store.acquire(owner))

        assert.strictEqual(epoch, 2)
        assert.isAbove(took, 1000)
        assert.isBelow(took, 2500)
      }),
    20_000
  )

  it.live("is taken at once from an earlier process that had the number of this one", () =>
    Effect.gen(function*() {
      const store = yield* open(yield* orphan(`process = split_part(process, ' ', 1) || ' 1', heartbeat_at = ${now}`))

      const [{ epoch }, took] = yield* timed(store.acquire(owner))

      assert.strictEqual(epoch, 2)
      assert.isBelow(took, 1000)
    }), 20_000)

  it.live(
    "stays with an owner that could not beat while the server was away, whoever looks before and after",
    () =>
      Effect.gen(function*() {
        const server = yield* start()
        const at = { url: server.url, schema: "sagas" }
        const proxy = yield* Proxy.open(at.url)
        const { commit, epoch } = yield* owned({ ...at, url: proxy.url })
        // As one in a process elsewhere, which can't be seen to live.
        yield* query(at.url, "UPDATE sagas.owner SET host = 'elsewhere'")
        const before = yield* Effect.forkChild(Effect.flatMap(open(at), (store) => store.acquire(standby)))
        yield* Effect.sleep("1 second")

        // No sign of life for 2.5 seconds, then no server for 2, and again no sign of life for 2.
        yield* proxy.cut({ refuse: true })
        yield* Effect.sleep("2.5 seconds")
        yield* server.restart({ pause: "2 seconds" })
        const after = yield* Effect.forkChild(reasonOf(Effect.flatMap(open(at), (store) => store.acquire(owner))))
        yield* Effect.sleep("2 seconds")
        yield* proxy.accept
        const reason = yield* Fiber.join(after)
        yield* commit([started(1)])

        assert.strictEqual(reason._tag, "Owned")
        assert.isUndefined(before.pollUnsafe())
        assert.deepStrictEqual(yield* rowsOf(at, "epoch", "owner"), [String(epoch)])
        yield* Fiber.interrupt(before)
      }),
    40_000
  )

  it.live("goes to another one only after what is being written is written", () =>
    Effect.gen(function*() {
      const at = yield* place
      const first = yield* owned(at)
      const second = yield* open(at)
      yield* query(
        at.url,
        `CREATE FUNCTION ${at.schema}.slow() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $$`
      )
      yield* query(
        at.url,
        `CREATE TRIGGER slow AFTER INSERT ON ${at.schema}.events EXECUTE FUNCTION ${at.schema}.slow()`
      )
      yield* forgetOwner(at)

      const writing = yield* Effect.forkChild(first.commit([started(1)]))
      yield* Effect.sleep("200 millis")
      const { lastKey } = yield* second.acquire(owner)

      yield* Fiber.join(writing)
      assert.strictEqual(lastKey, 1)
    }), 20_000)

  it.live("has gone to another one for a write that comes in the midst of that", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      const taking = yield* Effect.forkChild(query(
        at.url,
        `DO $$ BEGIN
          UPDATE ${at.schema}.owner SET epoch = epoch + 1, name = 'another';
          PERFORM pg_sleep(0.5);
        END $$`
      ))
      yield* Effect.sleep("200 millis")

      const reason = yield* reasonOf(commit([started(1)]))

      yield* Fiber.join(taking)
      assert(reason._tag === "OwnershipLost")
      assert.include(reason.owner, "another")
      assert.deepStrictEqual(yield* rowsOf(at, "key", "executions"), [])
    }), 20_000)

  it.live("stays with an owner whose commit takes longer than its lease", () =>
    Effect.gen(function*() {
      const at = yield* place
      const proxy = yield* Proxy.open(at.url)
      const { commit } = yield* owned({ ...at, url: proxy.url })
      yield* query(at.url, `UPDATE ${at.schema}.owner SET host = 'elsewhere'`)
      const waiting = yield* Effect.forkChild(Effect.flatMap(open(at), (store) => store.acquire(standby)))
      const { happened, release } = yield* proxy.holdReply("INSERT INTO")

      const writing = yield* Effect.forkChild(commit([started(1)]))
      yield* happened
      yield* Effect.sleep("6 seconds")
      const isWaiting = waiting.pollUnsafe() === undefined
      yield* release
      yield* Fiber.join(writing)

      assert.isTrue(isWaiting)
      yield* Fiber.interrupt(waiting)
    }), 30_000)

  it.live("stays with an owner that has to do with one connection", () =>
    Effect.gen(function*() {
      const at = yield* place
      const proxy = yield* Proxy.open(at.url)
      const { commit } = yield* owned({ ...at, url: proxy.url })
      yield* commit([started(1)])
      yield* query(at.url, `UPDATE ${at.schema}.owner SET host = 'elsewhere'`)
      const waiting = yield* Effect.forkChild(Effect.flatMap(open(at), (store) => store.acquire(standby)))

      // That of the signs of life is the first to be used, and nobody gets a new one.
      yield* proxy.cutBeforeRequest("heartbeat_at", { refuse: true })
      for (let sequence = 2; sequence < 60; sequence++) {
        yield* commit([appended(1, sequence)])
        yield* Effect.sleep("100 millis")
      }

      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(waiting)
    }), 30_000)

  it.live(
    "waits for a transaction that holds the owner's row, to take it and to give it back",
    () =>
      Effect.gen(function*() {
        const at = yield* place
        const store = yield* open(at)
        const scope = yield* Scope.make()
        yield* Scope.provide(store.acquire(owner), scope)
        const lock = (seconds: number) =>
          Effect.forkChild(query(
            at.url,
            `DO $$ BEGIN PERFORM FROM ${at.schema}.owner FOR KEY SHARE; PERFORM pg_sleep(${seconds}); END $$`
          ))

        const first = yield* lock(1)
        yield* Effect.sleep("200 millis")
        yield* Scope.close(scope, Exit.void)
        const [{ commit }, took] = yield* timed(store.acquire(owner))
        yield* Fiber.join(first)
        yield* commit([started(1)])

        assert.isAbove(took, 400)
        assert.deepStrictEqual(keysOf(yield* store.list()), [1])
      }),
    20_000
  )

  it.effect("is found lost by the heartbeat where nothing is written", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [first, second] = [yield* open(at), yield* open(at)]
      const { lost } = yield* first.acquire(owner)
      const watch = yield* Effect.forkChild(reasonOf(lost))
      yield* forgetOwner(at)
      yield* second.acquire(standby)

      const reason = yield* inTime(watch)

      assert(reason._tag === "OwnershipLost")
      assert.include(reason.message, "standby")
    }))

  it.live("can be proven in a transaction", () =>
    Effect.gen(function*() {
      const at = yield* place
      const first = yield* Effect.scoped(owned(at))
      const second = yield* owned(at)
      const copied: SagaStore.Ownership = { ...second }

      const fence = fenceOf(copied)

      const [store] = yield* rowsOf(at, "store", "owner")
      assert.deepStrictEqual(fence, { schema: at.schema, epoch: 2, store: store! })
      assert.deepStrictEqual(fenceOf(first), { ...fence!, epoch: 1 })
      const memory = Context.get(yield* Layer.build(SagaStore.layerMemory), SagaStore.SagaStore)
      assert.isUndefined(fenceOf(yield* memory.acquire(owner)))
    }))
})
