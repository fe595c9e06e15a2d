/*
 * An answer may get lost after the effect has taken place, so actions and compensations are called again. A transaction
 * id makes that harmless: what an account has processed under an id, it does not process a second time.
 */
import { Console, Data, Effect, Ref } from "effect"
import { Saga } from "effect-saga"

class AnswerLost extends Data.TaggedError("AnswerLost") {}
class SoldOut extends Data.TaggedError("SoldOut") {}

interface Account {
  readonly balance: number
  readonly processed: ReadonlySet<string>
}

/** Adds `amount` once for each transaction id. The answer to the first call of each gets lost. */
const makeAccount = Effect.gen(function*() {
  const account = yield* Ref.make<Account>({ balance: 100, processed: new Set() })

  const add = Effect.fnUntraced(function*(transactionId: string, amount: number) {
    const before = yield* Ref.getAndUpdate(account, ({ balance, processed }) =>
      processed.has(transactionId)
        ? { balance, processed }
        : { balance: balance + amount, processed: new Set(processed).add(transactionId) })
    if (!before.processed.has(transactionId)) {
      yield* Console.log(`  ${transactionId}: added ${amount}, and the answer is lost`)
      return yield* new AnswerLost()
    }
    yield* Console.log(`  ${transactionId}: was processed before`)
  })

  return { add, balance: Effect.map(Ref.get(account), ({ balance }) => balance) }
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const account = yield* makeAccount

  const buy = Effect.fnUntraced(function*(order: string, price: number) {
    yield* Saga.step(
      account.add(`${order}/charge`, -price).pipe(Effect.retry({ times: 3 })),
      () => account.add(`${order}/refund`, price).pipe(Effect.retry({ times: 3 })),
      { name: "charge" }
    )
    return yield* new SoldOut()
  }, Saga.transact({ name: "buy" }))

  yield* Console.log(`balance ${yield* account.balance}`)
  yield* buy("order-1", 30).pipe(
    Effect.catchTags({
      SoldOut: () => Console.log("  sold out, so the charge was refunded"),
      AnswerLost: () => Console.log("  nothing was charged"),
      CompensationFailed: (error) => Console.log(error.message)
    })
  )
  yield* Console.log(`balance ${yield* account.balance}`)
})

if (import.meta.main) await Effect.runPromise(program)
