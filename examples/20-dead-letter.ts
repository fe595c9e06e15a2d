/*
 * A refund fails although it was retried. An observer puts it in a queue of dead letters, with all that is needed to deal
 * with it: what to refund, why it failed, why the saga was undone, and what else is left. Later it is done from there.
 */
import { Cause, Console, Data, Effect, Queue, Ref } from "effect"
import { Saga, type SagaEvent, SagaObserver } from "effect-saga"

class PaymentsDown extends Data.TaggedError("PaymentsDown") {}
class NoCourier extends Data.TaggedError("NoCourier") {}

class Charge extends Data.Class<{ readonly id: string; readonly amount: number }> {}

const describe = (cause: Cause.Cause<unknown>) => Cause.prettyErrors(cause).map((error) => error.name).join(", ")

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const paymentsUp = yield* Ref.make(false)
  const deadLetters = yield* Queue.unbounded<SagaEvent.CompensationFailed>()
  const observer = SagaObserver.make((event) =>
    event._tag === "CompensationFailed" ? Queue.offer(deadLetters, event) : Effect.void
  )

  const refund = Effect.fnUntraced(function*({ amount, id }: Charge) {
    if (!(yield* Ref.get(paymentsUp))) return yield* new PaymentsDown()
    yield* Console.log(`${id}: refunded ${amount}`)
  })

  const order = Effect.gen(function*() {
    yield* Saga.step(Console.log("reserved"), () => Console.log("released"), { name: "reserve" })
    yield* Saga.step(
      Effect.succeed(new Charge({ id: "charge-7", amount: 30 })),
      (charge) => Effect.retry(refund(charge), { times: 2 }),
      { name: "charge" }
    )
    return yield* new NoCourier()
  }).pipe(Saga.transact({ name: "order" }))

  yield* order.pipe(
    Effect.provideService(SagaObserver.SagaObserver, observer),
    Effect.catchTags({
      NoCourier: () => Console.log("undone"),
      CompensationFailed: ({ failures }) => Console.log(`not undone: ${failures.map(({ step }) => step).join(", ")}`)
    })
  )

  const letter = yield* Queue.take(deadLetters)
  yield* Console.log(`dead letter: saga "${letter.saga}", step "${letter.step}"`)
  yield* Console.log(`  it failed with ${describe(letter.cause)}, undoing because of ${describe(letter.reason)}`)
  yield* Console.log(`  value ${JSON.stringify(letter.value)}, still to undo: ${letter.remaining.join(", ")}`)

  yield* Console.log("payments are up again")
  yield* Ref.set(paymentsUp, true)
  if (letter.step === "charge" && letter.value instanceof Charge) yield* Effect.orDie(refund(letter.value))
})

if (import.meta.main) await Effect.runPromise(program)
