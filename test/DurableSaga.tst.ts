import { Cause, Context, type Duration, Effect, type Exit, type Layer, type Option, Schema } from "effect"
import { Durable, DurableSaga, type JournalEvent, Saga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"
import { describe, expect, test } from "tstyche"

class NoSeats extends Schema.TaggedError<NoSeats>()("NoSeats", { left: Schema.Number }) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
class CancelRefused extends Schema.TaggedError<CancelRefused>()("CancelRefused", {}) {}
class Itinerary extends Schema.Class<Itinerary>("Itinerary")({ seat: Schema.String, at: Schema.Date }) {}

class Airline extends Context.Service<Airline, { readonly pay: Effect.Effect<void, NoSeats> }>()("Airline") {}
class Bank extends Context.Service<Bank, { readonly pay: Effect.Effect<void> }>()("Bank") {}

interface Trip {
  readonly id: string
  readonly days: number
}
const Trip: Schema.Codec<Trip, { readonly id: string; readonly days: string }> = Schema.Struct({
  id: Schema.String,
  days: Schema.FiniteFromString
})

const itinerary = new Itinerary({ seat: "1A", at: new Date(0) })

declare const pay: Effect.Effect<void, never, Bank>
declare const bookFlight: Step.Step<Trip, Itinerary, NoSeats, CancelRefused, Airline>
const note = Step.make("note", { action: () => Effect.void })

const Approved = Signal.make("approved", Schema.Struct({ by: Schema.String, at: Schema.Date }))

const BookTrip = DurableSaga.make("BookTrip", {
  payload: Trip,
  success: Itinerary,
  error: NoSeats,
  idempotencyKey: ({ id }) => id
})
const Tick = DurableSaga.make("Tick", { idempotencyKey: () => "only" })

/** How a call that waits for a result may fail. */
type Ends<E> =
  | E
  | Saga.CompensationFailed<E, unknown>
  | Saga.CommittedIncomplete<E>
  | DurableSaga.Cancelled
  | SagaStore.SagaStoreError
  | SagaEngine.SagaEngineError
type CallError = SagaStore.SagaStoreError | SagaEngine.SagaEngineError

const both = <
  N extends string,
  P extends Step.Storable,
  A extends Step.Storable,
  E extends Step.Storable
>(saga: DurableSaga.DurableSaga<N, P, A, E>, payload: P["Type"]) =>
  Effect.andThen(saga.start(payload), (id) => saga.await(id))

const trip: Trip = { id: "1", days: 3 }

describe("make", () => {
  test("infers name and schemas", () => {
    expect(BookTrip).type.toBe<
      DurableSaga.DurableSaga<"BookTrip", typeof Trip, typeof Itinerary, typeof NoSeats>
    >()
    expect(BookTrip.name).type.toBe<"BookTrip">()
    expect(BookTrip.version).type.toBe<number>()
    expect(BookTrip.payload).type.toBe<typeof Trip>()
  })

  test("has defaults: no payload, no value, no error", () => {
    expect(Tick).type.toBe<DurableSaga.DurableSaga<"Tick", Schema.Void, Schema.Void, Schema.Never>>()
    expect(Tick.execute()).type.toBe<Effect.Effect<void, Ends<never>, SagaEngine.SagaEngine>>()
  })

  test("gives idempotencyKey the payload", () => {
    DurableSaga.make("BookTrip", {
      payload: Trip,
      idempotencyKey: (payload) => {
        expect(payload).type.toBe<Trip>()
        return payload.id
      }
    })
  })

  test("gives attributes the payload, and takes texts, numbers, flags and nothing", () => {
    const Named = DurableSaga.make("BookTrip", {
      payload: Trip,
      idempotencyKey: ({ id }) => id,
      attributes: (payload) => {
        expect(payload).type.toBe<Trip>()
        return {
          id: payload.id,
          days: payload.days,
          long: payload.days > 7,
          note: payload.days > 7 ? "long" : undefined
        }
      }
    })
    expect(Named).type.toBe<DurableSaga.DurableSaga<"BookTrip", typeof Trip, Schema.Void, Schema.Never>>()
    // @ts-expect-error Type 'Date' is not assignable to type 'string | number | boolean | undefined'
    DurableSaga.make("BookTrip", { idempotencyKey: () => "1", attributes: () => ({ at: new Date(0) }) })
    // @ts-expect-error Type '() => string' is not assignable to type '(payload: void) => Attributes'
    DurableSaga.make("BookTrip", { idempotencyKey: () => "1", attributes: () => "Ann" })
  })

  test("rejects wrong options", () => {
    // @ts-expect-error Property 'idempotencyKey' is missing in type '{}'
    DurableSaga.make("BookTrip", {})
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    DurableSaga.make("BookTrip", { payload: Trip, idempotencyKey: ({ days }) => days })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    DurableSaga.make("BookTrip", { version: "1", idempotencyKey: () => "1" })
    // @ts-expect-error Type '"stop"' is not assignable to type '"park" | "fail" | undefined'
    DurableSaga.make("BookTrip", { onCompensationFailure: "stop", idempotencyKey: () => "1" })
    // @ts-expect-error 'retry' does not exist in type
    DurableSaga.make("BookTrip", { retry: 3, idempotencyKey: () => "1" })
    // @ts-expect-error Type 'Bank' is not assignable to type 'never'
    DurableSaga.make("BookTrip", { payload: {} as Schema.Codec<string, string, Bank>, idempotencyKey: () => "1" })
  })
})

describe("toLayer", () => {
  test("gives the body its payload, and needs the engine and the services of the body", () => {
    expect(
      BookTrip.toLayer((payload) => {
        expect(payload).type.toBe<Trip>()
        return bookFlight(payload)
      })
    ).type.toBe<Layer.Layer<never, never, SagaEngine.SagaEngine | Airline>>()
    expect(
      BookTrip.toLayer(Effect.fnUntraced(function*(payload) {
        expect(payload).type.toBe<Trip>()
        const { pay } = yield* Bank
        yield* pay
        return yield* bookFlight(payload)
      }))
    ).type.toBe<Layer.Layer<never, never, SagaEngine.SagaEngine | Airline | Bank>>()
    expect(Tick.toLayer(() => Effect.void)).type.toBe<Layer.Layer<never, never, SagaEngine.SagaEngine>>()
  })

  test("leaves no marker of steps, pivots and waits in the requirements", () => {
    expect(
      BookTrip.toLayer(Effect.fnUntraced(function*(payload) {
        yield* note()
        yield* Saga.all([note(), bookFlight(payload)], { concurrency: "unbounded" })
        yield* Saga.forEach([1, 2], () => note())
        yield* Saga.savepoint(bookFlight(payload))
        yield* Durable.sleep("1 day")
        const { at } = yield* Approved.await
        yield* Tick.execute()
        yield* Saga.pivot(note())
        return new Itinerary({ seat: yield* Durable.uuid, at })
      }))
    ).type.toBe<Layer.Layer<never, never, SagaEngine.SagaEngine | Airline>>()
  })

  test("takes a body that fails as its definition says, or as what it calls does", () => {
    expect<Parameters<typeof BookTrip.toLayer>[0]>().type.toBeAssignableFrom<
      (trip: Trip) => Effect.Effect<
        Itinerary,
        NoSeats | Saga.CompensationFailed<Busy, string> | Saga.CommittedIncomplete<Busy> | DurableSaga.Cancelled
      >
    >()
    BookTrip.toLayer(() => Effect.fail(new NoSeats({ left: 0 })))
    BookTrip.toLayer((payload) => BookTrip.execute(payload))
    BookTrip.toLayer(() => Effect.never)
  })

  test("rejects a body that fails in another way", () => {
    // @ts-expect-error Type 'Busy' is not assignable to type 'BodyError<NoSeats>'
    BookTrip.toLayer(() => Effect.fail(new Busy()))
    // @ts-expect-error Type 'string' is not assignable to type 'BodyError<never>'
    Tick.toLayer(() => Effect.fail("late"))
    // @ts-expect-error is not assignable to type 'BodyError<NoSeats>'
    BookTrip.toLayer(() => Effect.fail(new Cause.TimeoutError()))
  })

  test("takes a body that runs into a time limit, or an unknown outcome, where its definition says so", () => {
    const limited = Step.make("limited", { action: () => Effect.void, timeout: "1 second", ambiguous: true })
    const Limited = DurableSaga.make("Limited", {
      error: Schema.Union([Step.TimeoutError, Step.OutcomeUnknown]),
      idempotencyKey: () => "only"
    })

    expect(Limited.toLayer(() => limited())).type.toBe<Layer.Layer<never, never, SagaEngine.SagaEngine>>()
    expect(Limited.execute()).type.toBe<
      Effect.Effect<void, Ends<Cause.TimeoutError | Step.OutcomeUnknown>, SagaEngine.SagaEngine>
    >()
    // @ts-expect-error Type 'TimeoutError' is not assignable to type 'BodyError<never>'
    Tick.toLayer(() => limited())
  })

  test("rejects a body with another value, another payload, and one that is no effect", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'Itinerary'
    BookTrip.toLayer(() => Effect.succeed("booked"))
    // @ts-expect-error Type 'Trip' is not assignable to type 'string'
    BookTrip.toLayer((_payload: string) => Effect.succeed(itinerary))
    // @ts-expect-error Type 'Promise<Itinerary>' is missing the following properties from type 'Effect<Itinerary,
    BookTrip.toLayer(async () => itinerary)
    // @ts-expect-error Type 'Itinerary' is missing the following properties from type 'Effect<Itinerary,
    BookTrip.toLayer(() => itinerary)
  })

  test("rejects Saga.step, and says what to do instead", () => {
    // @ts-expect-error would be repeated after a crash: in a durable saga, make steps with Step.make
    Tick.toLayer(() => Saga.step(pay, () => pay))
    // @ts-expect-error would be repeated after a crash: in a durable saga, make steps with Step.make
    Tick.toLayer(Effect.fnUntraced(function*() {
      yield* note()
      yield* Saga.stepExit(pay, () => pay)
    }))
    // @ts-expect-error would be repeated after a crash: in a durable saga, make steps with Step.make
    Tick.toLayer(() => Saga.all([note(), Saga.step(pay, () => pay)]))
    // @ts-expect-error would be repeated after a crash: in a durable saga, make steps with Step.make
    Tick.toLayer(() => Saga.savepoint(Saga.step(pay, () => pay)))
  })

  test("takes the pivot of a step, and rejects that of a plain effect", () => {
    expect(Saga.pivot(bookFlight(trip))).type.toBe<
      Effect.Effect<Itinerary, NoSeats, Airline | Saga.DurableStack<CancelRefused> | Saga.Pivot>
    >()
    expect(bookFlight(trip).pipe(Saga.pivot({ name: "ticket" }))).type.toBe<
      Effect.Effect<Itinerary, NoSeats, Airline | Saga.DurableStack<CancelRefused> | Saga.Pivot>
    >()
    Tick.toLayer(() => Saga.pivot(note()))
    Tick.toLayer(() => note().pipe(Saga.pivot))
    // @ts-expect-error or Saga.pivot of a plain effect, would be repeated after a crash
    Tick.toLayer(() => Saga.pivot(Effect.void))
    // @ts-expect-error or Saga.pivot of a plain effect, would be repeated after a crash
    Tick.toLayer(() => Saga.pivot(pay))
    // @ts-expect-error or Saga.pivot of a plain effect, would be repeated after a crash
    Tick.toLayer(() => pay.pipe(Saga.pivot))
  })
})

describe("clients", () => {
  test("execute and await fail in all the ways in which an execution may end", () => {
    expect(BookTrip.execute(trip)).type.toBe<Effect.Effect<Itinerary, Ends<NoSeats>, SagaEngine.SagaEngine>>()
    expect(BookTrip.await("BookTrip/1")).type.toBe<
      Effect.Effect<Itinerary, Ends<NoSeats>, SagaEngine.SagaEngine>
    >()
  })

  test("each way has its tag", () => {
    expect(
      BookTrip.execute(trip).pipe(Effect.catchTags({
        NoSeats: ({ left }) => Effect.succeed(left),
        CompensationFailed: ({ failures, reason }) => {
          expect(reason).type.toBe<Cause.Cause<NoSeats>>()
          expect(failures).type.toBe<ReadonlyArray<Saga.StepFailure<unknown>>>()
          return Effect.succeed("left")
        },
        CommittedIncomplete: ({ reason }) => {
          expect(reason).type.toBe<Cause.Cause<NoSeats>>()
          return Effect.succeed(true)
        },
        Cancelled: ({ execution }) => Effect.succeed({ execution })
      }))
    ).type.toBe<
      Effect.Effect<
        Itinerary | number | string | boolean | { execution: string },
        CallError,
        SagaEngine.SagaEngine
      >
    >()
  })

  test("poll gives the exit of an execution that has ended", () => {
    expect(BookTrip.poll("BookTrip/1")).type.toBe<
      Effect.Effect<
        Option.Option<Exit.Exit<Itinerary, DurableSaga.Failure<NoSeats>>>,
        CallError,
        SagaEngine.SagaEngine
      >
    >()
  })

  test("start, executionId and cancel", () => {
    expect(BookTrip.start(trip)).type.toBe<Effect.Effect<string, CallError, SagaEngine.SagaEngine>>()
    expect(BookTrip.executionId(trip)).type.toBe<string>()
    expect(BookTrip.cancel("BookTrip/1")).type.toBe<Effect.Effect<void, CallError, SagaEngine.SagaEngine>>()
    expect(BookTrip.cancel("BookTrip/1", { operator: "Ada", reason: undefined })).type.toBe<
      Effect.Effect<void, CallError, SagaEngine.SagaEngine>
    >()
  })

  test("signal takes the value of its signal", () => {
    expect(BookTrip.signal("BookTrip/1", Approved, { by: "Ada", at: new Date(0) })).type.toBe<
      Effect.Effect<void, CallError, SagaEngine.SagaEngine>
    >()
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    BookTrip.signal("BookTrip/1", Approved, { by: 1, at: new Date(0) })
    // @ts-expect-error Type 'string' is not assignable to type 'Date'
    BookTrip.signal("BookTrip/1", Approved, { by: "Ada", at: "today" })
    // @ts-expect-error Expected 3-4 arguments, but got 2.
    BookTrip.signal("BookTrip/1", Approved)
    // @ts-expect-error 'who' does not exist in type 'DecisionOptions'
    BookTrip.signal("BookTrip/1", Approved, { by: "Ada", at: new Date(0) }, { who: "Ada" })
  })

  test("reject other payloads and ids", () => {
    // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'Trip'
    BookTrip.execute("1")
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    BookTrip.start({ id: "1", days: "3" })
    // @ts-expect-error Expected 1 arguments, but got 0.
    BookTrip.executionId()
    // @ts-expect-error Argument of type 'Trip' is not assignable to parameter of type 'string'
    BookTrip.await(trip)
    // @ts-expect-error 'who' does not exist in type 'DecisionOptions'
    BookTrip.cancel("BookTrip/1", { who: "Ada" })
  })

  test("need an engine", () => {
    // @ts-expect-error Type 'SagaEngine' is not assignable to type 'never'
    Effect.runPromise(Tick.execute())
  })

  test("functions over definitions", () => {
    expect(both(BookTrip, trip)).type.toBe<Effect.Effect<Itinerary, Ends<NoSeats>, SagaEngine.SagaEngine>>()
  })
})

describe("waits", () => {
  test("a signal has its name and schema, and is awaited with the type of its value", () => {
    expect(Approved.await).type.toBe<
      Effect.Effect<{ readonly by: string; readonly at: Date }, never, Saga.DurableOnly>
    >()
    expect(Approved.awaitFor("3 days")).type.toBe<
      Effect.Effect<Option.Option<{ readonly by: string; readonly at: Date }>, never, Saga.DurableOnly>
    >()
    expect(Approved.name).type.toBe<string>()
    // @ts-expect-error Expected 2 arguments, but got 1.
    Signal.make("approved")
    // @ts-expect-error Type 'Bank' is not assignable to type 'never'
    Signal.make("approved", {} as Schema.Codec<string, string, Bank>)
  })

  test("a signal is not awaited outside a durable saga", () => {
    // @ts-expect-error Type 'DurableOnly' is not assignable to type 'never'
    Effect.runPromise(Approved.await)
    // @ts-expect-error Type 'DurableOnly' is not assignable to type 'never'
    Effect.runPromise(Saga.transact(Effect.andThen(note(), Approved.await)))
    expect(Saga.transact(Approved.await)).type.toBe<
      Effect.Effect<{ readonly by: string; readonly at: Date }, never, Saga.DurableOnly>
    >()
  })

  test("time and chance work anywhere", () => {
    expect(Durable.sleep("3 days")).type.toBe<Effect.Effect<void>>()
    expect(Durable.sleep({} as Duration.Input, { name: "patience" })).type.toBe<Effect.Effect<void>>()
    expect(Durable.now).type.toBe<Effect.Effect<number>>()
    expect(Durable.random).type.toBe<Effect.Effect<number>>()
    expect(Durable.uuid).type.toBe<Effect.Effect<string>>()
    // @ts-expect-error Argument of type '"soon"' is not assignable to parameter of type 'Input'
    Durable.sleep("soon")
  })
})

describe("SagaEngine", () => {
  test("layer needs a store", () => {
    expect(SagaEngine.layer()).type.toBe<
      Layer.Layer<SagaEngine.SagaEngine, SagaStore.SagaStoreError, SagaStore.SagaStore>
    >()
    // @ts-expect-error 'stanby' does not exist in type 'Options'
    SagaEngine.layer({ stanby: true })
  })

  test("a payload codec goes from JSON to JSON, and may fail to read", () => {
    SagaEngine.layer({
      codec: {
        encode: (json) => {
          expect(json).type.toBe<Schema.Json>()
          return Effect.succeed(JSON.stringify(json))
        },
        decode: (stored) => typeof stored === "string" ? Effect.succeed(stored) : Effect.fail(new Error("no text"))
      }
    })
    // @ts-expect-error Type 'string' is not assignable to type 'Error'
    SagaEngine.layer({ codec: { encode: Effect.succeed, decode: () => Effect.fail("no text") } })
    // @ts-expect-error Type 'Error' is not assignable to type 'never'
    SagaEngine.layer({ codec: { encode: () => Effect.fail(new Error("no")), decode: Effect.succeed } })
  })

  test("calls of the engine fail as it or its store does", () => {
    const engine = {} as SagaEngine.SagaEngine["Service"]

    expect(engine.retry("id", { operator: "Ada", path: "a" })).type.toBe<Effect.Effect<void, CallError>>()
    expect(engine.skip("id")).type.toBe<Effect.Effect<void, CallError>>()
    expect(engine.resolve("id", { seat: "1A" }, { reason: "by hand" })).type.toBe<Effect.Effect<void, CallError>>()
    expect(engine.cancel("id")).type.toBe<Effect.Effect<void, CallError>>()
    expect(engine.get("id")).type.toBe<Effect.Effect<SagaStore.ExecutionRecord, CallError>>()
    expect(engine.history("id")).type.toBe<Effect.Effect<ReadonlyArray<JournalEvent.JournalEvent>, CallError>>()
    expect(engine.list({ statuses: ["Parked"], limit: 10 })).type.toBe<
      Effect.Effect<ReadonlyArray<SagaStore.ExecutionRecord>, SagaStore.SagaStoreError>
    >()
    expect(engine.prune({ olderThan: "30 days" })).type.toBe<Effect.Effect<number, SagaStore.SagaStoreError>>()
    // @ts-expect-error Type '"Done"' is not assignable to type
    engine.list({ statuses: ["Done"] })
    // @ts-expect-error Type '"Running"' is not assignable to type
    engine.prune({ olderThan: "30 days", statuses: ["Running"] })
    // @ts-expect-error Type 'Date' is not assignable to
    engine.resolve("id", new Date(0))
  })
})
