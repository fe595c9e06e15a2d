/*
 * The saga of the travel booking: flight, hotel, car. The id of the trip is the idempotency key of every call.
 */
import { Saga } from "effect-saga"
import { Cars } from "./Cars.ts"
import { Flights } from "./Flights.ts"
import { Hotels } from "./Hotels.ts"

export const bookTrip = Saga.fn("book-trip")(function*(id: string) {
  const flights = yield* Flights
  const hotels = yield* Hotels
  const cars = yield* Cars

  const flight = yield* Saga.step(flights.book(id, id), (flight) => flights.cancel(flight.id), { name: "book-flight" })
  const room = yield* Saga.step(hotels.book(id, id), (room) => hotels.cancel(room.id), { name: "book-hotel" })
  const car = yield* Saga.step(cars.book(id, id), (car) => cars.cancel(car.id), { name: "book-car" })
  return { flight, room, car }
})
