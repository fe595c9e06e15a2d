/*
 * A request is stuck in the network, the step gives up waiting, and its booking is cancelled. Then the request arrives. It
 * carries the idempotency key of its step, and so did the cancellation: the airline knows that this key was cancelled, and
 * refuses. Otherwise a seat would stay booked that nobody knows of.
 */
import { Console, Deferred, Effect, Fiber, Latch, Layer, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"
import { CancelFailed } from "./travel/CancelFailed.ts"
import { Flight, Flights, NoSeat } from "./travel/Flights.ts"

const bookFlight = Step.make("book-flight", {
  input: Schema.String,
  success: Flight,
  error: NoSeat,
  compensationError: CancelFailed,
  timeout: "10 millis",
  action: (trip, { idempotencyKey }) => Flights.use((flights) => flights.book(idempotencyKey, trip)),
  // Whatever became of the booking: that of a key that was never booked is cancelled, too.
  compensateExit: (_exit, { idempotencyKey }) =>
    Effect.andThen(
      Console.log(`  no answer: cancel ${idempotencyKey}`),
      Flights.use((flights) => flights.cancel(idempotencyKey))
    )
})

const BookTrip = DurableSaga.make("BookTrip", {
  payload: Schema.String,
  success: Flight,
  error: Schema.Union([NoSeat, Step.TimeoutError]),
  idempotencyKey: (trip) => trip
})

const BookTripLayer = BookTrip.toLayer((trip) => bookFlight(trip))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const airline = yield* Flights
  const printSeats = Effect.flatMap(airline.available, (seats) => Console.log(`  seats: ${seats}`))

  const line = yield* Latch.make()
  const arrived = yield* Deferred.make<void>()
  /** The airline behind a line that is down. What was sent arrives later, also where nobody waits for it any more. */
  const farAway: Flights["Service"] = {
    ...airline,
    book: (id, trip) =>
      line.await.pipe(
        Effect.andThen(Console.log(`  the airline gets: book ${id}`)),
        Effect.andThen(airline.book(id, trip)),
        Effect.tapError((error) => Console.log(`  it answers: ${error.message}`)),
        Effect.ensuring(Deferred.succeed(arrived, undefined)),
        Effect.forkDetach,
        Effect.flatMap(Fiber.join)
      )
  }

  yield* Console.log("The line is down")
  yield* printSeats
  yield* BookTrip.execute("trip-1").pipe(
    Effect.catchTag("TimeoutError", ({ message }) => Console.log(`  = ${message}`)),
    Effect.provide(BookTripLayer.pipe(
      Layer.provide(Layer.succeed(Flights, farAway)),
      Layer.provideMerge(SagaEngine.layer()),
      Layer.provide(SagaStore.layerMemory)
    ))
  )

  yield* Console.log("The line is up again")
  yield* line.open
  yield* Deferred.await(arrived)
  yield* printSeats
}).pipe(Effect.provide(Flights.layerMemory({ capacity: 1 })), Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
