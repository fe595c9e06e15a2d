import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, type Scope } from "effect"
import { SagaStore } from "effect-saga"
import { arbitraryExecutions, arbitraryOptions, inOrder, isAsked } from "./storeListModel.ts"
import { acquire, appended, keysOf, type OpenAgain, recordOf, request, started, type TakeOver } from "./storeValues.ts"

type Records = ReadonlyArray<SagaStore.ExecutionRecord>

const startedAs = (record: SagaStore.ExecutionRecord) => started(record.key, record)

/** All pages, one after the other; a page that is not full is the last. */
const pagesOf = Effect.fnUntraced(function*(options: SagaStore.ListOptions) {
  const store = yield* SagaStore.SagaStore
  const all: Array<SagaStore.ExecutionRecord> = []
  while (true) {
    const page: Records = yield* store.list({ ...options, after: all.at(-1) })
    assert.isAtMost(page.length, options.limit ?? 100)
    all.push(...page)
    if (page.length < (options.limit ?? 100)) return all
  }
})

/** Tests what every store promises of lists, counts and what has changed. */
export const listSuite = <E>(
  name: string,
  layer: Layer.Layer<SagaStore.SagaStore | TakeOver | OpenAgain, E>
): void => {
  const test = (
    sentence: string,
    body: Effect.Effect<void, SagaStore.SagaStoreError, SagaStore.SagaStore | TakeOver | OpenAgain | Scope.Scope>
  ) => it.effect(sentence, () => Effect.provide(body, layer))

  describe(`${name}: lists`, () => {
    it.effect.prop(
      "have all that is asked for, in order, page by page, and no more; and as many are counted",
      { executions: arbitraryExecutions, all: Arbitrary.array(arbitraryOptions, { minLength: 20, maxLength: 20 }) },
      ({ all, executions }) =>
        Effect.gen(function*() {
          const store = yield* SagaStore.SagaStore
          const { commit } = yield* acquire("engine")
          yield* commit(executions.map(startedAs))
          for (const options of all) {
            const { limit, ...filter } = options
            const expected = keysOf(inOrder(executions.filter((record) => isAsked(filter, record))))

            const oldest = yield* pagesOf({ ...filter, limit, order: "oldest" })
            const newest = yield* pagesOf({ ...filter, limit })

            assert.deepStrictEqual(keysOf(oldest), expected, JSON.stringify(options))
            assert.deepStrictEqual(keysOf(newest), expected.toReversed(), JSON.stringify(options))
            assert.strictEqual(yield* store.count(filter), expected.length, JSON.stringify(options))
          }
        }).pipe(Effect.provide(layer), Effect.scoped),
      { arbitrary: { runs: 5 }, timeout: 20_000 }
    )

    it.effect.prop(
      "of what is unfinished have it in the same order, page by page",
      { executions: arbitraryExecutions },
      ({ executions }) =>
        Effect.gen(function*() {
          const store = yield* SagaStore.SagaStore
          const { commit } = yield* acquire("engine")
          yield* commit(executions.map(startedAs))

          const found: Array<SagaStore.ExecutionRecord> = []
          while (true) {
            const page = yield* store.unfinished({ after: found.at(-1), limit: 7 })
            if (page.length === 0) break
            found.push(...page.map(({ record }) => record))
          }

          const statuses: ReadonlyArray<string> = ["Running", "Waiting", "Compensating", "Parked"]
          assert.deepStrictEqual(
            keysOf(found),
            keysOf(inOrder(executions.filter(({ status }) => statuses.includes(status))))
          )
        }).pipe(Effect.provide(layer), Effect.scoped),
      { arbitrary: { runs: 4 }, timeout: 20_000 }
    )

    test(
      "find ids by how they begin, letter by letter, whatever letters those are",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const ids = [
          "a",
          "A",
          "a%",
          "a_",
          "ab",
          "\ud7ff",
          "\ud7ff1",
          "\ue000",
          "\uffff",
          "🚀",
          "\u{10ffff}",
          "\u{10ffff}1"
        ]
          .map((id) => `Trip/${id}`)
        yield* commit(ids.map((id, index) => started(index + 1, { id })))

        for (const idPrefix of ["", "T", "t", "Trip", "Trip/", ...ids]) {
          const found = yield* store.list({ idPrefix, order: "oldest" })

          assert.deepStrictEqual(found.map(({ id }) => id), ids.filter((id) => id.startsWith(idPrefix)), idPrefix)
        }
      })
    )

    test(
      "go on after the page before, whatever was started and ended meanwhile",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([1, 2, 3, 4].map((key) => started(key)))
        const [, last] = yield* store.list({ statuses: ["Running"], limit: 2 })

        yield* commit([started(5), { ...appended(3, 2), record: recordOf(3, { status: "Completed" }) }])

        assert.deepStrictEqual(keysOf(yield* store.list({ statuses: ["Running"], limit: 2, after: last })), [2, 1])
      })
    )

    test(
      "find the error that an execution has, and not the one that it had",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const parked = recordOf(1, { status: "Parked", error: "NoSeats", attributes: { customer: "7" } })
        yield* commit([startedAs(parked), started(2)])

        const before = yield* store.list({ error: "NoSeats" })
        yield* commit([{ ...appended(1, 2), record: { ...parked, status: "Failed", error: "CardDeclined" } }])
        const after = yield* store.list({ error: "CardDeclined" })

        assert.deepStrictEqual(before, [parked])
        assert.deepStrictEqual(yield* store.list({ error: "NoSeats" }), [])
        assert.deepStrictEqual(after, [{ ...parked, status: "Failed", error: "CardDeclined" }])
        assert.deepStrictEqual((yield* store.find("Trip/1"))?.record, after[0])
      })
    )
  })

  describe(`${name}: counts`, () => {
    test(
      "are nothing where there is nothing",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore

        assert.deepStrictEqual(yield* store.counts({ since: 0 }), {
          groups: [],
          oldestParked: undefined,
          started: 0,
          ended: { Completed: 0, Compensated: 0, Failed: 0 }
        })
        assert.strictEqual(yield* store.count(), 0)
      })
    )

    test(
      "say how many there are of each, what has waited for longest, and what has begun and ended of late",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const oldest = recordOf(3, { status: "Parked", createdAt: 1900, updatedAt: 2000 })
        yield* commit([
          started(1, { status: "Parked", createdAt: 1, updatedAt: 2001 }),
          started(2, { status: "Parked", definition: "Hotel", createdAt: 1, updatedAt: 2000, id: "Hotel/2" }),
          startedAs(oldest),
          started(4, { status: "Completed", createdAt: 1999, updatedAt: 2000 }),
          started(5, { status: "Completed", createdAt: 2000, updatedAt: 2005 }),
          started(6, { status: "Failed", createdAt: 2000, updatedAt: 1999 }),
          started(7, { status: "Compensated", createdAt: 2001, updatedAt: 2001, definition: "hotel" }),
          started(8, { createdAt: 2002, updatedAt: 2002 })
        ])

        const counts = yield* store.counts({ since: 2000 })

        assert.deepStrictEqual(counts, {
          groups: [
            { definition: "Hotel", status: "Parked", count: 1 },
            { definition: "Trip", status: "Running", count: 1 },
            { definition: "Trip", status: "Parked", count: 2 },
            { definition: "Trip", status: "Completed", count: 2 },
            { definition: "Trip", status: "Failed", count: 1 },
            { definition: "hotel", status: "Compensated", count: 1 }
          ],
          oldestParked: recordOf(2, {
            status: "Parked",
            definition: "Hotel",
            createdAt: 1,
            updatedAt: 2000,
            id: "Hotel/2"
          }),
          started: 4,
          ended: { Completed: 2, Compensated: 1, Failed: 0 }
        })
      })
    )
  })

  describe(`${name}: what has changed`, () => {
    it.effect.prop(
      "is told in order of that, page by page, from a time on",
      { executions: arbitraryExecutions },
      ({ executions }) =>
        Effect.gen(function*() {
          const store = yield* SagaStore.SagaStore
          const { commit } = yield* acquire("engine")
          yield* commit(executions.map(startedAs))
          for (const from of [0, 1003, 1004, 2000]) {
            const found: Array<SagaStore.ExecutionRecord> = []
            while (true) {
              const page: Records = yield* store.changed({ from, after: found.at(-1), limit: 7 })
              if (page.length === 0) break
              found.push(...page)
            }

            const expected = executions.filter(({ updatedAt }) => updatedAt >= from)
              .toSorted((one, other) => one.updatedAt - other.updatedAt || one.key - other.key)
            assert.deepStrictEqual(found, expected)
          }
        }).pipe(Effect.provide(layer), Effect.scoped),
      { arbitrary: { runs: 4 }, timeout: 20_000 }
    )

    test(
      "is told again when it changes again",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit([started(1), started(2)])
        const after = (yield* store.changed({ from: 0, limit: 10 })).at(-1)!

        yield* commit([{ ...appended(1, 2), record: recordOf(1, { status: "Waiting", updatedAt: 5000 }) }])

        assert.deepStrictEqual(yield* store.changed({ from: 0, after, limit: 10 }), [
          recordOf(1, { status: "Waiting", updatedAt: 5000 })
        ])
        // What is asked for begins later than what was told last.
        assert.deepStrictEqual(keysOf(yield* store.changed({ from: 2000, after, limit: 10 })), [1])
      })
    )
  })

  describe(`${name}: an inspection`, () => {
    test(
      "says who has the store as long as somebody has it, and what has no answer",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore

        const before = yield* store.inspect
        yield* store.ask([request("a", "Trip/1"), request("b", "Trip/1")])
        const during = yield* Effect.scoped(Effect.gen(function*() {
          const { answer } = yield* acquire("engine")
          yield* answer([{ request: "a", answer: "{}" }])
          return yield* store.inspect
        }))
        const after = yield* store.inspect

        assert.deepStrictEqual([before.owner, before.unanswered], [undefined, 0])
        assert.deepInclude(during.owner, { name: "engine", isAlive: true })
        assert.isAtMost(during.owner!.silence, 4000)
        assert.strictEqual(during.unanswered, 1)
        assert.deepStrictEqual([after.owner, after.unanswered], [undefined, 1])
        assert.strictEqual(after.version, before.version)
      })
    )
  })

  describe(`${name}: pruning`, () => {
    test(
      "takes search attributes along, and leaves those of others",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        const attributes = { customer: "7", "it's \"ä\\\n🚀": "\"\\\n'🚀" }
        yield* commit([
          started(1, { status: "Completed", attributes }),
          started(2, { attributes, createdAt: 1001 }),
          started(3, { status: "Failed" })
        ])

        const count = yield* store.prune({ finishedBefore: 10_000 })

        assert.strictEqual(count, 2)
        assert.deepStrictEqual(keysOf(yield* store.list({ attributes })), [2])
        assert.deepStrictEqual(keysOf(yield* store.list({ attributes: { customer: "7" } })), [2])
        assert.strictEqual(yield* store.count({ attributes }), 1)
      })
    )

    test(
      "tells how far it has got",
      Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* acquire("engine")
        yield* commit(Array.from({ length: 900 }, (_, index) => started(index + 1, { status: "Completed" })))
        const told: Array<number> = []

        const count = yield* store.prune({ finishedBefore: 10_000, onProgress: (deleted) => told.push(deleted) })

        assert.strictEqual(count, 900)
        assert.strictEqual(told.at(-1), 900)
        assert.deepStrictEqual(told, told.toSorted((one, other) => one - other))
      })
    )
  })
}
