/*
 * What sagas left behind, for tests that know that they failed.
 */
import { Cause, Exit, Option } from "effect"
import { Saga, type SagaReport } from "effect-saga"

export const causeOf = <A, E>(exit: Exit.Exit<A, E>): Cause.Cause<E> => {
  if (Exit.isSuccess(exit)) throw new Error("The saga succeeded.")
  return exit.cause
}

export const reportIn = (cause: Cause.Cause<unknown>): SagaReport.SagaReport => Option.getOrThrow(Saga.report(cause))

export const reportOf = <A, E>(exit: Exit.Exit<A, E>): SagaReport.SagaReport => reportIn(causeOf(exit))

/** What became of each step, as `path: outcome`. */
export const outcomesIn = (cause: Cause.Cause<unknown>): Array<string> =>
  reportIn(cause).steps.map((step) => `${step.path}: ${step.outcome}`)

export const outcomesOf = <A, E>(exit: Exit.Exit<A, E>): ReadonlyArray<string> => outcomesIn(causeOf(exit))

/** The `CompensationFailed` in a cause, as a failure or as a defect. */
export const compensationFailedIn = (cause: Cause.Cause<unknown>): Saga.CompensationFailed<unknown, unknown> => {
  for (const reason of cause.reasons) {
    const error = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
    if (error instanceof Saga.CompensationFailed) return error
  }
  throw new Error("No CompensationFailed in the cause.")
}
