import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Effect, Exit, Fiber, Latch, Option } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { makeLedgerUnsafe } from "./support/ledger.ts"
import { causeOf, outcomesOf, reportOf } from "./support/results.ts"

class Declined extends Data.TaggedError("Declined")<{ readonly attempt?: number }> {}

class OutOfStock extends Data.TaggedError("OutOfStock") {}

class RefundRefused extends Data.TaggedError("RefundRefused") {}

/** An effect that fails the first `times` times that it runs. */
const failing = (times: number) => {
  let attempt = 0
  return Effect.suspend(() => ++attempt <= times ? Effect.fail(new Declined({ attempt })) : Effect.succeed(attempt))
}

const defectMessage = <A, E>(exit: Exit.Exit<A, E>): string => {
  const defect = causeOf(exit).reasons.find(Cause.isDieReason)?.defect
  return defect instanceof Error ? defect.message : `no defect: ${String(defect)}`
}

describe("undoing and redoing a part", () => {
  it.effect("keeps what was done before the part and redoes the part until it succeeds", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const ship = failing(2)

      const attempts = yield* Effect.gen(function*() {
        yield* step("reserve")
        return yield* step("charge").pipe(
          Effect.andThen(ship),
          Saga.savepoint,
          Effect.retry({ times: 2 })
        )
      }).pipe(Saga.transact)

      assert.strictEqual(attempts, 3)
      assert.deepStrictEqual(lines, ["reserve", "charge", "undo charge", "charge", "undo charge", "charge"])
    }))

  it.effect("leaves the part that was redone on the stack, once", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const ship = failing(1)

      const exit = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* step("charge").pipe(Effect.andThen(ship), Saga.savepoint, Effect.retry({ times: 1 }))
        yield* step("pack")
        return yield* new OutOfStock()
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, [
        "reserve",
        "charge",
        "undo charge",
        "charge",
        "pack",
        "undo pack",
        "undo charge",
        "undo reserve"
      ])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new OutOfStock()))
      assert.deepStrictEqual(outcomesOf(exit), [
        "reserve: Compensated",
        "savepoint/charge: Compensated",
        "savepoint#2/charge: Compensated",
        "pack: Compensated"
      ])
    }))

  it.effect("undoes the whole saga when the part fails for the last time", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const ship = failing(3)

      const error = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* step("charge").pipe(Effect.andThen(ship), Saga.savepoint, Effect.retry({ times: 1 }))
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({ attempt: 2 }))
      assert.deepStrictEqual(lines, ["reserve", "charge", "undo charge", "charge", "undo charge", "undo reserve"])
    }))

  it.effect("is not redone when it could not be undone and the retry leaves CompensationFailed alone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const charge = Saga.step(note("charge"), () => Effect.fail(new RefundRefused()), { name: "charge" })

      const exit = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* charge.pipe(
          Effect.andThen(failing(1)),
          Saga.savepoint,
          Effect.retry({ times: 1, while: (error) => error._tag !== "CompensationFailed" })
        )
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["reserve", "charge", "undo reserve"])
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      assert.strictEqual(error._tag, "CompensationFailed")
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "savepoint/charge: CompensationFailed"])
      assert.strictEqual(reportOf(exit).status, "Failed")
    }))
})

/** A savepoint that fails and can not be undone. */
const stuckPart = (name: string) =>
  Saga.step(Effect.void, () => Effect.fail(new RefundRefused()), { name }).pipe(
    Effect.andThen(Effect.fail(new Declined({}))),
    Saga.savepoint
  )

describe("a part that could not be undone", () => {
  it.effect("ends the saga with an error that tells how the whole saga ended", () =>
    Effect.gen(function*() {
      const { step } = makeLedgerUnsafe()

      const error = yield* Effect.andThen(step("reserve"), stuckPart("charge")).pipe(
        Saga.transact({ name: "order" }),
        Effect.flip
      )

      if (error._tag !== "CompensationFailed") return assert.fail(`The saga failed with ${error._tag}.`)
      assert.strictEqual(error.report.status, "Failed")
      assert.deepStrictEqual(error.report.steps.map(({ outcome, path }) => `${path}: ${outcome}`), [
        "reserve: Compensated",
        "savepoint/charge: CompensationFailed"
      ])
      assert.include(error.message, "Saga \"order\" failed and could not be undone completely.")
      assert.include(error.message, "Left to undo: savepoint/charge.")
    }))

  it.effect("is among the failures of the saga when another part ends it, too", () =>
    Effect.gen(function*() {
      const saga = Effect.andThen(Effect.ignore(stuckPart("charge")), stuckPart("ship"))

      const error = yield* saga.pipe(Saga.transact, Effect.flip)

      if (error._tag !== "CompensationFailed") return assert.fail(`The saga failed with ${error._tag}.`)
      assert.deepStrictEqual(error.failures.map(({ step }) => step), ["savepoint/charge", "savepoint#2/ship"])
    }))

  it.effect("makes a saga that goes on and fails later fail with CompensationFailed", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const error = yield* step("reserve").pipe(
        Effect.andThen(Effect.ignore(stuckPart("charge"))),
        Effect.andThen(step("pack")),
        Effect.andThen(Effect.fail(new OutOfStock())),
        Saga.transact,
        Effect.flip
      )

      if (error._tag !== "CompensationFailed") return assert.fail(`The saga failed with ${error._tag}.`)
      assert.deepStrictEqual(lines, ["reserve", "pack", "undo pack", "undo reserve"])
      assert.deepStrictEqual(error.failures.map(({ step }) => step), ["savepoint/charge"])
      assert.deepStrictEqual(Cause.findErrorOption(error.reason), Option.some(new OutOfStock()))
    }))

  it.effect("does not keep a saga that goes on from succeeding", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      yield* Effect.andThen(Effect.ignore(stuckPart("charge")), step("pack")).pipe(Saga.transact)

      assert.deepStrictEqual(lines, ["pack"])
    }))
})

describe("a fallback", () => {
  it.effect("of the failed step continues the saga with its value", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const cheap = Saga.step(Effect.as(note("cheap"), "cheap hotel"), () => note("undo cheap"), { name: "cheap" })
      const dear = Saga.step(
        Effect.andThen(note("dear"), Effect.fail(new Declined({}))),
        () => note("undo dear"),
        { name: "dear" }
      )

      const hotel = yield* Effect.gen(function*() {
        yield* step("flight")
        return yield* Effect.catchTag(dear, "Declined", () => cheap)
      }).pipe(Saga.transact)

      assert.strictEqual(hotel, "cheap hotel")
      assert.deepStrictEqual(lines, ["flight", "dear", "cheap"])
    }))

  it.effect("is undone like any other step when the saga fails later", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const dear = Saga.step(Effect.fail(new Declined({})), () => note("undo dear"), { name: "dear" })

      const exit = yield* Effect.gen(function*() {
        yield* step("flight")
        yield* Effect.catchTag(dear, "Declined", () => step("cheap"))
        return yield* new OutOfStock()
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["flight", "cheap", "undo cheap", "undo flight"])
      assert.deepStrictEqual(outcomesOf(exit), ["flight: Compensated", "dear: Failed", "cheap: Compensated"])
    }))

  it.effect("of another step is ignored", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const flight = step("flight").pipe(
        Effect.andThen(failing(0)),
        Effect.catchTag("Declined", () => note("fallback of the flight"))
      )

      const error = yield* Effect.gen(function*() {
        yield* flight
        yield* Saga.step(Effect.fail(new Declined({})), () => Effect.void, { name: "hotel" })
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["flight", "undo flight"])
    }))

  it.effect("goes another way round a part after the part was undone", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const byAir = Effect.gen(function*() {
        yield* step("taxi")
        yield* step("flight")
        return yield* new Declined({})
      })
      const byRail = Effect.as(step("train"), "rail")

      const way = yield* Effect.gen(function*() {
        yield* step("hotel")
        const way = yield* byAir.pipe(Saga.savepoint, Effect.catchTag("Declined", () => byRail))
        yield* step("museum")
        return way
      }).pipe(Saga.transact)

      assert.strictEqual(way, "rail")
      assert.deepStrictEqual(lines, ["hotel", "taxi", "flight", "undo flight", "undo taxi", "train", "museum"])
    }))

  it.effect("without a savepoint leaves what the failed part had done on the stack", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const part = Effect.andThen(step("taxi"), Effect.fail(new Declined({})))

      const error = yield* Effect.gen(function*() {
        yield* Effect.catchTag(part, "Declined", () => step("train"))
        return yield* new OutOfStock()
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new OutOfStock())
      assert.deepStrictEqual(lines, ["taxi", "train", "undo train", "undo taxi"])
    }))
})

describe("pivot", () => {
  it.effect("undoes nothing that stands before it and leaves nothing of later steps to undo", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()

      const exit = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* Saga.pivot(note("charge"), { name: "charge" })
        yield* step("ship")
        return yield* new Declined({})
      }).pipe(Saga.transact({ name: "order" }), Effect.exit)

      assert.deepStrictEqual(lines, ["reserve", "charge", "ship"])
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      if (error._tag !== "CommittedIncomplete") return assert.fail(`The saga failed with ${error._tag}.`)
      assert.strictEqual(error.saga, "order")
      assert.deepStrictEqual(Cause.findErrorOption(error.reason), Option.some(new Declined({})))
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Committed", "charge: Committed", "ship: Committed"])
      assert.strictEqual(reportOf(exit).pivot, "charge")
      assert.strictEqual(reportOf(exit).status, "Failed")
    }))

  it.effect("changes nothing about a saga that succeeds", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()

      const value = yield* Effect.gen(function*() {
        yield* step("reserve")
        const receipt = yield* Saga.pivot(Effect.as(note("charge"), "receipt"))
        yield* step("ship")
        return receipt
      }).pipe(Saga.transact)

      assert.strictEqual(value, "receipt")
      assert.deepStrictEqual(lines, ["reserve", "charge", "ship"])
    }))

  it.effect("lets later steps be retried forward", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const ship = Saga.step(Effect.andThen(note("ship"), failing(2)), () => note("undo ship"), { name: "ship" })

      yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* Saga.pivot(note("charge"))
        yield* Effect.retry(ship, { times: 2 })
      }).pipe(Saga.transact)

      assert.deepStrictEqual(lines, ["reserve", "charge", "ship", "ship", "ship"])
    }))

  it.effect("that is not reached leaves the saga to be undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()

      const error = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* failing(1)
        yield* Saga.pivot(note("charge"))
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({ attempt: 1 }))
      assert.deepStrictEqual(lines, ["reserve", "undo reserve"])
    }))

  it.effect("that fails leaves the saga to be undone", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const exit = yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* Saga.pivot(failing(1), { name: "charge" })
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new Declined({ attempt: 1 })))
      assert.deepStrictEqual(lines, ["reserve", "undo reserve"])
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "charge: Failed"])
      assert.strictEqual(reportOf(exit).pivot, undefined)
    }))

  it.effect("commits the saga when it succeeds in one branch after a sibling failed", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const committing = Saga.pivot(Effect.andThen(Effect.sleep("10 seconds"), note("charge")), { name: "charge" })
      const declining = Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Declined({})))
      const saga = Effect.andThen(
        step("reserve"),
        Saga.all([committing, declining], { concurrency: "unbounded" })
      ).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["reserve", "charge"])
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      assert.strictEqual(error._tag, "CommittedIncomplete")
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Committed", "all[0]/charge: Committed"])
    }))

  it.effect("in a branch that never came to it leaves the saga to be undone when a sibling fails", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("10 seconds"), note("slow")), () => note("undo slow"))
      const declining = Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Declined({})))
      const saga = Effect.andThen(
        step("reserve"),
        Saga.all([Effect.andThen(slow, Saga.pivot(note("charge"))), declining], { concurrency: "unbounded" })
      ).pipe(Saga.transact, Effect.flip)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["reserve", "slow", "undo slow", "undo reserve"])
    }))

  it.effect("commits what a savepoint around it has done, even when that fails", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const part = Effect.gen(function*() {
        yield* step("pack")
        yield* Saga.pivot(note("charge"))
        return yield* new Declined({})
      })

      yield* Effect.andThen(
        step("reserve"),
        part.pipe(Saga.savepoint, Effect.catchTag("CommittedIncomplete", () => note("later")))
      )
        .pipe(Saga.transact)

      assert.deepStrictEqual(lines, ["reserve", "pack", "charge", "later"])
    }))

  it.effect("is not repeated by a retry of the savepoint around it that leaves CommittedIncomplete alone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const part = Effect.gen(function*() {
        yield* step("pack")
        yield* Saga.pivot(note("charge"))
        return yield* new Declined({})
      })

      const error = yield* part.pipe(
        Saga.savepoint,
        Effect.retry({ times: 2, while: (error) => error._tag === "Declined" }),
        Saga.transact,
        Effect.flip
      )

      assert.deepStrictEqual(lines, ["pack", "charge"])
      assert.strictEqual(error._tag, "CommittedIncomplete")
      assert.include(error.message, "Declined")
    }))

  it.effect("holds when the saga is interrupted later", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* step("reserve")
        yield* Saga.pivot(note("charge"))
        yield* Effect.never
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["reserve", "charge"])
      assert.isTrue(Exit.hasInterrupts(exit))
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      assert.strictEqual(error._tag, "CommittedIncomplete")
    }))
})

describe("conditions and early ends", () => {
  it.effect("undoes what happened, whatever the condition says by then", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const conditions = { insure: true, gift: false }

      yield* Effect.gen(function*() {
        yield* step("reserve")
        if (conditions.insure) yield* step("insure")
        if (conditions.gift) yield* step("wrap")
        conditions.insure = false
        conditions.gift = true
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(lines, ["reserve", "insure", "undo insure", "undo reserve"])
    }))

  it.effect("neither runs nor undoes a step that Effect.when skips", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      yield* Effect.gen(function*() {
        yield* step("reserve")
        yield* Effect.when(step("insure"), Effect.succeed(false))
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(lines, ["reserve", "undo reserve"])
    }))

  it.effect("ends a saga early and successfully with a plain return, and undoes nothing", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const order = (paid: boolean) =>
        Effect.gen(function*() {
          yield* step("reserve")
          if (paid) return "was paid already" as const
          yield* step("charge")
          return "charged" as const
        }).pipe(Saga.transact)

      const value = yield* order(true)

      assert.strictEqual(value, "was paid already")
      assert.deepStrictEqual(lines, ["reserve"])
    }))
})

describe("sagas and savepoints inside a saga", () => {
  it.effect("undoes the steps of a completed savepoint in order within the saga around it", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const inner = Effect.andThen(step("inner 1"), step("inner 2")).pipe(Saga.savepoint)

      const exit = yield* Effect.gen(function*() {
        yield* step("outer 1")
        yield* inner
        yield* step("outer 2")
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, [
        "outer 1",
        "inner 1",
        "inner 2",
        "outer 2",
        "undo outer 2",
        "undo inner 2",
        "undo inner 1",
        "undo outer 1"
      ])
      assert.deepStrictEqual(outcomesOf(exit), [
        "outer 1: Compensated",
        "savepoint/inner 1: Compensated",
        "savepoint/inner 2: Compensated",
        "outer 2: Compensated"
      ])
    }))

  it.effect("undoes a failed savepoint once when its error is handled, and goes on", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const inner = Effect.andThen(step("inner"), Effect.fail(new Declined({})))

      yield* Effect.gen(function*() {
        yield* step("outer 1")
        yield* inner.pipe(Saga.savepoint, Effect.catchTag("Declined", () => note("handled")))
        yield* step("outer 2")
        return yield* new OutOfStock()
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(lines, [
        "outer 1",
        "inner",
        "undo inner",
        "handled",
        "outer 2",
        "undo outer 2",
        "undo outer 1"
      ])
    }))

  it.effect("undoes only the innermost savepoint that failed", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const innermost = Effect.andThen(step("innermost"), Effect.fail(new Declined({}))).pipe(
        Saga.savepoint({ name: "innermost" }),
        Effect.ignore
      )
      const middle = Effect.andThen(step("middle"), innermost).pipe(Saga.savepoint({ name: "middle" }))

      const exit = yield* Effect.andThen(step("outer"), middle).pipe(
        Effect.andThen(note("---")),
        Effect.andThen(Effect.fail(new OutOfStock())),
        Saga.transact,
        Effect.exit
      )

      assert.deepStrictEqual(lines, [
        "outer",
        "middle",
        "innermost",
        "undo innermost",
        "---",
        "undo middle",
        "undo outer"
      ])
      assert.deepStrictEqual(outcomesOf(exit), [
        "outer: Compensated",
        "middle/middle: Compensated",
        "middle/innermost/innermost: Compensated"
      ])
    }))

  it.effect("hands the failure of a savepoint on from the inside to the outside", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const innermost = Effect.andThen(step("three"), Effect.fail(new Declined({}))).pipe(Saga.savepoint)
      const middle = Effect.andThen(step("two"), innermost).pipe(Saga.savepoint)

      const error = yield* Effect.andThen(step("one"), middle).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["one", "two", "three", "undo three", "undo two", "undo one"])
    }))

  it.effect("does not undo a nested saga that committed on its own", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const audit = step("audit").pipe(Saga.transact({ name: "audit" }))

      const exit = yield* Effect.gen(function*() {
        yield* step("outer")
        yield* audit
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["outer", "audit", "undo outer"])
      assert.deepStrictEqual(outcomesOf(exit), ["outer: Compensated", "audit/audit: Committed"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("undoes a nested saga that failed, and then the saga around it", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const inner = Effect.andThen(step("inner"), Effect.fail(new Declined({}))).pipe(Saga.transact({ name: "inner" }))

      const exit = yield* Effect.andThen(step("outer"), inner).pipe(Saga.transact({ name: "outer" }), Effect.exit)

      assert.deepStrictEqual(lines, ["outer", "inner", "undo inner", "undo outer"])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new Declined({})))
      assert.strictEqual(reportOf(exit).saga, "outer")
      assert.deepStrictEqual(outcomesOf(exit), ["outer: Compensated", "inner/inner: Compensated"])
    }))

  it.effect("goes on when the failure of a nested saga is handled", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const inner = Effect.andThen(step("inner"), Effect.fail(new Declined({}))).pipe(
        Saga.transact,
        Effect.catchTag("Declined", () => step("instead"))
      )

      yield* Effect.gen(function*() {
        yield* step("outer")
        yield* inner
        return yield* new OutOfStock()
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(lines, ["outer", "inner", "undo inner", "instead", "undo instead", "undo outer"])
    }))

  it.effect("does not commit the saga around it with the pivot of a nested saga", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const inner = Effect.andThen(step("inner"), Saga.pivot(note("inner pivot"))).pipe(Saga.transact)

      const error = yield* Effect.gen(function*() {
        yield* step("outer")
        yield* inner
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.strictEqual(error._tag, "Declined")
      assert.deepStrictEqual(lines, ["outer", "inner", "inner pivot", "undo outer"])
    }))
})

/** What lines of the form "order:step" say about one order. */
const namesOf = (lines: ReadonlyArray<string>, id: number) =>
  lines.filter((line) => line.startsWith(`${id}:`)).map((line) => line.slice(line.indexOf(":") + 1))

describe("one saga value run many times", () => {
  class Order extends Context.Service<Order, { readonly id: number; readonly fails: boolean }>()("test/Order") {}

  /* What was done and undone, as lines of "order:step". */
  const makeOrders = () => {
    const done: Array<string> = []
    const undone: Array<string> = []
    const step = (name: string) =>
      Saga.step(
        Effect.gen(function*() {
          const { id } = yield* Order
          for (let turn = 0; turn < id % 4; turn++) yield* Effect.yieldNow
          done.push(`${id}:${name}`)
          return `${id}:${name}`
        }),
        (effect) => Effect.andThen(Effect.yieldNow, Effect.sync(() => undone.push(effect))),
        { name }
      )
    const saga = Effect.gen(function*() {
      yield* step("reserve")
      yield* Saga.all([step("charge"), step("pack")], { concurrency: "unbounded" })
      yield* Effect.andThen(step("label"), Effect.fail(new OutOfStock())).pipe(Saga.savepoint, Effect.ignore)
      yield* step("ship")
      const order = yield* Order
      return order.fails ? yield* new Declined({ attempt: order.id }) : order.id
    }).pipe(Saga.transact)
    const run = (id: number, fails: boolean) => Effect.provideService(saga, Order, { id, fails })
    return { done, undone, run }
  }

  it.effect("starts anew when it is run a second time", () =>
    Effect.gen(function*() {
      const { done, run, undone } = makeOrders()

      const first = yield* Effect.flip(run(4, true))
      const second = yield* Effect.flip(run(4, true))

      assert.deepStrictEqual([first, second], [new Declined({ attempt: 4 }), new Declined({ attempt: 4 })])
      assert.strictEqual(done.length, 10)
      assert.deepStrictEqual(done.toSorted(), undone.toSorted())
      assert.deepStrictEqual(undone.slice(0, 5), undone.slice(5))
    }))

  it.effect("never mixes the stacks of a hundred runs side by side, and undoes no effect twice", () =>
    Effect.gen(function*() {
      const { done, run, undone } = makeOrders()

      const exits = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, id) => id),
        (id) => Effect.exit(run(id, id % 3 === 0)),
        { concurrency: "unbounded" }
      )

      for (const [id, exit] of exits.entries()) {
        const expected = id % 3 === 0 ? Option.some(new Declined({ attempt: id })) : Option.none()
        assert.deepStrictEqual(Exit.findErrorOption(exit), expected)
        const completed = namesOf(done, id)
        const rest = completed.filter((name) => name !== "label")
        assert.deepStrictEqual(completed.toSorted(), ["charge", "label", "pack", "reserve", "ship"])
        assert.deepStrictEqual(namesOf(undone, id), id % 3 === 0 ? ["label", ...rest.toReversed()] : ["label"])
      }
      assert.strictEqual(new Set(undone).size, undone.length)
    }))
})

describe("a step in a forked fiber", () => {
  it.effect("that starts after its saga completed is a defect that names the step and the saga", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const over = yield* Latch.make()
      const saga = Effect.gen(function*() {
        yield* step("one")
        return yield* Effect.forkDetach(over.whenOpen(step("late")))
      }).pipe(Saga.transact({ name: "order" }))

      const fiber = yield* saga
      yield* over.open
      const exit = yield* Fiber.await(fiber)

      assert.isTrue(Exit.hasDies(exit))
      assert.include(defectMessage(exit), "Step \"late\" was not started")
      assert.include(defectMessage(exit), "saga \"order\" is over")
      assert.deepStrictEqual(lines, ["one"])
    }))

  it.effect("that starts after its saga was undone is a defect that names the step", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const over = yield* Latch.make()
      let late: Fiber.Fiber<void> | undefined

      yield* Effect.gen(function*() {
        yield* step("one")
        late = yield* Effect.forkDetach(over.whenOpen(step("late")))
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)
      yield* over.open
      const exit = yield* Fiber.await(late!)

      assert.include(defectMessage(exit), "Step \"late\" was not started")
      assert.deepStrictEqual(lines, ["one", "undo one"])
    }))

  it.effect("that starts while its saga is being undone is a defect that names the step", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const undoing = yield* Latch.make()
      const proceed = yield* Latch.make()
      let late: Fiber.Fiber<void> | undefined
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => Effect.andThen(undoing.open, proceed.await))
        late = yield* Effect.forkDetach(undoing.whenOpen(step("late")))
        return yield* new Declined({})
      }).pipe(Saga.transact({ name: "order" }))

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* undoing.await
      const exit = yield* Fiber.await(late!)
      yield* proceed.open
      yield* Fiber.join(fiber)

      assert.include(defectMessage(exit), "Step \"late\" was not started")
      assert.include(defectMessage(exit), "saga \"order\" is already being undone")
      assert.deepStrictEqual(lines, ["one", "two", "undo one"])
    }))

  it.effect("that is in flight when the saga fails is awaited and undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("10 seconds"), note("slow")), () => note("undo slow"), {
        name: "slow"
      })
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Effect.forkDetach(slow, { startImmediately: true })
        return yield* new Declined({})
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("9 seconds")
      const linesWhileRunning = [...lines]
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesWhileRunning, ["one"])
      assert.deepStrictEqual(lines, ["one", "slow", "undo slow", "undo one"])
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "slow: Compensated"])
    }))

  it.effect("that is in flight when the saga succeeds is awaited and kept", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("10 seconds"), note("slow")), () => note("undo slow"))
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Effect.forkDetach(slow, { startImmediately: true })
      }).pipe(Saga.transact, Effect.andThen(note("completed")))

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(lines, ["one", "slow", "completed"])
    }))

  it.effect("belongs to the saga when it is joined before the saga ends", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const error = yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(step("forked"))
        yield* step("own")
        yield* Fiber.join(fiber)
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["own", "forked", "undo forked", "undo own"])
    }))

  it.effect("that starts after its savepoint has succeeded belongs to the saga around it", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const over = yield* Latch.make()

      const error = yield* Effect.gen(function*() {
        const fiber = yield* Saga.savepoint(
          Effect.andThen(step("inner"), Effect.forkDetach(over.whenOpen(step("late"))))
        )
        yield* step("outer")
        yield* over.open
        yield* Fiber.join(fiber)
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["inner", "outer", "late", "undo late", "undo outer", "undo inner"])
    }))

  it.effect("that starts after its savepoint was undone is a defect that names the step", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const over = yield* Latch.make()
      let late: Fiber.Fiber<void> | undefined

      const exit = yield* Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* step("inner")
          late = yield* Effect.forkDetach(over.whenOpen(step("late")))
          return yield* new Declined({})
        }).pipe(Saga.savepoint, Effect.ignore)
        yield* over.open
        return yield* Fiber.await(late!)
      }).pipe(Saga.transact)

      assert.include(defectMessage(exit), "Step \"late\" was not started")
      assert.deepStrictEqual(lines, ["inner", "undo inner"])
    }))

  it.effect("may outlive the saga when it has a saga of its own", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const over = yield* Latch.make()

      const fiber = yield* step("one").pipe(
        Effect.andThen(Effect.forkDetach(over.whenOpen(Saga.transact(step("late"))))),
        Saga.transact
      )
      yield* over.open
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(lines, ["one", "late"])
    }))
})

describe("a step in a compensation", () => {
  it.effect("without a saga of its own is refused with a defect, and the others are still undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()

      const exit = yield* Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => step("repay"), { name: "two" })
        return yield* new Declined({})
      }).pipe(
        (body) => Saga.transact(body as Effect.Effect<never, Declined, Saga.CompensationStack<never>>),
        Effect.exit
      )

      assert.deepStrictEqual(lines, ["one", "two", "undo one"])
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "two: CompensationFailed"])
      const failure = reportOf(exit).steps[1]!.compensationCause!
      assert.match(String(Cause.squash(failure)), /Step "repay" was not started.*Saga\.transact/)
    }))

  it.effect("with a saga of its own runs, and undoes itself when that saga fails", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const repay = Effect.andThen(step("repay"), Effect.fail(new RefundRefused())).pipe(
        Saga.transact({ name: "repayment" }),
        Effect.catchTag("RefundRefused", () => note("voucher"))
      )

      const error = yield* Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => repay, { name: "two" })
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.flip)

      assert.deepStrictEqual(error, new Declined({}))
      assert.deepStrictEqual(lines, ["one", "two", "repay", "undo repay", "voucher", "undo one"])
    }))
})

describe("a step outside a saga", () => {
  it.effect("dies without running, with a message that says what to do", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const exit = yield* Effect.exit(step("charge") as Effect.Effect<void>)

      assert.deepStrictEqual(lines, [])
      assert.isTrue(Exit.hasDies(exit))
      assert.include(defectMessage(exit), "Step \"charge\" was not started")
      assert.include(defectMessage(exit), "Close the effect around it with Saga.transact")
    }))

  it.effect("dies in the same way in a savepoint, in a branch and as a pivot", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const pivot = Saga.pivot(note("commit"), { name: "commit" })

      const exits = yield* Effect.all([
        Effect.exit(Saga.savepoint(step("charge")) as Effect.Effect<void>),
        Effect.exit(Saga.all([step("charge")]) as Effect.Effect<[void]>),
        Effect.exit(pivot as Effect.Effect<void>)
      ])

      assert.deepStrictEqual(lines, [])
      assert.deepStrictEqual(exits.map((exit) => defectMessage<unknown, never>(exit).slice(0, 28)), [
        "Step \"charge\" was not starte",
        "Step \"charge\" was not starte",
        "Pivot \"commit\" was not start"
      ])
      for (const exit of exits) assert.include(defectMessage<unknown, never>(exit), "Saga.transact")
    }))
})

describe("services", () => {
  class Region extends Context.Service<Region, string>()("test/Region") {}

  const book = (what: string, lines: Array<string>) =>
    Saga.step(
      Effect.map(Region, (region) => {
        lines.push(`${what} in ${region}`)
      }),
      () =>
        Effect.map(Region, (region) => {
          lines.push(`undo ${what} in ${region}`)
        })
    )

  it.effect("of a compensation are those that its action had", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []

      yield* Effect.gen(function*() {
        yield* Effect.provideService(book("hotel", lines), Region, "Lisbon")
        yield* Effect.provideService(book("car", lines), Region, "Porto")
        yield* book("flight", lines)
        return yield* new Declined({})
      }).pipe(Saga.transact, Effect.provideService(Region, "Faro"), Effect.flip)

      assert.deepStrictEqual(lines, [
        "hotel in Lisbon",
        "car in Porto",
        "flight in Faro",
        "undo flight in Faro",
        "undo car in Porto",
        "undo hotel in Lisbon"
      ])
    }))

  it.effect("of a compensation stay those of its action inside branches and savepoints", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const hotel = Effect.provideService(Saga.savepoint(book("hotel", lines)), Region, "Lisbon")

      yield* Saga.all([hotel, book("car", lines)], { compensation: "parallel" }).pipe(
        Effect.andThen(Effect.fail(new Declined({}))),
        Saga.transact,
        Effect.provideService(Region, "Faro"),
        Effect.flip
      )

      assert.deepStrictEqual(lines.slice(0, 2), ["hotel in Lisbon", "car in Faro"])
      assert.sameMembers(lines.slice(2), ["undo hotel in Lisbon", "undo car in Faro"])
    }))
})
