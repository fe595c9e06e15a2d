import {
  Cause,
  Context,
  Data,
  type Duration,
  Effect,
  Exit,
  Layer,
  Option,
  pipe,
  type Result,
  Schedule,
  Schema,
  Stream
} from "effect"
import { Saga, SagaReport } from "effect-saga"
import { describe, expect, test } from "tstyche"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly card: string }> {}
class NoSeats extends Data.TaggedError("NoSeats") {}
class RefundRefused extends Data.TaggedError("RefundRefused") {}
class CancelRefused extends Data.TaggedError("CancelRefused") {}

class Bank extends Context.Service<Bank, { readonly name: string }>()("Bank") {}
class Airline extends Context.Service<Airline, { readonly name: string }>()("Airline") {}

interface Charge {
  readonly amount: number
}
interface Flight {
  readonly seat: string
}

declare const charge: Effect.Effect<Charge, CardDeclined, Bank>
declare const refund: (charge: Charge) => Effect.Effect<void, RefundRefused, Bank>
declare const book: Effect.Effect<Flight, NoSeats, Airline>
declare const cancel: (flight: Flight) => Effect.Effect<string, CancelRefused, Airline>
declare const note: Effect.Effect<void>

const chargeStep = Saga.step(charge, refund)
const bookStep = Saga.step(book, cancel)
const noteStep = Saga.step(note, () => note)

declare const undoAnything: (value: unknown) => Effect.Effect<void>
declare const undoAnyExit: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
const pay = (amount: number) => Effect.as(chargeStep, String(amount))

const closed = <A, E, R>(self: Effect.Effect<A, E, R>) => Saga.transact(self)
const piped = <A, E, R>(self: Effect.Effect<A, E, R>) => self.pipe(Saga.transact({ name: "generic" }))
const charged = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.andThen(chargeStep, self).pipe(Saga.transact)
const withStack = <A, E, R, CE>(self: Effect.Effect<A, E, R | Saga.CompensationStack<CE>>) => Saga.transact(self)
const onlyStack = <A, E, CE>(
  self: Effect.Effect<A, E, Saga.CompensationStack<CE>>
): Effect.Effect<A, E | Saga.Failure<E, CE>> => Saga.transact(self)

describe("step", () => {
  test("adds the errors and services of the compensation to the requirements", () => {
    expect(Saga.step(charge, refund)).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>>
    >()
    expect(Saga.step(charge, ({ amount }) => Effect.as(Airline, amount))).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Airline | Saga.CompensationStack<never>>
    >()
    expect(Saga.step(note, () => note)).type.toBe<Effect.Effect<void, never, Saga.CompensationStack<never>>>()
  })

  test("gives the compensation the value of the action and the cause of the failure", () => {
    Saga.step(charge, (value, cause) => {
      expect(value).type.toBe<Charge>()
      expect(cause).type.toBe<Cause.Cause<unknown>>()
      return Effect.void
    })
    pipe(
      charge,
      Saga.step((value, cause) => {
        expect(value).type.toBe<Charge>()
        expect(cause).type.toBe<Cause.Cause<unknown>>()
        return Effect.void
      })
    )
    charge.pipe(Saga.step((value) => {
      expect(value).type.toBe<Charge>()
      return Effect.void
    }))
  })

  test("infers the same with the action last", () => {
    expect(charge.pipe(Saga.step(refund))).type.toBe<typeof chargeStep>()
    expect(charge.pipe(Saga.step(refund, { name: "charge", interruptible: true }))).type.toBe<typeof chargeStep>()
    expect(pipe(charge, Saga.step((value) => refund(value)))).type.toBe<typeof chargeStep>()
    expect(note.pipe(Saga.step(() => note))).type.toBe<typeof noteStep>()
  })

  test("infers from a compensation that fails in several ways", () => {
    const compensate = (flight: Flight) =>
      Effect.gen(function*() {
        yield* refund({ amount: 1 })
        if (flight.seat === "1A") return yield* new NoSeats()
        return yield* cancel(flight)
      })

    expect(Saga.step(book, compensate)).type.toBe<
      Effect.Effect<
        Flight,
        NoSeats,
        Airline | Bank | Saga.CompensationStack<RefundRefused | NoSeats | CancelRefused>
      >
    >()
    expect(book.pipe(Saga.step(compensate))).type.toBe<
      Effect.Effect<
        Flight,
        NoSeats,
        Airline | Bank | Saga.CompensationStack<RefundRefused | NoSeats | CancelRefused>
      >
    >()
  })

  test("keeps literal types, unions, null and undefined", () => {
    const literal = Effect.succeed("paid" as const)
    const optional = Effect.succeed<Charge | null | undefined>(null)

    expect(Saga.step(literal, (paid: string) => Effect.as(note, paid))).type.toBe<
      Effect.Effect<"paid", never, Saga.CompensationStack<never>>
    >()
    expect(literal.pipe(Saga.step((value) => {
      expect(value).type.toBe<"paid">()
      return note
    }))).type.toBe<Effect.Effect<"paid", never, Saga.CompensationStack<never>>>()
    expect(Saga.step(optional, (value) => value ? refund(value) : Effect.void)).type.toBe<
      Effect.Effect<Charge | null | undefined, never, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("takes noCompensation, which can't fail", () => {
    expect(Saga.noCompensation).type.toBe<() => Effect.Effect<void>>()
    expect(Saga.step(charge, Saga.noCompensation)).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never>>
    >()
    expect(charge.pipe(Saga.step(Saga.noCompensation))).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never>>
    >()
  })

  test("rejects a compensation that is not a function from the value to an effect", () => {
    // @ts-expect-error No overload matches this call
    Saga.step(charge, Effect.void)
    // @ts-expect-error Argument of type 'Effect<Charge, CardDeclined, Bank>' is not assignable to parameter of type
    Saga.step(charge)
    // @ts-expect-error Type 'Promise<void>' is missing the following properties from type 'Effect<unknown, never, never>'
    Saga.step(charge, async () => {})
    // @ts-expect-error 'void' is not assignable to type 'Effect<unknown, never, never>'
    Saga.step(charge, () => {})
    // @ts-expect-error No overload matches this call
    Saga.step(charge, (flight: Flight) => cancel(flight))
    // @ts-expect-error Property 'amount' does not exist on type 'Flight'
    book.pipe(Saga.step((value) => Effect.succeed(value.amount)))
    // @ts-expect-error is not assignable to parameter of type
    book.pipe(Saga.step(refund))
    // @ts-expect-error 'void' is not assignable to type 'Effect<unknown, never, never>'
    charge.pipe(Saga.step(() => {}))
  })

  test("rejects wrong options", () => {
    // @ts-expect-error 'nmae' does not exist in type 'StepOptions'
    Saga.step(charge, refund, { nmae: "charge" })
    // @ts-expect-error 'retry' does not exist in type 'StepOptions'
    Saga.step(charge, refund, { name: "charge", retry: 3 })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Saga.step(charge, refund, { name: 1 })
    // @ts-expect-error Type 'string' is not assignable to type 'boolean | undefined'
    Saga.step(charge, refund, { interruptible: "yes" })
    // @ts-expect-error Type '"charge"' has no properties in common with type 'StepOptions'
    Saga.step(charge, refund, "charge")
    // @ts-expect-error 'nmae' does not exist in type 'StepOptions'
    charge.pipe(Saga.step(refund, { nmae: "charge" }))
  })

  test("takes options whose values may be undefined", () => {
    const options: Saga.StepOptions = {}

    expect(Saga.step(charge, refund, options)).type.toBe<typeof chargeStep>()
    expect(Saga.step(charge, refund, { name: undefined, interruptible: undefined })).type.toBe<typeof chargeStep>()
  })
})

describe("step with a compensation for wider values", () => {
  type Undone = Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never>>

  test("keeps the type of the action", () => {
    expect(Saga.step(charge, undoAnything)).type.toBe<Undone>()
    expect(Saga.stepExit(charge, undoAnything)).type.toBe<Undone>()
    expect(charge.pipe(Saga.step(undoAnything))).type.toBe<Undone>()
    expect(charge.pipe(Saga.stepExit(undoAnyExit))).type.toBe<Undone>()
  })

  test("can be applied to several actions", () => {
    const refunded = Saga.step(refund)
    const precise = Effect.succeed({ amount: 3, currency: "EUR" })

    expect(charge.pipe(refunded)).type.toBe<typeof chargeStep>()
    expect(precise.pipe(refunded)).type.toBe<
      Effect.Effect<{ amount: number; currency: string }, never, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })
})

describe("stepExit", () => {
  test("gives the compensation the typed exit of the action", () => {
    Saga.stepExit(charge, (exit, cause) => {
      expect(exit).type.toBe<Exit.Exit<Charge, CardDeclined>>()
      expect(cause).type.toBe<Cause.Cause<unknown>>()
      return Effect.void
    })
    charge.pipe(Saga.stepExit((exit, cause) => {
      expect(exit).type.toBe<Exit.Exit<Charge, CardDeclined>>()
      expect(cause).type.toBe<Cause.Cause<unknown>>()
      return Effect.void
    }))
  })

  test("infers as step does, action first and last", () => {
    const compensate = (exit: Exit.Exit<Charge, CardDeclined>) => Exit.isSuccess(exit) ? refund(exit.value) : note

    expect(Saga.stepExit(charge, compensate)).type.toBe<typeof chargeStep>()
    expect(charge.pipe(Saga.stepExit(compensate))).type.toBe<typeof chargeStep>()
    expect(charge.pipe(Saga.stepExit((exit) => Exit.isSuccess(exit) ? refund(exit.value) : note))).type.toBe<
      typeof chargeStep
    >()
    expect(charge.pipe(Saga.stepExit(() => note, { name: "charge" }))).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never>>
    >()
    expect(Saga.stepExit(charge, undoAnyExit)).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never>>
    >()
  })

  test("rejects a compensation for another action, a promise and wrong options", () => {
    // @ts-expect-error No overload matches this call
    Saga.stepExit(charge, (exit: Exit.Exit<Flight, CardDeclined>) => Effect.as(note, exit))
    // @ts-expect-error No overload matches this call
    Saga.stepExit(charge, (exit: Exit.Exit<Charge, NoSeats>) => Effect.as(note, exit))
    // @ts-expect-error Type 'Promise<void>' is missing the following properties from type 'Effect<unknown, never, never>'
    Saga.stepExit(charge, async () => {})
    // @ts-expect-error 'interruptable' does not exist in type 'StepOptions'
    Saga.stepExit(charge, () => note, { interruptable: true })
  })
})

describe("composition", () => {
  test("Effect.gen, Effect.fn, pipe and flatMap collect the stacks of all steps", () => {
    type Expected<A> = Effect.Effect<
      A,
      CardDeclined | NoSeats,
      Bank | Airline | Saga.CompensationStack<RefundRefused> | Saga.CompensationStack<CancelRefused>
    >
    const generated = Effect.gen(function*() {
      const { amount } = yield* chargeStep
      const { seat } = yield* bookStep
      return { amount, seat }
    })
    const defined = Effect.fn("trip")(function*(note: string) {
      const { amount } = yield* chargeStep
      const { seat } = yield* bookStep
      return `${note} ${amount} ${seat}`
    })

    expect(generated).type.toBe<Expected<{ amount: number; seat: string }>>()
    expect(defined).type.toBe<(note: string) => Expected<string>>()
    expect(chargeStep.pipe(Effect.andThen(bookStep))).type.toBe<Expected<Flight>>()
    expect(Effect.flatMap(chargeStep, () => bookStep)).type.toBe<Expected<Flight>>()
    expect(Effect.zip(chargeStep, bookStep)).type.toBe<Expected<[Charge, Flight]>>()
    expect(Effect.race(chargeStep, bookStep)).type.toBe<Expected<Charge | Flight>>()
    expect(Effect.map(chargeStep, ({ amount }) => amount)).type.toBe<
      Effect.Effect<number, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("an annotated generator function names the stack among its services", () => {
    const pay = Effect.fn("pay")(
      function*(): Effect.fn.Return<number, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>> {
        const { amount } = yield* chargeStep
        return amount
      }
    )

    expect(pay().pipe(Saga.transact)).type.toBe<
      Effect.Effect<number, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    >()
  })

  test("timeout, retry and error handlers leave the stack in the requirements", () => {
    expect(Effect.timeout(chargeStep, "1 second")).type.toBe<
      Effect.Effect<Charge, CardDeclined | Cause.TimeoutError, Bank | Saga.CompensationStack<RefundRefused>>
    >()
    expect(Effect.retry(chargeStep, { times: 3 })).type.toBe<typeof chargeStep>()
    expect(Effect.retry(chargeStep, Schedule.recurs(3))).type.toBe<typeof chargeStep>()
    expect(Effect.catchTag(chargeStep, "CardDeclined", () => Effect.succeed(null))).type.toBe<
      Effect.Effect<Charge | null, never, Bank | Saga.CompensationStack<RefundRefused>>
    >()
    expect(Effect.exit(chargeStep)).type.toBe<
      Effect.Effect<Exit.Exit<Charge, CardDeclined>, never, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("steps in a stream and in a layer reach the effect that runs them", () => {
    const streamed = Stream.fromIterable([1, 2]).pipe(
      Stream.mapEffect((amount) => Saga.step(Effect.succeed(amount), (value) => refund({ amount: value }))),
      Stream.runCollect
    )
    const airlineLayer = Layer.effect(
      Airline,
      Effect.as(chargeStep, { name: "air" })
    )

    expect(streamed).type.toBe<
      Effect.Effect<Array<number>, never, Bank | Saga.CompensationStack<RefundRefused>>
    >()
    expect(Saga.transact(streamed)).type.toBe<
      Effect.Effect<Array<number>, Saga.CompensationFailed<never, RefundRefused>, Bank>
    >()
    expect(airlineLayer).type.toBe<
      Layer.Layer<Airline, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>>
    >()
    expect(book.pipe(Effect.provide(airlineLayer), Saga.transact)).type.toBe<
      Effect.Effect<
        Flight,
        NoSeats | CardDeclined | Saga.CompensationFailed<NoSeats | CardDeclined, RefundRefused>,
        Bank
      >
    >()
  })

  test("providing a service keeps the stack", () => {
    expect(Effect.provideService(chargeStep, Bank, { name: "bank" })).type.toBe<
      Effect.Effect<Charge, CardDeclined, Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("a recursive saga names its stack once", () => {
    const countDown = (
      n: number
    ): Effect.Effect<number, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>> =>
      n === 0 ? Effect.succeed(0) : Effect.andThen(chargeStep, countDown(n - 1))

    expect(Saga.transact(countDown(3))).type.toBe<
      Effect.Effect<number, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    >()
  })

  test("a recursive closed saga names its error once", () => {
    type Result = Effect.Effect<number, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    const countDown = (n: number): Result => {
      expect(Saga.transact(chargeStep)).type.toBeAssignableTo<Effect.Effect<Charge, Effect.Error<Result>, Bank>>()
      return n === 0
        ? Effect.succeed(0)
        : Effect.andThen(Saga.transact(chargeStep), Effect.suspend(() => countDown(n - 1)))
    }

    expect(countDown(1)).type.toBe<Result>()
  })

  test("methods of classes and services are sagas like any other function", () => {
    class Trips {
      readonly limit: number = 3
      book(seat: string) {
        return Saga.step(book, (flight) => Effect.as(cancel(flight), seat)).pipe(Saga.transact({ name: "book" }))
      }
    }
    class Orders extends Context.Service<Orders, {
      readonly order: (
        amount: number
      ) => Effect.Effect<Charge, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>>
    }>()("Orders") {
      static readonly layer = Layer.effect(
        Orders,
        Effect.gen(function*() {
          const bank = yield* Bank
          return {
            order: Saga.fn("order")(function*(_amount: number) {
              return yield* Effect.provideService(chargeStep, Bank, bank)
            })
          }
        })
      )
    }

    expect(new Trips().book("1A")).type.toBe<
      Effect.Effect<Flight, NoSeats | Saga.CompensationFailed<NoSeats, CancelRefused>, Airline>
    >()
    expect(Orders.layer).type.toBe<Layer.Layer<Orders, never, Bank>>()
  })
})

describe("all", () => {
  const tuple = [chargeStep, bookStep] as const
  const struct = { charge: chargeStep, book: bookStep }
  const iterable = new Set([chargeStep])

  test("infers as Effect.all does from tuples", () => {
    expect(Saga.all([chargeStep, bookStep])).type.toBe(Effect.all([chargeStep, bookStep]))
    expect(Saga.all(tuple)).type.toBe(Effect.all(tuple))
    expect(Saga.all([])).type.toBe(Effect.all([]))
    expect(Saga.all([chargeStep, bookStep])).type.toBe<
      Effect.Effect<
        [Charge, Flight],
        CardDeclined | NoSeats,
        Bank | Airline | Saga.CompensationStack<RefundRefused> | Saga.CompensationStack<CancelRefused>
      >
    >()
  })

  test("infers as Effect.all does from structs", () => {
    expect(Saga.all({ charge: chargeStep, book: bookStep })).type.toBe(
      Effect.all({ charge: chargeStep, book: bookStep })
    )
    expect(Saga.all(struct)).type.toBe(Effect.all(struct))
    expect(Saga.all({})).type.toBe(Effect.all({}))
  })

  test("infers as Effect.all does from arrays and other iterables", () => {
    const array = [1, 2, 3].map(() => chargeStep)

    expect(Saga.all(array)).type.toBe(Effect.all(array))
    expect(Saga.all(iterable)).type.toBe(Effect.all(iterable))
    expect(Saga.all(new Map([[1, chargeStep]]).values())).type.toBe(
      Effect.all(new Map([[1, chargeStep]]).values())
    )
  })

  test("infers as Effect.all does with discard", () => {
    expect(Saga.all(tuple, { discard: true })).type.toBe(Effect.all(tuple, { discard: true }))
    expect(Saga.all(tuple, { discard: false })).type.toBe(Effect.all(tuple, { discard: false }))
    expect(Saga.all(struct, { discard: true })).type.toBe(Effect.all(struct, { discard: true }))
    expect(Saga.all(iterable, { discard: true })).type.toBe(Effect.all(iterable, { discard: true }))
    expect(Saga.all(iterable, { discard: true, compensation: "parallel" })).type.toBe<
      Effect.Effect<void, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("infers as Effect.all does with mode result", () => {
    expect(Saga.all(tuple, { mode: "result" })).type.toBe(Effect.all(tuple, { mode: "result" }))
    expect(Saga.all(tuple, { mode: "default" })).type.toBe(Effect.all(tuple, { mode: "default" }))
    expect(Saga.all(struct, { mode: "result" })).type.toBe(Effect.all(struct, { mode: "result" }))
    expect(Saga.all(iterable, { mode: "result" })).type.toBe(Effect.all(iterable, { mode: "result" }))
    expect(Saga.all(tuple, { mode: "result", discard: true })).type.toBe(
      Effect.all(tuple, { mode: "result", discard: true })
    )
    expect(Saga.all([chargeStep], { mode: "result", compensation: "parallel" })).type.toBe<
      Effect.Effect<
        [Result.Result<Charge, CardDeclined>],
        never,
        Bank | Saga.CompensationStack<RefundRefused>
      >
    >()
  })

  test("takes its options from a variable of the plain interface", () => {
    const options: Saga.BranchOptions = { concurrency: 2, compensation: "parallel" }

    expect(Saga.all(tuple, options)).type.toBe(Effect.all(tuple))
    expect(Saga.all(tuple, { concurrency: "unbounded", compensation: "sequential" })).type.toBe(Effect.all(tuple))
  })

  test("closes like any other effect", () => {
    expect(Saga.all(struct, { concurrency: "unbounded" }).pipe(Saga.transact)).type.toBe<
      Effect.Effect<
        { charge: Charge; book: Flight },
        CardDeclined | NoSeats | Saga.CompensationFailed<CardDeclined | NoSeats, RefundRefused | CancelRefused>,
        Bank | Airline
      >
    >()
  })

  test("rejects what is no effect and wrong options", () => {
    // @ts-expect-error Type 'number' is not assignable to type 'EffectAny'
    Saga.all([1])
    // @ts-expect-error Type 'Promise<void>' is missing the following properties from type 'Effect<any, any, any>'
    Saga.all({ charge: Promise.resolve() })
    // @ts-expect-error Type '"all"' is not assignable to type
    Saga.all(tuple, { compensation: "all" })
    // @ts-expect-error Type '"2"' is not assignable to type
    Saga.all(tuple, { concurrency: "2" })
    // @ts-expect-error Type '"either"' is not assignable to type
    Saga.all(tuple, { mode: "either" })
    // @ts-expect-error 'concurency' does not exist in type
    Saga.all(tuple, { concurency: 2 })
    // @ts-expect-error Type 'number' is not assignable to type 'never'
    Saga.all(tuple, { discard: true, concurency: 2 })
  })
})

describe("forEach", () => {
  test("infers as Effect.forEach does with the iterable first", () => {
    const nonEmpty: [number, ...Array<number>] = [1, 2]

    expect(Saga.forEach([1, 2], pay)).type.toBe(Effect.forEach([1, 2], pay))
    expect(Saga.forEach(nonEmpty, pay)).type.toBe(Effect.forEach(nonEmpty, pay))
    expect(Saga.forEach(new Set([1]), pay)).type.toBe(Effect.forEach(new Set([1]), pay))
    expect(Saga.forEach([1, 2], pay, { discard: true })).type.toBe(Effect.forEach([1, 2], pay, { discard: true }))
    expect(Saga.forEach([1, 2], pay, { concurrency: 2, compensation: "parallel" })).type.toBe<
      Effect.Effect<Array<string>, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>>
    >()
  })

  test("infers as Effect.forEach does with the iterable last", () => {
    expect(pipe([1, 2], Saga.forEach(pay))).type.toBe(pipe([1, 2], Effect.forEach(pay)))
    expect(pipe([1, 2], Saga.forEach((amount) => pay(amount)))).type.toBe(
      pipe([1, 2], Effect.forEach((amount) => pay(amount)))
    )
    expect(pipe([1, 2], Saga.forEach(pay, { discard: true }))).type.toBe(
      pipe([1, 2], Effect.forEach(pay, { discard: true }))
    )
    expect(pipe(["a"], Saga.forEach((name, index) => Effect.succeed([name, index] as const)))).type.toBe<
      Effect.Effect<Array<readonly [string, number]>>
    >()
  })

  test("gives the function element and index", () => {
    Saga.forEach(new Set(["a"]), (name, index) => {
      expect(name).type.toBe<string>()
      expect(index).type.toBe<number>()
      return Effect.void
    })
  })

  test("rejects a function for other elements, one that returns no effect, and wrong options", () => {
    // @ts-expect-error No overload matches this call
    Saga.forEach(["a"], pay)
    // @ts-expect-error is not assignable to type 'Effect<
    Saga.forEach([1], (amount) => amount)
    // @ts-expect-error 'concurency' does not exist in type
    Saga.forEach([1], pay, { concurency: 2 })
    // @ts-expect-error Type '"both"' is not assignable to type
    Saga.forEach([1], pay, { compensation: "both" })
  })
})

describe("savepoint", () => {
  test("adds the failure of its compensations and keeps the stack", () => {
    type Expected = Effect.Effect<
      Charge,
      CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>,
      Bank | Saga.CompensationStack<RefundRefused>
    >

    expect(Saga.savepoint(chargeStep)).type.toBe<Expected>()
    expect(Saga.savepoint(chargeStep, { name: "payment" })).type.toBe<Expected>()
    expect(chargeStep.pipe(Saga.savepoint)).type.toBe<Expected>()
    expect(chargeStep.pipe(Saga.savepoint())).type.toBe<Expected>()
    expect(chargeStep.pipe(Saga.savepoint({ name: "payment" }))).type.toBe<Expected>()
  })

  test("adds nothing where its compensations can't fail, and nothing where there are none", () => {
    expect(Saga.savepoint(noteStep)).type.toBe<typeof noteStep>()
    expect(Saga.savepoint(charge)).type.toBe<typeof charge>()
  })

  test("can be retried but for CompensationFailed, and left by catchTag", () => {
    const retried = chargeStep.pipe(
      Saga.savepoint,
      Effect.retry({ times: 2, while: (error) => error._tag !== "CompensationFailed" })
    )
    const around = chargeStep.pipe(
      Saga.savepoint,
      Effect.catchTag("CardDeclined", () => Effect.succeed("cash"))
    )

    expect(retried).type.toBe<
      Effect.Effect<
        Charge,
        CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>,
        Bank | Saga.CompensationStack<RefundRefused>
      >
    >()
    expect(around).type.toBe<
      Effect.Effect<
        Charge | string,
        Saga.CompensationFailed<CardDeclined, RefundRefused>,
        Bank | Saga.CompensationStack<RefundRefused>
      >
    >()
  })

  test("has its failure among the errors of the saga around it", () => {
    expect(chargeStep.pipe(Saga.savepoint, Saga.transact)).type.toBe<
      Effect.Effect<
        Charge,
        | CardDeclined
        | Saga.CompensationFailed<CardDeclined, RefundRefused>
        | Saga.CompensationFailed<CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, RefundRefused>,
        Bank
      >
    >()
  })

  test("rejects wrong options", () => {
    // @ts-expect-error 'nmae' does not exist in type
    Saga.savepoint(chargeStep, { nmae: "payment" })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    chargeStep.pipe(Saga.savepoint({ name: 1 }))
  })
})

describe("pivot", () => {
  test("marks the requirements", () => {
    type Expected = Effect.Effect<Charge, CardDeclined, Bank | Saga.CompensationStack<never> | Saga.Pivot>

    expect(Saga.pivot(charge)).type.toBe<Expected>()
    expect(Saga.pivot(charge, { name: "pay" })).type.toBe<Expected>()
    expect(charge.pipe(Saga.pivot)).type.toBe<Expected>()
    expect(charge.pipe(Saga.pivot())).type.toBe<Expected>()
    expect(charge.pipe(Saga.pivot({ name: "pay" }))).type.toBe<Expected>()
  })

  test("makes the saga fail with CommittedIncomplete, with what it fails with", () => {
    expect(Saga.transact(Saga.pivot(charge))).type.toBe<
      Effect.Effect<Charge, CardDeclined | Saga.CommittedIncomplete<CardDeclined>, Bank>
    >()
    expect(Saga.pivot(charge).pipe(Effect.andThen(bookStep), Saga.transact)).type.toBe<
      Effect.Effect<
        Flight,
        | CardDeclined
        | NoSeats
        | Saga.CompensationFailed<CardDeclined | NoSeats, CancelRefused>
        | Saga.CommittedIncomplete<CardDeclined | NoSeats>,
        Bank | Airline
      >
    >()
  })

  test("is seen through all and savepoint", () => {
    expect(Saga.all([chargeStep, Saga.pivot(note)]).pipe(Saga.transact, Effect.flip)).type.toBe<
      Effect.Effect<
        | CardDeclined
        | Saga.CompensationFailed<CardDeclined, RefundRefused>
        | Saga.CommittedIncomplete<CardDeclined>,
        [Charge, void],
        Bank
      >
    >()
  })

  test("without one a saga can't fail with CommittedIncomplete", () => {
    // @ts-expect-error "CommittedIncomplete"
    chargeStep.pipe(Saga.transact, Effect.catchTag("CommittedIncomplete", () => Effect.void))
  })

  test("rejects wrong options", () => {
    // @ts-expect-error 'interruptible' does not exist in type
    Saga.pivot(charge, { interruptible: true })
  })
})

describe("transact", () => {
  type Closed = Effect.Effect<Charge, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>

  test("turns the stack into CompensationFailed, in every way of calling it", () => {
    const options: Saga.TransactOptions = { name: "order" }

    expect(Saga.transact(chargeStep)).type.toBe<Closed>()
    expect(Saga.transact(chargeStep, { name: "order" })).type.toBe<Closed>()
    expect(chargeStep.pipe(Saga.transact)).type.toBe<Closed>()
    expect(chargeStep.pipe(Saga.transact())).type.toBe<Closed>()
    expect(chargeStep.pipe(Saga.transact({ name: "order" }))).type.toBe<Closed>()
    expect(pipe(chargeStep, Saga.transact({ onCompensationFailure: "stop", compensateWhen: Cause.hasFails }))).type
      .toBe<Closed>()
    expect(Saga.transact(chargeStep, { name: options.name })).type.toBe<Closed>()
  })

  test("adds nothing where no compensation can fail", () => {
    expect(Saga.transact(noteStep)).type.toBe<Effect.Effect<void>>()
    expect(noteStep.pipe(Saga.transact({ name: "note" }))).type.toBe<Effect.Effect<void>>()
    expect(noteStep.pipe(Effect.andThen(charge), Saga.transact)).type.toBe<
      Effect.Effect<Charge, CardDeclined, Bank>
    >()
  })

  test("changes nothing where there are no steps", () => {
    expect(Saga.transact(charge)).type.toBe<typeof charge>()
    expect(Saga.transact(Effect.never)).type.toBe<Effect.Effect<never>>()
  })

  test("makes a union of the errors of several compensations", () => {
    expect(Effect.andThen(chargeStep, bookStep).pipe(Effect.andThen(noteStep), Saga.transact)).type.toBe<
      Effect.Effect<
        void,
        CardDeclined | NoSeats | Saga.CompensationFailed<CardDeclined | NoSeats, RefundRefused | CancelRefused>,
        Bank | Airline
      >
    >()
  })

  test("compensationTimeout and unwindTimeout add TimeoutError to what compensations fail with", () => {
    type Timed = Effect.Effect<
      Charge,
      CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused | Cause.TimeoutError>,
      Bank
    >
    const timeout: Duration.Input = "1 second"

    expect(Saga.transact(chargeStep, { compensationTimeout: "1 second" })).type.toBe<Timed>()
    expect(Saga.transact(chargeStep, { unwindTimeout: 1000 })).type.toBe<Timed>()
    expect(chargeStep.pipe(Saga.transact({ compensationTimeout: timeout, unwindTimeout: { minutes: 1 } }))).type.toBe<
      Timed
    >()
    expect(Saga.transact(noteStep, { name: "note", unwindTimeout: "1 minute" })).type.toBe<
      Effect.Effect<void, Saga.CompensationFailed<never, Cause.TimeoutError>>
    >()
    expect(Saga.transact(noteStep, { compensationTimeout: undefined })).type.toBe<Effect.Effect<void>>()
  })

  test("options that may hold a timeout add TimeoutError too", () => {
    const plain: Saga.TransactOptions = { compensationTimeout: "1 second" }
    const maybe: { readonly unwindTimeout?: Duration.Input | undefined } = {}
    type Timed = Effect.Effect<
      Charge,
      CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused | Cause.TimeoutError>,
      Bank
    >

    expect(Saga.transact(chargeStep, plain)).type.toBe<Timed>()
    expect(chargeStep.pipe(Saga.transact(plain))).type.toBe<Timed>()
    expect(chargeStep.pipe(Saga.transact(maybe))).type.toBe<Timed>()
    expect(
      Saga.transact(chargeStep, { compensationTimeout: undefined as Duration.Input | undefined })
    ).type.toBe<Timed>()
  })

  test("closes a nested saga on its own", () => {
    const nested = Saga.transact(bookStep, { name: "flight" })

    expect(chargeStep.pipe(Effect.andThen(nested), Saga.transact)).type.toBe<
      Effect.Effect<
        Flight,
        | CardDeclined
        | NoSeats
        | Saga.CompensationFailed<NoSeats, CancelRefused>
        | Saga.CompensationFailed<
          CardDeclined | NoSeats | Saga.CompensationFailed<NoSeats, CancelRefused>,
          RefundRefused
        >,
        Bank | Airline
      >
    >()
    expect(Saga.transact(nested)).type.toBe<typeof nested>()
  })

  test("stays usable in generic functions", () => {
    expect(closed(chargeStep)).type.toBe<Closed>()
    expect(piped(chargeStep)).type.toBe<Closed>()
    expect(closed(noteStep)).type.toBe<Effect.Effect<void>>()
    expect(charged(bookStep)).type.toBe<
      Effect.Effect<
        Flight,
        CardDeclined | NoSeats | Saga.CompensationFailed<CardDeclined | NoSeats, RefundRefused | CancelRefused>,
        Bank | Airline
      >
    >()
    expect(withStack(chargeStep)).type.toBe<Closed>()
    expect(onlyStack(Effect.provideService(chargeStep, Bank, { name: "bank" }))).type.toBe<
      Effect.Effect<Charge, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>>
    >()
  })

  test("infers from an effect written in place as from one in a variable", () => {
    expect(Saga.transact(Effect.succeed([]))).type.toBe(Effect.succeed([]))
    expect(Saga.transact(Effect.succeed({ kind: "a", values: [1, "b"] }))).type.toBe(
      Effect.succeed({ kind: "a", values: [1, "b"] })
    )
    expect(Saga.transact(Effect.fail("a"))).type.toBe(Effect.fail("a"))
    expect(Saga.savepoint(Effect.fail("a"))).type.toBe(Effect.fail("a"))
    expect(Saga.transact(
      Effect.gen(function*() {
        yield* chargeStep
        return "paid"
      }),
      {
        compensateWhen: (cause) => {
          expect(cause).type.toBe<Cause.Cause<unknown>>()
          return true
        }
      }
    )).type.toBe<
      Effect.Effect<string, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    >()
    chargeStep.pipe(Saga.transact({
      compensateWhen: (cause) => {
        expect(cause).type.toBe<Cause.Cause<unknown>>()
        return true
      }
    }))
  })

  test("names its result as a type", () => {
    expect<Saga.transact.Incomplete<CardDeclined, Saga.Pivot>>().type.toBe<Saga.CommittedIncomplete<CardDeclined>>()
    expect<Saga.transact.Incomplete<CardDeclined, Bank>>().type.toBe<never>()
    expect<Saga.transact.Without<Bank | Saga.Pivot | Saga.CompensationStack<RefundRefused>>>().type.toBe<Bank>()
    expect<Saga.transact.Without<unknown>>().type.toBe<unknown>()
    expect<Saga.transact.TimeLimit<{}>>().type.toBe<never>()
    expect<Saga.transact.TimeLimit<{ readonly unwindTimeout: "1 second" }>>().type.toBe<Cause.TimeoutError>()
    expect<Saga.Failure<CardDeclined, never>>().type.toBe<never>()
    expect<Saga.Failure<CardDeclined, RefundRefused>>().type.toBe<
      Saga.CompensationFailed<CardDeclined, RefundRefused>
    >()
    expect<Saga.CompensationStack.Error<Bank | Saga.CompensationStack<RefundRefused>>>().type.toBe<RefundRefused>()
    expect<Saga.CompensationStack.Exclude<Bank | Saga.CompensationStack<RefundRefused>>>().type.toBe<Bank>()
  })

  test("catchTag narrows the errors of a closed saga", () => {
    const closed = Saga.transact(chargeStep)

    expect(Effect.catchTag(closed, "CardDeclined", () => Effect.succeed(null))).type.toBe<
      Effect.Effect<Charge | null, Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    >()
    const handled = closed.pipe(
      Effect.catchTag("CompensationFailed", (error) => {
        expect(error).type.toBe<Saga.CompensationFailed<CardDeclined, RefundRefused>>()
        expect(error.saga).type.toBe<string>()
        expect(error.reason).type.toBe<Cause.Cause<CardDeclined>>()
        expect(error.failures).type.toBe<ReadonlyArray<Saga.StepFailure<RefundRefused>>>()
        expect(error.failures[0]!.cause).type.toBe<Cause.Cause<RefundRefused>>()
        expect(error.cause).type.toBe<Cause.Cause<CardDeclined | RefundRefused>>()
        expect(error.report).type.toBe<SagaReport.SagaReport>()
        expect(error.message).type.toBe<string>()
        return Effect.succeed(undefined)
      })
    )
    expect(handled).type.toBe<Effect.Effect<Charge | undefined, CardDeclined, Bank>>()
    expect(closed.pipe(Effect.catchTags({
      CardDeclined: ({ card }) => Effect.succeed(card),
      CompensationFailed: ({ saga }) => Effect.succeed(saga)
    }))).type.toBe<Effect.Effect<Charge | string, never, Bank>>()
  })

  test("catchTag narrows CommittedIncomplete", () => {
    Saga.pivot(charge).pipe(
      Saga.transact,
      Effect.catchTag("CommittedIncomplete", (error) => {
        expect(error.reason).type.toBe<Cause.Cause<CardDeclined>>()
        expect(error.report).type.toBe<SagaReport.SagaReport>()
        return Effect.void
      })
    )
  })

  test("a saga that was never closed does not run", () => {
    // @ts-expect-error Type 'CompensationStack<never>' is not assignable to type 'never'
    Effect.runPromise(noteStep)
    // @ts-expect-error Type 'CompensationStack<never>' is not assignable to type 'never'
    Effect.runSync(noteStep)
    // @ts-expect-error Type 'CompensationStack<RefundRefused>' is not assignable to type 'never'
    Effect.runPromise(Effect.provideService(chargeStep, Bank, { name: "bank" }))
    // @ts-expect-error Type 'CompensationStack<never>' is not assignable to type 'never'
    Effect.runFork(Effect.gen(function*() {
      yield* noteStep
    }))
    // @ts-expect-error CompensationStack<never>
    Effect.runPromise(Saga.pivot(note))
  })

  test("an unhandled CompensationFailed is no never", () => {
    // @ts-expect-error CompensationFailed<CardDeclined, RefundRefused>
    const neverFails: Effect.Effect<Charge | null, never, Bank> = chargeStep.pipe(
      Saga.transact,
      Effect.catchTag("CardDeclined", () => Effect.succeed(null))
    )
    // @ts-expect-error CompensationFailed<CardDeclined, RefundRefused>
    const onlyDeclined: Effect.Effect<Charge, CardDeclined, Bank> = Saga.transact(chargeStep)

    expect(neverFails).type.toBeAssignableTo<Effect.Effect<unknown, never, Bank>>()
    expect(onlyDeclined).type.toBeAssignableTo<Effect.Effect<unknown, unknown, Bank>>()
  })

  test("catchTag for CompensationFailed does not compile where no compensation can fail", () => {
    // @ts-expect-error "CompensationFailed"
    noteStep.pipe(Effect.andThen(charge), Saga.transact, Effect.catchTag("CompensationFailed", () => Effect.void))
  })

  test("a compensation that is a saga has to handle or pass on its failures", () => {
    expect(Saga.step(book, () => Saga.transact(chargeStep))).type.toBe<
      Effect.Effect<
        Flight,
        NoSeats,
        | Airline
        | Bank
        | Saga.CompensationStack<CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>>
      >
    >()
  })

  test("rejects wrong options", () => {
    // @ts-expect-error 'nmae' does not exist in type
    Saga.transact(chargeStep, { nmae: "order" })
    // @ts-expect-error Type 'string' is not assignable to type 'never'
    Saga.transact(chargeStep, { name: "order", compensationTimeOut: "1 second" })
    // @ts-expect-error 'nmae' does not exist in type
    chargeStep.pipe(Saga.transact({ nmae: "order" }))
    // @ts-expect-error Type 'string' is not assignable to type 'never'
    chargeStep.pipe(Saga.transact({ name: "order", compensationTimeOut: "1 second" }))
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Saga.transact(chargeStep, { name: 1 })
    // @ts-expect-error Type '"park"' is not assignable to type '"continue" | "stop"
    Saga.transact(chargeStep, { onCompensationFailure: "park" })
    // @ts-expect-error Type '"soon"' is not assignable to type
    Saga.transact(chargeStep, { compensationTimeout: "soon" })
    // @ts-expect-error Type 'boolean' is not assignable to type
    Saga.transact(chargeStep, { compensateWhen: true })
    // @ts-expect-error Type 'string' is not assignable to type 'boolean'
    Saga.transact(chargeStep, { compensateWhen: () => "yes" })
    // @ts-expect-error "order"
    Saga.transact(chargeStep, "order")
  })

  test("closes the body of Effect.fn, and takes none of its arguments for options", () => {
    expect(
      Effect.fn("order")(function*() {
        return yield* chargeStep
      }, Saga.transact)
    ).type.toBe<() => Closed>()
    expect(
      Effect.fn("order")(function*(_amount: number) {
        return yield* chargeStep
      }, Saga.transact({ name: "order" }))
    ).type.toBe<(_amount: number) => Closed>()
    // @ts-expect-error No overload matches this call
    Effect.fn("order")((amount: number) => pay(amount), Saga.transact)
  })
})

describe("fn", () => {
  test("gives back a function with the arguments of the body whose calls are closed sagas", () => {
    const order = Saga.fn("order")(function*(amount: number, note?: string) {
      const charged = yield* chargeStep
      return charged.amount + amount > 3 ? note : null
    })

    expect(order).type.toBe<
      (amount: number, note?: string) => Effect.Effect<
        string | null | undefined,
        CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>,
        Bank
      >
    >()
  })

  test("adds nothing where no compensation can fail", () => {
    expect(
      Saga.fn("note")(function*() {
        yield* noteStep
      })
    ).type.toBe<() => Effect.Effect<void>>()
    expect(
      Saga.fn("empty")(function*() {
        return 1
      })
    ).type.toBe<() => Effect.Effect<number>>()
    expect(
      Saga.fn("fails")(function*() {
        return yield* new NoSeats()
      })
    ).type.toBe<() => Effect.Effect<never, NoSeats>>()
  })

  test("knows pivots", () => {
    expect(
      Saga.fn("pay")(function*(...charges: ReadonlyArray<number>) {
        yield* Saga.pivot(charge)
        return charges
      })
    ).type.toBe<
      (...charges: ReadonlyArray<number>) => Effect.Effect<
        ReadonlyArray<number>,
        CardDeclined | Saga.CommittedIncomplete<CardDeclined>,
        Bank
      >
    >()
  })

  test("takes the options of transact and of a span", () => {
    expect(
      Saga.fn("order", { compensationTimeout: "1 second", attributes: { shop: 1 }, kind: "client" })(function*() {
        yield* noteStep
      })
    ).type.toBe<() => Effect.Effect<void, Saga.CompensationFailed<never, Cause.TimeoutError>>>()
    expect(
      Saga.fn("order", {
        onCompensationFailure: "stop",
        compensateWhen: (cause) => {
          expect(cause).type.toBe<Cause.Cause<unknown>>()
          return true
        }
      })(function*() {
        yield* noteStep
      })
    ).type.toBe<() => Effect.Effect<void>>()
  })

  test("keeps a type parameter of the body", () => {
    const same = Saga.fn("same")(function*<A>(value: A) {
      yield* noteStep
      return value
    })

    expect(same("a" as const)).type.toBe<Effect.Effect<"a">>()
    expect(same(1 as number)).type.toBe<Effect.Effect<number>>()
  })

  test("keeps the this of the body", () => {
    class Shop {
      readonly limit: number = 3
      readonly order = Saga.fn("order")(function*(this: Shop, amount: number) {
        yield* noteStep
        return amount < this.limit
      })
    }

    expect(new Shop().order).type.toBe<(this: Shop, amount: number) => Effect.Effect<boolean>>()
  })

  test("takes an annotated body", () => {
    expect(
      Saga.fn("order")(
        function*(
          amount: number
        ): Effect.fn.Return<number, CardDeclined, Bank | Saga.CompensationStack<RefundRefused>> {
          yield* chargeStep
          return amount
        }
      )
    ).type.toBe<
      (amount: number) => Effect.Effect<
        number,
        CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>,
        Bank
      >
    >()
  })

  test("rejects wrong names, options and bodies", () => {
    // @ts-expect-error Expected 1-2 arguments, but got 0
    Saga.fn()
    // @ts-expect-error Argument of type 'number' is not assignable to parameter of type 'string'
    Saga.fn(1)
    // @ts-expect-error Type '"park"' is not assignable to type '"continue" | "stop"
    Saga.fn("order", { onCompensationFailure: "park" })
    // @ts-expect-error Type 'string' is not assignable to type 'never'
    Saga.fn("order", { onCompensationFailure: "stop", compensationTimeOut: "1 second" })
    // @ts-expect-error Type 'string' is not assignable to type 'never'
    Saga.fn("order", { name: "other", onCompensationFailure: "stop" })
    // @ts-expect-error is missing the following properties from type 'Generator<
    Saga.fn("order")(() => chargeStep)
    // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'number'
    Saga.fn("order")(function*(_amount: number) {})("1")
  })
})

describe("report", () => {
  test("finds a report in a cause of any error", () => {
    expect(Saga.report).type.toBe<(cause: Cause.Cause<unknown>) => Option.Option<SagaReport.SagaReport>>()
    expect(Saga.report(Cause.fail(new CardDeclined({ card: "1" })))).type.toBe<
      Option.Option<SagaReport.SagaReport>
    >()
    // @ts-expect-error is not assignable to parameter of type 'Cause<unknown>'
    Saga.report(new CardDeclined({ card: "1" }))
  })
})

describe("errors", () => {
  test("are covariant in what they fail with", () => {
    expect<Saga.CompensationFailed<CardDeclined, RefundRefused>>().type.toBeAssignableTo<
      Saga.CompensationFailed<CardDeclined | NoSeats, unknown>
    >()
    expect<Saga.CompensationFailed<CardDeclined | NoSeats, RefundRefused>>().type.not.toBeAssignableTo<
      Saga.CompensationFailed<CardDeclined, RefundRefused>
    >()
    expect<Saga.CommittedIncomplete<CardDeclined>>().type.toBeAssignableTo<Saga.CommittedIncomplete<unknown>>()
    expect<Saga.CommittedIncomplete<unknown>>().type.not.toBeAssignableTo<Saga.CommittedIncomplete<CardDeclined>>()
    expect<Saga.CompensationStack<RefundRefused>>().type.toBeAssignableTo<Saga.CompensationStack<unknown>>()
    expect<Saga.CompensationStack<unknown>>().type.not.toBeAssignableTo<Saga.CompensationStack<RefundRefused>>()
  })

  test("are errors that can be yielded", () => {
    const failed = Saga.transact(chargeStep).pipe(
      Effect.catchTag(
        "CompensationFailed",
        Effect.fnUntraced(function*(error) {
          return yield* error
        })
      )
    )

    expect(failed).type.toBe<
      Effect.Effect<Charge, CardDeclined | Saga.CompensationFailed<CardDeclined, RefundRefused>, Bank>
    >()
    expect<Saga.CompensationFailed<CardDeclined, RefundRefused>>().type.toBeAssignableTo<Error>()
    expect<Saga.CommittedIncomplete<CardDeclined>>().type.toBeAssignableTo<Error>()
  })

  test("have schemas made of those of their errors", () => {
    const failed = Saga.CompensationFailed.schema({
      error: Schema.Literal("declined"),
      compensationError: Schema.NumberFromString
    })
    const incomplete = Saga.CommittedIncomplete.schema({ error: Schema.NumberFromString })

    expect<typeof failed.Type>().type.toBe<Saga.CompensationFailed<"declined", number>>()
    expect<typeof failed.DecodingServices>().type.toBe<never>()
    expect<typeof failed.EncodingServices>().type.toBe<never>()
    expect<typeof failed.Encoded._tag>().type.toBe<"CompensationFailed">()
    expect<typeof incomplete.Type>().type.toBe<Saga.CommittedIncomplete<number>>()
    expect<typeof incomplete.Encoded._tag>().type.toBe<"CommittedIncomplete">()
    expect(Schema.decodeUnknownEffect(failed)({})).type.toBe<
      Effect.Effect<Saga.CompensationFailed<"declined", number>, Schema.SchemaError>
    >()
    // @ts-expect-error Property 'compensationError' is missing in type
    Saga.CompensationFailed.schema({ error: Schema.String })
  })

  test("say where each failure comes from", () => {
    expect(Saga.FailureOrigin.Service).type.toBe<{
      readonly step: string | undefined
      readonly phase: "action" | "compensation"
    }>()
  })
})
