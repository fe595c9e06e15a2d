import { type Cause, Context, type Duration, Effect, type Exit, Schedule, Schema } from "effect"
import { Saga, Step } from "effect-saga"
import { describe, expect, test } from "tstyche"

class NoSeats extends Schema.TaggedError<NoSeats>()("NoSeats", { left: Schema.Number }) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
class CancelRefused extends Schema.TaggedError<CancelRefused>()("CancelRefused", {}) {}
class Flight extends Schema.Class<Flight>("Flight")({ seat: Schema.String, at: Schema.Date }) {}

class Airline extends Context.Service<Airline, { readonly name: string }>()("Airline") {}
class Bank extends Context.Service<Bank, { readonly name: string }>()("Bank") {}
class Patience extends Context.Service<Patience, { readonly seconds: number }>()("Patience") {}

interface Trip {
  readonly id: string
  readonly days: number
}
const Trip: Schema.Codec<Trip, { readonly id: string; readonly days: string }> = Schema.Struct({
  id: Schema.String,
  days: Schema.FiniteFromString
})

declare const book: (trip: Trip) => Effect.Effect<Flight, NoSeats, Airline>
declare const cancel: (flight: Flight) => Effect.Effect<void, CancelRefused, Bank>
declare const note: Effect.Effect<void>
declare const undoAnything: (value: unknown) => Effect.Effect<void>

const bookFlight = Step.make("book-flight", {
  input: Trip,
  success: Flight,
  error: NoSeats,
  compensationError: CancelRefused,
  action: book,
  compensate: cancel
})
const plain = Step.make("note", { action: () => note })

const twice = <I, A, E, CE, R>(step: Step.Step<I, A, E, CE, R>, input: I) =>
  Effect.all([step(input), step(input, { name: `${step.stepName} again` })])

const reading = <S extends Step.Storable, R>(success: S, read: Effect.Effect<S["Type"], NoSeats, R>) =>
  Step.make("read", { success, error: NoSeats, action: () => read })

type BookFlight = Step.Step<Trip, Flight, NoSeats, CancelRefused, Airline | Bank>

describe("make", () => {
  test("infers from schemas and from the services of action and compensation", () => {
    expect(bookFlight).type.toBe<BookFlight>()
  })

  test("has defaults: no input, no value, no errors", () => {
    expect(plain).type.toBe<Step.Step<void, void, never, never, never>>()
    expect(
      Step.make("note", {
        action: () => note,
        compensate: undefined,
        retry: undefined,
        compensationRetry: undefined,
        timeout: undefined,
        compensationTimeout: undefined,
        ambiguous: undefined
      })
    ).type.toBe<Step.Step<void, void, never, never, never>>()
  })

  test("gives the action its input and a context", () => {
    Step.make("book-flight", {
      input: Trip,
      action: (trip, context) => {
        expect(trip).type.toBe<Trip>()
        expect(context).type.toBe<Step.ActionContext>()
        expect(context.idempotencyKey).type.toBe<string>()
        expect(context.attempt).type.toBe<number>()
        return note
      }
    })
    Step.make("book-flight", {
      input: Trip,
      action: Effect.fnUntraced(function*(trip, { attempt }) {
        expect(trip).type.toBe<Trip>()
        expect(attempt).type.toBe<number>()
        yield* note
      })
    })
    Step.make("note", {
      action: (input) => {
        expect(input).type.toBe<void>()
        return note
      }
    })
  })

  test("gives compensate the value, the input, and why", () => {
    Step.make("book-flight", {
      input: Trip,
      success: Flight,
      action: () => Effect.succeed(new Flight({ seat: "1A", at: new Date(0) })),
      compensate: (flight, context) => {
        expect(flight).type.toBe<Flight>()
        expect(context).type.toBe<Step.CompensationContext<Trip>>()
        expect(context.input).type.toBe<Trip>()
        expect(context.cause).type.toBe<Cause.Cause<unknown>>()
        expect(context.idempotencyKey).type.toBe<string>()
        expect(context.attempt).type.toBe<number>()
        return note
      }
    })
  })

  test("gives compensateExit the exit of the action, with all that it may fail with", () => {
    const exits = Step.make("book-flight", {
      input: Trip,
      success: Flight,
      error: NoSeats,
      compensationError: CancelRefused,
      timeout: "30 seconds",
      ambiguous: true,
      action: book,
      compensateExit: (exit, { input }) => {
        expect(exit).type.toBe<Exit.Exit<Flight, NoSeats | Cause.TimeoutError | Step.OutcomeUnknown>>()
        expect(input).type.toBe<Trip>()
        return exit._tag === "Success" ? cancel(exit.value) : note
      }
    })

    expect(exits).type.toBe<
      Step.Step<Trip, Flight, NoSeats | Cause.TimeoutError | Step.OutcomeUnknown, CancelRefused, Airline | Bank>
    >()
  })

  test("takes a compensation for wider values, and one that needs nothing", () => {
    const options = { input: Trip, success: Flight, error: NoSeats, action: book }

    expect(Step.make("book", { ...options, compensate: undoAnything })).type.toBe<
      Step.Step<Trip, Flight, NoSeats, never, Airline>
    >()
    expect(Step.make("book", { ...options, compensateExit: undoAnything })).type.toBe<
      Step.Step<Trip, Flight, NoSeats, never, Airline>
    >()
    expect(Step.make("book", { ...options, compensate: Saga.noCompensation })).type.toBe<
      Step.Step<Trip, Flight, NoSeats, never, Airline>
    >()
  })

  test("takes an action that does less than its schemas say", () => {
    expect(
      Step.make("book", { input: Trip, success: Flight, error: NoSeats, action: () => Effect.never })
    ).type.toBe<Step.Step<Trip, Flight, NoSeats, never, never>>()
    expect(
      Step.make("pay", {
        success: Schema.Literals(["cash", "card"]),
        error: Schema.Union([NoSeats, Busy]),
        action: () => Effect.succeed("cash" as const)
      })
    ).type.toBe<Step.Step<void, "cash" | "card", NoSeats | Busy, never, never>>()
  })

  test("takes an action with the values of a schema, not with what is stored of them", () => {
    Step.make("days", { success: Schema.FiniteFromString, action: () => Effect.succeed(3) })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    Step.make("days", { success: Schema.FiniteFromString, action: () => Effect.succeed("3") })
  })

  test("rejects errors and values that no schema has", () => {
    // @ts-expect-error Property 'left' is missing in type 'Busy' but required in type 'NoSeats'.
    Step.make("book", { error: NoSeats, action: () => new Busy() })
    // @ts-expect-error Type 'string' is not assignable to type 'NoSeats'
    Step.make("book", { error: NoSeats, action: () => Effect.fail("full") })
    // @ts-expect-error Type 'Busy' is not assignable to type 'never'
    Step.make("book", { action: () => new Busy() })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Step.make("book", { success: Schema.String, action: () => Effect.succeed(1) })
    // @ts-expect-error Type 'CancelRefused' is not assignable to type 'never'
    Step.make("book", { action: () => note, compensate: () => new CancelRefused() })
    // @ts-expect-error Type 'CancelRefused' is not assignable to type 'never'
    Step.make("book", { action: () => note, compensateExit: () => new CancelRefused() })
    // @ts-expect-error Type 'CancelRefused' is not assignable to type 'Busy'
    Step.make("book", { compensationError: Busy, action: () => note, compensate: () => new CancelRefused() })
  })

  test("rejects compensate beside compensateExit", () => {
    // @ts-expect-error Types of property 'compensateExit' are incompatible.
    Step.make("book", { action: () => note, compensate: () => note, compensateExit: () => note })
  })

  test("rejects schemas that can't be stored without services", () => {
    const needsBank = {} as Schema.Codec<string, string, Bank, never>

    // @ts-expect-error Type 'Bank' is not assignable to type 'never'
    Step.make("book", { input: needsBank, action: () => note })
  })

  test("rejects promises, functions without an effect, and wrong options", () => {
    // @ts-expect-error Type 'Promise<void>' is missing the following properties from type 'Effect<void, never, never>'
    Step.make("book", { action: async () => {} })
    // @ts-expect-error Type 'void' is not assignable to type 'Effect<void, never, never>'
    Step.make("book", { action: () => {} })
    // @ts-expect-error 'compensation' does not exist in type
    Step.make("book", { action: () => note, compensation: () => note })
    // @ts-expect-error Type 'string' is not assignable to type 'boolean | undefined'
    Step.make("book", { action: () => note, ambiguous: "yes" })
    // @ts-expect-error Type '"soon"' is not assignable to type 'Input | undefined'
    Step.make("book", { action: () => note, timeout: "soon" })
    // @ts-expect-error Argument of type '{}' is not assignable to parameter of type
    Step.make("book", {})
    // @ts-expect-error Expected 2 arguments, but got 1.
    Step.make("book")
  })
})

describe("a time limit", () => {
  test("adds TimeoutError to the errors, also where it is not known whether there is one", () => {
    const limit = {} as Duration.Input
    const perhaps = {} as Duration.Input | undefined

    expect(Step.make("book", { action: () => note, timeout: "30 seconds" })).type.toBe<
      Step.Step<void, void, Cause.TimeoutError, never, never>
    >()
    expect(Step.make("book", { error: NoSeats, action: () => note, timeout: limit })).type.toBe<
      Step.Step<void, void, NoSeats | Cause.TimeoutError, never, never>
    >()
    expect(Step.make("book", { action: () => note, timeout: perhaps })).type.toBe<
      Step.Step<void, void, Cause.TimeoutError, never, never>
    >()
  })

  test("of the compensation adds it to the errors of the compensation", () => {
    expect(
      Step.make("book", {
        compensationError: CancelRefused,
        action: () => note,
        compensate: () => note,
        compensationTimeout: 1000
      })
    ).type.toBe<Step.Step<void, void, never, CancelRefused | Cause.TimeoutError, never>>()
  })

  test("has a schema for definitions", () => {
    expect(Step.TimeoutError["Type"]).type.toBe<Cause.TimeoutError>()
    expect(Step.TimeoutError).type.toBeAssignableTo<Step.Storable>()
  })
})

describe("ambiguous", () => {
  test("adds OutcomeUnknown to the errors, also where it is not known whether it is", () => {
    const perhaps = {} as boolean

    expect(Step.make("pay", { action: () => note, ambiguous: true })).type.toBe<
      Step.Step<void, void, Step.OutcomeUnknown, never, never>
    >()
    expect(Step.make("pay", { error: Busy, action: () => note, ambiguous: perhaps })).type.toBe<
      Step.Step<void, void, Busy | Step.OutcomeUnknown, never, never>
    >()
    expect(Step.make("pay", { action: () => note, ambiguous: false })).type.toBe<
      Step.Step<void, void, never, never, never>
    >()
    expect(Step.OutcomeUnknown).type.toBeAssignableTo<Step.Storable>()
  })
})

describe("retry", () => {
  test("takes schedules for any error, and for those of the step", () => {
    const whileBusy = Schedule.exponential("1 second").pipe(
      Schedule.setInputType<NoSeats | Busy>(),
      Schedule.while(({ input }) => input._tag === "Busy")
    )

    expect(
      Step.make("book", {
        error: Schema.Union([NoSeats, Busy]),
        action: () => note,
        retry: whileBusy,
        compensationError: Busy,
        compensate: () => note,
        compensationRetry: Schedule.recurs(3)
      })
    ).type.toBe<Step.Step<void, void, NoSeats | Busy, Busy, never>>()
  })

  test("takes schedules that know of the time limit", () => {
    const unlessLate = Schedule.recurs(3).pipe(
      Schedule.setInputType<Busy | Cause.TimeoutError>(),
      Schedule.while(({ input }) => input._tag !== "TimeoutError")
    )

    expect(Step.make("book", { error: Busy, action: () => note, timeout: 1000, retry: unlessLate })).type.toBe<
      Step.Step<void, void, Busy | Cause.TimeoutError, never, never>
    >()
    expect(
      Step.make("book", {
        compensationError: Busy,
        action: () => note,
        compensate: () => note,
        compensationTimeout: 1000,
        compensationRetry: unlessLate
      })
    ).type.toBe<Step.Step<void, void, never, Busy | Cause.TimeoutError, never>>()
  })

  test("adds the services of its schedules to those of the step", () => {
    const patient = {} as Schedule.Schedule<number, unknown, never, Patience>

    expect(Step.make("book", { action: () => note, retry: patient })).type.toBe<
      Step.Step<void, void, never, never, Patience>
    >()
    expect(Step.make("book", { action: () => note, compensate: () => note, compensationRetry: patient })).type.toBe<
      Step.Step<void, void, never, never, Patience>
    >()
  })

  test("rejects schedules for other errors, and those that fail", () => {
    const forBusy = Schedule.recurs(3).pipe(Schedule.setInputType<Busy>())
    const failing = {} as Schedule.Schedule<number, unknown, Busy>

    // @ts-expect-error Type 'NoSeats' is not assignable to type 'Busy'
    Step.make("book", { error: NoSeats, action: () => note, retry: forBusy })
    // @ts-expect-error Type 'TimeoutError' is not assignable to type 'Busy'
    Step.make("book", { error: Busy, action: () => note, timeout: 1000, retry: forBusy })
    // @ts-expect-error Type 'NoSeats' is not assignable to type 'Busy'
    Step.make("book", { compensationError: NoSeats, action: () => note, compensationRetry: forBusy })
    // @ts-expect-error Type 'Busy' is not assignable to type 'never'
    Step.make("book", { action: () => note, retry: failing })
  })
})

describe("a call", () => {
  test("is an effect that needs a saga, and says how its compensation may fail", () => {
    expect(bookFlight({ id: "1", days: 3 })).type.toBe<
      Effect.Effect<Flight, NoSeats, Airline | Bank | Saga.DurableStack<CancelRefused>>
    >()
    expect(bookFlight({ id: "1", days: 3 }, { name: "outbound" })).type.toBe<
      Effect.Effect<Flight, NoSeats, Airline | Bank | Saga.DurableStack<CancelRefused>>
    >()
    expect(bookFlight.stepName).type.toBe<string>()
  })

  test("needs no input where the step has none", () => {
    expect(plain()).type.toBe<Effect.Effect<void, never, Saga.DurableStack<never>>>()
    expect(plain(undefined, { name: "again" })).type.toBe<Effect.Effect<void, never, Saga.DurableStack<never>>>()
  })

  test("rejects another input and wrong options", () => {
    // @ts-expect-error Expected 1-2 arguments, but got 0.
    bookFlight()
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    bookFlight({ id: "1", days: "3" })
    // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'void'
    plain("again")
    // @ts-expect-error 'nmae' does not exist in type 'CallOptions'
    plain(undefined, { nmae: "again" })
  })

  test("does not run outside a saga", () => {
    // @ts-expect-error Type 'DurableStack<never>' is not assignable to type 'never'
    Effect.runPromise(plain())
  })
})

describe("in memory", () => {
  test("the errors of compensations become CompensationFailed", () => {
    expect(Saga.transact(bookFlight({ id: "1", days: 3 }))).type.toBe<
      Effect.Effect<Flight, NoSeats | Saga.CompensationFailed<NoSeats, CancelRefused>, Airline | Bank>
    >()
    expect(Saga.transact(plain())).type.toBe<Effect.Effect<void>>()
  })

  test("steps mix with Saga.step, savepoints, branches and pivots", () => {
    const saga = Effect.gen(function*() {
      yield* Saga.step(note, () => new Busy())
      yield* Saga.savepoint(plain())
      const [flight, back] = yield* Saga.all([bookFlight({ id: "1", days: 3 }), plain()], { concurrency: 2 })
      yield* Saga.forEach(["a", "b"], () => plain())
      yield* Saga.pivot(plain())
      return [flight, back] as const
    })

    expect(Saga.transact(saga)).type.toBe<
      Effect.Effect<
        readonly [Flight, void],
        NoSeats | Saga.CompensationFailed<NoSeats, Busy | CancelRefused> | Saga.CommittedIncomplete<NoSeats>,
        Airline | Bank
      >
    >()
  })

  test("a savepoint turns the errors of its compensations into CompensationFailed, too", () => {
    expect(Saga.savepoint(bookFlight({ id: "1", days: 3 }))).type.toBe<
      Effect.Effect<
        Flight,
        NoSeats | Saga.CompensationFailed<NoSeats, CancelRefused>,
        Airline | Bank | Saga.DurableStack<CancelRefused>
      >
    >()
  })
})

describe("functions over steps", () => {
  test("call any step with its input", () => {
    expect(twice(bookFlight, { id: "1", days: 3 })).type.toBe<
      Effect.Effect<[Flight, Flight], NoSeats, Airline | Bank | Saga.DurableStack<CancelRefused>>
    >()
    expect(twice(plain, undefined)).type.toBe<Effect.Effect<[void, void], never, Saga.DurableStack<never>>>()
  })

  test("make steps of any schema", () => {
    expect(reading(Flight, book({ id: "1", days: 3 }))).type.toBe<Step.Step<void, Flight, NoSeats, never, Airline>>()
    // @ts-expect-error Type 'Flight' is not assignable to type 'string'
    reading(Schema.String, book({ id: "1", days: 3 }))
  })

  test("take steps that promise more", () => {
    type Wide = Step.Step<Trip & { readonly extra: string }, Flight | string, NoSeats | Busy, unknown, Airline | Bank>

    expect(bookFlight).type.toBeAssignableTo<Wide>()
    expect<Wide>().type.not.toBeAssignableTo<BookFlight>()
  })
})
