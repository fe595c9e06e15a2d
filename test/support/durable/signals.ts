/*
 * Signals, and waiting for whatever comes first.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { Durable, DurableSaga, Saga, Signal, Step } from "effect-saga"
import { pass, refusal, settle, start, testsOn } from "./engine.ts"
import { connect } from "./processes.ts"
import { Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

class Approval extends Schema.Class<Approval>("Approval")({ by: Schema.String, at: Schema.Date }) {}

const Approved = Signal.make("approved", Approval)
const Note = Signal.make("note", Schema.String)

const approval = new Approval({ by: "ann", at: new Date(5000) })

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a signal`, () => {
    const waiting = (times: number) =>
      Trip.toLayer(() =>
        Effect.map(Effect.forEach(Array.from({ length: times }), () => Note.await), (notes) => notes.join(" "))
      )

    test(
      "wakes the saga that waits for it, with a value of its schema",
      Effect.gen(function*() {
        const seen: Array<Approval> = []
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.map(Approved.await, (approval) => {
              seen.push(approval)
              return approval.by
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        yield* engine.use(Trip.signal("Trip/1", Approved, approval))

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "ann")
        assert.instanceOf(seen[0], Approval)
        assert.deepStrictEqual(seen, [approval])
        assert.deepStrictEqual((yield* engine.story("Trip/1")).slice(1, -1), [
          "SignalAwaited approved",
          "SignalReceived approved",
          "SignalConsumed approved"
        ])
      })
    )

    test(
      "says in the journal who sent it and why, wherever the saga stands",
      Effect.gen(function*() {
        const engine = yield* start(waiting(2))
        yield* engine.use(Trip.signal("Trip/1", Note, "early", { operator: "ann", reason: "asked by phone" }))
        yield* engine.use(Trip.start("1"))
        yield* engine.service.signal("Trip/1", "note", "late", { operator: "bob" })
        yield* engine.use(Trip.await("Trip/1"))
        const Nobody = { id: "Nobody/1", definition: "Nobody", version: 1, payload: null }
        yield* engine.service.start(Nobody)
        yield* engine.service.signal("Nobody/1", "note", "idle", { reason: "to try it" })
        yield* engine.service.signal("Nobody/1", "note", "plain")

        const received = (id: string) =>
          Effect.map(engine.history(id), (events) =>
            events.flatMap((event) => {
              if (event._tag !== "SignalReceived") return []
              const { _tag, at: _at, v: _v, ...rest } = event
              return [rest]
            }))
        assert.deepStrictEqual(yield* received("Trip/1"), [
          { name: "note", value: "early", operator: "ann", reason: "asked by phone" },
          { name: "note", value: "late", operator: "bob" }
        ])
        assert.deepStrictEqual(yield* received("Nobody/1"), [
          { name: "note", value: "idle", reason: "to try it" },
          { name: "note", value: "plain" }
        ])
      })
    )

    test(
      "that comes before anybody waits is kept",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass })
        const engine = yield* start(Trip.toLayer(() => Effect.andThen(wait(), Note.await)))
        yield* engine.use(Trip.start("1"))
        yield* gate.arrived
        yield* engine.use(Trip.signal("Trip/1", Note, "early"))
        yield* gate.open

        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "early")
      })
    )

    for (const how of ["", "stop", "crash"] as const) {
      test(
        `that comes before the saga is started is kept${how === "" ? "" : `, also over a ${how}`}`,
        Effect.gen(function*() {
          const first = yield* start(waiting(2))
          yield* first.use(Trip.signal("Trip/1", Note, "first"))
          yield* first.use(Trip.signal("Trip/2", Note, "other"))
          yield* first.use(Trip.signal("Trip/1", Note, "second"))
          if (how !== "") yield* first[how]
          const engine = how === "" ? first : yield* start(waiting(2))

          assert.strictEqual(yield* engine.use(Trip.execute("1")), "first second")
          yield* engine.use(Trip.start("2"))
          yield* engine.use(Trip.signal("Trip/2", Note, "late"))
          assert.strictEqual(yield* engine.use(Trip.await("Trip/2")), "other late")
        })
      )
    }

    for (const how of ["stop", "crash"] as const) {
      test(
        `that has come is there after a ${how}, and one that comes then wakes the saga`,
        Effect.gen(function*() {
          const first = yield* start(waiting(3))
          yield* first.use(Trip.start("1"))
          yield* first.use(Trip.signal("Trip/1", Note, "one"))
          yield* settle
          yield* first.use(Trip.signal("Trip/1", Note, "two"))
          yield* settle
          yield* first[how]

          const second = yield* start(waiting(3))
          yield* second.reaches("Trip/1", "Waiting")
          yield* second.use(Trip.signal("Trip/1", Note, "three"))

          assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "one two three")
        })
      )
    }

    test(
      "sent while no definition is registered is there when that is",
      Effect.gen(function*() {
        const first = yield* start(waiting(2))
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop
        const Other = DurableSaga.make("Other", { idempotencyKey: () => "1" })
        const second = yield* start(Other.toLayer(() => Effect.void))

        yield* second.use(Trip.signal("Trip/1", Note, "one"))
        yield* second.use(Trip.signal("Trip/1", Note, "two"))
        yield* second.register(waiting(2))

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "one two")
      })
    )

    test(
      "leaves an execution parked since when it was",
      Effect.gen(function*() {
        const first = yield* start(waiting(1))
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.stop
        const second = yield* start(DurableSaga.make("Other", { idempotencyKey: () => "1" }).toLayer(() => Effect.void))
        yield* pass("20 seconds")
        const before = yield* second.reaches("Trip/1", "Parked")
        yield* pass("1 minute")

        yield* second.use(Trip.signal("Trip/1", Note, "one"))

        assert.deepStrictEqual(yield* second.service.get("Trip/1"), before)
      })
    )

    test(
      "of one name goes to the waits in the order in which it was sent, and of another name to nobody else",
      Effect.gen(function*() {
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.gen(function*() {
              const first = yield* Note.await
              const approval = yield* Approved.await
              const second = yield* Note.await
              return [first, approval.by, second]
            })
          )
        )
        yield* engine.use(Trip.start("1"))
        for (const note of ["one", "two", "three"]) yield* engine.use(Trip.signal("Trip/1", Note, note))
        yield* settle
        assert.strictEqual(yield* engine.status("Trip/1"), "Waiting")
        yield* engine.use(Trip.signal("Trip/1", Approved, approval))

        assert.deepStrictEqual(yield* engine.use(Trip.await("Trip/1")), ["one", "ann", "two"])
      })
    )

    test(
      "is given to one of two that wait, the next one to the other; and again so after a crash",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const order: Array<string> = []
        const wait = Step.make("wait", { action: () => gate.pass })
        const branch = (name: string) =>
          Effect.tap(Note.await, (note) => Effect.sync(() => order.push(`${name} ${note}`)))
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            const notes = yield* Saga.all([branch("a"), branch("b")], { concurrency: "unbounded" })
            yield* wait()
            return notes
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Waiting")
        yield* first.use(Trip.signal("Trip/1", Note, "one"))
        yield* settle
        assert.deepStrictEqual(order, ["a one"])
        yield* first.use(Trip.signal("Trip/1", Note, "two"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)

        assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["one", "two"])
        assert.deepStrictEqual(order, ["a one", "b two", "a one", "b two"])
      })
    )

    test(
      "can't be sent with a value that does not fit its schema",
      Effect.gen(function*() {
        const engine = yield* start(waiting(1))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        const reason = yield* engine.use(refusal(Trip.signal("Trip/1", Note, 17 as never)))

        assert.match(reason, /^InvalidPayload: Signal "note" can't be used: /)
        assert.notInclude(yield* engine.story("Trip/1"), "SignalReceived note")
      })
    )

    test(
      "can't be sent with a value that is nested too deep, whoever sends it, and the engine goes on",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Go.await))
        const client = yield* connect()
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")
        let deep: Schema.Json = []
        for (let level = 0; level < 20_000; level++) deep = [deep]

        const reasons = yield* Effect.forEach(
          ["Trip/1", "Trip/2"],
          (id) => Effect.forEach([engine.service, client.service], (service) => refusal(service.signal(id, "go", deep)))
        )
        yield* engine.use(Trip.signal("Trip/1", Go, "now"))

        for (const reason of reasons.flat()) {
          assert.match(reason, /^NotApplicable: .* the value that was given is nested deeper than 500 levels/)
        }
        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "now")
      })
    )

    test(
      "that does not fit the schema of who waits is refused, and the saga goes on waiting",
      Effect.gen(function*() {
        const engine = yield* start(waiting(1))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Waiting")

        const reason = yield* refusal(engine.service.signal("Trip/1", "note", { text: "an object" }))
        yield* engine.use(Trip.signal("Trip/1", Note, "a text"))

        assert.match(reason, /^NotApplicable: .* signal "note" does not fit its schema: /)
        assert.strictEqual(yield* engine.use(Trip.await("Trip/1")), "a text")
      })
    )

    test(
      "that does not fit the schema of who waits for it later is a defect of the wait, and the saga is undone",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer(() => Effect.andThen(ledger.step("a"), Note.await)))
        yield* engine.service.signal("Trip/1", "note", { text: "an object" })
        yield* engine.use(Trip.start("1"))

        const exit = yield* engine.exit(Trip.await("Trip/1"))

        assert.match(endingOf(exit), /^Die Signal "note" does not fit its schema: /)
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )

    test(
      "to an execution that has ended is refused",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.succeed(null)))
        yield* engine.use(Trip.execute("1"))

        const reason = yield* engine.use(refusal(Trip.signal("Trip/1", Note, "late")))

        assert.match(reason, /^AlreadyFinished: /)
      })
    )

    test(
      "can't be waited for outside a durable saga, nor in an action, and the message says where",
      Effect.gen(function*() {
        const inAction = Step.make("step", {
          success: Schema.String,
          action: () => Note.await as Effect.Effect<string>
        })
        const engine = yield* start(Trip.toLayer(() => inAction()))

        const outside = yield* Effect.exit(Note.await as Effect.Effect<string>)
        const inside = yield* engine.exit(Trip.execute("1"))

        assert.match(
          endingOf(outside),
          /^Die The wait for signal "note" is not in a durable saga.* needs a DurableSaga/
        )
        assert.match(endingOf(inside), /^Die The wait for signal "note" is in the action of a step.* between two steps/)
      })
    )
  })

  describe(`${name}: a wait for a signal that ends at some time`, () => {
    const race = Effect.gen(function*() {
      const gate = yield* makeGate
      const wait = Step.make("wait", { action: () => gate.pass })
      const definitions = Trip.toLayer(() =>
        Effect.gen(function*() {
          const first = yield* Note.awaitFor("10 seconds")
          yield* wait()
          return [Option.getOrElse(first, () => "too late"), yield* Note.await]
        })
      )
      return { definitions, gate }
    })

    for (const how of ["stop", "crash"] as const) {
      test(
        `in which the signal came is decided by it again after a ${how}, although the time has passed by then`,
        Effect.gen(function*() {
          const { definitions, gate } = yield* race
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* pass("5 seconds")
          yield* first.use(Trip.signal("Trip/1", Note, "in time"))
          yield* gate.arrived
          if (how === "stop") yield* gate.open
          yield* first[how]
          yield* gate.openToOthers
          yield* pass("1 minute")

          const second = yield* start(definitions)
          yield* second.use(Trip.signal("Trip/1", Note, "another"))

          assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["in time", "another"])
        })
      )

      test(
        `in which it did not is decided so again after a ${how}, and the signal that came later is kept for the next wait`,
        Effect.gen(function*() {
          const { definitions, gate } = yield* race
          const first = yield* start(definitions)
          yield* first.use(Trip.start("1"))
          yield* pass("10 seconds")
          yield* gate.arrived
          yield* first.use(Trip.signal("Trip/1", Note, "a bit late"))
          if (how === "stop") yield* gate.open
          yield* first[how]
          yield* gate.openToOthers

          const second = yield* start(definitions)

          assert.deepStrictEqual(yield* second.use(Trip.await("Trip/1")), ["too late", "a bit late"])
        })
      )
    }

    test(
      "is a deadline for a part of a saga: what that had done is undone, and the saga goes on",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            const part = Saga.savepoint(Effect.andThen(ledger.step("b"), Note.await))
            const result = yield* Effect.raceFirst(part, Effect.as(Durable.sleep("10 seconds"), "too late"))
            yield* ledger.step("c")
            return result
          })
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* pass("5 seconds")
        yield* first.crash
        const second = yield* start(definitions)
        yield* pass("5 seconds")

        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "too late")
        assert.deepStrictEqual(ledger.lines, ["a", "b", "undo b", "c"])
      })
    )
  })
}
