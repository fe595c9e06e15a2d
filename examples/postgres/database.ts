/*
 * The database of the examples: that of `DATABASE_URL`, where each of them has a schema for its own tables and one for its
 * sagas, which are dropped in the end.
 */
import { PgClient } from "@effect/sql-pg"
import { Config, Console, Context, Effect, Layer, type Scope } from "effect"
import type { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"

export interface Database {
  /** The schema of the sagas, and of outboxes. */
  readonly schema: string
  /** The pool of the application, in the schema of its own tables. */
  readonly pool: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient>
  readonly store: Layer.Layer<SagaStore.SagaStore>
}

/** Opens empty schemas until the scope closes. */
const open = Effect.fnUntraced(function*(name: string) {
  const url = yield* Config.Redacted("DATABASE_URL")
  const schema = `${name}_sagas`
  const pool = yield* Layer.build(PgClient.layer({ url, startupParameters: { search_path: name } }))
  const sql = Context.get(pool, SqlClient.SqlClient)
  const drop = Effect.forEach([name, schema], (schema) => sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`))
  yield* Effect.acquireRelease(
    Effect.andThen(drop, sql.unsafe(`CREATE SCHEMA ${name}`)),
    () => Effect.ignore(drop)
  )
  const database: Database = {
    schema,
    pool: Layer.succeedContext(pool),
    store: Layer.fresh(Layer.orDie(PostgresStore.layer({ url, schema })))
  }
  return database
})

/** Runs an example on a database, or says how to get one. */
export const withDatabase = <E>(
  name: string,
  example: (database: Database) => Effect.Effect<void, E, PgClient.PgClient | SqlClient.SqlClient | Scope.Scope>
): Effect.Effect<void> =>
  Effect.flatMap(
    open(name),
    (database) => Effect.provide(Effect.orDie(example(database)), database.pool)
  ).pipe(
    Effect.scoped,
    Effect.catchTag("ConfigError", () =>
      Console.log(
        "This example needs PostgreSQL: set DATABASE_URL to the address of a database that it may create schemas in. " +
          "`npm run postgres` starts a server, and prints its address."
      )),
    Effect.orDie
  )
