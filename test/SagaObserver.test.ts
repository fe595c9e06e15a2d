import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Ref } from "effect"
import { Saga, type SagaEvent, SagaObserver, SagaReport } from "effect-saga"

const saga = Saga.step(Effect.succeed(1), () => Effect.void, { name: "reserve" }).pipe(Saga.transact({ name: "order" }))

const failing = Saga.step(Effect.succeed(1), () => Effect.void, { name: "reserve" }).pipe(
  Effect.andThen(Effect.fail("out of stock")),
  Saga.transact({ name: "order" })
)

const recorder = Effect.gen(function*() {
  const events = yield* Ref.make<ReadonlyArray<SagaEvent.SagaEvent>>([])
  return {
    tags: Effect.map(Ref.get(events), (all) => all.map((event) => event._tag)),
    events: Ref.get(events),
    observer: SagaObserver.make((event) => Ref.update(events, (all) => [...all, event]))
  }
})

const completed = ["SagaStarted", "StepStarted", "StepSucceeded", "SagaCompleted"]

describe("SagaObserver", () => {
  it.effect("sees the transitions of a saga that is undone, in order", () =>
    Effect.gen(function*() {
      const { observer, tags } = yield* recorder

      yield* Effect.exit(Effect.provideService(failing, SagaObserver.SagaObserver, observer))

      assert.deepStrictEqual(yield* tags, [
        "SagaStarted",
        "StepStarted",
        "StepSucceeded",
        "UnwindStarted",
        "CompensationStarted",
        "CompensationSucceeded",
        "UnwindFinished",
        "SagaCompensated"
      ])
    }))

  it.effect("sees the pivot, and the failure after it", () =>
    Effect.gen(function*() {
      const { observer, tags } = yield* recorder
      const program = Saga.pivot(Effect.void).pipe(Effect.andThen(Effect.fail("late")), Saga.transact)

      yield* Effect.exit(Effect.provideService(program, SagaObserver.SagaObserver, observer))

      assert.deepStrictEqual(yield* tags, [
        "SagaStarted",
        "StepStarted",
        "StepSucceeded",
        "SagaCommitted",
        "SagaFailed"
      ])
    }))

  it.effect("sees that nothing is undone where compensateWhen declines", () =>
    Effect.gen(function*() {
      const { observer, tags } = yield* recorder
      const program = Saga.step(Effect.void, () => Effect.void).pipe(
        Effect.andThen(Effect.fail("no")),
        Saga.transact({ compensateWhen: () => false })
      )

      yield* Effect.exit(Effect.provideService(program, SagaObserver.SagaObserver, observer))

      assert.deepStrictEqual((yield* tags).slice(3), ["UnwindDeclined", "SagaFailed"])
    }))

  it.effect("is given one run to each run of a saga, and the outermost one to what is nested in it", () =>
    Effect.gen(function*() {
      const { events, observer } = yield* recorder
      const nested = Saga.transact(saga, { name: "outer" })

      yield* Effect.provideService(Effect.andThen(saga, nested), SagaObserver.SagaObserver, observer)

      const starts = (yield* events).filter((event) => event._tag === "SagaStarted")
      assert.deepStrictEqual(starts.map(({ path, saga }) => ({ path, saga })), [
        { path: "", saga: "order" },
        { path: "", saga: "outer" },
        { path: "order", saga: "order" }
      ])
      assert.strictEqual(new Set(starts.map(({ run }) => run)).size, 3)
      assert.deepStrictEqual(starts.map(({ root }) => root), [starts[0]!.run, starts[1]!.run, starts[1]!.run])
    }))

  describe("both", () => {
    it.effect("hands each event to the first, then to the second, even where the first fails", () =>
      Effect.gen(function*() {
        const { observer, tags } = yield* recorder
        const broken = SagaObserver.make(() => Effect.fail("broken"))

        yield* Effect.provideService(saga, SagaObserver.SagaObserver, SagaObserver.both(broken, observer))

        assert.deepStrictEqual(yield* tags, completed)
      }))

    it.effect("has the failures of both logged", () =>
      Effect.gen(function*() {
        const logged: Array<string> = []
        const logger = Logger.make<unknown, void>(({ cause }) => {
          logged.push(...cause.reasons.filter(Cause.isFailReason).map(({ error }) => String(error)))
        })
        const first = SagaObserver.make(() => Effect.fail("first"))
        const second = SagaObserver.make(() => Effect.fail("second"))

        yield* saga.pipe(
          Effect.provideService(SagaObserver.SagaObserver, SagaObserver.both(first, second)),
          Effect.provide(Logger.layer([logger]))
        )

        assert.deepStrictEqual(logged.slice(0, 2), ["first", "second"])
      }))

    it("is the other one where one ignores all events", () => {
      const observer = SagaObserver.make(() => Effect.void)

      assert.strictEqual(SagaObserver.both(SagaObserver.ignore, observer), observer)
      assert.strictEqual(SagaObserver.both(observer, SagaObserver.ignore), observer)
    })
  })

  it.effect("is added to those in force by its layer", () =>
    Effect.gen(function*() {
      const outer = yield* recorder
      const inner = yield* recorder
      const layers = SagaObserver.layer(inner.observer).pipe(Layer.provide(SagaObserver.layer(outer.observer)))

      yield* Effect.provide(saga, layers)

      assert.deepStrictEqual(yield* outer.tags, completed)
      assert.deepStrictEqual(yield* inner.tags, completed)
    }))
})

describe("SagaReport.fromEvents", () => {
  it.effect("builds from what an observer saw the report that the failure carries, with times besides", () =>
    Effect.gen(function*() {
      const { events, observer } = yield* recorder

      const exit = yield* Effect.exit(Effect.provideService(failing, SagaObserver.SagaObserver, observer))

      const report = SagaReport.fromEvents(yield* events)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(
        report.steps.map(({ outcome, path, startedAt }) => ({ outcome, path, startedAt })),
        [{ outcome: "Compensated", path: "reserve", startedAt: 0 }]
      )
      assert.strictEqual(report.status, "Compensated")
    }))

  it("wants the start of the saga first", () => {
    assert.throws(() => SagaReport.fromEvents([]), RangeError, "the first event has to be the SagaStarted of the saga")
  })
})
