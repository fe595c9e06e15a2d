/*
 * What a compensation may do besides undoing: wait, be a saga of its own.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Duration, Effect, Schedule, Schema } from "effect"
import { Durable, Saga, Signal, Step } from "effect-saga"
import { causeOf } from "../results.ts"
import { pass, settle, start, testsOn, whileTimePasses } from "./engine.ts"
import { Careless, type Ledger, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

const Note = Signal.make("note", Schema.String)

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a compensation`, () => {
    test(
      "may sleep, wait for a signal and take an id, each as a saga does, over crashes",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const ids: Array<string> = []
        const slow = Step.make("slow", {
          action: () => ledger.note("slow"),
          compensate: () =>
            Effect.gen(function*() {
              const id = yield* Durable.uuid
              ids.push(id)
              yield* Durable.sleep("10 seconds")
              yield* ledger.note("slept")
              const note = yield* Note.await as Effect.Effect<string>
              yield* ledger.note(`undo slow: ${note}`)
            })
        })
        const definitions = Trip.toLayer(() =>
          Effect.andThen(Effect.andThen(ledger.step("a"), slow()), Effect.fail("stop"))
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("5 seconds")
        yield* first.crash
        const second = yield* start(definitions)
        yield* pass("4.999 seconds")
        assert.deepStrictEqual(ledger.lines, ["a", "slow"])
        yield* pass("1 millis")
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "slept"])
        yield* second.crash
        const third = yield* start(definitions)
        yield* third.use(Trip.signal("Trip/1", Note, "now"))
        const exit = yield* third.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "slept", "slept", "undo slow: now", "undo a"])
        assert.strictEqual(new Set(ids).size, 1)
        assert.deepStrictEqual((yield* third.story("Trip/1")).slice(3), [
          "UnwindStarted",
          "ValueRecorded slow/undo/uuid",
          "TimerStarted slow/undo/sleep",
          "TimerFired slow/undo/sleep",
          "SignalAwaited slow/undo/note",
          "SignalReceived note",
          "SignalConsumed slow/undo/note",
          "CompensationSucceeded slow",
          "CompensationSucceeded a",
          "ExecutionCompensated"
        ])
      })
    )

    for (const [what, first, last] of [["signal", 5, 60], ["sleep", 10, 0]] as const) {
      test(
        `that raced a signal against a sleep has the same winner after a crash, where that was the ${what}`,
        Effect.gen(function*() {
          const gate = yield* makeGate
          const ledger = yield* makeLedger
          const slow = Step.make("slow", {
            action: () => Effect.void,
            compensate: () =>
              Effect.raceFirst(
                Effect.as(Durable.sleep("10 seconds"), "sleep"),
                Effect.as(Note.await as Effect.Effect<string>, "signal")
              ).pipe(Effect.flatMap(ledger.note), Effect.andThen(gate.pass))
          })
          const definitions = Trip.toLayer(() =>
            Effect.andThen(Effect.andThen(ledger.step("a"), slow()), Effect.fail("stop"))
          )
          const one = yield* start(definitions)
          yield* one.use(Trip.start("1"))
          yield* pass(first * 1000)
          if (what === "signal") yield* one.use(Trip.signal("Trip/1", Note, "now"))
          yield* gate.arrived
          if (what === "sleep") yield* one.use(Trip.signal("Trip/1", Note, "late"))
          yield* one.crash
          yield* gate.openToOthers
          yield* pass(last * 1000)

          const two = yield* start(definitions)
          yield* two.exit(Trip.await("Trip/1"))

          assert.deepStrictEqual(ledger.lines, ["a", what, what, "undo a"])
        })
      )
    }

    test(
      "that had waited is not run again when another one goes on after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = (name: string, last: Effect.Effect<void>) =>
          Step.make(name, {
            action: () => ledger.note(name),
            compensate: () =>
              Durable.sleep("1 second").pipe(Effect.andThen(ledger.note(`undo ${name}`)), Effect.andThen(last))
          })()
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* slow("a", gate.pass)
            yield* slow("b", Effect.void)
            return yield* Effect.fail("stop")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("1 second")
        yield* pass("1 second")
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(ledger.lines, ["a", "b", "undo b", "undo a", "undo a"])
      })
    )

    test(
      "may be a saga of its own, whose steps are kept and undone like any other, also over a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const order = Step.make("order", {
          action: () => ledger.note("order"),
          compensate: () =>
            Effect.gen(function*() {
              yield* ledger.step("return parcel")
              yield* Effect.ignore(Saga.savepoint(Effect.andThen(ledger.step("book van"), ledger.failing("drive"))))
              yield* wait()
              yield* ledger.step("refund")
            }).pipe(Saga.transact({ name: "return" }))
        })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* order()
            return yield* Effect.fail("stop")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(
          ledger.lines,
          [
            ["a", "order"],
            ["return parcel", "book van", "drive", "undo book van", "refund"],
            ["undo a"]
          ].flat()
        )
      })
    )

    test(
      "takes waits and ids of its own in each attempt",
      Effect.gen(function*() {
        const ids: Array<string> = []
        const slow = Step.make("slow", {
          compensationError: Schema.String,
          action: () => Effect.void,
          compensate: (_, { attempt }) =>
            Effect.gen(function*() {
              ids.push(yield* Durable.uuid)
              if (attempt === 1) return yield* Effect.fail("not yet")
            })
        })
        const definitions = Trip.toLayer(() => Effect.andThen(slow(), Effect.fail("stop")))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        yield* first.crash

        const second = yield* start(definitions)
        yield* settle
        yield* second.service.retry("Trip/1")
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.lengthOf(ids, 2)
        assert.notStrictEqual(ids[0], ids[1])
        assert.deepStrictEqual((yield* second.story("Trip/1")).filter((line) => line.startsWith("Value")), [
          "ValueRecorded slow/undo/uuid",
          "ValueRecorded slow/undo#2/uuid"
        ])
      })
    )
  })

  describe(`${name}: a compensation that fails`, () => {
    /* What it does while it is broken. */
    const mistakes: Record<string, () => Effect.Effect<unknown, string>> = {
      "throws": () => {
        throw new TypeError("no payment")
      },
      "succeeds with a failed result": () => Effect.result(Effect.fail("refused")),
      "succeeds with a failed exit": () => Effect.exit(Effect.fail("refused")),
      "succeeds with an error": () => Effect.succeed(new Error("refused"))
    }
    for (const [what, broken] of Object.entries(mistakes)) {
      test(
        `as it ${what} is parked like any other, also after a crash, until it is repaired`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const state = { broken: true }
          const refund = Step.make("refund", {
            compensationError: Schema.String,
            action: () => Effect.void,
            compensate: () => state.broken ? broken() : ledger.note("refunded")
          })
          yield* isRepaired(ledger, state, refund())
        })
      )
    }

    const schedules = {
      "fails": Schedule.recurs(3).pipe(Schedule.while(() => {
        throw new Error("a mistake of the schedule")
      })),
      "says never": Schedule.spaced(Duration.infinity)
    }
    for (const [what, compensationRetry] of Object.entries(schedules)) {
      test(
        `is parked where its schedule ${what}`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const state = { broken: true }
          const refund = Step.make("refund", {
            compensationError: Schema.String,
            compensationRetry,
            action: () => Effect.void,
            compensate: () => state.broken ? Effect.fail("refused") : ledger.note("refunded")
          })
          yield* isRepaired(ledger, state, refund())
        })
      )
    }

    for (const limit of [{ compensationTimeout: "5 seconds" }, { unwindTimeout: "5 seconds" }] as const) {
      test(
        `by the ${Object.keys(limit).join()} of a nested saga is parked, and nobody hurries the operator`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const state = { broken: true }
          const refund = Step.make("refund", {
            action: () => Effect.void,
            compensate: () =>
              state.broken ? Effect.never : Effect.andThen(Durable.sleep("2 seconds"), ledger.note("refunded"))
          })
          const nested = Effect.andThen(Effect.andThen(ledger.step("b"), refund()), Effect.fail("inner")).pipe(
            Saga.transact({ name: "nested", ...limit })
          )
          yield* isRepaired(ledger, state, nested, "nested/refund", ["undo b"])
        })
      )
    }

    test(
      "by the time limit for all of a nested saga leaves others, which are left after a crash, too",
      Effect.gen(function*() {
        const [ledger, gate] = [yield* makeLedger, yield* makeGate]
        const hanging = Step.make("hanging", { action: () => Effect.void, compensate: () => Effect.never })
        const nested = Effect.andThen(ledger.step("b"), Effect.andThen(hanging(), Effect.fail("inner"))).pipe(
          Saga.transact({ name: "nested", unwindTimeout: "5 seconds" })
        )
        const definitions = Careless.toLayer(() =>
          Effect.andThen(Effect.exit(nested), ledger.slow(gate.pass)).pipe(Effect.as(null))
        )
        const first = yield* start(definitions)
        yield* first.use(Careless.start("1"))
        yield* pass("5 seconds")
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        yield* whileTimePasses(second.exit(Careless.await("Careless/1")))

        assert.notInclude(ledger.lines, "undo b")
        assert.deepStrictEqual((yield* second.story("Careless/1")).slice(3), [
          "UnwindStarted nested",
          "CompensationFailed nested/hanging",
          "UnwindFinished nested",
          "StepSucceeded slow",
          "ExecutionCompleted"
        ])
      })
    )

    test(
      "by the time limit of a nested saga is written down as that where nobody waits for an operator",
      Effect.gen(function*() {
        const [ledger, gate] = [yield* makeLedger, yield* makeGate]
        const hanging = Step.make("hanging", { action: () => Effect.void, compensate: () => Effect.never })
        const definitions = Careless.toLayer(() =>
          Effect.andThen(ledger.slowlyUndone(gate.pass), Effect.andThen(hanging(), Effect.fail("inner"))).pipe(
            Saga.transact({ name: "nested", compensationTimeout: "5 seconds" })
          )
        )
        const first = yield* start(definitions)
        yield* first.use(Careless.start("1"))
        yield* pass("5 seconds")
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Careless.await("Careless/1"))
        const failed = (yield* second.history("Careless/1")).filter(({ _tag }) => _tag === "CompensationFailed")

        assert.lengthOf(failed, 1)
        assert.include(JSON.stringify(failed), "did not end within 5s")
        assert.include(Cause.pretty(causeOf(exit)), "did not end within 5s")
      })
    )
  })

  /* Is undone between the steps `a` and `c`. */
  const isRepaired = Effect.fnUntraced(function*<E>(
    ledger: Ledger,
    state: { broken: boolean },
    self: Effect.Effect<unknown, E, Effect.Services<ReturnType<Ledger["stubborn"]>>>,
    path = "refund",
    more: ReadonlyArray<string> = []
  ) {
    const definitions = Trip.toLayer(() =>
      ledger.step("a").pipe(Effect.andThen(self), Effect.andThen(Effect.fail("stop")), Effect.mapError(String))
    )
    const first = yield* start(definitions)
    yield* first.use(Trip.start("1"))
    yield* pass("5 seconds")
    const { reason } = yield* first.reaches("Trip/1", "Parked")
    const before = yield* first.story("Trip/1")
    yield* pass("1 minute")
    yield* first.crash

    const second = yield* start(definitions)
    yield* pass("1 minute")
    const again = yield* second.reaches("Trip/1", "Parked")
    state.broken = false
    yield* second.service.retry("Trip/1")
    const exit = yield* whileTimePasses(second.exit(Trip.await("Trip/1")))

    assert.match(reason!, new RegExp(`^Step "${path}" could not be undone: `))
    assert.strictEqual(again.reason, reason)
    assert.strictEqual(before.at(-1), `Parked ${path}`)
    assert.match(endingOf(exit), /^Fail /)
    assert.deepStrictEqual(ledger.lines.slice(-2 - more.length), ["refunded", ...more, "undo a"])
    assert.strictEqual((yield* second.service.get("Trip/1")).status, "Compensated")
  })
}
