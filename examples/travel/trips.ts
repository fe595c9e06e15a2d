import { Array, Schema } from "effect"

/** A trip that somebody wants to book. */
export class Trip extends Schema.Class<Trip>("examples/travel/Trip")({
  id: Schema.String,
  traveller: Schema.String
}) {}

const travellers = ["Ada", "Barbara", "Edsger", "Grace", "Hector"] as const

export const makeTrips = (count: number): ReadonlyArray<Trip> =>
  Array.makeBy(count, (index) =>
    new Trip({
      id: `trip-${index + 1}`,
      traveller: travellers[index] ?? `Traveller ${index + 1}`
    }))

export const tripIds = (count: number): ReadonlyArray<string> => makeTrips(count).map(({ id }) => id)
