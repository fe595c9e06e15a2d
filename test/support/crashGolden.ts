/*
 * Trips whose journals are kept in `test/golden`: one for each thing that a journal can tell of. Each is run on a clock
 * that a test moves, with fixed ids and the same chance, so it writes the same journal each time.
 */
import { Clock, Context, Effect, Fiber, Layer, Option, Random, Ref, Schedule, Schema } from "effect"
import { Durable, DurableSaga, type JournalEvent, Saga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Line } from "./goldenJournal.ts"

/* Journals hold the stacks of errors, which differ between machines: those that are made here have none. */
const { stackTraceLimit } = Error
Error.stackTraceLimit = 0

type Event = JournalEvent.JournalEvent

/* ------------------------------------------------------------------------------------------------- what may go wrong */

class NoSeats extends Schema.TaggedError<NoSeats>()("NoSeats", { flight: Schema.String }) {}

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { amount: Schema.Number }) {}

class Busy extends Schema.TaggedError<Busy>()("Busy", { desk: Schema.String }) {}

class CancelRefused extends Schema.TaggedError<CancelRefused>()("CancelRefused", { booking: Schema.String }) {}

const Trouble = Schema.Union([NoSeats, CardDeclined, Busy])

type Trouble = typeof Trouble.Type

/**
 * The desks where trips are booked. What they answer goes by the step and the attempt, but for what an operator has had
 * repaired.
 */
class Desks extends Context.Service<Desks, {
  readonly trouble: (step: string, attempt: number) => Effect.Effect<Option.Option<Trouble | CancelRefused | "silence">>
}>()("effect-saga/test/Desks") {}

/* --------------------------------------------------------------------------------------------------------- the steps */

const Trip = Schema.Struct({ id: Schema.String, to: Schema.String })

const Booking = Schema.Struct({ code: Schema.String, at: Schema.String })

const isBusy = (error: { readonly _tag: string }): boolean => error._tag === "Busy"

const twiceMore = Schedule.max([Schedule.exponential("1 second"), Schedule.recurs(2)])

const at = (desk: string, what: string, attempt: number) =>
  Effect.flatMap(
    Desks,
    ({ trouble }) =>
      Effect.flatMap(trouble(`${what} ${desk}`, attempt), (trouble) =>
        Option.isNone(trouble)
          ? Effect.void
          : trouble.value === "silence"
          ? Effect.never
          : Effect.fail(trouble.value))
  )

const book = (desk: string) => (trip: typeof Trip.Type, { attempt, idempotencyKey }: Step.ActionContext) =>
  Effect.as(
    at(desk, "book", attempt) as Effect.Effect<void, Trouble, Desks>,
    Booking.make({ code: `${trip.to} by ${idempotencyKey}`, at: desk })
  )

const giveBack = (desk: string) => (_: unknown, { attempt }: Step.ActionContext) =>
  at(desk, "give back", attempt) as Effect.Effect<void, CancelRefused, Desks>

const desk = (name: string) => ({
  input: Trip,
  success: Booking,
  error: Trouble,
  compensationError: CancelRefused,
  action: book(name)
})

const flight = Step.make("flight", { ...desk("flight"), compensate: giveBack("flight") })

const hotel = Step.make("hotel", {
  ...desk("hotel"),
  compensate: giveBack("hotel"),
  retry: twiceMore.pipe(Schedule.setInputType<Trouble>(), Schedule.while(({ input }) => isBusy(input))),
  compensationRetry: twiceMore
})

const car = Step.make("car", { ...desk("car"), compensateExit: giveBack("car"), timeout: "30 seconds" })

const tickets = Step.make("tickets", desk("tickets"))

const charge = Step.make("charge", { ...desk("charge"), compensate: giveBack("charge"), ambiguous: true })

const Approved = Signal.make("approved", Schema.Struct({ by: Schema.String }))

/* --------------------------------------------------------------------------------------------------- the definitions */

const BodyError = Schema.Union([NoSeats, CardDeclined, Busy, Step.OutcomeUnknown])

const define = <const Name extends string>(name: Name, onCompensationFailure: "park" | "fail" = "park") =>
  DurableSaga.make(name, {
    payload: Trip,
    success: Schema.String,
    error: BodyError,
    idempotencyKey: ({ id }) => id,
    onCompensationFailure
  })

const Journey = define("Journey")
const StubbornJourney = define("StubbornJourney", "fail")
const Excursion = define("Excursion")

type TripOf = typeof Trip.Type

const tooLate = () => Effect.fail(new Busy({ desk: "car" }))

const excursion = Effect.fnUntraced(function*(trip: TripOf) {
  const booked = yield* car(trip)
  yield* Durable.sleep("1 minute")
  return booked.code
}, Effect.catchTag("TimeoutError", tooLate))

/** A trip, what goes wrong on it, and what people do about it. */
export interface Feature {
  readonly name: string
  readonly definition: typeof Journey | typeof StubbornJourney
  readonly body: Body
  /** By what is asked of a desk: what it answers to which attempts, or until it is repaired. */
  readonly trouble?: {
    readonly [request: string]: readonly [answer: Trouble | CancelRefused | "silence", attempts: number | "repaired"]
  }
  /** Sent before the start, or so many seconds after it. */
  readonly signal?: "before" | number
  readonly cancelAfter?: number
  readonly decision?: "retry" | "skip" | "resolve"
}

type Body = (trip: TripOf) => Effect.Effect<
  string,
  DurableSaga.BodyError<typeof BodyError.Type>,
  | Desks
  | SagaEngine.SagaEngine
  | Saga.Pivot
  | Saga.DurableStack<unknown>
  | Saga.DurableOnly
>

const full = new NoSeats({ flight: "to the moon" })
const declined = new CardDeclined({ amount: 100 })
const refused = new CancelRefused({ booking: "the flight" })
const busy = new Busy({ desk: "hotel" })

const flightAndHotel: Body = Effect.fnUntraced(function*(trip) {
  const { code } = yield* flight(trip)
  yield* hotel(trip)
  yield* tickets(trip)
  return code
})

const feature = (name: string, body: Body, options: Partial<Feature> = {}): Feature => ({
  name,
  definition: Journey,
  body,
  ...options
})

export const features: ReadonlyArray<Feature> = [
  feature("success", flightAndHotel),
  feature("unwinding", flightAndHotel, { trouble: { "book tickets": [full, Infinity] } }),
  feature("retry", flightAndHotel, { trouble: { "book hotel": [busy, 2] } }),
  feature("retries-exhausted", flightAndHotel, { trouble: { "book hotel": [busy, Infinity] } }),
  feature("compensation-retry", flightAndHotel, {
    trouble: { "book tickets": [full, Infinity], "give back hotel": [refused, 2] }
  }),
  feature("values", (trip) =>
    Effect.gen(function*() {
      const now = yield* Durable.now
      const chance = yield* Durable.random
      yield* flight({ ...trip, to: `${trip.to} at ${now} with ${chance}` })
      return "lucky"
    })),
  feature("timer", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      yield* Durable.sleep("3 days", { name: "until the day before" })
      yield* hotel(trip)
      return "rested"
    })),
  feature("signal", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      const { by } = yield* Approved.await
      return `approved by ${by}`
    }), { signal: 60 }),
  feature("early-signal", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      const { by } = yield* Approved.await
      return `approved by ${by}`
    }), { signal: "before" }),
  feature("cancelled", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      const { by } = yield* Approved.await
      return `approved by ${by}`
    }), { cancelAfter: 60 }),
  feature("branches", (trip) =>
    Effect.gen(function*() {
      const booked = yield* Saga.all([flight(trip), hotel(trip)], { concurrency: "unbounded" })
      return booked.map(({ code }) => code).join(" and ")
    })),
  feature("savepoint", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      return yield* Effect.andThen(hotel(trip), tickets(trip)).pipe(
        Saga.savepoint,
        Effect.map(({ code }) => code),
        Effect.catchTag("NoSeats", () => Effect.succeed("without a hotel"))
      )
    }), { trouble: { "book tickets": [full, Infinity] } }),
  feature("pivot", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      yield* Saga.pivot(tickets(trip), { name: "point of no return" })
      yield* hotel(trip)
      return "gone"
    })),
  ...(["retry", "skip", "resolve"] as const).map((decision) =>
    feature(`pivot-failed-${decision}`, (trip) =>
      Effect.gen(function*() {
        yield* flight(trip)
        yield* Saga.pivot(tickets(trip), { name: "point of no return" })
        yield* hotel(trip)
        return "gone"
      }), { trouble: { "book hotel": [full, "repaired"] }, decision })
  ),
  ...(["retry", "skip", "resolve"] as const).map((decision) =>
    feature(`parked-${decision}`, flightAndHotel, {
      trouble: { "book tickets": [declined, Infinity], "give back flight": [refused, "repaired"] },
      decision
    })
  ),
  feature("not-undone", flightAndHotel, {
    definition: StubbornJourney,
    trouble: { "book tickets": [declined, Infinity], "give back flight": [refused, Infinity] }
  }),
  feature("timeout", (trip) =>
    Effect.andThen(flight(trip), car(trip)).pipe(
      Effect.map(({ code }) => code),
      Effect.catchTag("TimeoutError", tooLate)
    ), { trouble: { "book car": ["silence", Infinity] } }),
  feature("ambiguous", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      const { code } = yield* charge(trip)
      return code
    })),
  feature("child", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      return yield* Excursion.execute({ id: `from-${trip.id}`, to: "the volcano" })
    })),
  feature("child-cancelled", (trip) =>
    Effect.gen(function*() {
      yield* flight(trip)
      return yield* Excursion.execute({ id: `from-${trip.id}`, to: "the volcano" })
    }), { cancelAfter: 30 })
]

/* ----------------------------------------------------------------------------------------------------------- running */

const trip: TripOf = { id: "1", to: "Lisbon" }

const morning = Date.UTC(2026, 0, 5, 9)

/** Runs a trip, from its start or from what `lines` have of it, and gives all that was written in the end. */
export const journalOf = (feature: Feature, start: ReadonlyArray<Line> = []) =>
  Effect.scoped(
    Effect.gen(function*() {
      const memory = yield* SagaStore.makeMemory
      const lines = yield* Ref.make(start)
      const records = new Map<number, SagaStore.ExecutionRecord>()
      const recorded = Layer.effect(
        SagaStore.SagaStore,
        Effect.map(SagaStore.SagaStore, (store): SagaStore.SagaStore["Service"] => ({
          ...store,
          acquire: (options) =>
            Effect.map(store.acquire(options), (ownership) => ({
              ...ownership,
              commit: (appends) =>
                Effect.andThen(
                  ownership.commit(appends),
                  Ref.update(lines, (lines) => [...lines, ...appends.map(lineOf)])
                )
            }))
        }))
      ).pipe(Layer.provide(memory.layer))

      let now = morning
      for (const { events, firstSequence, key, record } of start) {
        if (record !== null) records.set(key, record)
        for (const event of events) now = Math.max(now, event.at)
        yield* Effect.scoped(Effect.flatMap(memory.takeOver("before"), ({ commit }) =>
          commit([{
            key,
            record: record ?? undefined,
            firstSequence,
            events: events.map((event) => JSON.stringify(event))
          }])))
      }
      yield* TestClock.setTime(now)
      const happened = (tag: Event["_tag"]) => start.some(({ events }) => events.some(({ _tag }) => _tag === tag))
      const repaired = yield* Ref.make(happened("Retried"))

      const desks = Layer.succeed(Desks, {
        trouble: (request, attempt) =>
          Effect.map(Ref.get(repaired), (isRepaired) => {
            const [answer, attempts] = feature.trouble?.[request] ?? [undefined, 0]
            return answer !== undefined && (attempts === "repaired" ? !isRepaired : attempt <= attempts)
              ? Option.some(answer)
              : Option.none()
          })
      })
      const { definition } = feature
      const app = Layer.mergeAll(definition.toLayer(feature.body), Excursion.toLayer(excursion)).pipe(
        Layer.provideMerge(SagaEngine.layer()),
        Layer.provide(Layer.merge(recorded, desks))
      )
      const context = yield* Layer.build(app)
      const engine = Context.get(context, SagaEngine.SagaEngine)
      const id = definition.executionId(trip)

      const exit = yield* Effect.gen(function*() {
        if (feature.signal === "before" && !happened("SignalReceived")) {
          yield* definition.signal(id, Approved, { by: "Ada" })
        }
        const fiber = yield* Effect.forkChild(definition.execute(trip))
        let sent = happened("SignalReceived")
        let cancelled = happened("CancelRequested")
        // Every second of the first minutes, in which people may do something, and then every day.
        for (let turn = 1; turn < 300 && fiber.pollUnsafe() === undefined; turn++) {
          yield* TestClock.adjust(turn < 290 ? "1 second" : "1 day")
          const record = yield* engine.get(id)
          const seconds = Math.floor(((yield* Clock.currentTimeMillis) - morning) / 1000)
          if (!sent && typeof feature.signal === "number" && seconds >= feature.signal) {
            yield* definition.signal(id, Approved, { by: "Ada" })
            sent = true
          }
          if (!cancelled && feature.cancelAfter !== undefined && seconds >= feature.cancelAfter) {
            yield* definition.cancel(id, { operator: "grace", reason: "no holidays" })
            cancelled = true
          }
          if (record.status === "Parked" && feature.decision !== undefined) {
            const by = { operator: "grace", reason: "by the book" }
            if (feature.decision === "retry") {
              yield* Ref.set(repaired, true)
              yield* engine.retry(id, by)
            } else if (feature.decision === "skip") yield* engine.skip(id, by)
            else {
              const parked = (yield* engine.history(id)).findLast((event) => event._tag === "Parked")!
              const value = parked.kind === "FailedAfterPivot" ? { code: "by hand", at: "the office" } : null
              yield* engine.resolve(id, value, by)
            }
          }
        }
        return yield* Fiber.await(fiber)
      }).pipe(Effect.provide(context))
      return { exit, lines: yield* Ref.get(lines) }
    }).pipe(Random.withSeed("a journey"))
  )

const lineOf = ({ events, firstSequence, key, record }: SagaStore.Append): Line => ({
  key,
  record: record ?? null,
  firstSequence,
  events: events.map((text) => JSON.parse(text) as Event)
})

Error.stackTraceLimit = stackTraceLimit
