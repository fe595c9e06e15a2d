/*
 * One saga, run in memory and durably. A `Step` is a value that both can call, so a saga may begin as plain effects and be
 * kept later, without changing a line of it. Seats and rooms are the same afterwards.
 */
import { Console, Effect, Layer, Schema } from "effect"
import { DurableSaga, Saga, SagaEngine, SagaStore, Step } from "effect-saga"
import { CancelFailed } from "./travel/CancelFailed.ts"
import { Flight, Flights, NoSeat } from "./travel/Flights.ts"
import { Hotels, NoRoom, Room } from "./travel/Hotels.ts"

const bookFlight = Step.make("book-flight", {
  input: Schema.String,
  success: Flight,
  error: NoSeat,
  compensationError: CancelFailed,
  action: (trip, { idempotencyKey }) => Flights.use((flights) => flights.book(idempotencyKey, trip)),
  compensate: (flight) => Flights.use((flights) => flights.cancel(flight.id))
})

const bookHotel = Step.make("book-hotel", {
  input: Schema.String,
  success: Room,
  error: NoRoom,
  compensationError: CancelFailed,
  action: (trip, { idempotencyKey }) => Hotels.use((hotels) => hotels.book(idempotencyKey, trip)),
  compensate: (room) => Hotels.use((hotels) => hotels.cancel(room.id))
})

const bookTrip = Effect.fnUntraced(function*(trip: string) {
  yield* bookFlight(trip)
  yield* bookHotel(trip)
  return `${trip} is booked`
})

const BookTrip = DurableSaga.make("BookTrip", {
  payload: Schema.String,
  success: Schema.String,
  error: Schema.Union([NoSeat, NoRoom]),
  idempotencyKey: (trip) => trip
})

const Engine = BookTrip.toLayer(bookTrip).pipe(
  Layer.provideMerge(SagaEngine.layer()),
  Layer.provide(SagaStore.layerMemory)
)

/** Seats for two trips, and a room for one. */
const Stocks = Layer.merge(Flights.layerMemory({ capacity: 2 }), Hotels.layerMemory({ capacity: 1 }))

const bookTwo = Effect.fnUntraced(function*<E extends { readonly message: string }, R>(
  book: (trip: string) => Effect.Effect<string, E, R>
) {
  for (const trip of ["trip-1", "trip-2"]) {
    const result = yield* Effect.catch(book(trip), ({ message }) => Effect.succeed(`${trip}: ${message}`))
    yield* Console.log(`  ${result}`)
  }
  const seats = yield* Flights.use(({ available }) => available)
  const rooms = yield* Hotels.use(({ available }) => available)
  yield* Console.log(`  seats left: ${seats}, rooms left: ${rooms}`)
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* Console.log("In memory")
  yield* bookTwo((trip) => Saga.transact(bookTrip(trip))).pipe(Effect.provide(Stocks))

  yield* Console.log("Durably")
  yield* bookTwo((trip) => BookTrip.execute(trip)).pipe(Effect.provide(Engine.pipe(Layer.provideMerge(Stocks))))
}).pipe(Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
