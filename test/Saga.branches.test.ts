import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Ref, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { makeLedger } from "./support/ledger.ts"
import { outcomesIn } from "./support/results.ts"

const failures = (cause: Cause.Cause<unknown>) => cause.reasons.filter(Cause.isFailReason).map((reason) => reason.error)

const yieldTimes = (times: number) => Effect.repeat(Effect.yieldNow, { times })

/** Two effects that each end only when the other has started. */
const makeRendezvous = Effect.map(Effect.all([Latch.make(), Latch.make()]), ([left, right]) => ({
  left: Effect.andThen(left.open, right.await),
  right: Effect.andThen(right.open, left.await)
}))

describe("branches that succeed", () => {
  it.effect("overlap in time and give their results in the order of declaration", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const leftEnded = yield* Latch.make()
      const { left, right } = yield* makeRendezvous
      const saga = Saga.all([
        Saga.step(right.pipe(Effect.andThen(leftEnded.await), Effect.as("late")), () => ledger.note("undo late")),
        Saga.step(left.pipe(Effect.andThen(leftEnded.open), Effect.as(1)), () => ledger.note("undo early"))
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const [late, early] = yield* saga

      assert.strictEqual(late satisfies string, "late")
      assert.strictEqual(early satisfies number, 1)
      assert.deepStrictEqual(yield* ledger.lines, [])
    }))

  it.effect("run one after another unless told otherwise", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const slow = (name: string) =>
        Saga.step(
          ledger.note(`start ${name}`).pipe(
            Effect.andThen(Effect.yieldNow),
            Effect.andThen(ledger.note(`end ${name}`))
          ),
          Saga.noCompensation
        )
      const saga = Saga.transact(Saga.all([slow("a"), slow("b")]))

      yield* saga

      assert.deepStrictEqual(yield* ledger.lines, ["start a", "end a", "start b", "end b"])
    }))

  it.effect("can be the fields of a struct", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const group = Saga.all({ hotel: ledger.step("hotel"), car: ledger.step("car") }, { concurrency: "unbounded" })

      const booked = yield* Saga.transact(group)
      const cause = yield* group.pipe(
        Effect.andThen(Effect.fail("failed")),
        Saga.transact,
        Effect.sandbox,
        Effect.flip
      )

      assert.deepStrictEqual(booked, { hotel: "hotel", car: "car" })
      assert.deepStrictEqual(outcomesIn(cause), ["all[hotel]/hotel: Compensated", "all[car]/car: Compensated"])
      assert.deepStrictEqual((yield* ledger.lines).slice(-2), ["undo car", "undo hotel"])
    }))

  it.effect("can be the elements of any iterable", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const group = Saga.all(new Set([ledger.step("a"), ledger.step("b")]), { concurrency: "unbounded" })

      const values = yield* Saga.transact(group)
      const cause = yield* group.pipe(
        Effect.andThen(Effect.fail("failed")),
        Saga.transact,
        Effect.sandbox,
        Effect.flip
      )

      assert.deepStrictEqual(values, ["a", "b"])
      assert.deepStrictEqual(outcomesIn(cause), ["all[0]/a: Compensated", "all[1]/b: Compensated"])
      assert.deepStrictEqual((yield* ledger.lines).slice(-2), ["undo b", "undo a"])
    }))

  it.effect("can be none at all", () =>
    Effect.gen(function*() {
      const tuple = yield* Saga.transact(Saga.all([], { concurrency: "unbounded", compensation: "parallel" }))
      const struct = yield* Saga.transact(Saga.all({}))
      const elements = yield* Saga.transact(Saga.forEach([], () => Effect.succeed(1)))

      assert.deepStrictEqual(tuple, [])
      assert.deepStrictEqual(struct, {})
      assert.deepStrictEqual(elements, [])
    }))

  it.effect("give no results where these are discarded, and leave their compensations all the same", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        const all = yield* Saga.all([ledger.step("a"), ledger.step("b")], { discard: true })
        const forEach = yield* Saga.forEach(["c", "d"], ledger.step, { discard: true })
        return yield* Effect.fail([all satisfies void, forEach satisfies void])
      }).pipe(Saga.transact)

      const discarded = yield* Effect.flip(saga)

      assert.deepStrictEqual(discarded, [undefined, undefined])
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "c", "d", "undo d", "undo c", "undo b", "undo a"])
    }))

  it.effect("can be one for each element, which gets the element and its index", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const book = (name: string, index: number) => ledger.step(`${name} ${index}`)

      const dataFirst = yield* Saga.transact(Saga.forEach(["a", "b"], book, { concurrency: 2 }))
      const dataLast = yield* Saga.transact(Saga.forEach(book)(["a", "b"]))
      const cause = yield* Saga.forEach(["a", "b"], book).pipe(
        Effect.andThen(Effect.fail("failed")),
        Saga.transact,
        Effect.sandbox,
        Effect.flip
      )

      assert.deepStrictEqual(dataFirst, ["a 0", "b 1"])
      assert.deepStrictEqual(dataLast, ["a 0", "b 1"])
      assert.deepStrictEqual(outcomesIn(cause), ["forEach[0]/a 0: Compensated", "forEach[1]/b 1: Compensated"])
    }))
})

describe("a branch that fails", () => {
  it.effect("waits for a started sibling to succeed, which is then undone", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const slow = Saga.step(
        Effect.andThen(Effect.sleep("10 seconds"), ledger.note("slow")),
        () => ledger.note("undo slow"),
        { name: "slow" }
      )
      const fast = Saga.step(
        Effect.andThen(Effect.sleep("1 second"), Effect.fail("fast failed")),
        () => ledger.note("undo fast"),
        { name: "fast" }
      )
      const saga = Effect.andThen(ledger.step("first"), Saga.all([slow, fast], { concurrency: "unbounded" })).pipe(
        Saga.transact
      )

      const fiber = yield* Effect.forkChild(Effect.flip(Effect.sandbox(saga)))
      yield* TestClock.adjust("9 seconds")
      const beforeTheEnd = { exit: fiber.pollUnsafe(), lines: yield* ledger.lines }
      yield* TestClock.adjust("1 second")
      const cause = yield* Fiber.join(fiber)

      assert.deepStrictEqual(beforeTheEnd, { exit: undefined, lines: ["first"] })
      assert.deepStrictEqual(failures(cause), ["fast failed"])
      assert.deepStrictEqual(yield* ledger.lines, ["first", "slow", "undo slow", "undo first"])
      assert.deepStrictEqual(outcomesIn(cause), [
        "first: Compensated",
        "all[1]/fast: Failed",
        "all[0]/slow: Compensated"
      ])
    }))

  it.effect.each([["left", ["fails", "succeeds"]], ["right", ["succeeds", "fails"]]] as const)(
    "has its started sibling undone, be it the one on the %s that fails",
    ([, [left, right]]) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const failed = yield* Latch.make()
        const started = yield* Latch.make()
        const branches = {
          fails: Saga.step(
            started.await.pipe(Effect.andThen(failed.open), Effect.andThen(Effect.fail("failed"))),
            () => ledger.note("undo failed")
          ),
          succeeds: Saga.step(
            started.open.pipe(Effect.andThen(failed.await), Effect.andThen(ledger.note("slow"))),
            () => ledger.note("undo slow")
          )
        }
        const saga = Saga.transact(Saga.all([branches[left], branches[right]], { concurrency: "unbounded" }))

        const error = yield* Effect.flip(saga)

        assert.strictEqual(error, "failed")
        assert.deepStrictEqual(yield* ledger.lines, ["slow", "undo slow"])
      })
  )

  it.effect("interrupts a sibling between two of its steps, so that the next one never starts", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const between = yield* Latch.make()
      const saga = Saga.all([
        Effect.gen(function*() {
          yield* ledger.step("a")
          yield* between.open
          yield* Effect.never
          yield* ledger.step("b")
        }),
        Effect.andThen(between.await, Effect.fail("failed"))
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, "failed")
      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("does not let a sibling that was waited for go on to its next step", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const started = yield* Latch.make()
      const failed = yield* Latch.make()
      const saga = Saga.all([
        Effect.gen(function*() {
          yield* Saga.step(
            started.open.pipe(Effect.andThen(failed.await), Effect.andThen(ledger.note("a"))),
            () => ledger.note("undo a")
          )
          yield* ledger.step("b")
        }),
        started.await.pipe(Effect.andThen(failed.open), Effect.andThen(Effect.fail("failed")))
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("interrupts a sibling declared interruptible, whose outcome is then unknown", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const started = yield* Latch.make()
      const saga = Saga.all([
        Saga.step(
          started.open.pipe(Effect.andThen(Effect.never)),
          () => ledger.note("undo slow"),
          { name: "slow", interruptible: true }
        ),
        Saga.step(Effect.andThen(started.await, Effect.fail("failed")), () => ledger.note("undo fast"), {
          name: "fast"
        })
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(failures(cause), ["failed"])
      assert.deepStrictEqual(outcomesIn(cause), ["all[1]/fast: Failed", "all[0]/slow: Unknown"])
      assert.deepStrictEqual(yield* ledger.lines, [])
    }))

  it.effect("has an interrupted sibling undone that is compensated whatever its outcome", () =>
    Effect.gen(function*() {
      const seen: Array<Exit.Exit<never>> = []
      const started = yield* Latch.make()
      const saga = Saga.all([
        Saga.stepExit(
          started.open.pipe(Effect.andThen(Effect.never)),
          (exit) => Effect.sync(() => seen.push(exit)),
          { name: "slow", interruptible: true }
        ),
        Saga.step(Effect.andThen(started.await, Effect.fail("failed")), Saga.noCompensation, { name: "fast" })
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(outcomesIn(cause), ["all[1]/fast: Failed", "all[0]/slow: Compensated"])
      assert.deepStrictEqual(seen.map((exit) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)), [true])
    }))

  it.effect("is joined in the cause by a sibling that fails too", () =>
    Effect.gen(function*() {
      const { left, right } = yield* makeRendezvous
      const saga = Saga.all([
        Saga.step(Effect.andThen(left, Effect.fail("left failed")), Saga.noCompensation, { name: "left" }),
        Saga.step(Effect.andThen(right, Effect.fail(404)), Saga.noCompensation, { name: "right" })
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.sameMembers(failures(cause), ["left failed", 404])
      assert.sameMembers(outcomesIn(cause), ["all[0]/left: Failed", "all[1]/right: Failed"])
    }))

  it.effect("is joined in the cause by a sibling that dies", () =>
    Effect.gen(function*() {
      const { left, right } = yield* makeRendezvous
      const bug = new TypeError("x is not a function")
      const saga = Saga.all([
        Saga.step(Effect.andThen(left, Effect.fail("left failed")), Saga.noCompensation),
        Saga.step(Effect.andThen(right, Effect.die(bug)), Saga.noCompensation)
      ], { concurrency: "unbounded" }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const found = cause.reasons.map((reason) =>
        reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : reason
      )
      assert.sameMembers(found, ["left failed", bug])
      assert.isTrue(cause.reasons.some((reason) => reason._tag === "Die" && reason.defect === bug))
    }))

  it.effect("has both failures in the reason of a saga that could not be undone", () =>
    Effect.gen(function*() {
      const { left, right } = yield* makeRendezvous
      const saga = Saga.step(Effect.void, () => Effect.fail("refused" as const)).pipe(
        Effect.andThen(Saga.all([
          Saga.step(Effect.andThen(left, Effect.fail("left failed" as const)), Saga.noCompensation),
          Saga.step(Effect.andThen(right, Effect.fail("right failed" as const)), Saga.noCompensation)
        ], { concurrency: "unbounded" })),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.sameMembers(failures(error.reason), ["left failed", "right failed"])
    }))

  it.effect("among four that all ran has each of the other three undone exactly once", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const started = yield* Ref.make(0)
      const allStarted = yield* Latch.make()
      const meet = Ref.updateAndGet(started, (count) => count + 1).pipe(
        Effect.flatMap((count) => count === 4 ? allStarted.open : Effect.void),
        Effect.andThen(allStarted.await)
      )
      const saga = Saga.forEach(["a", "b", "c", "d"], (name) =>
        Saga.step(
          Effect.andThen(meet, name === "c" ? Effect.fail("c failed") : ledger.note(name)),
          () => ledger.note(`undo ${name}`)
        ), { concurrency: "unbounded" }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      const lines = yield* ledger.lines
      assert.strictEqual(error, "c failed")
      assert.sameMembers(lines.slice(0, 3), ["a", "b", "d"])
      assert.deepStrictEqual(lines.slice(3), lines.slice(0, 3).toReversed().map((name) => `undo ${name}`))
    }))

  it.effect("keeps queued branches from starting, now and when a running one ends", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const started = yield* Latch.make()
      const failed = yield* Latch.make()
      const branches = [
        Saga.step(started.await.pipe(Effect.andThen(failed.open), Effect.andThen(Effect.fail("failed"))), () =>
          ledger.note("undo failing"), { name: "failing" }),
        Saga.step(
          started.open.pipe(Effect.andThen(failed.await), Effect.andThen(ledger.note("running"))),
          () =>
            ledger.note("undo running"),
          { name: "running" }
        ),
        ledger.step("queued"),
        Saga.stepExit(ledger.note("queued too"), () =>
          ledger.note("undo queued too"))
      ]
      const saga = Saga.transact(Saga.all(branches, { concurrency: 2 }))

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["running", "undo running"])
      assert.deepStrictEqual(outcomesIn(cause), ["all[0]/failing: Failed", "all[1]/running: Compensated"])
    }))

  it.effect("keeps the branches after it from starting where they run one after another", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.forEach(["a", "b", "c"], (name) =>
        name === "b"
          ? Saga.step(Effect.fail("b failed"), () => ledger.note("undo b"))
          : ledger.step(name)).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
    }))

  it.effect("is a value like any other in mode \"result\", and the saga goes on", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const group = Saga.all([
        ledger.step("a"),
        Effect.andThen(ledger.step("b"), Effect.fail("no cars"))
      ], { mode: "result", concurrency: "unbounded" })

      const results = yield* Saga.transact(group)
      yield* group.pipe(Effect.andThen(Effect.fail("failed")), Saga.transact, Effect.flip)

      assert.deepStrictEqual(results.map((result) => result._tag), ["Success", "Failure"])
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "a", "b", "undo b", "undo a"])
    }))

  it.effect("unwinds alone in mode \"result\" where it is a savepoint", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.all([
        ledger.step("a"),
        ledger.step("b").pipe(Effect.andThen(Effect.fail("no cars")), Saga.savepoint)
      ], { mode: "result", concurrency: "unbounded" }).pipe(Saga.transact)

      const results = yield* saga

      assert.deepStrictEqual(results.map((result) => result._tag), ["Success", "Failure"])
      assert.deepStrictEqual(yield* ledger.lines, ["a", "b", "undo b"])
    }))
})

describe("a branch that ends in the instant in which its sibling fails", () => {
  const turns = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))

  it.effect.prop(
    "has taken effect and is undone, or has never taken effect",
    { beforeEffect: turns, afterEffect: turns, beforeFailure: turns, failsFirst: Schema.Boolean },
    ({ afterEffect, beforeEffect, beforeFailure, failsFirst }) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const succeeds = Effect.sleep("1 second").pipe(
          Effect.andThen(
            Saga.step(
              yieldTimes(beforeEffect).pipe(
                Effect.andThen(ledger.note("book")),
                Effect.andThen(yieldTimes(afterEffect))
              ),
              () => ledger.note("cancel"),
              { name: "book" }
            )
          ),
          Effect.asVoid
        )
        const fails = Effect.sleep("1 second").pipe(
          Effect.andThen(yieldTimes(beforeFailure)),
          Effect.andThen(Effect.fail("failed"))
        )
        const saga = Saga.all(failsFirst ? [fails, succeeds] : [succeeds, fails], { concurrency: "unbounded" }).pipe(
          Saga.transact
        )

        const fiber = yield* Effect.forkChild(Effect.flip(Effect.sandbox(saga)))
        yield* TestClock.adjust("1 second")
        const cause = yield* Fiber.join(fiber)

        const lines = yield* ledger.lines
        assert.deepStrictEqual(failures(cause), ["failed"])
        assert.deepStrictEqual(lines, lines.length === 0 ? [] : ["book", "cancel"])
        assert.deepStrictEqual(
          outcomesIn(cause),
          lines.length === 0 ? [] : ["all[" + (failsFirst ? 1 : 0) + "]/book: Compensated"]
        )
      })
  )

  it.effect.prop(
    "is undone whenever it may have taken effect, where it is interruptible and compensated whatever its outcome",
    { beforeEffect: turns, afterEffect: turns, beforeFailure: turns },
    ({ afterEffect, beforeEffect, beforeFailure }) =>
      Effect.gen(function*() {
        const booked = yield* Ref.make(false)
        const succeeds = Saga.stepExit(
          Effect.sleep("1 second").pipe(
            Effect.andThen(yieldTimes(beforeEffect)),
            Effect.andThen(Ref.set(booked, true)),
            Effect.andThen(yieldTimes(afterEffect))
          ),
          () => Ref.set(booked, false),
          { interruptible: true }
        )
        const fails = Effect.sleep("1 second").pipe(
          Effect.andThen(yieldTimes(beforeFailure)),
          Effect.andThen(Effect.fail("failed"))
        )
        const saga = Saga.transact(Saga.all([succeeds, fails], { concurrency: "unbounded" }))

        const fiber = yield* Effect.forkChild(Effect.flip(saga))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)

        assert.isFalse(yield* Ref.get(booked))
      })
  )
})

describe("undoing branches", () => {
  it.effect("goes in the reverse of the order in which they completed, not of declaration", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const secondEnded = yield* Latch.make()
      const saga = Saga.all([
        Effect.andThen(secondEnded.await, ledger.step("declared first")),
        Effect.tap(ledger.step("declared second"), secondEnded.open)
      ], { concurrency: "unbounded" }).pipe(
        Effect.andThen(Effect.fail("later")),
        Saga.transact
      )

      yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* ledger.lines, [
        "declared second",
        "declared first",
        "undo declared first",
        "undo declared second"
      ])
    }))

  it.effect("weaves the steps of all branches by the order in which they completed", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const at = (seconds: number, name: string) =>
        Effect.andThen(Effect.sleep(`${seconds} seconds`), ledger.step(name))
      const saga = Saga.all([
        Effect.andThen(at(1, "a1"), at(2, "a3")),
        Effect.andThen(at(2, "b2"), at(2, "b4"))
      ], { concurrency: "unbounded" }).pipe(Effect.andThen(Effect.fail("later")), Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(fiber)

      assert.deepStrictEqual((yield* ledger.lines).slice(4), ["undo b4", "undo a3", "undo b2", "undo a1"])
    }))

  it.effect("counts steps of one name in the order in which they started, whichever ended first", () =>
    Effect.gen(function*() {
      const secondEnded = yield* Latch.make()
      const saga = Effect.all([
        Saga.step(Effect.as(secondEnded.await, "started first"), Saga.noCompensation, { name: "book" }),
        Saga.step(Effect.succeed("started second"), () => secondEnded.open, { name: "book" }).pipe(
          Effect.tap(secondEnded.open)
        )
      ], { concurrency: "unbounded" }).pipe(Effect.andThen(Effect.fail("later")), Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(outcomesIn(cause), ["book#2: Compensated", "book: NoCompensation"])
    }))

  it.effect("runs one compensation at a time unless told otherwise", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.forEach(["a", "b"], (name) =>
        Saga.step(Effect.void, () =>
          ledger.note(`start ${name}`).pipe(
            Effect.andThen(Effect.sleep("1 second")),
            Effect.andThen(ledger.note(`end ${name}`))
          )), { concurrency: "unbounded" }).pipe(Effect.andThen(Effect.fail("later")), Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(yield* ledger.lines, ["start b", "end b", "start a", "end a"])
    }))

  it.effect("undoes the whole group before what preceded it", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("before")
        yield* Saga.all([ledger.step("a"), ledger.step("b")], { concurrency: "unbounded" })
        yield* ledger.step("after")
        yield* Saga.step(Effect.fail("failed"), () => ledger.note("undo failed"))
      }).pipe(Saga.transact)

      yield* Effect.flip(saga)

      assert.deepStrictEqual((yield* ledger.lines).slice(4), ["undo after", "undo b", "undo a", "undo before"])
    }))
})

describe("undoing branches in parallel", () => {
  it.effect("unwinds them side by side, each in its own reverse order", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const { left, right } = yield* makeRendezvous
      const branch = (name: string, meet: Effect.Effect<void>) =>
        Effect.gen(function*() {
          yield* Saga.step(Effect.void, () => ledger.note(`undo ${name} 1`))
          yield* Saga.step(Effect.void, () => Effect.andThen(meet, ledger.note(`undo ${name} 2`)))
          yield* Saga.step(Effect.void, () => ledger.note(`undo ${name} 3`))
        })
      const saga = Saga.all([branch("a", left), branch("b", right)], {
        concurrency: "unbounded",
        compensation: "parallel"
      }).pipe(Effect.andThen(Effect.fail("later")), Saga.transact)

      const error = yield* Effect.flip(saga)

      const lines = yield* ledger.lines
      assert.strictEqual(error, "later")
      assert.strictEqual(lines.length, 6)
      for (const name of ["a", "b"]) {
        assert.deepStrictEqual(
          lines.filter((line) => line.startsWith(`undo ${name}`)),
          [`undo ${name} 3`, `undo ${name} 2`, `undo ${name} 1`]
        )
      }
    }))

  it.effect("does so for the branches of forEach, and of those that ran one after another", () =>
    Effect.gen(function*() {
      const { left, right } = yield* makeRendezvous
      const saga = Saga.forEach([left, right], (meet) => Saga.step(Effect.void, () => meet), {
        compensation: "parallel"
      }).pipe(Effect.andThen(Effect.fail("later")), Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, "later")
    }))

  it.effect("does so for branches that a failing sibling left behind", () =>
    Effect.gen(function*() {
      const { left, right } = yield* makeRendezvous
      const ledger = yield* makeLedger
      const done = yield* Ref.make(0)
      const bothDone = yield* Latch.make()
      const count = Ref.updateAndGet(done, (n) => n + 1).pipe(
        Effect.flatMap((n) => n === 2 ? bothDone.open : Effect.void)
      )
      const branch = (name: string, meet: Effect.Effect<void>) =>
        Saga.step(Effect.void, () => Effect.andThen(meet, ledger.note(`undo ${name}`))).pipe(Effect.andThen(count))
      const saga = Saga.all([
        branch("a", left),
        Effect.andThen(bothDone.await, Effect.fail("failed")),
        branch("b", right)
      ], { concurrency: "unbounded", compensation: "parallel" }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, "failed")
      assert.sameMembers([...yield* ledger.lines], ["undo a", "undo b"])
    }))

  it.effect("ends with the group: what preceded it is undone after its last compensation", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const undoIn = (seconds: number, name: string) =>
        Saga.step(Effect.void, () => Effect.andThen(Effect.sleep(`${seconds} seconds`), ledger.note(`undo ${name}`)))
      const saga = Effect.gen(function*() {
        yield* undoIn(1, "before")
        yield* Saga.all([undoIn(5, "slow"), undoIn(2, "quick")], {
          concurrency: "unbounded",
          compensation: "parallel"
        })
        yield* undoIn(1, "after")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      const seen: Array<ReadonlyArray<string>> = []
      for (let second = 0; second < 7; second++) {
        yield* TestClock.adjust("1 second")
        seen.push(yield* ledger.lines)
      }
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(seen, [
        ["undo after"],
        ["undo after"],
        ["undo after", "undo quick"],
        ["undo after", "undo quick"],
        ["undo after", "undo quick"],
        ["undo after", "undo quick", "undo slow"],
        ["undo after", "undo quick", "undo slow", "undo before"]
      ])
    }))

  it.effect("attempts every compensation although one of them fails", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Saga.all([
        Effect.andThen(
          ledger.step("a1"),
          Saga.step(Effect.void, () => Effect.fail("refused" as const), { name: "a2" })
        ),
        Effect.andThen(ledger.step("b1"), ledger.step("b2"))
      ], { concurrency: "unbounded", compensation: "parallel" }).pipe(
        Effect.andThen(Effect.fail("later" as const)),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["all[0]/a2"])
      assert.includeMembers([...yield* ledger.lines], ["undo a1", "undo b2", "undo b1"])
    }))

  it.effect("nests: a group inside a branch unwinds within that branch", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const undoIn = (seconds: number, name: string) =>
        Saga.step(Effect.void, () => Effect.andThen(Effect.sleep(`${seconds} seconds`), ledger.note(`undo ${name}`)))
      const parallel = { concurrency: "unbounded", compensation: "parallel" } as const
      const saga = Saga.all([
        Effect.gen(function*() {
          yield* undoIn(1, "a before")
          yield* Saga.all([undoIn(4, "a left"), undoIn(1, "a right")], parallel)
        }),
        Effect.andThen(undoIn(2, "b1"), undoIn(1, "b2"))
      ], parallel).pipe(Effect.andThen(Effect.fail("failed")), Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      const seen: Array<ReadonlyArray<string>> = []
      for (let second = 0; second < 5; second++) {
        const before = yield* ledger.lines
        yield* TestClock.adjust("1 second")
        seen.push((yield* ledger.lines).slice(before.length).toSorted())
      }
      yield* Fiber.join(fiber)

      assert.deepStrictEqual(seen, [["undo a right", "undo b2"], [], ["undo b1"], ["undo a left"], ["undo a before"]])
    }))
})

describe("a step that needs several others", () => {
  it.effect("has them undone side by side once it has failed, and not before", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const { left, right } = yield* makeRendezvous
      const need = (name: string, meet: Effect.Effect<void>) =>
        Saga.step(Effect.as(ledger.note(name), name), () => Effect.andThen(meet, ledger.note(`undo ${name}`)))
      const saga = Effect.gen(function*() {
        const needs = yield* Saga.all([need("a", left), need("b", right)], {
          concurrency: "unbounded",
          compensation: "parallel"
        })
        yield* Saga.step(
          Effect.sleep("1 minute").pipe(
            Effect.andThen(ledger.note(`c fails with ${needs.join(" and ")}`)),
            Effect.andThen(Effect.fail("c failed"))
          ),
          Saga.noCompensation
        )
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)

      const lines = yield* ledger.lines
      assert.strictEqual(error, "c failed")
      assert.deepStrictEqual(lines.slice(0, 3), ["a", "b", "c fails with a and b"])
      assert.sameMembers(lines.slice(3), ["undo a", "undo b"])
    }))

  it.effect("is undone before them when something beside it fails while it runs", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const running = yield* Latch.make()
      const failed = yield* Latch.make()
      const parallel = { concurrency: "unbounded", compensation: "parallel" } as const
      const saga = Saga.all([
        Effect.gen(function*() {
          yield* Saga.all([ledger.step("a"), ledger.step("b")], parallel)
          yield* Saga.step(
            running.open.pipe(Effect.andThen(failed.await), Effect.andThen(ledger.note("c"))),
            () => ledger.note("undo c")
          )
        }),
        Saga.step(
          running.await.pipe(Effect.andThen(failed.open), Effect.andThen(Effect.fail("d failed"))),
          Saga.noCompensation
        )
      ], parallel).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      const lines = yield* ledger.lines
      assert.strictEqual(error, "d failed")
      assert.deepStrictEqual(lines.slice(2, 4), ["c", "undo c"])
      assert.sameMembers(lines.slice(4), ["undo a", "undo b"])
    }))

  it.effect("never runs and is not undone where one of them failed, and the report does not list it", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        const [a, b] = yield* Saga.all([
          ledger.step("a"),
          Saga.step(Effect.fail("b failed"), () => ledger.note("undo b"), { name: "b" })
        ], { concurrency: "unbounded", compensation: "parallel" })
        yield* Saga.stepExit(ledger.note(`c with ${a} and ${b}`), () => ledger.note("undo c"), { name: "c" })
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["a", "undo a"])
      assert.deepStrictEqual(outcomesIn(cause), ["all[0]/a: Compensated", "all[1]/b: Failed"])
    }))

  it.effect("never runs, while an independent branch beside it is finished and undone", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const started = yield* Latch.make()
      const failed = yield* Latch.make()
      const saga = Saga.all({
        chain: Effect.gen(function*() {
          yield* Saga.step(
            started.await.pipe(
              Effect.andThen(failed.open),
              Effect.andThen(Effect.fail("failed"))
            ),
            () => ledger.note("undo predecessor"),
            { name: "predecessor" }
          )
          yield* ledger.step("successor")
        }),
        independent: Saga.step(
          started.open.pipe(Effect.andThen(failed.await), Effect.andThen(ledger.note("independent"))),
          () => ledger.note("undo independent"),
          { name: "independent" }
        )
      }, { concurrency: "unbounded" }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(yield* ledger.lines, ["independent", "undo independent"])
      assert.deepStrictEqual(outcomesIn(cause), [
        "all[chain]/predecessor: Failed",
        "all[independent]/independent: Compensated"
      ])
    }))
})

describe("a fiber forked inside a saga", () => {
  it.effect("has its running action waited for when the saga fails, and undone", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const running = yield* Latch.make()
      const saga = Effect.gen(function*() {
        yield* ledger.step("first")
        yield* Effect.forkChild(
          Saga.step(
            running.open.pipe(Effect.andThen(Effect.sleep("10 seconds")), Effect.andThen(ledger.note("forked"))),
            () => ledger.note("undo forked")
          )
        )
        yield* running.await
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("9 seconds")
      const beforeTheEnd = { exit: fiber.pollUnsafe(), lines: yield* ledger.lines }
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)

      assert.deepStrictEqual(beforeTheEnd, { exit: undefined, lines: ["first"] })
      assert.strictEqual(error, "failed")
      assert.deepStrictEqual(yield* ledger.lines, ["first", "forked", "undo forked", "undo first"])
    }))
})
