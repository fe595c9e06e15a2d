import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { randomInt } from "node:crypto"
import { createConnection } from "node:net"
import { admin, databaseUrl, freshSchema } from "./support/postgres/database.ts"
import { open } from "./support/postgres/proxy.ts"
import { makeAnswers, makeRequestReader, makeSplitter, type Message } from "./support/postgres/wire.ts"

/** A proxy, a connection through it, and a table with one column in a schema of its own. */
const setUp = Effect.gen(function*() {
  const schema = yield* freshSchema
  yield* admin(`CREATE SCHEMA ${schema}`)
  yield* admin(`CREATE TABLE ${schema}.numbers (n int)`)
  const proxy = yield* open(yield* databaseUrl)
  const connect = (options: Partial<PgClient.PgClientConfig> = {}) =>
    Effect.provide(PgClient.makeClient({ ...options, url: proxy.url }), Reactivity.layer)
  const sql = yield* connect()
  return {
    schema,
    proxy,
    /** Opens a connection through the proxy. */
    connect,
    sql,
    insert: (n: number) => sql`INSERT INTO ${sql(schema)}.numbers VALUES (${n})`,
    /** What the table holds for everybody else. */
    numbers: Effect.map(
      admin<{ readonly n: number }>(`SELECT n FROM ${schema}.numbers ORDER BY n`),
      (rows) => rows.map(({ n }) => n)
    ),
    /** Waits until no transaction that has changed the table is open. */
    settled: admin(`ALTER TABLE ${schema}.numbers SET (fillfactor = 100)`)
  }
})

const until = <E>(condition: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.flatMap(
    condition,
    (holds) => holds ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), until(condition))
  )

const succeeds = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(self), Exit.isSuccess)

describe("a cut", () => {
  it.live("fails what is under way on all connections, and leaves room for new ones", () =>
    Effect.gen(function*() {
      const { connect, proxy, sql } = yield* setUp
      const other = yield* connect()
      const running = yield* Effect.forkScoped(succeeds(sql`SELECT pg_sleep(20)`))
      yield* until(Effect.map(proxy.statements, (texts) => texts.some((text) => text.includes("pg_sleep"))))
      const before = yield* proxy.connections

      yield* proxy.cut()

      assert.isFalse(yield* Fiber.join(running))
      assert.isFalse(yield* succeeds(other`SELECT 1`))
      assert.deepStrictEqual([before, yield* proxy.connections], [2, 0])
      assert.isTrue(yield* succeeds(connect()))
    }), 30_000)

  it.live("can refuse new connections from its moment on", () =>
    Effect.gen(function*() {
      const { connect, insert, proxy } = yield* setUp
      yield* proxy.cutBeforeReply("INSERT", { refuse: true })

      const inserted = yield* succeeds(insert(1))
      const whileRefused = yield* succeeds(connect())
      yield* proxy.accept
      const later = yield* succeeds(connect())

      assert.deepStrictEqual([inserted, whileRefused, later], [false, false, true])
    }), 30_000)

  it.live(
    "that the server does not notice leaves the locks of the session, until the proxy closes",
    () =>
      Effect.gen(function*() {
        const lock = randomInt(1_000_000_000)
        const tryLock = Effect.map(
          admin<{ readonly taken: boolean }>("SELECT pg_try_advisory_lock($1::int) AS taken", [lock]),
          ([row]) => row!.taken
        )

        const [passed, taken] = yield* Effect.scoped(Effect.gen(function*() {
          const { proxy, sql } = yield* setUp
          yield* sql`SELECT pg_advisory_lock(${lock}::int)`
          yield* proxy.cut({ unnoticed: true })
          return [yield* succeeds(sql`SELECT 1`), yield* tryLock]
        }))

        assert.deepStrictEqual([passed, taken], [false, false])
        yield* until(tryLock)
      }),
    15_000
  )

  it.live("after some bytes lets these pass, and not the rest of the message", () =>
    Effect.gen(function*() {
      const { numbers, proxy, schema, settled, sql } = yield* setUp
      const insert = (n: number) =>
        succeeds(sql.unsafe(`INSERT INTO ${schema}.numbers VALUES (${n}) -- ${"x".repeat(10_000)}`))
      const { happened } = yield* proxy.cutAfterBytes(15_000)

      const first = yield* insert(1)
      const second = yield* insert(2)
      yield* happened
      yield* settled

      assert.deepStrictEqual([first, second], [true, false])
      assert.deepStrictEqual(yield* numbers, [1])
    }), 30_000)
})

describe("a fault at a statement", () => {
  it.live("before the request leaves the server without it", () =>
    Effect.gen(function*() {
      const { insert, numbers, proxy, settled, sql } = yield* setUp
      const { happened } = yield* proxy.cutBeforeRequest("COMMIT")

      const committed = yield* succeeds(sql.withTransaction(insert(1)))
      yield* happened
      yield* settled

      assert.isFalse(committed)
      assert.deepStrictEqual(yield* numbers, [])
    }), 30_000)

  it.live("after the request does not keep the server from executing it", () =>
    Effect.gen(function*() {
      const { insert, numbers, proxy } = yield* setUp
      const { happened } = yield* proxy.cutAfterRequest("INSERT")

      const inserted = yield* succeeds(insert(1))
      yield* happened

      assert.isFalse(inserted)
      yield* until(Effect.map(numbers, ({ length }) => length === 1))
    }), 30_000)

  it.live("before the reply comes once a transaction is committed", () =>
    Effect.gen(function*() {
      const { insert, numbers, proxy, sql } = yield* setUp
      const { happened } = yield* proxy.cutBeforeReply("COMMIT")

      const committed = yield* succeeds(sql.withTransaction(insert(1)))
      yield* happened

      assert.isFalse(committed)
      assert.deepStrictEqual(yield* numbers, [1])
    }), 30_000)

  it.live(
    "before the reply comes once a statement that is a transaction of its own is committed",
    () =>
      Effect.gen(function*() {
        const { insert, numbers, proxy } = yield* setUp
        const { happened } = yield* proxy.cutBeforeReply(/^insert into/i)

        const inserted = yield* succeeds(insert(1))
        yield* happened

        assert.isFalse(inserted)
        assert.deepStrictEqual(yield* numbers, [1])
      }),
    15_000
  )

  it.live(
    "comes the nth time that it is executed, prepared or not, and only where it is",
    () =>
      Effect.gen(function*() {
        const { connect, insert, numbers, proxy } = yield* setUp
        const unprepared = yield* connect({ prepare: false })
        const { happened } = yield* proxy.cutBeforeRequest({ statement: "INSERT", nth: 4 })

        const before = yield* succeeds(Effect.all([insert(1), unprepared`SELECT 'INSERT'`, insert(2)]))
        const fourth = yield* succeeds(insert(3))
        yield* happened

        assert.deepStrictEqual([before, fourth], [true, false])
        assert.deepStrictEqual(yield* numbers, [1, 2])
        assert.isTrue(yield* succeeds(unprepared`SELECT 1`))
      }),
    15_000
  )

  it.live("finds its statement among others that were sent at once", () =>
    Effect.gen(function*() {
      const { connect, proxy } = yield* setUp
      const sql = yield* connect({ multiplex: true })
      const { happened } = yield* proxy.cutBeforeReply("'third'")

      const results = yield* Effect.all(
        ["first", "second", "third", "fourth"].map((text) => succeeds(sql.unsafe(`SELECT '${text}'`))),
        { concurrency: "unbounded" }
      )
      yield* happened

      assert.deepStrictEqual(results, [true, true, false, false])
    }), 30_000)

  it.live("can hold a request, which reaches the server after the client has left", () =>
    Effect.gen(function*() {
      const { connect, numbers, proxy, schema } = yield* setUp
      const socket = createConnection(proxy.port)
      const sql = yield* connect({ stream: () => socket })
      const { happened, release } = yield* proxy.holdRequest("COMMIT")
      const client = yield* Effect.forkScoped(
        succeeds(sql.withTransaction(sql`INSERT INTO ${sql(schema)}.numbers VALUES (1)`))
      )
      yield* happened

      socket.destroy()
      const committed = yield* Fiber.join(client)
      yield* until(Effect.map(proxy.connections, (count) => count === 1))
      const held = yield* numbers
      yield* release

      assert.isFalse(committed)
      assert.deepStrictEqual(held, [])
      yield* until(Effect.map(numbers, ({ length }) => length === 1))
    }), 30_000)

  it.live("can hold a reply, and the client waits", () =>
    Effect.gen(function*() {
      const { insert, numbers, proxy, sql } = yield* setUp
      const { happened, release } = yield* proxy.holdReply("COMMIT")
      const client = yield* Effect.forkScoped(sql.withTransaction(insert(1)))
      yield* happened

      const held = yield* numbers
      const waiting = client.pollUnsafe()
      yield* release
      yield* Fiber.join(client)

      assert.deepStrictEqual(held, [1])
      assert.isUndefined(waiting)
    }), 30_000)
})

describe("a network", () => {
  it.live("that is frozen lets nothing pass, and loses nothing", () =>
    Effect.gen(function*() {
      const { connect, insert, numbers, proxy } = yield* setUp

      yield* proxy.freeze
      const client = yield* Effect.forkScoped(insert(1))
      const connected = yield* succeeds(connect({ connectTimeout: "200 millis" }))
      const waiting = client.pollUnsafe()
      const whileFrozen = yield* numbers
      yield* proxy.thaw
      yield* Fiber.join(client)

      assert.isFalse(connected)
      assert.isUndefined(waiting)
      assert.deepStrictEqual([whileFrozen, yield* numbers], [[], [1]])
    }), 30_000)

  it.live("that refuses connections leaves those that there are", () =>
    Effect.gen(function*() {
      const { connect, insert, numbers, proxy } = yield* setUp

      yield* proxy.refuse
      const whileRefused = yield* succeeds(connect())
      yield* insert(1)
      yield* proxy.accept
      const later = yield* succeeds(connect())

      assert.deepStrictEqual([whileRefused, later], [false, true])
      assert.deepStrictEqual(yield* numbers, [1])
    }), 30_000)
})

const message = (type: string, ...texts: ReadonlyArray<string>): Message => {
  const body = Buffer.from(texts.map((text) => `${text}\0`).join(""))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length + 4)
  return { type, bytes: Buffer.concat([Buffer.from(type), length, body]) }
}

describe("the protocol", () => {
  it("is cut into the same messages however it arrives", () => {
    const encryption = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
    const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])
    const messages = [
      { type: "", bytes: encryption },
      { type: "", bytes: startup },
      message("Q", "SELECT 1"),
      message("X")
    ]
    const bytes = Buffer.concat(messages.map(({ bytes }) => bytes))

    const results = Array.from({ length: bytes.length }, (_, index) => {
      const splitter = makeSplitter("client")
      const found: Array<Message> = []
      for (let at = 0; at < bytes.length; at += index + 1) {
        splitter.push(bytes.subarray(at, at + index + 1))
        for (let next = splitter.next(); next !== undefined; next = splitter.next()) found.push(next)
      }
      return [found, splitter.rest().length]
    })

    assert.isAbove(results.length, 30)
    for (const result of results) assert.deepStrictEqual(result, [messages, 0])
  })

  it("names a statement by its text, whether it is prepared under a name or not", () => {
    const read = makeRequestReader()
    const texts = [
      message("P", "a", "SELECT 1"),
      message("P", "", "SELECT 2"),
      message("B", "", "a"),
      message("E", ""),
      message("B", "portal", ""),
      message("E", "portal"),
      message("S"),
      message("Q", "SELECT 3")
    ].map(read)

    assert.deepStrictEqual(texts.filter(({ _tag }) => _tag !== "Other"), [
      { _tag: "Statement", text: "SELECT 1", endsGroup: false },
      { _tag: "Statement", text: "SELECT 2", endsGroup: false },
      { _tag: "GroupEnd" },
      { _tag: "Statement", text: "SELECT 3", endsGroup: true }
    ])
  })

  it("has no answer for the rest of a group of which a statement fails", () => {
    const { answered, asked } = makeAnswers<string>()
    const execute = (text: string) => asked({ _tag: "Statement", text, endsGroup: false }, text)
    execute("fails")
    execute("is skipped")
    asked({ _tag: "GroupEnd" }, "")
    asked({ _tag: "Statement", text: "is simple", endsGroup: true }, "is simple")
    execute("is last")

    const answers = ["1", "E", "Z", "D", "C", "Z", "2", "C", "A"].map((type) =>
      answered({ type, bytes: Buffer.alloc(0) })
    )

    assert.deepStrictEqual(answers, [
      ["fails"],
      ["fails", "is skipped"],
      [],
      ["is simple"],
      ["is simple"],
      [],
      ["is last"],
      ["is last"],
      []
    ])
  })
})
