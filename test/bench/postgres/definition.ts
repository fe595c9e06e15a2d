import { Effect, type Layer } from "effect"
import { DurableSaga, type SagaEngine, Step } from "effect-saga"
import { bookFlight, Booking, CardDeclined, cardDeclined, chargeCard, Payload, reserveHotel, undo } from "./trip.ts"

/** Where its store has its tables. */
export const schema = "sagas"

/** The saga as it is written with this library. */
export const Trip = DurableSaga.make("Trip", {
  payload: Payload,
  error: CardDeclined,
  idempotencyKey: ({ id }) => id
})

const steps = {
  reserveHotel: Step.make("reserve-hotel", {
    success: Booking,
    action: () => Effect.sync(reserveHotel),
    compensate: () => Effect.sync(undo)
  }),
  bookFlight: Step.make("book-flight", {
    success: Booking,
    action: () => Effect.sync(bookFlight),
    compensate: () => Effect.sync(undo)
  }),
  chargeCard: Step.make("charge-card", {
    success: Booking,
    action: () => Effect.sync(chargeCard),
    compensate: () => Effect.sync(undo)
  }),
  decline: Step.make("charge-card", {
    success: Booking,
    error: CardDeclined,
    action: () => Effect.andThen(Effect.sync(chargeCard), Effect.fail(cardDeclined)),
    compensate: () => Effect.sync(undo)
  })
}

export const tripLayer = (fails: boolean): Layer.Layer<never, never, SagaEngine.SagaEngine> =>
  Trip.toLayer(Effect.fnUntraced(function*() {
    yield* steps.reserveHotel()
    yield* steps.bookFlight()
    yield* fails ? steps.decline() : steps.chargeCard()
  }))
