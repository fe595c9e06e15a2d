/*
 * New code while old executions run. An order that began with version 1 finishes with the code of version 1, which stays
 * registered beside version 2 for as long as it has work. Where somebody forgets that, nothing is lost: the order is parked
 * and says what it misses.
 */
import { Console, Effect, Layer, Logger, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"

const charge = Step.make("charge", { input: Schema.String, action: (order) => Console.log(`  ${order}: charge`) })
const sendLetter = Step.make("send-letter", {
  input: Schema.String,
  action: (order) => Console.log(`  ${order}: letter`)
})
const sendMail = Step.make("send-mail", { input: Schema.String, action: (order) => Console.log(`  ${order}: mail`) })

const Packed = Signal.make("packed", Schema.Void)

const options = { payload: Schema.String, idempotencyKey: (order: string) => order }

const OrderV1 = DurableSaga.make("Order", options)
const OrderV1Layer = OrderV1.toLayer(Effect.fnUntraced(function*(order) {
  yield* charge(order)
  yield* Packed.await
  yield* sendLetter(order)
}))

const Order = DurableSaga.make("Order", { ...options, version: 2 })
const OrderLayer = Order.toLayer(Effect.fnUntraced(function*(order) {
  yield* Packed.await
  yield* charge(order)
  yield* sendMail(order)
}))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const store = yield* SagaStore.makeMemory
  const deploy = (definitions: Layer.Layer<never, never, SagaEngine.SagaEngine>) =>
    Effect.provide(definitions.pipe(
      Layer.provideMerge(SagaEngine.layer({ registrationTimeout: "1 millis" })),
      Layer.provide(store.layer)
    ))
  const status = Effect.fnUntraced(function*(id: string, expected: SagaStore.Status) {
    const engine = yield* SagaEngine.SagaEngine
    const { reason, version } = yield* Effect.repeat(engine.get(id), { until: ({ status }) => status === expected })
    yield* Console.log(`  ${id}, version ${version}: ${expected}${reason === null ? "" : `. ${reason}`}`)
  })

  yield* Console.log("Version 1 is deployed")
  yield* Effect.gen(function*() {
    const id = yield* OrderV1.start("order-1")
    yield* status(id, "Waiting")
  }).pipe(deploy(OrderV1Layer))

  yield* Console.log("Version 2 is deployed, without version 1")
  yield* status("Order/order-1", "Parked").pipe(deploy(OrderLayer))

  yield* Console.log("Version 2 is deployed beside version 1")
  yield* Effect.gen(function*() {
    yield* Order.start("order-2")
    yield* Effect.forEach(
      ["order-1", "order-2"],
      Effect.fnUntraced(function*(order) {
        const id = Order.executionId(order)
        yield* Order.signal(id, Packed, undefined)
        yield* Order.await(id)
        yield* status(id, "Completed")
      })
    )
  }).pipe(deploy(Layer.merge(OrderV1Layer, OrderLayer)))
}).pipe(
  // The engine logs that a saga is parked, too: with the time, so not here.
  Effect.provide(Logger.layer([])),
  Effect.orDie
)

if (import.meta.main) await Effect.runPromise(program)
