import { Effect, Exit, Layer } from "effect"
import { SagaEngine } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { schema, Trip, tripLayer } from "./definition.ts"
import { counts, type Variant } from "./load.ts"
import { payloadOf } from "./trip.ts"

/* This library, as it is unless told otherwise. */
export const saga: Variant = {
  start: (url, { fails }) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        tripLayer(fails).pipe(
          Layer.provideMerge(SagaEngine.layer()),
          Layer.provide(PostgresStore.layer({ url, schema }))
        )
      )
      return (number) =>
        Effect.exit(Trip.execute(payloadOf(number))).pipe(
          Effect.map(Exit.isSuccess),
          Effect.provideContext(context)
        )
    }),
  found: counts(
    `SELECT status AS name FROM ${schema}.executions
      UNION ALL SELECT event::json ->> '_tag' FROM ${schema}.events`
  ),
  expected: (sagas, fails) => ({
    [fails ? "Compensated" : "Completed"]: sagas,
    ExecutionStarted: sagas,
    StepSucceeded: (fails ? 2 : 3) * sagas,
    ...fails
      ? {
        StepFailed: sagas,
        UnwindStarted: sagas,
        CompensationSucceeded: 2 * sagas,
        ExecutionCompensated: sagas
      }
      : { ExecutionCompleted: sagas }
  })
}
