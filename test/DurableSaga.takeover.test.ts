/*
 * Engines and clients whose store fails, or goes to another engine, at a moment that matters. The store is one in memory
 * whose faults a test plants.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Latch, Layer, Schema, type Scope, Stream } from "effect"
import { DurableSaga, Saga, SagaEngine, SagaStore, Step } from "effect-saga"
import { TestClock } from "effect/testing"
import {
  type Definitions,
  pass,
  refusal,
  settle,
  start,
  storeReason,
  whileTimePasses
} from "./support/durable/engine.ts"
import { connect } from "./support/durable/processes.ts"
import { Go, makeGate, makeLedger, Trip } from "./support/durable/sagas.ts"
import { Storage } from "./support/durable/storage.ts"
import { causeOf } from "./support/results.ts"

type Store = SagaStore.SagaStore["Service"]

/** What a process sees instead of what is there. */
interface Faults {
  readonly store?: (store: Store) => Partial<Store>
  readonly ownership?: (ownership: SagaStore.Ownership) => Partial<SagaStore.Ownership>
}

const withFaults = (store: Store, { ownership, store: change }: Faults): Store => {
  const changed = { ...store, ...change?.(store) }
  return {
    ...changed,
    acquire: (options) => Effect.map(changed.acquire(options), (owned) => ({ ...owned, ...ownership?.(owned) }))
  }
}

/** A store in memory, which other processes see as it is. */
const makeStore = Effect.gen(function*() {
  const memory = yield* SagaStore.makeMemory
  const store = Context.get(yield* Layer.build(memory.layer), SagaStore.SagaStore)
  const seen = (faults: Faults): Storage["Service"] => ({
    takeOver: memory.takeOver,
    layer: Layer.provide(
      Layer.fresh(Layer.effect(
        SagaStore.SagaStore,
        Effect.map(SagaStore.SagaStore, (store) => withFaults(store, faults))
      )),
      memory.layer
    )
  })
  return {
    store,
    takeOver: memory.takeOver("another"),
    engine: (definitions: Definitions, options?: SagaEngine.Options, faults: Faults = {}) =>
      Effect.provideService(start(definitions, options), Storage, seen(faults)),
    client: (faults: Faults = {}) => Effect.provideService(connect(), Storage, seen(faults))
  }
})

const errorOf = (reason: SagaStore.SagaStoreError["reason"]) => new SagaStore.SagaStoreError({ reason })

const busy = errorOf(new SagaStore.Unavailable({ store: "The store", problem: "busy", cause: undefined }))
const damaged = errorOf(new SagaStore.Corrupt({ store: "The store", detail: "a page is missing", cause: undefined }))
const denied = errorOf(
  new SagaStore.AccessDenied({ store: "The store", missing: "password", detail: "the password is an old one" })
)
const taken = errorOf(new SagaStore.OwnershipLost({ store: "The store", owner: "another" }))

/** Takes the place of an effect as often as it is told to. */
const makeFault = <E>(failure: Effect.Effect<never, E>) => {
  let left = 0
  return {
    next: (count: number) =>
      Effect.sync(() => {
        left = count
      }),
    insteadOf: <A, E2, R>(self: Effect.Effect<A, E2, R>): Effect.Effect<A, E | E2, R> =>
      Effect.suspend((): Effect.Effect<A, E | E2, R> => left-- > 0 ? failure : self)
  }
}

const test = (sentence: string, body: Effect.Effect<void, unknown, Scope.Scope>) =>
  it.effect(sentence, () => body, 10_000)

/** An execution whose definition no engine has. */
const unknown = { id: "Unknown/1", definition: "Unknown", version: 1, payload: null }

const echo = Trip.toLayer((id) => Effect.succeed(id))

const isReceived = ({ _tag }: { readonly _tag: string }): boolean => _tag === "SignalReceived"

describe("whoever waits for an engine that loses its store", () => {
  for (const isApart of [false, true]) {
    /** An engine whose commits don't return from some time on. */
    const makeStuck = Effect.fnUntraced(function*(options?: SagaEngine.Options) {
      const { engine, ...others } = yield* makeStore
      let isStuck = false
      const stuck = yield* engine(echo, options, {
        ownership: ({ commit }) => ({
          isApart,
          commit: (appends) => Effect.suspend(() => isStuck ? Effect.never : commit(appends))
        })
      })
      yield* whileTimePasses(stuck.use(Trip.execute("before")))
      const stick = (is: boolean) =>
        Effect.sync(() => {
          isStuck = is
        })
      return { ...others, stick, stuck }
    })
    const how = isApart ? "apart" : "here"

    test(
      `is told, also where a commit is under way that gets no answer (${how})`,
      Effect.gen(function*() {
        const { stick, stuck, takeOver } = yield* makeStuck()
        yield* stuck.service.start(unknown)
        yield* stick(true)
        const first = yield* Effect.forkChild(Effect.exit(stuck.service.signal(unknown.id, "go", 1)))
        yield* settle
        const others = yield* Effect.forEach(
          [stuck.use(Trip.start("1")), stuck.use(Trip.execute("2")), stuck.service.cancel(unknown.id)],
          (call) => Effect.forkChild(Effect.exit<unknown, unknown, never>(call))
        )
        yield* settle

        yield* takeOver

        for (const caller of [first, ...others]) {
          assert.strictEqual(storeReason(yield* Fiber.join(caller)), "OwnershipLost")
        }
      })
    )

    test(
      `is told of a start, also where its commit gets no answer (${how})`,
      Effect.gen(function*() {
        const { stick, stuck, takeOver } = yield* makeStuck()
        yield* stick(true)
        const starting = yield* Effect.forkChild(stuck.exit(Trip.start("1")))
        yield* settle

        yield* takeOver

        assert.strictEqual(storeReason(yield* Fiber.join(starting)), "OwnershipLost")
      })
    )

    test(
      `has the next owner do it where the engine stands by again (${how})`,
      Effect.gen(function*() {
        const { stick, store, stuck, takeOver } = yield* makeStuck({ standby: true })
        yield* stick(true)
        const starting = yield* Effect.forkChild(stuck.use(Trip.start("1")))
        yield* settle

        yield* Effect.scoped(Effect.gen(function*() {
          yield* takeOver
          yield* pass("2 seconds")
          const requests = yield* store.requests()
          assert.deepStrictEqual(requests.map(({ execution }) => execution), ["Trip/1"])
        }))
        yield* stick(false)
        yield* Fiber.join(starting)

        assert.strictEqual(yield* whileTimePasses(stuck.use(Trip.execute("1"))), "1")
      })
    )
  }

  test(
    "is told, also where the look for the execution is still under way",
    Effect.gen(function*() {
      const { engine, takeOver } = yield* makeStore
      const latch = yield* Latch.make(true)
      const first = yield* engine(echo, {}, {
        store: ({ existing, find }) => ({
          existing: (ids) => Effect.andThen(latch.await, existing(ids)),
          find: (id) => Effect.andThen(latch.await, find(id))
        })
      })
      yield* first.service.start(unknown)
      yield* latch.close
      const callers = yield* Effect.forEach(
        [first.use(Trip.execute("1")), first.use(Trip.start("2")), first.service.signal(unknown.id, "go", 1)],
        (call) => Effect.forkChild(Effect.exit<unknown, unknown, never>(call))
      )
      yield* settle

      yield* takeOver
      yield* settle
      yield* latch.open

      for (const caller of callers) assert.strictEqual(storeReason(yield* Fiber.join(caller)), "OwnershipLost")
    })
  )
})

describe("an engine whose clock is behind that of the one before", () => {
  for (const isDamaged of [false, true]) {
    test(
      `goes on with what that one has started, also after what it has started itself${
        isDamaged ? ", where a journal can't be read" : ""
      }`,
      Effect.gen(function*() {
        const { engine } = yield* makeStore
        const ledger = yield* makeLedger
        let begun: Array<string> = []
        const definitions = Trip.toLayer((id) => {
          begun.push(id)
          return Effect.andThen(ledger.step(id), Go.await)
        })
        yield* TestClock.setTime(1_000_000)
        const first = yield* engine(definitions)
        for (const id of ["1", "2", "3"]) yield* first.use(Trip.start(id))
        yield* settle
        yield* whileTimePasses(first.stop)
        yield* TestClock.setTime(500_000)
        begun = []
        const latch = yield* Latch.make()
        const second = yield* engine(definitions, {}, {
          store: ({ find, unfinished }) => ({
            find: (id) => isDamaged && id === "Trip/2" ? Effect.fail(damaged) : find(id),
            unfinished: (options) => Effect.andThen(latch.await, isDamaged ? Effect.fail(damaged) : unfinished(options))
          })
        })

        for (const id of ["4", "5"]) yield* second.use(Trip.start(id))
        yield* settle
        yield* latch.open
        yield* settle

        const readable = isDamaged ? ["1", "3", "4", "5"] : ["1", "2", "3", "4", "5"]
        assert.deepStrictEqual(begun.toSorted(), readable)
        for (const id of readable) yield* second.use(Trip.signal(`Trip/${id}`, Go, "go"))
        yield* pass("1 second")
        const statuses = yield* Effect.forEach(readable, (id) => second.service.get(`Trip/${id}`))
        assert.deepStrictEqual(statuses.map(({ status }) => status), readable.map(() => "Completed"))
        assert.deepStrictEqual(ledger.lines.toSorted(), ["1", "2", "3", "4", "5"])
      })
    )
  }
})

describe("an engine that has lost its store", () => {
  test(
    "runs nothing of what its recovery reads only then",
    Effect.gen(function*() {
      const { engine, takeOver } = yield* makeStore
      const ledger = yield* makeLedger
      const definitions = Trip.toLayer((id) => Effect.andThen(ledger.step(id), ledger.slow(Effect.never)))
      const first = yield* engine(definitions, { shutdownTimeout: "10 millis" })
      for (const id of ["1", "2"]) yield* first.use(Trip.start(id))
      yield* settle
      yield* whileTimePasses(first.stop)
      assert.deepStrictEqual(ledger.lines.toSorted(), ["1", "2", "slow", "slow"])
      const latch = yield* Latch.make()
      const reading = yield* Deferred.make<void>()
      yield* engine(definitions, {}, {
        store: ({ unfinished }) => ({
          unfinished: (options) =>
            Effect.tap(unfinished(options), Effect.andThen(Deferred.succeed(reading, undefined), latch.await))
        })
      })
      yield* whileTimePasses(Deferred.await(reading))

      yield* takeOver
      yield* settle
      yield* latch.open
      yield* pass("1 second")

      assert.lengthOf(ledger.lines, 4)
    })
  )
  test(
    "leaves what clients ask for to the next owner",
    Effect.gen(function*() {
      const { client, engine, takeOver } = yield* makeStore
      let looks = 0
      yield* engine(echo, {}, {
        store: ({ requests }) => ({
          requests: (options) =>
            Effect.suspend(() => {
              looks++
              return requests(options)
            })
        })
      })
      const other = yield* client()
      yield* other.use(Trip.execute("before"))
      yield* takeOver
      yield* settle
      const before = looks

      yield* other.use(Trip.start("1"))
      yield* pass("5 seconds")

      assert.isAbove(before, 0)
      assert.strictEqual(looks, before)
    })
  )

  test(
    "stands by again at once, although what it runs does not end",
    Effect.gen(function*() {
      const { engine, takeOver } = yield* makeStore
      const gate = yield* makeGate
      const ledger = yield* makeLedger
      let acquired = 0
      const first = yield* engine(
        Trip.toLayer(() => ledger.slow(Effect.andThen(gate.pass, Effect.uninterruptible(Effect.never)))),
        { standby: true },
        {
          store: ({ acquire }) => ({
            acquire: (options) =>
              Effect.suspend(() => {
                acquired++
                return acquire(options)
              })
          })
        }
      )
      yield* whileTimePasses(first.use(Trip.start("1")))
      yield* gate.open
      yield* settle

      yield* takeOver
      yield* pass("1 second")

      assert.strictEqual(acquired, 2)
    })
  )
})

describe("an engine on standby", () => {
  const failures: ReadonlyArray<readonly [what: string, failure: Effect.Effect<never, SagaStore.SagaStoreError>]> = [
    ["that another one was faster", Effect.fail(taken)],
    ["that it is not let in", Effect.fail(denied)],
    ["that a read was damaged", Effect.fail(damaged)],
    ["of a defect", Effect.die(new Error("an answer nobody knows"))]
  ]
  for (const [what, failure] of failures) {
    test(
      `owns the store later where a take-over has failed for the reason ${what}`,
      Effect.gen(function*() {
        const { engine } = yield* makeStore
        const fault = makeFault(failure)
        yield* fault.next(1)

        const standby = yield* engine(echo, { standby: true }, {
          store: ({ acquire }) => ({ acquire: (options) => fault.insteadOf(acquire(options)) })
        })

        assert.strictEqual(yield* whileTimePasses(standby.use(Trip.execute("1"))), "1")
      })
    )
  }

  test(
    "pauses before it owns a store again that it can't write",
    Effect.gen(function*() {
      const { client, engine } = yield* makeStore
      let acquired = 0
      const ended: Array<number> = []
      const other = yield* client()
      yield* other.use(Trip.start("1"))
      yield* engine(echo, { standby: true }, {
        ownership: () => {
          acquired++
          return { commit: () => Effect.fail(damaged) }
        }
      })

      for (let second = 0; second < 60; second++) {
        yield* pass("1 second")
        ended.push(acquired)
      }

      assert.isAtLeast(ended.at(-1)!, 2)
      assert.isAtMost(ended.at(-1)!, 10)
    })
  )
})

describe("a start that the store has refused", () => {
  test(
    "is not there, also where its body ends only later, and may be tried again",
    Effect.gen(function*() {
      const { engine, store } = yield* makeStore
      const ledger = yield* makeLedger
      const fault = makeFault(Effect.andThen(Effect.sleep("10 millis"), Effect.fail(busy)))
      const first = yield* engine(
        Trip.toLayer((id) => Effect.onExit(ledger.step(id), () => Effect.sleep("300 millis"))),
        {},
        { ownership: ({ commit }) => ({ commit: (appends) => fault.insteadOf(commit(appends)) }) }
      )
      yield* fault.next(1)

      const refused = yield* whileTimePasses(first.exit(Trip.start("1")))
      yield* pass("1 second")
      yield* first.use(Trip.start("1"))
      const stored = yield* store.find("Trip/1")

      assert.strictEqual(storeReason(refused), "Unavailable")
      assert.strictEqual(stored?.record.status, "Running")
      assert.strictEqual(yield* whileTimePasses(first.use(Trip.execute("1"))), "1")
      assert.deepStrictEqual(ledger.lines, ["1"])
    })
  )
})

describe("what a client asks for", () => {
  /** An engine that is refused the next commits with answers, and a client of it. */
  const makeRefusing = Effect.fnUntraced(function*(definitions: Definitions) {
    const { client, engine, store } = yield* makeStore
    const fault = makeFault(Effect.fail(busy))
    const owner = yield* engine(definitions, {}, {
      ownership: ({ commit }) => ({
        commit: (appends) =>
          appends.some(({ answer }) => answer !== undefined) ? fault.insteadOf(commit(appends)) : commit(appends)
      })
    })
    return { client: yield* client(), engine, fault, owner, store }
  })

  test(
    "is answered where the store refused it first and somebody else has started the same meanwhile",
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const definitions = Trip.toLayer((id) => ledger.step(id))
      const { client, engine, fault, owner, store } = yield* makeRefusing(definitions)
      yield* fault.next(1)

      yield* client.use(Trip.start("1"))
      yield* settle
      yield* owner.use(Trip.execute("1"))
      yield* pass("2 seconds")

      assert.deepStrictEqual(yield* store.requests(), [])
      assert.strictEqual(yield* owner.service.prune({ olderThan: "1 millis" }), 1)
      yield* owner.stop
      yield* engine(definitions)
      yield* pass("2 seconds")
      assert.deepStrictEqual(ledger.lines, ["1"])
    })
  )

  test(
    "is answered where the store refused it first and somebody else has decided the same meanwhile",
    Effect.gen(function*() {
      let isBroken = true
      const ship = Step.make("ship", {
        error: Schema.String,
        action: () => Effect.suspend(() => isBroken ? Effect.fail("no truck") : Effect.void)
      })
      const { client, fault, owner, store } = yield* makeRefusing(
        Trip.toLayer((id) =>
          Saga.pivot(Step.make("charge", { action: () => Effect.void })()).pipe(
            Effect.andThen(ship()),
            Effect.as(id)
          )
        )
      )
      yield* owner.use(Trip.start("1"))
      yield* owner.reaches("Trip/1", "Parked")
      isBroken = false
      yield* fault.next(1)
      const retrying = yield* Effect.forkChild(refusal(client.service.retry("Trip/1")))
      yield* settle
      yield* owner.service.retry("Trip/1")

      const why = yield* whileTimePasses(Fiber.join(retrying))

      assert.match(why, /^AlreadyFinished/)
      assert.deepStrictEqual(yield* store.requests(), [])
    })
  )

  test(
    "is done after requests could not be read because of a defect",
    Effect.gen(function*() {
      const { client, engine } = yield* makeStore
      const fault = makeFault(Effect.die(new Error("an answer nobody knows")))
      yield* engine(echo, {}, {
        store: ({ requests }) => ({ requests: (options) => fault.insteadOf(requests(options)) })
      })
      const other = yield* client()
      yield* settle
      yield* fault.next(1)

      assert.strictEqual(yield* whileTimePasses(other.use(Trip.execute("1"))), "1")
    })
  )

  test(
    "is refused where a defect keeps it from being done, and what it asks for next is done",
    Effect.gen(function*() {
      const { client, engine } = yield* makeStore
      const fault = makeFault(Effect.die(new Error("an answer nobody knows")))
      yield* engine(Trip.toLayer(() => Go.await), {}, {
        ownership: ({ keepSignal }) => ({ keepSignal: (...given) => fault.insteadOf(keepSignal(...given)) })
      })
      const other = yield* client()
      yield* fault.next(1)

      const why = yield* other.use(refusal(Trip.signal("Trip/1", Go, "lost")))
      yield* other.use(Trip.signal("Trip/1", Go, "kept"))

      assert.match(why, /^NotApplicable: .*an answer nobody knows/)
      assert.strictEqual(yield* other.use(Trip.execute("1")), "kept")
    })
  )

  test(
    "is refused where a defect keeps it from being done, also where the store does not take the answer at first",
    Effect.gen(function*() {
      const { client, engine, store } = yield* makeStore
      const defect = makeFault(Effect.die(new Error("an answer nobody knows")))
      const fault = makeFault(Effect.fail(busy))
      yield* engine(echo, {}, {
        ownership: ({ answer, keepSignal }) => ({
          answer: (answers) => fault.insteadOf(answer(answers)),
          keepSignal: (...given) => defect.insteadOf(keepSignal(...given))
        })
      })
      const other = yield* client()
      yield* defect.next(1)
      yield* fault.next(3)

      const why = yield* other.use(refusal(Trip.signal("Trip/1", Go, "lost")))

      assert.match(why, /^NotApplicable: .*an answer nobody knows/)
      assert.deepStrictEqual(yield* store.requests(), [])
    })
  )

  for (
    const { becomes, name, then, value } of [
      { name: "of a step whose saga has ended since", value: "by hand", then: "ends", becomes: "done" },
      { name: "of a step whose saga is parked for another since", value: "by hand", then: "parks", becomes: "done" },
      { name: "that did not fit the step", value: 17, then: "ends", becomes: "InvalidValue" }
    ]
  ) {
    test(
      `is answered by the next owner, and not done twice: a resolution ${name}`,
      Effect.gen(function*() {
        const { client, engine, store } = yield* makeStore
        const ship = (name: string, fails: boolean) =>
          Step.make(name, {
            success: Schema.String,
            error: Schema.String,
            action: () => fails ? Effect.fail("no truck") : Effect.succeed(name)
          })()
        const definitions = Trip.toLayer(() =>
          Effect.andThen(
            Saga.pivot(Step.make("charge", { action: () => Effect.void })()),
            Effect.zip(ship("ship", true), ship("bill", then === "parks"))
          )
        )
        const first = yield* engine(definitions, {}, { ownership: () => ({ answer: () => Effect.never }) })
        yield* first.use(Trip.start("1"))
        yield* first.reaches("Trip/1", "Parked")
        const other = yield* client()
        const resolving = yield* Effect.forkChild(other.use(Effect.match(
          refusal(other.service.resolve("Trip/1", value)),
          // `refusal` fails where nothing is refused.
          { onSuccess: (why) => why, onFailure: () => "done" }
        )))
        yield* pass("2 seconds")
        const before = yield* first.story("Trip/1")
        assert.lengthOf(yield* store.requests(), 1)
        yield* whileTimePasses(first.stop)

        const second = yield* engine(definitions)
        const why = yield* Fiber.join(resolving)

        assert.match(why, new RegExp(`^${becomes}`))
        assert.strictEqual(before.filter((line) => line === "Resolved ship").length, 1)
        assert.deepStrictEqual(yield* second.story("Trip/1"), before)
        assert.deepStrictEqual(yield* store.requests(), [])
      })
    )
  }

  test(
    "is refused where the journal that it is about can't be read",
    Effect.gen(function*() {
      const { client, engine, store } = yield* makeStore
      const owner = yield* engine(echo)
      yield* owner.service.start(unknown)
      yield* owner.stop
      const next = yield* engine(echo, {}, {
        store: ({ find }) => ({
          find: (id) =>
            Effect.map(find(id), (found) => found && { ...found, events: found.events.map(() => `{"_tag":"Later"}`) })
        })
      })
      const other = yield* client()
      yield* settle

      const whys = yield* Effect.forEach(
        [other.service.cancel(unknown.id), other.service.signal(unknown.id, "go", 1), other.service.retry(unknown.id)],
        (call) => other.use(refusal(call))
      )

      assert.strictEqual(storeReason(yield* Effect.exit(next.service.cancel(unknown.id))), "Corrupt")
      for (const why of whys) assert.match(why, /^NotApplicable: .*journal of execution Unknown\/1 is damaged/)
      assert.deepStrictEqual(yield* store.requests(), [])
    })
  )

  for (const standby of [false, true]) {
    test(
      `is still there for the next owner where this one can't write its store any more (${
        standby ? "it stands by" : "it has ended"
      })`,
      Effect.gen(function*() {
        const { client, engine, store } = yield* makeStore
        const other = yield* client()
        yield* engine(echo, { standby }, { ownership: () => ({ commit: () => Effect.fail(denied) }) })
        yield* pass("1 second")

        yield* other.use(Trip.start("1"))
        const signalling = yield* Effect.forkChild(Effect.exit(other.service.signal("Trip/1", "go", 1)))
        yield* pass("5 seconds")

        const requests = yield* store.requests()
        assert.deepStrictEqual(requests.map(({ request }) => JSON.parse(request)._tag), ["Start", "Signal"])
        yield* Fiber.interrupt(signalling)
      })
    )
  }

  test(
    "is done once where the definition of what it is about is removed while that is being written",
    Effect.gen(function*() {
      const { client, engine, store } = yield* makeStore
      const gate = yield* makeGate
      const ledger = yield* makeLedger
      const latch = yield* Latch.make(true)
      const definitions = Trip.toLayer(() =>
        Effect.andThen(ledger.slow(Effect.andThen(gate.pass, Effect.uninterruptible(Effect.never))), Go.await)
      )
      const owner = yield* engine(Layer.empty, { shutdownTimeout: "100 millis" }, {
        ownership: ({ commit }) => ({ commit: (appends) => Effect.andThen(latch.await, commit(appends)) })
      })
      const remove = yield* owner.registerUntil(definitions)
      const other = yield* client()
      yield* owner.use(Trip.start("1"))
      yield* gate.open
      yield* settle
      yield* latch.close
      const signalling = yield* Effect.forkChild(other.service.signal("Trip/1", "go", "once"))
      yield* settle

      const removing = yield* Effect.forkChild(remove)
      yield* pass("1 second")
      yield* latch.open
      yield* whileTimePasses(Fiber.join(removing))
      yield* whileTimePasses(Fiber.join(signalling))
      yield* pass("3 seconds")

      assert.deepStrictEqual(yield* store.requests(), [])
      assert.lengthOf((yield* owner.history("Trip/1")).filter(isReceived), 1)
    })
  )
})

describe("a client", () => {
  test(
    "is told of a defect of its store, and goes on after that",
    Effect.gen(function*() {
      const { client, engine } = yield* makeStore
      const fault = makeFault(Effect.die(new Error("an answer nobody knows")))
      yield* engine(Trip.toLayer((id) => id === "waits" ? Go.await : Effect.succeed(id)))
      const other = yield* client({
        store: ({ answers, ask, ended }) => ({
          ask: (requests) => fault.insteadOf(ask(requests)),
          answers: (ids) => fault.insteadOf(answers(ids)),
          ended: (ids) => fault.insteadOf(ended(ids))
        })
      })
      const isTold = <A, E>(self: Effect.Effect<A, E, SagaEngine.SagaEngine>) =>
        Effect.map(other.use(Effect.exit(self)), (exit) => {
          assert.include(String(Cause.squash(causeOf(exit))), "an answer nobody knows")
        })

      yield* fault.next(1)
      yield* isTold(Trip.start("1"))
      assert.strictEqual(yield* other.use(Trip.execute("1")), "1")

      yield* other.use(Trip.start("waits"))
      yield* fault.next(1)
      yield* isTold(Trip.await("Trip/waits"))
      const waiting = yield* Effect.forkChild(other.use(Trip.await("Trip/waits")))
      yield* other.use(Trip.signal("Trip/waits", Go, "go"))
      assert.strictEqual(yield* Fiber.join(waiting), "go")
    })
  )

  /** A client that can't look for a while, as in a computer that is suspended. */
  const makeSleeper = Effect.fnUntraced(function*() {
    const { client, ...others } = yield* makeStore
    let isAsleep = false
    const sleeper = yield* client({
      store: ({ answers, ended, news }) => ({
        answers: (ids) => Effect.suspend(() => isAsleep ? Effect.succeed([]) : answers(ids)),
        ended: (ids) => Effect.suspend(() => isAsleep ? Effect.succeed([]) : ended(ids)),
        // As other stores do, it also rings now and then.
        news: Stream.merge(news, Stream.fromEffectRepeat(Effect.sleep("5 seconds")))
      })
    })
    const sleep = (is: boolean) =>
      Effect.sync(() => {
        isAsleep = is
      })
    return { ...others, client, sleep, sleeper }
  })

  test(
    "is told that it does not know the answer where that was deleted before it could look",
    Effect.gen(function*() {
      const { client, engine, sleep, sleeper } = yield* makeSleeper()
      yield* engine(Trip.toLayer(() => Go.await))
      yield* sleep(true)
      const signalling = yield* Effect.forkChild(Effect.flip(sleeper.service.signal("Trip/1", "go", "1")))
      yield* pass("11 minutes")
      const other = yield* client()
      // Old answers are deleted when there is a new one.
      yield* other.use(Trip.signal("Trip/2", Go, "2"))

      yield* sleep(false)
      const error = yield* whileTimePasses(Fiber.join(signalling))

      assert.include(error.message, "Its history says what was done")
    })
  )

  test(
    "gets an answer that comes only after a long time",
    Effect.gen(function*() {
      const { engine, sleeper } = yield* makeSleeper()
      const signalling = yield* Effect.forkChild(sleeper.service.signal("Trip/1", "go", "1"))
      yield* pass("15 minutes")

      yield* engine(Trip.toLayer(() => Go.await))

      yield* whileTimePasses(Fiber.join(signalling))
      assert.strictEqual(yield* sleeper.use(Trip.execute("1")), "1")
    })
  )

  test(
    "that waits for an end is told where the execution was pruned before it could look",
    Effect.gen(function*() {
      const { engine, sleep, sleeper } = yield* makeSleeper()
      const owner = yield* engine(echo)
      yield* sleep(true)
      const executing = yield* Effect.forkChild(sleeper.use(Effect.exit(Trip.execute("1"))))
      yield* pass("1 second")
      assert.strictEqual(yield* owner.service.prune({ olderThan: "1 millis" }), 1)
      yield* pass("11 minutes")

      yield* sleep(false)

      assert.isTrue(Exit.isFailure(yield* whileTimePasses(Fiber.join(executing))))
    })
  )
})

describe("a parent whose store fails for a moment", () => {
  const Child = DurableSaga.make("Child", {
    payload: Schema.String,
    success: Schema.Json,
    error: Schema.String,
    idempotencyKey: (id) => id
  })

  for (const [what, error] of [["is not let in", denied], ["reads what is damaged", damaged]] as const) {
    test(
      `waits for its child and is not undone (it ${what})`,
      Effect.gen(function*() {
        const { engine } = yield* makeStore
        const ledger = yield* makeLedger
        const fault = makeFault(Effect.fail(error))
        const owner = yield* engine(
          Layer.merge(
            Child.toLayer((id) => ledger.step(id)),
            Trip.toLayer((id) => Effect.andThen(ledger.step("a"), Child.execute(id)))
          ),
          {},
          {
            store: ({ existing, find }) => ({
              existing: (ids) => ids.includes("Child/1") ? fault.insteadOf(existing(ids)) : existing(ids),
              find: (id) => id === "Child/1" ? fault.insteadOf(find(id)) : find(id)
            })
          }
        )
        yield* owner.use(Child.execute("1"))
        yield* fault.next(1)

        const result = yield* whileTimePasses(owner.use(Trip.execute("1")))

        assert.strictEqual(result, "1")
        assert.deepStrictEqual(ledger.lines, ["1", "a"])
      })
    )
  }

  for (const [what, error] of [["is busy", busy], ["does not let it in", denied]] as const) {
    test(
      `has its child cancelled with it all the same (the store ${what})`,
      Effect.gen(function*() {
        const { engine } = yield* makeStore
        const ledger = yield* makeLedger
        const fault = makeFault(Effect.fail(error))
        const owner = yield* engine(Trip.toLayer((id) => Effect.andThen(ledger.step("a"), Child.execute(id))), {}, {
          store: ({ find }) => ({ find: (id) => id === "Child/1" ? fault.insteadOf(find(id)) : find(id) })
        })
        yield* owner.use(Trip.start("1"))
        yield* settle
        assert.strictEqual(yield* owner.status("Child/1"), "Running")
        yield* fault.next(1)

        yield* owner.service.cancel("Trip/1")
        yield* pass("11 seconds")
        const isCancelled = (yield* owner.service.get("Child/1")).cancelled
        const parent = yield* owner.status("Trip/1")
        yield* owner.register(Child.toLayer(() => Go.await))
        yield* whileTimePasses(owner.exit(Trip.await("Trip/1")))

        assert.isTrue(isCancelled)
        assert.strictEqual(parent, "Waiting")
        assert.strictEqual(yield* owner.status("Child/1"), "Compensated")
        assert.deepStrictEqual(ledger.lines, ["a", "undo a"])
      })
    )
  }
})
