/*
 * Ctrl-C in the middle of a saga. The charge that has been sent is not cut off: its answer is awaited, because it may have
 * taken place. Then the saga is undone, and only after that its fiber ends.
 */
import { Console, Effect, Exit, Fiber, Latch } from "effect"
import { Saga } from "effect-saga"

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const sent = yield* Latch.make()
  const answered = yield* Latch.make()

  const charge = Effect.gen(function*() {
    yield* Console.log("charge: sent")
    yield* sent.open
    yield* answered.await
    yield* Console.log("charge: answered")
  })

  const order = Effect.gen(function*() {
    yield* Saga.step(Console.log("reserve"), () => Console.log("release"), { name: "reserve" })
    yield* Saga.step(charge, () => Console.log("refund"), { name: "charge" })
    yield* Saga.step(Console.log("ship"), () => Console.log("recall"), { name: "ship" })
  }).pipe(Saga.transact({ name: "order" }))

  const fiber = yield* Effect.forkChild(order)

  yield* sent.await
  yield* Console.log("Ctrl-C")
  const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })

  yield* Console.log("the bank answers")
  yield* answered.open
  yield* Fiber.join(interruption)

  const exit = yield* Fiber.await(fiber)
  yield* Console.log(Exit.hasInterrupts(exit) ? "interrupted, and nothing is left behind" : "not interrupted")
})

if (import.meta.main) await Effect.runPromise(program)
