export * as Outbox from "./Outbox.ts"
export * as PostgresStep from "./PostgresStep.ts"
export * as PostgresStore from "./PostgresStore.ts"
