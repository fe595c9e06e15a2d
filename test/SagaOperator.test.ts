import { assert, describe, it } from "@effect/vitest"
import { Effect, type Stream } from "effect"
import { SagaOperator, SagaStore } from "effect-saga"
import { suite } from "./support/durable/sagaOperator.ts"
import { memory, postgres, sqlite } from "./support/durable/storage.ts"
import { started } from "./support/storeValues.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
suite("in PostgreSQL", postgres)

describe("a store that fails while it is asked", () => {
  /** What a signal fails with whose request is written, or not, and then fails for this reason. */
  const signalled = Effect.fnUntraced(
    function*(isWritten: boolean, reason: SagaStore.SagaStoreError["reason"]) {
      const store = yield* SagaStore.SagaStore
      const { commit } = yield* store.acquire({ owner: "busy", standby: false })
      yield* commit([started(1, { status: "Waiting" })])
      const operator = yield* Effect.provideService(SagaOperator.make(), SagaStore.SagaStore, {
        ...store,
        ask: (requests) =>
          Effect.andThen(
            isWritten ? store.ask(requests) : Effect.void,
            Effect.fail(new SagaStore.SagaStoreError({ reason }))
          )
      })
      const [record] = yield* operator.list()
      return yield* Effect.flip(operator.signal(record!.id, "approved", null))
    },
    Effect.scoped,
    Effect.provide(SagaStore.layerMemory)
  )

  it.effect("may have been asked all the same, which is said", () =>
    Effect.gen(function*() {
      const gone = new SagaStore.Unavailable({ store: "The store", problem: "can't be reached", cause: undefined })

      const error = yield* signalled(true, gone)

      assert.deepInclude(error.reason, { _tag: "Unanswered", cause: new SagaStore.SagaStoreError({ reason: gone }) })
      assert.match(
        error.message,
        /^The store is not available: .* What was asked may have come to it all the same, and may still be done\. Don't ask again before/
      )
    }))

  it.effect("has not been asked where it refused to be", () =>
    Effect.gen(function*() {
      const denied = new SagaStore.AccessDenied({ store: "The store", missing: "right", detail: "INSERT is missing." })

      const error = yield* signalled(false, denied)

      assert.strictEqual(error.reason, denied)
    }))
})

describe("options of an operator", () => {
  type Operator = SagaOperator.SagaOperator["Service"]

  const wrong: ReadonlyArray<
    readonly [
      message: string,
      call: (operator: Operator) => Effect.Effect<unknown, unknown> | Stream.Stream<unknown, unknown>
    ]
  > = [
    ["SagaOperator.list: options has to be an object, but is 5", (operator) => operator.list(5 as never)],
    [
      "SagaOperator.list: options has to be an object of statuses, definition, idPrefix, createdFrom, createdBefore, " +
      "updatedBefore, error, attributes, order, after, limit, but is \"one with status\"",
      (operator) => operator.list({ status: "Parked" } as never)
    ],
    [
      "SagaOperator.list: statuses has to be an array, but is \"Parked\"",
      (operator) => operator.list({ statuses: "Parked" as never })
    ],
    [
      "SagaOperator.count: statuses has to be \"Running\" or \"Waiting\" or \"Compensating\" or \"Parked\" or " +
      "\"Completed\" or \"Compensated\" or \"Failed\", but is \"parked\"",
      (operator) => operator.count({ statuses: ["parked" as never] })
    ],
    [
      "SagaOperator.list: limit has to be a whole number of at least 1, but is 0",
      (operator) => operator.list({ limit: 0 })
    ],
    [
      "SagaOperator.listAll: order has to be \"newest\" or \"oldest\", but is \"up\"",
      (operator) => operator.listAll({ order: "up" as never })
    ],
    [
      "SagaOperator.listAll: after.key has to be a whole number, but is undefined",
      (operator) => operator.listAll({ after: { createdAt: 1 } as never })
    ],
    [
      "SagaOperator.watch: idPrefix has to be a string that is not empty, but is \"\"",
      (operator) => operator.watch({ idPrefix: "" })
    ],
    [
      "SagaOperator.count: createdFrom has to be a whole number, but is NaN",
      (operator) => operator.count({ createdFrom: NaN })
    ],
    [
      "SagaOperator.count: attributes.customer has to be a string without zero and half characters, but is 7",
      (operator) => operator.count({ attributes: { customer: 7 as never } })
    ],
    [
      "SagaOperator.stats: window has to be a positive and finite duration, such as \"30 seconds\", but is 0",
      (operator) => operator.stats({ window: 0 })
    ],
    [
      "SagaOperator.timeline: redact has to be true or false, but is 1",
      (operator) => operator.timeline("Trip/1", { redact: 1 as never })
    ],
    [
      "SagaOperator.export: options has to be an object of redact, but is \"one with sealed\"",
      (operator) => operator.export("Trip/1", { sealed: true } as never)
    ],
    [
      "SagaOperator.cancel: options has to be an object of operator, reason, but is \"one with path\"",
      (operator) => operator.cancel("Trip/1", { path: "a" } as never)
    ],
    [
      "SagaOperator.retry: reason has to be a string, but is 5",
      (operator) => operator.retry("Trip/1", { reason: 5 as never })
    ],
    [
      "SagaOperator.signal: name has to be a string that is not empty, but is \"\"",
      (operator) => operator.signal("Trip/1", "", null)
    ],
    [
      "SagaOperator.bulk: action has to be \"retry\" or \"skip\" or \"cancel\", but is \"resolve\"",
      (operator) => operator.bulk("resolve" as never, { filter: {} })
    ],
    [
      "SagaOperator.bulk: filter: options has to be an object, but is undefined",
      (operator) => operator.bulk("retry", {} as never)
    ],
    [
      "SagaOperator.prune: statuses has to be \"Completed\" or \"Compensated\" or \"Failed\", but is \"Parked\"",
      (operator) => operator.prune({ olderThan: "1 day", statuses: ["Parked" as never] })
    ],
    [
      "SagaOperator.prune: olderThan has to be a finite duration, such as \"30 seconds\", but is \"long\"",
      (operator) => operator.prune({ olderThan: "long" as never })
    ],
    [
      "SagaOperator.prune: finishedBefore has to be a whole number, but is \"yesterday\"",
      (operator) => operator.prune({ finishedBefore: "yesterday" as never })
    ],
    [
      "SagaOperator.prune: olderThan has to be left out, but is \"1 day\"",
      (operator) => operator.prune({ finishedBefore: 0, olderThan: "1 day" as never })
    ]
  ]

  for (const [message, call] of wrong) {
    it.effect(`are checked: ${message}`, () =>
      Effect.gen(function*() {
        const operator = yield* SagaOperator.make()

        assert.throws(() => call(operator), RangeError, message)
      }).pipe(Effect.scoped, Effect.provide(SagaStore.layerMemory)))
  }

  it("are checked when it is made", () => {
    assert.throws(
      () => SagaOperator.layer({ answerTimeout: "-1 second" }),
      RangeError,
      "SagaOperator.layer: answerTimeout has to be a positive and finite duration, such as \"30 seconds\", but is \"-1 second\""
    )
    assert.throws(() => SagaOperator.make({ timeout: 1 } as never), RangeError, "SagaOperator.make: options has to be")
  })
})
