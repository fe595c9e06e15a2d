/*
 * Search attributes: what executions are looked for by.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { DurableSaga, type JournalEvent } from "effect-saga"
import { makeMixedText } from "../mixedText.ts"
import { refusal, restarted, start, testsOn } from "./engine.ts"
import { backwards, connect } from "./processes.ts"
import { Trip } from "./sagas.ts"
import type { StorageLayer } from "./storage.ts"

const Order = DurableSaga.make("Order", {
  payload: Schema.Struct({
    id: Schema.String,
    customer: Schema.optionalKey(Schema.String),
    nights: Schema.optionalKey(Schema.Number)
  }),
  idempotencyKey: ({ id }) => id,
  attributes: ({ customer, nights }) => ({ customer, nights, long: nights === undefined ? undefined : nights > 7 })
})

const startedOf = (events: ReadonlyArray<JournalEvent.JournalEvent>) => {
  const [started] = events
  return started?._tag === "ExecutionStarted" ? started : assert.fail("The first event is another one.")
}

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: search attributes`, () => {
    test(
      "are kept as texts, with the start of an execution, and found in lists",
      Effect.gen(function*() {
        const definitions = Order.toLayer(() => Effect.void)
        const first = yield* start(definitions)
        yield* first.use(Order.start({ id: "1", customer: "Zoë", nights: 9 }))
        yield* first.use(Order.execute({ id: "2", customer: "Ann", nights: 9 }))
        const attributes = { customer: "Zoë", nights: "9", long: "true" }

        const before = yield* first.service.get("Order/1")
        const engine = yield* restarted(first, "stop", definitions)
        const after = yield* engine.service.get("Order/1")
        const found = yield* engine.service.list({ attributes: { customer: "Zoë", long: "true" } })

        assert.deepStrictEqual(before.attributes, attributes)
        assert.deepStrictEqual(after.attributes, attributes)
        assert.deepStrictEqual(startedOf(yield* engine.history("Order/1")).attributes, attributes)
        assert.deepStrictEqual(found.map(({ id }) => id), ["Order/1"])
      })
    )

    test(
      "that are undefined, or of a definition without any, leave no trace in the journal",
      Effect.gen(function*() {
        const engine = yield* start(Order.toLayer(() => Effect.void))
        yield* engine.use(Order.start({ id: "1" }))
        yield* engine.use(Trip.start("1"))

        for (const id of ["Order/1", "Trip/1"]) {
          assert.deepStrictEqual((yield* engine.service.get(id)).attributes, {})
          assert.notProperty(startedOf(yield* engine.history(id)), "attributes")
        }
      })
    )

    test(
      "stay those of the first start where another one joins it",
      Effect.gen(function*() {
        const engine = yield* start(Order.toLayer(() => Effect.void))
        yield* engine.use(Order.execute({ id: "1", customer: "Ann" }))

        yield* engine.use(Order.execute({ id: "1", customer: "Bob" }))

        assert.deepStrictEqual((yield* engine.service.get("Order/1")).attributes, { customer: "Ann" })
      })
    )

    test(
      "of what a client starts are kept, too",
      Effect.gen(function*() {
        const engine = yield* start(Order.toLayer(() => Effect.void))
        const client = yield* connect()

        yield* client.use(Order.execute({ id: "1", customer: "Ann" }))
        yield* client.use(Order.execute({ id: "2" }))

        assert.deepStrictEqual((yield* engine.service.get("Order/1")).attributes, { customer: "Ann" })
        assert.deepStrictEqual((yield* engine.service.get("Order/2")).attributes, {})
      })
    )

    test(
      "of a child are those of its own definition",
      Effect.gen(function*() {
        const Parent = DurableSaga.make("Parent", {
          idempotencyKey: () => "1",
          attributes: () => ({ kind: "parent" })
        })
        const engine = yield* start(Order.toLayer(() => Effect.void))
        yield* engine.register(Parent.toLayer(() => Order.execute({ id: "1", customer: "Ann" })))

        yield* engine.use(Parent.execute())

        assert.deepStrictEqual((yield* engine.service.get("Parent/1")).attributes, { kind: "parent" })
        const child = yield* engine.service.get("Order/1")
        assert.deepStrictEqual([child.parent, child.attributes], ["Parent/1", { customer: "Ann" }])
      })
    )

    test(
      "are not sealed by a payload codec",
      Effect.gen(function*() {
        const engine = yield* start(Order.toLayer(() => Effect.void), { codec: backwards })

        yield* engine.use(Order.execute({ id: "1", customer: "Ann" }))

        assert.deepStrictEqual((yield* engine.service.get("Order/1")).attributes, { customer: "Ann" })
        assert.notInclude(JSON.stringify(startedOf(yield* engine.history("Order/1")).payload), "Ann")
      })
    )
  })

  describe(`${name}: attributes that can't be kept`, () => {
    const wrong: ReadonlyArray<readonly [what: string, attributes: unknown, message: RegExp]> = [
      ["no object", "Ann", /attributes have to be an object/],
      ["nothing", null, /attributes have to be an object/],
      ["a list", ["Ann"], /attributes have to be an object/],
      ["a value of another kind", { customer: { name: "Ann" } }, /attribute "customer" has to be a text, a number/],
      ["a long value", { customer: "x".repeat(501) }, /attribute "customer" has 501 characters, and may have 500/],
      ["a zero character", { customer: "\0" }, /attribute "customer" has zero or half characters/],
      ["an empty name", { "": 1 }, /names of attributes have to be texts of 1 to 100 characters/],
      ["a long name", { ["x".repeat(101)]: 1 }, /names of attributes have to be texts of 1 to 100 characters/],
      [
        "too many",
        Object.fromEntries(Array.from({ length: 21 }, (_, index) => [index, index])),
        /has 21 attributes, and may have 20/
      ]
    ]
    for (const [what, attributes, message] of wrong) {
      test(
        `refuse the start: ${what}`,
        Effect.gen(function*() {
          const Wrong = DurableSaga.make("Wrong", { idempotencyKey: () => "1", attributes: () => attributes as never })
          const engine = yield* start(Wrong.toLayer(() => Effect.void))

          const why = yield* engine.use(refusal(Wrong.start()))

          assert.match(why, /^InvalidPayload: The payload of "Wrong" can't be used: /)
          assert.match(why, message)
          assert.deepStrictEqual(yield* engine.service.list(), [])
        })
      )
    }

    test(
      "are none at their limits, with the longest name of a definition and of an error",
      Effect.gen(function*() {
        const longest = makeMixedText()
        const attributes = Object.fromEntries(Array.from({ length: 20 }, () => [longest(100), longest(500)]))
        const name = longest(200)
        const tag = longest(300)
        const key = longest(1000)
        const Large = DurableSaga.make(name, {
          error: Schema.TaggedStruct(tag, {}),
          idempotencyKey: () => key,
          attributes: () => attributes
        })
        const engine = yield* start(Large.toLayer(() => Effect.fail({ _tag: tag })))

        yield* Effect.exit(engine.use(Large.execute()))

        const [found] = yield* engine.service.list()
        assert.deepInclude(found!, { definition: name, error: tag.slice(0, 200), attributes })
      })
    )
  })
}
