import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { requestSuite } from "./requestSuite.ts"
import { listSuite } from "./storeListSuite.ts"
import {
  acquire,
  appended,
  inTime,
  keysOf,
  type OpenAgain,
  reasonOf,
  recordOf,
  request,
  signal,
  started,
  TakeOver
} from "./storeValues.ts"

export { OpenAgain, TakeOver } from "./storeValues.ts"

/** Tests what every store promises. Each test builds the layer anew, and finds an empty store. */
export const suite = <E>(name: string, layer: Layer.Layer<SagaStore.SagaStore | TakeOver | OpenAgain, E>): void => {
  requestSuite(name, layer)
  listSuite(name, layer)

  const test = (
    sentence: string,
    body: Effect.Effect<void, SagaStore.SagaStoreError, SagaStore.SagaStore | TakeOver | OpenAgain | Scope.Scope>
  ) => it.effect(sentence, () => Effect.provide(body, layer))

  describe(name, () => {
    test(
      "reads a journal as it was written",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const record = recordOf(1, {
          id: "Trip/ä\"'🚀",
          version: 3,
          status: "Waiting",
          cancelled: true,
          reason: "it's\nlate",
          error: "it's\nlate",
          attributes: { customer: "7", "it's \"ä\\\n🚀": "\"\\\n'🚀" },
          parent: "Holiday/1"
        })
        const events = ["{}", `{"text":"ä\\u0000🚀'"}`, JSON.stringify("x".repeat(100_000))]

        yield* commit([{ key: 1, record, firstSequence: 1, events }])

        assert.deepStrictEqual(yield* store.find(record.id), { record, events })
      })
    )

    test(
      "knows which ids have executions, of many at once",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1), started(2, { status: "Completed" }), started(3)])
        const many = Array.from({ length: 3000 }, (_, index) => `Trip/${index + 2}`)

        assert.sameMembers(Array.from(yield* store.existing(many)), ["Trip/2", "Trip/3"])
        assert.deepStrictEqual(yield* store.existing(["Trip/", "Trip/10", "trip/1"]), [])
        assert.deepStrictEqual(yield* store.existing([]), [])
      })
    )

    test(
      "appends to journals in order, within a commit and from one commit to the next",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")

        yield* commit([started(1), started(2), appended(1, 2), appended(2, 2), appended(1, 3)])
        yield* commit([appended(2, 3), { ...appended(1, 4), events: ["4", "5"] }, appended(1, 6)])

        const first = yield* store.find("Trip/1")
        const second = yield* store.find("Trip/2")
        assert.deepStrictEqual(first?.events, [`{"started":1}`, `{"event":2}`, `{"event":3}`, "4", "5", `{"event":6}`])
        assert.deepStrictEqual(second?.events, [`{"started":2}`, `{"event":2}`, `{"event":3}`])
      })
    )

    test(
      "writes a large commit wholly",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const keys = Array.from({ length: 300 }, (_, index) => index + 1)

        yield* commit(keys.flatMap((key) => [started(key), appended(key, 2), appended(key, 3)]))

        const all = yield* store.unfinished({ after: undefined, limit: 1000 })
        assert.deepStrictEqual(all.map((one) => one.record.key), keys)
        assert.isTrue(all.every((one) => one.events.length === 3 && one.events[2] === `{"event":3}`))
      })
    )

    test(
      "writes an empty commit, and an append that only changes the record",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1)])
        const record = recordOf(1, { status: "Parked", reason: "refund failed", updatedAt: 5000 })

        yield* commit([])
        yield* commit([{ key: 1, record, firstSequence: 2, events: [] }])

        assert.deepStrictEqual(yield* store.find("Trip/1"), { record, events: [`{"started":1}`] })
      })
    )

    test(
      "writes nothing of a commit that can't be written wholly",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1)])
        const impossible: ReadonlyArray<SagaStore.Append> = [
          appended(1, 1), // a number that is taken
          started(4, { id: "Trip/1" }), // an id that is taken
          { key: 4, record: undefined, firstSequence: 1, events: ["{}"] } // new without a record
        ]

        for (const append of impossible) {
          const exit = yield* Effect.exit(commit([started(2), appended(1, 2), append, started(3)]))
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), JSON.stringify(append))
        }

        assert.deepStrictEqual(keysOf(yield* store.list()), [1])
        assert.deepStrictEqual((yield* store.find("Trip/1"))?.events, [`{"started":1}`])
        yield* commit([started(2), appended(1, 2)])
        assert.deepStrictEqual(keysOf(yield* store.list()), [2, 1])
      })
    )

    test(
      "finds nothing under an id that was not started",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1)])

        assert.isUndefined(yield* store.find("Trip/2"))
      })
    )

    test(
      "returns unfinished executions in pages, oldest first",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([
          started(6, { status: "Parked", definition: "Hotel" }),
          started(1, { status: "Completed" }),
          started(2, { status: "Waiting" }),
          started(3, { status: "Failed" }),
          started(4, { status: "Compensating", definition: "Hotel" }),
          started(5, { status: "Compensated" }),
          started(7)
        ])

        const page = (after: number | undefined, limit: number) =>
          Effect.map(
            store.unfinished({ after: after === undefined ? undefined : recordOf(after), limit }),
            (all) => all.map((one) => one.record.key)
          )

        assert.deepStrictEqual(yield* page(undefined, 10), [2, 4, 6, 7])
        assert.deepStrictEqual(yield* page(undefined, 2), [2, 4])
        assert.deepStrictEqual(yield* page(4, 2), [6, 7])
        assert.deepStrictEqual(yield* page(7, 2), [])
      })
    )

    test(
      "lists the newest executions first, by status, definition and page",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([
          started(1, { status: "Failed" }),
          started(2, { definition: "Hotel" }),
          started(3, { status: "Failed", definition: "Hotel" }),
          started(4, { status: "Completed" }),
          started(5, { status: "Failed" })
        ])

        const list = (options?: SagaStore.ListOptions) => Effect.map(store.list(options), keysOf)

        assert.deepStrictEqual(yield* list(), [5, 4, 3, 2, 1])
        assert.deepStrictEqual(yield* list({ limit: 2 }), [5, 4])
        assert.deepStrictEqual(yield* list({ limit: 2, after: recordOf(4) }), [3, 2])
        assert.deepStrictEqual(yield* list({ statuses: ["Failed"] }), [5, 3, 1])
        assert.deepStrictEqual(yield* list({ statuses: ["Failed"], after: recordOf(5), limit: 1 }), [3])
        assert.deepStrictEqual(yield* list({ statuses: ["Completed", "Running"] }), [4, 2])
        assert.deepStrictEqual(yield* list({ statuses: [] }), [])
        assert.deepStrictEqual(yield* list({ statuses: ["Running", "Running"] }), [2])
        assert.deepStrictEqual(yield* list({ definition: "Hotel" }), [3, 2])
        assert.deepStrictEqual(yield* list({ definition: "Hotel", statuses: ["Failed", "Parked"] }), [3])
        assert.deepStrictEqual(yield* list({ definition: "Car" }), [])
        assert.deepStrictEqual((yield* store.list({ limit: 1 }))[0], recordOf(5, { status: "Failed" }))
      })
    )

    test(
      "lists an execution under its last status only",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1)])

        yield* commit([{ ...appended(1, 2), record: recordOf(1, { status: "Completed" }) }])

        assert.deepStrictEqual(keysOf(yield* store.list({ statuses: ["Running"] })), [])
        assert.deepStrictEqual(keysOf(yield* store.list({ statuses: ["Completed"] })), [1])
      })
    )

    test(
      "lists 100 executions where no limit is given",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit(Array.from({ length: 120 }, (_, index) => started(index + 1)))

        assert.strictEqual((yield* store.list()).length, 100)
        assert.strictEqual((yield* store.list({ definition: "Trip" })).length, 100)
      })
    )

    test(
      "prunes what finished before a time, with its journal, and never what is unfinished",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([
          started(1, { status: "Completed", updatedAt: 100 }),
          started(2, { status: "Completed", updatedAt: 200 }),
          started(3, { status: "Failed", updatedAt: 100 }),
          ...(["Running", "Waiting", "Compensating", "Parked"] as const).map((status, index) =>
            started(4 + index, { status, updatedAt: 100 })
          )
        ])

        const completed = yield* store.prune({ finishedBefore: 200, statuses: ["Completed"] })
        const rest = yield* store.prune({ finishedBefore: 200 })

        assert.deepStrictEqual([completed, rest], [1, 1])
        assert.deepStrictEqual(keysOf(yield* store.list()), [7, 6, 5, 4, 2])
        assert.isUndefined(yield* store.find("Trip/1"))
        assert.deepStrictEqual((yield* store.find("Trip/2"))?.events, [`{"started":2}`])
        assert.strictEqual(yield* store.prune({ finishedBefore: 200 }), 0)
      })
    )

    test(
      "prunes a child only when its parent has finished",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([
          started(1),
          started(2, { status: "Completed", parent: "Trip/1" }),
          started(3, { status: "Completed", parent: "Trip/no-more" })
        ])

        const before = yield* store.prune({ finishedBefore: 10_000 })
        yield* commit([{ ...appended(1, 2), record: recordOf(1, { status: "Completed" }) }])
        const after = yield* store.prune({ finishedBefore: 10_000 })

        assert.deepStrictEqual([before, after], [1, 2])
      })
    )

    test(
      "prunes many executions",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const keys = Array.from({ length: 1700 }, (_, index) => index + 1)
        yield* commit(keys.map((key) => started(key, { status: key % 10 === 0 ? "Running" : "Completed" })))

        const count = yield* store.prune({ finishedBefore: 10_000 })

        assert.strictEqual(count, 1530)
        assert.deepStrictEqual(
          (yield* store.unfinished({ after: undefined, limit: 1000 })).map((one) => one.record.key),
          keys.filter((key) => key % 10 === 0)
        )
        assert.strictEqual((yield* store.list({ limit: 2000 })).length, 170)
      })
    )

    test(
      "tells a new owner the highest key that was ever given",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const lastKeys = yield* Effect.scoped(Effect.gen(function*() {
          const { commit, lastKey } = yield* acquire("first")
          yield* commit([started(1), started(7, { status: "Completed" }), started(3)])
          return lastKey
        }))
        const second = yield* Effect.scoped(acquire("second"))
        yield* store.prune({ finishedBefore: 10_000 })

        const third = yield* acquire("third")

        assert.deepStrictEqual([lastKeys, second.lastKey, third.lastKey], [0, 7, 7])
      })
    )

    test(
      "tells a new owner when an execution was last changed",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const first = yield* Effect.scoped(Effect.gen(function*() {
          const { commit, lastChange } = yield* acquire("first")
          yield* commit([started(1, { updatedAt: 5_000 }), started(2, { updatedAt: 7_000 }), started(3)])
          yield* commit([{ ...started(2, { updatedAt: 4_000 }), firstSequence: 2 }])
          return lastChange
        }))
        const second = yield* Effect.scoped(acquire("second"))

        assert.deepStrictEqual([first, second.lastChange], [0, 5_000])
        assert.strictEqual((yield* store.list()).length, 3)
      })
    )

    test(
      "keeps early signals in order until their execution is created, also for the next owner",
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const { keepSignal } = yield* acquire("first")
          yield* keepSignal(signal("Trip/1", "1"))
          yield* keepSignal(signal("Trip/2", "2"))
          yield* keepSignal(signal("Trip/1", "3"))
        }))
        const { commit, earlySignals, keepSignal } = yield* acquire("second")
        const kept = yield* earlySignals

        yield* commit([started(3), started(1)])

        assert.deepStrictEqual(kept, [signal("Trip/1", "1"), signal("Trip/2", "2"), signal("Trip/1", "3")])
        assert.deepStrictEqual(yield* earlySignals, [signal("Trip/2", "2")])
        yield* keepSignal(signal("Trip/4", "4"))
        yield* commit([started(4), started(2)])
        assert.deepStrictEqual(yield* earlySignals, [])
      })
    )

    test(
      "keeps the early signals of an execution whose creation was not written",
      Effect.gen(function*() {
        const { commit, earlySignals, keepSignal } = yield* acquire("engine")
        yield* keepSignal(signal("Trip/1", "1"))

        yield* Effect.exit(commit([started(1), appended(1, 1)]))

        assert.strictEqual((yield* earlySignals).length, 1)
        yield* commit([started(1)])
        assert.strictEqual((yield* earlySignals).length, 0)
      })
    )

    test(
      "has one owner at a time, and names it to others",
      Effect.gen(function*() {
        const { name } = yield* SagaStore.SagaStore
        yield* acquire("first engine")

        const other = yield* Effect.forkChild(reasonOf(Effect.scoped(acquire("second engine"))))

        const reason = yield* inTime(other)
        assert(reason._tag === "Owned")
        assert.strictEqual(reason.store, name)
        assert.include(reason.owner, "first engine")
      })
    )

    test(
      "gives each owner a higher epoch",
      Effect.gen(function*() {
        const first = yield* Effect.scoped(acquire("first"))
        const second = yield* Effect.scoped(acquire("second"))
        const third = yield* acquire("third")

        assert.isTrue(first.epoch < second.epoch && second.epoch < third.epoch)
      })
    )

    test(
      "lets a standby wait until the scope of the owner closes",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const scope = yield* Scope.make()
        const first = yield* Scope.provide(acquire("first"), scope)
        const standby = yield* Effect.forkChild(Effect.scoped(
          Effect.flatMap(
            store.acquire({ owner: "standby", standby: true }),
            ({ commit, epoch }) => Effect.as(commit([started(1)]), epoch)
          )
        ))
        yield* TestClock.adjust("1 minute")
        const isWaiting = standby.pollUnsafe() === undefined

        yield* Scope.close(scope, Exit.void)
        const epoch = yield* inTime(standby)

        assert.isTrue(isWaiting)
        assert.isTrue(first.epoch < epoch)
        assert.deepStrictEqual(keysOf(yield* store.list()), [1])
      })
    )

    test(
      "lets a standby be interrupted",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        yield* Effect.scoped(Effect.gen(function*() {
          yield* acquire("first")
          const standby = yield* Effect.forkChild(Effect.scoped(store.acquire({ owner: "standby", standby: true })))
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.interrupt(standby)
        }))

        const { commit } = yield* acquire("second")

        yield* commit([started(1)])
        assert.deepStrictEqual(keysOf(yield* store.list()), [1])
      })
    )

    test(
      "refuses each write of an owner that was replaced, and tells it",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer, commit, keepSignal, lost } = yield* acquire("first engine")
        yield* commit([started(1)])
        yield* store.ask([request("a", "Trip/1")])
        const watch = yield* Effect.forkChild(reasonOf(lost))
        const takeOver = yield* TakeOver
        const second = yield* takeOver("second engine")
        yield* second.keepSignal(signal("Trip/2", "{}"))

        const refused = yield* reasonOf(commit([appended(1, 2), started(2)]))
        const refusedSignal = yield* reasonOf(keepSignal(signal("Trip/3", "{}"), { request: "a", answer: "{}" }))
        const refusedAnswers = yield* Effect.all([
          reasonOf(answer([{ request: "a", answer: "{}" }])),
          reasonOf(answer([{ request: "a", answer: undefined }])),
          reasonOf(commit([{ ...appended(1, 2), answer: { request: "a", answer: "{}" } }]))
        ])
        const noticed = yield* Fiber.join(watch)

        for (const reason of [refused, refusedSignal, ...refusedAnswers, noticed]) {
          assert(reason._tag === "OwnershipLost")
          assert.include(reason.owner, "second engine")
        }
        assert.deepStrictEqual(yield* store.requests(), [request("a", "Trip/1")])
        assert.deepStrictEqual((yield* store.find("Trip/1"))?.events.length, 1)
        assert.deepStrictEqual(yield* second.earlySignals, [signal("Trip/2", "{}")])
        yield* second.commit([appended(1, 2), started(2)])
        assert.deepStrictEqual(keysOf(yield* store.list()), [2, 1])
        assert.deepStrictEqual(yield* second.earlySignals, [])
      })
    )

    test(
      "leaves the store to the new owner when the scope of the replaced one closes",
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Scope.provide(acquire("first"), scope)
        const takeOver = yield* TakeOver
        const second = yield* takeOver("second")

        yield* Scope.close(scope, Exit.void)

        yield* second.commit([started(1)])
        const third = yield* Effect.forkChild(reasonOf(Effect.scoped(acquire("third"))))
        const reason = yield* inTime(third)
        assert(reason._tag === "Owned")
        assert.include(reason.owner, "second")
      })
    )

    test(
      "refuses writes after the scope of the owner has closed",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { answer, commit } = yield* Effect.scoped(acquire("engine"))
        yield* store.ask([request("a", "Trip/1")])

        const reasons = yield* Effect.all([
          reasonOf(commit([started(1)])),
          reasonOf(answer([{ request: "a", answer: "{}" }]))
        ])

        for (const reason of reasons) {
          assert(reason._tag === "Unavailable")
          assert.strictEqual(reason.problem, "closed")
        }
        assert.deepStrictEqual(yield* store.list(), [])
        assert.lengthOf(yield* store.requests(), 1)
      })
    )

    it.effect("refuses everything once it is closed", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(layer, scope)
        const store = Context.get(context, SagaStore.SagaStore)
        const owner = yield* Scope.make()
        const { answer, commit, earlySignals, keepSignal } = yield* Scope.provide(
          store.acquire({ owner: "engine", standby: false }),
          owner
        )

        yield* Scope.close(scope, Exit.void)

        const calls: ReadonlyArray<Effect.Effect<unknown, SagaStore.SagaStoreError>> = [
          commit([started(1)]),
          keepSignal(signal("Trip/1", "{}")),
          answer([{ request: "a", answer: "{}" }]),
          earlySignals,
          store.find("Trip/1"),
          store.unfinished({ after: undefined, limit: 1 }),
          store.list(),
          store.list({ definition: "Trip" }),
          store.count(),
          store.counts({ since: 0 }),
          store.changed({ from: 0, limit: 1 }),
          store.inspect,
          store.prune({ finishedBefore: 1 }),
          store.ended(["Trip/1"]),
          store.ask([request("a", "Trip/1")]),
          store.requests(),
          store.answers(["a"]),
          Effect.scoped(store.acquire({ owner: "engine", standby: true }))
        ]
        for (const call of calls) {
          const error = yield* Effect.flip(call)
          assert(error.reason._tag === "Unavailable")
          assert.strictEqual(error.reason.problem, "closed")
          assert.isFalse(error.isTransient)
        }
        yield* Scope.close(owner, Exit.void)
      }))
  })
}
