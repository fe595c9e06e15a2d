/*
 * Sagas that start sagas. A trip has two children. The insurance stays when the trip is undone, because nothing says
 * otherwise. The flight is a step whose action is a child, and so is its compensation.
 */
import { Console, Effect, Layer, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Step } from "effect-saga"

class NoRoom extends Schema.TaggedError<NoRoom>()("NoRoom", {}) {}

/** A child with one step. */
const child = <const Name extends string>(name: Name, line: string) => {
  const definition = DurableSaga.make(name, { payload: Schema.String, idempotencyKey: (trip) => trip })
  const step = Step.make("do", { input: Schema.String, action: (trip) => Console.log(`  ${trip}: ${line}`) })
  return { ...definition, layer: definition.toLayer((trip) => step(trip)) }
}

const Insure = child("Insure", "insured")
const BookFlight = child("BookFlight", "flight booked")
const CancelFlight = child("CancelFlight", "flight cancelled")

const bookFlight = Step.make("book-flight", {
  input: Schema.String,
  action: (trip) => Effect.orDie(BookFlight.execute(trip)),
  compensate: (_, { input }) => Effect.orDie(CancelFlight.execute(input))
})

const bookRoom = Step.make("book-room", {
  input: Schema.String,
  error: NoRoom,
  action: (trip) => trip === "trip-1" ? Console.log(`  ${trip}: room booked`) : new NoRoom()
})

const BookTrip = DurableSaga.make("BookTrip", {
  payload: Schema.String,
  error: NoRoom,
  idempotencyKey: (trip) => trip
})

const BookTripLayer = BookTrip.toLayer(Effect.fnUntraced(function*(trip) {
  yield* Insure.execute(trip)
  yield* bookFlight(trip)
  yield* bookRoom(trip)
}))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* Console.log("There is a room")
  yield* BookTrip.execute("trip-1")

  yield* Console.log("There is none")
  yield* BookTrip.execute("trip-2").pipe(Effect.catchTag("NoRoom", () => Console.log("  trip-2: no room")))

  yield* Console.log("All that ran")
  const engine = yield* SagaEngine.SagaEngine
  for (const { id, parent, status } of (yield* engine.list()).toReversed()) {
    yield* Console.log(`  ${parent === null ? "" : "  "}${id}: ${status}`)
  }
}).pipe(
  Effect.provide(
    Layer.mergeAll(BookTripLayer, Insure.layer, BookFlight.layer, CancelFlight.layer).pipe(
      Layer.provideMerge(SagaEngine.layer()),
      Layer.provide(SagaStore.layerMemory)
    )
  ),
  Effect.orDie
)

if (import.meta.main) await Effect.runPromise(program)
