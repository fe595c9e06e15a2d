/*
 * A bank that knows no idempotency keys: a transfer that is asked for twice is made twice. Its step is ambiguous, so when the
 * process dies in the middle of it, it is not repeated. It has failed with `OutcomeUnknown`, and its compensation looks up
 * what happened.
 */
import { Console, Context, Deferred, Effect, Exit, Layer, Ref, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"

class Bank extends Context.Service<Bank, {
  readonly transfer: (reference: string) => Effect.Effect<void>
  readonly transfers: Effect.Effect<ReadonlyArray<string>>
  readonly callBack: (reference: string) => Effect.Effect<void>
}>()("Bank") {}

const transfer = Step.make("transfer", {
  input: Schema.String,
  ambiguous: true,
  action: (order) => Bank.use((bank) => bank.transfer(order)),
  compensateExit: Effect.fnUntraced(function*(exit, { input }) {
    const bank = yield* Bank
    const made = (yield* bank.transfers).includes(input)
    const outcome = Exit.isSuccess(exit) ? "known to be made" : `unknown, and it was ${made ? "" : "not "}made`
    yield* Console.log(`  the transfer is ${outcome}`)
    if (made) yield* bank.callBack(input)
  })
})

const Order = DurableSaga.make("Order", {
  payload: Schema.String,
  error: Step.OutcomeUnknown,
  idempotencyKey: (order) => order
})

const OrderLayer = Order.toLayer((order) => transfer(order))

const run = Effect.fnUntraced(function*(order: string, dies: "before" | "after") {
  const store = yield* SagaStore.makeMemory
  const transfers = yield* Ref.make<ReadonlyArray<string>>([])
  const atPointOfDeath = yield* Deferred.make<void>()
  const die = Effect.andThen(Deferred.succeed(atPointOfDeath, undefined), Effect.never)

  const bank: Bank["Service"] = {
    transfers: Ref.get(transfers),
    transfer: Effect.fnUntraced(function*(reference) {
      if (dies === "before") yield* die
      yield* Ref.update(transfers, (all) => [...all, reference])
      yield* die
    }),
    callBack: (reference) =>
      Effect.andThen(
        Console.log("  call it back"),
        Ref.update(transfers, (all) => all.filter((one) => one !== reference))
      )
  }
  const inProcess = Effect.provide(OrderLayer.pipe(
    Layer.provideMerge(SagaEngine.layer({ shutdownTimeout: "1 millis" })),
    Layer.provide([store.layer, Layer.succeed(Bank, bank)])
  ))

  yield* Console.log(`The process dies ${dies} the bank has made the transfer`)
  yield* inProcess(Effect.andThen(Order.start(order), Deferred.await(atPointOfDeath)))
  yield* inProcess(Order.execute(order)).pipe(
    Effect.catchTag("OutcomeUnknown", ({ message }) => Console.log(`  = ${message}`))
  )
  yield* Console.log(`  transfers: ${(yield* bank.transfers).length}`)
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* run("order-1", "before")
  yield* run("order-2", "after")
}).pipe(Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
