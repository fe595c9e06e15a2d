/*
 * A process with a store of its own, for tests that stop, kill or confine it. It takes a command and a file, and prints a
 * line for each thing that has happened.
 */
import { Effect, Layer, Scope, Stream } from "effect"
import { SagaStore } from "effect-saga"
import * as process from "node:process"
import { DatabaseSync } from "node:sqlite"
import { request, started } from "./storeValues.ts"

const [, , command, filename = "", thread] = process.argv

const print = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const describe = (error: SagaStore.SagaStoreError): string =>
  error.reason._tag === "Unavailable" ? error.reason.problem : error.reason._tag

const acquire = Effect.gen(function*() {
  const store = yield* SagaStore.SagaStore
  const ownership = yield* store.acquire({ owner: "child", standby: false })
  yield* print(`owner ${ownership.epoch}`)
  return ownership
})

const now = () => Math.round(performance.timeOrigin + performance.now())

const text = "x".repeat(5_000)

/* Large enough for a limit on the size of files to be reached soon. */
const largeBatch = (first: number): ReadonlyArray<SagaStore.Append> =>
  Array.from({ length: 5 }, (_, index) => ({ ...started(first + index), events: [text] }))

const commands: Record<string, Effect.Effect<void, SagaStore.SagaStoreError, SagaStore.SagaStore>> = {
  open: Effect.flatMap(SagaStore.SagaStore, () => print("opened")),

  /* Commits one execution after another for as long as it can. */
  write: Effect.scoped(Effect.gen(function*() {
    const { commit, lastKey } = yield* acquire
    for (let key = lastKey + 1;; key++) {
      yield* commit([started(key)])
      yield* print(`committed ${key}`)
      yield* Effect.yieldNow
    }
  })),

  /* Commits until a file may not grow any more, makes room, and commits the same batch again. */
  grow: Effect.scoped(Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    const { commit } = yield* acquire
    let first = 1
    const failed = yield* Effect.suspend(() => commit(largeBatch(first))).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          first += 5
        })
      ),
      Effect.forever,
      Effect.flip
    )
    yield* print(`failed ${describe(failed)}`)
    yield* print(`executions ${(yield* store.list({ limit: 100_000 })).length === first - 1}`)
    yield* Effect.sync(() => {
      const database = new DatabaseSync(filename)
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      database.close()
    })
    yield* commit(largeBatch(first))
    yield* print(`executions ${(yield* store.list({ limit: 100_000 })).length === first + 4}`)
  })),

  /* Leaves a request, and waits for the answer. */
  ask: Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    yield* store.ask([request("a", "Trip/1")])
    yield* print(`asked ${now()}`)
    const answered = yield* store.news.pipe(
      Stream.mapEffect(() => store.answers(["a"])),
      Stream.filter((answers) => answers.length > 0),
      Stream.take(1),
      Stream.runCollect
    )
    yield* print(`answered ${answered[0]![0]!.answer} ${now()}`)
  }),

  /* Answers all requests, for ever. */
  answer: Effect.scoped(Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    const { answer } = yield* acquire
    yield* Stream.runForEach(store.requested, () =>
      Effect.gen(function*() {
        const requests = yield* store.requests()
        if (requests.length === 0) return
        yield* print(`seen ${now()}`)
        yield* answer(requests.map(({ id, request }) => ({ request: id, answer: request })))
      }))
  })),

  /* Leaves one request after another for as long as it can. */
  askOn: Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    for (let number = 1;; number++) {
      yield* store.ask([request(`r${number}`, "Trip/1")])
      yield* print(`asked ${number}`)
      yield* Effect.yieldNow
    }
  }),

  /* Listens for a while. */
  listen: Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    for (const rings of [store.requested, store.news]) yield* Stream.runDrain(Stream.take(rings, 1))
    yield* Effect.timeoutOption(Stream.runDrain(store.news), "300 millis")
    yield* print("listened")
  }),

  once: Effect.scoped(Effect.flatMap(acquire, ({ commit }) => commit([started(1)]))),

  /* As somebody whom rights bind. */
  restricted: Effect.scoped(Effect.asVoid(acquire))
}

// The administrator becomes somebody else once all modules are loaded.
if (command === "restricted" && process.geteuid?.() === 0) process.seteuid!(65_534)

const layer = SagaStore.layerSqlite({ filename, worker: thread === "worker" })

const program = command === "forget" || command === "listen"
  // Opens the file, and never closes it.
  ? Effect.flatMap(
    Layer.buildWithScope(layer, Scope.makeUnsafe()),
    (context) => Effect.provideContext(commands[command === "forget" ? "open" : command]!, context)
  )
  : Effect.provide(commands[command!]!, layer)

await program.pipe(
  Effect.catch((error) => print(`failed ${describe(error)}`)),
  Effect.andThen(print("closed")),
  Effect.runPromise
)
