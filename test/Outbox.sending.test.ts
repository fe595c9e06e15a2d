import { assert, describe } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { makeMixedText } from "./support/mixedText.ts"
import { makeInbox, startRelay, test, until } from "./support/outbox.ts"

const inTransaction = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(self))

const backend = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => Effect.map(sql<{ readonly pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
)

const waitsForLock = (pid: number) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND wait_event_type = 'Lock'`
  )

const defectOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no failure"

describe("An outbox", () => {
  test("sends what is in a transaction that commits, and nothing of one that rolls back", ({ outbox, rows, use }) =>
    Effect.gen(function*() {
      const send = (text: string) => outbox.send({ key: "a", text })

      yield* use(inTransaction(Effect.andThen(send("one"), send("two"))))
      yield* use(Effect.exit(inTransaction(Effect.andThen(send("never"), Effect.fail("rolled back")))))
      yield* use(inTransaction(Effect.andThen(
        Effect.exit(inTransaction(Effect.andThen(send("nor this"), Effect.fail("to the savepoint")))),
        send("three")
      )))

      assert.deepStrictEqual((yield* rows).map(({ message }) => JSON.parse(message).text), ["one", "two", "three"])
    }))

  test("sends at once what is in no transaction", ({ outbox, rows, use }) =>
    Effect.gen(function*() {
      yield* use(outbox.send({ key: "a", text: "one" }))

      assert.deepStrictEqual((yield* rows).map(({ message, status }) => [JSON.parse(message).text, status]), [
        ["one", "Pending"]
      ])
    }))

  test("keeps messages of one key in the order in which their transactions commit, and lets other keys pass", (setting) =>
    Effect.gen(function*() {
      const { outbox, use } = setting
      const inbox = makeInbox()
      const latch = yield* Latch.make()
      const begun = yield* Deferred.make<void>()
      const pid = yield* Deferred.make<number>()
      const first = yield* Effect.forkChild(use(inTransaction(Effect.gen(function*() {
        yield* outbox.send({ key: "a", text: "1 begins" })
        yield* Deferred.succeed(begun, undefined)
        yield* latch.await
        yield* outbox.send({ key: "a", text: "1 ends" })
      }))))
      yield* Deferred.await(begun)
      const second = yield* Effect.forkChild(use(inTransaction(Effect.gen(function*() {
        yield* Deferred.succeed(pid, yield* backend)
        yield* outbox.send({ key: "a", text: "2" })
      }))))
      yield* until(use(waitsForLock(yield* Deferred.await(pid))), (waits) => waits.length > 0)

      yield* use(inTransaction(outbox.send({ key: "b", text: "passes" })))
      yield* startRelay(setting, inbox.take)
      yield* inbox.has(1)
      yield* latch.open
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      yield* inbox.has(4)

      assert.deepStrictEqual(inbox.lines, ["b: passes", "a: 1 begins", "a: 1 ends", "a: 2"])
    }))

  test("dies of a message that does not fit its schema, and of a key that can't be stored", ({ outbox, rows, use }) =>
    Effect.gen(function*() {
      const misfit = yield* Effect.exit(use(outbox.send({ key: "a" } as never)))
      const zero = yield* Effect.exit(use(outbox.send({ key: "a\0", text: "" })))
      const long = yield* Effect.exit(use(outbox.send({ key: "a".repeat(501), text: "" })))

      assert.match(defectOf(misfit), /A message of outbox "messages" does not fit its schema/)
      const wrongKey =
        /The key of a message of outbox "messages" has to be a string of at most 500 characters that can be stored/
      assert.match(defectOf(zero), wrongKey)
      assert.match(defectOf(long), wrongKey)
      assert.deepStrictEqual(yield* rows, [])
    }))

  test("sends any text", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const text = "zero \0, half \ud800, quotes ' \", umlaut ü, ☃ and 𝄞"

      const longest = makeMixedText()(500)

      yield* setting.send("ключ 🔑", text)
      yield* setting.send(longest, text)
      yield* startRelay(setting, inbox.take)
      yield* inbox.has(2)

      assert.sameMembers([...inbox.lines], [`ключ 🔑: ${text}`, `${longest}: ${text}`])
    }))

  test("stores messages as its codec says", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()

      yield* setting.send("a", "secret")
      const stored = yield* setting.rows
      yield* startRelay(setting, inbox.take)
      yield* inbox.has(1)

      assert.notInclude(stored[0]!.message, "secret")
      assert.deepStrictEqual(inbox.lines, ["a: secret"])
    }), {
    codec: {
      encode: (json) => Effect.succeed(btoa(JSON.stringify(json))),
      decode: (stored) => Effect.sync(() => JSON.parse(atob(stored as string)))
    }
  })

  test("says who makes its table, where there is none", ({ outbox, schema, use }) =>
    Effect.gen(function*() {
      yield* use(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(`DROP TABLE ${schema}.outbox`)))

      const sent = yield* Effect.exit(use(outbox.send({ key: "a", text: "" })))
      const listed = yield* Effect.exit(use(outbox.dead))

      for (const exit of [sent, listed]) {
        assert.match(defectOf(exit), /There is no table "outbox" in the schema .* An engine makes it/)
      }
    }))
})
