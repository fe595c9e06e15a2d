/*
 * Scenarios that have to end in the same way whether a saga is kept or not: the rules have one implementation.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import type { Schema } from "effect"
import { Saga } from "effect-saga"
import type { DurableStack } from "../../../src/CompensationStack.ts"
import { start, testsOn, whileTimePasses } from "./engine.ts"
import { Careless, type Ledger, makeLedger } from "./sagas.ts"
import type { StorageLayer } from "./storage.ts"

/** A saga of steps that can be kept. */
export type Body = Effect.Effect<
  Schema.Json,
  string | Saga.CompensationFailed<unknown, unknown> | Saga.CommittedIncomplete<unknown>,
  DurableStack<unknown> | Saga.Pivot
>

/** How a saga ended, in one line: `Success "done"`, `Fail no seat`, `CompensationFailed flight: Compensated, ...` */
export const endingOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return `Success ${JSON.stringify(exit.value)}`
  const { reasons } = exit.cause
  const thrown = reasons.map((reason) =>
    Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
  )
  const special = thrown.find((one) =>
    one instanceof Saga.CompensationFailed || one instanceof Saga.CommittedIncomplete
  ) as Saga.CompensationFailed<unknown, unknown> | undefined
  if (special !== undefined) {
    return `${special._tag} ${special.report.steps.map(({ outcome, path }) => `${path}: ${outcome}`).join(", ")}`
  }
  return reasons.map((reason, index) => {
    const error = thrown[index]
    return error === undefined
      ? reason._tag
      : `${reason._tag} ${error instanceof Error ? error.message : String(error)}`
  }).join("; ")
}

export type Scenario = (
  sentence: string,
  saga: (ledger: Ledger) => Body,
  expected: { readonly ends: string; readonly lines: ReadonlyArray<string> }
) => void

/** Runs each scenario in memory, then on an engine, and reads its result once more after a restart. */
export const scenariosOn = (storage: StorageLayer): Scenario => {
  const test = testsOn(storage)
  return (sentence, saga, expected) =>
    test(
      sentence,
      Effect.gen(function*() {
        const inMemory = yield* makeLedger
        const exit = yield* saga(inMemory).pipe(Saga.transact, Effect.exit, whileTimePasses)
        assert.deepStrictEqual({ ends: endingOf(exit), lines: inMemory.lines }, expected, "in memory")

        const ledger = yield* makeLedger
        const definitions = Careless.toLayer(() => saga(ledger))
        const engine = yield* start(definitions)
        const kept = yield* whileTimePasses(engine.exit(Careless.execute("1")))
        assert.deepStrictEqual({ ends: endingOf(kept), lines: ledger.lines }, expected, "kept")

        yield* engine.stop
        const later = yield* start(definitions)
        const read = yield* later.exit(Careless.execute("1"))
        assert.deepStrictEqual({ ends: endingOf(read), lines: ledger.lines }, expected, "read after a restart")
      })
    )
}
