/*
 * A hundred people book a trip at the same time, of 40 seats, 30 rooms and 25 cars. A saga is a value: each run of it has
 * a stack of its own, so whatever the others do, each trip is booked completely or not at all.
 */
import { Array, Console, Effect, Layer } from "effect"
import { bookTrip } from "./travel/bookTrip.ts"
import { Cars } from "./travel/Cars.ts"
import { Flights } from "./travel/Flights.ts"
import { Hotels } from "./travel/Hotels.ts"

const services = Layer.mergeAll(
  Flights.layerMemory({ capacity: 40 }),
  Hotels.layerMemory({ capacity: 30 }),
  Cars.layerMemory({ capacity: 25 })
)

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const outcomes = yield* Effect.forEach(
    Array.makeBy(100, (index) => `trip-${index + 1}`),
    (id) => bookTrip(id).pipe(Effect.match({ onSuccess: () => "booked", onFailure: (error) => error._tag })),
    { concurrency: "unbounded" }
  )

  for (const [outcome, all] of Object.entries(Array.groupBy(outcomes, (outcome) => outcome))) {
    yield* Console.log(`${String(all.length).padStart(3)} ${outcome}`)
  }
  yield* Console.log(`seats left: ${yield* (yield* Flights).available} of 40`)
  yield* Console.log(`rooms left: ${yield* (yield* Hotels).available} of 30`)
  yield* Console.log(`cars left: ${yield* (yield* Cars).available} of 25`)
}).pipe(Effect.provide(services))

if (import.meta.main) await Effect.runPromise(program)
