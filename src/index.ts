/**
 * @since 0.1.0
 */
export * as Durable from "./Durable.ts"

/**
 * @since 0.1.0
 */
export * as DurableSaga from "./DurableSaga.ts"

/**
 * @since 0.1.0
 */
export * as JournalEvent from "./JournalEvent.ts"

/**
 * @since 0.1.0
 */
export * as Saga from "./Saga.ts"

/**
 * @since 0.1.0
 */
export * as SagaAlerts from "./SagaAlerts.ts"

/**
 * @since 0.1.0
 */
export * as SagaEngine from "./SagaEngine.ts"

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
export * as SagaOperator from "./SagaOperator.ts"

/**
 * @since 0.1.0
 */
export * as SagaReport from "./SagaReport.ts"

/**
 * @since 0.1.0
 */
export * as SagaStore from "./SagaStore.ts"

/**
 * @since 0.1.0
 */
export * as SagaStoreError from "./SagaStoreError.ts"

/**
 * @since 0.1.0
 */
export * as SagaTimeline from "./SagaTimeline.ts"

/**
 * @since 0.1.0
 */
export * as Signal from "./Signal.ts"

/**
 * @since 0.1.0
 */
export * as Step from "./Step.ts"
