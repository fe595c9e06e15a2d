/*
 * A transfer debits, credits, records and notifies. Whatever step fails, no money is lost and none is made: the balances
 * are those before the transfer or those after it, and the total is the same.
 */
import { Console, Data, Effect, Ref } from "effect"
import { Saga } from "effect-saga"

class Unavailable extends Data.TaggedError("Unavailable")<{ readonly service: string }> {}

const steps = ["debit", "credit", "record", "notify"] as const

type StepName = typeof steps[number]

const makeBank = Effect.fnUntraced(function*(failing: StepName | undefined) {
  const balances = yield* Ref.make({ alice: 100, bob: 50 })
  const ledger = yield* Ref.make<ReadonlyArray<string>>([])
  const call = <A>(name: StepName, effect: Effect.Effect<A>) =>
    name === failing ? Effect.fail(new Unavailable({ service: name })) : effect
  const add = (account: "alice" | "bob", amount: number) =>
    Ref.update(balances, (all) => ({ ...all, [account]: all[account] + amount }))

  const transfer = Effect.fnUntraced(function*(id: string, amount: number) {
    yield* Saga.step(call("debit", add("alice", -amount)), () => add("alice", amount), { name: "debit" })
    yield* Saga.step(call("credit", add("bob", amount)), () => add("bob", -amount), { name: "credit" })
    yield* Saga.step(
      call("record", Ref.update(ledger, (entries) => [...entries, id])),
      () => Ref.update(ledger, (entries) => entries.filter((entry) => entry !== id)),
      { name: "record" }
    )
    yield* Saga.step(call("notify", Effect.void), Saga.noCompensation, { name: "notify" })
  }, Saga.transact({ name: "transfer" }))

  return { balances, ledger, transfer }
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  for (const failing of [undefined, ...steps]) {
    const bank = yield* makeBank(failing)
    const outcome = yield* bank.transfer("transfer-1", 30).pipe(
      Effect.match({ onSuccess: () => "transferred", onFailure: (error) => `${error.service} failed` })
    )
    const { alice, bob } = yield* Ref.get(bank.balances)
    const { length } = yield* Ref.get(bank.ledger)
    yield* Console.log(
      `${outcome.padEnd(13)}  alice ${String(alice).padStart(3)}  bob ${bob}  total ${
        alice + bob
      }  ledger entries ${length}`
    )
  }
})

if (import.meta.main) await Effect.runPromise(program)
