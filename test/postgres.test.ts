import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { spawn } from "node:child_process"
import { chmodSync, cpSync, existsSync, lstatSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { folderOf, packaged, run, runnable, userOfServer } from "./support/postgres/binaries.ts"
import { admin, databaseUrl, freshDatabase, freshSchema, query } from "./support/postgres/database.ts"
import { runningOf } from "./support/postgres/processes.ts"
import { start } from "./support/postgres/server.ts"

/** A folder that the server can use, and that is deleted with the scope. */
const folder = Effect.acquireRelease(
  Effect.flatMap(userOfServer, folderOf),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** A connection that stays open until the scope closes. */
const connect = (url: Redacted.Redacted, options: Partial<PgClient.PgClientConfig> = {}) =>
  Effect.provide(PgClient.makeClient({ ...options, url }), Reactivity.layer)

const reasonOf = <A>(self: Effect.Effect<A, SqlError>) => Effect.map(Effect.flip(self), ({ reason }) => reason._tag)

/** Waits for something that another process does. */
const until = <E>(condition: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.flatMap(
    condition,
    (holds) => holds ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), until(condition))
  )

/** `npm run postgres`, killed with the scope, and the address that it prints. */
const program = Effect.fnUntraced(function*(...options: ReadonlyArray<string>) {
  const main = fileURLToPath(new URL("support/postgres/main.ts", import.meta.url))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-saga-source", main, ...options], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const url = yield* Effect.callback<string>((resume) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = /postgres:\/\/\S+/.exec(line)
      if (found !== null) resume(Effect.succeed(found[0]))
    })
    child.once("exit", () => resume(Effect.die("It has ended.")))
  })
  const ended = Effect.callback<number | null>((resume) =>
    void child.once("exit", (code) => resume(Effect.succeed(code)))
  )
  return { child, url: Redacted.make(url), ended }
})

describe("a server of one's own", () => {
  it.live("is durable, sorts as a dictionary does, and refuses a wrong password", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const wrong = Redacted.make(Redacted.value(url).replace(/:[^:@]+@/, ":wrong@"))

      const [settings] = yield* query(
        url,
        `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS "commit",
          current_setting('max_connections') AS connections, 'a' < 'B' AS dictionary`
      )

      assert.deepStrictEqual(settings, { fsync: "on", commit: "on", connections: "100", dictionary: true })
      assert.strictEqual(yield* reasonOf(query(wrong, "SELECT 1")), "AuthenticationError")
    }), 60_000)

  it.live(
    "keeps what was committed when it is killed, and is gone with its files in the end",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(start(), scope)
        yield* query(server.url, "CREATE TABLE kept AS SELECT 1 AS n")
        const before = yield* server.pid

        yield* server.kill
        const whileDown = yield* Effect.exit(query(server.url, "SELECT 1"))
        yield* server.start
        const rows = yield* query(server.url, "SELECT n FROM kept")
        const after = yield* server.pid
        const log = yield* server.log
        yield* Scope.close(scope, Exit.void)

        assert.isTrue(Exit.isFailure(whileDown))
        assert.deepStrictEqual(rows, [{ n: 1 }])
        assert.notStrictEqual(after, before)
        assert.include(log, "automatic recovery")
        assert.isUndefined(yield* server.pid)
        assert.isFalse(existsSync(server.dataFolder))
      }),
    60_000
  )

  it.live("says nothing while it is frozen, and goes on where it was", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const sql = yield* connect(server.url)
      yield* sql`CREATE TABLE counted AS SELECT 0 AS n`

      yield* server.freeze
      const update = yield* Effect.forkScoped(sql`UPDATE counted SET n = n + 1`)
      const connection = yield* Effect.exit(connect(server.url, { connectTimeout: "200 millis" }))
      const meanwhile = update.pollUnsafe()
      yield* server.thaw
      yield* Fiber.join(update)

      assert.isTrue(Exit.isFailure(connection))
      assert.isUndefined(meanwhile)
      assert.deepStrictEqual(yield* sql`SELECT n FROM counted`, [{ n: 1 }])
    }), 60_000)

  it.live("ends, and its files go, when the process that started it is killed", () =>
    Effect.gen(function*() {
      const { child, ended, url } = yield* program()
      const [setting] = yield* query<{ readonly folder: string }>(
        url,
        "SELECT current_setting('data_directory') AS folder"
      )
      const main = parseInt(readFileSync(join(setting!.folder, "postmaster.pid"), "utf8"))
      const before = runningOf([main])

      child.kill("SIGKILL")
      yield* ended

      assert.deepStrictEqual(before, [main])
      // The files go once the server has ended.
      yield* until(Effect.sync(() => !existsSync(join(setting!.folder, ".."))))
      assert.deepStrictEqual(runningOf(before), [])
    }), 60_000)

  it.live("keeps its data after Ctrl-C in a folder that was given", () =>
    Effect.gen(function*() {
      const dataFolder = join(yield* folder, "data")
      const { child, ended, url } = yield* program("--data", dataFolder)
      yield* query(url, "CREATE TABLE kept AS SELECT 1 AS n")

      child.kill("SIGINT")
      const code = yield* ended
      const again = yield* start({ dataFolder })

      assert.strictEqual(code, 0)
      assert.deepStrictEqual(yield* query(again.url, "SELECT n FROM kept"), [{ n: 1 }])
    }), 60_000)

  it.live("runs from a private folder, and without the links of its libraries", () =>
    Effect.gen(function*() {
      const user = yield* userOfServer
      const parent = yield* folder
      const native = join(parent, "installed")
      cpSync(packaged()!, native, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() })
      chmodSync(native, 0o700)

      const bin = yield* runnable(native, parent, user)
      const { printed } = yield* run(join(bin, "initdb"), ["--version"], { ...user, cwd: "/" })

      assert.notStrictEqual(bin, join(native, "bin"))
      assert.match(printed, /initdb \(PostgreSQL\) 18/)
    }), 60_000)
})

describe("the server that all test files share", () => {
  it.live(
    "gives a test a schema and a database of its own, which are dropped in the end",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const [schema, url] = yield* Scope.provide(Effect.all([freshSchema, freshDatabase]), scope)
        const [other, otherUrl] = yield* Effect.all([freshSchema, freshDatabase])
        const database = new URL(Redacted.value(url)).pathname.slice(1)

        yield* admin(`CREATE SCHEMA ${schema}`)
        yield* admin(`CREATE TABLE ${schema}.kept AS SELECT 1 AS n`)
        yield* query(url, "CREATE TABLE kept AS SELECT 1 AS n")
        // A client that has not left does not keep the database.
        yield* connect(url)
        yield* Scope.close(scope, Exit.void)

        assert.notStrictEqual(other, schema)
        assert.notStrictEqual(Redacted.value(otherUrl), Redacted.value(url))
        assert.deepStrictEqual(yield* admin("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]), [])
        assert.deepStrictEqual(yield* admin("SELECT 1 FROM pg_database WHERE datname = $1", [database]), [])
      }),
    60_000
  )

  it.live("is the same one each time", () =>
    Effect.gen(function*() {
      const urls = yield* Effect.all([databaseUrl, databaseUrl], { concurrency: 2 })

      assert.strictEqual(Redacted.value(urls[0]), Redacted.value(urls[1]))
    }), 60_000)
})
