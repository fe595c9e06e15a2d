/*
 * The database of the tests, for test files. All of them share one server, so a test takes a schema or a database of its
 * own, and starts a server of its own (`server.ts`) to stop or to kill it.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { beforeAll, inject } from "vitest"
import { ServerFailed } from "./server.ts"
import type { Answer } from "./shared.ts"

const ask = (socket: string) =>
  Effect.callback<Answer>((resume) => {
    let answer = ""
    connect(socket)
      .on("data", (chunk) => {
        answer += chunk.toString()
      })
      .once("end", () => resume(Effect.sync(() => JSON.parse(answer))))
      .once("error", (error) => resume(Effect.succeed({ failure: error.message })))
  })

/** The address of the server that the test files share, with the name and the password of an administrator. */
export const databaseUrl: Effect.Effect<Redacted.Redacted, ServerFailed> = Effect.gen(function*() {
  const source = inject("postgres")
  const answer = "url" in source ? source : yield* ask(source.socket)
  return "url" in answer ? Redacted.make(answer.url) : yield* new ServerFailed({ message: answer.failure })
})

// Its start does not count for the test that is first.
beforeAll(() => Effect.runPromise(Effect.exit(databaseUrl)), 120_000)

/** Runs a statement on a connection of its own. */
export const query = <A extends object = Record<string, unknown>>(
  url: Redacted.Redacted,
  statement: string,
  values: ReadonlyArray<unknown> = []
): Effect.Effect<ReadonlyArray<A>, SqlError> =>
  Effect.flatMap(PgClient.makeClient({ url }), (sql) => sql.unsafe<A>(statement, values)).pipe(
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

/** Runs a statement on the server that the test files share, on a connection of its own. */
export const admin = <A extends object = Record<string, unknown>>(
  statement: string,
  values?: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<A>, ServerFailed | SqlError> =>
  Effect.flatMap(databaseUrl, (url) => query<A>(url, statement, values))

const freshName = Effect.sync(() => `effect_saga_${randomBytes(6).toString("hex")}`)

/** The name of a schema that does not exist yet. Whatever is in it later is dropped with the scope. */
export const freshSchema = Effect.acquireRelease(
  freshName,
  (schema) => Effect.orDie(admin(`DROP SCHEMA IF EXISTS ${schema} CASCADE`))
)

/** The address of the same server with another database. */
export const withDatabase = (url: Redacted.Redacted, database: string): Redacted.Redacted => {
  const changed = new URL(Redacted.value(url))
  changed.pathname = `/${database}`
  return Redacted.make(changed.href)
}

/** The address of an empty database. It is dropped with the scope, and whoever is connected then is disconnected. */
export const freshDatabase = Effect.gen(function*() {
  const url = yield* databaseUrl
  const database = yield* Effect.acquireRelease(
    Effect.tap(freshName, (name) => query(url, `CREATE DATABASE ${name} TEMPLATE template0`)),
    (name) => Effect.orDie(query(url, `DROP DATABASE ${name} WITH (FORCE)`))
  )
  return withDatabase(url, database)
})
