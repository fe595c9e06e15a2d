import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Whether a failure of `step` is among those of `saga`. */
export const sharesReason = (step: Cause.Cause<unknown>, saga: Cause.Cause<unknown>): boolean =>
  step.reasons.some((one) => one._tag !== "Interrupt" && saga.reasons.some((other) => isSameFailure(one, other)))

/* A failure beside a defect of a parallel branch has become a defect, so the tags do not count. */
const isSameFailure = (one: Cause.Reason<unknown>, other: Cause.Reason<unknown>): boolean =>
  one._tag !== "Interrupt" && other._tag !== "Interrupt" && Object.is(thrown(one), thrown(other))

/** What somebody failed or died with. */
export const thrown = (reason: Cause.Fail<unknown> | Cause.Die): unknown =>
  reason._tag === "Fail" ? reason.error : reason.defect

/** Does something about what has failed. An interruption is no failure: it goes on. */
export const unlessInterrupted = <A>(cause: Cause.Cause<unknown>, handle: () => Effect.Effect<A>): Effect.Effect<A> =>
  // Interruptions have no errors.
  Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : handle()

/** Logs what has failed. An interruption goes on. */
export const logged = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  unlessInterrupted(cause, () => Effect.logError(what, cause))
