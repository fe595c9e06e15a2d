import { Context, type Effect, Schema } from "effect"

/** What a traveller ends up with: the ids of a seat, a room and a car. */
export class Itinerary extends Schema.Class<Itinerary>("examples/travel/Itinerary")({
  trip: Schema.String,
  flight: Schema.String,
  room: Schema.String,
  car: Schema.String
}) {}

export class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String }) {
  override get message(): string {
    return `declined: ${this.reason}`
  }
}

/** The agency's own book. What is written in it can't be taken back. */
export class Bookings extends Context.Service<Bookings, {
  /** Charges the traveller and writes the booking down under `id`. A second one with the same id is the first one. */
  readonly confirm: (id: string, itinerary: Itinerary) => Effect.Effect<void, Declined>
}>()("examples/travel/Bookings") {}
