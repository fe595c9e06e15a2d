/*
 * Five people book a trip: flight, hotel and car. There are 10 seats, 5 rooms and 3 cars, and the services fail now and
 * then (10, 15 and 30 % of the calls). Some trips are booked; of the others nothing is left: what they had taken is free
 * again for the next. Ends with exit code 1 if it is not.
 */
import { Console, Effect, Layer, Random, Result } from "effect"
import { SagaObserver } from "effect-saga"
import { bookTrip } from "./travel/bookTrip.ts"
import { Cars } from "./travel/Cars.ts"
import { Flights } from "./travel/Flights.ts"
import { Hotels } from "./travel/Hotels.ts"
import { narrator } from "./travel/narrator.ts"

const travellers = ["Ada", "Barbara", "Edsger", "Grace", "Hector"]

const services = Layer.mergeAll(
  Flights.layerMemory({ capacity: 10, failureRate: 0.10 }),
  Hotels.layerMemory({ capacity: 5, failureRate: 0.15 }),
  Cars.layerMemory({ capacity: 3, failureRate: 0.30 })
)

const inventory = Effect.gen(function*() {
  return [
    { what: "seats", capacity: 10, free: yield* (yield* Flights).available },
    { what: "rooms", capacity: 5, free: yield* (yield* Hotels).available },
    { what: "cars", capacity: 3, free: yield* (yield* Cars).available }
  ]
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  let booked = 0
  for (const [index, traveller] of travellers.entries()) {
    yield* Console.log(`Trip ${index + 1}, ${traveller}`)
    const result = yield* Effect.result(bookTrip(`trip-${index + 1}`))
    if (Result.isSuccess(result)) booked++
  }

  yield* Console.log(`${booked} of ${travellers.length} trips booked`)
  const stocks = yield* inventory
  for (const { capacity, free, what } of stocks) {
    yield* Console.log(`  ${what}: ${free} of ${capacity} free, ${capacity - free} taken`)
  }

  const balances = stocks.every(({ capacity, free }) => capacity - free === booked)
  yield* Console.log(balances ? "The inventory balances." : "The inventory does NOT balance.")
  if (!balances) process.exitCode = 1
}).pipe(
  Effect.provideService(SagaObserver.SagaObserver, narrator),
  Effect.provide(services),
  Random.withSeed("29")
)

if (import.meta.main) await Effect.runPromise(program)
