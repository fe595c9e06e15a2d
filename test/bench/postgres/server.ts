import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { start } from "../../support/postgres/server.ts"
import { fileSystemOf } from "../durable/folder.ts"

/*
 * The server that all are measured on: one of its own, or that of `DATABASE_URL`. Each measurement has a database of its
 * own there.
 */

export interface Server {
  /** What it is, and the settings that decide how durable a commit is. */
  readonly description: string
  /** Its main process, where it runs on this machine. */
  readonly pid: number | undefined
  /** An empty database, which is dropped when the scope closes. */
  readonly database: Effect.Effect<Redacted.Redacted, SqlError, Scope.Scope>
}

export const open = Effect.gen(function*() {
  const given = process.env["DATABASE_URL"]
  const own = given === undefined ? yield* start() : undefined
  const url = own?.url ?? Redacted.make(given!)
  const query = (text: string) =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      return yield* sql.unsafe<{ readonly name: string; readonly setting: string }>(text)
    }).pipe(Effect.provide(PgClient.layer({ url, maxConnections: 1 })))

  const rows = yield* query(`SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name IN (${names})`)
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
  const where = own === undefined ? "at DATABASE_URL" : `in a folder on ${fileSystemOf(own.dataFolder)}`
  if (settings["fsync"] !== "on" || settings["synchronous_commit"] === "off" || where.endsWith("tmpfs")) {
    return yield* Effect.die(new Error(`The PostgreSQL server ${where} does not make commits durable`))
  }
  const { server_version, ...others } = settings
  let databases = 0
  return {
    description: `PostgreSQL ${server_version} ${where}; ` +
      Object.entries(others).map(([name, setting]) => `${name}=${setting}`).join(", "),
    pid: own === undefined ? undefined : yield* own.pid,
    database: Effect.acquireRelease(
      Effect.suspend(() => {
        const name = `effect_saga_bench_${process.pid}_${++databases}`
        return Effect.as(query(`CREATE DATABASE ${name}`), name)
      }),
      (name) => Effect.orDie(query(`DROP DATABASE ${name} WITH (FORCE)`))
    ).pipe(Effect.map((name) => {
      const database = new URL(Redacted.value(url))
      database.pathname = `/${name}`
      return Redacted.make(database.href)
    }))
  } satisfies Server
})

const names = ["server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers"]
  .map((name) => `'${name}'`).join(", ")
