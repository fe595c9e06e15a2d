/**
 * A store of journals in PostgreSQL.
 *
 * **Details**
 *
 * - The tables are in a schema of their own, `effect_saga` unless another one is named. They are created with the first
 *   start, and upgraded with that of a later version, which needs the right to; with `migrate: false` they are not. They are
 *   read by whoever may. `docs/schema.md` explains them.
 * - A commit is one statement: what it writes is there wholly or not at all, and durable when it returns.
 * - While the server restarts or is away for a moment, calls wait for it. A commit whose answer got lost is looked for
 *   before it is repeated, so nothing is written twice, and nothing is taken for written that is not.
 * - An engine that was replaced because it gave no sign of life can't write any more: each write is joined with the row that
 *   says who owns the store.
 * - The store has connections of its own. Business code that uses up those of its pool does not hold up journals.
 * - Passwords are in no error, cause, log or span.
 *
 * **Gotchas**
 *
 * - A pooler in front of the server has to keep a connection for a client as long as it is open (session pooling).
 *
 * **Example** (An engine on PostgreSQL)
 *
 * ```ts
 * import { Config, Layer } from "effect"
 * import { SagaEngine } from "effect-saga"
 * import { PostgresStore } from "effect-saga/postgres"
 *
 * const store = PostgresStore.layerConfig({ url: Config.Redacted("DATABASE_URL") })
 *
 * export const engine = SagaEngine.layer().pipe(Layer.provide(store))
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SagaStore } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { fromOptions, type Options } from "./settings.ts"
import { make } from "./store.ts"

export type { Options } from "./settings.ts"

/**
 * Layer of a store in PostgreSQL. Its connections close with the layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SagaStore, SagaStoreError> =>
  Layer.effect(SagaStore, make(fromOptions("PostgresStore.layer", options)))

/**
 * Layer of a store in PostgreSQL whose options are read from the configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<SagaStore, SagaStoreError | Config.ConfigError> =>
  Layer.effect(
    SagaStore,
    Effect.flatMap(Config.unwrap(options), (options) => make(fromOptions("PostgresStore.layerConfig", options)))
  )
