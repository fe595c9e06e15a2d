/*
 * The kinds of errors, which records have.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { DurableSaga, Saga, Step } from "effect-saga"
import { pass, restarted, start, testsOn } from "./engine.ts"
import { backwards } from "./processes.ts"
import { Careless, Go, makeGate, makeLedger } from "./sagas.ts"
import type { StorageLayer } from "./storage.ts"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { card: Schema.String }) {}

class HotelClosed extends Schema.TaggedError<HotelClosed>()("HotelClosed", {}) {}

const define = <const Name extends string>(name: Name, onCompensationFailure: "park" | "fail") =>
  DurableSaga.make(name, {
    payload: Schema.String,
    success: Schema.Json,
    error: Schema.Union([CardDeclined, Schema.String]),
    idempotencyKey: (id) => id,
    onCompensationFailure
  })

const Stay = define("Stay", "park")
const CarelessStay = define("CarelessStay", "fail")

const decline = Step.make("pay", {
  success: Schema.Json,
  error: CardDeclined,
  action: () => Effect.fail(new CardDeclined({ card: "4242" }))
})

const plain = (name: string) => Step.make(name, { action: () => Effect.void, compensate: () => Effect.void })()

const stuck = (name: string, isBroken: () => boolean) =>
  Step.make(name, {
    compensationError: HotelClosed,
    action: () => Effect.void,
    compensate: () => Effect.suspend(() => isBroken() ? Effect.fail(new HotelClosed()) : Effect.void)
  })()

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: the error of a record`, () => {
    test(
      "is the kind of what a compensation failed with while that is parked, then of what the saga is undone for",
      Effect.gen(function*() {
        let broken = true
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const engine = yield* start(Stay.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.slowlyUndone(gate.pass)
            yield* stuck("b", () => broken)
            return yield* decline()
          })
        ))
        const errorNow = Effect.map(Effect.orDie(engine.service.get("Stay/1")), ({ error }) => error)
        yield* engine.use(Stay.start("1"))
        yield* engine.reaches("Stay/1", "Parked")

        const parked = yield* errorNow
        broken = false
        yield* engine.service.retry("Stay/1")
        yield* gate.arrived
        const undoing = yield* errorNow
        yield* gate.open
        yield* engine.exit(Stay.await("Stay/1"))
        const undone = yield* errorNow

        assert.deepStrictEqual([parked, undoing, undone], ["HotelClosed", "CardDeclined", "CardDeclined"])
      })
    )

    test(
      "is why it failed while it is parked after its pivot, and CommittedIncomplete once it is skipped",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Stay.toLayer(() => Effect.andThen(Saga.pivot(ledger.step("a")), decline()))
        const first = yield* start(definitions)
        yield* first.use(Stay.start("1"))
        yield* first.reaches("Stay/1", "Parked")
        const engine = yield* restarted(first, "crash", definitions)

        const parked = yield* engine.service.get("Stay/1")
        yield* engine.service.skip("Stay/1")
        const failed = yield* engine.service.get("Stay/1")

        assert.deepStrictEqual([parked.error, failed.error], ["CardDeclined", "CommittedIncomplete"])
        assert.deepStrictEqual(yield* engine.service.list({ error: "CommittedIncomplete" }), [failed])
      })
    )

    test(
      "is CompensationFailed where something was not undone",
      Effect.gen(function*() {
        const engine = yield* start(CarelessStay.toLayer(() => Effect.andThen(stuck("b", () => true), decline())))

        yield* engine.exit(CarelessStay.execute("1"))

        const { error, status } = yield* engine.service.get("CarelessStay/1")
        assert.deepStrictEqual([status, error], ["Failed", "CompensationFailed"])
      })
    )

    test(
      "is the class of a defect, and none of a failure that has no kind, of a success or of a cancellation",
      Effect.gen(function*() {
        const fails = {
          defect: Effect.die(new TypeError("a bug")),
          text: Effect.fail("no"),
          success: Effect.succeed("yes"),
          cancellation: Go.await
        }
        const engine = yield* start(
          Stay.toLayer((id) => Effect.andThen(plain("a"), Effect.suspend(() => fails[id as keyof typeof fails])))
        )
        for (const id of Object.keys(fails)) yield* engine.use(Stay.start(id))
        yield* engine.reaches("Stay/cancellation", "Waiting")
        yield* engine.service.cancel("Stay/cancellation")
        for (const id of Object.keys(fails)) yield* engine.exit(Stay.await(`Stay/${id}`))

        const errors = yield* Effect.forEach(
          Object.keys(fails),
          (id) => Effect.map(engine.service.get(`Stay/${id}`), ({ error }) => [id, error])
        )

        assert.deepStrictEqual(Object.fromEntries(errors), {
          defect: "TypeError",
          text: null,
          success: null,
          cancellation: null
        })
      })
    )

    test(
      "is what keeps its code from running, and nothing once it runs",
      Effect.gen(function*() {
        const before = yield* start(Stay.toLayer(() => Effect.andThen(plain("a"), Go.await)))
        yield* before.use(Stay.start("1"))
        yield* before.reaches("Stay/1", "Waiting")

        const changed = yield* restarted(before, "stop", Stay.toLayer(() => Effect.andThen(plain("b"), Go.await)))
        yield* pass("10 seconds")
        const { error: mismatch } = yield* changed.service.get("Stay/1")
        const without = yield* restarted(changed, "stop", Careless.toLayer(() => Effect.succeed(null)))
        yield* without.service.start({ id: "Other/1", definition: "Other", version: 1, payload: null })
        yield* pass("20 seconds")
        const { error: unregistered } = yield* without.service.get("Other/1")
        const same = yield* restarted(without, "stop", Stay.toLayer(() => Effect.andThen(plain("a"), Go.await)))
        yield* same.use(Stay.signal("Stay/1", Go, "go"))
        yield* same.use(Stay.await("Stay/1"))
        const { error: none } = yield* same.service.get("Stay/1")

        assert.deepStrictEqual([mismatch, unregistered, none], ["Mismatch", "NotRegistered", null])
      })
    )

    test(
      "is cut where it is long, is no half character, and has no zero ones",
      Effect.gen(function*() {
        const long = DurableSaga.make("Long", {
          payload: Schema.String,
          error: Schema.Struct({ _tag: Schema.String }),
          idempotencyKey: (id) => id
        })
        const tags = { long: `${"x".repeat(199)}🛫${"y".repeat(99)}`, zero: "Card\0Declined", empty: "" }
        const engine = yield* start(
          long.toLayer((id) => Effect.fail({ _tag: tags[id as keyof typeof tags] }))
        )
        for (const id of Object.keys(tags)) yield* engine.exit(long.execute(id))

        const errors = yield* Effect.forEach(
          Object.keys(tags),
          (id) => Effect.map(engine.service.get(`Long/${id}`), ({ error }) => error)
        )

        assert.deepStrictEqual(errors, ["x".repeat(199), "CardDeclined", null])
      })
    )

    test(
      "is none where a payload codec seals the failure",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Stay.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), decline()), null)), {
          codec: backwards
        })

        yield* engine.exit(Stay.execute("1"))

        const { error, status } = yield* engine.service.get("Stay/1")
        assert.deepStrictEqual([status, error], ["Compensated", null])
      })
    )
  })
}
