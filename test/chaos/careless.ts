/*
 * The main job as it would be without a journal: the sagas live in memory, and calls have new ids in each process. Under
 * kills it loses and doubles bookings, which a campaign has to find.
 */
import { Console, Effect } from "effect"
import { Saga } from "effect-saga"
import { randomUUID } from "node:crypto"
import { parse } from "../../examples/travel/arguments.ts"
import { Bookings, Itinerary } from "../../examples/travel/Bookings.ts"
import { Cars } from "../../examples/travel/Cars.ts"
import { Flights } from "../../examples/travel/Flights.ts"
import { Hotels } from "../../examples/travel/Hotels.ts"
import { tripIds } from "../../examples/travel/trips.ts"
import { World } from "../../examples/travel/World.ts"

const bookTrip = Saga.fn("book-trip")(function*(trip: string) {
  const flights = yield* Flights
  const hotels = yield* Hotels
  const cars = yield* Cars
  const bookings = yield* Bookings

  const flight = yield* Saga.step(flights.book(randomUUID(), trip), (flight) => flights.cancel(flight.id))
  const [room, car] = yield* Saga.all([
    Saga.step(hotels.book(randomUUID(), trip), (room) => hotels.cancel(room.id)),
    Saga.step(cars.book(randomUUID(), trip), (car) => cars.cancel(car.id))
  ], { concurrency: "unbounded" })
  const itinerary = new Itinerary({ trip, flight: flight.id, room: room.id, car: car.id })
  yield* Saga.pivot(bookings.confirm(randomUUID(), itinerary))
})

const program = Effect.gen(function*() {
  const job = yield* parse(process.argv.slice(2))
  if (job._tag !== "Book") return
  yield* Console.log(`${job.bookings} bookings: 0 have ended, 0 are open and go on`)
  yield* Effect.forEach(tripIds(job.bookings), (trip) => Effect.ignore(bookTrip(trip)), { concurrency: 16 }).pipe(
    Effect.provide(World.layer({ file: job.world, trips: job.bookings, seed: job.seed }))
  )
})

await Effect.runPromise(program)
