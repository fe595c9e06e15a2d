/*
 * Executions that are part of another one.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { Durable, DurableSaga, Saga, type SagaEngine, Step } from "effect-saga"
import type { DurableOnly, DurableStack } from "../../../src/CompensationStack.ts"
import { type Definitions, pass, settle, start, testsOn, until } from "./engine.ts"
import { Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

class Receipt extends Schema.Class<Receipt>("Receipt")({ number: Schema.String, at: Schema.Date }) {}

class Declined extends Schema.TaggedError<Declined>()("Declined", { card: Schema.String }) {}

const Payment = DurableSaga.make("Payment", {
  payload: Schema.String,
  success: Receipt,
  error: Declined,
  idempotencyKey: (id) => id
})

const receipt = (number: string) => new Receipt({ number, at: new Date(0) })

const failure = <E, R>(self: Effect.Effect<unknown, E, R>): Effect.Effect<E, never, R> =>
  Effect.flip(Effect.andThen(self, Effect.die("It did not fail.")))

type ChildBody = Effect.Effect<Receipt, Declined, DurableStack<unknown> | DurableOnly | SagaEngine.SagaEngine>

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  /** Starts an engine with a child, and with a parent. */
  const family = (
    child: (id: string) => ChildBody,
    parent: Definitions,
    options?: SagaEngine.Options
  ) => Effect.tap(start(Payment.toLayer(child), options), (engine) => engine.register(parent))

  describe(`${name}: a child`, () => {
    test(
      "gives its parent its result, is listed with it, and outlives the parent's undoing",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) => Effect.as(ledger.step("pay"), receipt(id)),
          Trip.toLayer((id) =>
            Effect.gen(function*() {
              yield* ledger.step("a")
              const paid = yield* Effect.orDie(Payment.execute(`for ${id}`))
              assert.instanceOf(paid, Receipt)
              return yield* ledger.failing("b", `${paid.number} is not enough`)
            }).pipe(Effect.as(null))
          )
        )

        const exit = yield* engine.exit(Trip.execute("1"))

        assert.strictEqual(endingOf(exit), "Fail for 1 is not enough")
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "b", "undo a"])
        assert.deepInclude(yield* engine.service.get("Payment/for 1"), { status: "Completed", parent: "Trip/1" })
        assert.deepStrictEqual((yield* engine.story("Trip/1")).slice(2, 4), [
          "ChildStarted Payment",
          "ChildFinished Payment"
        ])
      })
    )

    for (const how of ["stop", "crash"] as const) {
      test(
        `that has ended is not run again after a ${how}, and its result has its class`,
        Effect.gen(function*() {
          const gate = yield* makeGate
          const ledger = yield* makeLedger
          const wait = Step.make("wait", { action: () => gate.pass })
          const child = (id: string) => Effect.as(ledger.step("pay"), receipt(id))
          const parent = Trip.toLayer((id) =>
            Effect.gen(function*() {
              const paid = yield* Effect.orDie(Payment.execute(id))
              assert.deepStrictEqual(paid, receipt(id))
              yield* wait()
              return paid.number
            })
          )
          const first = yield* family(child, parent)
          yield* first.use(Trip.start("1"))
          yield* gate.arrived
          if (how === "stop") yield* gate.open
          yield* first[how]
          yield* gate.openToOthers

          const second = yield* family(child, parent)

          assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "1")
          assert.deepStrictEqual(ledger.lines, ["pay"])
        })
      )

      test(
        `that runs goes on after a ${how}, and its parent waits for it again`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const child = (id: string) =>
            ledger.step("pay").pipe(
              Effect.andThen(Durable.sleep("10 seconds")),
              Effect.andThen(ledger.step("paid")),
              Effect.as(receipt(id))
            )
          const parent = Trip.toLayer((id) => Effect.map(Effect.orDie(Payment.execute(id)), ({ number }) => number))
          const first = yield* family(child, parent)
          yield* first.use(Trip.start("1"))
          yield* pass("5 seconds")
          yield* first[how]
          const second = yield* family(child, parent)
          yield* pass("5 seconds")

          assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "1")
          assert.deepStrictEqual(ledger.lines, ["pay", "paid"])
          assert.strictEqual((yield* second.story("Trip/1")).filter((line) => line.startsWith("Child")).length, 2)
        })
      )
    }

    test(
      "that ended while its parent was not there gives it its result later",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const child = (id: string) => Effect.as(Effect.andThen(Go.await, ledger.step("pay")), receipt(id))
        const parent = Trip.toLayer((id) => Effect.map(Effect.orDie(Payment.execute(id)), ({ number }) => number))
        const first = yield* family(child, parent)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* until(first.service.list(), (list) => list.length === 2, "the child is there")
        yield* first.stop

        const second = yield* start(Payment.toLayer(child))
        yield* second.use(Payment.signal("Payment/1", Go, "go"))
        yield* second.use(Payment.await("Payment/1"))
        yield* second.register(parent)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "1")
        assert.deepStrictEqual(ledger.lines, ["pay"])
      })
    )

    test(
      "that fails gives its parent its typed error, which can be handled, again so after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const wait = Step.make("wait", { action: () => gate.pass })
        const child = (id: string) => Effect.andThen(ledger.step("pay"), Effect.fail(new Declined({ card: id })))
        const seen: Array<unknown> = []
        const parent = Trip.toLayer((id) =>
          Effect.gen(function*() {
            const error = yield* failure(Payment.execute(id))
            seen.push(error)
            yield* wait()
            return error._tag === "Declined" ? error.card : error._tag
          })
        )
        const first = yield* family(child, parent)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* family(child, parent)

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "1")
        assert.deepStrictEqual(ledger.lines, ["pay", "undo pay"])
        assert.deepStrictEqual(seen, [new Declined({ card: "1" }), new Declined({ card: "1" })])
        assert.instanceOf(seen[1], Declined)
      })
    )

    test(
      "that was not undone gives its parent a CompensationFailed",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) => Effect.andThen(ledger.stubborn("pay"), Effect.fail(new Declined({ card: id }))),
          Trip.toLayer((id) => Effect.map(failure(Payment.execute(id)), ({ _tag }) => _tag))
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Payment/1", "Parked")
        assert.strictEqual(yield* engine.status("Trip/1"), "Waiting")

        yield* engine.service.skip("Payment/1")

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "CompensationFailed")
      })
    )

    test(
      "that was not undone makes a parent that fails with that one that failed, although it undid its own steps",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) => Effect.andThen(ledger.stubborn("pay"), Effect.fail(new Declined({ card: id }))),
          Trip.toLayer((id) =>
            ledger.step("a").pipe(
              Effect.andThen(Payment.execute(id)),
              Effect.catchTag("Declined", ({ card }) => Effect.fail(card)),
              Effect.as(null)
            )
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Payment/1", "Parked")
        yield* engine.service.skip("Payment/1")
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "CompensationFailed pay: CompensationFailed")
        assert.strictEqual(yield* engine.status("Trip/1"), "Failed")
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "undo pay", "undo a"])
      })
    )

    test(
      "is cancelled with its parent, and undone before it",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const child = (id: string) =>
          ledger.step("pay").pipe(Effect.andThen(Durable.sleep("10 seconds")), Effect.as(receipt(id)))
        const parent = Trip.toLayer((id) =>
          ledger.step("a").pipe(
            Effect.andThen(Effect.orDie(Payment.execute(id))),
            Effect.andThen(ledger.step("b"))
          )
        )
        const engine = yield* family(child, parent)
        yield* engine.use(Trip.start("1"))
        yield* until(engine.service.list(), (list) => list.length === 2, "the child is there")
        yield* engine.reaches("Payment/1", "Waiting")

        yield* engine.use(Trip.cancel("Trip/1"))
        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.match(endingOf(exit), /^Fail Execution "Trip\/1" was cancelled/)
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "undo pay", "undo a"])
        assert.deepInclude(yield* engine.service.get("Payment/1"), { status: "Compensated", cancelled: true })
      })
    )

    test(
      "has in its journal who had its parent cancelled and why, and so have its own children",
      Effect.gen(function*() {
        const by = { operator: "ada", reason: "the guest is ill" }
        const Leaf = DurableSaga.make("Leaf", { payload: Schema.String, idempotencyKey: (id) => id })
        const engine = yield* family(
          (id) => Effect.as(Effect.orDie(Leaf.execute(id)), receipt(id)),
          Trip.toLayer((id) => Effect.as(Effect.orDie(Payment.execute(id)), null))
        )
        yield* engine.register(Leaf.toLayer(() => Effect.asVoid(Go.await)))
        yield* engine.use(Trip.start("1"))
        yield* until(engine.service.list({ statuses: ["Waiting"] }), (list) => list.length === 3, "all of them wait")

        yield* engine.use(Trip.cancel("Trip/1", by))
        yield* engine.exit(Trip.await("Trip/1"))

        for (const id of ["Trip/1", "Payment/1", "Leaf/1"]) {
          const requested = (yield* engine.history(id)).filter(({ _tag }) => _tag === "CancelRequested")
          assert.lengthOf(requested, 1)
          assert.deepInclude(requested[0], by)
        }
      })
    )

    test(
      "whose parent was cancelled before a crash is cancelled and undone after it, before the parent",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const pay = Step.make("pay", {
          action: () => ledger.note("pay"),
          compensate: () => Effect.andThen(gate.pass, ledger.note("undo pay"))
        })
        const child = (id: string) => pay().pipe(Effect.andThen(Durable.sleep("1 hour")), Effect.as(receipt(id)))
        const parent = Trip.toLayer((id) =>
          ledger.step("a").pipe(Effect.andThen(Effect.orDie(Payment.execute(id))), Effect.andThen(ledger.step("b")))
        )
        const first = yield* family(child, parent)
        yield* first.use(Trip.start("1"))
        yield* until(first.service.list({ statuses: ["Waiting"] }), (list) => list.length === 2, "both wait")
        yield* first.use(Trip.cancel("Trip/1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* family(child, parent)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.match(endingOf(exit), /^Fail Execution "Trip\/1" was cancelled/)
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "undo pay", "undo a"])
        assert.strictEqual(yield* second.status("Payment/1"), "Compensated")
      })
    )

    test(
      "is cancelled, and undone, when a deadline of its parent passes, before that goes on",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) => ledger.step("pay").pipe(Effect.andThen(Go.await), Effect.as(receipt(id))),
          Trip.toLayer((id) =>
            Effect.gen(function*() {
              const paid = yield* Effect.raceFirst(
                Effect.map(Effect.orDie(Payment.execute(id)), ({ number }) => number),
                Effect.as(Durable.sleep("10 seconds"), "not paid in time")
              )
              yield* ledger.step("a")
              return paid
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* pass("10 seconds")

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "not paid in time")
        assert.deepStrictEqual(ledger.lines, ["pay", "undo pay", "a"])
      })
    )

    test(
      "is cancelled, and undone, when a sibling fails, before its parent is",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) => ledger.step("pay").pipe(Effect.andThen(Go.await), Effect.as(receipt(id))),
          Trip.toLayer((id) =>
            ledger.step("a").pipe(
              Effect.andThen(
                Saga.all([
                  Effect.orDie(Payment.execute(id)),
                  Effect.andThen(Durable.sleep("1 second"), ledger.failing("b"))
                ], { concurrency: "unbounded" })
              ),
              Effect.as(null)
            )
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* pass("1 second")

        assert.strictEqual(endingOf(yield* engine.exit(Trip.await("Trip/1"))), "Fail b failed")
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "b", "undo pay", "undo a"])
      })
    )

    test(
      "has children of its own, which are cancelled with its parent, the innermost undone first",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const Leaf = DurableSaga.make("Leaf", { payload: Schema.String, idempotencyKey: (id) => id })
        const engine = yield* family(
          (id) => ledger.step("pay").pipe(Effect.andThen(Effect.orDie(Leaf.execute(id))), Effect.as(receipt(id))),
          Trip.toLayer((id) => Effect.as(Effect.andThen(ledger.step("a"), Effect.orDie(Payment.execute(id))), null))
        )
        yield* engine.register(Leaf.toLayer(() => Effect.asVoid(Effect.andThen(ledger.step("leaf"), Go.await))))
        yield* engine.use(Trip.start("1"))
        yield* until(engine.service.list({ statuses: ["Waiting"] }), (list) => list.length === 3, "all of them wait")

        yield* engine.use(Trip.cancel("Trip/1"))
        yield* engine.exit(Trip.await("Trip/1"))

        assert.deepStrictEqual(ledger.lines, ["a", "pay", "leaf", "undo leaf", "undo pay", "undo a"])
      })
    )

    test(
      "that somebody else has run, or runs, is joined",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* family(
          (id) =>
            (id === "runs" ? Effect.asVoid(Go.await) : Effect.void).pipe(
              Effect.andThen(ledger.step(id)),
              Effect.as(receipt(id))
            ),
          Trip.toLayer((id) => Effect.map(Effect.orDie(Payment.execute(id)), ({ number }) => number))
        )
        yield* engine.use(Payment.execute("done"))
        yield* engine.use(Payment.start("runs"))
        yield* engine.reaches("Payment/runs", "Waiting")

        const done = yield* engine.use(Trip.execute("done"))
        const running = yield* Effect.forkChild(engine.use(Trip.execute("runs")))
        yield* settle
        yield* engine.use(Payment.signal("Payment/runs", Go, "go"))

        assert.strictEqual(done, "done")
        assert.strictEqual(yield* Fiber.join(running), "runs")
        assert.deepStrictEqual(ledger.lines, ["done", "runs"])
        assert.isNull((yield* engine.service.get("Payment/runs")).parent)
      })
    )

    test(
      "may run in branches beside others of its definition",
      Effect.gen(function*() {
        const engine = yield* family(
          (id) => Effect.succeed(receipt(id)),
          Trip.toLayer((id) =>
            Effect.map(
              Saga.forEach([1, 2, 3], (n) => Effect.orDie(Payment.execute(`${id}-${n}`)), { concurrency: "unbounded" }),
              (all) => all.map(({ number }) => number)
            )
          )
        )

        assert.deepStrictEqual(yield* engine.use(Trip.execute("1")), ["1-1", "1-2", "1-3"])
      })
    )

    test(
      "in a step is undone by what the step says, such as another child, also after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const Refund = DurableSaga.make("Refund", { payload: Receipt, idempotencyKey: ({ number }) => number })
        const pay = Step.make("pay", {
          input: Schema.String,
          success: Receipt,
          action: (id) => Effect.orDie(Payment.execute(id)),
          compensate: (paid) => Effect.orDie(Refund.execute(paid))
        })
        const child = (id: string) => Effect.as(ledger.step("pay"), receipt(id))
        const refund = Refund.toLayer((paid) =>
          Effect.gen(function*() {
            yield* ledger.step(`refund ${paid.number}`)
            const wait = Step.make("wait", { action: () => gate.pass })
            yield* wait()
          })
        )
        const parent = Trip.toLayer((id) =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* pay(id)
            return yield* Effect.fail("stop")
          })
        )
        const first = yield* family(child, parent)
        yield* first.register(refund)
        yield* first.use(Trip.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* family(child, parent)
        yield* second.register(refund)
        const exit = yield* second.exit(Trip.await("Trip/1"))

        assert.strictEqual(endingOf(exit), "Fail stop")
        assert.deepStrictEqual(ledger.lines, ["a", "pay", "refund 1", "undo a"])
        for (const id of ["Payment/1", "Refund/1"]) {
          assert.deepInclude(yield* second.service.get(id), { status: "Completed", parent: "Trip/1" }, id)
        }
      })
    )
  })
}
