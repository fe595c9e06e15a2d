/*
 * Code that changes while executions run.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, type Duration, Effect, Exit, Schema } from "effect"
import { Durable, DurableSaga, Saga, Step } from "effect-saga"
import type { DurableOnly, DurableStack } from "../../../src/CompensationStack.ts"
import { causeOf } from "../results.ts"
import { pass, settle, start, testsOn } from "./engine.ts"
import { Careless, Go, type Ledger, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

const version = (version: number) =>
  DurableSaga.make("Trip", {
    version,
    payload: Schema.String,
    success: Schema.Json,
    error: Schema.String,
    idempotencyKey: (id) => id
  })

type Body = Effect.Effect<Schema.Json, string, DurableStack<unknown> | DurableOnly>

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: versions of a definition`, () => {
    const [V1, V2] = [version(1), version(2)]

    /** An execution of the old code that fell asleep for this long, and that an engine with the new code has parked. */
    const parkedAsleep = Effect.fnUntraced(function*(duration: Duration.Input) {
      const ledger = yield* makeLedger
      const old = V1.toLayer(() =>
        ledger.step("old a").pipe(Effect.andThen(Durable.sleep(duration)), Effect.andThen(ledger.step("old b")))
      )
      const first = yield* start(old)
      yield* first.use(V1.start("1"))
      yield* settle
      yield* first.stop
      const second = yield* start(V2.toLayer(() => ledger.step("new")))
      yield* pass("10 seconds")
      yield* second.reaches("Trip/1", "Parked")
      yield* second.stop
      return old
    })

    test(
      "registered side by side each run their own executions to the end",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const old = V1.toLayer(() =>
          ledger.step("old a").pipe(Effect.andThen(Durable.sleep("1 minute")), Effect.andThen(ledger.step("old b")))
        )
        const first = yield* start(old)
        yield* first.use(V1.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop

        const second = yield* start(old)
        yield* second.register(V2.toLayer(() => ledger.step("new")))
        const id = yield* second.use(V2.start("2"))
        assert.strictEqual(yield* second.use(V2.await(id)), "new")
        yield* pass("1 minute")

        assert.strictEqual(yield* second.use(V2.await("Trip/1")), "old b")
        assert.deepStrictEqual(ledger.lines, ["old a", "new", "old b"])
        assert.deepStrictEqual((yield* second.service.list()).map(({ id, version }) => [id, version]), [
          ["Trip/2", 2],
          ["Trip/1", 1]
        ])
      })
    )

    test(
      "without the one that an execution began with park it, naming both; it goes on once that is registered",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const old = V1.toLayer(() =>
          ledger.step("old a").pipe(Effect.andThen(Durable.sleep("1 second")), Effect.andThen(ledger.step("old b")))
        )
        const next = V2.toLayer(() => ledger.step("new"))
        const first = yield* start(old)
        yield* first.use(V1.start("1"))
        yield* first.use(V1.start("2"))
        yield* settle
        yield* first.stop

        const second = yield* start(next, { registrationTimeout: "3 seconds" })
        yield* pass("2.9 seconds")
        assert.strictEqual(yield* second.status("Trip/1"), "Waiting")
        yield* pass("0.1 seconds")
        const record = yield* second.reaches("Trip/1", "Parked")
        yield* second.register(old)

        assert.strictEqual(
          record.reason,
          "It began with version 1 of \"Trip\", and registered is version 2. Register version 1 beside it, and the " +
            "execution goes on."
        )
        assert.strictEqual(yield* second.use(V2.await("Trip/1")), "old b")
        assert.strictEqual(yield* second.use(V2.await("Trip/2")), "old b")
        assert.deepStrictEqual(ledger.lines, ["old a", "old a", "old b", "old b"])
      })
    )

    test(
      "let a parked execution go on when the engine starts with the right one again",
      Effect.gen(function*() {
        const old = yield* parkedAsleep("1 second")

        const third = yield* start(old)

        assert.strictEqual(yield* third.use(V1.await("Trip/1")), "old b")
        const record = yield* third.service.get("Trip/1")
        assert.deepInclude(record, { status: "Completed", reason: null })
        assert.include(yield* third.story("Trip/1"), "Resumed")
      })
    )

    test(
      "are not listed as parked any more while they wait",
      Effect.gen(function*() {
        const old = yield* parkedAsleep("30 days")

        const third = yield* start(old)

        assert.deepInclude(yield* third.reaches("Trip/1", "Waiting"), { reason: null, error: null })
      })
    )

    test(
      "joined by the payload of another version give the execution that there is",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(V1.toLayer(() => ledger.step("old")))
        yield* engine.use(V1.execute("1"))
        yield* engine.register(V2.toLayer(() => ledger.step("new")))

        assert.strictEqual(yield* engine.use(V2.execute("1")), "old")
        assert.deepStrictEqual(ledger.lines, ["old"])
      })
    )

    test(
      "of one number can't be registered twice",
      Effect.gen(function*() {
        const engine = yield* start(V1.toLayer(() => Effect.succeed(null)))

        const exit = yield* Effect.exit(engine.register(V1.toLayer(() => Effect.succeed(null))))

        assert.isTrue(Cause.hasDies(causeOf(exit)))
        assert.include(Cause.pretty(causeOf(exit)), "There is a definition \"Trip\" with version 1 already.")
        assert.strictEqual(yield* engine.use(V1.execute("1")), null)
      })
    )

    test(
      "that are never registered leave their executions listed, parked with that reason, and cancellable",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.as(Effect.andThen(ledger.step("a"), Durable.sleep("1 hour")), null)
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop

        const second = yield* start(Careless.toLayer(() => Effect.succeed(null)))
        yield* pass("10 seconds")
        const [record] = yield* second.service.list({ statuses: ["Parked"] })
        yield* second.use(Trip.cancel("Trip/1"))
        yield* second.register(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.deepInclude(record!, {
          id: "Trip/1",
          reason: "No definition \"Trip\" is registered. Register it, and the execution goes on."
        })
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "whose layer is closed stop running, undo nothing, and go on when it is there again",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          ledger.step("a").pipe(Effect.andThen(Durable.sleep("5 seconds")), Effect.andThen(ledger.step("b")))
        )
        const engine = yield* start(Careless.toLayer(() => Effect.succeed(null)))
        const unregister = yield* engine.registerUntil(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        yield* unregister
        yield* pass("1 minute")
        assert.deepStrictEqual(ledger.lines, ["a"])
        yield* engine.register(definitions)

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["a", "b"])
      })
    )
  })

  describe(`${name}: code that does not fit the journal`, () => {
    /** What the saga does after its first two steps and a wait, which are in the journal when the code changes. */
    const original = ({ step }: Ledger): Body =>
      Effect.gen(function*() {
        yield* step("a")
        yield* step("b")
        yield* Go.await
        return yield* step("c")
      })

    const input = (value: string, note: Ledger["note"], name = "a") =>
      Step.make(name, {
        input: Schema.Struct({ to: Schema.String }),
        success: Schema.String,
        action: () => Effect.as(note(name), name),
        compensate: () => note(`undo ${name}`)
      })({ to: value })

    const changes: ReadonlyArray<{
      readonly what: string
      readonly before?: (ledger: Ledger) => Body
      readonly after: (ledger: Ledger) => Body
      readonly says: ReadonlyArray<string>
    }> = [
      {
        what: "a step that was renamed",
        after: ({ step }) => Effect.as(Effect.all([step("a"), step("book"), Go.await]), null),
        says: ["has a result of \"b\"", "did not ask for", "it asks for \"book\""]
      },
      {
        what: "a step that was removed",
        after: ({ step }) => Effect.as(Effect.all([step("a"), Go.await]), null),
        says: ["has a result of \"b\"", "did not ask for"]
      },
      {
        what: "a step that was added before others",
        after: ({ step }) => Effect.as(Effect.all([step("new"), step("a"), step("b"), Go.await]), null),
        says: ["has a result of \"a\", \"b\"", "it asks for \"new\""]
      },
      {
        what: "steps in another order",
        after: ({ step }) => Effect.as(Effect.all([step("b"), step("a"), Go.await]), null),
        says: ["\"a\""]
      },
      {
        what: "a body that ends without its steps",
        after: ({ step }) => step("a"),
        says: ["The body ended without asking for \"b\""]
      },
      {
        what: "a body that fails without its steps",
        after: ({ step }) => Effect.andThen(step("a"), Effect.die(new SyntaxError("no JSON"))),
        says: ["The body ended without asking for \"b\", which the journal has: it failed with SyntaxError: no JSON."]
      },
      {
        what: "a step that gets another input",
        before: ({ note }) => Effect.as(Effect.all([input("Rome", note), Go.await]), null),
        after: ({ note }) => Effect.as(Effect.all([input("Oslo", note), Go.await]), null),
        says: ["Step \"a\" had the input {\"to\":\"Rome\"}, and gets {\"to\":\"Oslo\"} now"]
      },
      {
        what: "a step whose input has another shape",
        before: ({ note }) => Effect.as(Effect.all([input("Rome", note), Go.await]), null),
        after: ({ step }) => Effect.as(Effect.all([step("a"), Go.await]), null),
        says: ["Step \"a\" had the input {\"to\":\"Rome\"}, and gets null now"]
      },
      {
        what: "a step whose value does not fit its schema any more",
        after: ({ step }) =>
          Effect.as(
            Effect.all([
              Step.make("a", { success: Schema.Number, action: () => Effect.succeed(1) })(),
              step("b"),
              Go.await
            ]),
            null
          ),
        says: ["The value of step \"a\" does not fit its schema any more"]
      },
      {
        what: "a step where a value was",
        before: ({ step }) => Effect.as(Effect.all([Durable.uuid, step("b"), Go.await]), null),
        after: ({ step }) => Effect.as(Effect.all([step("uuid"), step("b"), Go.await]), null),
        says: ["\"uuid\" was no step when the execution began (ValueRecorded)"]
      },
      {
        what: "a value where a step was",
        before: ({ step }) => Effect.as(Effect.all([step("uuid"), step("b"), Go.await]), null),
        after: ({ step }) => Effect.as(Effect.all([Durable.uuid, step("b"), Go.await]), null),
        says: ["\"uuid\" was something else when the execution began (StepSucceeded instead of ValueRecorded)"]
      },
      {
        what: "a sequence where branches were",
        before: ({ step }) => Effect.as(Effect.andThen(Saga.all([step("a"), step("b")]), Go.await), null),
        after: original,
        says: ["has a result of \"all[0]/a\", \"all[1]/b\""]
      },
      {
        what: "another schema of the payload",
        after: original,
        says: ["Its payload does not fit the schema any more"]
      }
    ]

    for (const { after, before = original, says, what } of changes) {
      test(
        `such as ${what} parks the execution with a reason that says so, does nothing, and goes on with the right code`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const right = Trip.toLayer(() => before(ledger))
          const wrong = what !== "another schema of the payload" ? Trip.toLayer(() => after(ledger)) : DurableSaga.make(
            "Trip",
            { payload: Schema.Number, success: Schema.Json, error: Schema.String, idempotencyKey: String }
          ).toLayer(() => after(ledger))
          const first = yield* start(right)
          yield* first.use(Trip.start("1"))
          yield* first.reaches("Trip/1", "Waiting")
          const done = [...ledger.lines]
          yield* first.crash

          const second = yield* start(wrong, { replayTimeout: "2 seconds" })
          yield* pass("2 seconds")
          yield* pass("2 seconds")
          const record = yield* second.reaches("Trip/1", "Parked")
          const story = yield* second.story("Trip/1")
          yield* second.stop
          const third = yield* start(wrong, { replayTimeout: "2 seconds" })
          yield* pass("2 seconds")
          yield* pass("2 seconds")
          const again = yield* third.story("Trip/1")
          yield* third.stop
          assert.deepStrictEqual(ledger.lines, done)
          const fourth = yield* start(right)
          yield* fourth.use(Trip.signal("Trip/1", Go, "go"))
          const exit = yield* fourth.exit(Trip.await("Trip/1"))

          for (const text of ["The code does not fit the journal of Trip/1.", "version 1", ...says]) {
            assert.include(record.reason, text)
          }
          assert.deepStrictEqual(again, story, "it is not parked for the same reason once more")
          assert.isTrue(Exit.isSuccess(exit))
          assert.deepInclude(yield* fourth.service.get("Trip/1"), { status: "Completed", reason: null })
          assert.deepStrictEqual(ledger.lines.slice(0, done.length), done)
          assert.notInclude(ledger.lines.join(" "), "undo")
        })
      )
    }

    for (const what of ["a step that was removed", "a step that can't be undone any more"] as const) {
      test(
        `such as ${what} parks an execution that is being undone before anything more of it is, until the right code is back`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const gate = yield* makeGate
          const body = (isRight: boolean) =>
            Trip.toLayer(() =>
              Effect.gen(function*() {
                if (isRight || what !== "a step that was removed") yield* ledger.step("a")
                yield* isRight || what === "a step that was removed"
                  ? ledger.step("b")
                  : Step.make("b", { success: Schema.String, action: () => Effect.die("run again") })()
                yield* ledger.slowlyUndone(gate.pass)
                yield* ledger.failing("last")
                return null
              })
            )
          const first = yield* start(body(true))
          yield* first.use(Trip.start("1"))
          yield* gate.arrived
          yield* first.crash
          yield* gate.openToOthers
          const before = [...ledger.lines]

          const second = yield* start(body(false), { replayTimeout: "2 seconds" })
          yield* pass("2 seconds")
          yield* pass("2 seconds")
          const record = yield* second.reaches("Trip/1", "Parked")
          assert.deepStrictEqual(ledger.lines, before)
          yield* second.stop
          const third = yield* start(body(true))
          yield* third.exit(Trip.await("Trip/1"))

          assert.include(record.reason, "The code does not fit the journal")
          assert.deepStrictEqual(ledger.lines, [...before, "undo slow", "undo b", "undo a"])
        })
      )
    }

    test(
      "is followed by code that does, and the last event is that of the end, also where nothing was left to do",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const definitions = Trip.toLayer(() =>
          Effect.onError(
            Effect.andThen(Step.make("a", { action: () => Effect.void })(), Effect.fail("no")),
            () => gate.pass
          )
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* settle
        yield* first.crash
        yield* gate.openToOthers
        const second = yield* start(Trip.toLayer(() => Effect.succeed("other code")))
        yield* second.reaches("Trip/1", "Parked")
        yield* second.stop

        const third = yield* start(definitions)
        yield* third.reaches("Trip/1", "Compensated")

        assert.strictEqual(endingOf(yield* third.exit(Trip.execute("1"))), "Fail no")
        assert.isNull((yield* third.service.get("Trip/1")).reason)
        assert.deepStrictEqual((yield* third.story("Trip/1")).slice(2), ["Parked", "Resumed", "ExecutionCompensated"])
      })
    )

    test(
      "at a place that was not reached yet does no harm",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const body = (last: string) =>
          Trip.toLayer(() => ledger.step("a").pipe(Effect.andThen(Go.await), Effect.andThen(ledger.step(last))))
        const first = yield* start(body("b"))
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop

        const second = yield* start(body("better"))
        yield* second.use(Trip.signal("Trip/1", Go, "go"))

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "better")
        assert.deepStrictEqual(ledger.lines, ["a", "better"])
      })
    )
  })
}
