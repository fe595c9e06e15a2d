/*
 * Several processes on one store: clients that own nothing, and engines on standby.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore } from "effect-saga"
import { causeOf, compensationFailedIn } from "../results.ts"
import { pass, refusal, settle, start, storeReason, testsOn, whileTimePasses } from "./engine.ts"
import { Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { Storage, type StorageLayer } from "./storage.ts"

/** A process that uses what the engine of another one runs. */
export const connect = Effect.fnUntraced(function*(options?: SagaEngine.ClientOptions) {
  const { layer } = yield* Storage
  const context = yield* Layer.build(Layer.fresh(SagaEngine.layerClient(options).pipe(Layer.provide(layer))))
  const service = Context.get(context, SagaEngine.SagaEngine)
  return {
    service,
    use: <A, E>(self: Effect.Effect<A, E, SagaEngine.SagaEngine>): Effect.Effect<A, E> =>
      whileTimePasses(Effect.provideService(self, SagaEngine.SagaEngine, service))
  }
})

/** The store as a process sees it that does nothing else with it. */
const openStore = Effect.flatMap(
  Storage,
  ({ layer }) => Effect.map(Layer.build(layer), (context) => Context.get(context, SagaStore.SagaStore))
)

const isReceived = ({ _tag }: { readonly _tag: string }): boolean => _tag === "SignalReceived"

/** Turns JSON into a text that shows nothing of it. */
export const backwards: SagaEngine.PayloadCodec = {
  encode: (json) => Effect.succeed(Array.from(JSON.stringify(json)).toReversed().join("")),
  decode: (stored) => Effect.succeed(JSON.parse(Array.from(String(stored)).toReversed().join("")))
}

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a client in another process`, () => {
    test(
      "starts sagas and gets their results, also typed failures",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(Trip.toLayer((id) =>
          id === "bad"
            ? Effect.as(Effect.andThen(ledger.step("a"), ledger.failing("b")), null)
            : ledger.step(id)
        ))
        const client = yield* connect()

        const value = yield* client.use(Trip.execute("good"))
        const error = yield* client.use(Effect.flip(Trip.execute("bad")))
        const again = yield* client.use(Trip.execute("good"))

        assert.strictEqual(value, "good")
        assert.strictEqual(error, "b failed")
        assert.strictEqual(again, "good")
        assert.deepStrictEqual(ledger.lines, ["good", "a", "b", "undo a"])
        assert.deepStrictEqual(
          yield* client.use(client.service.get("Trip/good")),
          yield* engine.service.get("Trip/good")
        )
      })
    )

    test(
      "starts many at once, each of them once",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        yield* start(Trip.toLayer((id) => ledger.step(id)))
        const client = yield* connect()
        const ids = Array.from({ length: 100 }, (_, index) => `n${index % 50}`)

        const values = yield* client.use(Effect.forEach(ids, (id) => Trip.execute(id), { concurrency: "unbounded" }))

        assert.deepStrictEqual(values, ids)
        assert.lengthOf(ledger.lines, 50)
      })
    )

    test(
      "starts sagas while there is no engine, which run when one comes",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const client = yield* connect()

        const id = yield* client.use(Trip.start("1"))
        const before = yield* client.use(Trip.poll(id))
        const result = yield* Effect.forkChild(client.use(Trip.await(id)))
        yield* start(Trip.toLayer((id) => ledger.step(id)))

        assert.deepStrictEqual(before, Option.none())
        assert.strictEqual(yield* Fiber.join(result), "1")
        assert.deepStrictEqual(ledger.lines, ["1"])
      })
    )

    test(
      "sends signals, also before the start, and each arrives once",
      Effect.gen(function*() {
        const engine = yield* start(Trip.toLayer(() => Effect.zip(Go.await, Go.await)))
        const client = yield* connect()

        yield* client.use(Trip.signal("Trip/1", Go, "early"))
        yield* client.use(Trip.start("1"))
        yield* client.use(Trip.signal("Trip/1", Go, "late", { operator: "ann", reason: "asked by phone" }))

        assert.deepStrictEqual(yield* client.use(Trip.await("Trip/1")), ["early", "late"])
        const late = (yield* engine.history("Trip/1")).findLast(({ _tag }) => _tag === "SignalReceived")
        assert.deepInclude(late!, { operator: "ann", reason: "asked by phone" })
        assert.lengthOf((yield* engine.history("Trip/1")).filter(isReceived), 2)
      })
    )

    test(
      "has sagas cancelled, and decides on parked ones",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const state = { isBroken: true }
        const engine = yield* start(Trip.toLayer(Effect.fnUntraced(function*(id) {
          if (id === "waits") {
            yield* ledger.step("a")
            return yield* Go.await
          }
          yield* ledger.stubborn("b", () => state.isBroken)
          yield* ledger.failing("c")
          return null
        })))
        const client = yield* connect()
        for (const id of ["waits", "retried", "skipped", "resolved"]) yield* client.use(Trip.start(id))
        yield* whileTimePasses(engine.reaches("Trip/waits", "Waiting"))
        for (const id of ["retried", "skipped", "resolved"]) {
          yield* whileTimePasses(engine.reaches(`Trip/${id}`, "Parked"))
        }
        state.isBroken = false

        yield* client.use(Trip.cancel("Trip/waits", { operator: "ann", reason: "not needed" }))
        yield* client.use(client.service.retry("Trip/retried"))
        yield* client.use(client.service.skip("Trip/skipped", { path: "b", reason: "the customer agreed" }))
        yield* client.use(client.service.resolve("Trip/resolved"))

        const exit = (id: string) => client.use(Effect.exit(Trip.await(`Trip/${id}`)))
        assert.instanceOf(Cause.squash(causeOf(yield* exit("waits"))), SagaEngine.Cancelled)
        assert.deepStrictEqual(yield* exit("retried"), Exit.fail("c failed"))
        assert.deepStrictEqual(yield* exit("resolved"), Exit.fail("c failed"))
        assert.strictEqual(compensationFailedIn(causeOf(yield* exit("skipped"))).failures[0]!.step, "b")
        const decisions = (yield* engine.history("Trip/skipped")).filter(({ _tag }) => _tag === "Skipped")
        assert.deepInclude(decisions[0]!, { path: "b", reason: "the customer agreed" })
      })
    )

    test(
      "is told why something is refused",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        yield* start(Trip.toLayer((id) => ledger.step(id)))
        const client = yield* connect()
        yield* client.use(Trip.execute("1"))

        const why = (self: Effect.Effect<void, unknown, SagaEngine.SagaEngine>) => client.use(refusal(self))

        assert.match(yield* why(client.service.retry("Trip/none")), /^ExecutionNotFound: .*"Trip\/none"/)
        assert.match(yield* why(Trip.cancel("Trip/1")), /^AlreadyFinished: .*Completed/)
        assert.match(yield* why(Effect.asVoid(Trip.await("Trip/none"))), /^ExecutionNotFound/)
        assert.match(yield* why(Effect.asVoid(Trip.poll("Trip/none"))), /^ExecutionNotFound/)
      })
    )

    test(
      "stores payloads, signals and results by its codec, as the engine does",
      Effect.gen(function*() {
        const codec = backwards
        const engine = yield* start(Trip.toLayer((id) => Effect.map(Go.await, (go) => [id, go])), { codec })
        const client = yield* connect({ codec })

        yield* client.use(Trip.start("secret"))
        yield* client.use(Trip.signal("Trip/secret", Go, "password"))

        assert.deepStrictEqual(yield* client.use(Trip.await("Trip/secret")), ["secret", "password"])
        assert.notInclude(JSON.stringify(yield* engine.history("Trip/secret")), "password")
      })
    )

    test(
      "can't run definitions, and says where to run them",
      Effect.gen(function*() {
        const client = yield* connect()

        const exit = yield* Effect.exit(Effect.scoped(
          Layer.build(Trip.toLayer((id) => Effect.succeed(id))).pipe(
            Effect.provideService(SagaEngine.SagaEngine, client.service)
          )
        ))

        assert.include((Cause.squash(causeOf(exit)) as Error).message, "SagaEngine.layerClient runs no executions")
      })
    )

    test(
      "fails with whoever waits when its layer closes",
      Effect.gen(function*() {
        const { layer } = yield* Storage
        const waiting = yield* Effect.scoped(Effect.gen(function*() {
          const context = yield* Layer.build(SagaEngine.layerClient().pipe(Layer.provide(layer)))
          yield* Effect.provide(Trip.start("1"), context)
          const fiber = yield* Effect.forkDetach(Effect.provide(Effect.exit(Trip.await("Trip/1")), context))
          yield* Effect.yieldNow
          return fiber
        }))

        const exit = yield* Fiber.join(waiting)

        const error = Cause.squash(causeOf(exit)) as SagaStore.SagaStoreError
        assert.strictEqual(error.reason._tag, "Unavailable")
      })
    )
  })

  describe(`${name}: what clients ask for`, () => {
    for (const how of ["stop", "crash"] as const) {
      test(
        `is done once, although the engine has to ${how} meanwhile`,
        Effect.gen(function*() {
          const definitions = Trip.toLayer(() => Effect.zip(Go.await, Go.await))
          const client = yield* connect()
          yield* client.use(Trip.start("1"))
          const first = yield* start(definitions)
          const signals = yield* Effect.forEach(
            ["one", "two"],
            (value) => Effect.forkChild(client.use(Trip.signal("Trip/1", Go, value)))
          )

          yield* first[how]
          const second = yield* start(definitions)
          yield* Effect.forEach(signals, (fiber) => Fiber.join(fiber))

          const received = yield* client.use(Trip.await("Trip/1"))
          assert.sameMembers(received as Array<string>, ["one", "two"])
          assert.lengthOf((yield* second.history("Trip/1")).filter(isReceived), 2)
        })
      )
    }

    test(
      "is done in its order for one execution",
      Effect.gen(function*() {
        const values = Array.from({ length: 20 }, (_, index) => `${index}`)
        const store = yield* openStore
        yield* store.ask([
          ...values.map((value, index) => ({
            id: `signal ${index}`,
            execution: "Trip/1",
            request: JSON.stringify({ _tag: "Signal", v: 1, name: "go", value })
          })),
          {
            id: "start",
            execution: "Trip/1",
            request: JSON.stringify({ _tag: "Start", v: 1, definition: "Trip", version: 1, payload: "1" })
          },
          {
            id: "signal",
            execution: "Trip/1",
            request: JSON.stringify({ _tag: "Signal", v: 1, name: "go", value: "last" })
          }
        ])
        const engine = yield* start(Trip.toLayer(() => Effect.forEach(Array(21).fill(0), () => Go.await)))

        const result = yield* whileTimePasses(Effect.retry(engine.use(Trip.await("Trip/1")), { times: 50_000 }))

        assert.deepStrictEqual(result, [...values, "last"])
      })
    )

    test(
      "is done although more is asked at once than is read at once",
      Effect.gen(function*() {
        const ids = Array.from({ length: 2500 }, (_, index) => `n${index}`)
        const client = yield* connect()
        yield* client.use(Effect.forEach(ids, (id) => Trip.start(id), { concurrency: "unbounded", discard: true }))

        const engine = yield* start(Trip.toLayer((id) => Effect.succeed(id)))
        yield* client.use(Effect.forEach(ids, (id) => Trip.await(`Trip/${id}`), { concurrency: "unbounded" }))

        assert.lengthOf(yield* engine.service.list({ statuses: ["Completed"], limit: 5000 }), 2500)
      })
    )

    test(
      "is refused where this version does not know it",
      Effect.gen(function*() {
        const store = yield* openStore
        yield* store.ask([
          { id: "later", execution: "Trip/1", request: JSON.stringify({ _tag: "Rewind", v: 1 }) },
          { id: "damaged", execution: "Trip/2", request: "{" }
        ])
        yield* start(Trip.toLayer((id) => Effect.succeed(id)))

        const answers = yield* whileTimePasses(Effect.repeat(store.answers(["later", "damaged"]), {
          until: (answers) => answers.length === 2
        }))

        for (const { answer } of answers) assert.include(answer, "NotApplicable")
      })
    )

    test(
      "parks an execution of a definition that no engine has",
      Effect.gen(function*() {
        const Unknown = DurableSaga.make("Unknown", { payload: Schema.String, idempotencyKey: (id) => id })
        const client = yield* connect()
        const engine = yield* start(Trip.toLayer((id) => Effect.succeed(id)))

        yield* client.use(Unknown.start("1"))
        const record = yield* whileTimePasses(Effect.repeat(
          Effect.option(client.service.get("Unknown/1")),
          { until: (record) => Option.isSome(record) && record.value.status === "Parked" }
        ))

        assert.include(Option.getOrThrow(record).reason!, "Unknown")
        assert.deepStrictEqual((yield* engine.service.list({ statuses: ["Parked"] })).map(({ id }) => id), [
          "Unknown/1"
        ])
      })
    )
  })

  describe(`${name}: an engine on standby`, () => {
    test(
      "asks the owner meanwhile, takes over when that one is gone, and tells those who waited",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const definitions = Trip.toLayer((id) => Effect.andThen(Go.await, ledger.step(id)))
        const first = yield* start(definitions)
        const standby = yield* start(definitions, { standby: true })

        assert.strictEqual(yield* whileTimePasses(standby.use(Trip.start("1"))), "Trip/1")
        yield* whileTimePasses(first.reaches("Trip/1", "Waiting"))
        const result = yield* Effect.forkChild(standby.use(Trip.await("Trip/1")))
        yield* whileTimePasses(first.stop)
        yield* whileTimePasses(standby.use(Trip.signal("Trip/1", Go, "go")))

        assert.strictEqual(yield* whileTimePasses(Fiber.join(result)), "1")
        assert.strictEqual(
          yield* whileTimePasses(standby.use(Effect.andThen(Trip.signal("Trip/2", Go, "go"), Trip.execute("2")))),
          "2"
        )
        assert.deepStrictEqual(ledger.lines, ["1", "2"])
      })
    )

    test(
      "is on standby again after it has lost the store, and its callers get their results all the same",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const gate = yield* makeGate
        const { takeOver } = yield* Storage
        const definitions = Trip.toLayer((id) => Effect.andThen(ledger.slow(gate.pass), ledger.step(id)))
        const paused = yield* start(definitions, { standby: true })
        const result = yield* Effect.forkChild(paused.use(Trip.execute("1")))
        yield* whileTimePasses(gate.arrived)

        yield* Effect.scoped(Effect.andThen(takeOver("another"), whileTimePasses(Effect.sleep("10 seconds"))))
        yield* gate.open

        assert.strictEqual(yield* whileTimePasses(Fiber.join(result)), "1")
        assert.deepStrictEqual(ledger.lines, ["slow", "slow", "1"])
      })
    )

    test(
      "owns the store again as soon as it is free, although what it ran before does not end",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const gate = yield* makeGate
        const { takeOver } = yield* Storage
        const paused = yield* start(
          Trip.toLayer((id) =>
            id === "1"
              ? ledger.slow(Effect.andThen(gate.pass, Effect.uninterruptible(Effect.never)))
              : ledger.step(id)
          ),
          { standby: true, owner: "paused" }
        )
        yield* whileTimePasses(paused.use(Trip.start("1")))
        yield* gate.open
        yield* settle

        yield* Effect.scoped(Effect.andThen(takeOver("another"), pass("2 seconds")))
        const executing = yield* Effect.forkChild(paused.use(Trip.execute("2")))
        for (let step = 0; step < 20; step++) yield* pass("100 millis")

        assert.deepStrictEqual(executing.pollUnsafe(), Exit.succeed("2"))
      })
    )
  })

  describe(`${name}: an engine that has lost its store`, () => {
    for (const standby of [false, true]) {
      test(
        `runs nothing of a definition that is registered then (${standby ? "it stands by" : "it has ended"})`,
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const { takeOver } = yield* Storage
          const definitions = Trip.toLayer(() => ledger.slow(Effect.never))
          const first = yield* start(definitions, { shutdownTimeout: "10 millis" })
          yield* first.use(Trip.start("1"))
          yield* settle
          yield* whileTimePasses(first.stop)
          const second = yield* start(Layer.empty, { standby })
          yield* whileTimePasses(second.reaches("Trip/1", "Running"))
          yield* pass("1 second")

          yield* takeOver("another")
          yield* pass("5 seconds")
          yield* second.register(definitions)
          yield* pass("5 seconds")

          assert.deepStrictEqual(ledger.lines, ["slow"])
        })
      )
    }
  })

  describe(`${name}: a store that can't be written for a moment`, () => {
    test(
      "has a start refused that is not there then, and may be tried again, although its body ends later",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const engine = yield* start(
          Trip.toLayer((id) => Effect.onExit(ledger.step(id), () => Effect.sleep("300 millis")))
        )
        yield* engine.fillDisk
        const refused = yield* Effect.forkChild(engine.exit(Trip.start("1")))
        yield* pass("1 second")
        yield* engine.freeDisk

        assert.strictEqual(storeReason(yield* Fiber.join(refused)), "Unavailable")
        const none = yield* Effect.flip(engine.service.get("Trip/1"))
        yield* engine.use(Trip.start("1"))
        const there = yield* engine.service.get("Trip/1")

        assert.include(none.message, "Trip/1")
        assert.strictEqual(there.status, "Running")
        assert.strictEqual(yield* whileTimePasses(engine.use(Trip.execute("1"))), "1")
        assert.deepStrictEqual(ledger.lines, ["1"])
      })
    )

    test(
      "has what clients ask for done once after that, and answered where somebody else has done it",
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const store = yield* openStore
        const engine = yield* start(Trip.toLayer((id) => Effect.andThen(ledger.step(id), Go.await)))
        const client = yield* connect()
        yield* engine.fillDisk
        yield* client.use(Trip.start("1"))
        yield* client.use(Trip.start("2"))
        const signalling = yield* Effect.forkChild(client.use(Trip.signal("Trip/1", Go, "go")))
        yield* pass("1500 millis")
        yield* engine.freeDisk

        yield* engine.use(Trip.start("2"))
        yield* whileTimePasses(Fiber.join(signalling))
        const result = yield* client.use(Trip.await("Trip/1"))
        yield* whileTimePasses(Effect.repeat(store.requests(), { until: (requests) => requests.length === 0 }))

        assert.strictEqual(result, "go")
        assert.deepStrictEqual(ledger.lines.toSorted(), ["1", "2"])
        assert.lengthOf((yield* engine.history("Trip/1")).filter(isReceived), 1)
      })
    )
  })
}
