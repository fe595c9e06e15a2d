/*
 * Cancelling an execution, wherever it stands.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { Durable, DurableSaga, Saga, Signal, Step } from "effect-saga"
import { pass, refusal, settle, start, testsOn, whileTimePasses } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

const Approved = Signal.make("approved", Schema.String)

const cancelled = (id: string) => `Fail Execution "${id}" was cancelled, and what it had done was undone.`

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: cancelling`, () => {
    test(
      "during a step waits for it and undoes it, and no other starts",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = Step.make("slow", {
          action: () => Effect.andThen(gate.pass, ledger.note("slow")),
          compensate: () => ledger.note("undo slow")
        })
        const engine = yield* start(
          Trip.toLayer(() => Effect.all([ledger.step("a"), Effect.as(slow(), ""), ledger.step("b")]))
        )
        const running = yield* Effect.forkChild(engine.exit(Trip.execute("1")))
        yield* gate.arrived

        yield* engine.use(Trip.cancel("Trip/1", { operator: "ann", reason: "customer called" }))
        yield* settle
        assert.deepStrictEqual(ledger.lines, ["a"])
        yield* gate.open
        const exit = yield* Fiber.join(running)

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "undo slow", "undo a"])
        assert.deepInclude(yield* engine.service.get("Trip/1"), { status: "Compensated", cancelled: true })
        const requested = (yield* engine.history("Trip/1")).find((event) => event._tag === "CancelRequested")
        assert.deepInclude(requested!, { operator: "ann", reason: "customer called" })
      })
    )

    test(
      "gives a Cancelled with the id of the execution, also after a restart",
      Effect.gen(function*() {
        const definitions = Trip.toLayer(() => Effect.as(Durable.sleep("1 minute"), null))
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")
        yield* engine.use(Trip.cancel("Trip/1"))

        const first = yield* engine.use(Effect.flip(Trip.await("Trip/1")))
        yield* engine.stop
        const later = yield* start(definitions)
        const second = yield* later.use(Effect.flip(Trip.await("Trip/1")))

        for (const error of [first, second]) {
          assert.instanceOf(error, DurableSaga.Cancelled)
          assert.deepInclude(error as DurableSaga.Cancelled, { _tag: "Cancelled", execution: "Trip/1" })
        }
      })
    )

    for (
      const [what, wait] of [
        ["a sleep", Effect.asVoid(Durable.sleep("1 minute"))],
        ["the wait for a signal", Effect.asVoid(Approved.await)]
      ] as const
    ) {
      test(
        `during ${what} ends that wait at once`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const engine = yield* start(
            Trip.toLayer(() => ledger.step("a").pipe(Effect.andThen(wait), Effect.andThen(ledger.step("b"))))
          )
          yield* engine.use(Trip.start("1"))
          yield* engine.reaches("Trip/1", "Waiting")

          yield* engine.use(Trip.cancel("Trip/1"))
          const exit = yield* engine.exit(Trip.await("Trip/1"))

          assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
          assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
        })
      )
    }

    test(
      "between two tries of an action starts no other one, and the step has failed as the last one did",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const busy = Step.make("busy", {
          error: Schema.String,
          action: () => Effect.andThen(ledger.note("busy"), Effect.fail("busy")),
          compensateExit: (exit) => ledger.note(`undo busy: ${endingOf(exit)}`),
          retry: Schedule.spaced("1 minute")
        })
        const engine = yield* start(Trip.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), busy()), null)))
        yield* engine.use(Trip.start("1"))
        yield* settle

        yield* engine.use(Trip.cancel("Trip/1"))
        const exit = yield* engine.exit(Trip.await("Trip/1"))
        yield* pass("2 minutes")

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "busy", "undo busy: Fail busy", "undo a"])
      })
    )

    test(
      "can't be caught: no step of a handler starts",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(
          Trip.toLayer(() =>
            ledger.step("a").pipe(
              Effect.andThen(Effect.catchCause(Durable.sleep("1 minute"), () => ledger.step("caught"))),
              Effect.catchCause(() => ledger.step("caught again")),
              Effect.ignoreCause,
              Effect.andThen(ledger.step("b"))
            )
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        yield* engine.use(Trip.cancel("Trip/1"))
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "lets running actions of branches settle, starts no queued one, and undoes a savepoint before the rest",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = (name: string) =>
          Step.make(name, {
            action: () => Effect.andThen(gate.pass, ledger.note(name)),
            compensate: () => ledger.note(`undo ${name}`)
          })()
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* ledger.step("a")
              yield* Saga.savepoint(
                Effect.andThen(ledger.step("b"), Saga.forEach(["c", "d", "e"], slow, { concurrency: 2 }))
              )
              return null
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* settle

        yield* engine.use(Trip.cancel("Trip/1"))
        yield* gate.open
        yield* engine.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines, ["a", "b", "c", "d", "undo d", "undo c", "undo b", "undo a"])
        const unwinds = (yield* engine.story("Trip/1")).filter((line) => line.startsWith("UnwindStarted"))
        assert.deepStrictEqual(unwinds, ["UnwindStarted savepoint", "UnwindStarted"])
      })
    )

    test(
      "once it is durable holds after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const stuck = Step.make("stuck", { action: () => ledger.note("stuck"), compensate: () => gate.pass })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* stuck()
            yield* Durable.sleep("1 minute")
            return yield* ledger.step("b")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.use(Trip.cancel("Trip/1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers
        yield* pass("2 minutes")

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "stuck", "undo a"])
      })
    )

    test(
      "before its definition is registered has it undone when that is, also where it had come far",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Durable.sleep("1 minute")
            return yield* ledger.step("b")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop
        yield* pass("2 minutes")

        const second = yield* start(Careless.toLayer(() => Effect.succeed(null)))
        yield* second.use(Trip.cancel("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a"])
        yield* second.register(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "an execution whose action was running at a crash runs that again before it is undone, since it may have taken effect",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = Step.make("slow", {
          action: () => Effect.andThen(ledger.note("slow"), gate.pass),
          compensate: () => ledger.note("undo slow")
        })
        const definitions = Trip.toLayer(() => Effect.all([ledger.step("a"), Effect.as(slow(), ""), ledger.step("b")]))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.use(Trip.cancel("Trip/1"))
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "slow", "undo slow", "undo a"])
      })
    )

    test(
      "after the pivot ends the execution as it is",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* ledger.step("a")
              yield* Saga.pivot(ledger.step("tickets"))
              yield* Durable.sleep("1 minute")
              return yield* ledger.step("b")
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        yield* engine.use(Trip.cancel("Trip/1"))
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "CommittedIncomplete a: Committed, tickets: Committed, pivot: Committed")
        assert.deepStrictEqual(ledger.lines, ["a", "tickets"])
        assert.deepInclude(yield* engine.service.get("Trip/1"), { status: "Failed", cancelled: true })
      })
    )

    test(
      "one that is being undone is refused",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const slow = Step.make("slow", { action: () => ledger.note("slow"), compensate: () => gate.pass })
        const engine = yield* start(Trip.toLayer(() => Effect.andThen(slow(), Effect.fail("stop"))))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived

        const reason = yield* engine.use(refusal(Trip.cancel("Trip/1")))

        assert.strictEqual(reason, "NotApplicable: Execution \"Trip/1\" was left as it is: it is already being undone.")
        yield* gate.open
        assert.strictEqual(endingOf(yield* engine.exit(Trip.await("Trip/1"))), "Fail stop")
        assert.notInclude(yield* engine.story("Trip/1"), "CancelRequested")
      })
    )

    test(
      "twice is the same as once",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass })
        const engine = yield* start(Trip.toLayer(() => Effect.as(wait(), null)))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived

        yield* engine.use(Trip.cancel("Trip/1"))
        yield* engine.use(Trip.cancel("Trip/1"))
        yield* gate.open
        yield* engine.exit(Trip.await("Trip/1"))

        const requests = (yield* engine.story("Trip/1")).filter((line) => line === "CancelRequested")
        assert.deepStrictEqual(requests, ["CancelRequested"])
      })
    )

    test(
      "twice is not answered before the first one is durable",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => ledger.slow(gate.pass)))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* engine.fillDisk

        const both = yield* Effect.forEach([1, 2], () => Effect.forkChild(engine.use(Trip.cancel("Trip/1"))))
        yield* settle
        const answered = both.filter((fiber) => fiber.pollUnsafe() !== undefined)
        yield* engine.freeDisk
        yield* whileTimePasses(Fiber.joinAll(both))

        assert.lengthOf(answered, 0)
        assert.isTrue((yield* engine.service.get("Trip/1")).cancelled)
        yield* gate.open
      })
    )

    test(
      "an execution that has ended is not refused before its end is durable",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.as(Durable.sleep("1 minute"), null)))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")
        yield* engine.fillDisk
        yield* pass("1 minute")

        const cancelling = yield* Effect.forkChild(engine.use(refusal(Trip.cancel("Trip/1"))))
        yield* settle
        const isAnswered = cancelling.pollUnsafe() !== undefined
        yield* engine.freeDisk
        const reason = yield* whileTimePasses(Fiber.join(cancelling))

        assert.isFalse(isAnswered)
        assert.match(reason, /^AlreadyFinished/)
      })
    )

    test(
      "one that was being undone is refused while its definition is not registered, too",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.andThen(ledger.slowlyUndone(gate.pass), Effect.fail("out of stock"))
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(Careless.toLayer(() => Effect.succeed(null)))
        const reason = yield* second.use(refusal(Trip.cancel("Trip/1")))
        yield* second.register(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(reason, "NotApplicable: Execution \"Trip/1\" was left as it is: it is already being undone.")
        assert.strictEqual(endingOf(exit), "Fail out of stock")
      })
    )

    test(
      "twice is the same as once while its definition is not registered, too",
      Effect.gen(function*() {
        const definitions = Trip.toLayer(() => Effect.as(Durable.sleep("1 minute"), null))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop

        const second = yield* start(Careless.toLayer(() => Effect.succeed(null)))
        yield* second.use(Trip.cancel("Trip/1"))
        yield* second.use(Trip.cancel("Trip/1"))

        const requests = (yield* second.story("Trip/1")).filter((line) => line === "CancelRequested")
        assert.deepStrictEqual(requests, ["CancelRequested"])
      })
    )

    test(
      "is refused for an execution that has ended, and for one that there is not",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.succeed(null)))
        yield* engine.use(Trip.execute("1"))

        const ended = yield* engine.use(refusal(Trip.cancel("Trip/1")))
        const unknown = yield* engine.use(refusal(Trip.cancel("Trip/2")))

        assert.strictEqual(
          ended,
          "AlreadyFinished: Execution \"Trip/1\" has ended (Completed), so nothing can be changed any more."
        )
        assert.match(unknown, /^ExecutionNotFound: There is no execution "Trip\/2"/)
      })
    )

    test(
      "an execution that can't be undone parks it like any other, and it ends with CompensationFailed",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(
          Trip.toLayer(() => Effect.as(Effect.andThen(ledger.stubborn("a"), Durable.sleep("1 minute")), null))
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")
        yield* engine.use(Trip.cancel("Trip/1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.skip("Trip/1")
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "CompensationFailed a: CompensationFailed")
        assert.deepInclude(yield* engine.service.get("Trip/1"), { status: "Failed", cancelled: true })
      })
    )

    test(
      "does not hide that a saga within it was not undone",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Careless.toLayer(() =>
          ledger.step("a").pipe(
            Effect.andThen(
              Saga.transact(Effect.andThen(ledger.stubborn("b"), Durable.sleep("1 minute")), { name: "inner" })
            ),
            Effect.as(null)
          )
        )
        const engine = yield* start(definitions)
        yield* engine.use(Careless.start("1"))
        yield* engine.reaches("Careless/1", "Waiting")

        yield* engine.use(Careless.cancel("Careless/1"))
        const exit = yield* engine.exit(Careless.await("Careless/1"))

        assert.strictEqual(endingOf(exit), "CompensationFailed inner/b: CompensationFailed")
        assert.deepStrictEqual(ledger.lines, ["a", "b", "undo b", "undo a"])
        assert.deepInclude(yield* engine.service.get("Careless/1"), { status: "Failed", cancelled: true })
      })
    )

    test(
      "is waited for by compensations that sleep",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const slow = Step.make("slow", {
          action: () => ledger.note("slow"),
          compensate: () => Effect.andThen(Durable.sleep("10 seconds"), ledger.note("undo slow"))
        })
        const engine = yield* start(
          Trip.toLayer(() => Effect.as(Effect.andThen(slow(), Durable.sleep("1 minute")), null))
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")
        yield* engine.use(Trip.cancel("Trip/1"))
        yield* pass("9.9 seconds")
        assert.deepStrictEqual(ledger.lines, ["slow"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensating")
        yield* pass("0.1 seconds")

        assert.strictEqual(endingOf(yield* engine.exit(Trip.await("Trip/1"))), cancelled("Trip/1"))
        assert.deepStrictEqual(ledger.lines, ["slow", "undo slow"])
      })
    )
  })
}
