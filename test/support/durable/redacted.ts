/*
 * Sagas with secrets: they are stored and given back, and whoever looks at an execution sees none of them.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Redacted, Schema } from "effect"
import { DurableSaga, Saga, SagaReport, SagaTimeline, Signal, Step } from "effect-saga"
import { mask } from "../../../src/internal/redaction.ts"
import { expectGolden } from "../golden.ts"
import { causeOf, compensationFailedIn, reportOf } from "../results.ts"
import { settle, start, type TestEngine, testsOn } from "./engine.ts"
import type { StorageLayer } from "./storage.ts"

const { Redacted: Hidden, RedactedFromValue, String: Text } = Schema

const secret = (name: string) => Redacted.make(`SECRET ${name}`)

class Declined extends Schema.TaggedError<Declined>()("Declined", { shop: Text, card: Hidden(Text) }) {}

class RefundFailed extends Schema.TaggedError<RefundFailed>()("RefundFailed", { token: RedactedFromValue(Text) }) {}

/* Of no schema of the step that fails with it. */
class Unforeseen extends Schema.TaggedError<Unforeseen>()("Unforeseen", { card: Hidden(Text) }) {}

const Order = DurableSaga.make("Order", {
  payload: Schema.Struct({ id: Text, card: RedactedFromValue(Text, { label: "card" }) }),
  success: Hidden(Text),
  error: Declined,
  idempotencyKey: ({ id }) => id
})

const Pin = Signal.make("pin", Schema.Struct({ pin: Hidden(Text) }))

const payload = { id: "1", card: Redacted.make("SECRET card", { label: "card" }) }

/** Orders that wait for a pin after the charge, and then end as `outcome` says. */
const makeShop = (outcome: "delivered" | "declined" | "unforeseen") => {
  const seen: Array<string> = []
  const see = (what: string, value: Redacted.Redacted<string>) =>
    Effect.sync(() => {
      seen.push(`${what} ${Redacted.value(value)}`)
    })
  const state = { broken: true }
  const charge = Step.make("charge", {
    input: Schema.Struct({ shop: Text, card: Hidden(Text) }),
    success: Schema.Struct({ token: Hidden(Text), amount: Schema.Number }),
    compensationError: RefundFailed,
    action: ({ card }) => Effect.as(see("charge", card), { token: secret("token"), amount: 5 }),
    compensate: ({ token }) =>
      Effect.andThen(
        see("refund", token),
        Effect.suspend(() => state.broken ? Effect.fail(new RefundFailed({ token })) : Effect.void)
      )
  })
  const ship = Step.make("ship", {
    input: Hidden(Text),
    error: Declined,
    action: (pin) => {
      if (outcome === "delivered") return see("ship", pin)
      return outcome === "declined"
        ? Effect.fail(new Declined({ shop: "corner", card: secret("declined") }))
        : Effect.die(new Unforeseen({ card: secret("unforeseen") }))
    }
  })
  const definitions = (shop = "corner") =>
    Order.toLayer(({ card }) =>
      Effect.gen(function*() {
        yield* see("payload", card)
        const { token } = yield* charge({ shop, card: Redacted.make(Redacted.value(card)) })
        yield* see("token", token)
        const { pin } = yield* Pin.await
        yield* ship(pin)
        return token
      })
    )
  return { definitions, seen, state }
}

/** What operators can get of an execution: none of it has a secret, while the journal has them all in marks. */
const look = Effect.fnUntraced(function*(engine: TestEngine, id: string) {
  const record = yield* engine.service.get(id)
  const events = yield* engine.history(id)
  const shown: Array<string> = [JSON.stringify(record), JSON.stringify(events.map((event) => mask(event as never)))]
  for (let length = 1; length <= events.length; length++) {
    const timeline = SagaTimeline.make({ record, events: events.slice(0, length) })
    shown.push(JSON.stringify(timeline), SagaTimeline.render(timeline, { now: events.at(-1)!.at, width: 160 }))
  }
  for (const text of shown) assert.notInclude(text, "SECRET")
  assert.include(JSON.stringify(events), "SECRET")
  assert.include(shown.at(-1)!, "<redacted>")
  return { text: shown.at(-1)!, record }
})

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)
  const logged: Array<string> = []
  const keepLogs = Effect.provide(
    Logger.layer([Logger.map(Logger.formatLogFmt, (line) => {
      logged.push(line)
    })])
  )

  describe(`${name}: a saga with secrets`, () => {
    test(
      "gets them as they were, at once and after a crash, and nobody who looks sees one",
      Effect.gen(function*() {
        const { definitions, seen } = makeShop("delivered")
        const first = yield* start(definitions())
        yield* first.use(Order.start(payload))
        yield* first.reaches("Order/1", "Waiting")
        yield* settle
        yield* look(first, "Order/1")
        yield* first.crash

        const second = yield* start(definitions())
        yield* second.reaches("Order/1", "Waiting")
        yield* second.use(Order.signal("Order/1", Pin, { pin: secret("pin") }))
        const token = yield* second.use(Order.await("Order/1"))

        assert.strictEqual(Redacted.value(token), "SECRET token")
        assert.deepStrictEqual(seen, [
          "payload SECRET card",
          "charge SECRET card",
          "token SECRET token",
          "payload SECRET card",
          "token SECRET token",
          "ship SECRET pin"
        ])
        const { record } = yield* look(second, "Order/1")
        assert.strictEqual(record.status, "Completed")
      })
    )

    test(
      "fails, parks and is undone without showing them, and its errors have them",
      Effect.gen(function*() {
        const { definitions, seen, state } = makeShop("declined")
        const first = yield* start(definitions())
        yield* first.use(Order.start(payload))
        yield* first.use(Order.signal("Order/1", Pin, { pin: secret("pin") }))
        yield* first.reaches("Order/1", "Parked")
        const parked = yield* look(first, "Order/1")
        assert.strictEqual(parked.record.error, "RefundFailed")
        yield* settle
        yield* first.crash

        state.broken = false
        const second = yield* start(definitions())
        yield* second.service.retry("Order/1")
        const exit = yield* second.exit(Order.await("Order/1"))

        const error = Cause.squash(causeOf(exit))
        assert.instanceOf(error, Declined)
        assert.strictEqual(Redacted.value((error as Declined).card), "SECRET declined")
        assert.deepStrictEqual(seen.filter((line) => line.startsWith("refund")), [
          "refund SECRET token",
          "refund SECRET token"
        ])
        const { text } = yield* look(second, "Order/1")
        yield* Effect.promise(() => expectGolden(new URL("../../golden/redacted.txt", import.meta.url), `${text}\n`))
        assert.notInclude(logged.join("\n"), "SECRET")
        assert.include(logged.join("\n"), "Order/1")
      }).pipe(keepLogs)
    )

    test(
      "that dies of an error with secrets shows none",
      Effect.gen(function*() {
        const { definitions, state } = makeShop("unforeseen")
        state.broken = false
        const engine = yield* start(definitions())
        yield* engine.use(Order.start(payload))
        yield* engine.use(Order.signal("Order/1", Pin, { pin: secret("pin") }))
        const exit = yield* engine.exit(Order.await("Order/1"))

        assert.notInclude(Cause.pretty(causeOf(exit)), "SECRET")
        yield* look(engine, "Order/1")
      })
    )

    test(
      "is parked without showing them where its code asks for something else",
      Effect.gen(function*() {
        const first = yield* start(makeShop("delivered").definitions())
        yield* first.use(Order.start(payload))
        yield* first.reaches("Order/1", "Waiting")
        yield* settle
        yield* first.crash

        const second = yield* start(makeShop("delivered").definitions("other"))
        yield* second.reaches("Order/1", "Parked")

        const { record } = yield* look(second, "Order/1")
        assert.include(
          record.reason,
          `had the input {"shop":"corner","card":<redacted>}, and gets {"shop":"other","card":<redacted>} now`
        )
      })
    )

    test(
      "goes on where they were stored before they were marked as such",
      Effect.gen(function*() {
        const define = <A>(text: Schema.Codec<A, string>, toText: (value: A) => string) => {
          const echo = Step.make("echo", { input: text, success: text, action: (value: A) => Effect.succeed(value) })
          const definition = DurableSaga.make("Login", {
            payload: Schema.Struct({ id: Text, password: text }),
            success: text,
            idempotencyKey: ({ id }) => id
          })
          return {
            definition,
            layer: definition.toLayer(({ password }) =>
              Effect.gen(function*() {
                const echoed = yield* echo(password)
                yield* Pin.await
                assert.strictEqual(toText(echoed), "SECRET")
                return echoed
              })
            )
          }
        }
        const before = define(Text, (text) => text)
        const first = yield* start(before.layer)
        yield* first.use(before.definition.start({ id: "1", password: "SECRET" }))
        yield* first.reaches("Login/1", "Waiting")
        yield* settle
        yield* first.crash

        const after = define(RedactedFromValue(Text), Redacted.value)
        const second = yield* start(after.layer)
        yield* second.use(after.definition.signal("Login/1", Pin, { pin: secret("pin") }))
        const password = yield* second.use(after.definition.await("Login/1"))

        assert.strictEqual(Redacted.value(password), "SECRET")
      })
    )

    test(
      "takes them from an operator with a mark, and without one",
      Effect.gen(function*() {
        const { definitions, seen } = makeShop("delivered")
        const engine = yield* start(definitions())
        for (const [id, pin] of [["1", { "~redacted": "SECRET marked" }], ["2", "SECRET plain"]] as const) {
          yield* engine.use(Order.start({ ...payload, id }))
          yield* engine.service.signal(`Order/${id}`, "pin", { pin })
          yield* engine.use(Order.await(`Order/${id}`))
        }

        assert.deepStrictEqual(seen.filter((line) => line.startsWith("ship")), [
          "ship SECRET marked",
          "ship SECRET plain"
        ])
      })
    )
  })

  describe(`${name}: secrets in a report`, () => {
    test(
      "of a saga that is not kept are not shown",
      Effect.gen(function*() {
        const exit = yield* Saga.step(
          Effect.succeed({ token: secret("token") }),
          ({ token }) => Effect.fail(new RefundFailed({ token })),
          { name: "charge" }
        ).pipe(
          Effect.andThen(Effect.fail(new Declined({ shop: "corner", card: secret("card") }))),
          Saga.transact({ name: "Order" }),
          Effect.exit
        )

        const report = reportOf(exit)
        const failed = compensationFailedIn(causeOf(exit))
        const texts = [
          SagaReport.render(report),
          SagaReport.summarize(report),
          failed.message,
          String(failed),
          Cause.pretty(causeOf(exit)),
          JSON.stringify(exit)
        ]
        for (const text of texts) assert.notInclude(text, "SECRET")
        assert.isTrue(Exit.isFailure(exit))
      })
    )
  })
}
