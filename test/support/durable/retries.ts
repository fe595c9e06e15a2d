/*
 * When an action is tried again.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Fiber, Schedule, Schema } from "effect"
import { Step } from "effect-saga"
import { causeOf } from "../results.ts"
import { pass, start, testsOn, whileTimePasses } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

class NoSeat extends Schema.TaggedError<NoSeat>()("NoSeat", { flight: Schema.String, asked: Schema.Date }) {}

const at = new Date("2026-01-02T03:04:05.678Z")

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: an action that is tried again`, () => {
    test(
      "waits as long as its schedule says, counted from when the attempt failed",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const charge = Step.make("charge", {
          error: Schema.String,
          action: (_, { attempt }) =>
            Effect.andThen(note(`attempt ${attempt}`), attempt < 4 ? Effect.fail("busy") : Effect.void),
          retry: Schedule.exponential("1 second")
        })
        const engine = yield* start(Trip.toLayer(() => Effect.as(charge(), null)))
        yield* engine.use(Trip.start("1"))
        const after = function*(seconds: number) {
          yield* pass(seconds * 1000)
          return lines.length
        }

        const counts = [
          yield* after(0.999),
          yield* after(0.001),
          yield* after(1.999),
          yield* after(0.001),
          yield* after(3.999),
          yield* after(0.001)
        ]

        assert.deepStrictEqual(counts, [1, 2, 2, 3, 3, 4])
        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), null)
        const failed = (yield* engine.history("Trip/1")).filter((event) => event._tag === "AttemptFailed")
        assert.deepStrictEqual(failed.map(({ attempt, at, retryAt }) => [attempt, at, retryAt]), [
          [1, 0, 1000],
          [2, 1000, 3000],
          [3, 3000, 7000]
        ])
      })
    )

    test(
      "is tried when it is due, and as often as it is due, also where the engine restarts in between",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const charge = Step.make("charge", {
          error: Schema.String,
          action: (_, { attempt }) => Effect.andThen(note(`attempt ${attempt}`), Effect.fail("busy")),
          retry: Schedule.spaced("10 seconds").pipe(Schedule.upTo({ times: 3 }))
        })
        const definitions = Trip.toLayer(() => Effect.as(charge(), null))

        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("4 seconds")
        yield* first.stop
        const second = yield* start(definitions)
        yield* pass("5.999 seconds")
        assert.deepStrictEqual(lines, ["attempt 1"])
        yield* pass("1 millis")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2"])
        yield* second.crash
        yield* pass("30 seconds")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2"])
        const third = yield* start(definitions)
        const exit = yield* Effect.forkChild(third.exit(Trip.await("Trip/1")))
        yield* pass("10 seconds")

        assert.strictEqual(endingOf(yield* Fiber.join(exit)), "Fail busy")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2", "attempt 3", "attempt 4"])
        const failed = (yield* third.history("Trip/1")).find((event) => event._tag === "StepFailed")
        assert.strictEqual(failed?.attempt, 4)
      })
    )

    test(
      "shares no count of attempts with its compensation, before or after a restart",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const charge = Step.make("charge", {
          error: Schema.String,
          compensationError: Schema.String,
          action: (_, { attempt }) =>
            Effect.andThen(note(`charge ${attempt}`), attempt < 3 ? Effect.fail("busy") : Effect.void),
          compensate: (_, { attempt }) =>
            Effect.andThen(note(`refund ${attempt}`), attempt < 3 ? Effect.fail("busy") : Effect.void),
          retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
          compensationRetry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
        })
        const definitions = Trip.toLayer(() => Effect.andThen(charge(), Effect.fail("stop")))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("1 second")
        yield* pass("1 second")
        assert.deepStrictEqual(lines, ["charge 1", "charge 2", "charge 3", "refund 1"])
        yield* first.stop

        const second = yield* start(definitions)
        const exit = yield* whileTimePasses(second.exit(Trip.await("Trip/1")))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(lines, ["charge 1", "charge 2", "charge 3", "refund 1", "refund 2", "refund 3"])
        const undone = (yield* second.history("Trip/1")).find((event) => event._tag === "CompensationSucceeded")
        assert.strictEqual(undone?.attempt, 3)
      })
    )

    test(
      "is told apart by its error, also by one that is read from the journal",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        // Gives up at the third error that is the same as the first, so a restart must tell it of the first two.
        const countsBusy = Schedule.recurs(100).pipe(
          Schedule.setInputType<NoSeat>(),
          Schedule.while(({ attempt, input }) => input instanceof NoSeat && input.flight === "busy" && attempt < 3)
        )
        const book = Step.make("book", {
          error: NoSeat,
          action: (_, { attempt }) =>
            Effect.andThen(note(`attempt ${attempt}`), Effect.fail(new NoSeat({ flight: "busy", asked: at }))),
          retry: Schedule.addDelay(countsBusy, () => Effect.succeed("5 seconds"))
        })
        const definitions = Trip.toLayer(() => Effect.as(Effect.mapError(book(), (error) => error.flight), null))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("6 seconds")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2"])
        yield* first.crash

        const second = yield* start(definitions)
        const exit = yield* whileTimePasses(second.exit(Trip.await("Trip/1")))

        assert.strictEqual(endingOf(exit), "Fail busy")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2", "attempt 3"])
      })
    )

    test(
      "is not where it died",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const charge = Step.make("charge", {
          error: Schema.String,
          action: () => Effect.andThen(note("charge"), Effect.die("a bug")),
          retry: Schedule.forever
        })
        const engine = yield* start(Trip.toLayer(() => Effect.as(charge(), null)))

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.strictEqual(endingOf(exit), "Die a bug")
        assert.deepStrictEqual(lines, ["charge"])
      })
    )

    test(
      "is given its time limit anew in each attempt, and is known to have timed out",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const charge = Step.make("charge", {
          action: (_, { attempt }) =>
            Effect.andThen(note(`attempt ${attempt}`), attempt < 3 ? Effect.never : Effect.sleep("9 seconds")),
          timeout: "10 seconds",
          retry: Schedule.recurs(5).pipe(
            Schedule.setInputType<Cause.TimeoutError>(),
            Schedule.while(({ input }) => Cause.isTimeoutError(input))
          )
        })
        const engine = yield* start(Trip.toLayer(() => Effect.as(Effect.orDie(charge()), "paid")))

        assert.strictEqual(yield* whileTimePasses(engine.use(Trip.execute("1"))), "paid")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2", "attempt 3"])
        const failed = (yield* engine.history("Trip/1")).filter((event) => event._tag === "AttemptFailed")
        assert.deepStrictEqual(failed.map(({ at }) => at), [10_000, 20_000])
        assert.include(JSON.stringify(failed[0]!.cause), "Step \\\"charge\\\" did not end within 10s.")
      })
    )

    test(
      "and timed out for good is caught by its tag, at once and from the journal, and its outcome is unknown",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = Step.make("slow", { action: () => Effect.never, timeout: "1 second" })
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Careless.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.stubborn("a")
            const caught = yield* slow().pipe(
              Effect.as("in time"),
              Effect.catchTag("TimeoutError", ({ message }) => Effect.succeed(message))
            )
            yield* wait()
            return yield* Effect.fail(caught)
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Careless.start("1"))
        yield* pass("1 second")
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Careless.await("Careless/1"))

        assert.strictEqual(
          endingOf(exit),
          "CompensationFailed a: CompensationFailed, slow: Unknown, wait: NoCompensation"
        )
        assert.include(Cause.pretty(causeOf(exit)), "Step \"slow\" did not end within 1s.")
      })
    )
  })

  describe(`${name}: an ambiguous step`, () => {
    const pay = (action: Effect.Effect<void>, note: (line: string) => Effect.Effect<void>) =>
      Step.make("pay", {
        action: () => Effect.andThen(note("pay"), action),
        compensateExit: (exit) => note(`undo pay that was a ${exit._tag}`),
        ambiguous: true
      })()

    test(
      "has its start written down before it starts",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { note } = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => Effect.as(Effect.orDie(pay(gate.pass, note)), "paid")))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived

        const events = yield* engine.history("Trip/1")
        const starts = events.flatMap((event) => event.starts ?? []).map(([path]) => path)
        assert.deepStrictEqual(starts, ["pay"])
        yield* gate.open
        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "paid")
      })
    )

    test(
      "that was running at a crash does not run again, and fails with OutcomeUnknown, for good",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const looked = yield* makeGate
        const { lines, note } = yield* makeLedger
        const look = Step.make("look", { action: () => Effect.andThen(note("look"), looked.pass) })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            const outcome = yield* pay(gate.pass, note).pipe(
              Effect.as("paid"),
              Effect.catchTag(
                "OutcomeUnknown",
                (error) => Effect.succeed(error instanceof Step.OutcomeUnknown ? error.message : "another error")
              )
            )
            yield* look()
            return yield* Effect.fail(outcome)
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        const second = yield* start(definitions)
        yield* looked.arrived
        yield* second.crash
        yield* looked.openToOthers

        const third = yield* start(definitions)
        const exit = yield* third.exit(Trip.await("Trip/1"))

        assert.strictEqual(
          endingOf(exit),
          "Fail Step \"pay\" was running when its process ended, so nobody knows whether it took effect."
        )
        assert.deepStrictEqual(lines, ["pay", "look", "look", "undo pay that was a Failure"])
      })
    )

    test(
      "whose attempt had failed before the crash is tried again, since it is known how that ended",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const pay = Step.make("pay", {
          error: Schema.String,
          action: (_, { attempt }) =>
            Effect.andThen(note(`attempt ${attempt}`), attempt < 2 ? Effect.fail("busy") : Effect.void),
          retry: Schedule.spaced("10 seconds"),
          ambiguous: true
        })
        const definitions = Trip.toLayer(() => Effect.as(Effect.catchTag(pay(), "OutcomeUnknown", Effect.die), "paid"))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("5 seconds")
        yield* first.crash

        const second = yield* start(definitions)

        assert.strictEqual(yield* whileTimePasses(second.use(Trip.await("Trip/1"))), "paid")
        assert.deepStrictEqual(lines, ["attempt 1", "attempt 2"])
      })
    )
  })

  describe(`${name}: an action that is not ambiguous`, () => {
    test(
      "and was running at a crash runs again, and its compensation is registered once",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { failing, lines, note } = yield* makeLedger
        const pay = Step.make("pay", {
          action: () => Effect.andThen(note("pay"), gate.pass),
          compensate: () => note("undo pay")
        })
        const definitions = Trip.toLayer(() => Effect.as(Effect.andThen(pay(), failing("ship")), null))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail ship failed")
        assert.deepStrictEqual(lines, ["pay", "pay", "ship", "undo pay"])
      })
    )
  })
}
