/*
 * Engines that lose their store, wait for it, or can't write to it.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Fiber } from "effect"
import { causeOf } from "../results.ts"
import { pass, settle, start, storeReason, testsOn, whileTimePasses } from "./engine.ts"
import { Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { Storage, type StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: an engine that loses its store`, () => {
    test(
      "stops its executions without undoing anything, fails its callers, and the new owner goes on",
      Effect.gen(function*() {
        const { takeOver } = yield* Storage
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer((id) =>
          id === "runs"
            ? Effect.andThen(ledger.slow(gate.pass, "runs"), ledger.step("b"))
            : Effect.andThen(ledger.step("waits"), Go.await)
        )
        const first = yield* start(definitions)
        const running = yield* Effect.forkChild(first.exit(Trip.execute("runs")))
        const waiting = yield* Effect.forkChild(first.exit(Trip.execute("waits")))
        yield* gate.arrived
        yield* settle

        yield* Effect.scoped(takeOver("another"))
        yield* pass("2 seconds")
        yield* gate.open
        yield* settle

        for (const caller of [running, waiting]) {
          const exit = yield* Fiber.join(caller)
          assert.strictEqual(storeReason(exit), "OwnershipLost")
          assert.include((Cause.squash(causeOf(exit)) as Error).message, "another")
        }
        assert.strictEqual(storeReason(yield* first.exit(Trip.start("new"))), "OwnershipLost")
        assert.deepStrictEqual(ledger.lines, ["runs", "waits"])
        const second = yield* start(definitions)
        yield* second.use(Trip.signal("Trip/waits", Go, "go"))
        assert.strictEqual(yield* second.use(Trip.await("Trip/waits")), "go")
        assert.strictEqual(yield* second.use(Trip.await("Trip/runs")), "b")
        assert.deepStrictEqual(ledger.lines, ["runs", "waits", "runs", "b"])
      })
    )

    test(
      "can't be the second one on a store, and says who owns it",
      Effect.gen(function*() {
        yield* start(Trip.toLayer(() => Effect.succeed(null)), { owner: "billing" })

        const exit = yield* Effect.exit(whileTimePasses(start(Trip.toLayer(() => Effect.succeed(null)))))

        assert.strictEqual(storeReason(exit), "Owned")
        assert.include((Cause.squash(causeOf(exit)) as Error).message, "billing")
      })
    )
  })

  describe(`${name}: a store that can't be written`, () => {
    test(
      "for a while has executions wait and go on later, and new ones refused",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => Effect.andThen(ledger.slow(gate.pass), ledger.step("b"))))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived

        yield* engine.fillDisk
        yield* gate.open
        yield* pass("1 second")
        const refused = yield* Effect.forkChild(engine.exit(Trip.start("2")))
        yield* pass("5 seconds")
        assert.deepStrictEqual(ledger.lines, ["slow"])
        assert.strictEqual(storeReason(yield* Fiber.join(refused)), "Unavailable")
        yield* engine.freeDisk
        yield* pass("1 second")

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "b")
        assert.deepStrictEqual(ledger.lines, ["slow", "b"])
        yield* engine.use(Trip.start("2"))
      })
    )
  })
}
