import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, References } from "effect"
import { Saga, SagaAlerts } from "effect-saga"
import { pass, settle, start } from "./support/durable/engine.ts"
import { Careless, type Ledger, makeLedger, Trip } from "./support/durable/sagas.ts"
import { memory } from "./support/durable/storage.ts"

/** What was logged at the levels of warnings and errors: level, message, annotations. */
const makeLog = Effect.sync(() => {
  const lines: Array<readonly [level: string, message: string, annotations: unknown]> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    if (logLevel !== "Error" && logLevel !== "Warn") return
    const text = Array.isArray(message) ? message.join(" ") : String(message)
    lines.push([logLevel, text, { ...fiber.getRef(References.CurrentLogAnnotations) }])
  })
  return { lines, layer: Logger.layer([logger]) }
})

const logged = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, SagaAlerts.SagaAlerts, SagaAlerts.log)

const stuck = (ledger: Ledger) =>
  Trip.toLayer(() =>
    Effect.gen(function*() {
      yield* ledger.step("a")
      yield* ledger.stubborn("b")
      return yield* Effect.fail("stop")
    })
  )

const more = (id: string) => `To see more: effect-saga show ${id}`

describe("The log of alerts", () => {
  it.effect("says once that an execution is parked, what is left to undo, and what shows more", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog

      yield* Effect.provide(
        Effect.gen(function*() {
          const engine = yield* logged(start(stuck(yield* makeLedger)))
          yield* engine.use(Trip.start("1 o'clock"))
          yield* engine.reaches("Trip/1 o'clock", "Parked")
          yield* settle
        }),
        layer
      )

      const [[level, message, annotations], ...others] = lines as [typeof lines[number]]
      assert.deepStrictEqual(others, [])
      assert.strictEqual(level, "Error")
      assert.strictEqual(
        message,
        "Execution Trip/1 o'clock is parked until an operator decides. Step \"b\" could not be undone: " +
          `Error: b is stuck. Left to undo: b, a. ${more(`'Trip/1 o'\\''clock'`)}`
      )
      const { alert, ...rest } = annotations as { readonly alert: string }
      assert.match(alert, /^Trip\/1 o'clock#\d+$/)
      assert.deepStrictEqual(rest as object, {
        execution: "Trip/1 o'clock",
        definition: "Trip",
        step: "b",
        kind: "CompensationFailed"
      })
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("warns of what a restart finds parked, and of what an operator gave up", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog
      const definitions = stuck(yield* makeLedger)
      const first = yield* start(definitions)
      yield* first.use(Trip.start("1"))
      yield* first.reaches("Trip/1", "Parked")
      yield* first.stop

      yield* Effect.provide(
        Effect.gen(function*() {
          const second = yield* logged(start(definitions))
          yield* pass("10 seconds")
          yield* second.service.skip("Trip/1")
          yield* second.exit(Trip.await("Trip/1"))
          yield* settle
        }),
        layer
      )

      assert.deepStrictEqual(lines.flatMap(([level, message]) => level === "Warn" ? [message] : []), [
        "Execution Trip/1 is still parked. Step \"b\" could not be undone: Error: b is stuck. " +
        `Left to undo: b, a. ${more("Trip/1")}`,
        "Execution Trip/1 could not undo step \"b\": b is stuck. An operator gave it up. " +
        `Left to undo: a. ${more("Trip/1")}`
      ])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("says that a step was not undone, as an error, where nobody was asked", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog
      const ledger = yield* makeLedger
      const definitions = Careless.toLayer(() =>
        Effect.gen(function*() {
          yield* Saga.forEach(
            Array.from({ length: 12 }, (_, index) => `step-${index + 1}`),
            (name) => ledger.step(name)
          )
          yield* ledger.stubborn("b\n\u001b[31m")
          return yield* Effect.fail("stop")
        })
      )

      yield* Effect.provide(
        Effect.gen(function*() {
          const engine = yield* logged(start(definitions))
          yield* engine.use(Careless.start("1"))
          yield* engine.reaches("Careless/1", "Failed")
          yield* settle
        }),
        layer
      )

      const line = lines.find(([, message]) => message.includes("could not undo step"))!
      assert.strictEqual(line[0], "Error")
      assert.match(line[1], /^Execution Careless\/1 could not undo step "b\\n\\u001b\[31m": .* Nobody will try again\./)
      assert.include(line[1], "step-12, forEach[10]/step-11")
      assert.include(line[1], "… (12 in all).")
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("leaves it to the engine where it is not asked for", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog

      yield* Effect.provide(
        Effect.gen(function*() {
          const engine = yield* start(stuck(yield* makeLedger))
          yield* engine.use(Trip.start("1"))
          yield* engine.reaches("Trip/1", "Parked")
          yield* settle
        }),
        layer
      )

      assert.deepStrictEqual(lines.map(([, message]) => message), [
        "Execution Trip/1 is parked until an operator decides. Step \"b\" could not be undone: Error: b is stuck."
      ])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("warns once of an alert that a handler failed on", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog
      const alerts = SagaAlerts.make({ onParked: () => Effect.fail("no network") })

      yield* Effect.provide(
        Effect.gen(function*() {
          const engine = yield* Effect.provideService(
            start(stuck(yield* makeLedger)),
            SagaAlerts.SagaAlerts,
            alerts
          )
          yield* engine.use(Trip.start("1"))
          yield* engine.reaches("Trip/1", "Parked")
          yield* settle
        }),
        layer
      )

      const warnings = lines.filter(([level]) => level === "Warn")
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0]![1], /^The handler of alert Trip\/1#\d+ failed; the saga goes on\./)
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("warns of a handler that did not end within half an hour, and goes on with the next alert", () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* makeLog
      const told: Array<string> = []
      const alerts = SagaAlerts.make({
        onParked: () => Effect.never,
        onCompensationFailed: ({ step }) => Effect.sync(() => told.push(step))
      })

      yield* Effect.provide(
        Effect.gen(function*() {
          const engine = yield* Effect.provideService(
            start(stuck(yield* makeLedger)),
            SagaAlerts.SagaAlerts,
            alerts
          )
          yield* engine.use(Trip.start("1"))
          yield* engine.reaches("Trip/1", "Parked")
          yield* engine.service.skip("Trip/1")
          yield* pass("29 minutes")
          assert.deepStrictEqual(told, [])
          yield* pass("1 minute")
        }),
        layer
      )

      assert.deepStrictEqual(told, ["b"])
      const warnings = lines.flatMap(([level, message]) => level === "Warn" ? [message] : [])
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0]!, /^Alert Trip\/1#\d+ was not handled within 30m and is given up; the saga goes on\.$/)
    }).pipe(Effect.scoped, Effect.provide(memory)))
})
