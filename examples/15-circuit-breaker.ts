/*
 * All sagas share one circuit breaker, for actions and for compensations. Two failures in a row open the circuit of the
 * payments: the next order is refused at once, without a call. A refund that meets the open circuit waits for it, and as
 * its first call it closes it again.
 */
import { Console, Data, Effect, Fiber, Latch, Ref, Schedule } from "effect"
import { Saga } from "effect-saga"
import { CircuitBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"

class PaymentsDown extends Data.TaggedError("PaymentsDown") {}
class OutOfStock extends Data.TaggedError("OutOfStock") {}

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const breaker = yield* CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(2),
    openDuration: "30 seconds"
  })
  const printCircuit = Effect.flatMap(
    Effect.orDie(breaker.state("payments")),
    ({ _tag }) => Console.log(`the circuit is ${_tag}`)
  )

  const paymentsUp = yield* Ref.make(true)
  const pay = (what: string) =>
    Effect.gen(function*() {
      const up = yield* Ref.get(paymentsUp)
      yield* Console.log(`  call: ${what} ${up ? "done" : "failed"}`)
      if (!up) return yield* new PaymentsDown()
    }).pipe(breaker.execute({ key: "payments" }))

  const refund = (id: string) =>
    pay(`refund ${id}`).pipe(Effect.retry({
      schedule: Schedule.spaced("10 seconds"),
      while: (error) => error._tag === "CircuitBreakerError",
      times: 10
    }))

  const order = Effect.fnUntraced(function*(id: string, pack: Effect.Effect<void, OutOfStock>) {
    yield* Saga.step(pay(`charge ${id}`), () => refund(id), { name: "charge" })
    yield* pack
  }, Saga.transact({ name: "order" }))

  const place = (id: string, pack: Effect.Effect<void, OutOfStock>) =>
    order(id, pack).pipe(
      Effect.andThen(Console.log(`${id}: placed`)),
      Effect.catchTags({
        CircuitBreakerError: () => Console.log(`${id}: refused at once`),
        PaymentsDown: () => Console.log(`${id}: payments are down`),
        OutOfStock: () => Console.log(`${id}: out of stock, undone`),
        CompensationFailed: () => Console.log(`${id}: out of stock, NOT undone`)
      })
    )

  const packed = yield* Latch.make()
  const first = yield* Effect.forkChild(place("order-1", Effect.andThen(packed.await, new OutOfStock())), {
    startImmediately: true
  })

  yield* Ref.set(paymentsUp, false)
  yield* place("order-2", Effect.void)
  yield* place("order-3", Effect.void)
  yield* printCircuit
  yield* place("order-4", Effect.void)

  yield* Ref.set(paymentsUp, true)
  yield* packed.open
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(first)
  yield* printCircuit
}).pipe(
  Effect.scoped,
  Effect.provide(CircuitBreaker.layerStoreMemory()),
  // A clock that needn't be waited for.
  Effect.provide(TestClock.layer())
)

if (import.meta.main) await Effect.runPromise(program)
