/*
 * The operator, in another process than the engine: it has a connection of its own to the store.
 */
import { assert, describe } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { type JournalEvent, Saga, type SagaEngine, SagaOperator, SagaStore, Step } from "effect-saga"
import { started } from "../storeValues.ts"
import {
  type Definitions,
  pass,
  refusal,
  settle,
  start,
  storeReason,
  type TestEngine,
  testsOn,
  until,
  whileTimePasses
} from "./engine.ts"
import { Go, makeGate, makeLedger, Trip } from "./sagas.ts"
import { Storage, type StorageLayer } from "./storage.ts"

type Operator = SagaOperator.SagaOperator["Service"]

const open = <R>(layer: Layer.Layer<R, never, SagaStore.SagaStore>) =>
  Effect.flatMap(Storage, (storage) => Layer.build(Layer.fresh(layer.pipe(Layer.provideMerge(storage.layer)))))

/** The time of tests passes faster than an engine can answer, so it is given plenty. */
const operate = (options: SagaOperator.Options = { answerTimeout: "1 day" }) =>
  Effect.map(open(SagaOperator.layer(options)), (context) => Context.get(context, SagaOperator.SagaOperator))

const openStore = Effect.map(open(Layer.empty), (context) => Context.get(context, SagaStore.SagaStore))

const by = { operator: "ada", reason: "the hotel is back" }

const idsOf = (records: ReadonlyArray<SagaStore.ExecutionRecord>) => records.map(({ id }) => id)

/** The errors that a call on an execution may fail with, whatever it asks for. */
const commands = {
  cancel: (operator: Operator, id: string) => operator.cancel(id, by),
  retry: (operator: Operator, id: string) => operator.retry(id, by),
  skip: (operator: Operator, id: string) => operator.skip(id, by),
  resolve: (operator: Operator, id: string) => operator.resolve(id, null, by),
  signal: (operator: Operator, id: string) => operator.signal(id, "go", "now", by)
}

const eachCommand = (
  test: (name: string, command: (operator: Operator, id: string) => Effect.Effect<void, SagaOperator.Error>) => void
) => {
  for (const [name, command] of Object.entries(commands)) test(name, command)
}

/**
 * Trips whose ids say what becomes of them: `ok` ends, `wait` waits for a signal, `stuck` can't be undone while `broken`, nor
 * can `twice`, for two reasons at once, or `both`, for one after the other, and `late` fails after its pivot.
 */
const makeTrips = Effect.map(makeLedger, (ledger) => {
  const state = { broken: true }
  const isBroken = () => state.broken
  const late = Step.make("late", {
    success: Schema.Number,
    error: Schema.String,
    action: () => Effect.suspend(() => isBroken() ? Effect.fail("too late") : Effect.succeed(1))
  })
  const definitions: Definitions = Trip.toLayer((id) =>
    Effect.gen(function*() {
      const kind = id.replace(/-.*/, "")
      if (kind === "ok") return yield* ledger.step(id)
      if (kind === "wait") return yield* Effect.andThen(ledger.step(id), Go.await)
      if (kind === "late") {
        yield* Saga.pivot(Step.make("commit", { action: () => Effect.void })())
        return yield* late()
      }
      yield* ledger.step("a")
      yield* (kind === "twice"
        ? Saga.all([ledger.stubborn("b", isBroken), ledger.stubborn("b", isBroken)], { compensation: "parallel" })
        : ledger.stubborn("b", isBroken))
      if (kind === "both") yield* ledger.stubborn("c", isBroken)
      return yield* Effect.fail("no car left")
    })
  )
  return { definitions, lines: ledger.lines, state }
})

/** Starts trips, and waits until none of them runs any more. */
const startAll = (engine: TestEngine, ...ids: ReadonlyArray<string>) =>
  Effect.andThen(
    Effect.forEach(ids, (id) => engine.use(Trip.start(id)), { concurrency: "unbounded", discard: true }),
    whileTimePasses(until(
      Effect.orDie(engine.service.list({ limit: 1000 })),
      (records) => records.every(({ status }) => status !== "Running" && status !== "Compensating"),
      "all trips have come to rest"
    ))
  )

const some = Effect.gen(function*() {
  const trips = yield* makeTrips
  const engine = yield* start(trips.definitions)
  const operator = yield* operate()
  return { ...trips, engine, operator }
})

/** A store with one execution, whose journal is this. */
const stored = Effect.fnUntraced(function*(
  events: ReadonlyArray<JournalEvent.JournalEvent>,
  fields?: Partial<SagaStore.ExecutionRecord>
) {
  const store = yield* openStore
  const record: SagaStore.ExecutionRecord = {
    key: 1,
    id: "Trip/1",
    definition: "Trip",
    version: 1,
    status: "Running",
    cancelled: false,
    reason: null,
    error: null,
    attributes: {},
    parent: null,
    createdAt: 0,
    updatedAt: 0,
    ...fields
  }
  yield* Effect.scoped(Effect.flatMap(
    store.acquire({ owner: "engine", standby: false }),
    ({ commit }) => commit([{ key: 1, record, firstSequence: 1, events: events.map((event) => JSON.stringify(event)) }])
  ))
  return yield* operate()
})

const head = { v: 1, at: 0 } as const

const begun = (payload: Schema.Json): typeof JournalEvent.ExecutionStarted.Type => ({
  _tag: "ExecutionStarted",
  ...head,
  id: "Trip/1",
  definition: "Trip",
  version: 1,
  payload
})

const isDecision = ({ _tag }: JournalEvent.JournalEvent) =>
  ["CancelRequested", "Retried", "Skipped", "Resolved", "SignalReceived"].includes(_tag)

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: an operator of an engine with a payload codec`, () => {
    const reversed = (text: string) => Array.from(text).toReversed().join("")
    const codec: SagaEngine.PayloadCodec = {
      encode: (json) => Effect.succeed(reversed(JSON.stringify(json))),
      decode: (stored) => Effect.sync(() => JSON.parse(reversed(String(stored))))
    }

    test(
      "sends values that the engine seals, and that the saga can read",
      Effect.gen(function*() {
        const engine = yield* start(
          Trip.toLayer(() => Effect.map(Go.await, (value) => `went ${String(value)}`)),
          { codec }
        )
        const operator = yield* operate()
        yield* engine.use(Trip.start("wait"))
        yield* engine.reaches("Trip/wait", "Waiting")

        yield* whileTimePasses(operator.signal("Trip/wait", "go", "far away", by))

        assert.strictEqual(yield* engine.use(Trip.await("Trip/wait")), "went far away")
        assert.notInclude(JSON.stringify(yield* engine.service.history("Trip/wait")), "far away")
      })
    )

    test(
      "resolves a compensation without a value only, also where the engine seals values",
      Effect.gen(function*() {
        const { definitions } = yield* makeTrips
        const engine = yield* start(definitions, { codec })
        const operator = yield* operate()
        yield* engine.use(Trip.start("stuck"))
        yield* engine.reaches("Trip/stuck", "Parked")

        for (const decided of [operator.resolve("Trip/stuck", "done"), engine.service.resolve("Trip/stuck", "done")]) {
          assert.strictEqual(
            yield* whileTimePasses(refusal(decided)),
            "NotApplicable: Execution \"Trip/stuck\" was left as it is: a compensation has no value: resolve it " +
              "without one."
          )
        }
        yield* whileTimePasses(operator.resolve("Trip/stuck", null))

        const { status } = yield* whileTimePasses(engine.reaches("Trip/stuck", "Compensated"))
        assert.strictEqual(status, "Compensated")
      })
    )

    test(
      "resolves a step after the pivot with a value that the engine seals",
      Effect.gen(function*() {
        const late = Step.make("late", {
          success: Schema.String,
          error: Schema.String,
          action: () => Effect.fail("no")
        })
        const engine = yield* start(
          Trip.toLayer(() =>
            Effect.andThen(Saga.pivot(Step.make("pivot-it", { action: () => Effect.void })()), late())
          ),
          { codec }
        )
        const operator = yield* operate()
        yield* engine.use(Trip.start("late"))
        yield* engine.reaches("Trip/late", "Parked")

        yield* whileTimePasses(operator.resolve("Trip/late", "by hand", by))

        assert.strictEqual(yield* engine.use(Trip.await("Trip/late")), "by hand")
      })
    )
  })

  describe(`${name}: what an operator sees`, () => {
    test(
      "is there whether or not an engine runs: lists, counts, records, journals, timelines",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "ok-1", "ok-2", "stuck", "wait")
        yield* whileTimePasses(engine.stop)

        assert.deepStrictEqual(idsOf(yield* operator.list({ statuses: ["Completed"], order: "oldest" })), [
          "Trip/ok-1",
          "Trip/ok-2"
        ])
        assert.strictEqual(yield* operator.count(), 4)
        assert.strictEqual(yield* operator.count({ statuses: ["Parked"], idPrefix: "Trip/st" }), 1)
        assert.strictEqual((yield* operator.get("Trip/stuck")).status, "Parked")
        assert.deepStrictEqual((yield* operator.history("Trip/ok-1")).map(({ _tag }) => _tag), [
          "ExecutionStarted",
          "StepSucceeded",
          "ExecutionCompleted"
        ])
        const timeline = yield* operator.timeline("Trip/stuck")
        assert.deepStrictEqual(timeline.parked.map(({ path }) => path), ["b"])
        assert.deepStrictEqual(timeline.remaining.map(({ path }) => path), ["b", "a"])
      })
    )

    test(
      "is read in pages where it is all of a list",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        const ids = Array.from({ length: 7 }, (_, index) => `ok-${index}`)
        yield* startAll(engine, ...ids)

        const all = yield* Stream.runCollect(operator.listAll({ order: "oldest", limit: 3 }))
        const rest = yield* Stream.runCollect(operator.listAll({ order: "oldest", after: all[4], limit: 2 }))

        assert.deepStrictEqual(idsOf(all), ids.map((id) => `Trip/${id}`))
        assert.deepStrictEqual(rest, all.slice(5))
      })
    )

    test(
      "is nothing of an execution that is not there",
      Effect.gen(function*() {
        const operator = yield* operate()

        for (
          const read of [
            operator.get("Trip/none"),
            operator.history("Trip/none"),
            operator.timeline("Trip/none"),
            operator.export("Trip/none"),
            Stream.runDrain(operator.follow("Trip/none"))
          ]
        ) {
          assert.match(yield* refusal(read), /^ExecutionNotFound: There is no execution "Trip\/none"/)
        }
      })
    )

    test(
      "counts what there is, and what came and went of late",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "ok-1", "stuck")
        yield* pass("20 seconds")
        yield* startAll(engine, "ok-2", "ok-3", "wait")

        const stats = yield* operator.stats({ window: "10 seconds" })
        const all = yield* operator.stats()

        assert.deepStrictEqual(stats.groups, [
          { definition: "Trip", status: "Waiting", count: 1 },
          { definition: "Trip", status: "Parked", count: 1 },
          { definition: "Trip", status: "Completed", count: 3 }
        ])
        assert.strictEqual(stats.oldestParked?.id, "Trip/stuck")
        assert.deepStrictEqual([stats.windowMillis, all.windowMillis], [10_000, 3_600_000])
        assert.deepStrictEqual([stats.started, stats.ended.Completed], [3, 2])
        assert.deepStrictEqual([all.started, all.ended.Completed], [5, 3])
      })
    )

    test(
      "says which engine has the store",
      Effect.gen(function*() {
        const { definitions } = yield* makeTrips
        const operator = yield* operate()
        const before = yield* operator.inspect
        const engine = yield* start(definitions, { owner: "booking" })
        const meanwhile = yield* operator.inspect
        yield* whileTimePasses(engine.stop)
        const after = yield* operator.inspect

        assert.isUndefined(before.owner)
        assert.deepInclude(meanwhile.owner, { name: "booking", isAlive: true })
        assert.isUndefined(after.owner)
      })
    )

    test(
      "has no secrets",
      Effect.gen(function*() {
        const operator = yield* stored([
          begun({ card: { "~redacted": "secret" }, to: "Rome" }),
          {
            _tag: "StepSucceeded",
            ...head,
            path: "a",
            after: 0,
            startedAt: 0,
            attempt: 1,
            input: [{ "~redacted": "secret" }],
            value: { "~redacted": "secret" }
          },
          {
            _tag: "ExecutionFailed",
            ...head,
            result: [{ _tag: "Fail", error: { _tag: "Declined", card: { "~redacted": "secret" } } }]
          }
        ], { status: "Failed" })

        const history = yield* operator.history("Trip/1")
        const exported = yield* operator.export("Trip/1")
        const timeline = yield* operator.timeline("Trip/1")
        const followed = yield* Stream.runCollect(operator.follow("Trip/1"))

        assert.deepInclude(history[0], { payload: { card: { "~redacted": null }, to: "Rome" } })
        assert.deepInclude(history[1], { input: [{ "~redacted": null }], value: { "~redacted": null } })
        assert.deepStrictEqual(exported.events, history)
        assert.deepStrictEqual(followed, history)
        assert.notInclude(JSON.stringify([history, exported, timeline, followed]), "secret")
      })
    )

    test(
      "is exported without all that is somebody's own, where that is asked for",
      Effect.gen(function*() {
        const cause = [{ _tag: "Fail", error: { _tag: "Declined", message: "card secret", name: "Error", stack: "" } }]
        const operator = yield* stored([
          { ...begun({ card: "secret" }), attributes: { customer: "secret" } } as JournalEvent.JournalEvent,
          {
            _tag: "SignalReceived",
            ...head,
            name: "go",
            value: "secret",
            operator: "ada"
          } as JournalEvent.JournalEvent,
          { _tag: "ValueRecorded", ...head, path: "random", after: 0, value: "secret" },
          {
            _tag: "Parked",
            ...head,
            kind: "CompensationFailed",
            path: "a",
            steps: ["a"],
            attempt: 1,
            reason: "Step \"a\" could not be undone: Declined: card secret",
            cause
          },
          { _tag: "Resolved", ...head, path: "a", value: "secret", operator: "secret", reason: "secret" },
          {
            _tag: "ChildFinished",
            ...head,
            path: "c",
            after: 0,
            child: "Trip/2",
            status: "Failed",
            cancelled: false,
            result: [{ _tag: "Die", defect: "secret" }, { _tag: "Interrupt" }]
          }
        ], { status: "Parked", reason: "secret", attributes: { customer: "secret" } })

        const exported = yield* operator.export("Trip/1", { redact: true })

        assert.notInclude(JSON.stringify(exported), "secret")
        assert.isTrue(exported.redacted)
        assert.isEmpty(exported.execution.attributes)
        assert.isNull(exported.execution.reason)
        assert.deepInclude(exported.events[3], {
          path: "a",
          reason: "Step \"a\" could not be undone: Declined.",
          cause: [{ _tag: "Fail", error: { _tag: "Declined" } }]
        })
        assert.deepInclude(exported.events[4], { path: "a", value: null })
        assert.deepInclude(exported.events[5], { result: [{ _tag: "Die", defect: null }, { _tag: "Interrupt" }] })
      })
    )

    test(
      "is an error where the journal is damaged",
      Effect.gen(function*() {
        const operator = yield* stored([{ _tag: "Resumed", ...head }])

        for (const read of [operator.history, operator.timeline, operator.export]) {
          assert.strictEqual(storeReason(yield* Effect.exit<unknown, unknown, never>(read("Trip/1"))), "Corrupt")
        }
      })
    )
  })

  describe(`${name}: what an operator decides`, () => {
    const decided: ReadonlyArray<readonly [command: string, trip: string, ending: string, event: object]> = [
      ["cancel", "wait", "Compensated", { _tag: "CancelRequested", ...by }],
      ["retry", "stuck", "Compensated", { _tag: "Retried", path: "b", ...by }],
      ["skip", "stuck", "Failed", { _tag: "Skipped", path: "b", ...by }],
      ["resolve", "stuck", "Compensated", { _tag: "Resolved", path: "b", value: null, ...by }],
      ["signal", "wait", "Completed", { _tag: "SignalReceived", name: "go", value: "now", ...by }]
    ]

    for (const [command, trip, ending, event] of decided) {
      test(
        `is done once by the engine, and in the journal with who decided it and why (${command})`,
        Effect.gen(function*() {
          const { engine, operator, state } = yield* some
          yield* startAll(engine, trip)
          state.broken = false

          yield* whileTimePasses(commands[command as keyof typeof commands](operator, `Trip/${trip}`))
          yield* whileTimePasses(engine.reaches(`Trip/${trip}`, ending as "Failed"))

          const decisions = (yield* operator.history(`Trip/${trip}`)).filter(isDecision)
          assert.lengthOf(decisions, 1)
          assert.deepInclude(decisions[0], event)
        })
      )
    }

    eachCommand((command, ask) => {
      test(
        `is refused where there is no such execution, or it has ended (${command})`,
        Effect.gen(function*() {
          const { engine, operator } = yield* some
          yield* startAll(engine, "ok")

          assert.match(yield* whileTimePasses(refusal(ask(operator, "Trip/none"))), /^ExecutionNotFound/)
          assert.match(yield* whileTimePasses(refusal(ask(operator, "Trip/ok"))), /^AlreadyFinished/)
          assert.deepStrictEqual(idsOf(yield* operator.list()), ["Trip/ok"])
        })
      )

      test(
        `is not asked for where no engine runs (${command})`,
        Effect.gen(function*() {
          const { engine, operator } = yield* some
          yield* startAll(engine, "stuck", "ok")
          yield* whileTimePasses(engine.stop)

          const refused = yield* whileTimePasses(refusal(ask(operator, "Trip/stuck")))

          assert.match(refused, /^NoEngine/)
          assert.match(yield* refusal(ask(operator, "Trip/ok")), /^AlreadyFinished/)
          assert.match(yield* refusal(ask(operator, "Trip/none")), /^ExecutionNotFound/)
          assert.isEmpty(yield* (yield* openStore).requests())
        })
      )
    })

    test(
      "is refused where it is not parked",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "wait")

        for (const decision of [operator.retry, operator.skip, (id: string) => operator.resolve(id)]) {
          assert.match(yield* whileTimePasses(refusal(decision("Trip/wait"))), /^NotParked: .*"Trip\/wait".*Waiting/)
        }
      })
    )

    test(
      "is refused where it is parked for something else, or for several",
      Effect.gen(function*() {
        const { engine, operator, state } = yield* some
        yield* startAll(engine, "stuck", "twice")
        const why = (decision: Effect.Effect<void, SagaOperator.Error>) => whileTimePasses(refusal(decision))

        assert.match(yield* why(operator.retry("Trip/stuck", { path: "a" })), /^WrongStep: .*"a".*"b"/)
        assert.match(yield* why(operator.skip("Trip/twice")), /^WrongStep: .*"all\[\d\]\/b", "all\[\d\]\/b"/)
        state.broken = false
        yield* whileTimePasses(operator.retry("Trip/twice", { path: "all[0]/b" }))
        yield* whileTimePasses(operator.resolve("Trip/twice", null, { path: "all[1]/b" }))
        yield* whileTimePasses(engine.reaches("Trip/twice", "Compensated"))
      })
    )

    test(
      "is refused at once, and asked of nobody, where it is parked for several",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "twice")
        yield* settle
        yield* engine.crash

        for (const decision of [operator.retry, operator.skip, (id: string) => operator.resolve(id)]) {
          const deciding = yield* Effect.forkChild(refusal(decision("Trip/twice")))
          yield* until(Effect.sync(() => deciding.pollUnsafe()), (exit) => exit !== undefined, "it is refused")
          assert.match(yield* Fiber.join(deciding), /^WrongStep: .*"all\[\d\]\/b", "all\[\d\]\/b"/)
        }
        assert.isEmpty(yield* (yield* openStore).requests())
      })
    )

    for (const name of ["retry", "skip", "resolve"] as const) {
      test(
        `is about the step that it is parked for when that is decided, and about no later one (${name})`,
        Effect.gen(function*() {
          const { engine, operator } = yield* some
          const gate = yield* makeGate
          const store = yield* openStore
          const slow = yield* SagaOperator.make({ answerTimeout: "1 day" }).pipe(
            Effect.provideService(SagaStore.SagaStore, {
              ...store,
              inspect: Effect.andThen(gate.pass, store.inspect)
            })
          )
          yield* startAll(engine, "both")
          const deciding = yield* Effect.forkChild(refusal(commands[name](slow, "Trip/both")))
          yield* gate.arrived

          yield* whileTimePasses(operator.skip("Trip/both"))
          yield* until(
            engine.story("Trip/both"),
            (story) => story.includes("Parked b"),
            "it is parked for the other step"
          )
          yield* gate.open
          const refused = yield* whileTimePasses(Fiber.join(deciding))

          assert.match(refused, /^WrongStep: .*"c".*"b"/)
          const decisions = (yield* operator.history("Trip/both")).filter(isDecision)
          assert.deepStrictEqual(decisions.map((event) => "path" in event && event.path), ["c"])
        })
      )
    }

    test(
      "is refused where a value does not fit its step, which stays parked",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "late")

        const refused = yield* whileTimePasses(refusal(operator.resolve("Trip/late", "one", by)))
        const { status } = yield* operator.get("Trip/late")
        yield* whileTimePasses(operator.resolve("Trip/late", 1, by))
        yield* whileTimePasses(engine.reaches("Trip/late", "Completed"))

        assert.match(refused, /^InvalidValue: .*"late"/)
        assert.strictEqual(status, "Parked")
      })
    )

    test(
      "may be done later where the engine dies while it is asked",
      Effect.gen(function*() {
        const { definitions, engine, state } = yield* some
        const operator = yield* operate()
        const hasty = yield* operate({ answerTimeout: "5 seconds" })
        yield* startAll(engine, "stuck")
        yield* settle
        yield* engine.crash
        state.broken = false

        const refused = yield* whileTimePasses(refusal(hasty.retry("Trip/stuck", by)))
        const asked = yield* (yield* openStore).requests()
        const next = yield* start(definitions)
        yield* whileTimePasses(next.reaches("Trip/stuck", "Compensated"))

        assert.match(refused, /^Unanswered: .*within 5 s\. What was asked for "b" may still be done/)
        assert.lengthOf(asked, 1)
        assert.deepInclude((yield* operator.history("Trip/stuck")).find(isDecision), { _tag: "Retried", ...by })
      })
    )

    test(
      "is done although the operator does not wait for it",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "stuck")

        const asking = yield* Effect.forkChild(operator.skip("Trip/stuck"))
        yield* until((yield* openStore).requests(), (requests) => requests.length > 0, "it is asked for")
        yield* Fiber.interrupt(asking)

        yield* whileTimePasses(engine.reaches("Trip/stuck", "Failed"))
      })
    )
  })

  describe(`${name}: what an operator decides on many at once`, () => {
    const all = (results: Stream.Stream<SagaOperator.BulkResult, SagaOperator.Error>) =>
      Effect.map(
        whileTimePasses(Stream.runCollect(results)),
        (results) =>
          results.map(({ execution, outcome, path }) =>
            `${execution.id} ${path} ${outcome._tag === "Refused" ? outcome.error.reason._tag : outcome._tag}`
          )
      )

    test(
      "is tried out by a dry run, which changes nothing and needs no engine",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "ok", "stuck-1", "wait-1", "twice", "stuck-2")
        yield* whileTimePasses(engine.stop)
        const before = yield* operator.list()

        const retried = yield* all(operator.bulk("retry", { filter: {}, dryRun: true }))
        const two = yield* all(operator.bulk("skip", { filter: { definition: "Trip" }, dryRun: true, limit: 2 }))
        const cancelled = yield* all(operator.bulk("cancel", { filter: { idPrefix: "Trip/wait" }, dryRun: true }))
        const none = yield* all(operator.bulk("skip", { filter: { statuses: ["Waiting"] }, dryRun: true }))

        assert.deepStrictEqual(retried.map((line) => line.replace(/\d\]/, "]")), [
          "Trip/stuck-1 b Planned",
          "Trip/twice all[]/b Planned",
          "Trip/twice all[]/b Planned",
          "Trip/stuck-2 b Planned"
        ])
        assert.deepStrictEqual(two.map((line) => line.split(" ")[0]), ["Trip/stuck-1", "Trip/twice", "Trip/twice"])
        const undone = yield* all(operator.bulk("cancel", { filter: { idPrefix: "Trip/stuck" }, dryRun: true }))
        assert.deepStrictEqual(cancelled, ["Trip/wait-1 null Planned"])
        assert.deepStrictEqual(undone, ["Trip/stuck-1 null NotApplicable", "Trip/stuck-2 null NotApplicable"])
        assert.isEmpty(none)
        assert.deepStrictEqual(yield* operator.list(), before)
        assert.isEmpty(yield* (yield* openStore).requests())
      })
    )

    test(
      "is done for each, with the name of the operator and the reason, for each step that it is parked for",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "stuck", "twice", "wait", "ok")

        const done = yield* all(operator.bulk("skip", { filter: {}, ...by }))
        yield* whileTimePasses(engine.reaches("Trip/stuck", "Failed"))
        yield* whileTimePasses(engine.reaches("Trip/twice", "Failed"))

        assert.sameMembers(done, ["Trip/stuck b Done", "Trip/twice all[0]/b Done", "Trip/twice all[1]/b Done"])
        assert.strictEqual(yield* engine.status("Trip/wait"), "Waiting")
        for (const id of ["Trip/stuck", "Trip/twice"]) {
          for (const event of (yield* operator.history(id)).filter(isDecision)) assert.deepInclude(event, by)
        }
      })
    )

    test(
      "is done for the others, too, where it is refused for one",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "wait-1", "stuck", "wait-2")

        const done = yield* all(operator.bulk("cancel", { filter: {}, ...by }))

        assert.sameMembers(done, ["Trip/wait-1 null Done", "Trip/stuck null NotApplicable", "Trip/wait-2 null Done"])
      })
    )

    test(
      "is done for no more of the oldest than is said",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        const ids = Array.from({ length: 70 }, (_, index) => `wait-${index}`)
        yield* startAll(engine, ...ids)

        const done = yield* all(operator.bulk("cancel", { filter: {}, limit: 66 }))

        assert.sameMembers(done, ids.slice(0, 66).map((id) => `Trip/${id} null Done`))
      })
    )

    test(
      "leaves alone what is parked meanwhile",
      Effect.gen(function*() {
        const { definitions } = yield* makeTrips
        const engine = yield* start(definitions)
        const store = yield* openStore
        yield* startAll(engine, "stuck-1")
        const operator = yield* SagaOperator.make({ answerTimeout: "1 day" }).pipe(
          Effect.provideService(SagaStore.SagaStore, {
            ...store,
            list: (options) =>
              Effect.andThen(
                options?.order === "oldest" ? Effect.orDie(startAll(engine, "stuck-2")) : Effect.void,
                store.list(options)
              )
          })
        )

        const done = yield* all(operator.bulk("skip", { filter: {} }))

        assert.deepStrictEqual(done, ["Trip/stuck-1 b Done"])
        assert.strictEqual(yield* engine.status("Trip/stuck-2"), "Parked")
      })
    )

    test(
      "is not asked for where no engine runs",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "stuck")
        yield* whileTimePasses(engine.stop)

        for (const filter of [{}, { definition: "None" }]) {
          assert.match(yield* refusal(Stream.runDrain(operator.bulk("retry", { filter }))), /^NoEngine/)
        }
        assert.isEmpty(yield* (yield* openStore).requests())
      })
    )

    test(
      "is asked of no engine that has gone: each that is left is told as refused",
      Effect.gen(function*() {
        const store = yield* openStore
        const operator = yield* operate({ answerTimeout: "1 minute" })
        const keys = Array.from({ length: 100 }, (_, index) => index + 1)
        const told: Array<string> = []
        const running = yield* Effect.scoped(Effect.gen(function*() {
          const { answer, commit } = yield* store.acquire({ owner: "engine", standby: false })
          yield* commit(keys.map((key) => started(key, { status: "Waiting" })))
          const running = yield* Effect.forkDetach(
            Stream.runForEach(
              operator.bulk("cancel", { filter: {} }),
              ({ outcome }) =>
                Effect.sync(() => told.push(outcome._tag === "Refused" ? outcome.error.reason._tag : outcome._tag))
            )
          )
          const asked = yield* until(store.requests(), ({ length }) => length === 64, "many are asked for")
          yield* answer([{ request: asked[0]!.id, answer: JSON.stringify({ _tag: "Done", v: 1 }) }])
          yield* until(Effect.as(pass("100 millis"), told), ({ length }) => length === 1, "one was answered")
          // It makes room for another one.
          yield* until(store.requests(), ({ length }) => length === 64, "another one is asked for")
          return running
        }))

        yield* pass("5 minutes")
        yield* Fiber.join(running)

        assert.sameMembers(told, ["Done", ...Array(64).fill("Unanswered"), ...Array(35).fill("NoEngine")])
        assert.lengthOf(yield* store.requests(), 64)
      })
    )

    test(
      "is done for 500 of them, each once, although they leave the list meanwhile, or are parked again",
      Effect.gen(function*() {
        const { engine, operator, state } = yield* some
        const ids = Array.from({ length: 500 }, (_, index) => `stuck-${index}`)
        yield* startAll(engine, ...ids)

        const planned = yield* all(operator.bulk("retry", { filter: { statuses: ["Parked"] }, dryRun: true }))
        const again = yield* all(operator.bulk("retry", { filter: { statuses: ["Parked"] } }))
        yield* whileTimePasses(until(
          Effect.orDie(operator.count({ statuses: ["Parked"] })),
          (count) => count === 500,
          "all are parked again"
        ))
        state.broken = false
        const done = yield* all(operator.bulk("retry", { filter: { statuses: ["Parked"] } }))
        yield* whileTimePasses(until(
          Effect.orDie(operator.count({ statuses: ["Compensated"] })),
          (count) => count === 500,
          "all are undone"
        ))

        assert.deepStrictEqual(planned, ids.map((id) => `Trip/${id} b Planned`))
        assert.sameMembers(again, ids.map((id) => `Trip/${id} b Done`))
        assert.sameMembers(done, again)
      })
    )
  })

  describe(`${name}: what an operator deletes`, () => {
    test(
      "are executions that have ended long enough ago",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "ok-1", "wait")
        yield* pass("20 seconds")
        yield* startAll(engine, "ok-2")

        const none = yield* operator.prune({ olderThan: "10 seconds", statuses: ["Failed"] })
        const pruned = yield* operator.prune({ olderThan: "10 seconds" })

        assert.deepStrictEqual([none, pruned], [0, 1])
        assert.deepStrictEqual(idsOf(yield* operator.list()), ["Trip/ok-2", "Trip/wait"])
      })
    )
  })

  describe(`${name}: what an operator watches`, () => {
    const watching = Effect.fnUntraced(function*(changes: Stream.Stream<SagaStore.ExecutionRecord, unknown>) {
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(changes, ({ id, status }) =>
        Effect.sync(() => {
          seen.push(`${id} ${status}`)
        })))
      yield* settle
      return seen
    })

    test(
      "is each execution as it changes from now on: it waits, is parked, goes on and ends",
      Effect.gen(function*() {
        const { engine, operator, state } = yield* some
        yield* startAll(engine, "stuck-1")
        const seen = yield* watching(operator.watch())
        const parked = yield* watching(operator.watch({ statuses: ["Parked"] }))

        yield* startAll(engine, "wait")
        yield* pass("1 second")
        yield* startAll(engine, "stuck-2")
        yield* pass("1 second")
        state.broken = false
        yield* whileTimePasses(operator.retry("Trip/stuck-2"))
        yield* pass("1 second")
        yield* whileTimePasses(operator.signal("Trip/wait", "go", "now"))
        yield* pass("1 minute")

        assert.deepStrictEqual(seen.filter((line) => !line.endsWith("Running") && !line.endsWith("Compensating")), [
          "Trip/wait Waiting",
          "Trip/stuck-2 Parked",
          "Trip/stuck-2 Compensated",
          "Trip/wait Completed"
        ])
        assert.deepStrictEqual(parked, ["Trip/stuck-2 Parked"])
      })
    )

    test(
      "are more executions than are read at once, each once",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        const seen = yield* watching(operator.watch({ statuses: ["Completed"] }))
        const ids = Array.from({ length: 1100 }, (_, index) => `ok-${index}`)

        yield* Effect.forEach(ids, (id) => engine.use(Trip.start(id)), { concurrency: "unbounded" })
        yield* whileTimePasses(until(
          Effect.orDie(engine.service.list({ statuses: ["Completed"], limit: 2000 })),
          (records) => records.length === ids.length,
          "all have ended"
        ))
        yield* pass("12 seconds")

        assert.sameMembers(seen, ids.map((id) => `Trip/${id} Completed`))
      })
    )

    test(
      "is each that has changed, although it is written after one that has changed later; what is older is not read again",
      Effect.gen(function*() {
        const store = yield* openStore
        const looks: Array<number> = []
        const operator = yield* SagaOperator.make().pipe(
          Effect.provideService(SagaStore.SagaStore, {
            ...store,
            changed: (options) => {
              looks.push(options.from)
              return store.changed(options)
            }
          })
        )
        const { commit } = yield* store.acquire({ owner: "engine", standby: false })
        const seen = yield* watching(operator.watch())
        yield* pass("20 seconds")
        const now = yield* Clock.currentTimeMillis

        yield* commit([started(1, { updatedAt: now })])
        yield* pass("1 second")
        yield* commit([started(2, { updatedAt: now - 8000 })])
        yield* pass("1 second")
        yield* commit([{ ...started(1, { updatedAt: now, status: "Waiting" }), firstSequence: 2 }])
        yield* pass("5 seconds")

        assert.deepStrictEqual(seen, ["Trip/1 Running", "Trip/2 Running", "Trip/1 Waiting"])
        assert.strictEqual(looks.at(-1), now - 10_000)
      })
    )

    test(
      "is not read again and again when nothing changes any more, and is seen when it changes again, however late it is written",
      Effect.gen(function*() {
        const store = yield* openStore
        let read = 0
        let isAway = false
        const away = new SagaStore.SagaStoreError({
          reason: new SagaStore.Unavailable({ store: "the store", problem: "can't be reached", cause: undefined })
        })
        const operator = yield* SagaOperator.make().pipe(
          Effect.provideService(SagaStore.SagaStore, {
            ...store,
            changed: (options) =>
              Effect.suspend(() => isAway ? Effect.fail(away) : store.changed(options)).pipe(
                Effect.tap((records) => Effect.sync(() => read += records.length))
              )
          })
        )
        const { commit } = yield* store.acquire({ owner: "engine", standby: false })
        const seen = yield* watching(operator.watch())
        const now = yield* Clock.currentTimeMillis
        yield* commit(Array.from({ length: 20 }, (_, index) => started(index + 1, { updatedAt: now + index })))

        yield* pass("30 seconds")
        read = 0
        yield* pass("30 seconds")
        const whileQuiet = read
        const stalled = yield* Clock.currentTimeMillis
        yield* pass("1 minute")
        yield* commit([{ ...started(1, { updatedAt: stalled, status: "Waiting" }), firstSequence: 2 }])
        yield* pass("30 seconds")
        isAway = true
        const left = yield* Clock.currentTimeMillis
        yield* commit([{ ...started(2, { updatedAt: left - 5000, status: "Waiting" }), firstSequence: 2 }])
        yield* pass("1 minute")
        isAway = false
        yield* pass("10 seconds")

        // The last of them, in each look.
        assert.isAtMost(whileQuiet, 30 * 5)
        assert.deepStrictEqual(seen.slice(20), ["Trip/1 Waiting", "Trip/2 Waiting"])
      })
    )

    test(
      "is seen again when a store that could not be read for a while can be",
      Effect.gen(function*() {
        const { definitions } = yield* makeTrips
        const engine = yield* start(definitions)
        const store = yield* openStore
        let isAway = false
        const away = new SagaStore.SagaStoreError({
          reason: new SagaStore.Unavailable({ store: "the store", problem: "can't be reached", cause: undefined })
        })
        const operator = yield* SagaOperator.make().pipe(
          Effect.provideService(SagaStore.SagaStore, {
            ...store,
            changed: (options) => Effect.suspend(() => isAway ? Effect.fail(away) : store.changed(options)),
            find: (id) => Effect.suspend(() => isAway ? Effect.fail(away) : store.find(id))
          })
        )
        yield* startAll(engine, "wait-2")
        const seen = yield* watching(operator.watch({ statuses: ["Waiting", "Completed"] }))
        const followed = yield* Effect.forkChild(Stream.runCollect(operator.follow("Trip/wait-2")))
        yield* settle

        isAway = true
        yield* startAll(engine, "wait-1")
        yield* whileTimePasses(engine.use(Trip.signal("Trip/wait-2", Go, "now")))
        yield* pass("1 minute")
        const meanwhile = [...seen]
        isAway = false
        yield* pass("10 seconds")

        assert.isEmpty(meanwhile)
        assert.sameMembers(seen, ["Trip/wait-1 Waiting", "Trip/wait-2 Completed"])
        assert.strictEqual((yield* Fiber.join(followed)).at(-1)?._tag, "ExecutionCompleted")
        isAway = true
        assert.strictEqual(storeReason(yield* Effect.exit(Stream.runDrain(operator.watch()))), "Unavailable")
      })
    )

    test(
      "are the events of an execution until it has ended",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "wait")
        const events = yield* Queue.unbounded<string>()
        const following = yield* Effect.forkChild(
          Stream.runForEach(operator.follow("Trip/wait"), ({ _tag }) => Queue.offer(events, _tag))
        )
        yield* pass("1 second")

        const before = yield* Queue.clear(events)
        yield* whileTimePasses(operator.signal("Trip/wait", "go", "now"))
        yield* whileTimePasses(Fiber.join(following))

        assert.deepStrictEqual(before, ["ExecutionStarted", "StepSucceeded", "SignalAwaited"])
        assert.deepStrictEqual(yield* Queue.clear(events), ["SignalReceived", "SignalConsumed", "ExecutionCompleted"])
      })
    )

    test(
      "are the events of an execution until it is deleted",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "wait")
        const following = yield* Effect.forkChild(Stream.runCollect(operator.follow("Trip/wait")))
        yield* pass("1 second")

        // It has ended and is gone before the next look.
        yield* engine.use(Trip.signal("Trip/wait", Go, "now"))
        yield* engine.reaches("Trip/wait", "Completed")
        yield* (yield* openStore).prune({ finishedBefore: Infinity })
        yield* pass("1 second")

        assert.strictEqual((yield* Fiber.join(following)).at(-1)?._tag, "SignalAwaited")
      })
    )

    test(
      "are those of no other execution with the same id, which was started when it had been deleted",
      Effect.gen(function*() {
        const { engine, operator } = yield* some
        yield* startAll(engine, "wait")
        const following = yield* Effect.forkChild(Stream.runCollect(operator.follow("Trip/wait")))
        yield* pass("1 second")

        yield* engine.use(Trip.signal("Trip/wait", Go, "now"))
        yield* engine.reaches("Trip/wait", "Completed")
        yield* (yield* openStore).prune({ finishedBefore: Infinity })
        yield* startAll(engine, "wait")
        yield* engine.use(Trip.signal("Trip/wait", Go, "now"))
        yield* engine.reaches("Trip/wait", "Completed")
        yield* pass("1 second")

        assert.isDefined(following.pollUnsafe())
        assert.strictEqual((yield* Fiber.join(following)).at(-1)?._tag, "SignalAwaited")
      })
    )
  })
}
