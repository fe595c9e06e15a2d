/*
 * Compensations that failed for good, and what an operator decides on them.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { Saga, Step } from "effect-saga"
import { compensationFailedIn } from "../results.ts"
import { causeOf } from "../results.ts"
import { pass, refusal, restarted, settle, start, testsOn, until } from "./engine.ts"
import { Careless, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

/** A saga whose second step can't be undone while `broken` is true. */
const makeStuck = Effect.map(makeLedger, (ledger) => {
  const state = { broken: true }
  const definitions = Trip.toLayer(() =>
    Effect.gen(function*() {
      yield* ledger.step("a")
      yield* ledger.stubborn("b", () => state.broken)
      yield* ledger.step("c")
      yield* ledger.failing("d")
      return null
    })
  )
  return { definitions, lines: ledger.lines, state }
})

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a compensation that fails for good`, () => {
    test(
      "parks the execution with a reason that names it, and nothing else is undone meanwhile",
      Effect.gen(function*() {
        const { definitions, lines } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))

        const record = yield* engine.reaches("Trip/1", "Parked")
        yield* pass("1 minute")

        assert.strictEqual(record.reason, "Step \"b\" could not be undone: Error: b is stuck.")
        assert.deepStrictEqual(lines, ["a", "b", "c", "d", "undo c", "undo b"])
        assert.deepStrictEqual((yield* engine.service.list({ statuses: ["Parked"] })).map(({ id }) => id), ["Trip/1"])
        const parked = (yield* engine.history("Trip/1")).find((event) => event._tag === "Parked")
        assert.deepInclude(parked!, { kind: "CompensationFailed", path: "b", attempt: 1 })
      })
    )

    test(
      "is tried again by retry, and then the rest is undone",
      Effect.gen(function*() {
        const { definitions, lines, state } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        state.broken = false

        yield* engine.service.retry("Trip/1", { operator: "ann", reason: "bank is back" })
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail d failed")
        assert.deepStrictEqual(lines, ["a", "b", "c", "d", "undo c", "undo b", "undo b", "undo a"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensated")
        const history = yield* engine.history("Trip/1")
        const retried = history.find((event) => event._tag === "Retried")
        assert.deepInclude(retried!, { path: "b", operator: "ann", reason: "bank is back" })
        const undone = history.find((event) => event._tag === "CompensationSucceeded" && event.path === "b")
        assert.deepInclude(undone!, { attempt: 2 })
      })
    )

    test(
      "parks it again where a retry fails again, as often as that happens",
      Effect.gen(function*() {
        const { definitions, lines } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))

        for (const attempt of [1, 2, 3]) {
          yield* until(
            engine.history("Trip/1"),
            (events) => events.filter(({ _tag }) => _tag === "Parked").length === attempt,
            `it is parked ${attempt} times`
          )
          yield* engine.reaches("Trip/1", "Parked")
          yield* engine.service.retry("Trip/1")
        }
        yield* settle

        assert.deepStrictEqual(lines.filter((line) => line === "undo b").length, 4)
        const attempts = (yield* engine.history("Trip/1")).flatMap((event) =>
          event._tag === "Parked" ? [event.attempt] : []
        )
        assert.deepStrictEqual(attempts, [1, 2, 3, 4])
      })
    )

    test(
      "is given up by skip: it counts as failed, and the rest is undone",
      Effect.gen(function*() {
        const { definitions, lines } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.skip("Trip/1", { operator: "ann" })
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(
          endingOf(exit),
          "CompensationFailed a: Compensated, b: CompensationFailed, c: Compensated, d: Failed"
        )
        assert.include(compensationFailedIn(causeOf(exit)).message, "b is stuck")
        assert.deepStrictEqual(lines, ["a", "b", "c", "d", "undo c", "undo b", "undo a"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Failed")
      })
    )

    test(
      "counts as done by resolve, and the rest is undone",
      Effect.gen(function*() {
        const { definitions, lines } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.resolve("Trip/1", null, { reason: "refunded by hand" })
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail d failed")
        assert.deepStrictEqual(lines, ["a", "b", "c", "d", "undo c", "undo b", "undo a"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensated")
      })
    )

    test(
      "can't be cancelled, as it is being undone already",
      Effect.gen(function*() {
        const { definitions } = yield* makeStuck
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        const reason = yield* engine.use(refusal(engine.service.cancel("Trip/1")))

        assert.strictEqual(reason, "NotApplicable: Execution \"Trip/1\" was left as it is: it is already being undone.")
        assert.strictEqual(yield* engine.status("Trip/1"), "Parked")
      })
    )

    for (const how of ["stop", "crash"] as const) {
      test(
        `is not tried by itself after a ${how}, and each decision holds then`,
        Effect.gen(function*() {
          const { definitions, lines, state } = yield* makeStuck
          const first = yield* start(definitions)
          for (const id of ["retry", "skip", "resolve"]) {
            yield* first.use(Trip.start(id))
            yield* first.reaches(`Trip/${id}`, "Parked")
          }
          const before = [...lines]
          const second = yield* restarted(first, how, definitions)
          assert.deepStrictEqual(lines, before)
          for (const id of ["retry", "skip", "resolve"]) {
            assert.deepInclude(yield* second.service.get(`Trip/${id}`), {
              status: "Parked",
              reason: "Step \"b\" could not be undone: Error: b is stuck."
            })
          }
          const third = yield* restarted(second, how, definitions)
          state.broken = false

          yield* third.service.retry("Trip/retry")
          yield* third.service.skip("Trip/skip")
          yield* third.service.resolve("Trip/resolve")

          assert.strictEqual(endingOf(yield* third.exit(Trip.await("Trip/retry"))), "Fail d failed")
          assert.strictEqual(endingOf(yield* third.exit(Trip.await("Trip/resolve"))), "Fail d failed")
          assert.strictEqual(
            endingOf(yield* third.exit(Trip.await("Trip/skip"))),
            "CompensationFailed a: Compensated, b: CompensationFailed, c: Compensated, d: Failed"
          )
          assert.deepStrictEqual(lines.slice(before.length).toSorted(), ["undo a", "undo a", "undo a", "undo b"])
        })
      )
    }

    test(
      "may be decided on while its definition is not registered, and the decision holds when it is",
      Effect.gen(function*() {
        const { definitions, lines, state } = yield* makeStuck
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        state.broken = false
        const second = yield* restarted(first, "stop", Careless.toLayer(() => Effect.succeed(null)))

        yield* second.service.retry("Trip/1")
        assert.notInclude(lines, "undo a")
        yield* second.register(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail d failed")
        assert.deepStrictEqual(lines, ["a", "b", "c", "d", "undo c", "undo b", "undo b", "undo a"])
      })
    )

    test(
      "a decision that was durable at a crash is carried out after it",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        let broken = true
        let hangs = true
        const b = Step.make("b", {
          action: () => ledger.note("b"),
          compensate: (_, { attempt }) =>
            Effect.andThen(
              ledger.note(`undo b ${attempt}`),
              Effect.suspend(() => broken ? Effect.die("stuck") : hangs ? Effect.never : Effect.void)
            )
        })
        const definitions = Trip.toLayer(() => Effect.andThen(b(), Effect.fail("stop")))
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        broken = false
        yield* first.service.retry("Trip/1")
        yield* settle
        yield* first.crash
        hangs = false

        const second = yield* start(definitions)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(ledger.lines, ["b", "undo b 1", "undo b 2", "undo b 2"])
      })
    )

    test(
      "has its schedule of retries anew after a decision, and the count of attempts goes on",
      Effect.gen(function*() {
        const { lines, note } = yield* makeLedger
        const b = Step.make("b", {
          compensationError: Schema.String,
          action: () => note("b"),
          compensate: (_, { attempt }) => Effect.andThen(note(`undo b ${attempt}`), Effect.fail("stuck")),
          compensationRetry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))
        })
        const definitions = Trip.toLayer(() => Effect.andThen(b(), Effect.fail("stop")))
        const engine = yield* start(definitions)
        yield* engine.use(Trip.start("1"))
        yield* pass("1 second")
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.retry("Trip/1")
        yield* pass("1 second")
        yield* engine.reaches("Trip/1", "Parked")

        assert.deepStrictEqual(lines, ["b", "undo b 1", "undo b 2", "undo b 3", "undo b 4"])
      })
    )

    test(
      "keeps what is parked in two branches apart: a decision says for which",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.all([ledger.stubborn("b"), ledger.stubborn("b")], { compensation: "parallel" })
            return yield* Effect.fail("stop")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* until(
          first.history("Trip/1"),
          (events) => events.filter(({ _tag }) => _tag === "Parked").length === 2,
          "it is parked twice"
        )
        const engine = yield* restarted(first, "crash", definitions)

        assert.include((yield* engine.service.get("Trip/1")).reason, "\"all[0]/b\"")
        assert.include((yield* engine.service.get("Trip/1")).reason, "\"all[1]/b\"")
        assert.match(
          yield* refusal(engine.service.skip("Trip/1")),
          /^WrongStep: .* is parked for "all\[\d\]\/b", "all\[\d\]\/b"\. Say for which .* with its path\.$/
        )
        assert.match(
          yield* refusal(engine.service.skip("Trip/1", { path: "a" })),
          /^WrongStep: .* is not parked for "a", but for "all\[\d\]\/b", "all\[\d\]\/b"\.$/
        )
        yield* engine.service.resolve("Trip/1", null, { path: "all[1]/b" })
        yield* settle
        assert.strictEqual(yield* engine.status("Trip/1"), "Parked")
        assert.match(
          yield* refusal(engine.service.skip("Trip/1", { path: "all[1]/b" })),
          / is not parked for "all\[1\]\/b", but for "all\[0\]\/b"\.$/
        )
        assert.notInclude(ledger.lines, "undo a")
        yield* engine.service.skip("Trip/1")
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(
          endingOf(exit),
          "CompensationFailed a: Compensated, all[0]/b: CompensationFailed, all[1]/b: Compensated"
        )
        assert.strictEqual(ledger.lines.at(-1), "undo a")
      })
    )

    test(
      "in a savepoint parks it, and after the decision the saga goes on where that was handled",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        let broken = true
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Effect.ignore(
              Saga.savepoint(Effect.andThen(ledger.stubborn("b", () => broken), Effect.fail("part failed")))
            )
            return yield* ledger.step("c")
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        const second = yield* restarted(first, "stop", definitions)
        broken = false
        yield* second.service.retry("Trip/1")

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "c")
        assert.deepStrictEqual(ledger.lines, ["a", "b", "undo b", "undo b", "c"])
      })
    )
  })

  describe(`${name}: a decision`, () => {
    test(
      "on an execution that is not parked, has ended or does not exist is refused",
      Effect.gen(function*() {
        const { step } = yield* makeLedger
        const hang = Step.make("hang", { action: () => Effect.never })
        const engine = yield* start(Trip.toLayer((id) => id === "hangs" ? Effect.as(hang(), null) : step(id)))
        yield* engine.use(Trip.execute("done"))
        yield* engine.use(Trip.start("hangs"))

        for (const decide of [engine.service.retry, engine.service.skip, (id: string) => engine.service.resolve(id)]) {
          assert.match(
            yield* refusal(decide("Trip/hangs")),
            /^NotParked: Execution "Trip\/hangs" is not parked: it is Running\. /
          )
          assert.match(yield* refusal(decide("Trip/done")), /^AlreadyFinished: .* has ended \(Completed\)/)
          assert.match(yield* refusal(decide("Trip/none")), /^ExecutionNotFound: /)
        }

        assert.deepStrictEqual(yield* engine.story("Trip/hangs"), ["ExecutionStarted"])
      })
    )
  })
}
