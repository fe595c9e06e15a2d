import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Data,
  Effect,
  Exit,
  Fiber,
  Latch,
  Logger,
  Option,
  Ref,
  Result,
  Schedule,
  Schema
} from "effect"
import { Saga, type SagaEvent, SagaObserver, SagaReport } from "effect-saga"
import { TestClock } from "effect/testing"
import { makeLedger } from "./support/ledger.ts"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly card: string }> {}

class RefundRefused extends Data.TaggedError("RefundRefused")<{ readonly step: string }> {}

const reportOf = (cause: Cause.Cause<unknown>) => Option.getOrThrow(Saga.report(cause))

const outcomes = (report: SagaReport.SagaReport) => report.steps.map((step) => `${step.path}: ${step.outcome}`)

/** What each reason of a cause says, and where it comes from. */
const origins = (cause: Cause.Cause<unknown>) =>
  cause.reasons.map((reason) => ({
    tag: reason._tag,
    failure: reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined,
    ...Context.getUnsafe(Cause.reasonAnnotations(reason), Saga.FailureOrigin)
  }))

/** A ledger whose steps can also refuse to be undone. */
const makeBooks = Effect.map(makeLedger, (ledger) => ({
  ...ledger,
  refusing: (name: string) =>
    Saga.step(
      Effect.as(ledger.note(name), name),
      () => Effect.andThen(ledger.note(`undo ${name}`), Effect.fail(new RefundRefused({ step: name }))),
      { name }
    ),
  dying: (name: string, defect: unknown) =>
    Saga.step(
      Effect.as(ledger.note(name), name),
      () => Effect.andThen(ledger.note(`undo ${name}`), Effect.die(defect)),
      { name }
    ),
  failing: (name: string, error: CardDeclined) =>
    Saga.step(Effect.fail(error), () => ledger.note(`undo ${name}`), { name })
}))

/** Keeps every event of the sagas that it observes. */
const makeRecorder = Effect.map(Ref.make<ReadonlyArray<SagaEvent.SagaEvent>>([]), (events) => ({
  events: Ref.get(events),
  observe: Effect.provideService(
    SagaObserver.SagaObserver,
    SagaObserver.make((event) => Ref.update(events, (seen) => [...seen, event]))
  )
}))

/** Keeps every line that is logged, in place of printing it. */
const makeLogbook = Effect.sync(() => {
  const entries: Array<{ readonly level: string; readonly message: unknown; readonly cause: Cause.Cause<unknown> }> = []
  return {
    entries,
    keep: Effect.provide(Logger.layer([
      Logger.make(({ cause, logLevel, message }) => {
        entries.push({ level: logLevel, message: Array.isArray(message) ? message[0] : message, cause })
      })
    ]))
  }
})

describe("a compensation that fails", () => {
  it.effect("keeps no other from being attempted, and the error holds its failure and that of the saga", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        yield* books.step("c")
        yield* books.failing("d", declined)
      }).pipe(Saga.transact({ name: "order" }))

      const error = yield* Effect.flip(saga)

      assert.deepStrictEqual(yield* books.lines, ["a", "b", "c", "undo c", "undo b", "undo a"])
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(error.saga, "order")
      assert.deepStrictEqual(error.reason.reasons.map((reason) => reason._tag), ["Fail"])
      assert.strictEqual(Option.getOrThrow(Cause.findErrorOption(error.reason)), declined)
      assert.deepStrictEqual(
        error.failures.map(({ cause, step }) => ({ step, error: Option.getOrThrow(Cause.findErrorOption(cause)) })),
        [{ step: "b", error: new RefundRefused({ step: "b" }) }]
      )
      assert.deepStrictEqual(outcomes(error.report), [
        "a: Compensated",
        "b: CompensationFailed",
        "c: Compensated",
        "d: Failed"
      ])
    }))

  it.effect("is out of reach of a handler for the original error", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.andThen(books.refusing("a"), books.failing("b", new CardDeclined({ card: "4242" }))).pipe(
        Saga.transact,
        Effect.catchTag("CardDeclined", () => Effect.succeed("taken for undone"))
      )

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error._tag, "CompensationFailed")
    }))

  it.effect("stands in execution order among all others that failed", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.refusing("a")
        yield* books.refusing("b")
        yield* books.refusing("c")
        yield* books.failing("d", new CardDeclined({ card: "4242" }))
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["c", "b", "a"])
      assert.deepStrictEqual((yield* books.lines).slice(3), ["undo c", "undo b", "undo a"])
    }))

  it.effect("changes nothing in what the next one is told of the failure of the saga", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<unknown>> = []
      const refuse = (name: string) =>
        Saga.step(Effect.void, (_, cause) => {
          seen.push(cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error : reason._tag))
          return Effect.fail(new RefundRefused({ step: name }))
        })
      const declined = new CardDeclined({ card: "4242" })
      const saga = refuse("a").pipe(
        Effect.andThen(refuse("b")),
        Effect.andThen(Effect.fail(declined)),
        Saga.transact
      )

      yield* Effect.flip(saga)

      assert.deepStrictEqual(seen, [[declined], [declined]])
    }))

  it.effect("keeps all the reasons it failed for", () =>
    Effect.gen(function*() {
      const bug = new TypeError("x is not a function")
      const saga = Saga.step(Effect.void, () =>
        Effect.failCause(Cause.fromReasons([
          Cause.makeFailReason(new RefundRefused({ step: "first" })),
          Cause.makeFailReason(new RefundRefused({ step: "second" })),
          Cause.makeDieReason(bug)
        ])), { name: "a" }).pipe(Effect.andThen(Effect.fail("failed")), Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.length, 1)
      assert.deepStrictEqual(origins(error.cause), [
        { tag: "Fail", failure: "failed", step: undefined, phase: "action" },
        { tag: "Fail", failure: new RefundRefused({ step: "first" }), step: "a", phase: "compensation" },
        { tag: "Fail", failure: new RefundRefused({ step: "second" }), step: "a", phase: "compensation" },
        { tag: "Die", failure: bug, step: "a", phase: "compensation" }
      ])
    }))

  it.effect("in a savepoint is what the savepoint fails with", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Effect.andThen(books.refusing("b"), books.failing("c", declined)).pipe(
          Saga.savepoint({ name: "payment" })
        )
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["payment/b"])
      assert.deepStrictEqual(yield* books.lines, ["a", "b", "undo b", "undo a"])
    }))

  it.effect("in a savepoint is not forgotten when the saga goes another way and fails later", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Effect.andThen(books.refusing("b"), books.failing("c", declined)).pipe(
          Saga.savepoint,
          Effect.catchTag("CompensationFailed", () => books.step("another way"))
        )
        return yield* Effect.fail("later")
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(Option.getOrThrow(Cause.findErrorOption(error.reason)), "later")
      assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["savepoint/b"])
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b", "another way", "undo another way", "undo a"])
    }))
})

describe("the combined cause of CompensationFailed", () => {
  it.effect("holds the failure of the saga, then those of the compensations, each with step and phase", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.refusing("a")
        yield* Saga.all([books.step("b"), books.refusing("c")])
        yield* books.failing("d", declined)
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(origins(error.cause), [
        { tag: "Fail", failure: declined, step: "d", phase: "action" },
        { tag: "Fail", failure: new RefundRefused({ step: "c" }), step: "all[1]/c", phase: "compensation" },
        { tag: "Fail", failure: new RefundRefused({ step: "a" }), step: "a", phase: "compensation" }
      ])
    }))

  it.effect("names no step for a failure of plain code between steps", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.andThen(books.refusing("a"), Effect.fail(declined)).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(origins(error.cause), [
        { tag: "Fail", failure: declined, step: undefined, phase: "action" },
        { tag: "Fail", failure: new RefundRefused({ step: "a" }), step: "a", phase: "compensation" }
      ])
    }))

  it.effect("names no step for a failure that had been handled, when plain code fails later", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = books.refusing("a").pipe(
        Effect.andThen(Effect.catch(books.failing("b", new CardDeclined({ card: "1" })), () => Effect.void)),
        Effect.andThen(Effect.fail(new CardDeclined({ card: "2" }))),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(origins(error.cause).map(({ phase, step }) => ({ phase, step })), [
        { phase: "action", step: undefined },
        { phase: "compensation", step: "a" }
      ])
    }))

  it.effect("names the step of each branch where several failed", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const left = yield* Latch.make()
      const right = yield* Latch.make()
      const saga = books.refusing("a").pipe(
        Effect.andThen(Saga.all([
          Saga.step(left.open.pipe(Effect.andThen(right.await), Effect.andThen(Effect.fail("left failed"))), () =>
            Effect.void, {
            name: "left"
          }),
          Saga.step(right.open.pipe(Effect.andThen(left.await), Effect.andThen(Effect.fail("right failed"))), () =>
            Effect.void, {
            name: "right"
          })
        ], { concurrency: "unbounded" })),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.sameDeepMembers(origins(error.cause).slice(0, 2), [
        { tag: "Fail", failure: "left failed", step: "all[0]/left", phase: "action" },
        { tag: "Fail", failure: "right failed", step: "all[1]/right", phase: "action" }
      ])
    }))

  it.effect("names the step of each branch where one failed and another died", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const left = yield* Latch.make()
      const right = yield* Latch.make()
      const bug = new TypeError("x is not a function")
      const saga = books.refusing("a").pipe(
        Effect.andThen(Saga.all([
          Saga.step(left.open.pipe(Effect.andThen(right.await), Effect.andThen(Effect.fail("left failed"))), () =>
            Effect.void, {
            name: "left"
          }),
          Saga.step(right.open.pipe(Effect.andThen(left.await), Effect.andThen(Effect.die(bug))), () =>
            Effect.void, {
            name: "right"
          })
        ], { concurrency: "unbounded" })),
        Saga.transact
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.sameDeepMembers(
        origins(error.cause).slice(0, 2).map(({ failure, step }) => ({ failure, step })),
        [{ failure: "left failed", step: "all[0]/left" }, { failure: bug, step: "all[1]/right" }]
      )
    }))
})

describe("running a saga that could not be undone", () => {
  it.effect("as a promise rejects with the very instance that the effect fails with", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const failedWith: Array<unknown> = []
      const saga = Effect.andThen(books.refusing("a"), books.failing("b", new CardDeclined({ card: "4242" }))).pipe(
        Saga.transact,
        Effect.tapError((error) => Effect.sync(() => failedWith.push(error)))
      )

      const rejection = yield* Effect.flip(
        Effect.tryPromise({ try: () => Effect.runPromise(saga), catch: (error) => error })
      )

      assert.instanceOf(rejection, Saga.CompensationFailed)
      assert.strictEqual(failedWith.length, 1)
      assert.strictEqual(rejection, failedWith[0])
    }))

  it.effect("as a promise rejects with the very instance that it dies with", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const failedWith: Array<unknown> = []
      const saga = Effect.andThen(books.dying("a", new Error("boom")), Effect.fail("failed")).pipe(
        Saga.transact,
        Effect.tapCause((cause) => Effect.sync(() => failedWith.push(Cause.squash(cause))))
      )

      const rejection = yield* Effect.flip(
        Effect.tryPromise({ try: () => Effect.runPromise(saga), catch: (error) => error })
      )

      assert.instanceOf(rejection, Saga.CompensationFailed)
      assert.strictEqual(failedWith.length, 1)
      assert.strictEqual(rejection, failedWith[0])
    }))

  it.effect("ends with the interruption too where it was interrupted, and says aloud what is not undone", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const logbook = yield* makeLogbook
      const waiting = yield* Latch.make()
      const saga = books.refusing("a").pipe(
        Effect.andThen(waiting.open),
        Effect.andThen(Effect.never),
        Saga.transact({ name: "order" }),
        logbook.keep
      )

      const fiber = yield* Effect.forkChild(saga)
      yield* waiting.await
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)

      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isSuccess(exit)) return
      assert.deepStrictEqual(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)).length, 1)
      assert.isTrue(Cause.hasInterrupts(exit.cause))
      const error = Option.getOrThrow(Cause.findErrorOption(exit.cause))
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.isTrue(Cause.hasInterruptsOnly(error.reason))
      assert.deepStrictEqual(logbook.entries.map(({ level, message }) => ({ level, message })), [
        { level: "Error", message: error.message }
      ])
    }))
})

describe("stopping at the first compensation that fails", () => {
  it.effect("leaves the rest unattempted and lists it as remaining", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        yield* books.step("c")
        yield* books.failing("d", new CardDeclined({ card: "4242" }))
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }))

      const error = yield* Effect.flip(saga)

      assert.deepStrictEqual((yield* books.lines).slice(3), ["undo c", "undo b"])
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["b"])
      assert.strictEqual(error.report.status, "Failed")
      assert.deepStrictEqual(outcomes(error.report), [
        "a: Remaining",
        "b: CompensationFailed",
        "c: Compensated",
        "d: Failed"
      ])
      assert.include(error.message, "Left to undo: a, b.")
    }))

  it.effect("happens at a defect too", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.dying("b", new Error("boom"))
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }))

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b"])
      assert.deepStrictEqual(outcomes(reportOf(cause)), ["a: Remaining", "b: CompensationFailed"])
    }))

  it.effect("changes nothing where every compensation succeeds", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.step("b")
        yield* books.failing("c", declined)
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }))

      const error = yield* Effect.flip(saga)

      assert.strictEqual(error, declined)
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b", "undo a"])
    }))

  it.effect("lets what already runs side by side end, and starts nothing more in any branch", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("before")
        yield* Saga.all([
          Effect.andThen(books.step("a1"), books.refusing("a2")),
          Effect.andThen(
            books.step("b1"),
            Saga.step(Effect.void, () => Effect.andThen(Effect.sleep("1 second"), books.note("undo b2")), {
              name: "b2"
            })
          )
        ], { compensation: "parallel" })
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }))

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual((yield* books.lines).slice(4), ["undo a2", "undo b2"])
      assert.deepStrictEqual(outcomes(error.report), [
        "before: Remaining",
        "all[0]/a1: Remaining",
        "all[0]/a2: CompensationFailed",
        "all[1]/b1: Remaining",
        "all[1]/b2: Compensated"
      ])
    }))

  it.effect("in a savepoint leaves what the saga did before it as well", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Effect.andThen(books.refusing("b"), Effect.fail("failed")).pipe(Saga.savepoint)
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }))

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b"])
      assert.deepStrictEqual(outcomes(reportOf(cause)), ["a: Remaining", "savepoint/b: CompensationFailed"])
    }))

  it.effect("is a choice: by default, and where it is asked for, undoing continues", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const body = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        return yield* Effect.fail("failed")
      })

      yield* Effect.flip(Saga.transact(body))
      yield* Effect.flip(Saga.transact(body, { onCompensationFailure: "continue" }))

      assert.deepStrictEqual(yield* books.lines, ["a", "b", "undo b", "undo a", "a", "b", "undo b", "undo a"])
    }))
})

describe("a compensation that dies", () => {
  it.effect("keeps no other from running, and its defect stays a defect beside the typed failures", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const bug = new TypeError("x is not a function")
      const saga = Effect.gen(function*() {
        yield* books.refusing("a")
        yield* books.dying("b", bug)
        yield* books.step("c")
        yield* books.failing("d", new CardDeclined({ card: "4242" }))
      }).pipe(Saga.transact)

      const error = yield* Effect.flip(saga)

      assert.deepStrictEqual((yield* books.lines).slice(3), ["undo c", "undo b", "undo a"])
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(
        error.failures.map(({ cause, step }) => [step, cause.reasons.map((reason) => reason._tag)]),
        [
          ["b", ["Die"]],
          ["a", ["Fail"]]
        ]
      )
      assert.strictEqual(Cause.squash(error.failures[0]!.cause), bug)
    }))

  it.effect("makes a saga die with CompensationFailed where no compensation can fail by its type", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const bug = new TypeError("x is not a function")
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.dying("b", bug)
        yield* books.failing("c", declined)
      }).pipe(Saga.transact)

      const cause = yield* saga.pipe(
        Effect.catchTag("CardDeclined", () => Effect.succeed("taken for undone")),
        Effect.sandbox,
        Effect.flip
      )

      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b", "undo a"])
      assert.deepStrictEqual(cause.reasons.map((reason) => reason._tag), ["Die"])
      const error = Cause.squash(cause)
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(Cause.squash(error.reason), declined)
      assert.deepStrictEqual(error.failures.map((failure) => Cause.squash(failure.cause)), [bug])
    }))

  it.effect("may do so before it returns an effect at all", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const bug = new TypeError("x is not a function")
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Saga.step(books.note("b"), () => {
          throw bug
        })
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = Cause.squash(cause)
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => Cause.squash(failure.cause)), [bug])
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo a"])
    }))

  it.effect("keeps the defect for which the saga failed as the reason", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const bug = new TypeError("x is not a function")
      const saga = Effect.andThen(books.dying("a", "boom"), Effect.die(bug)).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = Cause.squash(cause)
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.reason.reasons.map((reason) => reason._tag), ["Die"])
      assert.strictEqual(Cause.squash(error.reason), bug)
    }))
})

describe("retrying a compensation", () => {
  it.effect("until it succeeds leaves the original error alone, with everything undone", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const attempts: Array<number> = []
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Saga.step(books.note("b"), () =>
          Effect.gen(function*() {
            attempts.push(yield* Clock.currentTimeMillis)
            if (attempts.length < 3) return yield* new RefundRefused({ step: "b" })
            yield* books.note("undo b")
          }).pipe(Effect.retry(Schedule.spaced("1 minute"))), { name: "b" })
        yield* books.failing("c", declined)
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(Effect.sandbox(saga)))
      yield* TestClock.adjust("2 minutes")
      const cause = yield* Fiber.join(fiber)

      assert.deepStrictEqual(attempts, [0, 60_000, 120_000])
      assert.deepStrictEqual(cause.reasons.map((reason) => reason._tag), ["Fail"])
      assert.strictEqual(Option.getOrThrow(Cause.findErrorOption(cause)), declined)
      assert.strictEqual(reportOf(cause).status, "Compensated")
      assert.deepStrictEqual(outcomes(reportOf(cause)), ["a: Compensated", "b: Compensated", "c: Failed"])
      assert.deepStrictEqual(yield* books.lines, ["a", "b", "undo b", "undo a"])
    }))

  it.effect("in vain counts as one failure, and the others run after its last attempt", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Saga.step(books.note("b"), () =>
          books.note("try to undo b").pipe(
            Effect.andThen(Effect.fail(new RefundRefused({ step: "b" }))),
            Effect.retry(Schedule.max([Schedule.exponential("1 second"), Schedule.recurs(2)]))
          ), { name: "b" })
        yield* books.failing("c", new CardDeclined({ card: "4242" }))
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(Effect.flip(saga))
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(fiber)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(error.failures.map((failure) => [failure.step, failure.cause.reasons.length]), [["b", 1]])
      assert.deepStrictEqual((yield* books.lines).slice(2), [
        "try to undo b",
        "try to undo b",
        "try to undo b",
        "undo a"
      ])
    }))
})

describe("an observer as the place where failed compensations go", () => {
  it.effect("receives step, value, both causes and what remains, once the retries are exhausted", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const recorder = yield* makeRecorder
      const declined = new CardDeclined({ card: "4242" })
      const attempts = yield* Ref.make(0)
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.step("b")
        yield* Saga.step(
          Effect.succeed({ charge: 17 }),
          () =>
            Ref.update(attempts, (count) => count + 1).pipe(
              Effect.andThen(Effect.fail(new RefundRefused({ step: "charge" }))),
              Effect.retry({ times: 2 })
            ),
          { name: "charge" }
        )
        yield* books.step("c")
        yield* books.failing("d", declined)
      }).pipe(Saga.savepoint({ name: "payment" }), Saga.transact({ name: "order" }), recorder.observe)

      yield* Effect.flip(saga)

      const events = (yield* recorder.events).filter((event) => event._tag === "CompensationFailed")
      assert.strictEqual(yield* Ref.get(attempts), 3)
      assert.deepStrictEqual(
        events.map(({ path, remaining, saga, step, value }) => ({ path, remaining, saga, step, value })),
        [{
          saga: "order",
          step: "charge",
          path: "payment/charge",
          value: { charge: 17 },
          remaining: ["payment/b", "payment/a"]
        }]
      )
      assert.deepStrictEqual(events.map(({ cause }) => Cause.squash(cause)), [new RefundRefused({ step: "charge" })])
      assert.deepStrictEqual(events.map(({ reason }) => Cause.squash(reason)), [declined])
    }))

  it.effect("receives one event for each, with ever less remaining", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const recorder = yield* makeRecorder
      const saga = Effect.gen(function*() {
        yield* books.refusing("a")
        yield* books.step("b")
        yield* books.refusing("c")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact, recorder.observe)

      yield* Effect.flip(saga)

      const events = (yield* recorder.events).filter((event) => event._tag === "CompensationFailed")
      assert.deepStrictEqual(events.map(({ remaining, step, value }) => ({ step, value, remaining })), [
        { step: "c", value: "c", remaining: ["b", "a"] },
        { step: "a", value: "a", remaining: [] }
      ])
    }))

  it.effect("receives what remains when undoing stops", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const recorder = yield* makeRecorder
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact({ onCompensationFailure: "stop" }), recorder.observe)

      yield* Effect.flip(saga)

      const events = yield* recorder.events
      assert.deepStrictEqual(
        events.flatMap((event) =>
          event._tag === "CompensationFailed" || event._tag === "UnwindFinished" ? [[event._tag, event.remaining]] : []
        ),
        [["CompensationFailed", ["a"]], ["UnwindFinished", ["a"]]]
      )
    }))

  it.effect("receives the exit of an action that is compensated whatever its outcome", () =>
    Effect.gen(function*() {
      const recorder = yield* makeRecorder
      const saga = Saga.stepExit(
        Effect.fail("no answer"),
        () => Effect.fail(new RefundRefused({ step: "charge" })),
        { name: "charge" }
      ).pipe(Saga.transact, recorder.observe)

      yield* Effect.flip(saga)

      const values = (yield* recorder.events).flatMap((event) =>
        event._tag === "CompensationFailed" ? [event.value] : []
      )
      assert.strictEqual(values.length, 1)
      const [value] = values
      assert.isTrue(Exit.isExit(value) && Exit.isFailure(value) && Cause.squash(value.cause) === "no answer")
    }))

  it.effect.each<readonly [how: string, onEvent: () => Effect.Effect<void, string>]>([
    ["fails", () => Effect.fail("the queue is full")],
    ["dies", () => Effect.die("the queue is full")],
    ["throws", () => {
      throw "the queue is full"
    }]
  ])("leaves the result of the saga as it is when it %s, and that is logged", ([, onEvent]) =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const logbook = yield* makeLogbook
      const declined = new CardDeclined({ card: "4242" })
      const sink = SagaObserver.make((event) => event._tag === "CompensationFailed" ? onEvent() : Effect.void)
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        yield* books.failing("c", declined)
      }).pipe(
        Saga.transact({ name: "order" }),
        Effect.provideService(SagaObserver.SagaObserver, sink),
        logbook.keep
      )

      const error = yield* Effect.flip(saga)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(origins(error.cause).map(({ failure, step }) => ({ failure, step })), [
        { failure: declined, step: "c" },
        { failure: new RefundRefused({ step: "b" }), step: "b" }
      ])
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo b", "undo a"])
      assert.deepStrictEqual(
        logbook.entries.map(({ cause, level, message }) => ({ level, message, failure: Cause.squash(cause) })),
        [{
          level: "Warn",
          message: "The observer of saga \"order\" failed on CompensationFailed; the saga goes on.",
          failure: "the queue is full"
        }]
      )
    }))
})

describe("a compensation that returns an error as its value", () => {
  it.effect.each<readonly [what: string, compensation: Effect.Effect<unknown>]>([
    ["a failed result", Effect.result(Effect.fail(new RefundRefused({ step: "b" })))],
    ["a failed exit", Effect.exit(Effect.fail(new RefundRefused({ step: "b" })))],
    ["the exit of a defect", Effect.exit(Effect.die(new RefundRefused({ step: "b" })))],
    ["an error", Effect.succeed(new RefundRefused({ step: "b" }))]
  ])("has failed: %s", ([, compensation]) =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Saga.step(books.note("b"), () => compensation, { name: "b" })
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = Cause.squash(cause)
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.deepStrictEqual(
        error.failures.map((failure) => [failure.step, Cause.squash(failure.cause)]),
        [["b", new RefundRefused({ step: "b" })]]
      )
      assert.deepStrictEqual(outcomes(error.report), ["a: Compensated", "b: CompensationFailed"])
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo a"])
    }))

  it.effect("has failed too where the value is no effect at all, and the error says what to do", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const forgotten = (() => Promise.resolve()) as unknown as () => Effect.Effect<void>
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* Saga.step(books.note("b"), forgotten, { name: "b" })
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = Cause.squash(cause)
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.include(error.message, "The compensation of step \"b\" returned no Effect")
      assert.deepStrictEqual(outcomes(error.report), ["a: Compensated", "b: CompensationFailed"])
      assert.deepStrictEqual((yield* books.lines).slice(2), ["undo a"])
    }))

  it.effect.each<readonly [what: string, value: unknown]>([
    ["a successful result", Result.succeed(1)],
    ["a successful exit", Exit.succeed(1)],
    ["an empty option", Option.none()],
    ["null", null],
    ["false", false],
    ["zero", 0],
    ["an object with a field called error", { error: "none" }]
  ])("has not failed where the value is no error: %s", ([, value]) =>
    Effect.gen(function*() {
      const saga = Saga.step(Effect.void, () => Effect.succeed(value)).pipe(
        Effect.andThen(Effect.fail("failed")),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.strictEqual(Cause.squash(cause), "failed")
      assert.strictEqual(reportOf(cause).status, "Compensated")
    }))
})

describe("a saga that was undone", () => {
  it.effect("fails with the original error, which a handler for it catches", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const saga = Effect.andThen(books.step("a"), books.failing("b", declined)).pipe(Saga.transact)

      const caught = yield* Effect.catchTag(saga, "CardDeclined", (error) => Effect.succeed(error))

      assert.strictEqual(caught, declined)
      assert.deepStrictEqual(yield* books.lines, ["a", "undo a"])
    }))

  it.effect("fails with the original error although its compensations could have failed", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const declined = new CardDeclined({ card: "4242" })
      const willing = (name: string): Effect.Effect<void, RefundRefused> => books.note(`undo ${name}`)
      const saga = Effect.gen(function*() {
        yield* Saga.step(books.note("a"), () => willing("a"), { name: "a" })
        yield* books.failing("b", declined)
      }).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(cause.reasons.map((reason) => reason._tag), ["Fail"])
      assert.strictEqual(Cause.squash(cause), declined)
      assert.strictEqual(reportOf(cause).status, "Compensated")
      assert.deepStrictEqual(outcomes(reportOf(cause)), ["a: Compensated", "b: Failed"])
    }))

  it.effect("keeps each reason of its cause, with what was annotated on it", () =>
    Effect.gen(function*() {
      class Origin extends Context.Service<Origin, string>()("Origin") {}
      const books = yield* makeBooks
      const original = Cause.fromReasons([
        Cause.makeFailReason("first").annotate(Context.make(Origin, "somewhere")),
        Cause.makeFailReason("second")
      ])
      const saga = Effect.andThen(books.step("a"), Effect.failCause(original)).pipe(Saga.transact)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(
        cause.reasons.map((reason) => [
          reason._tag === "Fail" ? reason.error : reason._tag,
          Option.getOrUndefined(Context.getOption(Cause.reasonAnnotations(reason), Origin))
        ]),
        [["first", "somewhere"], ["second", undefined]]
      )
    }))
})

describe("the final state of a saga that failed", () => {
  it.effect("is never that of an undone one where a compensation failed, in report, events and message", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const recorder = yield* makeRecorder
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.refusing("b")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact({ name: "order" }), recorder.observe)

      const error = yield* Effect.flip(saga)

      const events = yield* recorder.events
      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(error.report.status, "Failed")
      assert.strictEqual(error.message.split("\n")[0], "Saga \"order\" failed and could not be undone completely.")
      assert.strictEqual(events.at(-1)?._tag, "SagaFailed")
      assert.notInclude(events.map((event) => event._tag), "SagaCompensated")
      assert.strictEqual(SagaReport.fromEvents(events).status, "Failed")
    }))

  it.effect("is that of an undone one where every compensation succeeded", () =>
    Effect.gen(function*() {
      const books = yield* makeBooks
      const recorder = yield* makeRecorder
      const saga = Effect.gen(function*() {
        yield* books.step("a")
        yield* books.step("b")
        return yield* Effect.fail("failed")
      }).pipe(Saga.transact({ name: "order" }), recorder.observe)

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const events = yield* recorder.events
      assert.strictEqual(reportOf(cause).status, "Compensated")
      assert.strictEqual(SagaReport.render(reportOf(cause)).split("\n")[0], "Saga \"order\" failed and was undone.")
      assert.strictEqual(events.at(-1)?._tag, "SagaCompensated")
      assert.notInclude(events.map((event) => event._tag), "SagaFailed")
    }))

  it.effect.prop(
    "follows from what each compensation does, whatever the mix",
    {
      behaviours: Schema.Array(Schema.Literals(["succeeds", "fails", "dies", "returns an error"])).check(
        Schema.isMaxLength(8)
      ),
      policy: Schema.Literals(["continue", "stop"])
    },
    ({ behaviours, policy }) =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const compensations = {
          succeeds: Effect.void,
          fails: Effect.fail("refused"),
          dies: Effect.die("boom"),
          "returns an error": Effect.succeed(new Error("refused"))
        }
        const saga = Effect.gen(function*() {
          for (const [index, behaviour] of behaviours.entries()) {
            yield* Saga.step(
              Effect.void,
              () => Effect.andThen(ledger.note(`${index}`), compensations[behaviour]),
              { name: `${index}` }
            )
          }
          return yield* Effect.fail("failed")
        }).pipe(Saga.transact({ onCompensationFailure: policy }))

        const cause = yield* Effect.flip(Effect.sandbox(saga))

        const lastFailing = behaviours.findLastIndex((behaviour) => behaviour !== "succeeds")
        const isTried = (index: number) => policy === "continue" || index >= lastFailing
        const report = reportOf(cause)
        assert.deepStrictEqual(
          yield* ledger.lines,
          behaviours.map((_, index) => `${index}`).filter((_, index) => isTried(index)).toReversed()
        )
        assert.deepStrictEqual(
          report.steps.map((step) => step.outcome),
          behaviours.map((behaviour, index) =>
            !isTried(index) ? "Remaining" : behaviour === "succeeds" ? "Compensated" : "CompensationFailed"
          )
        )
        assert.strictEqual(report.status, lastFailing === -1 ? "Compensated" : "Failed")
        const error = Cause.squash(cause)
        if (lastFailing === -1) return assert.strictEqual(error, "failed")
        assert.instanceOf(error, Saga.CompensationFailed)
        assert.deepStrictEqual(
          error.failures.map((failure) => failure.step),
          report.steps.filter((step) => step.outcome === "CompensationFailed").map((step) => step.path).toReversed()
        )
      })
  )
})
