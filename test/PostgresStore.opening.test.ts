import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Context, Effect, Exit, Layer, Redacted, Schedule, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { inspect } from "node:util"
import * as Session from "../src/postgres/session.ts"
import { fromOptions } from "../src/postgres/settings.ts"
import { databaseUrl, freshDatabase, freshSchema, query, withDatabase } from "./support/postgres/database.ts"
import { start } from "./support/postgres/server.ts"
import { open, owned, place, rowsOf } from "./support/postgresStore.ts"
import { reasonOf, recordOf, started } from "./support/storeValues.ts"

const password = "s3cret-Passw0rd"

/** The same address with another user, who has this password. */
const withUser = (url: Redacted.Redacted, user: string, secret = password): Redacted.Redacted => {
  const changed = new URL(Redacted.value(url))
  changed.username = user
  changed.password = secret
  return Redacted.make(changed.href)
}

/** All that can be got out of a value, by whatever shows values. */
const shown = (value: unknown, seen = new Set<unknown>()): string => {
  if (typeof value !== "object" || value === null || seen.has(value)) return String(value)
  seen.add(value)
  const own = Reflect.ownKeys(value).map((key) => `${String(key)}: ${shown(Reflect.get(value, key), seen)}`)
  return [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), ...own].join("\n")
}

/** Why a store can't be opened. The password is nowhere in it. */
const refusal = Effect.fnUntraced(function*(options: PostgresStore.Options) {
  const exit = yield* Effect.exit(Effect.scoped(open(options)))
  assert(Exit.isFailure(exit))
  const error = Cause.squash(exit.cause)
  assert.instanceOf(error, SagaStore.SagaStoreError)
  const everything = [
    shown(error),
    shown(exit),
    Cause.pretty(exit.cause),
    String(error),
    String((error as Error).stack)
  ]
  assert.notInclude(everything.join("\n"), password)
  return (error as SagaStore.SagaStoreError).reason
})

/** A user of the server that has this password, until the scope closes. */
const freshUser = Effect.fnUntraced(function*(url: Redacted.Redacted, attributes = "LOGIN") {
  const name = (yield* freshSchema).replace("effect_saga", "user")
  yield* Effect.acquireRelease(
    query(url, `CREATE ROLE ${name} ${attributes} PASSWORD '${password}'`),
    () => Effect.orDie(Effect.andThen(query(url, `DROP OWNED BY ${name}`), query(url, `DROP ROLE ${name}`)))
  )
  return name
})

/** Who may not come in, or not do what a store needs. */
const denial = Effect.fnUntraced(function*(options: PostgresStore.Options) {
  const reason = yield* refusal(options)
  assert(reason._tag === "AccessDenied", reason.message)
  return reason
})

describe("opening a store in PostgreSQL", () => {
  it.live("creates its tables once, whoever comes first", () =>
    Effect.gen(function*() {
      const at = yield* place

      const stores = yield* Effect.all(Array.from({ length: 8 }, () => open(at)), { concurrency: "unbounded" })

      assert.deepStrictEqual(yield* rowsOf(at, "number, program", "migrations"), ["1 effect-saga", "2 effect-saga"])
      assert.lengthOf(yield* rowsOf(at, "store", "owner"), 1)
      for (const store of stores) assert.deepStrictEqual(yield* store.list(), [])
    }), 20_000)

  it.live("keeps what is there, and needs no right but to read where only that is done", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase
      const reader = yield* freshUser(url)
      const at = { url, schema: "sagas" }
      yield* Effect.scoped(Effect.flatMap(owned(at), ({ commit }) => commit([started(1)])))
      yield* query(url, `GRANT USAGE ON SCHEMA sagas TO ${reader}`)
      yield* query(url, `GRANT SELECT ON ALL TABLES IN SCHEMA sagas TO ${reader}`)

      const store = yield* open({ ...at, url: withUser(url, reader) })

      assert.deepStrictEqual((yield* store.find("Trip/1"))?.record, recordOf(1))
      const reason = yield* reasonOf(Effect.scoped(store.acquire({ owner: "reader", standby: false })))
      assert(reason._tag === "AccessDenied")
      assert.strictEqual(reason.missing, "right")
      assert.include(reason.message, "permission denied for table owner")
      assert.include(
        reason.message,
        `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "sagas" TO "${reader}";`
      )
    }), 20_000)

  it.live("uses a schema that an administrator has made for it", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase
      const user = yield* freshUser(url)
      yield* query(url, `CREATE SCHEMA sagas AUTHORIZATION ${user}`)

      const { commit, store } = yield* owned({ url: withUser(url, user), schema: "sagas" })
      yield* commit([started(1)])

      assert.lengthOf(yield* store.list(), 1)
    }), 20_000)

  it.live("keeps several stores apart in one database", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase
      const [one, other] = [yield* owned({ url }), yield* owned({ url, schema: "Other_1" })]

      yield* one.commit([started(1)])

      assert.include(one.store.name, `schema "effect_saga"`)
      assert.lengthOf(yield* one.store.list(), 1)
      assert.lengthOf(yield* other.store.list(), 0)
    }), 20_000)

  it.live("calls its connections by a name, and closes them with the layer", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase
      const names = Effect.map(
        query<{ name: string }>(
          url,
          `SELECT application_name AS name FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
        ),
        (rows) => rows.map(({ name }) => name)
      )
      const scope = yield* Scope.make()
      const { store } = yield* Scope.provide(owned({ url }), scope)
      yield* Scope.provide(owned({ url, schema: "other", applicationName: "billing" }), scope)
      yield* store.list()

      const opened = yield* names
      yield* Scope.close(scope, Exit.void)
      yield* Effect.repeat(names, {
        until: ({ length }) => length === 0,
        schedule: Schedule.spaced("20 millis"),
        times: 200
      })

      assert.sameMembers([...new Set(opened)], ["effect-saga", "billing"])
      assert.lengthOf(yield* names, 0)
    }), 20_000)

  it.live("waits for a server that starts just then", () =>
    Effect.gen(function*() {
      const server = yield* start()
      yield* server.stop
      yield* Effect.forkChild(Effect.delay(server.start, "700 millis"))

      const store = yield* open({ url: server.url })

      assert.deepStrictEqual(yield* store.list(), [])
    }), 20_000)

  it.live(
    "is durable, and sees what is committed, whatever the database has as defaults",
    () =>
      Effect.gen(function*() {
        const url = yield* freshDatabase
        const name = new URL(Redacted.value(url)).pathname.slice(1)
        yield* query(url, `ALTER DATABASE ${name} SET synchronous_commit = off`)
        yield* query(url, `ALTER DATABASE ${name} SET default_transaction_isolation = serializable`)
        const settings = ["synchronous_commit", "transaction_isolation", "enable_seqscan"]

        const session = yield* Session.open(fromOptions("test", { url }))

        const values: Array<unknown> = []
        for (const setting of settings) {
          const [row] = yield* session.query(`SELECT current_setting('${setting}') AS value`)
          values.push(row!["value"])
        }
        assert.deepStrictEqual(values, ["on", "read committed", "off"])
      }),
    20_000
  )

  it.live(
    "keeps ids of any length, and what people write where the server has no character for it",
    () =>
      Effect.gen(function*() {
        const at = yield* place
        const { commit, keepSignal, store } = yield* owned(at)
        const id = `Trip/${randomBytes(50_000).toString("base64")}`
        const record = recordOf(1, { id, status: "Parked", reason: "a \0 and half a \uD83D", parent: id })

        yield* store.ask([{ id: "a", execution: id, request: "{}" }])
        yield* keepSignal({ execution: `${id}!`, event: "{}" })
        yield* commit([{ key: 1, record, firstSequence: 1, events: ["{}"] }])
        const taken = yield* Effect.exit(commit([{ ...started(2, { id }), events: ["{}"] }]))

        assert.isTrue(Exit.isFailure(taken))
        assert.deepStrictEqual((yield* store.find(id))?.record, { ...record, reason: "a \uFFFD and half a \uFFFD" })
        assert.deepStrictEqual(yield* store.existing([id, `${id}!`]), [id])
        assert.lengthOf(yield* store.requests({ execution: id }), 1)
        assert.isUndefined(yield* store.find("Trip/\0"))
      }),
    20_000
  )
})

describe("a store in PostgreSQL is not opened", () => {
  it.live(
    "where the schema belongs to another program, or a later version has written it, and stays as it is",
    () =>
      Effect.gen(function*() {
        const url = yield* freshDatabase
        yield* query(url, "CREATE SCHEMA letters")
        yield* query(url, "CREATE TABLE letters.letters (text text)")
        yield* query(url, "CREATE SCHEMA similar_1")
        yield* query(url, "CREATE TABLE similar_1.migrations (number integer, applied_at bigint, program text)")
        yield* query(url, "INSERT INTO similar_1.migrations VALUES (0, 0, 'another')")
        yield* Effect.scoped(open({ url, schema: "later" }))
        yield* query(url, "INSERT INTO later.migrations VALUES (1000, 0, 'effect-saga')")
        yield* Effect.scoped(open({ url, schema: "broken" }))
        yield* query(url, "DROP TABLE broken.requests")
        const content = query(url, "SELECT relname, relnamespace FROM pg_class ORDER BY oid")
        const before = yield* content

        const reasons = yield* Effect.all(
          ["letters", "similar_1"].map((schema) => refusal({ url, schema }))
        )
        const later = yield* refusal({ url, schema: "later" })
        const broken = yield* refusal({ url, schema: "broken" })

        for (const reason of reasons) {
          assert(reason._tag === "Incompatible")
          assert.include(reason.message, "another program")
        }
        assert(later._tag === "Incompatible")
        assert.include(later.message, "1000")
        assert(broken._tag === "Corrupt")
        assert.include(broken.message, "requests")
        assert.deepStrictEqual(yield* content, before)
      }),
    20_000
  )

  it.live("in a database that can't hold all characters", () =>
    Effect.gen(function*() {
      const url = yield* databaseUrl
      const name = yield* freshSchema
      yield* Effect.acquireRelease(
        query(
          url,
          `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'`
        ),
        () => Effect.orDie(query(url, `DROP DATABASE ${name} WITH (FORCE)`))
      )

      const reason = yield* refusal({ url: withDatabase(url, name) })

      assert(reason._tag === "Incompatible")
      assert.include(reason.message, "LATIN1")
    }), 20_000)

  it.live("with a wrong password, by an unknown user, in an unknown database", () =>
    Effect.gen(function*() {
      const url = yield* databaseUrl
      const user = yield* freshUser(url)
      const locked = yield* freshUser(url, "NOLOGIN")

      const wrong = yield* denial({ url: withUser(url, user, `${password}!`) })
      const none = yield* denial({ url: withUser(url, user, "") })
      const unknown = yield* denial({ url: withUser(url, "nobody_here") })
      const nologin = yield* denial({ url: withUser(url, locked) })
      const database = yield* denial({ url: withDatabase(withUser(url, user), "nowhere") })

      assert.deepStrictEqual(
        [wrong, none, unknown, nologin, database].map(({ missing }) => missing),
        ["password", "password", "password", "user", "database"]
      )
      assert.include(wrong.message, `the server does not accept the password of user "${user}"`)
      assert.include(none.message, "there is none in the options")
      assert.include(unknown.message, `"nobody_here"`)
      assert.include(nologin.message, "is not permitted to log in")
      assert.include(database.message, `CREATE DATABASE "nowhere";`)
    }), 20_000)

  it.live("without the right to connect, or to create what is missing", () =>
    Effect.gen(function*() {
      const url = yield* freshDatabase
      const name = new URL(Redacted.value(url)).pathname.slice(1)
      const user = yield* freshUser(url)
      yield* query(url, "CREATE SCHEMA closed")
      yield* query(url, "CREATE SCHEMA half_open")
      yield* query(url, `GRANT USAGE ON SCHEMA half_open TO ${user}`)
      yield* Effect.scoped(open({ url, schema: "secret" }))

      const create = yield* denial({ url: withUser(url, user) })
      const closed = yield* denial({ url: withUser(url, user), schema: "closed" })
      const halfOpen = yield* denial({ url: withUser(url, user), schema: "half_open" })
      const secret = yield* denial({ url: withUser(url, user), schema: "secret" })
      yield* query(url, `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`)
      const outside = yield* denial({ url: withUser(url, user) })

      for (const { missing } of [create, closed, halfOpen, secret, outside]) assert.strictEqual(missing, "right")
      assert.include(create.message, `CREATE SCHEMA "effect_saga" AUTHORIZATION "${user}";`)
      for (const [schema, reason] of [["closed", closed], ["half_open", halfOpen]] as const) {
        assert.include(reason.message, `GRANT USAGE, CREATE ON SCHEMA "${schema}" TO "${user}";`)
      }
      assert.include(secret.message, `GRANT USAGE ON SCHEMA "secret" TO "${user}";`)
      assert.include(outside.message, `GRANT CONNECT ON DATABASE "${name}" TO "${user}";`)
    }), 20_000)

  it.live("where the server wants encryption, or has none", () =>
    Effect.gen(function*() {
      const server = yield* start()
      yield* query(server.url, `CREATE ROLE me LOGIN PASSWORD '${password}'`)
      const url = withUser(server.url, "me")

      const refused = yield* denial({ url, ssl: true })
      writeFileSync(`${server.dataFolder}/pg_hba.conf`, "hostssl all all all scram-sha-256\n")
      yield* server.restart()
      const wanted = yield* denial({ url })

      assert.deepStrictEqual([refused.missing, wanted.missing], ["encryption", "encryption"])
      assert.include(refused.message, "ssl: false, or sslmode=disable in the url")
      assert.include(wanted.message, "ssl: true")
    }), 30_000)

  it.live("after five seconds where nobody answers", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const at = { host: "127.0.0.1", port, username: "me", password: Redacted.make(password), database: "sagas" }
      const startedAt = performance.now()

      const [reason, soon] = yield* Effect.all([refusal(at), refusal({ ...at, retryFor: "200 millis" })], {
        concurrency: "unbounded"
      })

      for (const one of [reason, soon]) {
        assert(one._tag === "Unavailable")
        assert.strictEqual(one.problem, "can't be reached")
        assert.include(one.message, `of database "sagas" on 127.0.0.1:${port}`)
      }
      assert.isBelow(performance.now() - startedAt, 7000)
    }), 20_000)
})

/* One that nobody listens on. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as { readonly port: number }
    server.close(() => resume(Effect.succeed(port)))
  })
})

describe("PostgresStore.layer", () => {
  const layerOf = (options: object) => () => PostgresStore.layer(options as PostgresStore.Options)
  const url = (text: string) => ({ url: Redacted.make(text) })

  it("rejects options that can't be meant, and shows no password", () => {
    assert.throws(layerOf({ schema: "a-b" }), RangeError, "PostgresStore.layer: schema has to be a name")
    assert.throws(layerOf({ schema: "pg_sagas" }), RangeError, "\"pg_sagas\"")
    assert.throws(layerOf({ schema: "x".repeat(49) }), RangeError, "at most 48")
    assert.throws(layerOf({ schema: "1st" }), RangeError, "digit")
    assert.throws(layerOf({ port: 70_000 }), RangeError, "port has to be a whole number from 1 to 65535")
    assert.throws(layerOf({ maxConnections: 0 }), RangeError, "maxConnections")
    assert.throws(layerOf({ retryFor: "soon" }), RangeError, "retryFor")
    assert.throws(layerOf({ host: "" }), RangeError, "host")
    assert.throws(layerOf({ user: "me" }), RangeError, "user")
    assert.throws(layerOf({ ssl: "yes" }), RangeError, "ssl")
    assert.throws(layerOf({ migrate: "no" }), RangeError, "migrate has to be true or false")
    const secrets: ReadonlyArray<readonly [object, string]> = [
      [{ url: `postgres://me:${password}@host/db` }, "url has to be Redacted"],
      [{ password }, "password has to be Redacted"],
      [url(`http://me:${password}@host/db`), "url has to be like postgres://"],
      [url(`postgres://me:${password}#@host/db`), "%-codes"],
      [url(`postgres://me:${password}/@host/db`), "%-codes"],
      [url(`postgres://me:1/${password}@host/db`), "%-codes for the signs in its password"],
      [url(`postgres://me:1#${password}@host/db`), "%-codes for the signs in its password"],
      [url(`postgres://me:%${password}@host/db`), "a % that is no %-code"],
      [url(`postgres://me:${password}@host/db?sslmode=maybe`), "sslmode"],
      [url(`postgres://me:${password}@host/db?connect_timeout=soon`), "connect_timeout"],
      [url(`postgres://me:${password}@host/db?port=x`), "port"]
    ]
    for (const [options, expected] of secrets) {
      const error = Exit.match(Effect.runSyncExit(Effect.sync(layerOf(options))), {
        onSuccess: () => undefined,
        onFailure: Cause.squash
      })
      assert.instanceOf(error, RangeError)
      assert.include((error as Error).message, expected)
      assert.notInclude(shown(error).split("\n    at ")[0], password)
    }
  })

  it("names a store without its password", () => {
    const nameOf = (options: PostgresStore.Options) =>
      Effect.map(
        Effect.flip(Effect.scoped(Layer.build(PostgresStore.layer({ ...options, retryFor: "1 millis" })))),
        (error) => error.message
      )
    return Effect.runPromise(Effect.gen(function*() {
      const port = yield* freePort
      const message = yield* nameOf(url(`postgresql://me:${password}@127.0.0.1:${port}/my%20sagas`))
      const other = yield* nameOf({ ...url(`postgres://me:${password}@127.0.0.1:1/sagas`), port, database: "others" })

      assert.include(message, `PostgreSQL schema "effect_saga" of database "my sagas" on 127.0.0.1:${port} is not`)
      assert.include(other, `of database "others" on 127.0.0.1:${port}`)
    }))
  })

  it.live("reads its options from the configuration", () =>
    Effect.gen(function*() {
      const at = yield* place
      const layer = PostgresStore.layerConfig({
        url: Config.Redacted("DATABASE_URL"),
        schema: Config.String("SCHEMA"),
        maxConnections: Config.Int("CONNECTIONS")
      })
      const provider = (values: Record<string, string>) =>
        Layer.provide(layer, ConfigProvider.layer(ConfigProvider.fromEnv({ env: values })))
      const values = { DATABASE_URL: Redacted.value(at.url), SCHEMA: at.schema, CONNECTIONS: "2" }

      const store = Context.get(yield* Layer.build(provider(values)), SagaStore.SagaStore)
      const exit = yield* Effect.exit(Layer.build(provider({ ...values, CONNECTIONS: "many" })))

      assert.include(store.name, at.schema)
      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(shown(exit), new URL(Redacted.value(at.url)).password)
    }))
})
