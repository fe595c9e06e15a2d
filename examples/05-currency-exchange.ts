/*
 * Changes dollars into two currencies, with rates fetched over HTTP (retried), amounts held side by side, and an observer
 * that logs each step. A bank that is not ready is noticed before anything runs. Rates that have moved send the saga back
 * to its first step: the `goto` of other libraries is a savepoint, so what was held is given back before.
 */
import { Cause, Console, Data, Effect, Schema } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { startBank } from "./currency/bank.ts"

class BankNotReady extends Data.TaggedError("BankNotReady") {}
class RatesMoved extends Data.TaggedError("RatesMoved") {}

const Rates = Schema.Array(Schema.Struct({
  Cur_Abbreviation: Schema.String,
  Cur_OfficialRate: Schema.Number,
  Cur_Scale: Schema.Number
}))

type Rates = ReadonlyMap<string, number>

const fetchRates = (bank: string) =>
  HttpClient.get(`${bank}/rates`).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.tapError(() => Console.log("  the bank is overloaded")),
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Rates)),
    Effect.map((rates): Rates => new Map(rates.map((r) => [r.Cur_Abbreviation, r.Cur_OfficialRate / r.Cur_Scale]))),
    Effect.retry({ times: 3 })
  )

const ready = (bank: string) =>
  HttpClient.get(`${bank}/ready`).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.mapError(() => new BankNotReady())
  )

const convert = (rates: Rates, currency: string, amount: number) =>
  Saga.step(
    Effect.sync(() => amount / rates.get(currency)!),
    (held) => Console.log(`  gave back ${held.toFixed(2)} ${currency}`),
    { name: "convert" }
  )

const quote = Effect.fnUntraced(
  function*(bank: string, amount: number, from: string, confirm: Effect.Effect<void, RatesMoved>) {
    const rates = yield* Saga.step(fetchRates(bank), Saga.noCompensation, { name: "fetch-rates" })
    const base = yield* Saga.step(Effect.sync(() => amount * rates.get(from)!), Saga.noCompensation, {
      name: "to-base"
    })

    // Both need the results of the steps before, and not each other.
    const converted = yield* Saga.all({
      CNY: convert(rates, "CNY", base),
      EUR: convert(rates, "EUR", base)
    }, { concurrency: "unbounded" })

    yield* Saga.step(confirm, Saga.noCompensation, { name: "confirm" })
    return converted
  }
)

const exchange = Effect.fnUntraced(function*(bank: string, amount: number, from: string) {
  let confirmations = 0
  const confirm = Effect.suspend(() => ++confirmations === 1 ? Effect.fail(new RatesMoved()) : Effect.void)

  yield* ready(bank)
  return yield* quote(bank, amount, from, confirm).pipe(
    Saga.savepoint({ name: "quote" }),
    Effect.retry({ times: 1, while: (error) => error._tag === "RatesMoved" }),
    Saga.transact({ name: "currency-exchange" })
  )
})

const log = SagaObserver.make((event) =>
  event._tag === "StepSucceeded"
    ? Console.log(`  ${event.path} succeeded`)
    : event._tag === "StepFailed"
    ? Console.log(`  ${event.path} failed: ${Cause.prettyErrors(event.cause)[0]?.name}`)
    : Effect.void
)

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const bank = yield* startBank
  const attempt = exchange(bank.url, 45.12, "USD").pipe(Effect.matchEffect({
    onFailure: (error) => Console.log(`  no exchange: ${error._tag}`),
    onSuccess: ({ CNY, EUR }) => Console.log(`  45.12 USD are ${CNY.toFixed(2)} CNY or ${EUR.toFixed(2)} EUR`)
  }))

  yield* Console.log("The bank is closed")
  yield* attempt

  bank.open()
  yield* Console.log("The bank is open")
  yield* attempt
}).pipe(
  Effect.scoped,
  Effect.provideService(SagaObserver.SagaObserver, log),
  Effect.provide(FetchHttpClient.layer)
)

if (import.meta.main) await Effect.runPromise(program)
