/*
 * Retrying is Effect's own. An action that fails for a moment is tried again before the saga gives up, and a compensation
 * should be even more patient: here with exponential back-off, up to five times.
 */
import { Console, Data, Effect, Ref, Schedule } from "effect"
import { Saga } from "effect-saga"

class Busy extends Data.TaggedError("Busy") {}
class OutOfStock extends Data.TaggedError("OutOfStock") {}

/** An effect that fails the first times it runs. */
const flaky = Effect.fnUntraced(function*(name: string, failures: number) {
  const attempts = yield* Ref.make(0)
  return Effect.gen(function*() {
    const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
    yield* Console.log(`  ${name}, attempt ${attempt}: ${attempt <= failures ? "busy" : "done"}`)
    if (attempt <= failures) return yield* new Busy()
  })
})

const run = Effect.fnUntraced(function*(title: string, refundFailures: number) {
  yield* Console.log(title)
  const charge = yield* flaky("charge", 2)
  const refund = yield* flaky("refund", refundFailures)

  const order = Effect.gen(function*() {
    yield* Saga.step(
      Effect.retry(charge, { times: 3 }),
      () => Effect.retry(refund, { times: 5, schedule: Schedule.exponential("1 millis") }),
      { name: "charge" }
    )
    return yield* new OutOfStock()
  }).pipe(Saga.transact({ name: "order" }))

  yield* order.pipe(Effect.catchTags({
    Busy: () => Console.log("  = the bank was busy: nothing was done"),
    OutOfStock: () => Console.log("  = out of stock: undone"),
    CompensationFailed: ({ failures }) => Console.log(`  = out of stock, and not undone: ${failures[0]?.step}`)
  }))
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* run("The bank is busy for a moment", 3)
  yield* run("The bank stays busy", Infinity)
})

if (import.meta.main) await Effect.runPromise(program)
