import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Logger, Option } from "effect"
import { Saga, SagaObserver, SagaReport } from "effect-saga"
import { TestClock } from "effect/testing"
import { makeLedger } from "./support/ledger.ts"
import { compensationFailedIn } from "./support/results.ts"

const named = (name: string) => Saga.step(Effect.void, () => Effect.void, { name })

const brokenLogger = Logger.layer([Logger.make(() => {
  throw new Error("the logger is down")
})])

const tags = [
  "SagaStarted",
  "StepStarted",
  "StepSucceeded",
  "StepFailed",
  "UnwindStarted",
  "CompensationStarted",
  "CompensationSucceeded",
  "UnwindFinished",
  "SagaCompensated"
]

describe("an observer that goes wrong", () => {
  const observers = [
    ["fails while the logger is down", () => Effect.fail("observer")],
    ["returns no effect", () => undefined as never]
  ] as const

  for (const [what, onEvent] of observers) {
    for (const tag of tags) {
      it.effect(`on ${tag} and ${what} loses nothing`, () =>
        Effect.gen(function*() {
          const ledger = yield* makeLedger
          const observer = SagaObserver.make((event) => event._tag === tag ? onEvent() : Effect.void)

          const error = yield* Effect.gen(function*() {
            yield* ledger.step("reserve")
            yield* ledger.step("charge")
            yield* Saga.step(Effect.fail("out of stock"), () => Effect.void)
          }).pipe(
            Saga.transact,
            Effect.provideService(SagaObserver.SagaObserver, observer),
            Effect.provide(brokenLogger),
            Effect.flip
          )

          assert.strictEqual(error, "out of stock")
          assert.deepStrictEqual(yield* ledger.lines, ["reserve", "charge", "undo charge", "undo reserve"])
        }))
    }
  }

  it.effect("runs sagas of its own that are neither observed nor part of the saga it observes", () =>
    Effect.gen(function*() {
      let audits = 0
      const audit = Saga.step(Effect.sync(() => ++audits), () => Effect.void, { name: "audit" })
      const observer = SagaObserver.make(() => Saga.transact(audit, { name: "audit" }))

      const exit = yield* Saga.step(Effect.void, () => Effect.void, { name: "reserve" }).pipe(
        Effect.andThen(Effect.fail("out of stock")),
        Saga.transact,
        Effect.provideService(SagaObserver.SagaObserver, observer),
        Effect.exit
      )

      const report = Option.getOrThrow(Saga.report(Exit.isFailure(exit) ? exit.cause : Cause.empty))
      assert.deepStrictEqual(report.steps.map(({ path }) => path), ["reserve"])
      assert.strictEqual(audits, 8)
    }))
})

describe("a savepoint in a forked fiber", () => {
  it.effect("that fails as its saga does is undone once, and a compensation that fails is not lost", () =>
    Effect.gen(function*() {
      // The fiber of the saga is made to yield at each of its operations in turn, the last ones before it unwinds among them.
      for (let operations = 2000; operations < 2060; operations++) {
        const undone: Array<string> = []
        let armed = false
        const part = Saga.step(Effect.void, () =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => {
              undone.push("part")
              return Effect.fail("refused")
            })
          )).pipe(
            Effect.andThen(
              Effect.whileLoop({ while: () => !armed, body: () => Effect.yieldNow, step: () => {} })
            ),
            Effect.andThen(Effect.fail("part failed")),
            Saga.savepoint
          )
        let done = 0

        const exit = yield* Effect.gen(function*() {
          yield* Effect.forkDetach(Effect.exit(part), { startImmediately: true })
          yield* Effect.whileLoop({
            while: () => done < operations,
            body: () =>
              Effect.sync(() => {
                armed = ++done === operations
              }),
            step: () => {}
          })
          return yield* Effect.fail("boom")
        }).pipe(Saga.transact, Effect.exit)

        assert.deepStrictEqual(undone, ["part"])
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) assert.lengthOf(compensationFailedIn(exit.cause).failures, 1)
      }
    }))

  it.effect("that fails after its saga has succeeded undoes nothing that the saga has succeeded with", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const ended = yield* Deferred.make<void>()

      const fiber = yield* Effect.gen(function*() {
        const part = ledger.step("reserve").pipe(
          Effect.andThen(Deferred.await(ended)),
          Effect.andThen(Effect.fail("too late")),
          Saga.savepoint
        )
        return yield* Effect.forkDetach(part, { startImmediately: true })
      }).pipe(Saga.transact)
      yield* Deferred.succeed(ended, undefined)
      const error = yield* Effect.flip(Fiber.join(fiber))

      assert.strictEqual(error, "too late")
      assert.deepStrictEqual(yield* ledger.lines, ["reserve"])
    }))
})

describe("an interruption", () => {
  it.effect("that comes while a saga waits for a forked step undoes it: the saga has not ended", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const answer = yield* Deferred.make<void>()
      const saga = Effect.gen(function*() {
        yield* ledger.step("reserve")
        yield* Effect.forkDetach(
          Saga.step(Effect.andThen(Deferred.await(answer), ledger.note("ship")), () => ledger.note("undo ship")),
          { startImmediately: true }
        )
      }).pipe(Saga.transact)

      const fiber = yield* Effect.forkChild(saga, { startImmediately: true })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(interrupting)

      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(yield* ledger.lines, ["reserve", "ship", "undo ship", "undo reserve"])
    }))

  it.effect("that comes while a saga unwinds has what could not be undone logged", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.layer([Logger.make<unknown, void>(({ message }) => {
        logged.push(...(Array.isArray(message) ? message : [message]))
      })])
      const unwinding = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const saga = Saga.step(
        Effect.void,
        () =>
          Deferred.succeed(unwinding, undefined).pipe(
            Effect.andThen(Deferred.await(go)),
            Effect.andThen(Effect.fail("no"))
          ),
        { name: "charge" }
      ).pipe(Effect.andThen(Effect.fail("boom")), Saga.transact({ name: "order" }), Effect.provide(logger))

      const fiber = yield* Effect.forkChild(saga, { startImmediately: true })
      yield* Deferred.await(unwinding)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(interrupting)

      assert.include(String(logged[0]), "Saga \"order\" failed and could not be undone completely.")
    }))
})

describe("depth", () => {
  it.effect("of groups that unwind side by side loses nothing", () =>
    Effect.gen(function*() {
      let undone = 0
      const step = Saga.step(Effect.void, () =>
        Effect.sync(() => {
          undone++
        }))
      let saga: Effect.Effect<unknown, never, Saga.CompensationStack<never>> = step
      for (let depth = 1; depth < 600; depth++) saga = Saga.all([step, saga], { compensation: "parallel" })

      const error = yield* saga.pipe(Effect.andThen(Effect.fail("boom")), Saga.transact, Effect.flip)

      assert.strictEqual(error, "boom")
      assert.strictEqual(undone, 600)
    }))

  it.effect("of sagas in sagas that could not be undone does not multiply the message", () =>
    Effect.gen(function*() {
      let saga: Effect.Effect<never, unknown> = Effect.fail("boom")
      for (let depth = 0; depth < 40; depth++) {
        saga = Saga.step(Effect.void, () => Effect.fail("refused"), { name: "charge" }).pipe(
          Effect.andThen(saga),
          Saga.transact({ name: `saga ${depth}` })
        )
      }

      const error = yield* Effect.flip(saga)

      assert.isTrue(Saga.isCompensationFailed(error))
      assert.isBelow(String(error).length, 20_000)
      assert.include(String(error), "CompensationFailed of saga \"saga 38\"")
    }))
})

describe("time limits of unwinding", () => {
  it.effect("go by the monotonic clock, so that setting the wall clock changes nothing", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const clock = yield* Clock.Clock
      let hours = 0
      const jumping: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + hours * 3_600_000
      })

      const error = yield* Effect.gen(function*() {
        yield* ledger.step("reserve")
        yield* Saga.step(Effect.void, () =>
          Effect.sync(() => {
            hours++
          }))
        return yield* Effect.fail("boom")
      }).pipe(Saga.transact({ unwindTimeout: "30 seconds" }), Effect.provideService(Clock.Clock, jumping), Effect.flip)

      assert.strictEqual(error, "boom")
      assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
    }))

  it.effect("hold for a compensation whose step had a clock of its own", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const stopped = yield* Effect.scoped(TestClock.make())
      const saga = Effect.gen(function*() {
        yield* ledger.step("reserve")
        yield* Saga.step(Effect.void, () => Effect.never, { name: "charge" }).pipe(
          Effect.provideService(Clock.Clock, stopped)
        )
        return yield* Effect.fail("boom")
      }).pipe(Saga.transact({ compensationTimeout: "1 second" }))

      const fiber = yield* Effect.forkChild(Effect.flip(saga), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)

      assert.isTrue(Saga.isCompensationFailed(error))
      assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
    }))

  it.effect("say that a saga was undone in part where the time was over", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const saga = Effect.gen(function*() {
        yield* ledger.step("reserve")
        yield* Saga.step(Effect.void, () => Effect.sleep("1 second"), { name: "charge" })
        return yield* Effect.fail("boom")
      }).pipe(Saga.transact({ name: "order", unwindTimeout: "1 second" }))

      const fiber = yield* Effect.forkChild(Effect.flip(saga), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)

      assert.isTrue(Saga.isCompensationFailed(error))
      assert.include(String(error), "Saga \"order\" failed and could not be undone completely.")
      assert.include(String(error), "reserve")
    }))
})

describe("types", () => {
  it.effect("hold where undoing stopped before a savepoint whose compensations can't fail", () =>
    Effect.gen(function*() {
      const first = Saga.step(Effect.void, () => Effect.fail("refused")).pipe(
        Effect.andThen(Effect.fail("A")),
        Saga.savepoint
      )
      const second: Effect.Effect<never, "B", Saga.CompensationStack<never>> = Saga.step(Effect.void, () => Effect.void)
        .pipe(Effect.andThen(Effect.fail("B" as const)), Saga.savepoint)
      let caught: unknown

      const exit = yield* Effect.ignore(first).pipe(
        Effect.andThen(Effect.catch(second, (error) =>
          Effect.sync(() => {
            caught = error
          }))),
        Saga.transact({ onCompensationFailure: "stop" }),
        Effect.exit
      )

      assert.isUndefined(caught)
      assert.isTrue(Exit.isFailure(exit))
    }))
})

describe("paths", () => {
  it.effect("are unique although names hold what paths are made of", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.gen(function*() {
        yield* named("pay/charge")
        yield* Saga.savepoint(named("charge"), { name: "pay" })
        yield* named("ship#2")
        yield* named("ship")
        yield* named("ship")
        return yield* Effect.fail("boom")
      }).pipe(Saga.transact, Effect.exit)

      const report: SagaReport.SagaReport = Option.getOrThrow(
        Saga.report(Exit.isFailure(exit) ? exit.cause : Cause.empty)
      )
      assert.deepStrictEqual(
        report.steps.map(({ path }) => path),
        ["pay/charge", "pay/charge#2", "ship#2", "ship", "ship#3"]
      )
    }))
})

describe("services", () => {
  it.effect("of observers are those of the place where the event happens, without the saga", () =>
    Effect.gen(function*() {
      const Tenant = Context.Reference<string>("Tenant", { defaultValue: () => "nobody" })
      const seen: Array<string> = []
      const observer = SagaObserver.make((event) =>
        Effect.map(Effect.service(Tenant), (tenant) => {
          seen.push(`${event._tag} ${tenant}`)
        })
      )

      yield* Saga.step(Effect.void, () => Effect.void).pipe(
        Effect.provideService(Tenant, "ada"),
        Effect.andThen(Effect.fail("boom")),
        Saga.transact,
        Effect.provideService(SagaObserver.SagaObserver, observer),
        Effect.exit
      )

      assert.deepStrictEqual(seen, [
        "SagaStarted nobody",
        "StepStarted ada",
        "StepSucceeded ada",
        "UnwindStarted nobody",
        "CompensationStarted nobody",
        "CompensationSucceeded nobody",
        "UnwindFinished nobody",
        "SagaCompensated nobody"
      ])
    }))
})
