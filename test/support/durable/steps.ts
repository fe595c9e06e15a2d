/*
 * Steps, and the paths under which they are kept.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { Saga, Step } from "effect-saga"
import { pass, settle, start, testsOn, whileTimePasses } from "./engine.ts"
import { makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a step`, () => {
    test(
      "that nothing keeps is refused in a durable saga, and the message says what to use",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const plain = Saga.step(ledger.note("plain"), () => ledger.note("undo plain"), { name: "plain" })
        const engine = yield* start(
          Trip.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), plain), null) as never)
        )

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.strictEqual(
          endingOf(exit),
          "Die Step \"plain\" was not started: a durable saga would repeat it after a crash. Make it with Step.make."
        )
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "in the action of another one is refused, and the message says where to put it",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const outer = Step.make("outer", { action: () => Effect.asVoid(ledger.step("inner")) as Effect.Effect<void> })
        const engine = yield* start(Trip.toLayer(() => Effect.as(outer(), null)))

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.match(endingOf(exit), /^Die Step "inner" was not started, because it is in the action of a step/)
        assert.deepStrictEqual(ledger.lines, [])
      })
    )

    test(
      "that runs twice at once in one place is a defect that says to use Saga.all",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const gate = yield* makeGate
        const slow = Step.make("book", {
          action: () => Effect.andThen(ledger.note("book"), gate.pass),
          compensate: () => ledger.note("undo book")
        })
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.as(
              Effect.all([slow(), Effect.andThen(gate.arrived, slow())], { concurrency: "unbounded" }),
              null
            )
          )
        )
        const running = yield* Effect.forkChild(engine.exit(Trip.execute("1")))
        yield* gate.arrived
        yield* settle
        yield* gate.open

        const exit = yield* Fiber.join(running)

        assert.match(endingOf(exit), /^Die Two of step "book" run at once .* Put them in branches of Saga.all/)
        assert.deepStrictEqual(ledger.lines, ["book", "undo book"])
      })
    )

    test(
      "may run twice at once in branches, under names of its own, and one after the other",
      Effect.gen(function*() {
        const book = Step.make("book", {
          input: Schema.Number,
          success: Schema.Number,
          action: (n) => Effect.as(Effect.sleep(1000), n)
        })
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              const branches = yield* Saga.all([book(1), book(2)], { concurrency: "unbounded" })
              const named = yield* Effect.all([book(3, { name: "out" }), book(4, { name: "back" })], {
                concurrency: "unbounded"
              })
              return [...branches, ...named, yield* book(5), yield* book(6)]
            })
          )
        )

        const values = yield* whileTimePasses(engine.use(Trip.execute("1")))

        assert.deepStrictEqual(values, [1, 2, 3, 4, 5, 6])
        assert.deepStrictEqual((yield* engine.story("Trip/1")).filter((line) => line.startsWith("Step")), [
          "StepSucceeded all[0]/book",
          "StepSucceeded all[1]/book",
          "StepSucceeded out",
          "StepSucceeded back",
          "StepSucceeded book",
          "StepSucceeded book#2"
        ])
      })
    )

    test(
      "is kept under a path with the number of its occurrence, through branches, savepoints and nested sagas",
      Effect.gen(function*() {
        const { failing, step } = yield* makeLedger
        const part = (n: number) => Effect.andThen(step("a"), n < 2 ? Effect.as(failing("b"), "") : step("b"))
        let attempts = 0
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* step("a")
              yield* step("a")
              yield* Saga.forEach([1, 2], () => Effect.andThen(step("a"), step("a")))
              yield* Saga.all({ left: step("a"), right: Saga.savepoint(step("a"), { name: "side" }) })
              yield* Effect.suspend(() => part(++attempts)).pipe(Saga.savepoint, Effect.retry({ times: 3 }))
              yield* Saga.transact(step("a"), { name: "inner" })
              yield* Saga.transact(step("a"), { name: "inner" })
              return null
            })
          )
        )

        yield* engine.use(Trip.execute("1"))

        assert.deepStrictEqual(
          (yield* engine.story("Trip/1")).slice(1, -1),
          [
            ["StepSucceeded a"],
            ["StepSucceeded a#2"],
            ["StepSucceeded forEach[0]/a", "StepSucceeded forEach[0]/a#2"],
            ["StepSucceeded forEach[1]/a", "StepSucceeded forEach[1]/a#2"],
            ["StepSucceeded all[left]/a", "StepSucceeded all[right]/side/a"],
            ["StepSucceeded savepoint/a", "StepFailed savepoint/b"],
            ["UnwindStarted savepoint", "CompensationSucceeded savepoint/a", "UnwindFinished savepoint"],
            ["StepSucceeded savepoint#2/a", "StepSucceeded savepoint#2/b"],
            ["StepSucceeded inner/a"],
            ["StepSucceeded inner#2/a"]
          ].flat()
        )
      })
    )

    test(
      "has the same idempotency key in every attempt, in every process and in its compensation",
      Effect.gen(function*() {
        const keys: Array<string> = []
        const gate = yield* makeGate
        const charge = Step.make("charge", {
          error: Schema.String,
          action: (_, { attempt, idempotencyKey }) => {
            keys.push(idempotencyKey)
            return attempt === 1 ? Effect.fail("busy") : attempt === 2 ? gate.pass : Effect.void
          },
          compensate: (_, { idempotencyKey }) => Effect.sync(() => keys.push(idempotencyKey)),
          retry: Schedule.spaced("1 second")
        })
        const definitions = Trip.toLayer(() => Effect.andThen(Saga.all([charge()]), Effect.fail("stop")))
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* pass("1 second")
        yield* gate.arrived
        yield* engine.crash
        yield* gate.openToOthers

        const later = yield* start(definitions)
        yield* later.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(keys, Array.from({ length: 4 }, () => "Trip/1/all[0]/charge"))
      })
    )
  })
}
