import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Latch, type Layer, type Scope, Stream } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { acquire, appended, OpenAgain, recordOf, request, signal, started, TakeOver } from "./storeValues.ts"

const live = TestClock.withLive(Effect.sleep("2 millis"))

/** Counts the rings of a stream until the scope closes, and handles each before it takes the next. */
const listen = Effect.fnUntraced(function*(rings: Stream.Stream<void>, handle: Effect.Effect<void> = Effect.void) {
  let count = 0
  let seen = 0
  yield* Effect.forkScoped(Stream.runForEach(rings, () =>
    Effect.suspend(() => {
      count += 1
      return handle
    })))
  const heard = (turn: (index: number) => Effect.Effect<void>) =>
    Effect.suspend(() => {
      let index = 0
      return Effect.suspend(() => count > seen ? Effect.void : turn(index++)).pipe(
        Effect.repeat({ until: () => count > seen, times: 2000 }),
        Effect.andThen(Effect.suspend(() => {
          if (count === seen) return Effect.die(new Error("It does not ring"))
          seen = count
          return Effect.void
        }))
      )
    })
  return {
    count: Effect.sync(() => count),
    /** Waits for another ring, without time passing. */
    atOnce: heard(() => live),
    /** Waits for another ring while a second passes, or three where the store is slow to notice that. */
    soon: heard((index) =>
      Effect.andThen(index < 9 || index % 100 === 0 ? TestClock.adjust("100 millis") : Effect.void, live)
    )
  }
})

/** Lets everything happen that needs no time. */
const settle = Effect.repeat(live, { times: 20 })

const given = (request: string, answer: string) => ({ request, answer })

/** Tests what every store promises of requests, of their answers, and of waking those who wait for either. */
export const requestSuite = <E>(
  name: string,
  layer: Layer.Layer<SagaStore.SagaStore | TakeOver | OpenAgain, E>
): void => {
  const test = (
    sentence: string,
    body: Effect.Effect<void, SagaStore.SagaStoreError, SagaStore.SagaStore | TakeOver | OpenAgain | Scope.Scope>
  ) => it.effect(sentence, () => Effect.provide(body, layer))

  describe(`${name}: requests`, () => {
    test(
      "are there, oldest first, for everybody who opens the store once they were asked",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const odd = { id: "ä\"'🚀", execution: "Trip/ä\"'🚀", request: `{"text":"ä\\u0000🚀'"}` }

        yield* store.ask([request("c", "Trip/2"), request("a", "Trip/1")])
        yield* store.ask([])
        yield* store.ask([odd, request("b", "Trip/2")])

        const asked = [request("c", "Trip/2"), request("a", "Trip/1"), odd, request("b", "Trip/2")]
        const other = yield* yield* OpenAgain
        assert.deepStrictEqual(yield* store.requests(), asked)
        assert.deepStrictEqual(yield* other.requests(), asked)
      })
    )

    test(
      "are read in parts, the oldest first",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        yield* store.ask([request("c", "Trip/2"), request("a", "Trip/1"), request("b", "Trip/2")])

        assert.deepStrictEqual(yield* store.requests({ limit: 2 }), [request("c", "Trip/2"), request("a", "Trip/1")])
        assert.deepStrictEqual(yield* store.requests({ execution: "Trip/2", limit: 1 }), [request("c", "Trip/2")])
        assert.lengthOf(yield* store.requests({ limit: 3 }), 3)
      })
    )

    test(
      "are found by their execution, oldest first",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        yield* store.ask([request("c", "Trip/2"), request("a", "Trip/1")])
        yield* store.ask([request("b", "Trip/2")])

        assert.deepStrictEqual(yield* store.requests({ execution: "Trip/2" }), [
          request("c", "Trip/2"),
          request("b", "Trip/2")
        ])
        assert.deepStrictEqual(yield* store.requests({ execution: "Trip/1" }), [request("a", "Trip/1")])
        assert.deepStrictEqual(yield* store.requests({ execution: "Trip/3" }), [])
      })
    )

    test(
      "stay as they are when they are asked again, also where they were answered",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1"), { ...request("a", "Trip/9"), request: "{}" }])

        yield* store.ask([{ ...request("a", "Trip/2"), request: "{}" }, request("b", "Trip/1")])
        const asked = yield* store.requests()
        yield* answer([given("a", "1")])
        yield* store.ask([request("a", "Trip/1")])

        assert.deepStrictEqual(asked, [request("a", "Trip/1"), request("b", "Trip/1")])
        assert.deepStrictEqual(yield* store.requests(), [request("b", "Trip/1")])
        assert.deepStrictEqual(yield* store.answers(["a"]), [given("a", "1")])
      })
    )

    test(
      "are answered by the commit that does them",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1"), request("b", "Trip/2"), request("c", "Trip/1")])

        yield* commit([
          { ...started(1), answer: given("a", "1") },
          { ...started(2), answer: { request: "b", answer: undefined } },
          appended(1, 2)
        ])

        assert.deepStrictEqual(yield* store.requests(), [request("c", "Trip/1")])
        assert.deepStrictEqual(yield* store.answers(["a", "b", "c"]), [given("a", "1")])
      })
    )

    test(
      "are not answered by a commit that fails",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const asked = [request("a", "Trip/1"), request("b", "Trip/1")]
        yield* store.ask(asked)
        yield* commit([started(1)])

        const exit = yield* Effect.exit(commit([
          { ...appended(1, 2), answer: given("a", "1") },
          { ...appended(1, 2), answer: { request: "b", answer: undefined } }
        ]))

        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.deepStrictEqual(yield* store.requests(), asked)
        assert.deepStrictEqual(yield* store.answers(["a", "b"]), [])
      })
    )

    test(
      "are answered together with the signal that is kept for them",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { earlySignals, keepSignal } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1"), request("b", "Trip/1")])

        yield* keepSignal(signal("Trip/1", "1"), given("a", "1"))
        yield* keepSignal(signal("Trip/1", "2"), { request: "b", answer: undefined })

        assert.deepStrictEqual(yield* earlySignals, [signal("Trip/1", "1"), signal("Trip/1", "2")])
        assert.deepStrictEqual(yield* store.requests(), [])
        assert.deepStrictEqual(yield* store.answers(["a", "b"]), [given("a", "1")])
      })
    )

    test(
      "are answered where nothing else is to be written, and are gone where nobody waits for the answer",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1"), request("b", "Trip/1"), request("c", "Trip/1")])

        yield* answer([given("a", "1"), { request: "b", answer: undefined }])

        assert.deepStrictEqual(yield* store.requests(), [request("c", "Trip/1")])
        assert.deepStrictEqual(yield* store.answers(["c", "b", "a"]), [given("a", "1")])
        yield* store.ask([request("b", "Trip/1")])
        assert.deepStrictEqual(yield* store.requests(), [request("c", "Trip/1"), request("b", "Trip/1")])
      })
    )

    test(
      "keep the answer that they were given first",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer, commit, keepSignal } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1")])
        yield* answer([given("a", "1"), given("a", "2")])

        yield* answer([given("a", "3")])
        yield* answer([{ request: "a", answer: undefined }])
        yield* commit([{ ...started(1), answer: given("a", "4") }])
        yield* keepSignal(signal("Trip/2", "{}"), { request: "a", answer: undefined })

        assert.deepStrictEqual(yield* store.answers(["a"]), [given("a", "1")])
      })
    )

    test(
      "that nobody has asked are not answered, and what is written with the answer is",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer, commit, earlySignals, keepSignal } = yield* acquire("engine")

        yield* answer([])
        yield* answer([given("a", "1"), { request: "b", answer: undefined }])
        yield* commit([{ ...started(1), answer: given("a", "1") }])
        yield* keepSignal(signal("Trip/2", "{}"), given("a", "1"))

        assert.deepStrictEqual(yield* store.answers(["a", "b"]), [])
        assert.deepStrictEqual(yield* store.requests(), [])
        assert.isDefined(yield* store.find("Trip/1"))
        assert.lengthOf(yield* earlySignals, 1)
        yield* store.ask([request("a", "Trip/1")])
        assert.deepStrictEqual(yield* store.requests(), [request("a", "Trip/1")])
      })
    )

    test(
      "are asked, read and answered by the thousand",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer } = yield* acquire("engine")
        const asked = Array.from({ length: 3000 }, (_, index) => request(`r${index}`, `Trip/${index}`))

        yield* store.ask(asked)
        const read = yield* store.requests()
        const answers = asked.filter((_, index) => index % 3 === 0).map(({ id }) => given(id, id))
        yield* answer(answers)

        assert.deepStrictEqual(read, asked)
        assert.deepStrictEqual(yield* store.answers(asked.map(({ id }) => id)), answers)
        assert.lengthOf(yield* store.requests(), 2000)
      })
    )

    test(
      "keep their answers for ten minutes",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer } = yield* acquire("engine")
        const ids = ["early", "late", "last"]
        yield* store.ask([...ids, "never"].map((id) => request(id, "Trip/1")))
        yield* answer([given("early", "1")])

        yield* TestClock.adjust("9 minutes")
        yield* answer([given("late", "2")])
        yield* settle
        const kept = yield* store.answers(ids)
        yield* TestClock.adjust("2 minutes")
        yield* answer([given("last", "3")])
        const answers = yield* TestClock.adjust("1 second").pipe(
          Effect.andThen(live),
          Effect.andThen(store.answers(ids)),
          Effect.repeat({ until: (answers) => answers.length < 3, times: 300 })
        )

        assert.deepStrictEqual(kept, [given("early", "1"), given("late", "2")])
        assert.deepStrictEqual(answers, [given("late", "2"), given("last", "3")])
        assert.deepStrictEqual(yield* store.requests(), [request("never", "Trip/1")])
      })
    )

    test(
      "of a replaced owner are answered by the next one",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        yield* acquire("first")
        yield* store.ask([request("a", "Trip/1")])

        const takeOver = yield* TakeOver
        const { answer } = yield* takeOver("second")
        yield* answer([given("a", "1")])

        assert.deepStrictEqual(yield* store.answers(["a"]), [given("a", "1")])
      })
    )
  })

  describe(`${name}: what has ended`, () => {
    test(
      "is told with its last event, and nothing else is",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([
          started(1, { status: "Compensating" }),
          ...(["Running", "Waiting", "Compensating", "Parked"] as const).map((status, index) =>
            started(2 + index, { status })
          ),
          started(6, { status: "Failed", reason: "refund failed" }),
          started(7, { status: "Completed" }),
          started(8, { status: "Completed" }),
          appended(1, 2)
        ])
        yield* commit([{ ...appended(1, 3), record: recordOf(1, { status: "Compensated", cancelled: true }) }])

        const ended = yield* store.ended([7, 6, 5, 4, 3, 2, 1, 9].map((key) => `Trip/${key}`))

        assert.deepStrictEqual(ended.toSorted((one, other) => one.record.key - other.record.key), [
          { record: recordOf(1, { status: "Compensated", cancelled: true }), event: `{"event":3}` },
          { record: recordOf(6, { status: "Failed", reason: "refund failed" }), event: `{"started":6}` },
          { record: recordOf(7, { status: "Completed" }), event: `{"started":7}` }
        ])
        assert.deepStrictEqual(yield* store.ended([]), [])
      })
    )

    test(
      "is told by the thousand",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const keys = Array.from({ length: 3000 }, (_, index) => index + 1)
        yield* commit(
          keys.filter((key) => key <= 1500).map((key) =>
            started(key, { status: key % 2 === 0 ? "Completed" : "Running" })
          )
        )

        const ended = yield* store.ended(keys.map((key) => `Trip/${key}`))

        assert.deepStrictEqual(
          ended.map(({ record }) => record.key).toSorted((one, other) => one - other),
          keys.filter((key) => key <= 1500 && key % 2 === 0)
        )
        assert.isTrue(ended.every(({ event, record }) => event === `{"started":${record.key}}`))
      })
    )
  })

  describe(`${name}: whoever listens`, () => {
    test(
      "for requests is woken at once, and at once when one is asked",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const ear = yield* listen(store.requested)
        yield* ear.atOnce

        yield* store.ask([request("a", "Trip/1")])
        yield* ear.atOnce
        yield* store.ask([request("b", "Trip/1")])
        yield* ear.atOnce

        assert.lengthOf(yield* store.requests(), 2)
      })
    )

    test(
      "for news is woken at once, and at once when an execution ends",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const ear = yield* listen(store.news)
        yield* ear.atOnce

        yield* commit([started(1), started(2, { status: "Completed" })])
        yield* ear.atOnce
        yield* commit([{ ...appended(1, 2), record: recordOf(1, { status: "Compensated" }) }])
        yield* ear.atOnce

        assert.lengthOf(yield* store.ended(["Trip/1", "Trip/2"]), 2)
      })
    )

    test(
      "for news is woken at once when a request is answered",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer, commit, keepSignal } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1"), request("b", "Trip/1"), request("c", "Trip/2")])
        const ear = yield* listen(store.news)
        yield* ear.atOnce

        yield* answer([given("a", "1")])
        yield* ear.atOnce
        yield* commit([{ ...started(1), answer: given("b", "2") }])
        yield* ear.atOnce
        yield* keepSignal(signal("Trip/2", "{}"), given("c", "3"))
        yield* ear.atOnce

        assert.lengthOf(yield* store.answers(["a", "b", "c"]), 3)
      })
    )

    test(
      "for requests is woken soon when one is asked by another who has opened the store",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const other = yield* yield* OpenAgain
        const ear = yield* listen(store.requested)
        yield* ear.atOnce

        yield* other.ask([request("a", "Trip/1")])
        yield* ear.soon

        assert.lengthOf(yield* store.requests(), 1)
      })
    )

    test(
      "for news is woken soon when another who has opened the store ends or answers something",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const other = yield* yield* OpenAgain
        const { answer, commit } = yield* acquire("engine")
        yield* store.ask([request("a", "Trip/1")])
        const ear = yield* listen(other.news)
        yield* ear.soon

        yield* commit([started(1, { status: "Completed" })])
        yield* ear.soon
        yield* answer([given("a", "1")])
        yield* ear.soon

        assert.lengthOf(yield* other.ended(["Trip/1"]), 1)
        assert.lengthOf(yield* other.answers(["a"]), 1)
      })
    )

    test(
      "is woken although nobody has listened for a while",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const other = yield* yield* OpenAgain
        yield* Effect.scoped(Effect.flatMap(listen(store.requested), (ear) => ear.atOnce))
        yield* TestClock.adjust("10 seconds")
        const ear = yield* listen(store.requested)
        yield* ear.atOnce

        yield* other.ask([request("a", "Trip/1")])
        yield* ear.soon

        assert.lengthOf(yield* store.requests(), 1)
      })
    )

    test(
      "is woken each time, however long others take who listen too",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const slow = yield* listen(store.requested, Effect.never)
        const ears = yield* Effect.all([listen(store.requested), listen(store.requested)])
        yield* Effect.forEach([slow, ...ears], (ear) => ear.atOnce)

        for (const id of ["a", "b", "c", "d"]) {
          yield* store.ask([request(id, "Trip/1")])
          yield* Effect.forEach(ears, (ear) => ear.atOnce)
        }

        assert.strictEqual(yield* slow.count, 1)
      })
    )

    test(
      "is woken once for all that came while it was busy",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const gate = yield* Latch.make()
        const ear = yield* listen(store.requested, gate.await)
        yield* ear.atOnce

        for (const id of ["a", "b", "c", "d", "e"]) yield* store.ask([request(id, "Trip/1")])
        yield* settle
        yield* gate.open
        yield* settle

        // Once for what it was busy with, once for the rest; a store may notice some of it late.
        assert.include([2, 3], yield* ear.count)
      })
    )

    test(
      "is left in peace where nothing changes",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const other = yield* yield* OpenAgain
        yield* acquire("engine")
        const ears = yield* Effect.forEach(
          [store.requested, store.news, other.requested, other.news],
          (rings) => listen(rings)
        )
        yield* Effect.forEach(ears, (ear) => ear.atOnce)

        yield* Effect.repeat(Effect.andThen(TestClock.adjust("1 second"), live), { times: 59 })

        // A store that can't tell what has changed may look now and then.
        for (const ear of ears) assert.isAtMost(yield* ear.count, 121)
      })
    )
  })
}
