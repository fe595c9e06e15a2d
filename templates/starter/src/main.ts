/*
 * Books trips as durable sagas: a flight, a room and a car, each of which can be cancelled again.
 *
 * There is no car in Rome, so that trip is undone. While the file "hotel-is-down" is in this folder, the hotel can't
 * cancel the room: the trip is parked then, and waits until you decide. README.md says how.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer, Schedule, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"

class NoCarLeft extends Schema.TaggedError<NoCarLeft>()("NoCarLeft", { city: Schema.String }) {}
class HotelIsDown extends Schema.TaggedError<HotelIsDown>()("HotelIsDown", {}) {}

// An action has the same idempotency key whenever it is repeated, so that a service books only once.
const flight = Step.make("flight", {
  input: Schema.String,
  success: Schema.String,
  action: (city, { idempotencyKey }) => Effect.as(Console.log(`${city}: flight booked`), `flight-${idempotencyKey}`),
  compensate: (_booking, { input: city }) => Console.log(`${city}: flight cancelled`)
})

const hotel = Step.make("hotel", {
  input: Schema.String,
  success: Schema.String,
  compensationError: HotelIsDown,
  compensationRetry: Schedule.exponential("200 millis").pipe(Schedule.upTo({ times: 2 })),
  action: (city, { idempotencyKey }) => Effect.as(Console.log(`${city}: room booked`), `room-${idempotencyKey}`),
  compensate: Effect.fnUntraced(function*(_booking, { input: city }) {
    const files = yield* FileSystem.FileSystem
    if (yield* Effect.orDie(files.exists("hotel-is-down"))) return yield* new HotelIsDown()
    yield* Console.log(`${city}: room cancelled`)
  })
})

const car = Step.make("car", {
  input: Schema.String,
  error: NoCarLeft,
  action: (city) => city === "Rome" ? new NoCarLeft({ city }) : Console.log(`${city}: car rented`),
  compensate: (_booking, { input: city }) => Console.log(`${city}: car given back`)
})

const Trip = DurableSaga.make("Trip", {
  payload: Schema.Struct({ id: Schema.String, city: Schema.String }),
  error: NoCarLeft,
  // The id of an execution is "Trip/1": what it is called in the command line.
  idempotencyKey: ({ id }) => id
})

const TripLayer = Trip.toLayer(Effect.fnUntraced(function*({ city }) {
  yield* flight(city)
  yield* hotel(city)
  yield* car(city)
}))

const EngineLayer = TripLayer.pipe(
  Layer.provideMerge(SagaEngine.layer()),
  Layer.provide(SagaStore.layerSqlite({ filename: "sagas.db" })),
  Layer.provide(NodeServices.layer)
)

const book = (id: string, city: string) =>
  Trip.execute({ id, city }).pipe(
    Effect.andThen(Console.log(`${city}: all booked`)),
    Effect.catchTag("NoCarLeft", () => Console.log(`${city}: no car, so all is undone`)),
    Effect.catchTag("CompensationFailed", () => Console.log(`${city}: no car, and not all is undone`))
  )

const program = Effect.gen(function*() {
  yield* Effect.all([book("1", "Oslo"), book("2", "Rome")], { concurrency: "unbounded" })
  yield* Console.log("Both trips have ended. Ctrl-c stops the engine.")
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.provide(program, EngineLayer))
