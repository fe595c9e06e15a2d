/*
 * A trip is a flight, a hotel and a car. The first trip is booked; for the second there is no car left, so its hotel and
 * its flight are cancelled, in this order. The reports are built from the events of each saga.
 */
import { Console, Effect, Layer, Ref } from "effect"
import { type SagaEvent, SagaObserver, SagaReport } from "effect-saga"
import { bookTrip } from "./travel/bookTrip.ts"
import { Cars } from "./travel/Cars.ts"
import { Flights } from "./travel/Flights.ts"
import { Hotels } from "./travel/Hotels.ts"

const services = Layer.mergeAll(
  Flights.layerMemory({ capacity: 10 }),
  Hotels.layerMemory({ capacity: 5 }),
  Cars.layerMemory({ capacity: 1 })
)

const book = Effect.fnUntraced(function*(id: string) {
  const events = yield* Ref.make<ReadonlyArray<SagaEvent.SagaEvent>>([])
  const recorder = SagaObserver.make((event) => Ref.update(events, (all) => [...all, event]))

  const message = yield* bookTrip(id).pipe(
    Effect.provideService(SagaObserver.SagaObserver, recorder),
    Effect.match({
      onSuccess: ({ car, flight, room }) => `${flight.id}: flight, ${room.id}: hotel, ${car.id}: car`,
      onFailure: (error) => error.message
    })
  )

  yield* Console.log(`${id}: ${message}`)
  yield* Console.log(SagaReport.render(SagaReport.fromEvents(yield* Ref.get(events))))
  yield* Console.log("")
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* book("trip-1")
  yield* book("trip-2")
  yield* Console.log(
    `free seats: ${yield* (yield* Flights).available}, free rooms: ${yield* (yield* Hotels).available}`
  )
}).pipe(Effect.provide(services))

if (import.meta.main) await Effect.runPromise(program)
