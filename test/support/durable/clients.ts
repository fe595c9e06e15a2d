/*
 * Starting, joining, and reading results.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger, Option, Result, Schema } from "effect"
import { DurableSaga, Saga, SagaEngine, Step } from "effect-saga"
import { TestClock } from "effect/testing"
import { causeOf, compensationFailedIn } from "../results.ts"
import { refusal, start, testsOn } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import type { StorageLayer } from "./storage.ts"

class Money extends Schema.Class<Money>("Money")({ amount: Schema.Number, currency: Schema.String }) {
  override toString() {
    return `${this.amount} ${this.currency}`
  }
}

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { card: Schema.String, limit: Money }) {}

class RefundRefused extends Schema.TaggedError<RefundRefused>()("RefundRefused", { receipt: Schema.String }) {}

const Order = DurableSaga.make("Order", {
  payload: Schema.Struct({ id: Schema.String, price: Money, at: Schema.Date }),
  success: Schema.Struct({ total: Money, at: Schema.Date, note: Schema.Option(Schema.String) }),
  error: CardDeclined,
  idempotencyKey: ({ id }) => id,
  onCompensationFailure: "fail"
})

const order = { id: "7", price: new Money({ amount: 20, currency: "EUR" }), at: new Date("2026-01-02T03:04:05.678Z") }

const declined = new CardDeclined({ card: "4242", limit: new Money({ amount: 5, currency: "EUR" }) })

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: starting an execution`, () => {
    test(
      "returns its id once the start is durable, while it runs",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const engine = yield* start(Trip.toLayer(() => Effect.as(Effect.andThen(ledger.step("a"), wait()), "done")))

        const id = yield* engine.use(Trip.start("1"))

        assert.strictEqual(id, "Trip/1")
        assert.strictEqual(id, Trip.executionId("1"))
        assert.include(yield* engine.story(id), "ExecutionStarted")
        yield* gate.arrived
        assert.deepStrictEqual(yield* engine.use(Trip.poll(id)), Option.none())
        yield* gate.open
        assert.strictEqual(yield* engine.use(Trip.await(id)), "done")
      })
    )

    test(
      "a second time joins the one that runs, and the one that has ended",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const engine = yield* start(
          Trip.toLayer((id) => Effect.as(Effect.andThen(ledger.step(id), wait()), `${id} done`))
        )

        const first = yield* Effect.forkChild(engine.use(Trip.execute("1")))
        yield* gate.arrived
        const second = yield* Effect.forkChild(engine.use(Trip.execute("1")))
        yield* engine.use(Trip.start("1"))
        yield* gate.open

        assert.deepStrictEqual(yield* Fiber.join(first), "1 done")
        assert.deepStrictEqual(yield* Fiber.join(second), "1 done")
        assert.deepStrictEqual(yield* engine.use(Trip.execute("1")), "1 done")
        assert.deepStrictEqual(ledger.lines, ["1"])
        assert.lengthOf(yield* engine.service.list(), 1)
      })
    )

    test(
      "a hundred times at once starts it once, and all are given its result",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer((id) => Effect.andThen(Effect.yieldNow, ledger.step(id))))
        const clients = Array.from({ length: 100 }, (_, index) => index)

        const results = yield* Effect.forEach(
          clients,
          (client) =>
            engine.use(client % 2 === 0 ? Trip.execute("1") : Effect.flatMap(Trip.start("1"), (id) => Trip.await(id))),
          { concurrency: "unbounded" }
        )

        assert.deepStrictEqual(results, clients.map(() => "1"))
        assert.deepStrictEqual(ledger.lines, ["1"])
        assert.strictEqual((yield* engine.story("Trip/1")).filter((line) => line === "ExecutionStarted").length, 1)
      })
    )

    test(
      "of each of a hundred payloads at once mixes none of them up, and undoes nothing twice",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer((id) =>
          Effect.gen(function*() {
            yield* ledger.step(`${id}a`)
            yield* Saga.all([ledger.step(`${id}b`), ledger.step(`${id}c`)], { concurrency: "unbounded" })
            if (Number(id) % 2 === 1) return yield* Effect.fail(`${id} is odd`)
            return id
          })
        ))
        const ids = Array.from({ length: 100 }, (_, index) => String(index))

        const results = yield* Effect.forEach(ids, (id) => Effect.result(engine.use(Trip.execute(id))), {
          concurrency: "unbounded"
        })

        assert.deepStrictEqual(
          results.map((result) => Result.isSuccess(result) ? result.success : result.failure),
          ids.map((id) => Number(id) % 2 === 1 ? `${id} is odd` : id)
        )
        for (const id of ids) {
          const own = ledger.lines.filter((line) => line.replace("undo ", "").slice(0, -1) === id)
          const done = [`${id}a`, `${id}b`, `${id}c`]
          const undone = done.toReversed().map((line) => `undo ${line}`)
          assert.deepStrictEqual(own, Number(id) % 2 === 1 ? [...done, ...undone] : done)
        }
      })
    )

    test(
      "waits where its definition is not registered yet, and runs when it is",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Careless.toLayer(() => Effect.succeed(null)))

        const result = yield* Effect.forkChild(engine.use(Trip.execute("1")))
        yield* engine.use(Trip.start("2"))
        yield* engine.register(Trip.toLayer(ledger.step))

        assert.strictEqual(yield* Fiber.join(result), "1")
        assert.strictEqual(yield* engine.use(Trip.await("Trip/2")), "2")
      })
    )

    test(
      "is refused where the payload does not fit its schema",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.succeed(null)))

        for (const call of [Trip.start, Trip.execute]) {
          const reason = yield* engine.use(refusal(call(17 as never)))
          assert.match(reason, /^InvalidPayload: /)
          assert.include(reason, "The payload of \"Trip\"")
        }

        assert.deepStrictEqual(yield* engine.service.list(), [])
      })
    )

    test(
      "is refused where the payload has no id",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.succeed(null)))

        const reason = yield* engine.use(refusal(Trip.start("")))

        assert.match(reason, /^InvalidPayload: /)
        assert.include(reason, "idempotency key has to be a text that is not empty")
        assert.deepStrictEqual(yield* engine.service.list(), [])
      })
    )
  })

  describe(`${name}: the result of an execution`, () => {
    const charge = Step.make("charge", {
      input: Money,
      success: Schema.Struct({ paid: Money, at: Schema.Date }),
      error: CardDeclined,
      compensationError: RefundRefused,
      action: (price) => price.amount > 100 ? Effect.fail(declined) : Effect.succeed({ paid: price, at: order.at }),
      compensate: ({ paid }) => paid.amount > 50 ? Effect.fail(new RefundRefused({ receipt: `${paid}` })) : Effect.void
    })

    test(
      "has the classes of its schema, at once and after a restart",
      Effect.gen(function*() {
        const definitions = Order.toLayer(Effect.fnUntraced(function*({ price }) {
          const { at, paid } = yield* charge(price)
          return { total: paid, at, note: Option.some("thanks") }
        }))
        const expected = { total: order.price, at: order.at, note: Option.some("thanks") }

        const engine = yield* start(definitions)
        const result = yield* engine.use(Order.execute(order))
        yield* engine.stop
        const later = yield* start(definitions)

        assert.deepStrictEqual(result, expected)
        for (const read of [Order.execute(order), Order.await("Order/7")]) {
          const again = yield* later.use(read)
          assert.deepStrictEqual(again, expected)
          assert.instanceOf(again.total, Money)
          assert.strictEqual(`${again.total}`, "20 EUR")
          assert.instanceOf(again.at, Date)
        }
        assert.deepStrictEqual(yield* later.use(Order.poll("Order/7")), Option.some(Exit.succeed(expected)))
      })
    )

    test(
      "is the typed error of one that was undone, at once and after a restart",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Order.toLayer(Effect.fnUntraced(function*({ price }) {
          yield* ledger.step("reserve")
          yield* charge(new Money({ ...price, amount: 500 }))
          return yield* Effect.die("not reached")
        }))

        const engine = yield* start(definitions)
        const error = yield* engine.use(Effect.flip(Order.execute(order)))
        const limit = yield* engine.use(
          Effect.catchTag(Order.execute(order), "CardDeclined", ({ limit }) => Effect.succeed(limit))
        )
        yield* engine.stop
        const later = yield* start(definitions)

        assert.deepStrictEqual(error, declined)
        assert.deepStrictEqual(limit, declined.limit)
        const again = yield* later.use(Effect.flip(Order.await("Order/7")))
        assert.instanceOf(again, CardDeclined)
        assert.deepStrictEqual(again, declined)
        assert.deepStrictEqual(ledger.lines, ["reserve", "undo reserve"])
        assert.strictEqual(yield* later.status("Order/7"), "Compensated")
      })
    )

    test(
      "is CompensationFailed with reason, failures and report where something was not undone, also after a restart",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Order.toLayer(Effect.fnUntraced(function*({ price }) {
          yield* ledger.step("reserve")
          yield* charge(new Money({ ...price, amount: 60 }))
          return yield* declined
        }))

        const engine = yield* start(definitions)
        const first = compensationFailedIn(causeOf(yield* engine.exit(Order.execute(order))))
        yield* engine.stop
        const later = yield* start(definitions)
        const second = yield* later.use(Effect.flip(Order.await("Order/7")))

        assert.instanceOf(second, Saga.CompensationFailed)
        if (!(second instanceof Saga.CompensationFailed)) return
        for (const failed of [first, second]) {
          assert.deepStrictEqual(Cause.squash(failed.reason), declined)
          assert.deepStrictEqual(failed.report.steps.map(({ outcome, path }) => `${path}: ${outcome}`), [
            "reserve: Compensated",
            "charge: CompensationFailed"
          ])
          assert.deepStrictEqual(failed.failures.map(({ step }) => step), ["charge"])
          assert.include(failed.message, "Left to undo: charge.")
          assert.include(failed.message, "RefundRefused")
        }
        assert.strictEqual(yield* later.status("Order/7"), "Failed")
      })
    )

    test(
      "is CommittedIncomplete where it failed after its pivot, also after a restart",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Order.toLayer(Effect.fnUntraced(function*({ price }) {
          yield* charge(price)
          yield* Saga.pivot(ledger.step("ship"))
          return yield* declined
        }))

        const engine = yield* start(definitions)
        const first = yield* engine.use(Effect.flip(Order.execute(order)))
        yield* engine.stop
        const later = yield* start(definitions)
        const second = yield* later.use(Effect.flip(Order.await("Order/7")))

        for (const error of [first, second]) {
          assert.instanceOf(error, Saga.CommittedIncomplete)
          if (!(error instanceof Saga.CommittedIncomplete)) return
          assert.deepStrictEqual(Cause.squash(error.reason), declined)
          assert.include(error.report.steps.map(({ outcome, path }) => `${path}: ${outcome}`), "charge: Committed")
        }
        assert.strictEqual(yield* later.status("Order/7"), "Failed")
      })
    )

    test(
      "is the defect of one that died, with its message, also after a restart",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() => Effect.andThen(ledger.step("a"), Effect.die(new TypeError("a bug"))))

        const engine = yield* start(definitions)
        const first = yield* engine.exit(Trip.execute("1"))
        yield* engine.stop
        const later = yield* start(definitions)
        const second = yield* later.exit(Trip.await("Trip/1"))

        for (const exit of [first, second]) {
          const defect = Cause.squash(causeOf(exit))
          assert.isTrue(Cause.hasDies(causeOf(exit)))
          assert.instanceOf(defect, Error)
          assert.strictEqual((defect as Error).name, "TypeError")
          assert.strictEqual((defect as Error).message, "a bug")
        }
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "that is a defect is logged: of a saga that was only started nobody else might hear of it",
      Effect.gen(function*() {
        const lines: Array<unknown> = []
        const logger = Logger.make(({ message }) => lines.push(message))
        const definitions = Trip.toLayer(() => Effect.die(new TypeError("no city")))
        const engine = yield* Effect.provide(start(definitions), Logger.layer([logger]))

        yield* engine.exit(Trip.execute("1"))

        assert.deepStrictEqual(lines.map(String), [
          "Execution Trip/1 failed with a mistake in its code: TypeError: no city."
        ])
      })
    )

    test(
      "that does not fit its schema is a defect, and what was done is undone",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => Effect.as(ledger.step("a"), new Map() as never)))

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.isTrue(Cause.hasDies(causeOf(exit)))
        assert.include(Cause.pretty(causeOf(exit)), "The result of \"Trip\" does not fit its schema")
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensated")
      })
    )

    test(
      "has to be asked for by the id of an execution that there is",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.succeed(null)))

        for (const ask of [Trip.await("Trip/1"), Trip.poll("Trip/1"), Trip.cancel("Trip/1")]) {
          const reason = yield* engine.use(refusal<unknown, unknown, SagaEngine.SagaEngine>(ask))
          assert.match(reason, /^ExecutionNotFound: /)
          assert.include(reason, "There is no execution \"Trip/1\"")
        }
      })
    )

    test(
      "is there for whoever had stopped waiting for it",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass, compensate: () => Effect.die("undone") })
        const engine = yield* start(Trip.toLayer(() => Effect.as(wait(), "done")))

        const client = yield* Effect.forkChild(engine.use(Trip.execute("1")))
        yield* gate.arrived
        yield* Fiber.interrupt(client)
        yield* gate.open

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "done")
      })
    )
  })

  describe(`${name}: pruning`, () => {
    const definitions = Careless.toLayer((id) =>
      Effect.gen(function*() {
        const { failing, step, stubborn } = yield* makeLedger
        if (id.startsWith("fails")) yield* stubborn("b")
        else yield* step("b")
        if (!id.startsWith("completes")) yield* failing("c")
        return id
      })
    )

    test(
      "deletes what ended long enough ago, and its result with it",
      Effect.gen(function*() {
        const engine = yield* start(definitions)
        yield* engine.use(Careless.execute("completes early"))
        yield* TestClock.adjust("1 minute")
        yield* engine.use(Careless.execute("completes late"))
        yield* TestClock.adjust("10 seconds")

        const count = yield* engine.service.prune({ olderThan: "30 seconds" })

        assert.strictEqual(count, 1)
        assert.deepStrictEqual((yield* engine.service.list()).map(({ id }) => id), ["Careless/completes late"])
        const reason = yield* engine.use(refusal(Careless.await("Careless/completes early")))
        assert.match(reason, /^ExecutionNotFound: /)
        assert.strictEqual(yield* engine.use(Careless.execute("completes late")), "completes late")
      })
    )

    test(
      "may be limited to how executions ended",
      Effect.gen(function*() {
        const engine = yield* start(definitions)
        for (const id of ["completes", "compensates", "fails"]) yield* engine.exit(Careless.execute(id))
        yield* TestClock.adjust("1 minute")

        assert.strictEqual(yield* engine.service.prune({ olderThan: "1 second", statuses: ["Failed"] }), 1)
        assert.deepStrictEqual((yield* engine.service.list()).map(({ status }) => status), ["Compensated", "Completed"])
        assert.strictEqual(yield* engine.service.prune({ olderThan: "1 second", statuses: ["Completed"] }), 1)
        assert.deepStrictEqual((yield* engine.service.list()).map(({ status }) => status), ["Compensated"])
        assert.strictEqual(yield* engine.service.prune({ olderThan: "1 second" }), 1)
        assert.deepStrictEqual(yield* engine.service.list(), [])
      })
    )

    test(
      "never deletes what has not ended, be it running or parked",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { failing, stubborn } = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const engine = yield* start(
          Trip.toLayer((id) => Effect.as(id === "runs" ? wait() : Effect.andThen(stubborn("a"), failing("b")), null))
        )
        yield* engine.use(Trip.start("runs"))
        yield* engine.use(Trip.start("parks"))
        yield* engine.reaches("Trip/parks", "Parked")
        yield* TestClock.adjust("1 minute")

        const count = yield* engine.service.prune({ olderThan: "1 second" })

        assert.strictEqual(count, 0)
        assert.deepStrictEqual((yield* engine.service.list()).map(({ id }) => id), ["Trip/parks", "Trip/runs"])
        yield* gate.open
        assert.strictEqual(yield* engine.use(Trip.await("Trip/runs")), null)
      })
    )

    test(
      "lets a payload be started again, as a new execution",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(ledger.step))
        yield* engine.use(Trip.execute("1"))
        yield* TestClock.adjust("1 minute")
        yield* engine.service.prune({ olderThan: "1 second" })

        yield* engine.use(Trip.execute("1"))

        assert.deepStrictEqual(ledger.lines, ["1", "1"])
        assert.strictEqual((yield* engine.service.get("Trip/1")).key, 2)
      })
    )
  })

  describe(`${name}: the list of executions`, () => {
    test(
      "says what each of them is and where it stands, newest first, by page",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const at = Date.parse("2026-01-01T00:00:00Z")
        yield* TestClock.setTime(at)
        const engine = yield* start(Trip.toLayer((id) => Effect.as(id === "3" ? wait() : ledger.step(id), id)))
        for (const id of ["1", "2"]) yield* engine.use(Trip.execute(id))
        yield* engine.use(Trip.start("3"))
        yield* gate.arrived

        const all = yield* engine.service.list()
        const running = yield* engine.service.list({ statuses: ["Running"] })
        const page = yield* engine.service.list({ limit: 1, after: all[0]! })
        const others = yield* engine.service.list({ definition: "Careless" })

        assert.deepStrictEqual(all.map(({ id, status }) => [id, status]), [
          ["Trip/3", "Running"],
          ["Trip/2", "Completed"],
          ["Trip/1", "Completed"]
        ])
        assert.deepStrictEqual(running.map(({ id }) => id), ["Trip/3"])
        assert.deepStrictEqual(page.map(({ id }) => id), ["Trip/2"])
        assert.deepStrictEqual(others, [])
        assert.deepInclude(all[0]!, {
          definition: "Trip",
          version: 1,
          cancelled: false,
          reason: null,
          parent: null,
          createdAt: at
        })
        yield* gate.open
      })
    )
  })
}
