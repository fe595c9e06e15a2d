/*
 * A savepoint is a part of a saga that is undone alone. With `Effect.retry` that part is undone and done again; with
 * `Effect.catchTag` the saga goes another way round it. What stands before it stays done.
 */
import { Console, Data, Effect, Ref } from "effect"
import { Saga } from "effect-saga"

class CourierFull extends Data.TaggedError("CourierFull") {}
class NoDriver extends Data.TaggedError("NoDriver") {}

const step = (name: string, undo: string) =>
  Saga.step(Console.log(`  ${name}`), () => Console.log(`    ${undo}`), { name })

const express = (attempts: Ref.Ref<number>, busyAttempts: number) =>
  Effect.gen(function*() {
    yield* step("print express label", "void express label")
    yield* step("book courier", "cancel courier")
    const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
    if (attempt <= busyAttempts) return yield* new NoDriver()
    return "by courier"
  }).pipe(
    Saga.savepoint({ name: "express" }),
    Effect.retry({ times: 1 }),
    Effect.mapError(() => new CourierFull())
  )

const post = Effect.as(step("hand over to the post", "call back from the post"), "by post")

const ship = Saga.fn("ship-order")(function*(busyAttempts: number) {
  const attempts = yield* Ref.make(0)
  yield* step("reserve goods", "release goods")
  const how = yield* express(attempts, busyAttempts).pipe(Effect.catchTag("CourierFull", () => post))
  yield* Console.log(`  = shipped ${how}`)
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* Console.log("A driver is found at the second attempt")
  yield* ship(1)
  yield* Console.log("No driver is found")
  yield* ship(2)
})

if (import.meta.main) await Effect.runPromise(program)
