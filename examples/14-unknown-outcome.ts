/*
 * A charge whose answer does not come in time may have taken place or not. `stepExit` undoes a step whatever became of
 * its action: on success it refunds, and on failure it looks up what happened and undoes just that.
 */
import { Cause, Console, Data, Effect, Exit, Option, Ref } from "effect"
import { Saga } from "effect-saga"

class OutOfStock extends Data.TaggedError("OutOfStock") {}

type Gateway = "answers" | "loses the request" | "loses the answer"

const run = Effect.fnUntraced(function*(gateway: Gateway) {
  yield* Console.log(`The payment gateway ${gateway}`)
  const charges = yield* Ref.make<ReadonlySet<string>>(new Set())

  const charge = (id: string) =>
    Effect.gen(function*() {
      if (gateway !== "loses the request") yield* Ref.update(charges, (all) => new Set(all).add(id))
      if (gateway !== "answers") yield* Effect.never
    }).pipe(Effect.timeout("5 millis"))

  const refund = (id: string) =>
    Effect.andThen(
      Ref.update(charges, (all) => new Set(Array.from(all).filter((charge) => charge !== id))),
      Console.log(`  refunded ${id}`)
    )

  const order = Effect.gen(function*() {
    yield* Saga.stepExit(
      charge("charge-1"),
      Effect.fnUntraced(function*(exit) {
        if (Exit.isSuccess(exit)) return yield* refund("charge-1")
        yield* Console.log("  no answer: was charge-1 made?")
        const made = (yield* Ref.get(charges)).has("charge-1")
        return yield* made ? refund("charge-1") : Console.log("  it was not, so there is nothing to undo")
      }),
      { name: "charge" }
    )
    return yield* new OutOfStock()
  }).pipe(Saga.transact({ name: "order" }))

  const cause = yield* Effect.flip(Effect.sandbox(order))
  const step = Option.getOrThrow(Saga.report(cause)).steps[0]
  yield* Console.log(`  failed with ${Cause.prettyErrors(cause)[0]?.name}, ${step?.name}: ${step?.outcome}`)
  yield* Console.log(`  charges left: ${(yield* Ref.get(charges)).size}`)
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* run("answers")
  yield* run("loses the answer")
  yield* run("loses the request")
})

if (import.meta.main) await Effect.runPromise(program)
