import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { escaped, shellWord } from "../internal/timelineText.ts"
import { SagaEngineError } from "../SagaEngineError.ts"
import * as SagaOperator from "../SagaOperator.ts"
import * as SagaStore from "../SagaStore.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import * as Failure from "./failure.ts"
import { databaseOf } from "./input/database.ts"
import { similarTo } from "./print/similar.ts"
import { Database, SchemaName } from "./settings.ts"

/* From `--db` to the operator of that store. The command line never creates tables, nor upgrades them. */

/** The store that `--db` names; none where it is left out. */
export const database = Effect.gen(function*() {
  const given = Option.filter(Option.map(yield* Database, Redacted.value), (text) => text.trim() !== "")
  return Option.isNone(given) ? Option.none() : Option.some(yield* databaseOf(given.value))
})

/** Layer of the store that `--db` names. */
export const store = Layer.unwrap(Effect.gen(function*() {
  const given = yield* database
  const schema = Option.getOrUndefined(yield* SchemaName)
  if (Option.isNone(given)) return yield* missingDatabase
  if (given.value._tag === "Postgres") return yield* postgres(given.value.url, schema)
  if (schema !== undefined) {
    return yield* Failure.usage("--schema is for PostgreSQL, and --db is a SQLite file.")
  }
  const { filename } = given.value
  return yield* checked(() => SagaStore.layerSqlite({ filename, migrate: false }))
}))

const missingDatabase = Failure.usage(
  "Which store? Say it with --db, or with EFFECT_SAGA_DB in the environment:\n" +
    "  effect-saga list --db ./sagas.db                              (a SQLite file)\n" +
    "  effect-saga list --db postgres://user:password@host/database  (PostgreSQL)"
)

const postgres = Effect.fnUntraced(function*(url: Redacted.Redacted, schema: string | undefined) {
  const PostgresStore = yield* Effect.tryPromise({
    try: () => import("../postgres/PostgresStore.ts"),
    catch: (error) => error
  }).pipe(Effect.catch((error) =>
    isMissingModule(error)
      ? Effect.fail(Failure.failed("MissingPackage", "For PostgreSQL a package is missing: npm install @effect/sql-pg"))
      : Effect.die(error)
  ))
  // Somebody waits for the answer, so that the server is away is told soon.
  return yield* checked(() => PostgresStore.layer({ url, schema, migrate: false, retryFor: "2 seconds" }))
})

const isMissingModule = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

/* What a store says of wrong options names the function that has them, and then the option. */
const checked = <A>(layer: () => A): Effect.Effect<A, Failure.Failure> =>
  Effect.try({
    try: layer,
    catch: (error) => error
  }).pipe(
    Effect.catch((error) =>
      error instanceof RangeError
        ? Effect.fail(wrongOption(error.message.replace(/^\w+\.\w+: /, "")))
        : Effect.die(error)
    )
  )

const wrongOption = (message: string): Failure.Failure =>
  Failure.usage(message.startsWith("schema ") ? `--${escaped(message)}.` : `--db can't be used: ${message}.`)

/** Layer of the operator of the store that `--db` names. */
export const operator = SagaOperator.layer().pipe(Layer.provideMerge(store))

/** Gives a command the operator of its store. Where it is about an execution that is not there, it says which are. */
export const connected = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(Effect.catch(suggesting), Effect.provide(operator))

const suggesting = <E>(
  error: E
): Effect.Effect<never, E | Failure.Failure | SagaStoreError, SagaOperator.SagaOperator> =>
  error instanceof SagaEngineError && error.reason._tag === "ExecutionNotFound"
    ? Effect.flatMap(
      suggestion(error.reason.execution),
      (suggestion) => Failure.notFound(`${escaped(error.message)}${suggestion}`)
    )
    : Effect.fail(error)

const suggestion = Effect.fnUntraced(function*(id: string) {
  const similar = yield* similarTo(yield* SagaOperator.SagaOperator, id)
  return similar.length === 0 ? "" : `\nDid you mean:${similar.map((id) => `\n  ${shellWord(id)}`).join("")}`
})
