/*
 * What the suites of alerts have in common: handlers that keep what they are told, and sagas that can't be undone.
 */
import { Effect, type Scope } from "effect"
import { SagaAlerts, type SagaEngine, type SagaStore } from "effect-saga"
import { type Definitions, start, type TestEngine, until } from "./engine.ts"
import { Careless, type Ledger, Trip } from "./sagas.ts"
import type { Storage } from "./storage.ts"

type Told = ReadonlyArray<SagaAlerts.Alert>

/** A handler that keeps what it is told. What `before` does comes first. */
export const makeHandler = (before: (alert: SagaAlerts.Alert) => Effect.Effect<unknown, unknown> = () => Effect.void) =>
  Effect.sync(() => {
    const told: Array<SagaAlerts.Alert> = []
    const tell = (alert: SagaAlerts.Alert) => Effect.andThen(before(alert), Effect.sync(() => told.push(alert)))
    return {
      told: told as Told,
      alerts: SagaAlerts.make({ onParked: tell, onCompensationFailed: tell }),
      /** Waits until so many alerts were told. */
      awaitTold: (count: number) =>
        until(
          Effect.sync(() => told.map(({ id }) => id)),
          ({ length }) => length === count,
          `${count} alerts were told`
        )
    }
  })

/** Starts an engine that tells these. */
export const startWith = (
  alerts: SagaAlerts.SagaAlerts,
  definitions: Definitions,
  options?: SagaEngine.Options
): Effect.Effect<TestEngine, SagaStore.SagaStoreError, Storage | Scope.Scope> =>
  Effect.provideService(start(definitions, options), SagaAlerts.SagaAlerts, alerts)

/** A saga whose step `b` can't be undone while `broken` is true. */
export const stuck = (ledger: Ledger, state = { broken: true }) =>
  Trip.toLayer(() =>
    Effect.gen(function*() {
      yield* ledger.step("a")
      yield* ledger.stubborn("b", () => state.broken)
      yield* ledger.step("c")
      return yield* Effect.fail("stop")
    })
  )

/** As `stuck`, and it goes on without waiting for an operator. */
export const careless = (ledger: Ledger) =>
  Careless.toLayer(() =>
    Effect.gen(function*() {
      yield* ledger.step("a")
      yield* ledger.stubborn("b")
      yield* ledger.stubborn("c")
      return yield* Effect.fail("stop")
    })
  )
