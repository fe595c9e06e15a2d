/*
 * A trip, booked by services that talk to each other in events alone, each with a durable saga of its own. Events are sent
 * through an outbox, so none is lost and none is told of what did not happen; and the steps are transactions, so whatever
 * process dies, each happens once. The same steps make up the orchestrated saga: seats, rooms and cars are the same
 * afterwards.
 */
import { Console, Effect, Layer, Queue, Schema } from "effect"
import { DurableSaga, Saga, SagaEngine, Signal } from "effect-saga"
import { Outbox, PostgresStep } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"
import { withDatabase } from "./postgres/database.ts"

class NoneLeft extends Schema.TaggedError<NoneLeft>()("NoneLeft", { what: Schema.String }) {}

class UndoneElsewhere extends Schema.TaggedError<UndoneElsewhere>()("UndoneElsewhere", {}) {}

/* ------------------------------------------------------------------------------------------------ the steps */

/** Takes one of a stock for a trip, and gives it back. */
const makeStep = (what: string) =>
  PostgresStep.make(what, {
    input: Schema.String,
    error: NoneLeft,
    action: Effect.fnUntraced(function*(trip) {
      const sql = yield* SqlClient.SqlClient
      const taken = yield* sql`UPDATE stock SET free = free - 1 WHERE what = ${what} AND free > 0 RETURNING what`
      if (taken.length === 0) return yield* new NoneLeft({ what })
      yield* sql`INSERT INTO bookings (trip, what) VALUES (${trip}, ${what})`
    }),
    compensate: Effect.fnUntraced(function*(_, { input: trip }) {
      const sql = yield* SqlClient.SqlClient
      yield* sql`DELETE FROM bookings WHERE trip = ${trip} AND what = ${what}`
      yield* sql`UPDATE stock SET free = free + 1 WHERE what = ${what}`
    })
  })

/** In the order in which a trip is booked. */
const services = ["flight", "hotel", "car", "payment"].map((name) => ({ name, step: makeStep(name) }))

type Service = (typeof services)[number]

/* ------------------------------------------------------------------------------------------------ orchestrated */

const BookTrip = DurableSaga.make("BookTrip", {
  payload: Schema.String,
  error: NoneLeft,
  idempotencyKey: (trip) => trip
})

const Orchestrated = BookTrip.toLayer(Effect.fnUntraced(function*(trip) {
  for (const { step } of services) yield* step(trip)
}))

/* ------------------------------------------------------------------------------------------------ choreographed */

const Event = Schema.Struct({ trip: Schema.String, event: Schema.String })

/** Tells a service that nothing came of a trip, or that all of it is booked. */
const Verdict = Signal.make("verdict", Schema.Literals(["undo", "keep"]))

/** One service: it knows the events on which it starts and is undone, and none of the other services. */
const makeParticipant = (
  { name, step }: Service,
  events: Outbox.Outbox<typeof Event.Type>,
  on: { readonly start: string; readonly undo: string; readonly keep: string }
) => {
  const Participant = DurableSaga.make(name, {
    payload: Schema.String,
    error: UndoneElsewhere,
    idempotencyKey: (trip) => trip
  })

  const say = PostgresStep.make("say", { input: Event, action: (event) => events.send(event) })

  const layer = Participant.toLayer(Effect.fnUntraced(function*(trip) {
    const part = Effect.gen(function*() {
      yield* step(trip)
      yield* say({ trip, event: `${name} booked` })
      if ((yield* Verdict.await) === "undo") return yield* new UndoneElsewhere()
    })
    // Whatever the savepoint has done is undone when its failure is caught.
    yield* Effect.catchTag(
      Saga.savepoint(part),
      ["NoneLeft", "UndoneElsewhere"],
      () => say({ trip, event: `${name} cancelled` })
    )
  }))

  const tell = (trip: string, verdict: "undo" | "keep") =>
    Participant.signal(Participant.executionId(trip), Verdict, verdict).pipe(
      // It has heard that before: an event may come twice.
      Effect.catchReason("SagaEngineError", "AlreadyFinished", () => Effect.void)
    )

  const hear = Effect.fnUntraced(function*({ event, trip }: typeof Event.Type) {
    if (event === on.start) yield* Participant.start(trip)
    if (event === on.undo) yield* tell(trip, "undo")
    if (event === on.keep) yield* tell(trip, "keep")
  })

  return { layer, hear }
}

const makeChoreography = (schema: string, ended: Queue.Queue<string>) => {
  const events = Outbox.make("travel", { message: Event, key: ({ trip }) => trip, schema })
  const [first, last] = [services[0]!.name, services.at(-1)!.name]
  const participants = services.map((service, index) =>
    makeParticipant(service, events, {
      start: index === 0 ? "requested" : `${services[index - 1]!.name} booked`,
      undo: `${services[index + 1]?.name} cancelled`,
      keep: `${last} booked`
    })
  )
  const relay = events.toLayer(Effect.fnUntraced(function*(message) {
    yield* Console.log(`    ${message.event}`)
    yield* Effect.forEach(participants, ({ hear }) => hear(message))
    if (message.event === `${last} booked`) yield* Queue.offer(ended, "booked")
    if (message.event === `${first} cancelled`) yield* Queue.offer(ended, "cancelled")
  }))
  return {
    layer: Layer.mergeAll(relay, ...participants.map(({ layer }) => layer)),
    book: (trip: string) => Effect.andThen(events.send({ trip, event: "requested" }), Queue.take(ended))
  }
}

/* ------------------------------------------------------------------------------------------------ both */

/** Two trips, and one car. */
const fillStock = SqlClient.SqlClient.use((sql) =>
  Effect.andThen(
    sql`DELETE FROM stock`,
    sql`INSERT INTO stock VALUES ('flight', 5), ('hotel', 5), ('car', 1), ('payment', 5)`
  )
)

const printStock = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ what: string; free: number }>`SELECT what, free FROM stock ORDER BY what`
  const booked = yield* sql<{ trips: number }>`SELECT count(DISTINCT trip)::integer AS trips FROM bookings`
  const left = rows.map(({ free, what }) => `${what} ${free}`).join(", ")
  yield* Console.log(`  left: ${left}; trips with bookings: ${booked[0]!.trips}`)
})

const bookTwo = Effect.fnUntraced(function*<E, R>(
  how: string,
  book: (trip: string) => Effect.Effect<string, E, R>
) {
  yield* fillStock
  yield* SqlClient.SqlClient.use((sql) => sql`DELETE FROM bookings`)
  yield* Console.log(how)
  for (const trip of ["trip-1", "trip-2"]) {
    yield* Console.log(`  ${trip}`)
    yield* Console.log(`    = ${yield* book(`${trip}`)}`)
  }
  yield* printStock
})

export const program: Effect.Effect<void> = withDatabase("example_32", ({ schema, store }) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE stock (what text PRIMARY KEY, free integer NOT NULL)`
    yield* sql`CREATE TABLE bookings (trip text, what text, PRIMARY KEY (trip, what))`
    const { book, layer } = makeChoreography(schema, yield* Queue.unbounded<string>())
    const engine = SagaEngine.layer().pipe(Layer.provide(store))

    yield* bookTwo("Orchestrated", (trip) =>
      BookTrip.execute(trip).pipe(
        Effect.as("booked"),
        Effect.catchTag("NoneLeft", ({ what }) => Effect.succeed(`cancelled, as there is no ${what}`))
      )).pipe(Effect.provide(Layer.provideMerge(Orchestrated, engine)))

    yield* bookTwo("Choreographed", book).pipe(Effect.provide(Layer.provideMerge(layer, engine)))
  }))

if (import.meta.main) await Effect.runPromise(program)
