/*
 * A refund that fails although it was retried parks its saga, which waits, as long as it takes, for an operator to decide:
 * to try again, to take it as done by hand, or to give it up. Who decided what, and why, is kept.
 */
import { Console, Context, Effect, Layer, Logger, Ref, Schedule, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaOperator, SagaStore, Step } from "effect-saga"

class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", {}) {}
class BankClosed extends Schema.TaggedError<BankClosed>()("BankClosed", {}) {}

class Bank extends Context.Service<Bank, Ref.Ref<"open" | "closed">>()("Bank") {}

const reserve = Step.make("reserve", {
  action: () => Console.log("  reserved"),
  compensate: () => Console.log("  released")
})

const charge = Step.make("charge", {
  compensationError: BankClosed,
  compensationRetry: Schedule.recurs(2),
  action: () => Console.log("  charged"),
  compensate: Effect.fnUntraced(function*() {
    if ((yield* Ref.get(yield* Bank)) === "closed") return yield* new BankClosed()
    yield* Console.log("  refunded")
  })
})

const ship = Step.make("ship", { error: NoCourier, action: () => new NoCourier() })

const Order = DurableSaga.make("Order", { payload: Schema.String, error: NoCourier, idempotencyKey: (order) => order })

const OrderLayer = Order.toLayer(Effect.fnUntraced(function*() {
  yield* reserve()
  yield* charge()
  yield* ship()
}))

/** Waits until an execution is parked, and says what for. */
const parked = Effect.fnUntraced(function*(id: string) {
  const operator = yield* SagaOperator.SagaOperator
  const { reason, status } = yield* Effect.repeat(operator.get(id), { until: ({ status }) => status === "Parked" })
  yield* Console.log(`  ${status}: ${reason}`)
})

const result = (id: string) =>
  Order.await(id).pipe(
    Effect.catchTags({
      NoCourier: () => Console.log("  = no courier, and all is undone"),
      CompensationFailed: ({ failures }) => Console.log(`  = no courier, and not undone: ${failures[0]?.step}`)
    })
  )

const decisions = Effect.fnUntraced(function*(id: string) {
  const operator = yield* SagaOperator.SagaOperator
  for (const event of yield* operator.history(id)) {
    if (event._tag !== "Retried" && event._tag !== "Resolved" && event._tag !== "Skipped") continue
    yield* Console.log(`  ${event._tag} by ${event.operator}: ${event.reason}`)
  }
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const operator = yield* SagaOperator.SagaOperator
  const bank = yield* Bank

  yield* Console.log("The bank opens again")
  const first = yield* Order.start("order-1")
  yield* parked(first)
  yield* Ref.set(bank, "open")
  yield* operator.retry(first, { operator: "Ada", reason: "the bank is open" })
  yield* result(first)
  yield* decisions(first)

  yield* Ref.set(bank, "closed")
  yield* Console.log("The refund is paid by hand")
  const second = yield* Order.start("order-2")
  yield* parked(second)
  yield* operator.resolve(second, null, { operator: "Ada", reason: "paid in cash" })
  yield* result(second)
  yield* decisions(second)

  yield* Console.log("The refund is given up")
  const third = yield* Order.start("order-3")
  yield* parked(third)
  yield* operator.skip(third, { operator: "Grace", reason: "the customer is a test account" })
  yield* result(third)
  yield* decisions(third)
}).pipe(
  Effect.provide(OrderLayer.pipe(
    Layer.provideMerge([
      SagaEngine.layer(),
      SagaOperator.layer(),
      Layer.effect(Bank, Ref.make<"open" | "closed">("closed"))
    ]),
    Layer.provide(SagaStore.layerMemory)
  )),
  // The engine logs that a saga is parked, too: with the time, so not here.
  Effect.provide(Logger.layer([])),
  Effect.orDie
)

if (import.meta.main) await Effect.runPromise(program)
