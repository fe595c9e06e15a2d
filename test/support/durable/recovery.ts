/*
 * Engines that are closed or crash, and those that go on from there.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { Durable, Saga, type SagaEvent, SagaObserver, Step } from "effect-saga"
import { pass, settle, start, storeReason, testsOn, until } from "./engine.ts"
import { Careless, Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import { type StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: closing an engine`, () => {
    test(
      "undoes nothing, starts nothing more, and the next one goes on",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          ledger.step("a").pipe(Effect.andThen(Durable.sleep("10 seconds")), Effect.andThen(ledger.step("b")))
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")

        yield* first.stop
        yield* pass("1 minute")
        assert.deepStrictEqual(ledger.lines, ["a"])
        const second = yield* start(definitions)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["a", "b"])
      })
    )

    test(
      "lets a running action end and keeps its result, so that it does not run again",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() => Effect.andThen(ledger.slow(gate.pass), ledger.step("b")))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived

        const stopping = yield* Effect.forkChild(first.stop)
        yield* settle
        yield* gate.open
        yield* Fiber.join(stopping)
        assert.deepStrictEqual(ledger.lines, ["slow"])
        const second = yield* start(definitions)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["slow", "b"])
      })
    )

    test(
      "keeps the failure of a running action too, and the next engine undoes the saga",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const failing = Step.make("fails", {
          error: Schema.String,
          action: () => ledger.note("fails").pipe(Effect.andThen(gate.pass), Effect.andThen(Effect.fail("no")))
        })
        const definitions = Trip.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), failing()), null))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        const stopping = yield* Effect.forkChild(first.stop)
        yield* settle
        yield* gate.open
        yield* Fiber.join(stopping)
        assert.deepStrictEqual(ledger.lines, ["a", "fails"])

        const second = yield* start(definitions)

        assert.strictEqual(endingOf(yield* second.exit(Trip.await("Trip/1"))), "Fail no")
        assert.deepStrictEqual(ledger.lines, ["a", "fails", "undo a"])
      })
    )

    test(
      "waits no longer than the shutdown timeout for an action, which runs again later",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() => Effect.andThen(ledger.slow(gate.pass), ledger.step("b")))
        const first = yield* start(definitions, { shutdownTimeout: "3 seconds" })
        yield* first.use(Trip.start("1"))
        yield* gate.arrived

        const stopping = yield* Effect.forkChild(first.stop)
        yield* pass("2 seconds")
        assert.isUndefined(stopping.pollUnsafe())
        yield* pass("2 seconds")
        yield* Fiber.join(stopping)
        yield* gate.openToOthers
        yield* settle
        const second = yield* start(definitions)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["slow", "slow", "b"])
      })
    )

    test(
      "while an execution is undone lets the running compensation end, and the next one goes on with the others",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.andThen(
            Effect.all([ledger.step("a"), ledger.slowlyUndone(gate.pass), ledger.step("c")]),
            Effect.as(ledger.failing("d"), null)
          )
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        const stopping = yield* Effect.forkChild(first.stop)
        yield* settle
        yield* gate.open
        yield* Fiber.join(stopping)
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "c", "d", "undo c", "undo slow"])

        const second = yield* start(definitions)

        assert.strictEqual(endingOf(yield* second.exit(Trip.await("Trip/1"))), "Fail d failed")
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "c", "d", "undo c", "undo slow", "undo a"])
      })
    )

    test(
      "fails those who wait for a result, and whoever calls it later",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Go.await))
        const waiting = yield* Effect.forkChild(engine.exit(Trip.execute("1")))
        yield* settle

        yield* engine.stop

        assert.strictEqual(storeReason(yield* Fiber.join(waiting)), "Unavailable")
        assert.strictEqual(storeReason(yield* engine.exit(Trip.execute("1"))), "Unavailable")
        assert.strictEqual(storeReason(yield* engine.exit(Trip.start("2"))), "Unavailable")
      })
    )
  })

  describe(`${name}: after a crash`, () => {
    test(
      "a step whose success is kept does not run again, and one that was running does, with everything that follows",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() => Effect.all([ledger.step("a"), ledger.slow(gate.pass), ledger.step("b")]))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)

        assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["a", "slow", "b"])
        assert.deepStrictEqual(ledger.lines, ["a", "slow", "slow", "b"])
      })
    )

    test(
      "a thousand executions go on",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer((id) => Effect.andThen(Go.await, ledger.step(id)))
        const ids = Array.from({ length: 1200 }, (_, index) => String(index))
        const first = yield* start(definitions)
        yield* Effect.forEach(ids, (id) => first.use(Trip.start(id)), { concurrency: "unbounded" })
        yield* settle
        yield* first.crash

        const second = yield* start(definitions)
        const results = yield* Effect.forEach(
          ids,
          (id) => second.use(Effect.andThen(Trip.signal(`Trip/${id}`, Go, "go"), Trip.await(`Trip/${id}`))),
          {
            concurrency: "unbounded"
          }
        )

        assert.deepStrictEqual(results, ids)
        assert.deepStrictEqual(ledger.lines.toSorted(), ids.toSorted())
      })
    )

    test(
      "undoing goes on where it stood, in the same order",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const keys: Array<string> = []
        const keyed = Step.make("keyed", {
          success: Schema.String,
          action: () => Effect.as(ledger.note("keyed"), "keyed"),
          compensate: (_, { attempt, idempotencyKey }) =>
            Effect.sync(() => keys.push(`${idempotencyKey} ${attempt}`)).pipe(Effect.andThen(gate.pass))
        })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.all([
              Effect.andThen(Effect.yieldNow, ledger.step("b")),
              ledger.step("c"),
              Effect.andThen(Effect.yieldNow, Effect.andThen(Effect.yieldNow, keyed()))
            ], { concurrency: "unbounded" })
            yield* ledger.step("d")
            yield* ledger.failing("e")
            return null
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        const pending = (yield* first.history("Trip/1")).find((event) => event._tag === "UnwindStarted")!.pending
        yield* first.crash
        yield* gate.openToOthers
        const before = ledger.lines.length

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail e failed")
        const position = pending.indexOf("all[2]/keyed")
        const left = pending.slice(position + 1).map((path) => `undo ${path.split("/").at(-1)}`)
        assert.deepStrictEqual(ledger.lines.slice(before), left)
        assert.deepStrictEqual(keys, ["Trip/1/all[2]/keyed 1", "Trip/1/all[2]/keyed 1"])
        const undone = (yield* second.history("Trip/1")).flatMap((event) =>
          event._tag === "CompensationSucceeded" ? [event.path] : []
        )
        assert.deepStrictEqual(undone, pending)
      })
    )

    test(
      "what was decided to be undone never turns forward: no step of a handler starts",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        let fails = true
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.slowlyUndone(gate.pass)
            // Not what code between steps should do: it does something else after the crash.
            const failure: Effect.Effect<void, string> = Effect.suspend(() => fails ? Effect.fail("no") : Effect.void)
            yield* failure
            yield* Effect.catchCause(ledger.step("b"), () => ledger.step("c"))
            return yield* ledger.step("d")
          }).pipe(Effect.catchIf((error) => error !== "no", () => ledger.step("e")))
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers
        fails = false

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines, ["slow", "undo slow", "undo slow"])
        assert.strictEqual(endingOf(exit), "Fail no")
        assert.strictEqual(yield* second.status("Trip/1"), "Compensated")
      })
    )

    test(
      "a savepoint that was being undone is undone to its end, and redone as it would have been",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            let attempts = 0
            yield* ledger.step("a")
            const part = Effect.suspend(() => {
              attempts++
              return Effect.all([
                ledger.step(`b${attempts}`),
                ledger.slowlyUndone(gate.pass),
                attempts === 1 ? Effect.as(ledger.failing("c"), "c") : ledger.step("c")
              ])
            })
            yield* part.pipe(Saga.savepoint, Effect.retry({ times: 1 }))
            yield* ledger.failing("d")
            return null
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail d failed")
        assert.deepStrictEqual(
          ledger.lines,
          [
            ["a", "b1", "slow", "c", "undo slow"],
            ["undo slow", "undo b1", "b2", "slow", "c", "d"],
            ["undo c", "undo slow", "undo b2", "undo a"]
          ].flat()
        )
      })
    )

    test(
      "a nested saga that had committed is not run again, and not undone",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.transact(ledger.step("b"), { name: "inner" })
            yield* ledger.slow(gate.pass)
            yield* ledger.failing("c")
            return null
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        yield* second.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines, ["a", "b", "slow", "slow", "c", "undo slow", "undo a"])
      })
    )

    test(
      "branches that unwind side by side do so again, each in its own order",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.all([
              Effect.andThen(ledger.step("b1"), ledger.step("b2")),
              Effect.andThen(ledger.step("c1"), ledger.slowlyUndone(gate.pass))
            ], { compensation: "parallel" })
            yield* ledger.failing("d")
            return null
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* settle
        const before = ["a", "b1", "b2", "c1", "slow", "d"]
        assert.deepStrictEqual(ledger.lines.slice(before.length).toSorted(), ["undo b1", "undo b2", "undo slow"])
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        yield* second.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines.slice(before.length + 3), ["undo slow", "undo c1", "undo a"])
      })
    )

    test(
      "what was after the pivot stays after the pivot",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Careless.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.pivot(ledger.step("tickets"))
            yield* ledger.slow(gate.pass)
            yield* ledger.failing("c")
            return null
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Careless.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Careless.await("Careless/1"))

        assert.match(endingOf(exit), /^CommittedIncomplete a: Committed/)
        assert.deepStrictEqual(ledger.lines, ["a", "tickets", "slow", "slow", "c"])
        assert.strictEqual(
          (yield* second.story("Careless/1")).filter((line) => line.startsWith("SagaCommitted")).length,
          1
        )
      })
    )

    for (const [what, ambiguous] of [["an action", false], ["an ambiguous action", true]] as const) {
      test(
        `${what} that was running when its sibling had failed is not forgotten: it may have taken effect`,
        Effect.gen(function*() {
          const gate = yield* makeGate
          const ledger = yield* makeLedger
          const running = Step.make("running", {
            action: () => Effect.andThen(ledger.note("running"), gate.pass),
            compensateExit: (exit) => ledger.note(`undo running after a ${exit._tag}`),
            ambiguous
          })
          const definitions = Trip.toLayer(() =>
            Saga.all([
              Effect.orDie(running()),
              Effect.andThen(Effect.andThen(gate.arrived, ledger.step("a")), ledger.failing("b"))
            ], { concurrency: "unbounded" }).pipe(Effect.as(null))
          )
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* until(first.story("Trip/1"), (story) => story.includes("StepFailed all[1]/b"), "b failed")
          yield* settle
          yield* first.crash
          yield* gate.openToOthers

          const second = yield* start(definitions)
          const exit = yield* second.exit(Trip.await("Trip/1"))

          assert.deepStrictEqual(
            ledger.lines,
            ambiguous
              ? ["running", "a", "b", "undo running after a Failure", "undo a"]
              : ["running", "a", "b", "running", "undo running after a Success", "undo a"]
          )
          assert.include(endingOf(exit), "Fail b failed")
        })
      )
    }

    test(
      "an action that was running when a deadline passed is not forgotten either",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* Effect.raceFirst(ledger.slow(gate.pass), Durable.sleep("1 second"))
            yield* ledger.step("a")
            return yield* Effect.fail("stop")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("1 second")
        assert.include(yield* first.story("Trip/1"), "TimerFired sleep")
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        yield* second.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines, ["slow", "slow", "a", "undo a", "undo slow"])
      })
    )
  })

  describe(`${name}: an observer`, () => {
    test(
      "sees each event of an execution once, over a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const events: Array<SagaEvent.SagaEvent> = []
        const observer = SagaObserver.layer(SagaObserver.make((event) => Effect.sync(() => events.push(event))))
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Effect.ignore(Saga.savepoint(Effect.andThen(ledger.step("b"), ledger.failing("c"))))
            yield* ledger.slow(gate.pass)
            yield* ledger.failing("d")
            return null
          })
        ).pipe(Layer.provide(observer))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        yield* second.exit(Trip.await("Trip/1"))

        const seen = events.map((event) =>
          "path" in event
            ? `${event._tag} ${event.path}`
            : "scope" in event
            ? `${event._tag} ${event.scope}`
            : event._tag
        )
        // What was running when the process died starts twice.
        const twice = ["StepStarted slow"]
        const repeated = seen.filter((line, index) => seen.indexOf(line) !== index)
        assert.deepStrictEqual(repeated, twice)
        for (
          const once of [
            "SagaStarted ",
            "StepSucceeded a",
            "StepSucceeded savepoint/b",
            "StepFailed savepoint/c",
            "CompensationSucceeded savepoint/b",
            "StepSucceeded slow",
            "StepFailed d",
            "CompensationSucceeded slow",
            "CompensationSucceeded a",
            "SagaCompensated"
          ]
        ) assert.strictEqual(seen.filter((line) => line === once).length, 1, once)
      })
    )
  })
}
