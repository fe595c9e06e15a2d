/*
 * The pool of an application, for tests of what it does with its database beside the store.
 */
import { PgClient } from "@effect/sql-pg"
import { type Context, Effect, Layer, type Redacted, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import * as tables from "../../../src/postgres/schema.ts"
import * as session from "../../../src/postgres/session.ts"
import * as settings from "../../../src/postgres/settings.ts"
import { databaseUrl, freshSchema } from "./database.ts"

export type Pool = PgClient.PgClient | SqlClient

/** Opens a pool until the scope closes. */
export const openPool = (
  url: Redacted.Redacted,
  options: Omit<PgClient.PgPoolConfig, "url"> = {}
): Effect.Effect<Context.Context<Pool>, never, Scope.Scope> =>
  Effect.orDie(Layer.build(Layer.fresh(PgClient.layer({ url, ...options }))))

/** Makes the tables of a store. */
export const makeTables = (url: Redacted.Redacted, schema: string) => {
  const options = settings.fromOptions("test", { url, schema })
  return Effect.scoped(Effect.flatMap(session.open(options), (session) => tables.prepare(options, session, 0)))
}

/** A schema with the tables of a store, which is dropped with the scope. */
export const schemaWithTables = Effect.gen(function*() {
  const schema = yield* freshSchema
  yield* makeTables(yield* databaseUrl, schema)
  return schema
})
