import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Exit, Fiber, Latch, Logger, Option } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { TestClock } from "effect/testing"
import { makeLedgerUnsafe } from "./support/ledger.ts"
import { causeOf, outcomesOf, reportOf } from "./support/results.ts"

class Declined extends Data.TaggedError("Declined") {}

class OutOfStock extends Data.TaggedError("OutOfStock") {}

class RefundRefused extends Data.TaggedError("RefundRefused") {}

/** An effect that says when it was entered and waits until it is opened. */
const makeGate = Effect.gen(function*() {
  const entered = yield* Latch.make()
  const opened = yield* Latch.make()
  return {
    pass: Effect.andThen(entered.open, opened.await),
    entered: entered.await,
    open: opened.open
  }
})

/* Effect notes an interruption once per place that it passed. */
const tagsOf = (cause: Cause.Cause<unknown>) => Array.from(new Set(cause.reasons.map((reason) => reason._tag)))

const hasFailed = (tag: string) => (cause: Cause.Cause<unknown>) =>
  cause.reasons.some((reason) =>
    reason._tag === "Fail" && (reason.error as { readonly _tag?: string } | undefined)?._tag === tag
  )

/** Runs `self` in a fiber of its own and interrupts that as soon as `when` has come, without waiting for its end. */
const interruptWhen = <A, E>(self: Effect.Effect<A, E>, when: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self)
    yield* when
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
    return { fiber, interrupting }
  })

const order = (ledger: ReturnType<typeof makeLedgerUnsafe>, failure: Effect.Effect<never, Declined | OutOfStock>) =>
  Effect.gen(function*() {
    yield* ledger.step("reserve")
    yield* ledger.step("charge")
    return yield* failure
  }).pipe(Saga.transact({ name: "order", compensateWhen: hasFailed("OutOfStock") }))

describe("choosing which causes undo", () => {
  it.effect("undoes the saga when compensateWhen accepts the cause", () =>
    Effect.gen(function*() {
      const ledger = makeLedgerUnsafe()

      const exit = yield* Effect.exit(order(ledger, Effect.fail(new OutOfStock())))

      assert.deepStrictEqual(ledger.lines, ["reserve", "charge", "undo charge", "undo reserve"])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new OutOfStock()))
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "charge: Compensated"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("leaves everything as it is when compensateWhen rejects the cause, and the report says so", () =>
    Effect.gen(function*() {
      const ledger = makeLedgerUnsafe()

      const exit = yield* Effect.exit(order(ledger, Effect.fail(new Declined())))

      assert.deepStrictEqual(ledger.lines, ["reserve", "charge"])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new Declined()))
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Remaining", "charge: Remaining"])
      assert.strictEqual(reportOf(exit).status, "Failed")
    }))

  it.effect("tells observers that undoing was declined and what remains", () =>
    Effect.gen(function*() {
      const ledger = makeLedgerUnsafe()
      const declined: Array<unknown> = []
      const observer = SagaObserver.make((event) =>
        Effect.sync(() => {
          if (event._tag === "UnwindDeclined") declined.push(event.remaining)
        })
      )

      yield* order(ledger, Effect.fail(new Declined())).pipe(
        Effect.provideService(SagaObserver.SagaObserver, observer),
        Effect.exit
      )

      assert.deepStrictEqual(declined, [["charge", "reserve"]])
    }))

  it.effect("asks compensateWhen about defects and interruptions too", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const saga = (body: Effect.Effect<never>) =>
        Saga.step(Effect.void, () => Effect.void).pipe(
          Effect.andThen(body),
          Saga.transact({
            compensateWhen: (cause) => {
              seen.push(tagsOf(cause))
              return true
            }
          }),
          Effect.exit
        )

      yield* saga(Effect.die("broken"))
      yield* saga(Effect.interrupt)

      assert.deepStrictEqual(seen, [["Die"], ["Interrupt"]])
    }))

  it.effect("undoes the saga and keeps the defect when compensateWhen throws", () =>
    Effect.gen(function*() {
      const ledger = makeLedgerUnsafe()

      const exit = yield* ledger.step("reserve").pipe(
        Effect.andThen(Effect.fail(new Declined())),
        Saga.transact({
          compensateWhen: () => {
            throw new Error("predicate is broken")
          }
        }),
        Effect.exit
      )

      assert.deepStrictEqual(ledger.lines, ["reserve", "undo reserve"])
      assert.deepStrictEqual(tagsOf(causeOf(exit)), ["Fail", "Die"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))
})

describe("interruption from outside", () => {
  it.effect("lets the running action settle and undoes everything before the interruption completes", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* step("two")
        yield* Saga.step(Effect.andThen(gate.pass, note("three")), () => note("undo three"), { name: "three" })
        yield* step("four")
      }).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      const linesWhileRunning = [...lines]
      yield* gate.open
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesWhileRunning, ["one", "two"])
      assert.deepStrictEqual(lines, ["one", "two", "three", "undo three", "undo two", "undo one"])
      assert.isTrue(Cause.hasInterruptsOnly(causeOf(exit)))
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "two: Compensated", "three: Compensated"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("undoes what was done before when the running action fails after the interruption", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const failing = Saga.step(Effect.andThen(gate.pass, Effect.fail(new Declined())), () => note("undo charge"), {
        name: "charge"
      })
      const saga = Effect.andThen(step("reserve"), failing).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      yield* gate.open
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["reserve", "undo reserve"])
      assert.isTrue(Cause.hasInterrupts(causeOf(exit)))
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "charge: Failed"])
    }))

  it.effect("starts no step after an interruption that came exactly between two steps", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Effect.withFiber((fiber) => Effect.sync(() => fiber.interruptUnsafe()))
        yield* step("two")
      }).pipe(Saga.transact)

      const exit = yield* Fiber.await(yield* Effect.forkChild(saga))

      assert.deepStrictEqual(lines, ["one", "undo one"])
      assert.isTrue(Cause.hasInterruptsOnly(causeOf(exit)))
    }))

  it.effect("undoes an action that is interrupted in the very instant in which it succeeds", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const last = Effect.withFiber((fiber) =>
        Effect.sync(() => {
          lines.push("one")
          fiber.interruptUnsafe()
        })
      )
      const saga = Effect.gen(function*() {
        yield* Saga.step(last, () => note("undo one"), { name: "one" })
        yield* step("two")
      }).pipe(Saga.transact)

      const exit = yield* Fiber.await(yield* Effect.forkChild(saga))

      assert.deepStrictEqual(lines, ["one", "undo one"])
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated"])
    }))

  it.effect("lets actions of parallel branches settle, starts no queued branch and undoes what was done", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const first = yield* makeGate
      const second = yield* makeGate
      const gated = (name: string, gate: typeof first) =>
        Saga.step(Effect.andThen(gate.pass, note(name)), () => note(`undo ${name}`), { name })
      const saga = Effect.gen(function*() {
        yield* step("before")
        yield* Saga.all([gated("first", first), gated("second", second), step("queued")], { concurrency: 2 })
      }).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, Effect.andThen(first.entered, second.entered))
      yield* second.open
      yield* TestClock.adjust(0)
      const linesHalfway = [...lines]
      yield* first.open
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesHalfway, ["before", "second"])
      assert.deepStrictEqual(lines, ["before", "second", "first", "undo first", "undo second", "undo before"])
      assert.deepStrictEqual(outcomesOf(exit), [
        "before: Compensated",
        "all[1]/second: Compensated",
        "all[0]/first: Compensated"
      ])
    }))

  it.effect("finishes the running and the remaining compensations when it arrives while undoing", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => Effect.andThen(gate.pass, note("undo two")), { name: "two" })
        return yield* new Declined()
      }).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      const linesWhileUndoing = [...lines]
      yield* gate.open
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesWhileUndoing, ["one", "two"])
      assert.deepStrictEqual(lines, ["one", "two", "undo two", "undo one"])
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "two: Compensated"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("changes nothing when it comes a second time", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const action = yield* makeGate
      const compensation = yield* makeGate
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(
          Effect.andThen(action.pass, note("two")),
          () => Effect.andThen(compensation.pass, note("undo two")),
          { name: "two" }
        )
      }).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, action.entered)
      const second = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* action.open
      yield* compensation.entered
      const third = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* compensation.open
      yield* Fiber.joinAll([interrupting, second, third])
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["one", "two", "undo two", "undo one"])
      assert.isTrue(Cause.hasInterruptsOnly(causeOf(exit)))
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("does not reach a saga in an uninterruptible region", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(Effect.andThen(gate.pass, note("two")), () => note("undo two"))
        yield* step("three")
      }).pipe(Saga.transact, Effect.andThen(note("completed")), Effect.uninterruptible)

      const { interrupting } = yield* interruptWhen(saga, gate.entered)
      yield* gate.open
      yield* Fiber.join(interrupting)

      assert.deepStrictEqual(lines, ["one", "two", "three", "completed"])
    }))

  it.effect("still undoes a failing saga in an uninterruptible region", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const error = yield* step("one").pipe(
        Effect.andThen(Effect.fail(new Declined())),
        Saga.transact,
        Effect.uninterruptible,
        Effect.flip
      )

      assert.deepStrictEqual(error, new Declined())
      assert.deepStrictEqual(lines, ["one", "undo one"])
    }))

  it.effect("undoes a savepoint alone first, then the rest of the saga", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const part = Effect.andThen(
        step("inner"),
        Saga.step(Effect.andThen(gate.pass, note("slow")), () => note("undo slow"), { name: "slow" })
      ).pipe(Saga.savepoint, Effect.catchCause(() => note("recovered")))
      const saga = Effect.andThen(step("outer"), part).pipe(Effect.andThen(step("later")), Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      yield* gate.open
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["outer", "inner", "slow", "undo slow", "undo inner", "undo outer"])
      assert.deepStrictEqual(outcomesOf(exit), [
        "outer: Compensated",
        "savepoint/inner: Compensated",
        "savepoint/slow: Compensated"
      ])
    }))
})

const chargeAndWait = (compensation: Effect.Effect<void, RefundRefused>) =>
  Effect.gen(function*() {
    yield* Saga.step(Effect.void, () => Effect.void, { name: "reserve" })
    yield* Saga.step(Effect.void, () => compensation, { name: "charge" })
    return yield* Effect.never
  }).pipe(Saga.transact({ name: "order" }))

describe("an interrupted saga that could not be undone", () => {
  const interrupted = Effect.fnUntraced(function*(compensation: Effect.Effect<void, RefundRefused>) {
    const logged: Array<{ readonly level: string; readonly message: string }> = []
    const logger = Logger.make(({ logLevel, message }) => {
      logged.push({ level: logLevel, message: Array.isArray(message) ? message.join(" ") : String(message) })
    })
    const fiber = yield* chargeAndWait(compensation).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.forkChild({ startImmediately: true })
    )
    yield* Fiber.interrupt(fiber)
    return { exit: yield* Fiber.await(fiber), logged }
  })

  it.effect("ends with both the interruption and CompensationFailed", () =>
    Effect.gen(function*() {
      const { exit } = yield* interrupted(Effect.fail(new RefundRefused()))

      const cause = causeOf(exit)
      assert.deepStrictEqual(tagsOf(cause), ["Fail", "Interrupt"])
      const error = Option.getOrThrow(Cause.findErrorOption(cause))
      assert.strictEqual(error._tag, "CompensationFailed")
      assert.deepStrictEqual(error.failures.map(({ step }) => step), ["charge"])
      assert.isTrue(Cause.hasInterruptsOnly(error.reason))
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "charge: CompensationFailed"])
    }))

  it.effect("is logged as an error that names what is left to undo", () =>
    Effect.gen(function*() {
      const { logged } = yield* interrupted(Effect.fail(new RefundRefused()))

      assert.deepStrictEqual(logged.map(({ level }) => level), ["Error"])
      assert.include(logged[0]!.message, "Saga \"order\" failed and could not be undone completely.")
      assert.include(logged[0]!.message, "Left to undo: charge.")
    }))

  it.effect("ends with both the interruption and the defect CompensationFailed when a compensation died", () =>
    Effect.gen(function*() {
      const { exit, logged } = yield* interrupted(Effect.die("bank is on fire"))

      assert.deepStrictEqual(tagsOf(causeOf(exit)), ["Die", "Interrupt"])
      assert.deepStrictEqual(outcomesOf(exit), ["reserve: Compensated", "charge: CompensationFailed"])
      assert.deepStrictEqual(logged.map(({ level }) => level), ["Error"])
    }))

  it.effect("has a report of its own, whatever became of a saga nested in it", () =>
    Effect.gen(function*() {
      const nested = Saga.step(Effect.void, () => Effect.void, { name: "label" }).pipe(
        Effect.andThen(Effect.never),
        Saga.transact({ name: "shipment" })
      )
      const saga = Saga.step(Effect.void, () => Effect.fail(new RefundRefused()), { name: "charge" }).pipe(
        Effect.andThen(nested),
        Saga.transact({ name: "order" })
      )

      const fiber = yield* Effect.forkChild(saga, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)

      assert.strictEqual(reportOf(exit).saga, "order")
      assert.deepStrictEqual(outcomesOf(exit), ["charge: CompensationFailed", "shipment/label: Compensated"])
    }))

  it.effect("is not logged when everything was undone", () =>
    Effect.gen(function*() {
      const { exit, logged } = yield* interrupted(Effect.void)

      assert.isTrue(Cause.hasInterruptsOnly(causeOf(exit)))
      assert.deepStrictEqual(logged, [])
    }))
})

describe("a sibling that fails", () => {
  it.effect("lets the running action of another branch settle before anything is undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("10 seconds"), note("slow")), () => note("undo slow"), {
        name: "slow"
      })
      const failing = Saga.step(
        Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Declined())),
        () => note("undo failing"),
        { name: "failing" }
      )
      const saga = Effect.andThen(
        step("before"),
        Saga.all([Effect.andThen(slow, step("after slow")), failing], { concurrency: "unbounded" })
      ).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("1 second")
      const linesAfterFailure = [...lines]
      yield* TestClock.adjust("9 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesAfterFailure, ["before"])
      assert.deepStrictEqual(lines, ["before", "slow", "undo slow", "undo before"])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new Declined()))
      assert.deepStrictEqual(outcomesOf(exit), [
        "before: Compensated",
        "all[1]/failing: Failed",
        "all[0]/slow: Compensated"
      ])
    }))

  it.effect("ends an interruptible action at once, whose outcome is then unknown and which is not undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.never, () => note("undo slow"), { name: "slow", interruptible: true })
      const failing = Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Declined()))
      const saga = Effect.andThen(
        step("before"),
        Saga.all({ slow, failing }, { concurrency: "unbounded" })
      ).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "undo before"])
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "all[slow]/slow: Unknown"])
      assert.deepStrictEqual(Cause.findErrorOption(causeOf(exit)), Option.some(new Declined()))
    }))

  it.effect("ends an interruptible action that is undone where it is a stepExit", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.stepExit(
        Effect.andThen(note("request sent"), Effect.never),
        (exit) => note(`undo slow after ${Exit.hasInterrupts(exit) ? "interruption" : "something else"}`),
        { name: "slow", interruptible: true }
      )
      const failing = Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Declined()))
      const saga = Effect.andThen(
        step("before"),
        Saga.all({ slow, failing }, { concurrency: "unbounded" })
      ).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "request sent", "undo slow after interruption", "undo before"])
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "all[slow]/slow: Compensated"])
      assert.isTrue(Cause.hasInterrupts(reportOf(exit).steps[1]!.cause!))
    }))
})

describe("an interruptible action", () => {
  it.effect("is ended by an interruption from outside, is reported as unknown and not undone", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const saga = Effect.andThen(
        step("before"),
        Saga.step(gate.pass, () => note("undo slow"), { name: "slow", interruptible: true })
      ).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "undo before"])
      assert.isTrue(Cause.hasInterruptsOnly(causeOf(exit)))
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "slow: Unknown"])
    }))

  it.effect("of a stepExit is ended by an interruption from outside and undone first", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const gate = yield* makeGate
      const saga = Effect.andThen(
        step("before"),
        Saga.stepExit(gate.pass, () => note("undo slow"), { name: "slow", interruptible: true })
      ).pipe(Saga.transact)

      const { fiber, interrupting } = yield* interruptWhen(saga, gate.entered)
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "undo slow", "undo before"])
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "slow: Compensated"])
    }))

  it.effect("that succeeded is undone like any other", () =>
    Effect.gen(function*() {
      const { lines, note } = makeLedgerUnsafe()

      const error = yield* Saga.step(note("act"), () => note("undo act"), { interruptible: true }).pipe(
        Effect.andThen(Effect.fail(new Declined())),
        Saga.transact,
        Effect.flip
      )

      assert.deepStrictEqual(error, new Declined())
      assert.deepStrictEqual(lines, ["act", "undo act"])
    }))
})

describe("time limits of actions", () => {
  it.effect("a timeout inside an action fails the saga, and the report names the step whose outcome is unknown", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(
        Effect.timeout(Effect.never, "30 seconds"),
        () => note("undo slow"),
        { name: "slow" }
      )
      const saga = Effect.andThen(step("before"), slow).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "undo before"])
      assert.isTrue(Cause.isTimeoutError(Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))))
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "slow: Unknown"])
    }))

  it.effect("a stepExit that timed out is undone first", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.stepExit(
        Effect.timeout(Effect.never, "30 seconds"),
        () => note("undo slow"),
        { name: "slow" }
      )
      const saga = Effect.andThen(step("before"), slow).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "undo slow", "undo before"])
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "slow: Compensated"])
      assert.isTrue(Cause.isTimeoutError(Cause.squash(reportOf(exit).steps[1]!.cause!)))
    }))

  it.effect("a timeout around a step waits for the action to settle and then undoes it", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("1 minute"), note("slow")), () => note("undo slow"), {
        name: "slow"
      })
      const saga = Effect.andThen(step("before"), Effect.timeout(slow, "30 seconds")).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("30 seconds")
      const linesAfterTimeout = [...lines]
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(linesAfterTimeout, ["before"])
      assert.deepStrictEqual(lines, ["before", "slow", "undo slow", "undo before"])
      assert.isTrue(Cause.isTimeoutError(Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))))
      assert.deepStrictEqual(outcomesOf(exit), ["before: Compensated", "slow: Compensated"])
    }))

  it.effect("a timeout around a saga undoes it before it fails", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const slow = Saga.step(Effect.andThen(Effect.sleep("1 minute"), note("slow")), () => note("undo slow"))
      const saga = Effect.andThen(step("before"), slow).pipe(
        Effect.andThen(step("never")),
        Saga.transact,
        Effect.timeout("30 seconds"),
        Effect.tapError(() => note("timed out"))
      )

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["before", "slow", "undo slow", "undo before", "timed out"])
      assert.isTrue(Cause.isTimeoutError(Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))))
    }))

  it.effect("a deadline that passes between two steps starts no further step and undoes the rest", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* step("two")
        yield* Effect.sleep("1 hour")
        yield* step("three")
      }).pipe(Effect.timeout("1 minute"), Saga.transact({ name: "order" }))

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.await(fiber)
      yield* TestClock.adjust("1 hour")

      assert.deepStrictEqual(lines, ["one", "two", "undo two", "undo one"])
      assert.isTrue(Cause.isTimeoutError(Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))))
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "two: Compensated"])
    }))

  it.effect("a saga that loses a race is undone before the race ends", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const loser = Effect.andThen(step("one"), Effect.never).pipe(Saga.transact)
      const winner = Effect.as(Effect.sleep("1 second"), "winner")

      const fiber = yield* Effect.forkChild(Effect.tap(Effect.race(loser, winner), () => note("race is over")))
      yield* TestClock.adjust("1 second")
      const value = yield* Fiber.join(fiber)

      assert.strictEqual(value, "winner")
      assert.deepStrictEqual(lines, ["one", "undo one", "race is over"])
    }))

  it.effect("a step that loses a race inside a saga settles, and is undone only if the saga fails", () =>
    Effect.gen(function*() {
      const { lines, note } = makeLedgerUnsafe()
      const slow = Saga.step(
        Effect.andThen(Effect.sleep("10 seconds"), note("slow")),
        () => note("undo slow"),
        { name: "slow" }
      )
      const fast = Saga.step(Effect.andThen(Effect.sleep("1 second"), note("fast")), () => note("undo fast"), {
        name: "fast"
      })
      const raced = Effect.race(slow, fast)

      const succeeding = yield* Effect.forkChild(Saga.transact(raced))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(succeeding)
      const linesOfSuccess = lines.splice(0)
      const failing = yield* Effect.forkChild(
        raced.pipe(Effect.andThen(Effect.fail(new Declined())), Saga.transact, Effect.flip)
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(failing)

      assert.deepStrictEqual(linesOfSuccess, ["fast", "slow"])
      assert.deepStrictEqual(lines, ["fast", "slow", "undo slow", "undo fast"])
    }))
})

describe("time limits of compensations", () => {
  it.effect("compensationTimeout counts a compensation that hangs as failed and runs the next one", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => Effect.never, { name: "two" })
        yield* step("three")
        return yield* new Declined()
      }).pipe(Saga.transact({ compensationTimeout: "5 seconds" }))

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("5 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["one", "two", "three", "undo three", "undo one"])
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      if (error._tag !== "CompensationFailed") return assert.fail("The saga failed with its original error.")
      assert.deepStrictEqual(error.failures.map(({ step }) => step), ["two"])
      assert.isTrue(Cause.isTimeoutError(Cause.squash(error.failures[0]!.cause)))
      assert.deepStrictEqual(Cause.findErrorOption(error.reason), Option.some(new Declined()))
      assert.deepStrictEqual(outcomesOf(exit), [
        "one: Compensated",
        "two: CompensationFailed",
        "three: Compensated"
      ])
    }))

  it.effect("compensationTimeout holds for each compensation, not for all of them", () =>
    Effect.gen(function*() {
      const { lines, note } = makeLedgerUnsafe()
      const slowly = (name: string) =>
        Saga.step(note(name), () => Effect.andThen(Effect.sleep("4 seconds"), note(`undo ${name}`)), { name })
      const saga = Effect.all([slowly("one"), slowly("two"), Effect.fail(new Declined())]).pipe(
        Saga.transact({ compensationTimeout: "5 seconds" }),
        Effect.flip
      )

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("8 seconds")
      const error = yield* Fiber.join(fiber)

      assert.deepStrictEqual(error, new Declined())
      assert.deepStrictEqual(lines, ["one", "two", "undo two", "undo one"])
    }))

  it.effect("unwindTimeout ends the running compensation and leaves the others, which are reported as remaining", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* step("one")
        yield* Saga.step(note("two"), () => Effect.never, { name: "two" })
        yield* Saga.step(note("three"), () => Effect.andThen(Effect.sleep("6 seconds"), note("undo three")), {
          name: "three"
        })
        return yield* new Declined()
      }).pipe(Saga.transact({ unwindTimeout: "10 seconds" }))

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(lines, ["one", "two", "three", "undo three"])
      const error = Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))
      assert.strictEqual(error._tag, "CompensationFailed")
      assert.deepStrictEqual(outcomesOf(exit), [
        "one: Remaining",
        "two: CompensationFailed",
        "three: Compensated"
      ])
      assert.strictEqual(reportOf(exit).status, "Failed")
    }))

  it.effect("unwindTimeout that is not reached changes nothing", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()

      const error = yield* step("one").pipe(
        Effect.andThen(Effect.fail(new Declined())),
        Saga.transact({ unwindTimeout: "10 seconds" }),
        Effect.flip
      )

      assert.deepStrictEqual(error, new Declined())
      assert.deepStrictEqual(lines, ["one", "undo one"])
    }))

  it.effect("the limit that is reached first ends a compensation", () =>
    Effect.gen(function*() {
      const { note } = makeLedgerUnsafe()
      const saga = Effect.gen(function*() {
        yield* Saga.step(note("one"), () => Effect.never, { name: "one" })
        yield* Saga.step(note("two"), () => Effect.never, { name: "two" })
        return yield* new Declined()
      }).pipe(Saga.transact({ compensationTimeout: "6 seconds", unwindTimeout: "10 seconds" }))

      const fiber = yield* Effect.forkChild(saga)
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.await(fiber)

      const ended = reportOf(exit).steps.map((step) => [step.path, step.outcome, step.endedAt])
      assert.deepStrictEqual(ended, [["one", "CompensationFailed", 10_000], ["two", "CompensationFailed", 6_000]])
    }))
})

describe("an action that dies", () => {
  it.effect("undoes the steps before it and keeps the defect", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()
      const defect = new Error("driver is broken")

      const exit = yield* Effect.gen(function*() {
        yield* step("one")
        yield* step("two")
        yield* Saga.step(Effect.die(defect), () => note("undo three"), { name: "three" })
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["one", "two", "undo two", "undo one"])
      assert.deepStrictEqual(tagsOf(causeOf(exit)), ["Die"])
      assert.strictEqual(Cause.squash(causeOf(exit)), defect)
      assert.deepStrictEqual(outcomesOf(exit), ["one: Compensated", "two: Compensated", "three: Failed"])
    }))

  it.effect("is undone first where it is a stepExit", () =>
    Effect.gen(function*() {
      const { lines, note, step } = makeLedgerUnsafe()

      const exit = yield* Effect.gen(function*() {
        yield* step("one")
        yield* Saga.stepExit(
          Effect.sync(() => {
            throw new Error("driver is broken")
          }),
          (exit) => note(`undo two after ${Exit.hasDies(exit) ? "a defect" : "something else"}`),
          { name: "two" }
        )
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["one", "undo two after a defect", "undo one"])
      assert.isTrue(Exit.hasDies(exit))
    }))

  it.effect("in plain code between two steps undoes the saga all the same", () =>
    Effect.gen(function*() {
      const { lines, step } = makeLedgerUnsafe()
      const fromOutside: { readonly city?: { readonly name: string } } = {}

      const exit = yield* Effect.gen(function*() {
        yield* step("one")
        return fromOutside.city!.name
      }).pipe(Saga.transact, Effect.exit)

      assert.deepStrictEqual(lines, ["one", "undo one"])
      assert.deepStrictEqual(tagsOf(causeOf(exit)), ["Die"])
    }))
})

describe("an action whose effect is uncertain", () => {
  /* A bank that keeps the charges it knows and the keys it has seen cancelled. */
  class Bank extends Context.Service<Bank, {
    readonly charge: (key: string) => Effect.Effect<void, Declined>
    readonly cancel: (key: string) => Effect.Effect<"undone" | "nothing to undo">
    readonly charges: Effect.Effect<ReadonlyArray<string>>
  }>()("test/Bank") {}

  const makeBank = Effect.sync(() => {
    const charges = new Set<string>()
    const cancelled = new Set<string>()
    return Bank.of({
      charge: (key) =>
        Effect.suspend(() => {
          if (cancelled.has(key)) return Effect.fail(new Declined())
          charges.add(key)
          return Effect.void
        }),
      cancel: (key) =>
        Effect.sync(() => {
          cancelled.add(key)
          return charges.delete(key) ? "undone" : "nothing to undo"
        }),
      charges: Effect.sync(() => Array.from(charges))
    })
  })

  const order = (request: Effect.Effect<void, Declined, Bank>) =>
    Saga.stepExit(
      Effect.timeout(request, "30 seconds"),
      () => Effect.flatMap(Bank, (bank) => bank.cancel("order-1")),
      { name: "charge" }
    ).pipe(Saga.transact)

  it.effect("is undone without harm when it never took effect", () =>
    Effect.gen(function*() {
      const bank = yield* makeBank

      const fiber = yield* order(Effect.never).pipe(Effect.provideService(Bank, bank), Effect.forkChild)
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(yield* bank.charges, [])
      assert.isTrue(Cause.isTimeoutError(Option.getOrThrow(Cause.findErrorOption(causeOf(exit)))))
      assert.deepStrictEqual(outcomesOf(exit), ["charge: Compensated"])
      assert.strictEqual(reportOf(exit).status, "Compensated")
    }))

  it.effect("is undone when it took effect and only its answer was lost", () =>
    Effect.gen(function*() {
      const bank = yield* makeBank

      const fiber = yield* order(Effect.andThen(bank.charge("order-1"), Effect.never)).pipe(
        Effect.provideService(Bank, bank),
        Effect.forkChild
      )
      yield* TestClock.adjust(0)
      const chargesBefore = yield* bank.charges
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)

      assert.deepStrictEqual(chargesBefore, ["order-1"])
      assert.deepStrictEqual(yield* bank.charges, [])
      assert.deepStrictEqual(outcomesOf(exit), ["charge: Compensated"])
    }))

  it.effect("is refused by its key when it arrives after it was undone", () =>
    Effect.gen(function*() {
      const bank = yield* makeBank
      const arrival = yield* Deferred.make<void, Declined>()
      const network = bank.charge("order-1").pipe(Effect.delay("1 minute"), Deferred.into(arrival))
      const request = Effect.andThen(Effect.forkDetach(network), Deferred.await(arrival))

      const fiber = yield* order(request).pipe(Effect.provideService(Bank, bank), Effect.forkChild)
      yield* TestClock.adjust("30 seconds")
      const exit = yield* Fiber.await(fiber)
      yield* TestClock.adjust("30 seconds")
      const refused = yield* Effect.flip(Deferred.await(arrival))

      assert.deepStrictEqual(refused, new Declined())
      assert.deepStrictEqual(yield* bank.charges, [])
      assert.deepStrictEqual(outcomesOf(exit), ["charge: Compensated"])
    }))
})
