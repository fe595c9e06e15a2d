/*
 * An order waits for an approval, for three days at most. A signal is the approval; whichever comes first, the signal or
 * the end of the three days, decides, and decides again in the same way after a crash. The days count from when the order
 * began to wait, whatever happens to the process: `Effect.timeout` would begin anew. (The clock is that of tests: nobody
 * waits.)
 */
import { Console, Effect, Layer, Option, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"
import { TestClock } from "effect/testing"

class NotApproved extends Schema.TaggedError<NotApproved>()("NotApproved", {}) {}

const reserve = Step.make("reserve", {
  input: Schema.String,
  action: (order) => Console.log(`  ${order}: reserved, and waits for approval`),
  compensate: (_, { input }) => Console.log(`  ${input}: released`)
})

const Approved = Signal.make("approved", Schema.Struct({ by: Schema.String }))

const Order = DurableSaga.make("Order", {
  payload: Schema.String,
  success: Schema.String,
  error: NotApproved,
  idempotencyKey: (order) => order
})

const OrderLayer = Order.toLayer(Effect.fnUntraced(function*(order) {
  yield* reserve(order)
  const { by } = yield* Effect.flatMap(
    Approved.awaitFor("3 days"),
    Option.match({ onNone: () => Effect.fail(new NotApproved()), onSome: Effect.succeed })
  )
  return `approved by ${by}`
}))

const startOne = Effect.fnUntraced(function*(order: string) {
  const id = yield* Order.start(order)
  const engine = yield* SagaEngine.SagaEngine
  yield* Effect.repeat(engine.get(id), { until: ({ status }) => status === "Waiting" })
})

const printResult = (order: string) =>
  Order.execute(order).pipe(
    Effect.catchTag("NotApproved", () => Effect.succeed("nobody approved it")),
    Effect.flatMap((result) => Console.log(`  ${order}: ${result}`))
  )

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const store = yield* SagaStore.makeMemory
  const inProcess = Effect.provide(
    OrderLayer.pipe(Layer.provideMerge(SagaEngine.layer()), Layer.provide(store.layer))
  )

  yield* Console.log("Monday")
  yield* inProcess(Effect.gen(function*() {
    yield* startOne("order-1")
    yield* startOne("order-2")
    // A signal may come before the order does.
    yield* Order.signal("Order/order-3", Approved, { by: "Barbara" })
  }))

  yield* TestClock.adjust("1 day")
  yield* Console.log("Tuesday, after a restart")
  yield* inProcess(Effect.gen(function*() {
    yield* Order.signal(Order.executionId("order-1"), Approved, { by: "Ada" })
    yield* printResult("order-1")
    yield* printResult("order-3")
  }))

  yield* TestClock.adjust("2 days")
  yield* Console.log("Thursday, after another one")
  yield* inProcess(printResult("order-2"))
}).pipe(Effect.provide(TestClock.layer()), Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
