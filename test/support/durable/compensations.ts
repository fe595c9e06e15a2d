/*
 * What a compensation may do besides undoing: wait, be a saga of its own.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Durable, Saga, Signal, Step } from "effect-saga"
import { pass, settle, start, testsOn } from "./engine.ts"
import { makeGate, makeLedger, Trip } from "./sagas.ts"
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
}
