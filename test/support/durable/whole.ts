/*
 * Sagas as a whole: every place a fault can be in, bookings that share a stock, what is written, and when.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Exit, Schedule, Schema } from "effect"
import { Durable, DurableSaga, JournalEvent, Saga, Step } from "effect-saga"
import { causeOf, compensationFailedIn } from "../results.ts"
import { pass, settle, start, testsOn, whileTimePasses } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a fault`, () => {
    const steps = ["a", "b", "c", "d"]

    /** Whether the action of a step fails, and which compensations fail how often. */
    interface Faults {
      readonly action: number | undefined
      readonly compensation: number | undefined
    }

    const matrix: ReadonlyArray<Faults> = [undefined, 0, 1, 2, 3].flatMap((action) =>
      [undefined, 0, 1, 2].map((compensation) => ({ action, compensation }))
    )

    for (const restarts of [false, true]) {
      test(
        `in any action and any compensation ends as predicted${restarts ? ", with a crash in each action" : ""}`,
        Effect.gen(function*() {
          for (const [index, { action, compensation }] of matrix.entries()) {
            const { lines, note } = yield* makeLedger
            const effects = new Map<string, number>()
            const gates = yield* Effect.forEach(steps, () => makeGate)
            const take = (key: string, change: number) =>
              Effect.sync(() => effects.set(key, Math.min(1, Math.max(0, (effects.get(key) ?? 0) + change))))
            const step = (name: string, place: number) =>
              Step.make(name, {
                error: Schema.String,
                compensationError: Schema.String,
                action: (_, { idempotencyKey }) =>
                  Effect.gen(function*() {
                    if (restarts) yield* gates[place]!.pass
                    if (place === action) return yield* Effect.fail(`${name} failed`)
                    yield* take(idempotencyKey, 1)
                  }),
                compensate: (_, { idempotencyKey }) =>
                  Effect.gen(function*() {
                    yield* note(`undo ${name}`)
                    if (place === compensation) return yield* Effect.fail(`${name} is stuck`)
                    yield* take(idempotencyKey, -1)
                  })
              })()
            const definitions = Careless.toLayer(() => Effect.as(Effect.forEach(steps, step), "done"))
            const id = `Careless/${index}`

            let engine = yield* start(definitions)
            yield* engine.use(Careless.start(String(index)))
            if (restarts) {
              for (let place = 0; place <= Math.min(action ?? 3, 3); place++) {
                yield* gates[place]!.arrived
                yield* engine.crash
                yield* gates[place]!.openToOthers
                engine = yield* start(definitions)
              }
            }
            const exit = yield* engine.exit(Careless.await(id))
            yield* engine.stop

            const isStuck = action !== undefined && compensation !== undefined && compensation < action
            const undone = steps.slice(0, action ?? 0).toReversed().map((name) => `undo ${name}`)
            assert.strictEqual(
              endingOf(exit).split(" ")[0],
              action === undefined ? "Success" : isStuck ? "CompensationFailed" : "Fail"
            )
            assert.deepStrictEqual(lines, action === undefined ? [] : undone)
            const left = Array.from(effects).filter(([, count]) => count > 0).map(([key]) => key)
            assert.deepStrictEqual(
              left,
              action === undefined
                ? steps.map((name) => `${id}/${name}`)
                : isStuck
                ? [`${id}/${steps[compensation]}`]
                : []
            )
          }
        })
      )
    }

    test(
      "that outlasts all tries has their number in the report",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const charge = Step.make("charge", {
          error: Schema.String,
          action: () => Effect.fail("busy"),
          retry: Schedule.recurs(2)
        })
        const engine = yield* start(
          Careless.toLayer(() => Effect.as(Effect.andThen(ledger.stubborn("a"), charge()), null))
        )

        const exit = yield* engine.exit(Careless.execute("1"))

        const inMemory = yield* Effect.andThen(ledger.stubborn("a"), charge()).pipe(Saga.transact, Effect.exit)
        for (const one of [exit, inMemory] as ReadonlyArray<Exit.Exit<unknown, unknown>>) {
          const { message, report } = compensationFailedIn(causeOf(one))
          assert.deepStrictEqual(report.steps.map(({ attempt, path }) => [path, attempt]), [["a", 1], ["charge", 3]])
          assert.match(message, /charge +failed \(attempt 3\)/)
        }
      })
    )
  })

  describe(`${name}: bookings`, () => {
    test(
      "that share a stock leave it balanced, however they end, with a crash on the way",
      Effect.gen(function*() {
        class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { what: Schema.String }) {}
        const stock = { seat: 10, room: 10, car: 3 }
        const taken = new Map<string, keyof typeof stock>()
        const gate = yield* makeGate
        let calls = 0
        const take = (what: keyof typeof stock, key: string) =>
          Effect.gen(function*() {
            if (++calls === 12) yield* gate.pass
            if (taken.has(key)) return
            if (stock[what] === 0) return yield* new SoldOut({ what })
            stock[what]--
            taken.set(key, what)
          })
        const giveBack = (key: string) =>
          Effect.sync(() => {
            const what = taken.get(key)
            if (what === undefined) return
            taken.delete(key)
            stock[what]++
          })
        const book = (what: keyof typeof stock) =>
          Step.make(what, {
            error: SoldOut,
            action: (_, { idempotencyKey }) => take(what, idempotencyKey),
            compensate: (_, { idempotencyKey }) => giveBack(idempotencyKey)
          })
        const [seat, room, car] = [book("seat"), book("room"), book("car")]
        const BookTrip = DurableSaga.make("BookTrip", {
          payload: Schema.Int,
          success: Schema.String,
          error: SoldOut,
          idempotencyKey: String
        })
        const definitions = BookTrip.toLayer(Effect.fnUntraced(function*(trip) {
          yield* seat()
          yield* Saga.all([room(), car()], { concurrency: "unbounded" })
          return `trip ${trip} is booked`
        }))
        const trips = [1, 2, 3, 4, 5]
        const first = yield* start(definitions)
        yield* Effect.forEach(trips, (trip) => first.use(BookTrip.start(trip)), { concurrency: "unbounded" })
        yield* gate.arrived
        yield* settle
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exits = yield* Effect.forEach(trips, (trip) => second.exit(BookTrip.execute(trip)))

        const endings = exits.map(endingOf).map((ending) => ending.split(" ")[0])
        assert.deepStrictEqual(endings.toSorted(), ["Fail", "Fail", "Success", "Success", "Success"])
        assert.deepStrictEqual(stock, { seat: 7, room: 7, car: 0 })
        assert.deepStrictEqual((yield* second.service.list({ statuses: ["Completed"] })).length, 3)
        assert.deepStrictEqual((yield* second.service.list({ statuses: ["Compensated"] })).length, 2)
      })
    )
  })

  describe(`${name}: the journal`, () => {
    test(
      "has one event for each step, and of executions that run at once many share a commit",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => Effect.forEach(["a", "b", "c", "d", "e"], ledger.step)))
        yield* engine.use(Trip.execute("alone"))
        const events = (yield* engine.history("Trip/alone")).length
        const alone = engine.commits.length
        const ids = Array.from({ length: 100 }, (_, index) => String(index))

        yield* Effect.forEach(ids, (id) => engine.use(Trip.execute(id)), { concurrency: "unbounded" })

        assert.strictEqual(events, 7)
        assert.isAtMost(alone, 7)
        assert.isAtMost(engine.commits.length - alone, 20)
        assert.isAtLeast(Math.max(...engine.commits), 50)
      })
    )

    test(
      "is data: each event has a version and a time, and can be written and read by its schema",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const busy = Step.make("busy", {
          error: Schema.String,
          action: (_, { attempt }) => attempt < 2 ? Effect.fail("busy") : Effect.void,
          compensate: (_, { attempt }) => attempt < 2 ? Effect.die("busy") : Effect.void,
          retry: Schedule.spaced("1 second")
        })
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* ledger.step("a")
              yield* busy()
              yield* Durable.sleep("1 second")
              yield* Durable.uuid
              yield* ledger.failing("b")
              return null
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* pass("1 second")
        yield* pass("1 second")
        yield* engine.reaches("Trip/1", "Parked")
        yield* engine.service.retry("Trip/1", { operator: "ann", reason: "try again" })
        yield* engine.exit(Trip.await("Trip/1"))

        const history = yield* engine.history("Trip/1")

        const tags = history.map(({ _tag }) => _tag).filter((tag) => tag !== "StepStarted")
        assert.deepStrictEqual(tags, [
          "ExecutionStarted",
          "StepSucceeded",
          "AttemptFailed",
          "StepSucceeded",
          "TimerStarted",
          "TimerFired",
          "ValueRecorded",
          "StepFailed",
          "UnwindStarted",
          "Parked",
          "Retried",
          "CompensationSucceeded",
          "CompensationSucceeded",
          "ExecutionCompensated"
        ])
        assert.deepStrictEqual(history.map(({ v }) => v), history.map(() => 1))
        assert.deepStrictEqual(history.map(({ at }) => at), history.map(({ at }) => at).toSorted((a, b) => a - b))
        const encoded = yield* Schema.encodeEffect(Schema.Array(JournalEvent.JournalEvent))(history)
        const decoded = yield* Schema.decodeUnknownEffect(Schema.Array(JournalEvent.JournalEvent))(
          JSON.parse(JSON.stringify(encoded))
        )
        assert.deepStrictEqual(decoded, history)
      })
    )

    test(
      "says of an execution where it stands, from its start to its end",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const undoing = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass, compensate: () => undoing.pass })
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* wait()
              yield* Durable.sleep("1 second")
              return yield* Effect.fail("stop")
            })
          )
        )
        const statuses: Array<string> = []
        const look = Effect.map(engine.status("Trip/1"), (status) => statuses.push(status))

        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* look
        yield* gate.open
        yield* engine.reaches("Trip/1", "Waiting")
        yield* look
        yield* pass("1 second")
        yield* undoing.arrived
        yield* look
        yield* undoing.open
        yield* engine.exit(Trip.await("Trip/1"))
        yield* look

        assert.deepStrictEqual(statuses, ["Running", "Waiting", "Compensating", "Compensated"])
      })
    )
  })

  describe(`${name}: time`, () => {
    it.live("of a timer that is due passes at most a tenth of a second before it fires", () =>
      Effect.gen(function*() {
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              const before = yield* Clock.currentTimeMillis
              yield* Durable.sleep("50 millis")
              return (yield* Clock.currentTimeMillis) - before - 50
            })
          )
        )

        const late = yield* engine.use(Trip.execute("1"))
        yield* engine.stop

        assert.isAtLeast(Number(late), 0)
        assert.isAtMost(Number(late), 100)
      }).pipe(Effect.provide(storage)))

    test(
      "that an execution has taken is in its record",
      Effect.gen(function*() {
        yield* pass("5 seconds")
        const engine = yield* start(Trip.toLayer(() => Effect.as(Durable.sleep("3 seconds"), null)))

        yield* whileTimePasses(engine.use(Trip.execute("1")))

        const record = yield* engine.service.get("Trip/1")
        assert.strictEqual(record.createdAt, 5000)
        assert.isAtLeast(record.updatedAt, 8000)
      })
    )
  })
}
