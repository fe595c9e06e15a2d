/*
 * Engines for the suites of durable sagas: several on one store, which are stopped, or crash, when the test says so.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Context, type Duration, Effect, Exit, Layer, Option, Scope } from "effect"
import { type JournalEvent, SagaEngine, SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { causeOf } from "../results.ts"
import { Storage, type StorageLayer } from "./storage.ts"

export type Definitions = Layer.Layer<never, never, SagaEngine.SagaEngine>

type Status = SagaStore.ExecutionRecord["status"]

/** An engine that runs, with the definitions that it was started with. */
export interface TestEngine {
  readonly service: SagaEngine.SagaEngine["Service"]
  /** Has an effect use this engine. */
  readonly use: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, SagaEngine.SagaEngine>>
  readonly exit: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<Exit.Exit<A, E>, never, Exclude<R, SagaEngine.SagaEngine>>
  /** Registers more definitions until the engine is stopped. */
  readonly register: (definitions: Definitions) => Effect.Effect<void>
  /** Registers more definitions until the effect that it returns. */
  readonly registerUntil: (definitions: Definitions) => Effect.Effect<Effect.Effect<void>>
  /** Closes it, as a process does that is told to end. */
  readonly stop: Effect.Effect<void>
  /** Nothing that it does reaches the store any more, and it gets no answer. The next engine takes the store over. */
  readonly crash: Effect.Effect<void>
  /** How many appends each commit had so far. It grows. */
  readonly commits: ReadonlyArray<number>
  /** From now on the store can't be written, */
  readonly fillDisk: Effect.Effect<void>
  /** and now it can be again. */
  readonly freeDisk: Effect.Effect<void>
  /** Waits until the execution has this status. */
  readonly reaches: (id: string, ...statuses: ReadonlyArray<Status>) => Effect.Effect<SagaStore.ExecutionRecord>
  readonly status: (id: string) => Effect.Effect<Status>
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<JournalEvent.JournalEvent>>
  /** The events of an execution, in short: `StepSucceeded book`. */
  readonly story: (id: string) => Effect.Effect<ReadonlyArray<string>>
}

/** Starts an engine. It is stopped with the scope of the test, at the latest. */
export const start = Effect.fnUntraced(function*(
  definitions: Definitions,
  options: SagaEngine.Options = {}
): Effect.fn.Return<TestEngine, SagaStore.SagaStoreError, Storage | Scope.Scope> {
  const storage = yield* Storage
  const scope = yield* Scope.make()
  let crashed = false
  let full = false
  const commits: Array<number> = []
  const alive = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => crashed ? Effect.never : self)

  const writable = <A>(self: Effect.Effect<A, SagaStore.SagaStoreError>): typeof self =>
    Effect.suspend(() =>
      full
        ? Effect.fail(
          new SagaStore.SagaStoreError({
            reason: new SagaStore.Unavailable({ store: "the store", problem: "full", cause: undefined })
          })
        )
        : self
    )

  const store = Layer.effect(
    SagaStore.SagaStore,
    Effect.map(SagaStore.SagaStore, (store) => ({
      name: store.name,
      acquire: (options) =>
        Effect.map(
          diedWithStore.has(storage) ? storage.takeOver(options.owner) : store.acquire(options),
          (ownership) => ({
            ...ownership,
            commit: (appends) =>
              Effect.suspend(() => {
                commits.push(appends.length)
                return alive(writable(ownership.commit(appends)))
              }),
            keepSignal: (signal, answer) => alive(writable(ownership.keepSignal(signal, answer))),
            answer: (answers) => alive(writable(ownership.answer(answers))),
            lost: alive(ownership.lost)
          })
        ),
      find: (id) => alive(store.find(id)),
      unfinished: (options) => alive(store.unfinished(options)),
      list: (options) => alive(store.list(options)),
      count: (filter) => alive(store.count(filter)),
      counts: (options) => alive(store.counts(options)),
      changed: (options) => alive(store.changed(options)),
      inspect: alive(store.inspect),
      prune: (options) => alive(store.prune(options)),
      existing: (ids) => alive(store.existing(ids)),
      ended: (ids) => alive(store.ended(ids)),
      ask: (requests) => alive(writable(store.ask(requests))),
      requests: (options) => alive(store.requests(options)),
      answers: (ids) => alive(store.answers(ids)),
      requested: store.requested,
      news: store.news
    } satisfies SagaStore.SagaStore["Service"]))
  )
  const engine = SagaEngine.layer(options).pipe(Layer.provide(store), Layer.provide(storage.layer))
  const build = <R>(layer: Layer.Layer<R, SagaStore.SagaStoreError>, scope: Scope.Scope) =>
    Effect.flatMap(Clock.Clock, (clock) =>
      Effect.provideService(
        Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope),
        Clock.Clock,
        // Time does not pass for the dead.
        {
          currentTimeMillis: clock.currentTimeMillis,
          currentTimeNanos: clock.currentTimeNanos,
          monotonicTimeNanos: clock.monotonicTimeNanos,
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
          currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
          sleep: (duration) => Effect.andThen(clock.sleep(duration), alive(Effect.void))
        }
      ))
  const context = yield* build(Layer.provideMerge(definitions, engine), scope)
  diedWithStore.delete(storage)

  const service = Context.get(context, SagaEngine.SagaEngine)
  const use: TestEngine["use"] = (self) => Effect.provideService(self, SagaEngine.SagaEngine, service)
  const stop = Effect.suspend(() => crashed ? Effect.void : Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() => whileTimePasses(stop))

  const reaches: TestEngine["reaches"] = (id, ...statuses) =>
    Effect.map(
      until(
        Effect.option(service.get(id)),
        (record) => Option.isSome(record) && statuses.includes(record.value.status),
        `execution "${id}" has the status ${statuses.join(" or ")}`
      ),
      Option.getOrThrow
    )
  const registerIn = (definitions: Definitions, scope: Scope.Scope) =>
    Effect.orDie(build(Layer.provide(definitions, Layer.succeed(SagaEngine.SagaEngine, service)), scope))
  const history: TestEngine["history"] = (id) => Effect.orDie(service.history(id))

  return {
    service,
    use,
    exit: (self) => Effect.exit(use(self)),
    register: (definitions) => Effect.asVoid(registerIn(definitions, scope)),
    registerUntil: Effect.fnUntraced(function*(definitions) {
      const own = yield* Scope.fork(scope)
      yield* registerIn(definitions, own)
      return Scope.close(own, Exit.void)
    }),
    stop,
    crash: Effect.sync(() => {
      crashed = true
      diedWithStore.add(storage)
    }),
    commits,
    fillDisk: Effect.sync(() => {
      full = true
    }),
    freeDisk: Effect.sync(() => {
      full = false
    }),
    reaches,
    status: (id) => Effect.map(Effect.orDie(service.get(id)), ({ status }) => status),
    history,
    story: (id) => Effect.map(history(id), (events) => events.map(inShort))
  }
})

/* The stores whose last engine crashed, and did not give them back. */
const diedWithStore = new WeakSet<Storage["Service"]>()

/** Has an engine stop, or crash, and another one start on what it left. */
export const restarted = Effect.fnUntraced(function*(
  first: TestEngine,
  how: "stop" | "crash",
  definitions: Definitions
) {
  yield* settle
  yield* first[how]
  const second = yield* start(definitions)
  yield* settle
  return second
})

/** Why an engine refuses: the tag of the reason, and its message. */
export const refusal = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(self), (error) => {
    assert.instanceOf(error, SagaEngine.SagaEngineError)
    const { reason } = error as SagaEngine.SagaEngineError
    return `${reason._tag}: ${reason.message}`
  })

/** Why the store could not be used: the tag of the reason. */
export const storeReason = (exit: Exit.Exit<unknown, unknown>): string => {
  const error = Cause.squash(causeOf(exit))
  return error instanceof SagaStore.SagaStoreError ? error.reason._tag : String(error)
}

/** Runs `self` while the clock of the test goes on, as far as an engine may take to end. */
export const whileTimePasses = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.scoped(Effect.andThen(Effect.forkScoped(Effect.forever(TestClock.adjust("1 second"))), self))

/** Lets everything run that can run without time passing. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 200 })

/** Lets time pass, and everything happen that happens meanwhile. */
export const pass = (duration: Duration.Input): Effect.Effect<void> =>
  settle.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(settle))

/** Waits, without time passing, until `self` succeeds with what is expected. */
export const until = <A, E>(
  self: Effect.Effect<A, E>,
  isExpected: (value: A) => boolean,
  what: string
): Effect.Effect<A> => {
  const look = (turns: number): Effect.Effect<A, E> =>
    Effect.flatMap(self, (value) => {
      if (isExpected(value)) return Effect.succeed(value)
      if (turns === 0) {
        return Effect.die(new Error(`It never came to this: ${what}. Last seen: ${JSON.stringify(value)}`))
      }
      return Effect.andThen(Effect.yieldNow, look(turns - 1))
    })
  return Effect.orDie(look(5000))
}

const inShort = (event: JournalEvent.JournalEvent): string => {
  const what = "path" in event ? event.path : "scope" in event ? event.scope : "name" in event ? event.name : ""
  return what === "" ? event._tag : `${event._tag} ${what}`
}

export type Test = (
  sentence: string,
  body: Effect.Effect<void, unknown, Storage | Scope.Scope>
) => void

/** Tests on a store that is empty when each of them begins. */
export const testsOn = (storage: StorageLayer): Test => (sentence, body) => {
  // Those that start many engines, one after another, take their time on a server.
  it.effect(sentence, () => Effect.provide(body, storage), 60_000)
}
