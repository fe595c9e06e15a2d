/*
 * The sagas of the campaigns on PostgreSQL: a flight, a hotel and a car, of which services book one after the other. A
 * third of the trips is refused, by one of the three, and undone.
 */
import { Context, Effect, Exit, Hash, Schema } from "effect"
import { DurableSaga, Step } from "effect-saga"

export const kinds = ["flight", "hotel", "car"] as const

export const Kind = Schema.Literals(kinds)

export type Kind = typeof Kind.Type

/** What a service is asked for. */
export const Call = Schema.Union([
  Schema.TaggedStruct("Book", { key: Schema.String, trip: Schema.String, kind: Kind }),
  Schema.TaggedStruct("Cancel", { key: Schema.String, trip: Schema.String, kind: Kind, ticket: Schema.Number })
])

export type Call = typeof Call.Type

/** The number of the ticket, or nothing where the service refuses. */
export const Reply = Schema.NullOr(Schema.Number)

/** The services that sell tickets. They are outside of the process that runs the sagas, or could be. */
export class Services extends Context.Service<Services, {
  readonly call: (call: Call) => Effect.Effect<typeof Reply.Type>
}>()("test/chaos/Services") {}

export class Refused extends Schema.TaggedError<Refused>()("Refused", { kind: Kind }) {}

/** Which service refuses a trip, if one does. */
export const refusedBy = (trip: string): Kind | undefined => kinds[(Hash.string(trip) >>> 3) % 9]

const bookingOf = (kind: Kind) =>
  Step.make(`book-${kind}`, {
    input: Schema.String,
    success: Schema.Number,
    error: Refused,
    action: Effect.fnUntraced(function*(trip, { idempotencyKey: key }) {
      const ticket = yield* Services.use(({ call }) => call({ _tag: "Book", key, trip, kind }))
      return ticket === null ? yield* new Refused({ kind }) : ticket
    }),
    compensate: (ticket, { idempotencyKey: key, input: trip }) =>
      Services.use(({ call }) => call({ _tag: "Cancel", key, trip, kind, ticket }))
  })

const bookings = kinds.map(bookingOf)

export const Trip = DurableSaga.make("Trip", {
  payload: Schema.String,
  success: Schema.Array(Schema.Number),
  error: Refused,
  idempotencyKey: (trip) => trip
})

export const TripLayer = Trip.toLayer((trip) => Effect.forEach(bookings, (book) => book(trip)))

/** What a caller was told of a trip. */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Booked", { tickets: Schema.Array(Schema.Number) }),
  Schema.TaggedStruct("Refused", { kind: Kind }),
  Schema.TaggedStruct("Error", { message: Schema.String })
])

export type Outcome = typeof Outcome.Type

/** Has a trip booked, and waits until that has ended. */
export const execute = (trip: string) =>
  Effect.map(
    Effect.exit(Trip.execute(trip)),
    (exit): Outcome => {
      if (Exit.isSuccess(exit)) return { _tag: "Booked", tickets: exit.value }
      const [reason, ...more] = exit.cause.reasons
      return reason?._tag === "Fail" && reason.error._tag === "Refused" && more.length === 0
        ? { _tag: "Refused", kind: reason.error.kind }
        : { _tag: "Error", message: String(exit.cause) }
    }
  )

/** A caller waits for so long at most. */
export const inTime = <R>(outcome: Effect.Effect<Outcome, never, R>) =>
  Effect.timeoutOrElse(outcome, {
    duration: "1 minute",
    orElse: () => Effect.succeed<Outcome>({ _tag: "Error", message: "the caller was told nothing for a minute" })
  })
