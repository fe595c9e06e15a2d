/**
 * @since 0.1.0
 */
export * as Saga from "./Saga.ts"

/**
 * @since 0.1.0
 */
export type * as SagaEvent from "./SagaEvent.ts"

/**
 * @since 0.1.0
 */
export * as SagaObserver from "./SagaObserver.ts"

/**
 * @since 0.1.0
 */
export * as SagaReport from "./SagaReport.ts"
