/*
 * Waiting for time, and values that are kept.
 */
import { assert, describe } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { Durable, Saga, Signal, Step } from "effect-saga"
import { TestClock } from "effect/testing"
import { pass, settle, start, testsOn, until } from "./engine.ts"
import { makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

const Note = Signal.make("note", Schema.String)

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a sleep`, () => {
    const sleeping = Effect.map(makeLedger, (ledger) => ({
      ...ledger,
      definitions: Trip.toLayer(() =>
        ledger.step("a").pipe(Effect.andThen(Durable.sleep("10 seconds")), Effect.andThen(ledger.step("b")))
      )
    }))

    test(
      "ends when it is due, and not before",
      Effect.gen(function*() {
        const { definitions, lines } = yield* sleeping
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        const record = yield* engine.reaches("Trip/1", "Waiting")
        assert.isNull(record.reason)

        yield* pass("9.999 seconds")
        assert.deepStrictEqual(lines, ["a"])
        yield* pass("1 millis")

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual((yield* engine.story("Trip/1")).slice(1, -1), [
          "StepSucceeded a",
          "TimerStarted sleep",
          "TimerFired sleep",
          "StepSucceeded b"
        ])
      })
    )

    for (const how of ["stop", "crash"] as const) {
      test(
        `lasts for what is left of it after a ${how}`,
        Effect.gen(function*() {
          const { definitions, lines } = yield* sleeping
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* pass("4 seconds")
          yield* first[how]
          yield* pass("4 seconds")

          const second = yield* start(definitions)
          yield* pass("1.999 seconds")
          assert.deepStrictEqual(lines, ["a"])
          yield* pass("1 millis")

          assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "b")
          assert.deepStrictEqual(lines, ["a", "b"])
        })
      )

      test(
        `that falls due between a ${how} and the next start ends at once then`,
        Effect.gen(function*() {
          const { definitions, lines } = yield* sleeping
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* pass("4 seconds")
          yield* first[how]
          yield* pass("1 minute")

          const second = yield* start(definitions)

          assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "b")
          assert.deepStrictEqual(lines, ["a", "b"])
        })
      )
    }

    test(
      "that has ended takes no time when the saga is recovered",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Trip.toLayer(() => Effect.as(Effect.andThen(Durable.sleep("10 seconds"), wait()), "done"))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("10 seconds")
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "done")
      })
    )

    test(
      "of no time at all ends",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.as(Durable.sleep(0), "done")))

        assert.strictEqual(yield* engine.use(Trip.execute("1")), "done")
      })
    )

    test(
      "runs beside others in branches and under names of its own; two in one place are a defect",
      Effect.gen(function*() {
        const engine = yield* start(
          Trip.toLayer((id) =>
            id === "same"
              ? Effect.as(Effect.all([Durable.sleep(1000), Durable.sleep(2000)], { concurrency: "unbounded" }), null)
              : Effect.gen(function*() {
                yield* Saga.all([Durable.sleep(1000), Durable.sleep(2000)], { concurrency: "unbounded" })
                yield* Effect.all([Durable.sleep(1000, { name: "one" }), Durable.sleep(2000, { name: "two" })], {
                  concurrency: "unbounded"
                })
                return yield* Durable.now
              })
          )
        )
        yield* engine.use(Trip.start("apart"))

        const same = yield* engine.exit(Trip.execute("same"))
        yield* pass("2 seconds")
        yield* pass("2 seconds")

        assert.match(endingOf(same), /^Die Two of timer "sleep" run at once .* Saga.all/)
        assert.strictEqual(yield* engine.use(Trip.await("Trip/apart")), 4000)
      })
    )

    test(
      "costs nothing while it lasts: a thousand of them fire when they are due",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer((id) => Effect.as(Durable.sleep(Number(id)), id)))
        const ids = Array.from({ length: 1000 }, (_, index) => String(1000 + index))
        yield* Effect.forEach(ids, (id) => engine.use(Trip.start(id)), { concurrency: "unbounded" })
        yield* settle
        const before = (yield* engine.service.list({ limit: 2000, statuses: ["Waiting"] })).length

        yield* TestClock.adjust("1.5 seconds")
        yield* settle

        assert.strictEqual(before, 1000)
        assert.strictEqual((yield* engine.service.list({ limit: 2000, statuses: ["Waiting"] })).length, 499)
      })
    )
  })

  describe(`${name}: time, chance and ids`, () => {
    test(
      "are the same after a crash, and other ones each time they are asked for",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const seen: Array<ReadonlyArray<unknown>> = []
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            const values = [
              yield* Durable.now,
              yield* Durable.random,
              yield* Durable.uuid,
              yield* Durable.random,
              yield* Durable.uuid
            ]
            seen.push(values)
            yield* wait()
            return yield* Durable.now
          })
        )
        yield* pass("5 seconds")
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers
        yield* pass("5 seconds")

        const second = yield* start(definitions)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), 10_000)
        assert.lengthOf(seen, 2)
        assert.deepStrictEqual(seen[1], seen[0])
        const [now, random, uuid, random2, uuid2] = seen[0]!
        assert.strictEqual(now, 5000)
        assert.isTrue(typeof random === "number" && random >= 0 && random < 1)
        assert.match(String(uuid), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.notStrictEqual(random, random2)
        assert.notStrictEqual(uuid, uuid2)
      })
    )

    test(
      "are what Effect has outside a durable saga, and are refused in an action",
      Effect.gen(function*() {
        yield* TestClock.adjust("3 seconds")
        const inAction = Step.make("step", { success: Schema.String, action: () => Durable.uuid })
        const engine = yield* start(Trip.toLayer(() => inAction()))

        const [now, uuid] = yield* Effect.all([Durable.now, Durable.uuid])
        const sleep = yield* Effect.forkChild(Effect.timed(Durable.sleep("2 seconds")))
        yield* pass("2 seconds")
        const [slept] = yield* Fiber.join(sleep)
        const inside = yield* engine.exit(Trip.execute("1"))

        assert.strictEqual(now, 3000)
        assert.match(uuid, /^[0-9a-f-]{36}$/)
        assert.strictEqual(Duration.toMillis(slept), 2000)
        assert.match(endingOf(inside), /^Die The value "uuid" is in the action of a step/)
      })
    )
  })

  for (const [fork, kind] of [[Effect.forkChild, "child"], [Effect.forkDetach, "detached"]] as const) {
    describe(`${name}: a wait in a ${kind} fiber`, () => {
      test(
        "is over with its saga: nothing follows the last event, and the result can be read",
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const engine = yield* start(
            Trip.toLayer((id) =>
              Effect.gen(function*() {
                yield* fork(Effect.andThen(Durable.sleep("1 minute"), ledger.step("remind")))
                yield* ledger.step("a")
                return id === "fails" ? yield* Effect.fail("no") : "done"
              })
            )
          )
          yield* engine.exit(Trip.execute("completes"))
          yield* engine.exit(Trip.execute("fails"))
          yield* pass("1 minute")

          const completes = yield* engine.use(Trip.execute("completes"))
          const fails = yield* engine.exit(Trip.execute("fails"))

          assert.strictEqual(completes, "done")
          assert.strictEqual(endingOf(fails), "Fail no")
          assert.deepStrictEqual(ledger.lines, ["a", "a", "undo a"])
          assert.deepStrictEqual((yield* engine.story("Trip/completes")).slice(1), [
            "TimerStarted sleep",
            "StepSucceeded a",
            "ExecutionCompleted"
          ])
        })
      )
    })
  }

  describe(`${name}: a wait`, () => {
    test(
      "lets the other branches run, and is interrupted where one of them fails",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const failed = yield* Deferred.make<void>()
        const engine = yield* start(
          Trip.toLayer(() =>
            Saga.all([
              Effect.andThen(ledger.step("a"), Note.await),
              Effect.andThen(ledger.step("b"), Durable.sleep("1 minute")),
              Effect.andThen(Deferred.await(failed), ledger.failing("c"))
            ], { concurrency: "unbounded" }).pipe(Effect.as(null))
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* until(engine.story("Trip/1"), (story) => story.includes("SignalAwaited all[0]/note"), "it waits")
        assert.deepStrictEqual(ledger.lines, ["a", "b"])
        yield* Deferred.succeed(failed, undefined)

        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail c failed")
        assert.deepStrictEqual(ledger.lines, ["a", "b", "c", "undo b", "undo a"])
        assert.isTrue(Exit.isFailure(exit))
      })
    )
  })
}
