import type * as Cause from "effect/Cause"

/** Whether a failure of `step` is among those of `saga`. */
export const sharesReason = (step: Cause.Cause<unknown>, saga: Cause.Cause<unknown>): boolean =>
  step.reasons.some((one) => one._tag !== "Interrupt" && saga.reasons.some((other) => isSameFailure(one, other)))

/* A failure beside a defect of a parallel branch has become a defect, so the tags do not count. */
const isSameFailure = (one: Cause.Reason<unknown>, other: Cause.Reason<unknown>): boolean =>
  one._tag !== "Interrupt" && other._tag !== "Interrupt" && Object.is(thrown(one), thrown(other))

/** What somebody failed or died with. */
export const thrown = (reason: Cause.Fail<unknown> | Cause.Die): unknown =>
  reason._tag === "Fail" ? reason.error : reason.defect
