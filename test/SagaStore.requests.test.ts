import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Driver } from "../src/sqlite/driver.ts"
import * as News from "../src/sqlite/news.ts"
import { execute, file, open } from "./support/sqliteFile.ts"
import { numberIn, start } from "./support/storeProcess.ts"
import { inTime, reasonOf, request } from "./support/storeValues.ts"

/** What has rung until now. */
const ringsOf = Effect.fnUntraced(function*(rings: Stream.Stream<void>) {
  let count = 0
  yield* Effect.forkScoped(Stream.runForEach(rings, () =>
    Effect.sync(() => {
      count += 1
    })))
  return Effect.sync(() => count)
})

/** What listeners hear of a file whose versions are, look by look, as given, and the last one from then on. */
const newsOf = (...versions: ReadonlyArray<number | "fails">) => {
  let look = 0
  const version = Effect.suspend(() => {
    const version = versions[Math.min(look++, versions.length - 1)]!
    if (version !== "fails") return Effect.succeed(version)
    const reason = new SagaStore.Unavailable({ store: "the file", problem: "input-output", cause: undefined })
    return Effect.fail(new SagaStore.SagaStoreError({ reason }))
  })
  // It is asked for nothing but the version.
  const call = (() => version) as Driver["call"]
  return Effect.map(News.make({ call }), (bells) => ({ ...bells, looks: Effect.sync(() => look) }))
}

describe("requests in a SQLite file", () => {
  describe.each(["main", "worker"] as const)("where the database has the thread: %s", (thread) => {
    it.live(
      "are seen by the owner in another process within a second, and so is its answer",
      () =>
        Effect.gen(function*() {
          const filename = yield* file
          const owner = yield* start("answer", filename, { thread })
          yield* owner.lineOf("owner")

          const client = yield* start("ask", filename, { thread })
          const asked = yield* client.lineOf("asked")
          const seen = yield* owner.lineOf("seen")
          const answered = yield* client.lineOf("answered")
          yield* client.ended

          assert.include(answered, request("a", "Trip/1").request)
          assert.isAtMost(numberIn(seen) - numberIn(asked), 1000)
          assert.isAtMost(numberIn(answered) - numberIn(seen), 1000)
        }),
      30_000
    )

    it.live("wait for an owner that starts later", () =>
      Effect.gen(function*() {
        const filename = yield* file
        const client = yield* start("ask", filename, { thread })
        yield* client.lineOf("asked")

        const owner = yield* start("answer", filename, { thread })
        yield* owner.lineOf("seen")
        const answered = yield* client.lineOf("answered")

        assert.include(answered, request("a", "Trip/1").request)
      }), 30_000)

    it.live("are all there after the process that had asked was killed", () =>
      Effect.gen(function*() {
        const filename = yield* file
        const client = yield* start("askOn", filename, { thread })
        const first = yield* client.lineOf("asked")
        yield* Effect.sleep("100 millis")

        yield* client.signal("SIGKILL")
        yield* client.ended
        const lines = [first, ...(yield* client.rest).filter((line) => line.startsWith("asked"))]
        const store = yield* open({ filename })
        const requests = yield* store.requests()

        // The last one may have been written and not printed any more.
        const last = numberIn(lines.at(-1)!)
        assert.include([last, last + 1], requests.length)
        assert.deepStrictEqual(requests, requests.map((_, index) => request(`r${index + 1}`, "Trip/1")))
      }), 30_000)

    it.live("are looked for by nobody when nobody listens any more", () =>
      Effect.gen(function*() {
        const filename = yield* file

        const child = yield* start("listen", filename, { thread })

        assert.strictEqual(yield* child.line, "listened")
        // It does not close the file, and ends because nothing is left to do.
        yield* child.ended
      }), 30_000)

    it.effect("ring now and then, for an owner that could not read them", () =>
      Effect.gen(function*() {
        const store = yield* open({ filename: yield* file, worker: thread === "worker" })
        const ear = yield* Effect.forkScoped(Stream.runDrain(Stream.take(store.requested, 3)))

        yield* inTime(ear)
      }))
  })

  it.effect("are found corrupt where their index is missing", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      yield* store.ask([request("a", "Trip/1")])

      yield* execute(filename, "DROP INDEX requests_unanswered")
      const reason = yield* reasonOf(store.requests())

      assert.strictEqual(reason._tag, "Corrupt")
    }))

  it.effect("are read with those that are left where old answers are deleted in parts", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      const { answer } = yield* store.acquire({ owner: "engine", standby: false })
      const ids = Array.from({ length: 1700 }, (_, index) => `r${index}`)
      yield* store.ask(ids.map((id) => request(id, "Trip/1")))
      yield* answer(ids.slice(0, 1600).map((id) => ({ request: id, answer: "{}" })))

      yield* TestClock.adjust("11 minutes")

      assert.deepStrictEqual(yield* store.answers(ids), [])
      assert.deepStrictEqual(yield* store.requests(), ids.slice(1600).map((id) => request(id, "Trip/1")))
    }))
})

describe("whoever listens to a SQLite file", () => {
  it.effect("is woken within 100 milliseconds when another connection has written", () =>
    Effect.gen(function*() {
      const { news, requested } = yield* newsOf(1, 2)
      const counts = yield* Effect.all([ringsOf(news.rings), ringsOf(requested.rings)])
      yield* TestClock.adjust("99 millis")
      const before = yield* Effect.all(counts)

      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(before, [1, 1])
      assert.deepStrictEqual(yield* Effect.all(counts), [2, 2])
    }))

  it.effect("is woken by the next look where one has failed", () =>
    Effect.gen(function*() {
      const { news } = yield* newsOf(1, 1, "fails", "fails", 2)
      const count = yield* ringsOf(news.rings)
      yield* TestClock.adjust("300 millis")
      const before = yield* count

      yield* TestClock.adjust("100 millis")

      assert.deepStrictEqual([before, yield* count], [1, 2])
    }))

  it.effect("is woken by the first look where the file could not be read before", () =>
    Effect.gen(function*() {
      const { news } = yield* newsOf("fails", 1)
      const count = yield* ringsOf(news.rings)

      yield* TestClock.adjust("1 second")

      assert.strictEqual(yield* count, 2)
    }))

  it.effect("is not woken where nothing is written, and an owner every five seconds", () =>
    Effect.gen(function*() {
      const { news, requested } = yield* newsOf(1)
      const counts = yield* Effect.all([ringsOf(news.rings), ringsOf(requested.rings)])

      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(yield* Effect.all(counts), [1, 13])
    }))

  it.effect("shares its looks with others, and there are none while nobody listens", () =>
    Effect.gen(function*() {
      const { looks, news, requested } = yield* newsOf(1)
      yield* TestClock.adjust("1 minute")
      const before = yield* looks
      const listening = yield* Effect.forEach([news, news, requested, requested], (bell) =>
        Effect.forkChild(Stream.runDrain(bell.rings)))
      yield* TestClock.adjust("1 second")
      const during = yield* looks
      yield* Effect.forEach(listening, Fiber.interrupt)
      yield* TestClock.adjust("1 minute")

      assert.strictEqual(before, 1)
      assert.strictEqual(during - before, 10)
      // The pause before it may have begun.
      assert.isAtMost((yield* looks) - during, 1)
    }))

  it.effect("is told what was written while nobody listened", () =>
    Effect.gen(function*() {
      const { news } = yield* newsOf(1, 2)
      yield* TestClock.adjust("1 minute")

      const count = yield* ringsOf(news.rings)
      yield* TestClock.adjust("100 millis")

      assert.strictEqual(yield* count, 2)
    }))
})
