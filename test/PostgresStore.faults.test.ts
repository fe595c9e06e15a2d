import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Random } from "effect"
import type { SagaStore } from "effect-saga"
import { query } from "./support/postgres/database.ts"
import * as Proxy from "./support/postgres/proxy.ts"
import { start } from "./support/postgres/server.ts"
import { failNext, open, owned, place, rowsOf } from "./support/postgresStore.ts"
import { appended, reasonOf, recordOf, request, signal, started } from "./support/storeValues.ts"

/** A store behind a proxy: its own way to the server, and that of the test. */
const proxied = Effect.gen(function*() {
  const direct = yield* place
  const proxy = yield* Proxy.open(direct.url)
  return { direct, proxy, options: { ...direct, url: proxy.url } }
})

/** The three places in which a connection can be lost while a statement is under way. */
const cuts = ["cutBeforeRequest", "cutAfterRequest", "cutBeforeReply"] as const

const keysOf = (records: ReadonlyArray<SagaStore.ExecutionRecord>) => records.map(({ key }) => key)

describe("a store in PostgreSQL whose connection is lost", () => {
  for (const cut of cuts) {
    it.live(`commits once (${cut})`, () =>
      Effect.gen(function*() {
        const { direct, options, proxy } = yield* proxied
        const { answer: _, commit, store } = yield* owned(options)
        yield* store.ask([request("a", "Trip/2"), request("b", "Trip/3")])
        yield* commit([started(1)])
        const { happened } = yield* proxy[cut]("INSERT INTO")

        yield* commit([
          { ...started(2), answer: { request: "a", answer: "{}" } },
          { ...appended(1, 2), record: recordOf(1, { status: "Completed", updatedAt: 2000 }) },
          { ...started(3), answer: { request: "b", answer: undefined } }
        ])

        yield* happened
        assert.deepStrictEqual(yield* rowsOf(direct, "execution, seq", "events"), ["1 1", "1 2", "2 1", "3 1"])
        assert.deepStrictEqual(yield* rowsOf(direct, "key, status", "executions"), [
          "1 Completed",
          "2 Running",
          "3 Running"
        ])
        assert.deepStrictEqual(yield* rowsOf(direct, "id, answer", "requests"), ["a {}"])
        yield* commit([appended(2, 2)])
      }), 20_000)

    it.live(`keeps a signal, asks, answers and prunes once (${cut})`, () =>
      Effect.gen(function*() {
        const { direct, options, proxy } = yield* proxied
        const { answer, commit, keepSignal, store } = yield* owned(options)
        yield* commit([started(1, { status: "Completed" }), started(2, { status: "Failed" }), started(3)])

        yield* proxy[cut]("INSERT INTO")
        yield* store.ask([request("a", "Trip/2"), request("b", "Trip/2"), request("c", "Trip/2")])
        yield* proxy[cut]("INSERT INTO")
        yield* keepSignal(signal("Trip/4", "1"), { request: "a", answer: "1" })
        yield* proxy[cut]("FOR KEY SHARE")
        yield* answer([{ request: "b", answer: undefined }, { request: "c", answer: "3" }])
        yield* proxy[cut]("DELETE FROM")
        const pruned = yield* store.prune({ finishedBefore: 10_000 })

        assert.strictEqual(pruned, 2)
        assert.deepStrictEqual(yield* rowsOf(direct, "execution, event", "early_signals"), ["Trip/4 1"])
        assert.deepStrictEqual(yield* rowsOf(direct, "id, answer", "requests"), ["a 1", "c 3"])
        assert.deepStrictEqual(yield* rowsOf(direct, "execution", "events"), ["3"])
      }), 20_000)

    it.live(`is taken over once, and given back (${cut})`, () =>
      Effect.gen(function*() {
        const { direct, options, proxy } = yield* proxied
        const store = yield* open(options)
        yield* proxy[cut]("SET epoch")
        yield* proxy[cut]("SET beats")

        yield* Effect.scoped(Effect.gen(function*() {
          const { commit, epoch } = yield* store.acquire({ owner: "engine", standby: false })
          assert.strictEqual(epoch, 1)
          yield* commit([started(1)])
          yield* proxy[cut]("released_at =")
        }))

        assert.deepStrictEqual(yield* rowsOf(direct, "epoch, released_at IS NULL", "owner"), ["1 f"])
      }), 20_000)

    it.live(`reads (${cut})`, () =>
      Effect.gen(function*() {
        const { options, proxy } = yield* proxied
        const { commit, store } = yield* owned(options)
        yield* commit([started(1)])

        const results: Array<number> = []
        for (
          const [statement, read] of [
            [/id = \$1/, Effect.map(store.find("Trip/1"), (found) => found!.events.length)],
            ["RECURSIVE", Effect.map(store.unfinished({ after: undefined, limit: 9 }), ({ length }) => length)],
            ["key DESC", Effect.map(store.list(), ({ length }) => length)]
          ] as const
        ) {
          const { happened } = yield* proxy[cut](statement)
          results.push(yield* read)
          yield* happened
        }

        assert.deepStrictEqual(results, [1, 1, 1])
      }), 20_000)
  }

  it.live("loses nothing and doubles nothing of many commits, wherever it is cut", () =>
    Effect.gen(function*() {
      const { direct, options, proxy } = yield* proxied
      const { commit, epoch } = yield* owned(options)
      yield* commit([started(1)])
      const chaos = yield* Effect.forkChild(Effect.forever(Effect.gen(function*() {
        const bytes = yield* Random.nextIntBetween(500, 8000)
        const { happened } = yield* proxy.cutAfterBytes(bytes)
        yield* Effect.timeoutOption(happened, "50 millis")
      })))

      for (let sequence = 2; sequence <= 100; sequence++) yield* commit([appended(1, sequence), started(sequence)])
      yield* Fiber.interrupt(chaos)

      const events = yield* rowsOf(direct, "seq", "events WHERE execution = 1")
      assert.deepStrictEqual(events, Array.from({ length: 100 }, (_, index) => String(index + 1)))
      assert.lengthOf(yield* rowsOf(direct, "key", "executions"), 100)
      assert.deepStrictEqual(yield* rowsOf(direct, "epoch", "owner"), [String(epoch)])
    }), 60_000)

  it.live("writes nothing that arrives late", () =>
    Effect.gen(function*() {
      const { direct, options, proxy } = yield* proxied
      const { commit } = yield* owned(options)
      yield* commit([started(1)])
      const late = yield* proxy.holdRequest("UPDATE")

      // Without events nothing but the term tells the two apart.
      const change = (reason: string): SagaStore.Append => ({
        key: 1,
        record: recordOf(1, { reason }),
        firstSequence: 2,
        events: []
      })
      const first = yield* Effect.forkChild(commit([change("early")]))
      yield* late.happened
      yield* proxy.cut()
      yield* Fiber.join(first)
      yield* commit([change("later")])
      yield* late.release
      yield* Effect.sleep("300 millis")

      assert.deepStrictEqual(yield* rowsOf(direct, "reason", "executions"), ["later"])
    }), 20_000)

  it.live("waits for a commit that is still under way on the server", () =>
    Effect.gen(function*() {
      const { direct, options, proxy } = yield* proxied
      const { commit } = yield* owned(options)
      yield* commit([started(1)])
      yield* query(
        direct.url,
        `CREATE FUNCTION ${direct.schema}.slow() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$`
      )
      yield* query(
        direct.url,
        `CREATE TRIGGER slow AFTER INSERT ON ${direct.schema}.events EXECUTE FUNCTION ${direct.schema}.slow()`
      )
      yield* proxy.cutAfterRequest("INSERT INTO", { unnoticed: true })

      yield* commit([appended(1, 2), started(2)])

      assert.deepStrictEqual(yield* rowsOf(direct, "execution, seq", "events"), ["1 1", "1 2", "2 1"])
    }), 20_000)

  it.live(
    "says that it can't be reached where a commit may have been written, and finds out when it is written again",
    () =>
      Effect.gen(function*() {
        const { direct, options, proxy } = yield* proxied
        const { commit } = yield* owned({ ...options, retryFor: "300 millis" })
        yield* commit([started(1)])
        const { happened } = yield* proxy.cutBeforeReply("INSERT INTO", { refuse: true })

        const reason = yield* reasonOf(commit([appended(1, 2), started(2), started(3)]))
        yield* happened
        const written = yield* rowsOf(direct, "execution, seq", "events")
        yield* proxy.accept
        yield* commit([appended(1, 2), started(2), started(3)])
        yield* commit([started(4)])

        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "can't be reached")
        assert.deepStrictEqual(written, ["1 1", "1 2", "2 1", "3 1"])
        assert.deepStrictEqual(yield* rowsOf(direct, "execution, seq", "events"), [
          "1 1",
          "1 2",
          "2 1",
          "3 1",
          "4 1"
        ])
        assert.lengthOf(yield* rowsOf(direct, "key, id", "executions"), 4)
      }),
    20_000
  )

  it.live(
    "says that it can't be reached where a commit may have been written, whatever else has come after that",
    () =>
      Effect.gen(function*() {
        const { direct, options, proxy } = yield* proxied
        const { commit } = yield* owned({ ...options, retryFor: "1 second" })
        const { happened } = yield* proxy.cutBeforeReply("INSERT INTO", { refuse: true })

        const writing = yield* Effect.forkChild(reasonOf(commit([started(1)])))
        yield* happened
        const locking = yield* Effect.forkChild(query(
          direct.url,
          `DO $$ BEGIN LOCK TABLE ${direct.schema}.events; PERFORM pg_sleep(2.5); END $$`
        ))
        yield* Effect.sleep("200 millis")
        yield* proxy.accept
        const reason = yield* Fiber.join(writing)
        yield* Fiber.join(locking)
        yield* commit([started(1)])

        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "can't be reached")
        assert.deepStrictEqual(yield* rowsOf(direct, "key", "executions"), ["1"])
      }),
    20_000
  )

  it.live("fails when the server does not answer, and goes on when it does", () =>
    Effect.gen(function*() {
      const { direct, options, proxy } = yield* proxied
      const { commit, store } = yield* owned({ ...options, retryFor: "100 millis" })
      yield* commit([started(1)])

      yield* proxy.freeze
      const [reading, writing] = yield* Effect.all([reasonOf(store.list()), reasonOf(commit([appended(1, 2)]))], {
        concurrency: "unbounded"
      })
      yield* proxy.thaw
      yield* commit([appended(1, 2)])

      for (const reason of [reading, writing]) {
        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "can't be reached")
      }
      assert.deepStrictEqual(yield* rowsOf(direct, "seq", "events"), ["1", "2"])
    }), 30_000)

  it.live("writes what an interrupted caller had it write, wholly", () =>
    Effect.gen(function*() {
      const { direct, options, proxy } = yield* proxied
      const { commit } = yield* owned(options)
      const { happened, release } = yield* proxy.holdReply("INSERT INTO")

      const writing = yield* Effect.forkChild(commit([started(1), started(2)]))
      yield* happened
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(writing))
      yield* Effect.sleep("50 millis")
      const isWaiting = interrupting.pollUnsafe() === undefined
      yield* release
      yield* Fiber.join(interrupting)
      yield* commit([started(3)])

      assert.isTrue(isWaiting)
      assert.deepStrictEqual(yield* rowsOf(direct, "key", "executions"), ["1", "2", "3"])
    }), 20_000)
})

describe("a store in PostgreSQL whose server", () => {
  for (const by of ["stop", "kill"] as const) {
    it.live(`is away for a moment (${by}) has nobody notice`, () =>
      Effect.gen(function*() {
        const server = yield* start()
        const options = { url: server.url, schema: "sagas" }
        const { commit, epoch, store } = yield* owned(options)
        const other = yield* open(options)
        let isOver = false
        const working = yield* Effect.forkChild(Effect.gen(function*() {
          for (let key = 1;; key++) {
            yield* commit([started(key)])
            yield* other.ask([request(String(key), "Trip/1")])
            assert.strictEqual((yield* store.find(`Trip/${key}`))?.events.length, 1)
            if (isOver) return key
          }
        }))

        for (const pause of [0, 300, 1500]) {
          yield* Effect.sleep("100 millis")
          yield* server.restart({ by, pause })
        }
        isOver = true
        const count = yield* Fiber.join(working)

        const keys = Array.from({ length: count }, (_, index) => count - index)
        assert.deepStrictEqual(keysOf(yield* store.list({ limit: 10_000 })), keys)
        assert.lengthOf(yield* store.requests(), count)
        assert.deepStrictEqual(yield* rowsOf(options, "epoch", "owner"), [String(epoch)])
      }), 60_000)
  }

  it.live("ends statements for deadlocks and conflicts has nobody notice", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* commit([started(1)])
      yield* failNext(at, "events", "40P01", "40001", "55P03", "57014", "53200", "53300", "57P01")

      yield* commit([appended(1, 2), started(2)])

      assert.deepStrictEqual(yield* rowsOf(at, "execution, seq", "events"), ["1 1", "1 2", "2 1"])
    }), 20_000)

  it.live("finds a real deadlock has nobody notice", () =>
    Effect.gen(function*() {
      const server = yield* start({ settings: { deadlock_timeout: "500ms" } })
      const at = { url: server.url, schema: "sagas" }
      const { commit } = yield* owned(at)
      yield* commit([started(1)])

      // This session takes the two rows in the other order.
      const other = yield* Effect.forkChild(query(
        at.url,
        `DO $$ BEGIN
          SET LOCAL deadlock_timeout = '1min';
          PERFORM FROM sagas.executions WHERE key = 1 FOR UPDATE;
          PERFORM pg_sleep(0.4);
          PERFORM FROM sagas.owner FOR UPDATE;
        END $$`
      ))
      yield* Effect.sleep("150 millis")
      yield* commit([{ ...appended(1, 2), record: recordOf(1, { status: "Completed" }) }])
      yield* Fiber.join(other)

      assert.include(yield* server.log, "deadlock detected")
      assert.deepStrictEqual(yield* rowsOf(at, "seq", "events"), ["1", "2"])
    }), 20_000)

  it.live(
    "has a table locked for longer says that it is busy, and writes when it is free",
    () =>
      Effect.gen(function*() {
        const at = yield* place
        const { commit } = yield* owned({ ...at, retryFor: "200 millis" })
        const locking = yield* Effect.forkChild(query(
          at.url,
          `DO $$ BEGIN LOCK TABLE ${at.schema}.events; PERFORM pg_sleep(2.5); END $$`
        ))
        yield* Effect.sleep("100 millis")

        const reason = yield* reasonOf(commit([started(1)]))
        yield* Fiber.join(locking)
        yield* commit([started(1)])

        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "busy")
        assert.deepStrictEqual(yield* rowsOf(at, "key", "executions"), ["1"])
      }),
    20_000
  )

  it.live("has no room or a broken disk says so, and writes when that is over", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* failNext(at, "events", "53100", "25006", "58030", "XX000")

      const reasons = yield* Effect.all(Array.from({ length: 4 }, () => Effect.flip(commit([started(1)]))))
      yield* commit([started(1)])

      assert.deepStrictEqual(
        reasons.map(({ isTransient, reason }) => [isTransient, reason._tag === "Unavailable" && reason.problem]),
        [[true, "full"], [true, "read-only"], [true, "input-output"], [true, "input-output"]]
      )
      assert.deepStrictEqual(yield* rowsOf(at, "key", "executions"), ["1"])
    }), 20_000)

  it.live("fails for a reason that means nothing here is a defect", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* failNext(at, "events", "P0001")

      const exit = yield* Effect.exit(commit([started(1)]))

      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      yield* commit([started(1)])
    }), 20_000)

  it.live("has no connection left lets the owner go on, and others wait", () =>
    Effect.gen(function*() {
      const server = yield* start({
        settings: { max_connections: "12", superuser_reserved_connections: "0", reserved_connections: "0" }
      })
      const at = { url: server.url, schema: "sagas" }
      const { commit, store } = yield* owned(at)
      yield* commit([started(1)])
      const others = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
        yield* Effect.forEach(
          Array.from({ length: 20 }),
          () => Effect.exit(Effect.forkScoped(query(at.url, "SELECT pg_sleep(2)"))),
          { concurrency: "unbounded" }
        )
        yield* Effect.sleep("2 seconds")
      })))
      yield* Effect.sleep("500 millis")

      const refused = yield* reasonOf(Effect.scoped(open({ ...at, retryFor: "100 millis" })))
      for (let sequence = 2; sequence < 50; sequence++) yield* commit([appended(1, sequence)])
      const isStillFull = others.pollUnsafe() === undefined
      const listed = yield* Effect.all(Array.from({ length: 10 }, () => store.list()), { concurrency: "unbounded" })
      yield* Effect.scoped(open(at))

      assert(refused._tag === "Unavailable")
      assert.strictEqual(refused.problem, "can't be reached")
      assert.isTrue(isStillFull)
      assert.isTrue(listed.every(({ length }) => length === 1))
      yield* Fiber.join(others)
    }), 30_000)
})

describe("a store in PostgreSQL whose tables", () => {
  it.live("are missing or damaged is corrupt, and names them", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit, store } = yield* owned(at)
      yield* commit([started(1), appended(1, 2)])
      const damaged = (sql: string) => query(at.url, sql.replaceAll("@", at.schema))
      const details: Array<string> = []
      const expectCorrupt = <A>(self: Effect.Effect<A, SagaStore.SagaStoreError>) =>
        Effect.map(reasonOf(self), (reason) => {
          assert.strictEqual(reason._tag, "Corrupt", reason.message)
          details.push(reason.message)
        })

      yield* damaged("UPDATE @.executions SET status = 'Lost'")
      yield* expectCorrupt(store.find("Trip/1"))
      yield* damaged("UPDATE @.executions SET status = 'Running', updated_at = 9223372036854775807")
      yield* expectCorrupt(store.list())
      yield* damaged("UPDATE @.executions SET updated_at = 1")
      yield* damaged("DELETE FROM @.events WHERE seq = 1")
      yield* expectCorrupt(store.find("Trip/1"))
      yield* expectCorrupt(store.unfinished({ after: undefined, limit: 10 }))
      yield* damaged("DROP TABLE @.events CASCADE")
      yield* expectCorrupt(commit([appended(1, 3)]))
      yield* damaged("ALTER TABLE @.executions DROP COLUMN parent")
      yield* expectCorrupt(store.list())
      yield* damaged("DROP TABLE @.executions CASCADE")
      yield* expectCorrupt(store.list())
      yield* damaged("DELETE FROM @.owner")
      yield* expectCorrupt(commit([]))

      const names = ["status", "updatedAt", "event 1", "event 1", "events", "parent", "executions", "owner"]
      for (const [index, name] of names.entries()) assert.include(details[index], name)
      assert.lengthOf(details, names.length)
    }), 20_000)

  it.live("lack the row of an execution that runs refuses what changes it", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* commit([started(1), started(2)])
      yield* query(at.url, `DELETE FROM ${at.schema}.executions WHERE key = 1`)

      const reason = yield* reasonOf(commit([
        { ...appended(2, 2), record: recordOf(2, { status: "Completed" }) },
        { ...appended(1, 2), record: recordOf(1, { status: "Completed" }) }
      ]))

      assert.strictEqual(reason._tag, "Corrupt")
      assert.deepStrictEqual(yield* rowsOf(at, "execution, seq", "events"), ["1 1", "2 1"])
    }), 20_000)
})
