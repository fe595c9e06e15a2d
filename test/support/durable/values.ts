/*
 * What goes into a step and comes out of it.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Option, Schema } from "effect"
import { DurableSaga, Step } from "effect-saga"
import { causeOf } from "../results.ts"
import { refusal, settle, start, testsOn } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

class Seat extends Schema.Class<Seat>("Seat")({ row: Schema.Number, letter: Schema.String }) {
  get label() {
    return `${this.row}${this.letter}`
  }
}

class NoSeat extends Schema.TaggedError<NoSeat>()("NoSeat", { flight: Schema.String, asked: Schema.Date }) {}

const at = new Date("2026-01-02T03:04:05.678Z")

/** A value of each kind that a step may be given and give back, with its schema. */
const kinds: ReadonlyArray<readonly [string, Schema.ConstraintCodec<unknown, unknown>, unknown]> = [
  ["an instance of a class", Seat, new Seat({ row: 12, letter: "A" })],
  ["a date", Schema.Date, at],
  ["some of an option", Schema.Option(Seat), Option.some(new Seat({ row: 1, letter: "B" }))],
  ["none of an option", Schema.Option(Seat), Option.none()],
  ["an array", Schema.Array(Schema.Number), [1, 2, 3]],
  ["an array in an array", Schema.Array(Schema.Array(Schema.Null)), [[null], []]],
  ["an empty array", Schema.Array(Schema.Number), []],
  ["null", Schema.Null, null],
  ["undefined", Schema.Undefined, undefined],
  ["zero", Schema.Number, 0],
  ["not a number", Schema.Number, Number.NaN],
  ["infinity", Schema.Number, Number.POSITIVE_INFINITY],
  ["false", Schema.Boolean, false],
  ["an empty text", Schema.String, ""],
  ["a text of any characters", Schema.String, "ä\u0000\"'\n🚀"],
  ["a big integer", Schema.BigInt, 12345678901234567890n],
  ["a map", Schema.ReadonlyMap(Schema.String, Schema.Date), new Map([["a", at]])],
  ["an error as a value", NoSeat, new NoSeat({ flight: "LH1", asked: at })]
]

const nested = (levels: number): Schema.Json => levels === 0 ? "bottom" : [nested(levels - 1)]

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a value`, () => {
    for (const [kind, schema, value] of kinds) {
      test(
        `that is ${kind} arrives unchanged, at once and from the journal`,
        Effect.gen(function*() {
          const seen: Array<readonly [string, unknown]> = []
          const gate = yield* makeGate
          const echo = Step.make("echo", {
            input: schema,
            success: schema,
            action: (input) =>
              Effect.sync(() => {
                seen.push(["action", input])
                return input
              }),
            compensate: (value, { input }) =>
              Effect.sync(() => seen.push(["value undone", value], ["input undone", input]))
          })
          const wait = Step.make("wait", {
            error: Schema.String,
            action: () => Effect.andThen(gate.pass, Effect.fail("stop"))
          })
          const definitions = Careless.toLayer(() =>
            Effect.gen(function*() {
              const result = yield* echo(value)
              seen.push(["body", result])
              yield* wait()
              return null
            })
          )
          const engine = yield* start(definitions)
          yield* engine.use(Careless.start("1"))
          yield* gate.arrived
          yield* engine.crash
          yield* gate.openToOthers

          const later = yield* start(definitions)
          yield* later.exit(Careless.await("Careless/1"))

          assert.deepStrictEqual(seen.map(([where]) => where), [
            "action",
            "body",
            "body",
            "value undone",
            "input undone"
          ])
          for (const [where, one] of seen) assert.deepStrictEqual(one, value, where)
        })
      )
    }

    test(
      "that JSON keeps as another one is compared as that after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const input = { when: at, nothing: undefined, list: [Number.NaN, undefined], zero: -0 }
        const step = Step.make("step", { input: Schema.Any, success: Schema.Any, action: () => Effect.succeed(input) })
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Trip.toLayer(() => Effect.as(Effect.andThen(step(input), wait()), null))
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* engine.crash
        yield* gate.openToOthers

        const later = yield* start(definitions)
        yield* later.use(Trip.await("Trip/1"))

        const ended = (yield* later.history("Trip/1")).find((event) => event._tag === "StepSucceeded")
        const kept = { when: at.toISOString(), list: [null, null], zero: 0 }
        assert.deepInclude(ended!, { input: kept, value: kept })
      })
    )

    test(
      "that is nested 500 levels deep goes everywhere, and one level more nowhere",
      Effect.gen(function*() {
        const Deep = DurableSaga.make("Deep", {
          payload: Schema.Json,
          success: Schema.Json,
          error: Schema.Json,
          idempotencyKey: () => "1"
        })
        const step = Step.make("step", {
          input: Schema.Json,
          success: Schema.Never,
          error: Schema.Json,
          action: (value) => Effect.fail(value)
        })
        const engine = yield* start(Deep.toLayer((payload) => Effect.flip(step(payload))))

        const reason = yield* engine.use(refusal(Deep.start(nested(501))))
        const value = yield* engine.use(Deep.execute(nested(500)))

        assert.strictEqual(
          reason,
          "InvalidPayload: The payload of \"Deep\" can't be used: It is nested deeper than 500 levels, or within itself"
        )
        assert.deepStrictEqual(value, nested(500))
      })
    )

    test(
      "that the saga changes later is kept as it was",
      Effect.gen(function*() {
        const value: Array<unknown> = [1]
        const step = Step.make("step", { success: Schema.Any, action: () => Effect.succeed(value) })
        const engine = yield* start(Trip.toLayer(() =>
          Effect.map(step(), () => {
            value.push(value)
            return null
          })
        ))

        yield* engine.use(Trip.execute("1"))

        const ended = (yield* engine.history("Trip/1")).find((event) => event._tag === "StepSucceeded")
        assert.deepInclude(ended!, { value: [1] })
      })
    )

    test(
      "of an error keeps its class in the body, at once and from the journal",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const book = Step.make("book", {
          success: Schema.Never,
          error: NoSeat,
          action: () => Effect.fail(new NoSeat({ flight: "LH1", asked: at }))
        })
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(book())
            assert.instanceOf(error, NoSeat)
            assert.deepStrictEqual(error.asked, at)
            yield* wait()
            return error.flight
          })
        )
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* engine.crash
        yield* gate.openToOthers

        const later = yield* start(definitions)

        assert.strictEqual(yield* later.use(Trip.await("Trip/1")), "LH1")
      })
    )

    test(
      "that does not fit as an input is a defect: the action does not run, and the saga is undone",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const seat = Step.make("seat", {
          input: Schema.Number,
          action: () => ledger.note("seat"),
          compensate: () => ledger.note("undo seat")
        })
        const engine = yield* start(
          Trip.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), seat("12A" as never)), null))
        )

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.match(endingOf(exit), /^Die The input of step "seat" does not fit its schema: .*Expected number/s)
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensated")
      })
    )

    test(
      "that has no schema is given to nobody, so that a crash takes nothing away",
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const charge = Step.make("charge", {
          action: () => Effect.succeed("receipt" as unknown as void),
          compensate: (value) => Effect.sync(() => seen.push(value))
        })
        const engine = yield* start(
          Trip.toLayer(() => Effect.andThen(Effect.map(charge(), (value) => seen.push(value)), Effect.fail("stop")))
        )

        yield* engine.exit(Trip.execute("1"))

        assert.deepStrictEqual(seen, [undefined, undefined])
      })
    )

    test(
      "that does not fit as a success is undone at once, and the step dies",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const seat = Step.make("seat", {
          success: Schema.Number,
          action: () => Effect.as(ledger.note("seat"), "12A" as never),
          compensate: (value) => ledger.note(`undo seat ${value}`)
        })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Effect.catchCause(seat(), () => ledger.note("caught"))
            return yield* ledger.step("b")
          })
        )
        const engine = yield* start(definitions)

        const value = yield* engine.use(Trip.execute("1"))

        assert.strictEqual(value, "b")
        assert.deepStrictEqual(ledger.lines, ["a", "seat", "undo seat 12A", "caught", "b"])
        const failed = (yield* engine.history("Trip/1")).find((event) => event._tag === "StepFailed")
        assert.include(JSON.stringify(failed), "The success of step \\\"seat\\\" does not fit its schema")
      })
    )

    describe("that does not fit as a success, and can't be undone at once,", () => {
      const stuck = Effect.gen(function*() {
        const ledger = yield* makeLedger
        const state = { broken: true }
        const seat = Step.make("seat", {
          success: Schema.Number,
          compensationError: Schema.String,
          action: () => Effect.succeed("12A" as never),
          compensate: (value) => state.broken ? Effect.fail("stuck") : ledger.note(`undo seat ${value}`)
        })
        const definitions = Trip.toLayer(() => Effect.andThen(ledger.step("a"), seat()))
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        return { definitions, engine, ledger, state }
      })

      test(
        "is parked, and undone with the saga when it can be",
        Effect.gen(function*() {
          const { engine, ledger, state } = yield* stuck
          state.broken = false
          yield* engine.service.retry("Trip/1")
          const exit = yield* engine.exit(Trip.await("Trip/1"))

          assert.deepStrictEqual(ledger.lines, ["a", "undo seat 12A", "undo a"])
          assert.include(Cause.pretty(causeOf(exit)), "The success of step \"seat\" does not fit its schema")
          assert.include(Cause.pretty(causeOf(exit)), "stuck")
          assert.strictEqual((yield* engine.service.get("Trip/1")).status, "Compensated")
        })
      )

      test(
        "needs an operator after a crash, as its value is lost then",
        Effect.gen(function*() {
          const { definitions, engine, ledger, state } = yield* stuck
          yield* engine.crash
          state.broken = false
          const second = yield* start(definitions)
          yield* second.reaches("Trip/1", "Parked")
          yield* settle
          yield* second.service.retry("Trip/1")
          yield* settle
          const { reason } = yield* second.reaches("Trip/1", "Parked")
          yield* second.service.resolve("Trip/1")
          yield* second.exit(Trip.await("Trip/1"))

          assert.match(reason!, /^Step "seat" could not be undone: .* a restart has lost it/)
          assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
          assert.strictEqual((yield* second.service.get("Trip/1")).status, "Compensated")
        })
      )
    })
  })
}
