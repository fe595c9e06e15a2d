/*
 * Sagas are not isolated: others see what they have done so far. A semantic lock tells them that it is not final. The
 * first step marks the order as pending; while it is, nobody else changes it. It ends as confirmed or failed.
 */
import { Console, Data, Effect, Fiber, Latch, Ref } from "effect"
import { Saga } from "effect-saga"

class OrderPending extends Data.TaggedError("OrderPending") {}
class CardDeclined extends Data.TaggedError("CardDeclined") {}

type Status = "open" | "pending" | "confirmed" | "failed"

/** Takes the lock in one transaction, and refuses where another saga has it. Undoing marks the order as failed. */
const lock = (order: Ref.Ref<Status>) =>
  Saga.step(
    Effect.flatten(Ref.modify(order, (status): readonly [Effect.Effect<void, OrderPending>, Status] =>
      status === "pending" ? [Effect.fail(new OrderPending()), status] : [Effect.void, "pending"])),
    () =>
      Ref.set(order, "failed"),
    { name: "lock" }
  )

const confirm = (order: Ref.Ref<Status>) =>
  Saga.step(Ref.set(order, "confirmed"), () => Ref.set(order, "pending"), { name: "confirm" })

const placeOrder = Saga.fn("place-order")(function*(order: Ref.Ref<Status>, charge: Effect.Effect<void, CardDeclined>) {
  yield* lock(order)
  yield* Saga.step(charge, Saga.noCompensation, { name: "charge" })
  yield* confirm(order)
})

const reviseOrder = Saga.fn("revise-order")(function*(order: Ref.Ref<Status>) {
  yield* lock(order)
  yield* confirm(order)
})

const run = Effect.fnUntraced(function*(title: string, answer: Effect.Effect<void, CardDeclined>) {
  const order = yield* Ref.make<Status>("open")
  const charging = yield* Latch.make()
  const answered = yield* Latch.make()
  const printStatus = Effect.flatMap(Ref.get(order), (status) => Console.log(`  the order is ${status}`))
  const charge = charging.open.pipe(Effect.andThen(answered.await), Effect.andThen(answer))

  yield* Console.log(title)
  const placing = yield* Effect.forkChild(Effect.exit(placeOrder(order, charge)))

  yield* charging.await
  yield* printStatus
  yield* reviseOrder(order).pipe(
    Effect.catchTag("OrderPending", () => Console.log("  another saga wants to revise it: refused"))
  )

  yield* answered.open
  yield* Fiber.join(placing)
  yield* printStatus
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* run("The card is accepted", Effect.void)
  yield* run("The card is declined", new CardDeclined())
})

if (import.meta.main) await Effect.runPromise(program)
