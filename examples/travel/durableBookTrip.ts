/*
 * The booking of a trip as a durable saga: a flight, then a hotel and a car side by side, then the confirmation, which is
 * the point of no return. The key that the engine gives each step is what the service knows the booking by, so a call
 * that is made again after a crash is the same booking.
 */
import { Effect, Schedule, Schema } from "effect"
import { DurableSaga, Saga, Step } from "effect-saga"
import { Bookings, Declined, Itinerary } from "./Bookings.ts"
import { CancelFailed } from "./CancelFailed.ts"
import { Car, Cars, NoCar } from "./Cars.ts"
import { Flight, Flights, NoSeat } from "./Flights.ts"
import { Hotels, NoRoom, Room } from "./Hotels.ts"
import { Trip } from "./trips.ts"

const patiently = Schedule.exponential("2 millis").pipe(Schedule.upTo({ times: 5 }))

/** Only `busy` is worth another attempt. */
const whileBusy = patiently.pipe(
  Schedule.setInputType<{ readonly reason: string }>(),
  Schedule.while(({ input }) => input.reason === "busy")
)

const bookFlight = Step.make("book-flight", {
  input: Trip,
  success: Flight,
  error: NoSeat,
  compensationError: CancelFailed,
  action: (trip, { idempotencyKey }) => Flights.use((flights) => flights.book(idempotencyKey, trip.id)),
  compensate: (flight) => Flights.use((flights) => flights.cancel(flight.id)),
  retry: whileBusy,
  compensationRetry: patiently
})

const bookHotel = Step.make("book-hotel", {
  input: Trip,
  success: Room,
  error: NoRoom,
  compensationError: CancelFailed,
  action: (trip, { idempotencyKey }) => Hotels.use((hotels) => hotels.book(idempotencyKey, trip.id)),
  compensate: (room) => Hotels.use((hotels) => hotels.cancel(room.id)),
  retry: whileBusy,
  compensationRetry: patiently
})

const bookCar = Step.make("book-car", {
  input: Trip,
  success: Car,
  error: NoCar,
  compensationError: CancelFailed,
  action: (trip, { idempotencyKey }) => Cars.use((cars) => cars.book(idempotencyKey, trip.id)),
  compensate: (car) => Cars.use((cars) => cars.cancel(car.id)),
  retry: whileBusy,
  compensationRetry: patiently
})

const confirm = Step.make("confirm", {
  input: Itinerary,
  error: Declined,
  action: (itinerary, { idempotencyKey }) => Bookings.use((bookings) => bookings.confirm(idempotencyKey, itinerary))
})

export const BookTrip = DurableSaga.make("BookTrip", {
  payload: Trip,
  success: Itinerary,
  error: Schema.Union([NoSeat, NoRoom, NoCar, Declined]),
  idempotencyKey: (trip) => trip.id
})

export const BookTripLayer = BookTrip.toLayer(Effect.fnUntraced(function*(trip) {
  const flight = yield* bookFlight(trip)
  const [room, car] = yield* Saga.all([bookHotel(trip), bookCar(trip)], { concurrency: "unbounded" })
  const itinerary = new Itinerary({ trip: trip.id, flight: flight.id, room: room.id, car: car.id })
  yield* Saga.pivot(confirm(itinerary))
  return itinerary
}))
