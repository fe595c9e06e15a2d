/*
 * Retries with exponential back-off, over a restart. Each failed attempt is in the journal with the time of the next one,
 * so the second process neither asks at once nor starts to count anew. (The clock is that of tests: nobody waits.)
 */
import { Clock, Console, Effect, Layer, Schedule, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"
import { TestClock } from "effect/testing"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const print = (line: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (millis) => Console.log(`  minute ${millis / 60_000}: ${line}`))

const charge = Step.make("charge", {
  error: Busy,
  retry: Schedule.exponential("1 minute").pipe(Schedule.upTo({ times: 5 })),
  action: (_, { attempt }) =>
    attempt < 4
      ? Effect.andThen(print(`attempt ${attempt}, busy`), new Busy())
      : print(`attempt ${attempt}, done`)
})

const Order = DurableSaga.make("Order", { payload: Schema.String, error: Busy, idempotencyKey: (order) => order })

const OrderLayer = Order.toLayer(() => charge())

/** Waits until so many attempts have failed and the next one has a time. */
const failures = Effect.fnUntraced(function*(count: number) {
  const engine = yield* SagaEngine.SagaEngine
  yield* Effect.repeat(engine.history(Order.executionId("order-1")), {
    until: (events) => events.filter(({ _tag }) => _tag === "AttemptFailed").length === count
  })
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const store = yield* SagaStore.makeMemory
  const inProcess = Effect.provide(
    OrderLayer.pipe(Layer.provideMerge(SagaEngine.layer()), Layer.provide(store.layer))
  )

  yield* Console.log("The first process")
  yield* inProcess(Effect.gen(function*() {
    yield* Order.start("order-1")
    yield* failures(1)
    yield* TestClock.adjust("1 minute")
    yield* failures(2)
    yield* TestClock.adjust("30 seconds")
  }))
  yield* print("the process dies")

  yield* Console.log("The second process")
  yield* inProcess(Effect.gen(function*() {
    yield* TestClock.adjust("90 seconds")
    yield* failures(3)
    yield* TestClock.adjust("4 minutes")
    yield* Order.await(Order.executionId("order-1"))
  }))
}).pipe(Effect.provide(TestClock.layer()), Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
