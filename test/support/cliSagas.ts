/*
 * Sagas for tests of the command line, and an engine that runs them. What fails does so while there is a file in a folder,
 * which is there for every process.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Logger, Redacted, Schedule, Schema } from "effect"
import { DurableSaga, Saga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"

class NoCarLeft extends Schema.TaggedError<NoCarLeft>()("NoCarLeft", {}) {}
class HotelIsDown extends Schema.TaggedError<HotelIsDown>()("HotelIsDown", { hotel: Schema.String }) {}
class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", {}) {}

const flight = Step.make("flight", { action: () => Effect.void, compensate: () => Effect.void })

const car = Step.make("car", { error: NoCarLeft, action: () => new NoCarLeft() })

/** There is never a car, and a room can't be cancelled while the folder has a file "hotel-is-down". */
export const Trip = DurableSaga.make("Trip", {
  payload: Schema.Struct({ id: Schema.String, customer: Schema.String }),
  error: NoCarLeft,
  idempotencyKey: ({ id }) => id,
  attributes: ({ customer }) => ({ customer })
})

const tripLayer = (folder: string) => {
  const hotel = Step.make("hotel", {
    input: Schema.String,
    success: Schema.String,
    compensationError: HotelIsDown,
    compensationRetry: Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 1 })),
    action: (hotel) => Effect.succeed(`a room at the ${hotel}`),
    compensate: Effect.fnUntraced(function*(_room, { input: hotel }) {
      const files = yield* FileSystem.FileSystem
      if (yield* Effect.orDie(files.exists(`${folder}/hotel-is-down`))) return yield* new HotelIsDown({ hotel })
    })
  })
  return Trip.toLayer(Effect.fnUntraced(function*() {
    yield* flight()
    yield* hotel("Ritz")
    yield* car()
  }))
}

/** Two rooms at two hotels, which are cancelled side by side, and can't be, as those of `Trip`. */
export const Tour = DurableSaga.make("Tour", { payload: Schema.String, error: NoCarLeft, idempotencyKey: (id) => id })

const tourLayer = (folder: string) => {
  const hotel = Step.make("hotel", {
    input: Schema.String,
    compensationError: HotelIsDown,
    action: () => Effect.void,
    compensate: Effect.fnUntraced(function*(_room, { input: hotel }) {
      const files = yield* FileSystem.FileSystem
      if (yield* Effect.orDie(files.exists(`${folder}/hotel-is-down`))) return yield* new HotelIsDown({ hotel })
    })
  })
  return Tour.toLayer(Effect.fnUntraced(function*() {
    yield* Saga.all([hotel("Ritz", { name: "ritz" }), hotel("Savoy", { name: "savoy" })], {
      concurrency: "unbounded",
      compensation: "parallel"
    })
    yield* car()
  }))
}

/** Is charged for good, and there is no courier then. */
export const Order = DurableSaga.make("Order", {
  payload: Schema.String,
  success: Schema.Number,
  error: NoCourier,
  idempotencyKey: (id) => id
})

const charge = Step.make("charge", { action: () => Effect.void })

const ship = Step.make("ship", {
  success: Schema.Struct({ parcel: Schema.Int }),
  error: NoCourier,
  action: () => new NoCourier()
})

const orderLayer = Order.toLayer(Effect.fnUntraced(function*() {
  yield* Saga.pivot(charge())
  const { parcel } = yield* ship()
  return parcel
}))

const Approved = Signal.make("approved", Schema.Struct({ by: Schema.String }))

/** Waits for the signal "approved". */
export const Visa = DurableSaga.make("Visa", {
  payload: Schema.String,
  success: Schema.String,
  idempotencyKey: (id) => id
})

const visaLayer = Visa.toLayer(() => Effect.map(Approved.await, ({ by }) => `approved by ${by}`))

/** An engine on a file of SQLite, or on the database of a url. */
export const layer = (db: string, folder: string) => {
  const store: Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError> = db.startsWith("postgres")
    ? PostgresStore.layer({ url: Redacted.make(db) })
    : SagaStore.layerSqlite({ filename: db })
  return Layer.mergeAll(tripLayer(folder), tourLayer(folder), orderLayer, visaLayer).pipe(
    Layer.provideMerge(SagaEngine.layer()),
    Layer.provide(store),
    // It logs what is parked.
    Layer.provide([NodeServices.layer, Logger.layer([])])
  )
}

/** Waits until nothing runs any more: all have ended, are parked, or wait for a signal. */
export const settled = Effect.gen(function*() {
  const engine = yield* SagaEngine.SagaEngine
  yield* Effect.repeat(engine.list({ statuses: ["Running", "Compensating"], limit: 1 }), {
    until: (unsettled) => unsettled.length === 0,
    schedule: Schedule.spaced("20 millis")
  })
})
