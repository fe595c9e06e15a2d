import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type { CauseCodec, Codec } from "./codec.ts"

/** What actions and compensations are told besides their input. */
export interface CallContext {
  readonly idempotencyKey: string
  readonly attempt: number
}

export interface CompensationContext extends CallContext {
  readonly input: never
  readonly cause: Cause.Cause<unknown>
}

/** Of a step of any types. */
export type AnyEffect = Effect.Effect<unknown, unknown, unknown>

export interface StepSpec {
  readonly name: string
  readonly input: Codec<unknown>
  readonly success: Codec<unknown>
  /** Whether nothing is kept of what the action succeeds with, so that nobody is to see it. */
  readonly isVoid: boolean
  readonly cause: CauseCodec
  readonly compensationCause: CauseCodec
  readonly action: (input: never, context: CallContext) => AnyEffect
  readonly compensate: ((value: never, context: CompensationContext) => AnyEffect) | undefined
  /** Whether the compensation gets the `Exit` of the action, and runs whatever became of it. */
  readonly compensatesExit: boolean
  readonly retry: AnySchedule | undefined
  readonly compensationRetry: AnySchedule | undefined
  readonly timeout: Duration.Duration | undefined
  readonly compensationTimeout: Duration.Duration | undefined
  readonly ambiguous: boolean
  /** What an ambiguous step fails with when nobody knows what became of it. */
  readonly outcomeUnknown: (step: string) => unknown
}

export type AnySchedule = Schedule.Schedule<unknown, unknown, never, unknown>
