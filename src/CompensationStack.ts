/**
 * The marker that a step leaves in the requirements of an effect until its saga is closed.
 *
 * A `CompensationStack` is where completed steps leave their compensation. In the type of an effect it says two things:
 * that the effect has to run inside a saga, and with which errors its compensations may fail. `Saga.transact` removes
 * it and turns those errors into `CompensationFailed`, so neither a forgotten `transact` nor an unhandled failure of a
 * compensation compiles.
 *
 * @since 0.1.0
 */
import type * as Types from "effect/Types"

/**
 * Requirement of every effect that leaves compensations behind, which may fail with `CE`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompensationStack<out CE> {
  readonly "~effect-saga/CompensationStack": {
    readonly _CE: Types.Covariant<CE>
  }
}

/**
 * Requirement of every effect that calls a `Step`: as `CompensationStack`, for steps that a durable saga can keep too.
 *
 * @category models
 * @since 0.1.0
 */
export interface DurableStack<out CE> {
  readonly "~effect-saga/DurableStack": {
    readonly _CE: Types.Covariant<CE>
  }
}

/**
 * Requirement of an effect that waits for what only an engine can bring, such as a signal: it has to be part of a durable
 * saga.
 *
 * @category models
 * @since 0.1.0
 */
export interface DurableOnly {
  readonly "~effect-saga/DurableOnly": "~effect-saga/DurableOnly"
}

/**
 * @since 0.1.0
 */
export declare namespace CompensationStack {
  /**
   * The errors with which the compensations named in the requirements `R` may fail.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Error<R> = R extends CompensationStack<infer CE> | DurableStack<infer CE> ? CE : never

  /**
   * The requirements `R` without their compensation stacks.
   *
   * @category utility types
   * @since 0.1.0
   */
  export type Exclude<R> = R extends CompensationStack<unknown> | DurableStack<unknown> ? never : R
}

/**
 * Requirement of every effect that contains a pivot. It makes `Saga.transact` add `CommittedIncomplete` to the errors
 * of the saga.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pivot {
  readonly "~effect-saga/Pivot": "~effect-saga/Pivot"
}
