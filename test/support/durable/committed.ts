/*
 * Executions that failed after their pivot, and what an operator decides on them.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { Durable, Saga, Step } from "effect-saga"
import { makeHandler, startWith } from "./alerting.ts"
import { pass, refusal, restarted, settle, start, testsOn, until } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

/** A saga that failed after its pivot, whose steps fail while `broken` names them. */
const makeIncomplete = (broken: Set<string>) =>
  Effect.map(makeLedger, (ledger) => {
    const step = (name: string) =>
      Step.make(name, {
        success: Schema.String,
        error: Schema.String,
        action: (_, { attempt }) =>
          Effect.andThen(
            ledger.note(`${name} ${attempt}`),
            Effect.suspend(() => broken.has(name) ? Effect.fail(`${name} failed`) : Effect.succeed(name))
          ),
        compensate: () => ledger.note(`undo ${name}`)
      })()
    return { ledger, lines: ledger.lines, step }
  })

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a failure after the pivot`, () => {
    const definitionsOf = (
      { ledger, step }: Effect.Success<ReturnType<typeof makeIncomplete>>
    ) =>
      Trip.toLayer(() =>
        Effect.gen(function*() {
          yield* ledger.step("a")
          yield* Saga.pivot(ledger.step("tickets"))
          const b = yield* step("b")
          const c = yield* step("c")
          return [b, c]
        })
      )

    test(
      "parks the execution with a reason, and undoes nothing",
      Effect.gen(function*() {
        const saga = yield* makeIncomplete(new Set(["c"]))
        const engine = yield* start(definitionsOf(saga))
        yield* engine.use(Trip.start("1"))

        const record = yield* engine.reaches("Trip/1", "Parked")

        assert.match(record.reason!, /^It failed after its pivot: .*c failed/)
        assert.deepStrictEqual(saga.lines, ["a", "tickets", "b 1", "c 1"])
        const parked = (yield* engine.history("Trip/1")).find((event) => event._tag === "Parked")
        assert.deepInclude(parked!, { kind: "FailedAfterPivot", path: "c", steps: ["c"] })
      })
    )

    test(
      "is tried again by retry: only the step that failed runs again, and the saga completes",
      Effect.gen(function*() {
        const broken = new Set(["c"])
        const saga = yield* makeIncomplete(broken)
        const engine = yield* start(definitionsOf(saga))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        broken.clear()

        yield* engine.service.retry("Trip/1", { operator: "ann" })

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), ["b", "c"])
        assert.deepStrictEqual(saga.lines.slice(0, -1), ["a", "tickets", "b 1", "c 1"])
        assert.match(saga.lines.at(-1)!, /^c /)
        assert.strictEqual(yield* engine.status("Trip/1"), "Completed")
      })
    )

    test(
      "parks it again where a retry fails again, also over restarts",
      Effect.gen(function*() {
        const broken = new Set(["c"])
        const saga = yield* makeIncomplete(broken)
        const definitions = definitionsOf(saga)
        let engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        for (const how of ["stop", "crash"] as const) {
          yield* engine.reaches("Trip/1", "Parked")
          engine = yield* restarted(engine, how, definitions)
          assert.strictEqual(yield* engine.status("Trip/1"), "Parked")
          yield* engine.service.retry("Trip/1")
          yield* settle
        }
        yield* engine.reaches("Trip/1", "Parked")
        broken.clear()

        yield* engine.service.retry("Trip/1")

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), ["b", "c"])
        assert.deepStrictEqual(saga.lines.map((line) => line.split(" ")[0]), ["a", "tickets", "b", "c", "c", "c", "c"])
      })
    )

    for (const how of ["stop", "crash"] as const) {
      test(
        `is done by hand with resolve, and the saga goes on with that value, also after a ${how}`,
        Effect.gen(function*() {
          const saga = yield* makeIncomplete(new Set(["b"]))
          const definitions = definitionsOf(saga)
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* first.reaches("Trip/1", "Parked")
          const second = yield* restarted(first, how, definitions)

          yield* second.service.resolve("Trip/1", "by hand")

          assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["by hand", "c"])
          assert.deepStrictEqual(saga.lines, ["a", "tickets", "b 1", "c 1"])
          yield* second.stop
          const third = yield* start(definitions)
          assert.deepStrictEqual(yield* third.use(Trip.await("Trip/1")), ["by hand", "c"])
        })
      )
    }

    test(
      "stays resolved where the saga goes on and is stopped before it ends",
      Effect.gen(function*() {
        const broken = new Set(["b", "c"])
        const saga = yield* makeIncomplete(broken)
        const definitions = definitionsOf(saga)
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        yield* first.service.resolve("Trip/1", "by hand")
        yield* until(first.history("Trip/1"), (events) => events.at(-1)?._tag === "Parked", "it is parked for c")
        const second = yield* restarted(first, "crash", definitions)
        broken.clear()
        yield* second.service.retry("Trip/1")

        assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["by hand", "c"])
        assert.deepStrictEqual(saga.lines.filter((line) => line.startsWith("b")), ["b 1"])
      })
    )

    test(
      "ends as it is with skip",
      Effect.gen(function*() {
        const saga = yield* makeIncomplete(new Set(["c"]))
        const engine = yield* start(definitionsOf(saga))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.skip("Trip/1")
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(
          endingOf(exit),
          "CommittedIncomplete a: Committed, tickets: Committed, pivot: Committed, b: Committed, c: Failed"
        )
        assert.deepInclude(yield* engine.service.get("Trip/1"), { status: "Failed", cancelled: false })
        assert.deepStrictEqual(saga.lines, ["a", "tickets", "b 1", "c 1"])
      })
    )

    test(
      "ends as it is with cancel, also after a restart",
      Effect.gen(function*() {
        const saga = yield* makeIncomplete(new Set(["c"]))
        const definitions = definitionsOf(saga)
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        const second = yield* restarted(first, "stop", definitions)

        yield* second.service.cancel("Trip/1")
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.match(endingOf(exit), /^CommittedIncomplete /)
        assert.deepInclude(yield* second.service.get("Trip/1"), { status: "Failed", cancelled: true })
        assert.deepStrictEqual(saga.lines, ["a", "tickets", "b 1", "c 1"])
      })
    )

    test(
      "of plain code can't be resolved, as there is no step to give a value to, and is tried again by retry",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        let broken = true
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* Saga.pivot(ledger.step("tickets"))
              if (broken) return yield* Effect.die(new Error("a bug"))
              return yield* ledger.step("b")
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        assert.match(
          yield* refusal(engine.service.resolve("Trip/1", 1)),
          /^NotApplicable: .*nothing to give a value to/
        )
        broken = false
        yield* engine.service.retry("Trip/1")

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["tickets", "b"])
      })
    )

    test(
      "of plain code parks it again where a retry fails again, and it can be decided on again",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(
          Trip.toLayer(() => Effect.andThen(Saga.pivot(ledger.step("tickets")), Effect.fail("no truck")))
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.retry("Trip/1")
        yield* settle

        assert.deepInclude(yield* engine.service.get("Trip/1"), {
          status: "Parked",
          reason: "It failed after its pivot: \"no truck\""
        })
        yield* engine.service.skip("Trip/1")
        assert.match(endingOf(yield* engine.exit(Trip.await("Trip/1"))), /^CommittedIncomplete /)
        assert.deepStrictEqual((yield* engine.story("Trip/1")).slice(3), [
          "Parked",
          "Retried",
          "Parked",
          "Skipped",
          "ExecutionFailed"
        ])
      })
    )

    for (const [fork, name] of [[Effect.forkChild, "child"], [Effect.forkDetach, "detached"]] as const) {
      test(
        `keeps it parked, whatever a ${name} fiber still waits for, and that is waited for again when it is retried`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          let broken = true
          const engine = yield* start(
            Trip.toLayer(() =>
              Effect.gen(function*() {
                const reminder = yield* fork(Durable.sleep("1 minute"))
                yield* Saga.pivot(ledger.step("tickets"))
                if (broken) return yield* Effect.fail("no truck")
                yield* Fiber.join(reminder)
                return yield* Durable.now
              })
            )
          )
          yield* engine.use(Trip.start("1"))
          yield* engine.reaches("Trip/1", "Parked")
          yield* pass("90 seconds")
          assert.strictEqual(yield* engine.status("Trip/1"), "Parked")
          broken = false

          yield* engine.service.retry("Trip/1")

          assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), 90_000)
          assert.deepStrictEqual((yield* engine.story("Trip/1")).slice(1), [
            "TimerStarted sleep",
            "StepSucceeded tickets",
            "SagaCommitted pivot",
            "Parked",
            "Retried",
            "TimerFired sleep",
            "ValueRecorded now",
            "ExecutionCompleted"
          ])
        })
      )
    }

    test(
      "of two branches is told of, and can be decided on, also where a crash came before it was parked",
      Effect.gen(function*() {
        const { ledger, step } = yield* makeIncomplete(new Set(["b", "c"]))
        const gate = yield* makeGate
        const handler = yield* makeHandler()
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* Saga.pivot(ledger.step("tickets"))
            return yield* Effect.onError(
              Saga.all([step("b"), step("c")], { concurrency: "unbounded" }),
              () => gate.pass
            )
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* settle
        yield* first.crash
        yield* gate.openToOthers

        const engine = yield* startWith(handler.alerts, definitions)
        yield* handler.awaitTold(1)
        yield* engine.service.skip("Trip/1")

        assert.match(endingOf(yield* engine.exit(Trip.await("Trip/1"))), /^CommittedIncomplete /)
      })
    )

    test(
      "of two branches is tried again in both",
      Effect.gen(function*() {
        const broken = new Set(["b", "c"])
        const { lines, ledger, step } = yield* makeIncomplete(broken)
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* Saga.pivot(ledger.step("tickets"))
              return yield* Saga.all([step("b"), step("c")], { concurrency: "unbounded" })
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        const parked = (yield* engine.history("Trip/1")).find((event) => event._tag === "Parked")
        assert.deepInclude(parked!, { path: "", steps: ["all[0]/b", "all[1]/c"] })
        broken.clear()

        yield* engine.service.retry("Trip/1")

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), ["b", "c"])
        assert.deepStrictEqual(lines.map((line) => line.split(" ")[0]), ["tickets", "b", "c", "b", "c"])
      })
    )

    test(
      "resolved with a value that does not fit the step is refused, and can be decided on again",
      Effect.gen(function*() {
        const broken = new Set(["c"])
        const saga = yield* makeIncomplete(broken)
        const engine = yield* start(definitionsOf(saga))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        assert.strictEqual(
          yield* refusal(engine.service.resolve("Trip/1", 17, { operator: "ann" })),
          "InvalidValue: Execution \"Trip/1\" stays parked. Step \"c\" was resolved with a value that does not fit its " +
            "schema: SchemaError: Expected string. Give the JSON of what the step succeeds with."
        )
        const { reason, status } = yield* engine.service.get("Trip/1")
        assert.strictEqual(status, "Parked")
        assert.include(reason, "does not fit")
        const story = yield* engine.story("Trip/1")
        assert.deepStrictEqual(story.slice(-2), ["Resolved c", "Parked c"])
        yield* engine.service.resolve("Trip/1", "by hand")

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), ["b", "by hand"])
      })
    )

    test(
      "is resolved while its definition is not registered, and parked again where the value does not fit when it is",
      Effect.gen(function*() {
        const saga = yield* makeIncomplete(new Set(["c"]))
        const definitions = definitionsOf(saga)
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        const engine = yield* restarted(first, "stop", Careless.toLayer(() => Effect.succeed(null)))

        yield* engine.service.resolve("Trip/1", 17)
        yield* engine.register(definitions)
        const { reason } = yield* engine.reaches("Trip/1", "Parked")

        assert.match(reason!, /^Step "c" was resolved with a value that does not fit its schema/)
      })
    )
  })
}
