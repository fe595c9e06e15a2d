import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Option, Schema } from "effect"
import { Saga } from "effect-saga"
import { makeLedger } from "./support/ledger.ts"
import { outcomesIn } from "./support/results.ts"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly card: string }> {}

class BrokenPipe extends Error {
  override readonly name = "BrokenPipe"
}

const names = (count: number, prefix: string) => Array.from({ length: count }, (_, index) => prefix + index)

describe("a saga that succeeds", () => {
  it.effect("returns the results of its steps and undoes none of them", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        const flight = yield* ledger.step("flight")
        const hotel = yield* ledger.step("hotel")
        const car = yield* ledger.step("car")
        return [flight, hotel, car]
      }).pipe(Saga.transact)

      const results = yield* saga

      assert.deepStrictEqual(results, ["flight", "hotel", "car"])
      assert.deepStrictEqual(yield* ledger.lines, ["flight", "hotel", "car"])
    }))

  it.effect("has the value of its body where it has no step", () =>
    Effect.gen(function*() {
      const saga = Saga.transact(Effect.succeed("nothing to do"))

      const value = yield* saga

      assert.strictEqual(value, "nothing to do")
    }))

  it.effect("runs again from the start, with nothing left over from the run before", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.transact(ledger.step("flight"))

      yield* saga
      yield* saga
      yield* saga.pipe(Effect.andThen(Effect.fail("stop")), Effect.flip)

      assert.deepStrictEqual(yield* ledger.lines, ["flight", "flight", "flight"])
    }))
})

describe("a step that fails", () => {
  it.effect("is all that a saga of one step reports, and nothing else runs", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const declined = new CardDeclined({ card: "4242" })
      const saga = Saga.step(Effect.fail(declined), () => ledger.note("undo charge"), { name: "charge" }).pipe(
        Effect.andThen(ledger.step("ship")),
        Saga.transact
      )

      const exit = yield* Effect.exit(saga)

      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isSuccess(exit)) return
      assert.deepStrictEqual(exit.cause.reasons.map((reason) => reason._tag), ["Fail"])
      assert.strictEqual(Option.getOrThrow(Cause.findErrorOption(exit.cause)), declined)
      assert.deepStrictEqual(outcomesIn(exit.cause), ["charge: Failed"])
      assert.deepStrictEqual(yield* ledger.lines, [])
    }))

  it.effect("undoes the steps before it in reverse order, and those after it never start", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* ledger.step("b")
        yield* Saga.step(Effect.fail("c failed"), () => ledger.note("undo c"))
        yield* ledger.step("d")
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, "c failed")
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "undo b", "undo a"])
    }))

  it.effect.prop(
    "undoes exactly the steps before it, in strict reverse, wherever in the saga it is",
    {
      before: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
      after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))
    },
    ({ after, before }) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const saga = Effect.gen(function*() {
          for (const name of names(before, "before ")) yield* ledger.step(name)
          yield* Saga.step(Effect.fail("failed"), () => ledger.note("undo failed"))
          for (const name of names(after, "after ")) yield* ledger.step(name)
        }).pipe(Saga.transact)

        yield* Effect.flip(saga)

        const done = names(before, "before ")
        assert.deepStrictEqual(yield* ledger.lines, [...done, ...done.toReversed().map((name) => `undo ${name}`)])
      })
  )

  it.effect("is not compensated itself, since it has done nothing", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.step(
        Effect.andThen(ledger.note("charge"), Effect.fail(new CardDeclined({ card: "4242" }))),
        () => ledger.note("undo charge"),
        { name: "charge" }
      ).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["charge"])
      assert.deepStrictEqual(outcomesIn(cause), ["charge: Failed"])
    }))

  it.effect.each<readonly [what: string, failure: unknown]>([
    ["null", null],
    ["undefined", undefined],
    ["zero", 0],
    ["false", false],
    ["an empty string", ""],
    ["not a number", Number.NaN],
    ["a plain object", { code: 17 }],
    ["an array", ["a", "b"]]
  ])(
    "fails the saga with the very value it failed with: %s",
    ([, failure]) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const saga = Effect.gen(function*() {
          yield* ledger.step("a")
          yield* Saga.step(Effect.fail(failure), () => ledger.note("undo b"))
        }).pipe(Saga.transact)

        const error = yield* Effect.flip(saga)

        assert.isTrue(Object.is(error, failure))
        assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
      })
  )
})

describe("a step that is compensated whatever its outcome", () => {
  it.effect("is the first to be compensated when it fails, and its compensation gets the failure", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const seen: Array<Exit.Exit<string, CardDeclined>> = []
      const declined = new CardDeclined({ card: "4242" })
      const charge: Effect.Effect<string, CardDeclined> = Effect.fail(declined)
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* ledger.step("b")
        yield* Saga.stepExit(
          charge,
          (exit) => Effect.andThen(Effect.sync(() => seen.push(exit)), ledger.note("undo c"))
        )
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, declined)
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "undo c", "undo b", "undo a"])
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(Option.getOrThrow(Exit.findErrorOption(seen[0]!)), declined)
    }))

  it.effect("is compensated when its action dies, and its compensation gets the defect", () =>
    Effect.gen(function*() {
      const defect = new BrokenPipe("gone")
      const seen: Array<Exit.Exit<string>> = []
      const charge: Effect.Effect<string> = Effect.die(defect)
      const saga = Saga.transact(Saga.stepExit(charge, (exit) => Effect.sync(() => seen.push(exit))))

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.strictEqual(Cause.squash(cause), defect)
      assert.deepStrictEqual(
        seen.map((exit) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit.value),
        [defect]
      )
    }))

  it.effect("is compensated with its success where a later step fails", () =>
    Effect.gen(function*() {
      const seen: Array<Exit.Exit<number>> = []
      const saga = Saga.stepExit(Effect.succeed(42), (exit) => Effect.sync(() => seen.push(exit))).pipe(
        Effect.andThen(Effect.fail("later")),
        Saga.transact
      )

      yield* Effect.flip(saga)

      assert.deepStrictEqual(seen, [Exit.succeed(42)])
    }))

  it.effect("can be one that acts on failure only, which is skipped when a later step fails", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const onFailureOnly = (name: string, action: Effect.Effect<void, string>) =>
        Saga.stepExit(action, (exit) => Exit.isFailure(exit) ? ledger.note(`clean up ${name}`) : Effect.void)
      const saga = Effect.gen(function*() {
        yield* onFailureOnly("a", ledger.note("a"))
        yield* onFailureOnly("b", Effect.fail("b failed"))
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* ledger.lines, ["a", "clean up b"])
    }))

  it.effect("can be one that acts on success only, which is skipped when its own action fails", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const onSuccessOnly = (name: string, action: Effect.Effect<void, string>) =>
        Saga.stepExit(action, (exit) => Exit.isSuccess(exit) ? ledger.note(`undo ${name}`) : Effect.void)
      const saga = Effect.gen(function*() {
        yield* onSuccessOnly("a", ledger.note("a"))
        yield* onSuccessOnly("b", Effect.fail("b failed"))
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("is not compensated where the saga succeeds although its action failed and was recovered", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.stepExit(Effect.fail("busy"), () => ledger.note("undo")).pipe(
        Effect.catch(() => Effect.succeed("went another way")),
        Saga.transact
      )

      const value = yield* saga

      assert.strictEqual(value, "went another way")
      assert.deepStrictEqual(yield* ledger.lines, [])
    }))
})

describe("a step without compensation", () => {
  it.effect("stands between two others that are both undone, and is reported as what it is", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* Saga.step(ledger.note("look up"), Saga.noCompensation, { name: "look up" })
        yield* ledger.step("b")
        yield* Saga.step(Effect.fail("failed"), Saga.noCompensation, { name: "c" })
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["a", "look up", "b", "undo b", "undo a"])
      assert.deepStrictEqual(outcomesIn(cause), [
        "a: Compensated",
        "look up: NoCompensation",
        "b: Compensated",
        "c: Failed"
      ])
    }))

  it.effect("can be a plain effect, which the report does not know", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* ledger.note("plain")
        yield* ledger.step("b")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["a", "plain", "b", "undo b", "undo a"])
      assert.deepStrictEqual(outcomesIn(cause), ["a: Compensated", "b: Compensated"])
    }))
})

describe("the value of a step", () => {
  it.effect("reaches a later step and its own compensation as the very same value, with its type", () =>
    Effect.gen(function*() {
      interface Flight {
        readonly id: number
        readonly seats: ReadonlyArray<string>
      }
      const flight: Flight = { id: 7, seats: ["12A"] }
      const seen: Array<readonly [who: string, flight: Flight, seat: string | undefined]> = []
      const saga = Effect.gen(function*() {
        const booked = yield* Saga.step(
          Effect.succeed(flight),
          (booked) => Effect.sync(() => seen.push(["compensation", booked, booked.seats[0]]))
        )
        yield* Saga.step(Effect.succeed("hotel"), Saga.noCompensation)
        yield* Saga.step(Effect.sync(() => seen.push(["third step", booked, booked.seats[0]])), Saga.noCompensation)
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(seen.map(([who, , seat]) => [who, seat]), [["third step", "12A"], ["compensation", "12A"]])
      assert.isTrue(seen.every(([, booked]) => booked === flight))
    }))

  it.effect("reaches its compensation together with the cause of the failure", () =>
    Effect.gen(function*() {
      const declined = new CardDeclined({ card: "4242" })
      const seen: Array<readonly [value: number, failure: unknown]> = []
      const saga = Saga.step(
        Effect.succeed(1),
        (value, cause) => Effect.sync(() => seen.push([value, Cause.squash(cause)]))
      ).pipe(Effect.andThen(Effect.fail(declined)), Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(seen, [[1, declined]])
      assert.strictEqual(seen[0]![1], declined)
    }))

  it.effect.each<readonly [what: string, value: unknown]>([
    ["an array", ["a", "b"]],
    ["an empty array", []],
    ["null", null],
    ["undefined", undefined],
    ["false", false],
    ["zero", 0],
    ["an empty string", ""],
    ["not a number", Number.NaN],
    ["an error", new CardDeclined({ card: "4242" })],
    ["a failed exit", Exit.fail("an exit")],
    ["an empty option", Option.none()]
  ])("arrives unchanged and is no failure, whatever it is: %s", ([, value]) =>
    Effect.gen(function*() {
      const undone: Array<unknown> = []
      const step = Saga.step(Effect.succeed(value), (given) =>
        Effect.sync(() => {
          undone.push(given)
        }))

      const succeeded = yield* Saga.transact(step)
      const failed = yield* step.pipe(
        Effect.flatMap((passed) => Effect.fail({ passed })),
        Saga.transact,
        Effect.flip
      )

      assert.isTrue(Object.is(succeeded, value))
      assert.isTrue(Object.is(failed.passed, value))
      assert.strictEqual(undone.length, 1)
      assert.isTrue(Object.is(undone[0], value))
    }))
})

describe("where effects come from", () => {
  const actions = {
    "a value": Effect.succeed(1),
    "a synchronous function": Effect.sync(() => 1),
    "a synchronous function that may throw": Effect.try({ try: () => 1, catch: (error) => error }),
    "a promise": Effect.promise(() => Promise.resolve(1)),
    "a promise that may reject": Effect.tryPromise({ try: () => Promise.resolve(1), catch: (error) => error }),
    "a callback": Effect.callback<number>((resume) => queueMicrotask(() => resume(Effect.succeed(1))))
  }

  const failures = {
    "an effect that fails": Effect.fail("failed"),
    "a function that throws": Effect.try({
      try: () => {
        throw "failed"
      },
      catch: (error) => error
    }),
    "a promise that rejects": Effect.tryPromise({ try: () => Promise.reject("failed"), catch: (error) => error }),
    "a callback that fails": Effect.callback<never, string>((resume) =>
      queueMicrotask(() => resume(Effect.fail("failed")))
    )
  }

  it.effect("makes no difference to a saga that succeeds", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.forEach(
        Object.entries(actions),
        ([name, action]) => Saga.step(action, () => ledger.note(`undo ${name}`))
      ).pipe(Saga.transact)

      const values = yield* saga

      assert.deepStrictEqual(values, [1, 1, 1, 1, 1, 1])
      assert.deepStrictEqual(yield* ledger.lines, [])
    }))

  it.effect.each(Object.entries(failures))(
    "makes no difference to a failure: %s",
    ([, failure]) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const saga = Effect.gen(function*() {
          for (const [name, action] of Object.entries(actions)) {
            yield* Saga.step(action, () => ledger.note(`undo ${name}`))
          }
          yield* Saga.step(failure, () => ledger.note("undo failure"))
        }).pipe(Saga.transact)

        const error = yield* Effect.flip(saga)

        assert.strictEqual(error, "failed")
        assert.deepStrictEqual(yield* ledger.lines, Object.keys(actions).toReversed().map((name) => `undo ${name}`))
      })
  )

  it.effect("makes no difference to compensations, which are awaited one after another", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        for (const [name, effect] of Object.entries(actions)) {
          yield* Saga.step(Effect.void, () =>
            ledger.note(`start ${name}`).pipe(Effect.andThen(effect), Effect.andThen(ledger.note(`end ${name}`))))
        }
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(
        yield* ledger.lines,
        Object.keys(actions).toReversed().flatMap((name) => [`start ${name}`, `end ${name}`])
      )
    }))
})

describe("plain code between steps", () => {
  it.effect("undoes the steps before it when it fails", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        const total = yield* Effect.succeed(250)
        if (total > 100) return yield* Effect.fail("limit passed")
        return yield* ledger.step("b")
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, "limit passed")
      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("undoes the steps before it when it throws, and what it threw stays a defect", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const bug = new TypeError("x is not a function")
      const calculate = (): string => {
        throw bug
      }
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* ledger.step("b")
        return yield* ledger.step(calculate())
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(cause.reasons.map((reason) => reason._tag), ["Die"])
      assert.strictEqual(Cause.squash(cause), bug)
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "undo b", "undo a"])
    }))

  it.effect("undoes the steps before it when it throws in a callback of a combinator", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const bug = new TypeError("x is not a function")
      const saga = ledger.step("a").pipe(
        Effect.map((): string => {
          throw bug
        }),
        Effect.flatMap(ledger.step),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.strictEqual(Cause.squash(cause), bug)
      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("undoes nothing when its failure is handled inside the saga", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("a")
        yield* Effect.catch(Effect.fail("no discount"), () => Effect.void)
        yield* ledger.step("b")
      }).pipe(Saga.transact)

      yield* saga

      assert.deepStrictEqual(yield* ledger.lines, ["a", "b"])
    }))
})

describe("composition", () => {
  it.effect("puts the steps of all pieces on one stack, whichever combinator joined them", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = ledger.step("first").pipe(
        Effect.map((name) => name.length),
        Effect.flatMap((length) => ledger.step(`flatMap ${length}`)),
        Effect.andThen(Effect.flatten(Effect.map(ledger.step("outer"), () => ledger.step("flatten")))),
        Effect.andThen(Effect.zip(ledger.step("zip left"), ledger.step("zip right"))),
        Effect.andThen(Effect.forEach(["x", "y"], (name) => ledger.step(`traverse ${name}`))),
        Effect.tap(ledger.step("tap")),
        Effect.andThen(Effect.fail("failed")),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      const done = [
        "first",
        "flatMap 5",
        "outer",
        "flatten",
        "zip left",
        "zip right",
        "traverse x",
        "traverse y",
        "tap"
      ]
      assert.strictEqual(error, "failed")
      assert.deepStrictEqual(yield* ledger.lines, [...done, ...done.toReversed().map((name) => `undo ${name}`)])
    }))

  it.effect("lets a function that returns steps be part of any saga", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const bookTrip = Effect.fnUntraced(function*(name: string) {
        yield* ledger.step(`flight of ${name}`)
        yield* ledger.step(`hotel of ${name}`)
      })
      const saga = Effect.gen(function*() {
        yield* bookTrip("Ada")
        yield* bookTrip("Bob")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual((yield* ledger.lines).slice(4), [
        "undo hotel of Bob",
        "undo flight of Bob",
        "undo hotel of Ada",
        "undo flight of Ada"
      ])
    }))

  it.effect("takes a step data-last just as data-first", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = ledger.note("a").pipe(
        Effect.as("a"),
        Saga.step((value) => ledger.note(`undo ${value}`), { name: "a" }),
        Effect.andThen(Effect.fail("failed").pipe(Saga.stepExit(() => ledger.note("undo b"), { name: "b" }))),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo b", "undo a"])
      assert.deepStrictEqual(outcomesIn(cause), ["a: Compensated", "b: Compensated"])
    }))
})
