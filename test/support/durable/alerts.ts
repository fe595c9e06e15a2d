/*
 * What is told of executions that are parked, and of compensations that failed for good.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Saga, SagaAlerts, type SagaEngine, Step } from "effect-saga"
import { careless, makeHandler, startWith, stuck } from "./alerting.ts"
import { pass, settle, start, testsOn, until } from "./engine.ts"
import { Careless, makeLedger, Trip } from "./sagas.ts"
import type { StorageLayer } from "./storage.ts"

/** An alert without what differs from test to test. */
const inShort = (alert: SagaAlerts.Alert): object => {
  const { cause, execution, remaining, step } = alert
  const messages = cause === null || cause._tag === "Sealed" ? cause?._tag ?? null : cause.failures.map(messageOf)
  const shared = { execution: execution.id, step, cause: messages, remaining }
  return alert._tag === "Parked"
    ? { kind: alert.kind, ...shared }
    : { kind: alert._tag, ...shared, isGivenUp: alert.isGivenUp }
}

const messageOf = ({ fields, message }: { readonly message: string | null; readonly fields: Schema.Json }) =>
  message ?? fields

/** The number of the event in the id of an alert. */
const sequenceOf = ({ id }: SagaAlerts.Alert): number => Number(id.split("#")[1])

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: an alert`, () => {
    test(
      "of a compensation that parks its execution has the step, what failed, and what is left to undo",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))

        yield* handler.awaitTold(1)

        const [alert] = handler.told
        assert.deepStrictEqual(inShort(alert!), {
          kind: "CompensationFailed",
          execution: "Trip/1",
          step: "b",
          cause: ["b is stuck"],
          remaining: ["b", "a"]
        })
        const record = yield* engine.reaches("Trip/1", "Parked")
        assert.deepStrictEqual(alert!.execution, record)
        assert.deepInclude<object>(alert!, { v: 1, isRepeated: false, steps: [], reason: record.reason })
        const event = (yield* engine.history("Trip/1"))[sequenceOf(alert!) - 1]!
        assert.deepInclude(event, { _tag: "Parked", at: alert!.at })
      })
    )

    test(
      "is told when what it is about is durable, and not before",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        let fill = Effect.void
        const engine = yield* startWith(
          handler.alerts,
          Trip.toLayer(() =>
            Effect.gen(function*() {
              yield* Step.make("b", {
                compensationError: Schema.String,
                action: () => ledger.note("b"),
                compensate: () => Effect.andThen(fill, Effect.fail("b is stuck"))
              })()
              return yield* Effect.fail("stop")
            })
          )
        )
        fill = Effect.andThen(ledger.note("undo b"), engine.fillDisk)
        yield* engine.use(Trip.start("1"))
        yield* until(Effect.sync(() => ledger.lines), (lines) => lines.at(-1) === "undo b", "it is being undone")
        yield* settle
        assert.deepStrictEqual(handler.told, [])

        yield* engine.freeDisk
        yield* pass("1 second")
        yield* handler.awaitTold(1)

        assert.deepInclude(handler.told[0]!, { _tag: "Parked", step: "b" })
      })
    )

    test(
      "is one for each compensation that parks it, in the order of the journal",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.all([ledger.stubborn("b"), ledger.stubborn("c")], { compensation: "parallel" })
            return yield* Effect.fail("stop")
          })
        )
        const engine = yield* startWith(handler.alerts, definitions)
        yield* engine.use(Trip.start("1"))

        yield* handler.awaitTold(2)

        const parked = (yield* engine.history("Trip/1")).flatMap((event, index) =>
          event._tag === "Parked" ? [`${index + 1} ${event.path}`] : []
        )
        assert.deepStrictEqual(handler.told.map((alert) => `${sequenceOf(alert)} ${alert.step}`), parked)
        assert.sameMembers(handler.told.at(-1)!.remaining.slice(0, 2), ["all[0]/b", "all[1]/c"])
        assert.strictEqual(handler.told.at(-1)!.remaining[2], "a")
      })
    )

    test(
      "is told anew where a retry fails again",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* handler.awaitTold(1)
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.retry("Trip/1")
        yield* handler.awaitTold(2)

        const [first, second] = handler.told
        assert.isAbove(sequenceOf(second!), sequenceOf(first!))
        assert.deepInclude(second!, { _tag: "Parked", isRepeated: false, step: "b" })
      })
    )

    test(
      "of a failure after the pivot has the steps because of which it failed, and nothing is left to undo",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        const definitions = Trip.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.step("a")
            yield* Saga.pivot(ledger.step("tickets"))
            return yield* Effect.as(ledger.failing("c"), null)
          })
        )
        const engine = yield* startWith(handler.alerts, definitions)
        yield* engine.use(Trip.start("1"))

        yield* handler.awaitTold(1)

        assert.deepInclude(handler.told[0]!, { kind: "FailedAfterPivot", step: "c", steps: ["c"], remaining: [] })
        assert.match(JSON.stringify(handler.told[0]!.cause), /c failed/)
      })
    )

    test(
      "is told of code that does not fit its journal, and names no step",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        const first = yield* start(Trip.toLayer(() => Effect.andThen(ledger.step("a"), Effect.never)))
        yield* first.use(Trip.start("1"))
        yield* settle
        yield* first.stop

        const second = yield* startWith(handler.alerts, Trip.toLayer(() => ledger.step("z")))
        yield* pass("10 seconds")
        yield* second.reaches("Trip/1", "Parked")
        yield* handler.awaitTold(1)

        assert.deepInclude(handler.told[0]!, { kind: "Mismatch", step: null, cause: null, isRepeated: false })
      })
    )

    test(
      "is told of an execution that no definition is registered for",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        const first = yield* start(Trip.toLayer(() => Effect.andThen(ledger.step("a"), Effect.never)))
        yield* first.use(Trip.start("1"))
        yield* settle
        yield* first.stop

        const second = yield* startWith(handler.alerts, careless(ledger))
        yield* pass("10 seconds")
        yield* second.reaches("Trip/1", "Parked")
        yield* handler.awaitTold(1)

        assert.deepInclude(handler.told[0]!, {
          kind: "NotRegistered",
          step: null,
          cause: null,
          reason: "No definition \"Trip\" is registered. Register it, and the execution goes on."
        })
      })
    )

    test(
      "of a compensation that failed for good says what is still to be undone",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const engine = yield* startWith(handler.alerts, careless(yield* makeLedger))
        yield* engine.use(Careless.start("1"))

        yield* handler.awaitTold(2)

        const shared = { kind: "CompensationFailed", execution: "Careless/1", isGivenUp: false }
        assert.deepStrictEqual(handler.told.map(inShort), [
          { ...shared, step: "c", cause: ["c is stuck"], remaining: ["b", "a"] },
          { ...shared, step: "b", cause: ["b is stuck"], remaining: ["a"] }
        ])
        assert.deepInclude(handler.told[0]!, { _tag: "CompensationFailed", v: 1, attempt: 1 })
      })
    )

    test(
      "of a compensation that an operator gave up says so",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* engine.service.skip("Trip/1")
        yield* handler.awaitTold(2)

        assert.deepStrictEqual(inShort(handler.told[1]!), {
          kind: "CompensationFailed",
          execution: "Trip/1",
          step: "b",
          cause: ["b is stuck"],
          isGivenUp: true,
          remaining: ["a"]
        })
      })
    )

    test(
      "does not show what a payload codec has sealed",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const codec: SagaEngine.PayloadCodec = {
          encode: (json) => Effect.succeed(btoa(JSON.stringify(json))),
          decode: (json) => Effect.succeed(JSON.parse(atob(String(json))))
        }
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger), { codec })
        yield* engine.use(Trip.start("1"))

        yield* handler.awaitTold(1)

        assert.deepStrictEqual(handler.told[0]!.cause, { _tag: "Sealed" })
        assert.notInclude(JSON.stringify(handler.told), "is stuck")
      })
    )

    test(
      "can be read back from its JSON",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        yield* engine.service.skip("Trip/1")
        yield* handler.awaitTold(2)
        const json = Schema.fromJsonString(Schema.Array(SagaAlerts.Alert))

        const read = yield* Effect.flatMap(Schema.encodeEffect(json)(handler.told), Schema.decodeEffect(json))

        assert.deepStrictEqual(read, handler.told)
      })
    )
  })
}
