/*
 * Those who are told: what they do wrong, and what they are told after a restart.
 */
import { assert, describe } from "@effect/vitest"
import { Context, Deferred, Effect, Latch, Layer, Logger, Schema } from "effect"
import { Durable, Saga, SagaAlerts, type SagaEngine, SagaStore, Step } from "effect-saga"
import { careless, makeHandler, startWith, stuck } from "./alerting.ts"
import { pass, settle, start, testsOn, until, whileTimePasses } from "./engine.ts"
import { Careless, makeGate, makeLedger, Trip } from "./sagas.ts"
import { Storage, type StorageLayer } from "./storage.ts"

type Store = SagaStore.SagaStore["Service"]

/** A storage whose stores do some things otherwise. */
const changed = (change: (store: Store) => Partial<Store>) =>
  Effect.map(
    Storage,
    (storage): Storage["Service"] => ({
      ...storage,
      layer: Layer.effect(
        SagaStore.SagaStore,
        Effect.map(SagaStore.SagaStore, (store): Store => ({ ...store, ...change(store) }))
      ).pipe(Layer.provide(storage.layer))
    })
  )

/** A storage whose stores count how often an execution is read. */
const counting = (reads: Array<string>) =>
  changed(({ find }) => ({
    find: (id) =>
      Effect.suspend(() => {
        reads.push(id)
        return find(id)
      })
  }))

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a handler of alerts`, () => {
    test(
      "is told of what is parked while another action still runs",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const gate = yield* makeGate
        const slow = Step.make("slow", { action: () => gate.pass })
        const spoiled = Step.make("spoiled", { success: Schema.String, action: () => Effect.succeed("spoiled") })
        const codec: SagaEngine.PayloadCodec = {
          encode: (json) => json === "spoiled" ? Effect.fail(new Error("no key")) as never : Effect.succeed(json),
          decode: Effect.succeed
        }
        const definitions = Trip.toLayer(() =>
          Effect.as(Saga.all([slow(), Effect.andThen(gate.arrived, spoiled())], { concurrency: "unbounded" }), null)
        )
        const engine = yield* startWith(handler.alerts, definitions, { codec })

        yield* engine.use(Trip.start("1"))
        yield* handler.awaitTold(1)

        assert.deepInclude(handler.told[0]!, { kind: "Mismatch", isRepeated: false })
        yield* gate.open
      })
    )

    test(
      "that fails, dies or returns no effect changes nothing, and is told the next one",
      Effect.gen(function*() {
        const seen: Array<string> = []
        const faults = [
          () => Effect.fail("no"),
          () => Effect.die("no"),
          () => Effect.interrupt,
          () => {
            throw new Error("no")
          },
          () => undefined as never
        ]
        const alerts = SagaAlerts.make({
          onParked: ({ id }) => faults[seen.push(id) - 1]?.() ?? Effect.void
        })
        const engine = yield* startWith(alerts, stuck(yield* makeLedger))

        for (let count = 1; count <= faults.length + 1; count++) {
          yield* engine.use(Trip.start(String(count)))
          yield* until(Effect.sync(() => seen.length), (length) => length === count, `${count} alerts were told`)
        }
        const records = yield* engine.service.list({ statuses: ["Parked"] })

        assert.strictEqual(records.length, faults.length + 1)
        assert.strictEqual(new Set(seen).size, faults.length + 1)
      })
    )

    test(
      "that is an async function whose promise is rejected is only logged, and is told the next one",
      Effect.gen(function*() {
        const unhandled: Array<unknown> = []
        const listener = (error: unknown) => unhandled.push(error)
        yield* Effect.acquireRelease(
          Effect.sync(() => process.on("unhandledRejection", listener)),
          () => Effect.sync(() => process.off("unhandledRejection", listener))
        )
        const logged: Array<string> = []
        const logger = Logger.make((options) => {
          logged.push(Logger.formatLogFmt.log(options))
        })
        const seen: Array<string> = []
        const alerts = SagaAlerts.make({
          onParked: (async ({ execution }: SagaAlerts.Alert) => {
            seen.push(execution.id)
            throw new Error("no")
          }) as never
        })
        const definitions = stuck(yield* makeLedger)
        const engine = yield* Effect.provide(startWith(alerts, definitions), Logger.layer([logger]))

        for (const id of ["1", "2"]) {
          yield* engine.use(Trip.start(id))
          yield* until(Effect.sync(() => seen), (seen) => seen.includes(`Trip/${id}`), `it is told of Trip/${id}`)
        }
        yield* settle
        // The process looks for promises that nobody handles between its tasks.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

        assert.isEmpty(unhandled)
        const warnings = logged.filter((line) => line.includes("The handler of alert"))
        assert.lengthOf(warnings, 2)
        for (const warning of warnings) assert.include(warning, "wrap a promise in Effect.tryPromise")
      })
    )

    test(
      "that is slow is not told of what was decided before its turn came",
      Effect.gen(function*() {
        const latch = yield* Latch.make()
        const handler = yield* makeHandler(() => latch.await)
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        yield* settle

        yield* engine.service.retry("Trip/1")
        yield* until(
          engine.story("Trip/1"),
          (story) => story.filter((line) => line === "Parked b").length === 2,
          "it is parked again"
        )
        yield* engine.service.skip("Trip/1")
        yield* engine.exit(Trip.await("Trip/1"))
        yield* latch.open
        yield* handler.awaitTold(2)
        yield* settle

        assert.deepStrictEqual(handler.told.map(({ _tag }) => _tag), ["Parked", "CompensationFailed"])
        assert.deepInclude(handler.told[0]!, { step: "b", isRepeated: false })
      })
    )

    test(
      "that never ends holds up no saga, no other handler, no other execution and not the end of its engine",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const state = { broken: true }
        const hung = yield* makeHandler(({ execution }) =>
          execution.id === "Trip/1" ? Effect.uninterruptible(Effect.never) : Effect.void
        )
        const other = yield* makeHandler()
        const engine = yield* startWith(SagaAlerts.both(hung.alerts, other.alerts), stuck(ledger, state))
        yield* engine.use(Trip.start("1"))
        yield* other.awaitTold(1)
        yield* engine.use(Trip.start("2"))
        yield* hung.awaitTold(1)
        yield* engine.reaches("Trip/1", "Parked")
        state.broken = false

        yield* engine.service.retry("Trip/1")
        yield* engine.exit(Trip.await("Trip/1"))
        assert.strictEqual(yield* engine.status("Trip/1"), "Compensated")
        const stopped = yield* Deferred.make<void>()
        yield* Effect.forkChild(Effect.andThen(engine.stop, Deferred.succeed(stopped, undefined)))
        yield* pass("4 seconds")
        assert.isFalse(yield* Deferred.isDone(stopped))
        yield* pass("1 second")

        assert.isTrue(yield* Deferred.isDone(stopped))
        assert.deepStrictEqual(hung.told.map(({ execution }) => execution.id), ["Trip/2"])
      })
    )

    test(
      "that is slow is told one alert of an execution after the other",
      Effect.gen(function*() {
        const latch = yield* Latch.make()
        const begun: Array<string> = []
        const handler = yield* makeHandler(({ step }) =>
          Effect.andThen(Effect.sync(() => begun.push(step!)), step === "c" ? latch.await : Effect.void)
        )
        const engine = yield* startWith(handler.alerts, careless(yield* makeLedger))
        yield* engine.use(Careless.start("1"))
        yield* engine.reaches("Careless/1", "Failed")
        yield* settle
        assert.deepStrictEqual(begun, ["c"])

        yield* latch.open
        yield* handler.awaitTold(2)

        assert.deepStrictEqual(handler.told.map(({ step }) => step), ["c", "b"])
      })
    )

    test(
      "has at most sixteen alerts at once",
      Effect.gen(function*() {
        const latch = yield* Latch.make()
        let [now, most] = [0, 0]
        const handler = yield* makeHandler(() =>
          Effect.sync(() => most = Math.max(most, ++now)).pipe(
            Effect.andThen(latch.await),
            Effect.andThen(Effect.sync(() => now--))
          )
        )
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        for (let count = 1; count <= 20; count++) yield* engine.use(Trip.start(String(count)))
        yield* engine.reaches("Trip/20", "Parked")
        yield* settle

        yield* latch.open
        yield* handler.awaitTold(20)

        assert.strictEqual(most, 16)
      })
    )

    test(
      "is told what happened before its engine closes, if it is fast enough",
      Effect.gen(function*() {
        const handler = yield* makeHandler(() => Effect.sleep("4 seconds"))
        const engine = yield* startWith(handler.alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")

        yield* whileTimePasses(engine.stop)

        assert.deepStrictEqual(handler.told.map(({ execution }) => execution.id), ["Trip/1"])
      })
    )

    test(
      "that there is not costs no read",
      Effect.gen(function*() {
        const [without, withOne]: [Array<string>, Array<string>] = [[], []]
        const parkOne = (alerts: SagaAlerts.SagaAlerts, id: string, reads: Array<string>) =>
          Effect.gen(function*() {
            const ledger = yield* makeLedger
            const engine = yield* Effect.provideServiceEffect(
              startWith(alerts, stuck(ledger)),
              Storage,
              counting(reads)
            )
            yield* engine.use(Trip.start(id))
            yield* until(Effect.sync(() => ledger.lines), (lines) => lines.at(-1) === "undo b", "it is being undone")
            yield* settle
            yield* engine.stop
          })
        const handler = yield* makeHandler()

        yield* parkOne(SagaAlerts.none, "1", without)
        yield* parkOne(handler.alerts, "2", withOne)

        assert.deepStrictEqual(without, [])
        assert.deepStrictEqual(withOne, ["Trip/2"])
      })
    )
  })

  describe(`${name}: alerts after a restart`, () => {
    test(
      "are repeated for what is parked still, once definitions had time to be registered",
      Effect.gen(function*() {
        const state = { broken: true }
        const definitions = stuck(yield* makeLedger, state)
        const [before, after] = [yield* makeHandler(), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        for (const id of ["1", "2", "3"]) {
          yield* first.use(Trip.start(id))
          yield* first.reaches(`Trip/${id}`, "Parked")
        }
        yield* before.awaitTold(3)
        yield* first.service.skip("Trip/2")
        yield* before.awaitTold(4)
        yield* first.stop

        const second = yield* startWith(after.alerts, definitions)
        yield* settle
        state.broken = false
        yield* second.service.retry("Trip/3")
        yield* pass("9 seconds")
        assert.deepStrictEqual(after.told, [])
        yield* pass("1 second")
        yield* after.awaitTold(1)
        yield* pass("10 seconds")

        assert.deepStrictEqual(after.told, [{ ...before.told[0]!, isRepeated: true } as SagaAlerts.Alert])
      })
    )

    test(
      "are told where a process died between the commit and the alert",
      Effect.gen(function*() {
        const definitions = stuck(yield* makeLedger)
        const [before, after] = [yield* makeHandler(() => Effect.never), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        yield* first.crash

        yield* startWith(after.alerts, definitions)
        yield* pass("10 seconds")
        yield* after.awaitTold(1)

        assert.deepInclude(after.told[0]!, { kind: "CompensationFailed", step: "b", isRepeated: true })
        assert.deepStrictEqual(before.told, [])
      })
    )

    test(
      "are told of compensations that failed where a process died between the commit and the alert",
      Effect.gen(function*() {
        const definitions = careless(yield* makeLedger)
        const [before, after] = [yield* makeHandler(() => Effect.never), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        yield* first.use(Careless.start("1"))
        yield* first.reaches("Careless/1", "Failed")
        yield* first.crash

        yield* startWith(after.alerts, definitions)
        yield* after.awaitTold(2)
        yield* pass("20 seconds")

        const [c, b] = after.told
        assert.lengthOf(after.told, 2)
        assert.deepInclude(c!, { _tag: "CompensationFailed", step: "c", isRepeated: true })
        assert.deepInclude(b!, { _tag: "CompensationFailed", step: "b", isRepeated: true })
        assert.deepStrictEqual(before.told, [])
      })
    )

    test(
      "are told of a compensation that failed where a process died while it undid the rest",
      Effect.gen(function*() {
        const [ledger, gate] = [yield* makeLedger, yield* makeGate]
        const definitions = Careless.toLayer(() =>
          Effect.gen(function*() {
            yield* ledger.slowlyUndone(gate.pass)
            yield* ledger.stubborn("b")
            return yield* Effect.fail("stop")
          })
        )
        const [before, after] = [yield* makeHandler(() => Effect.never), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        yield* first.use(Careless.start("1"))
        yield* gate.arrived
        yield* settle
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* startWith(after.alerts, definitions)
        yield* second.reaches("Careless/1", "Failed")
        yield* pass("20 seconds")

        assert.deepStrictEqual(
          after.told.map(({ _tag, id, isRepeated }) => [_tag, id.split("#")[0], isRepeated]),
          [["CompensationFailed", "Careless/1", true]]
        )
      })
    )

    test(
      "are not repeated for compensations that failed long before the store was last written to",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Layer.merge(careless(ledger), Trip.toLayer(() => ledger.step("a")))
        const [before, after] = [yield* makeHandler(), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        yield* first.use(Careless.start("1"))
        yield* before.awaitTold(2)
        yield* first.stop
        yield* pass("31 minutes")
        const second = yield* start(definitions)
        yield* second.use(Trip.execute("2"))
        yield* second.stop

        yield* startWith(after.alerts, definitions)
        yield* pass("20 seconds")

        assert.deepStrictEqual(after.told, [])
      })
    )

    test(
      "are not repeated for what an operator has given up",
      Effect.gen(function*() {
        const definitions = stuck(yield* makeLedger)
        const [before, after] = [yield* makeHandler(), yield* makeHandler()]
        const first = yield* startWith(before.alerts, definitions)
        yield* first.use(Trip.start("1"))
        yield* before.awaitTold(1)
        yield* first.service.skip("Trip/1")
        yield* before.awaitTold(2)
        yield* first.reaches("Trip/1", "Failed")
        yield* first.stop

        yield* startWith(after.alerts, definitions)
        yield* pass("20 seconds")

        assert.deepStrictEqual(after.told, [])
      })
    )

    test(
      "are not repeated for an execution that goes on because its definition is there again",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const handler = yield* makeHandler()
        const definitions = Trip.toLayer(() =>
          ledger.step("a").pipe(Effect.andThen(Durable.sleep("1 hour")), Effect.as(null))
        )
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* settle
        yield* first.stop
        const second = yield* start(careless(ledger))
        yield* pass("10 seconds")
        yield* second.reaches("Trip/1", "Parked")
        yield* second.stop

        yield* startWith(handler.alerts, definitions)
        yield* pass("20 seconds")

        assert.deepStrictEqual(handler.told, [])
      })
    )

    test(
      "are not repeated for what was started and parked while the store could not be read for a while",
      Effect.gen(function*() {
        const handler = yield* makeHandler()
        const [away, reads] = [{ isAway: true }, { count: 0 }]
        const error = new SagaStore.SagaStoreError({
          reason: new SagaStore.Unavailable({ store: "the store", problem: "can't be reached", cause: undefined })
        })
        const engine = yield* Effect.provideServiceEffect(
          startWith(handler.alerts, stuck(yield* makeLedger)),
          Storage,
          changed(({ list }) => ({
            list: (options) =>
              Effect.suspend(() => {
                reads.count++
                return away.isAway ? Effect.fail(error) : list(options)
              })
          }))
        )
        yield* engine.use(Trip.start("1"))
        yield* handler.awaitTold(1)
        assert.isAbove(reads.count, 0)

        away.isAway = false
        yield* pass("1 second")
        yield* pass("20 seconds")

        assert.isAbove(reads.count, 1)
        assert.lengthOf(handler.told, 1)
      })
    )

    test(
      "of an execution that is parked once more are told as new ones",
      Effect.gen(function*() {
        const definitions = stuck(yield* makeLedger)
        const handler = yield* makeHandler()
        const first = yield* start(definitions)
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        yield* first.stop

        const second = yield* startWith(handler.alerts, definitions)
        yield* settle
        yield* second.service.retry("Trip/1")
        yield* handler.awaitTold(1)
        yield* pass("20 seconds")

        assert.deepStrictEqual(handler.told.map((alert) => "isRepeated" in alert && alert.isRepeated), [false])
      })
    )
  })

  describe(`${name}: the layer of alerts`, () => {
    test(
      "adds to those in force",
      Effect.gen(function*() {
        const [one, two] = [yield* makeHandler(), yield* makeHandler()]
        const context = yield* Layer.build(
          SagaAlerts.layer(two.alerts).pipe(Layer.provide(SagaAlerts.layer(one.alerts)))
        )
        const engine = yield* startWith(
          Context.get(context, SagaAlerts.SagaAlerts),
          stuck(yield* makeLedger)
        )
        yield* engine.use(Trip.start("1"))

        yield* one.awaitTold(1)
        yield* two.awaitTold(1)

        assert.deepStrictEqual(one.told, two.told)
      })
    )

    test(
      "tells a handler nothing that it has no function for",
      Effect.gen(function*() {
        const told: Array<string> = []
        const alerts = SagaAlerts.make({
          onCompensationFailed: ({ step }) => Effect.sync(() => told.push(step))
        })
        const engine = yield* startWith(alerts, stuck(yield* makeLedger))
        yield* engine.use(Trip.start("1"))
        yield* engine.reaches("Trip/1", "Parked")
        yield* settle
        assert.deepStrictEqual(told, [])

        yield* engine.service.skip("Trip/1")
        yield* engine.exit(Trip.await("Trip/1"))
        yield* settle

        assert.deepStrictEqual(told, ["b"])
      })
    )
  })
}
