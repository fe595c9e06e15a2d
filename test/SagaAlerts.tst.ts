import { type Context, Effect, type Layer, Redacted, Schedule, type Schema } from "effect"
import { SagaAlerts } from "effect-saga"
import type { HttpClient } from "effect/http"
import { describe, expect, test } from "tstyche"

declare const alerts: SagaAlerts.SagaAlerts

const secret = Redacted.make("secret")

describe("SagaAlerts", () => {
  test("is a reference, so it adds no requirement", () => {
    expect(SagaAlerts.SagaAlerts).type.toBe<Context.Reference<SagaAlerts.SagaAlerts>>()
    expect(Effect.provideService(Effect.void, SagaAlerts.SagaAlerts, alerts)).type.toBe<Effect.Effect<void>>()
  })

  test("are made of functions that handle one alert and may fail", () => {
    SagaAlerts.make({
      onParked: (alert) => {
        expect(alert).type.toBe<SagaAlerts.ParkedAlert>()
        expect(alert.step).type.toBe<string | null>()
        return Effect.fail("disk full")
      }
    })
    SagaAlerts.make({
      onCompensationFailed: (alert) => {
        expect(alert).type.toBe<SagaAlerts.CompensationFailedAlert>()
        expect(alert.step).type.toBe<string>()
        return Effect.void
      }
    })
    expect(SagaAlerts.make({})).type.toBe<SagaAlerts.SagaAlerts>()
    expect(SagaAlerts.log).type.toBe<SagaAlerts.SagaAlerts>()
    expect(SagaAlerts.both(alerts, SagaAlerts.none)).type.toBe<SagaAlerts.SagaAlerts>()
  })

  test("take no function that needs services, returns no effect, or is for something else", () => {
    expect(SagaAlerts.make).type.not.toBeCallableWith({ onParked: () => SagaAlerts.webhook({ url: "", secret }) })
    expect(SagaAlerts.make).type.not.toBeCallableWith({ onParked: () => {} })
    expect(SagaAlerts.make).type.not.toBeCallableWith({ onParked: async () => {} })
    expect(SagaAlerts.make).type.not.toBeCallableWith({ onFailed: () => Effect.void })
  })

  test("are added by layers, of which a webhook takes a client", () => {
    expect(SagaAlerts.layer(alerts)).type.toBe<Layer.Layer<never>>()
    expect(SagaAlerts.layerWebhook({ url: new URL("http://a"), secret })).type.toBe<
      Layer.Layer<never, never, HttpClient.HttpClient>
    >()
    expect(
      SagaAlerts.webhook({
        url: Redacted.make("http://a"),
        secret,
        retry: Schedule.recurs(3),
        timeout: "3 seconds",
        headers: { a: "b", c: secret }
      })
    ).type.toBe<Effect.Effect<SagaAlerts.SagaAlerts, never, HttpClient.HttpClient>>()
  })

  test("have a webhook whose secret is a Redacted text", () => {
    expect(SagaAlerts.webhook).type.not.toBeCallableWith({ url: "http://a", secret: "secret" })
    expect(SagaAlerts.webhook).type.not.toBeCallableWith({ url: "http://a" })
  })

  test("have schemas that need no services", () => {
    expect(SagaAlerts.Alert).type.toBeAssignableTo<Schema.Codec<SagaAlerts.Alert>>()
    expect(SagaAlerts.ParkedAlert).type.toBeAssignableTo<Schema.Codec<SagaAlerts.ParkedAlert>>()
  })
})
