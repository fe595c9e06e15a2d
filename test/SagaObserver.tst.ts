import { type Cause, Context, Effect, Layer, type Option, Queue, Ref } from "effect"
import { Saga, type SagaEvent, SagaObserver } from "effect-saga"
import { describe, expect, test } from "tstyche"

class Bank extends Context.Service<Bank, { readonly name: string }>()("Bank") {}

declare const observer: SagaObserver.SagaObserver

describe("SagaObserver", () => {
  test("is a reference, so it adds no requirement", () => {
    expect(SagaObserver.SagaObserver).type.toBe<Context.Reference<SagaObserver.SagaObserver>>()
    expect(Effect.provideService(Effect.void, SagaObserver.SagaObserver, observer)).type.toBe<Effect.Effect<void>>()
    expect(Effect.map(SagaObserver.SagaObserver, ({ onEvent }) => onEvent)).type.toBe<
      Effect.Effect<(event: SagaEvent.SagaEvent) => Effect.Effect<unknown, unknown>>
    >()
  })

  test("is made of a function that handles one event and may fail", () => {
    SagaObserver.make((event) => {
      expect(event).type.toBe<SagaEvent.SagaEvent>()
      return Effect.void
    })
    expect(SagaObserver.make(() => Effect.fail("disk full"))).type.toBe<SagaObserver.SagaObserver>()
    expect(SagaObserver.make).type.toBeCallableWith(
      (event: SagaEvent.SagaEvent) => Ref.update(Ref.makeUnsafe(0), (count) => count + event.at)
    )
    expect(SagaObserver.ignore).type.toBe<SagaObserver.SagaObserver>()
  })

  test("takes a handler for all events, not for some, and none that needs services or returns no effect", () => {
    expect(SagaObserver.make).type.not.toBeCallableWith((event: SagaEvent.SagaStarted) => Effect.succeed(event.path))
    expect(SagaObserver.make).type.not.toBeCallableWith(() => Effect.asVoid(Bank))
    expect(SagaObserver.make).type.not.toBeCallableWith(() => {})
    expect(SagaObserver.make).type.not.toBeCallableWith(async () => {})
    expect(SagaObserver.make).type.not.toBeCallableWith(Effect.void)
  })

  test("are combined with both, and added by a layer", () => {
    expect(SagaObserver.both(observer, SagaObserver.ignore)).type.toBe<SagaObserver.SagaObserver>()
    expect(SagaObserver.layer(observer)).type.toBe<Layer.Layer<never>>()
    expect(Effect.provide(Effect.succeed(1), SagaObserver.layer(observer))).type.toBe<Effect.Effect<number>>()
    expect(SagaObserver.both).type.not.toBeCallableWith(observer)
    expect(SagaObserver.both).type.not.toBeCallableWith(observer, () => Effect.void)
    expect(SagaObserver.layer).type.not.toBeCallableWith(() => Effect.void)
  })

  test("can be made of a queue of events", () => {
    const queued = Effect.map(
      Queue.unbounded<SagaEvent.SagaEvent>(),
      (queue) => SagaObserver.make((event) => Queue.offer(queue, event))
    )

    expect(queued).type.toBe<Effect.Effect<SagaObserver.SagaObserver>>()
  })
})

describe("SagaEvent", () => {
  test("is a union told apart by its tag", () => {
    expect<SagaEvent.SagaEvent["_tag"]>().type.toBe<
      | "SagaStarted"
      | "StepStarted"
      | "StepSucceeded"
      | "StepFailed"
      | "SagaCommitted"
      | "UnwindStarted"
      | "UnwindDeclined"
      | "CompensationStarted"
      | "CompensationSucceeded"
      | "CompensationFailed"
      | "UnwindFinished"
      | "SagaCompleted"
      | "SagaCompensated"
      | "SagaFailed"
    >()
    const event = {} as SagaEvent.SagaEvent
    if (event._tag === "CompensationFailed") {
      expect(event).type.toBe<SagaEvent.CompensationFailed>()
      expect(event.value).type.toBe<unknown>()
      expect(event.cause).type.toBe<Cause.Cause<unknown>>()
      expect(event.reason).type.toBe<Cause.Cause<unknown>>()
      expect(event.remaining).type.toBe<ReadonlyArray<string>>()
      expect(event.attempt).type.toBe<number>()
    }
    if (event._tag === "StepFailed") expect(event.outcome).type.toBe<"Failed" | "Unknown">()
    if (event._tag === "SagaCommitted") expect(event.pivot).type.toBe<string>()
  })

  test("every event names its saga, its run and its time, and events of steps their path", () => {
    expect<SagaEvent.SagaEvent>().type.toBeAssignableTo<SagaEvent.Base>()
    expect<SagaEvent.SagaEvent["run"]>().type.toBe<string>()
    expect<SagaEvent.SagaEvent["at"]>().type.toBe<number>()
    expect<SagaEvent.StepStarted | SagaEvent.CompensationSucceeded>().type.toBeAssignableTo<SagaEvent.StepBase>()
    expect<SagaEvent.SagaCompleted>().type.not.toHaveProperty("path")
  })

  test("can't be changed", () => {
    const event = {} as SagaEvent.SagaStarted
    // @ts-expect-error Cannot assign to 'saga' because it is a read-only property
    event.saga = "other"
  })
})

describe("report", () => {
  test("is optional in what it finds", () => {
    expect(Saga.report).type.toBeCallableWith({} as Cause.Cause<"declined">)
    expect(Saga.report({} as Cause.Cause<never>)).type.toBeAssignableTo<Option.Option<object>>()
  })
})
