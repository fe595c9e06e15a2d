import type { Effect, Layer, Schema, Scope, Stream } from "effect"
import { type JournalEvent, type SagaEngine, SagaOperator, type SagaStore, type SagaTimeline } from "effect-saga"
import { describe, expect, test } from "tstyche"

declare const operator: SagaOperator.SagaOperator["Service"]

type Records = Effect.Effect<ReadonlyArray<SagaStore.ExecutionRecord>, SagaStore.SagaStoreError>

describe("SagaOperator", () => {
  test("needs a store and nothing else", () => {
    expect(SagaOperator.layer()).type.toBe<Layer.Layer<SagaOperator.SagaOperator, never, SagaStore.SagaStore>>()
    expect(SagaOperator.layer({ answerTimeout: "3 seconds" })).type.toBe<
      Layer.Layer<SagaOperator.SagaOperator, never, SagaStore.SagaStore>
    >()
    expect(SagaOperator.make()).type.toBe<
      Effect.Effect<SagaOperator.SagaOperator["Service"], never, SagaStore.SagaStore | Scope.Scope>
    >()
    expect(SagaOperator.layer).type.not.toBeCallableWith({ answerTimeout: true })
    expect(SagaOperator.layer).type.not.toBeCallableWith({ timeout: "3 seconds" })
  })

  test("fails with what a store fails with and, where it is about one execution, with why that was refused", () => {
    expect<SagaOperator.Error>().type.toBe<SagaStore.SagaStoreError | SagaEngine.SagaEngineError>()
    expect(operator.list()).type.toBe<Records>()
    expect(operator.count()).type.toBe<Effect.Effect<number, SagaStore.SagaStoreError>>()
    expect(operator.stats()).type.toBe<Effect.Effect<SagaOperator.Stats, SagaStore.SagaStoreError>>()
    expect(operator.inspect).type.toBe<Effect.Effect<SagaStore.Inspection, SagaStore.SagaStoreError>>()
    expect(operator.get("Trip/1")).type.toBe<Effect.Effect<SagaStore.ExecutionRecord, SagaOperator.Error>>()
    expect(operator.history("Trip/1")).type.toBe<
      Effect.Effect<ReadonlyArray<JournalEvent.JournalEvent>, SagaOperator.Error>
    >()
    expect(operator.timeline("Trip/1")).type.toBe<Effect.Effect<SagaTimeline.SagaTimeline, SagaOperator.Error>>()
    expect(operator.export("Trip/1")).type.toBe<Effect.Effect<SagaOperator.Exported, SagaOperator.Error>>()
  })

  test("lists by what executions are looked for by", () => {
    expect(operator.list).type.toBeCallableWith({
      statuses: ["Parked", "Failed"],
      definition: "Trip",
      idPrefix: "Trip/",
      createdFrom: 0,
      createdBefore: 1,
      updatedBefore: 1,
      error: "HotelDown",
      attributes: { customer: "7" },
      order: "oldest",
      after: { createdAt: 1, key: 1 },
      limit: 10
    })
    expect(operator.listAll({ statuses: ["Parked"] })).type.toBe<
      Stream.Stream<SagaStore.ExecutionRecord, SagaStore.SagaStoreError>
    >()
    expect(operator.list).type.not.toBeCallableWith({ statuses: ["parked"] })
    expect(operator.list).type.not.toBeCallableWith({ order: "up" })
    expect(operator.list).type.not.toBeCallableWith({ attributes: { customer: 7 } })
    expect(operator.count).type.not.toBeCallableWith({ limit: 10 })
  })

  test("decides with a name and a reason and, on what is parked, for a step", () => {
    const by = { operator: "ada", reason: "the hotel is back" }
    type Done = Effect.Effect<void, SagaOperator.Error>

    expect(operator.cancel("Trip/1", by)).type.toBe<Done>()
    expect(operator.retry("Trip/1", { ...by, path: "hotel" })).type.toBe<Done>()
    expect(operator.skip("Trip/1", { path: "hotel" })).type.toBe<Done>()
    expect(operator.resolve("Trip/1", { room: 7 }, by)).type.toBe<Done>()
    expect(operator.resolve("Trip/1")).type.toBe<Done>()
    expect(operator.signal("Trip/1", "approved", null, by)).type.toBe<Done>()
    expect(operator.cancel).type.not.toBeCallableWith("Trip/1", { path: "hotel" })
    expect(operator.signal).type.not.toBeCallableWith("Trip/1", "approved")
    expect(operator.signal).type.not.toBeCallableWith("Trip/1", "approved", new Map<string, Schema.Json>())
  })

  test("decides on many that a filter names", () => {
    expect(operator.bulk("retry", { filter: { definition: "Trip" }, dryRun: true, limit: 5 })).type.toBe<
      Stream.Stream<SagaOperator.BulkResult, SagaOperator.Error>
    >()
    expect<SagaOperator.BulkResult["outcome"]["_tag"]>().type.toBe<"Planned" | "Done" | "Refused">()
    expect(operator.bulk).type.not.toBeCallableWith("retry", {})
    expect(operator.bulk).type.not.toBeCallableWith("resolve", { filter: {} })
    expect(operator.bulk).type.not.toBeCallableWith("retry", { filter: { limit: 5 } })
  })

  test("deletes what has ended only", () => {
    expect(operator.prune({ olderThan: "30 days" })).type.toBe<Effect.Effect<number, SagaStore.SagaStoreError>>()
    expect(operator.prune).type.toBeCallableWith({
      olderThan: "30 days",
      statuses: ["Completed"],
      onProgress: (deleted: number) => deleted
    })
    expect(operator.prune).type.toBeCallableWith({ finishedBefore: 0 })
    expect(operator.prune).type.not.toBeCallableWith({})
    expect(operator.prune).type.not.toBeCallableWith({ olderThan: "30 days", finishedBefore: 0 })
    expect(operator.prune).type.not.toBeCallableWith({ olderThan: "30 days", statuses: ["Parked"] })
  })

  test("watches executions, and follows one", () => {
    expect(operator.watch({ statuses: ["Parked"] })).type.toBe<
      Stream.Stream<SagaStore.ExecutionRecord, SagaStore.SagaStoreError>
    >()
    expect(operator.follow("Trip/1")).type.toBe<Stream.Stream<JournalEvent.JournalEvent, SagaOperator.Error>>()
  })
})
