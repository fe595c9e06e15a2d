import { type Cause, Effect, Schema } from "effect"
import { type SagaEvent, SagaReport } from "effect-saga"
import { describe, expect, test } from "tstyche"

describe("SagaReport", () => {
  test("is made of events and rendered to a string", () => {
    expect(SagaReport.fromEvents).type.toBe<(events: ReadonlyArray<SagaEvent.SagaEvent>) => SagaReport.SagaReport>()
    expect(SagaReport.render).type.toBe<(report: SagaReport.SagaReport) => string>()
    expect(SagaReport.summarize).type.toBe<(report: SagaReport.SagaReport) => string>()
    expect(SagaReport.fromEvents).type.not.toBeCallableWith([{ _tag: "SagaStarted" }])
    expect(SagaReport.render).type.not.toBeCallableWith([])
  })

  test("has states and outcomes as unions of literals", () => {
    expect<SagaReport.SagaReport["status"]>().type.toBe<
      "Running" | "Compensating" | "Completed" | "Compensated" | "Failed"
    >()
    expect<SagaReport.Outcome>().type.toBe<
      | "Succeeded"
      | "Failed"
      | "Unknown"
      | "Compensated"
      | "CompensationFailed"
      | "Remaining"
      | "Committed"
      | "NoCompensation"
    >()
    expect<SagaReport.StepReport["outcome"]>().type.toBe<SagaReport.Outcome>()
    expect<SagaReport.StepReport["phase"]>().type.toBe<"action" | "compensation">()
    expect<SagaReport.StepReport["cause"]>().type.toBe<Cause.Cause<unknown> | undefined>()
    expect<SagaReport.StepReport["startedAt"]>().type.toBe<number | undefined>()
    expect<SagaReport.SagaReport["steps"]>().type.toBe<ReadonlyArray<SagaReport.StepReport>>()
    expect<SagaReport.SagaReport["cause"]>().type.toBe<Cause.Cause<unknown> | undefined>()
  })

  test("can't be changed", () => {
    const report = {} as SagaReport.SagaReport
    // @ts-expect-error Cannot assign to 'saga' because it is a read-only property
    report.saga = "other"
  })

  test("is a schema that needs no services", () => {
    expect<typeof SagaReport.SagaReport.Type>().type.toBe<SagaReport.SagaReport>()
    expect<typeof SagaReport.SagaReport.DecodingServices>().type.toBe<never>()
    expect<typeof SagaReport.SagaReport.EncodingServices>().type.toBe<never>()
    expect(Schema.decodeUnknownEffect(SagaReport.SagaReport)({})).type.toBe<
      Effect.Effect<SagaReport.SagaReport, Schema.SchemaError>
    >()
    expect(Schema.decodeUnknownEffect(SagaReport.Outcome)("Failed")).type.toBe<
      Effect.Effect<SagaReport.Outcome, Schema.SchemaError>
    >()
  })
})
