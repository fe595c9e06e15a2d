import { Schema } from "effect"

/*
 * The saga that all of them run: three steps; where it fails, the third one does, and the other two are undone. Actions
 * and compensations do nothing but count, so that who skips work is found out.
 */

/** What has been done since the process started. */
export const done = { actions: 0, compensations: 0 }

export const Payload = Schema.Struct({ id: Schema.String, traveller: Schema.String, amount: Schema.Number })

export const payloadOf = (number: number): typeof Payload.Type => ({
  id: `trip-${number}`,
  traveller: "Ada Lovelace",
  amount: 420
})

export const Booking = Schema.Struct({ id: Schema.String })

export const reserveHotel = (): typeof Booking.Type => booked("hotel-17")

export const bookFlight = (): typeof Booking.Type => booked("flight-4711")

export const chargeCard = (): typeof Booking.Type => booked("charge-42")

export const undo = (): void => {
  done.compensations++
}

const booked = (id: string): typeof Booking.Type => {
  done.actions++
  return { id }
}

export class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {}) {}

/** One for all sagas: what is measured is not how long the runtime takes to capture a stack trace. */
export const cardDeclined = new CardDeclined()
