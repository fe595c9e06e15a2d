/*
 * A durable saga goes on where its process died. The charge is in the journal, so it is not made again. Nobody knows what
 * became of the shipment that was under way, so the courier is asked once more, with the same key. (Here an engine is
 * closed in the middle of an action. `main` is the example that can be killed.)
 */
import { Console, Context, Deferred, Effect, Layer, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

class Courier extends Context.Service<Courier, {
  /** Two calls with one key are one shipment. */
  readonly ship: (order: string, key: string) => Effect.Effect<string>
}>()("Courier") {}

const charge = Step.make("charge", {
  input: Schema.String,
  success: Schema.String,
  action: (order, { idempotencyKey }) =>
    Effect.as(Console.log(`  charge, key ${idempotencyKey}`), `receipt of ${order}`),
  compensate: (receipt) => Console.log(`  refund ${receipt}`)
})

const ship = Step.make("ship", {
  input: Schema.String,
  success: Schema.String,
  action: (order, { idempotencyKey }) => Courier.use((courier) => courier.ship(order, idempotencyKey))
})

const Order = DurableSaga.make("Order", {
  payload: Schema.String,
  success: Schema.String,
  idempotencyKey: (order) => order
})

const OrderLayer = Order.toLayer(Effect.fnUntraced(function*(order) {
  const receipt = yield* charge(order)
  const parcel = yield* ship(order)
  return `${parcel}, ${receipt}`
}))

const temporaryFile = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
).pipe(Effect.map((folder) => join(folder, "sagas.db")))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const filename = yield* temporaryFile

  /** Runs an effect in a process of its own, as far as the saga can tell: nothing is shared but the file. */
  const inProcess = <A, E>(
    courier: Courier["Service"],
    use: Effect.Effect<A, E, SagaEngine.SagaEngine>
  ) =>
    Effect.provide(
      use,
      OrderLayer.pipe(
        Layer.provideMerge(SagaEngine.layer({ shutdownTimeout: "1 millis" })),
        Layer.provide([SagaStore.layerSqlite({ filename }), Layer.succeed(Courier, courier)])
      )
    )

  yield* Console.log("The first process")
  const asked = yield* Deferred.make<void>()
  yield* inProcess({
    ship: (_order, key) =>
      Console.log(`  ship, key ${key}: no answer yet`).pipe(
        Effect.andThen(Deferred.succeed(asked, undefined)),
        Effect.andThen(Effect.never)
      )
  }, Effect.andThen(Order.start("order-7"), Deferred.await(asked)))
  yield* Console.log("  dies")

  yield* Console.log("The second process")
  const result = yield* inProcess({
    ship: (order, key) => Effect.as(Console.log(`  ship, key ${key}: done`), `parcel of ${order}`)
  }, Order.await("Order/order-7"))
  yield* Console.log(`  = ${result}`)
}).pipe(Effect.scoped, Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
