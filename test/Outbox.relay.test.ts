import { assert, describe } from "@effect/vitest"
import { Cause, Deferred, Effect, Latch, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { makeInbox, type Message, startRelay, test, until } from "./support/outbox.ts"
import * as Proxy from "./support/postgres/proxy.ts"

/** The texts that arrived of one key, in order. */
const of = (lines: ReadonlyArray<string>, key: string): ReadonlyArray<string> =>
  lines.filter((line) => line.startsWith(`${key}: `)).map((line) => line.slice(key.length + 2))

const numbered = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => String(index))

describe("The relay of an outbox", () => {
  test("delivers what concurrent transactions send, in order of each key, and deletes it", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const senders = Array.from(
        { length: 8 },
        (_, sender) => Effect.forEach(numbered(20), (text) => setting.send(`key ${sender % 4}`, `${sender}/${text}`))
      )
      yield* startRelay(setting, inbox.take)

      yield* Effect.all(senders, { concurrency: "unbounded" })
      yield* inbox.has(160)
      yield* until(setting.rows, (rows) => rows.length === 0)

      assert.strictEqual(inbox.lines.length, 160)
      for (let sender = 0; sender < 8; sender++) {
        const own = of(inbox.lines, `key ${sender % 4}`).filter((text) => text.startsWith(`${sender}/`))
        assert.deepStrictEqual(own, numbered(20).map((text) => `${sender}/${text}`))
      }
      assert.strictEqual(new Set(inbox.deliveries.map(({ id }) => id)).size, 160)
    }))

  test("hears of a message when its transaction commits", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      yield* startRelay(setting, inbox.take, { pollInterval: "1 hour" })
      yield* setting.send("a", "first")
      yield* inbox.has(1)
      yield* Effect.sleep("100 millis")

      yield* setting.use(Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql.withTransaction(setting.outbox.send({ key: "a", text: "second" }))))
      yield* inbox.has(2)

      assert.deepStrictEqual(inbox.lines, ["a: first", "a: second"])
    }))

  test("finds by looking what it has not heard of", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      yield* startRelay(setting, inbox.take, { pollInterval: "20 millis" })
      yield* setting.send("a", "first")
      yield* inbox.has(1)

      yield* setting.use(Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql.unsafe(
          `INSERT INTO ${setting.schema}.outbox (outbox, key, message, status, attempts, sent_at)
          VALUES ('messages', 'a', '{"key":"a","text":"silent"}', 'Pending', 0, 0)`
        )))
      yield* inbox.has(2)

      assert.deepStrictEqual(inbox.lines, ["a: first", "a: silent"])
    }))

  test("has as many keys under way as its concurrency allows, one message of each, and keeps no key waiting", (setting) =>
    Effect.gen(function*() {
      let now = 0
      let most = 0
      const order: Array<string> = []
      const handler = ({ key, text }: Message) =>
        Effect.gen(function*() {
          most = Math.max(most, ++now)
          yield* Effect.sleep("2 millis")
          order.push(`${key}: ${text}`)
          now--
        })
      yield* setting.send("a", ...numbered(60))
      for (const key of ["b", "c", "d", "e"]) yield* setting.send(key, "0", "1")

      yield* startRelay(setting, handler, { concurrency: 2 })
      yield* until(setting.rows, (rows) => rows.length === 0)

      assert.strictEqual(most, 2)
      assert.deepStrictEqual(of(order, "a"), numbered(60))
      for (const key of ["b", "c", "d", "e"]) assert.deepStrictEqual(of(order, key), ["0", "1"])
      assert.isBelow(order.indexOf("e: 1"), order.indexOf("a: 59"))
    }))

  test("repeats what failed, with the same id, and lets only its key wait", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const attempts: Array<string> = []
      const handler = (message: Message, delivery: { readonly id: string; readonly attempt: number }) =>
        Effect.suspend((): Effect.Effect<void, string> => {
          if (message.text === "bad") attempts.push(`${delivery.attempt}`)
          return message.text === "bad" && delivery.attempt < 4
            ? delivery.attempt === 2 ? Effect.die("a defect") : Effect.fail("not yet")
            : inbox.take(message, delivery)
        })
      yield* setting.send("a", "bad", "after")
      yield* setting.send("b", "other")

      yield* startRelay(setting, handler, { retry: Schedule.spaced("30 millis"), concurrency: 1 })
      yield* inbox.has(3)

      assert.deepStrictEqual(attempts, ["1", "2", "3", "4"])
      assert.deepStrictEqual(inbox.lines, ["b: other", "a: bad", "a: after"])
    }))

  test("keeps a dead message, and those of its key after it, until an operator retries it", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      let isBroken = true
      const handler = (message: Message, delivery: { readonly id: string; readonly attempt: number }) =>
        Effect.suspend((): Effect.Effect<void, Error> =>
          message.text === "bad" && isBroken ? Effect.fail(new Error("no room")) : inbox.take(message, delivery)
        )
      yield* setting.send("a", "before", "bad", "after")
      yield* setting.send("b", "other")
      yield* startRelay(setting, handler, {
        retry: Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 2 })),
        pollInterval: "1 hour"
      })
      yield* until(setting.use(setting.outbox.dead), (dead) => dead.length === 1)
      yield* inbox.has(2)

      const [dead] = yield* setting.use(setting.outbox.dead)
      yield* Effect.sync(() => {
        isBroken = false
      })
      const waiting = yield* setting.rows
      const unknown = yield* setting.use(setting.outbox.retry("no id"))
      const retried = yield* setting.use(setting.outbox.retry(dead!.id))
      yield* inbox.has(4)

      assert.deepInclude(dead, { key: "a", attempts: 3, reason: "Error: no room" })
      assert.deepStrictEqual(dead!.message._tag === "Some" && dead!.message.value, { key: "a", text: "bad" })
      assert.deepStrictEqual(waiting.map(({ status }) => status), ["Dead", "Pending"])
      assert.deepStrictEqual([unknown, retried], [false, true])
      assert.deepStrictEqual(of(inbox.lines, "a"), ["before", "bad", "after"])
    }))

  test("goes on behind a dead message that an operator skips", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const handler = (message: Message, delivery: { readonly id: string; readonly attempt: number }) =>
        message.text === "bad" ? Effect.die("never") : inbox.take(message, delivery)
      yield* setting.send("a", "bad", "after")
      yield* startRelay(setting, handler, { retry: Schedule.recurs(0), pollInterval: "1 hour" })
      yield* until(setting.use(setting.outbox.dead), (dead) => dead.length === 1)

      const [dead] = yield* setting.use(setting.outbox.dead)
      const skipped = yield* setting.use(setting.outbox.skip(dead!.id))
      const again = yield* setting.use(setting.outbox.skip(dead!.id))
      yield* inbox.has(1)

      assert.deepStrictEqual([skipped, again], [true, false])
      assert.deepStrictEqual(inbox.lines, ["a: after"])
      assert.deepStrictEqual(yield* setting.use(setting.outbox.dead), [])
    }))

  test("goes on behind a dead message by itself where it is told to", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const handler = (message: Message, delivery: { readonly id: string; readonly attempt: number }) =>
        message.text === "bad" ? Effect.fail("never") : inbox.take(message, delivery)
      yield* setting.send("a", "before", "bad", "after")

      yield* startRelay(setting, handler, { retry: Schedule.recurs(1), onDead: "continue" })
      yield* inbox.has(2)
      yield* until(setting.rows, (rows) => rows.length === 1)

      assert.deepStrictEqual(inbox.lines, ["a: before", "a: after"])
      assert.deepStrictEqual((yield* setting.rows).map(({ attempts, status }) => [status, attempts]), [["Dead", 2]])
    }))

  test("gives a message up at once where the schedule says so of its cause", (setting) =>
    Effect.gen(function*() {
      const handler = ({ text }: Message) => text === "bug" ? Effect.die("a bug") : Effect.fail("busy")
      const unlessDefect = Schedule.spaced("5 millis").pipe(
        Schedule.upTo({ times: 2 }),
        Schedule.setInputType<Cause.Cause<string>>(),
        Schedule.while(({ input }) => !Cause.hasDies(input))
      )
      yield* setting.send("a", "bug")
      yield* setting.send("b", "busy")

      yield* startRelay(setting, handler, { retry: unlessDefect })
      yield* until(setting.use(setting.outbox.dead), (dead) => dead.length === 2)

      assert.deepStrictEqual((yield* setting.rows).map(({ attempts }) => attempts), [1, 3])
    }))

  test("gives up what can't be read, and says why", (setting) =>
    Effect.gen(function*() {
      yield* setting.send("a", "fine")
      yield* setting.use(Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql.unsafe(`UPDATE ${setting.schema}.outbox SET message = '{"key":1}'`)))

      yield* startRelay(setting, () =>
        Effect.void, { retry: Schedule.recurs(0) })
      yield* until(setting.use(setting.outbox.dead), (dead) => dead.length === 1)

      const [dead] = yield* setting.use(setting.outbox.dead)
      assert.strictEqual(dead!.message._tag, "None")
      assert.match(dead!.reason, /Expected string/)
    }))

  test("counts attempts on where another one had left off", (setting) =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      const failing = (_: Message, { attempt }: { readonly attempt: number }) =>
        Effect.suspend(() => {
          attempts.push(attempt)
          return Effect.fail("not yet")
        })
      yield* setting.send("a", "bad")
      const first = yield* startRelay(setting, failing, { retry: Schedule.spaced("1 hour") })
      yield* until(setting.rows, ([row]) => row!.attempts === 1)
      yield* first.stop
      yield* setting.use(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(`UPDATE ${setting.schema}.outbox SET due_at = 0`))
      )

      yield* startRelay(setting, failing, { retry: Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 3 })) })
      yield* until(setting.use(setting.outbox.dead), (dead) => dead.length === 1)

      assert.deepStrictEqual(attempts, [1, 2, 3, 4])
    }))

  test("keeps what was delivered for as long as it is told to", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      yield* setting.send("a", "one", "two")
      const first = yield* startRelay(setting, inbox.take, { keepDelivered: "1 hour" })
      yield* until(setting.rows, (rows) => rows.every(({ status }) => status === "Delivered"))
      const kept = yield* setting.rows
      yield* first.stop

      yield* startRelay(setting, inbox.take, { keepDelivered: "1 millis" })
      yield* until(setting.rows, (rows) => rows.length === 0)

      assert.strictEqual(kept.length, 2)
      assert.deepStrictEqual(inbox.lines, ["a: one", "a: two"])
    }))

  test("interrupts what it is delivering when it is stopped, and the next one delivers it", (setting) =>
    Effect.gen(function*() {
      const inbox = makeInbox()
      const arrived = yield* Deferred.make<void>()
      let isInterrupted = false
      const hanging = () =>
        Deferred.succeed(arrived, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              isInterrupted = true
            })
          )
        )
      yield* setting.send("a", "one")
      const first = yield* startRelay(setting, hanging)
      yield* Deferred.await(arrived)

      yield* first.stop
      yield* startRelay(setting, inbox.take)
      yield* inbox.has(1)

      assert.isTrue(isInterrupted)
      assert.deepStrictEqual(inbox.deliveries.map(({ attempt }) => attempt), [1])
    }))
})

describe("Two relays of an outbox", () => {
  test("deliver each message once, and the second one goes on at once when the first one ends", (setting) =>
    Effect.gen(function*() {
      const one = makeInbox()
      const two = makeInbox()
      const first = yield* startRelay(setting, one.take)
      yield* setting.send("a", "0")
      yield* one.has(1)
      yield* startRelay(setting, two.take)

      yield* setting.send("a", ...numbered(20).slice(1))
      yield* setting.send("b", ...numbered(20))
      yield* one.has(40)
      yield* until(setting.rows, (rows) => rows.length === 0)
      yield* first.stop
      yield* setting.send("a", "20")
      yield* two.has(1)

      assert.deepStrictEqual(of(one.lines, "a"), numbered(20))
      assert.deepStrictEqual(of(one.lines, "b"), numbered(20))
      assert.deepStrictEqual(two.lines, ["a: 20"])
    }))

  test("deliver a message twice that was delivered when the first one died, and go on behind it", (setting) =>
    Effect.gen(function*() {
      const network = yield* Proxy.open(setting.url)
      const inbox = makeInbox()
      const cut = yield* network.cutBeforeRequest("DELETE FROM")
      const first = yield* startRelay({ ...setting, url: network.url }, inbox.take)
      yield* setting.send("a", "one", "two")
      yield* cut.happened
      yield* network.refuse
      yield* network.cut()

      yield* startRelay(setting, inbox.take)
      yield* inbox.has(3)
      yield* until(setting.rows, (rows) => rows.length === 0)
      yield* first.stop

      assert.deepStrictEqual(inbox.lines, ["a: one", "a: one", "a: two"])
      assert.strictEqual(inbox.deliveries[0]!.id, inbox.deliveries[1]!.id)
    }))

  test("interrupt what the first one is delivering when its connection breaks", (setting) =>
    Effect.gen(function*() {
      const network = yield* Proxy.open(setting.url)
      const inbox = makeInbox()
      const hangs = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const hanging = () =>
        Effect.andThen(Deferred.succeed(hangs, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      yield* setting.send("a", "one", "two")
      yield* startRelay({ ...setting, url: network.url }, hanging, { pollInterval: "1 hour" })
      yield* Deferred.await(hangs)
      // From now on it asks for nothing by itself.
      yield* until(network.statements, (statements) => statements.some((text) => text.includes("min(due_at)")))
      yield* Effect.sleep("50 millis")

      yield* network.refuse
      yield* network.cut()
      yield* Deferred.await(interrupted)
      yield* startRelay(setting, inbox.take)
      yield* inbox.has(2)

      assert.deepStrictEqual(inbox.lines, ["a: one", "a: two"])
    }))

  test("go on when the first one hangs, which can write nothing any more", (setting) =>
    Effect.gen(function*() {
      const network = yield* Proxy.open(setting.url)
      const inbox = makeInbox()
      const latch = yield* Latch.make()
      const arrived = yield* Deferred.make<void>()
      yield* setting.send("a", "one", "two")
      yield* startRelay({ ...setting, url: network.url }, ({ text }) =>
        text === "one" ? Effect.andThen(Deferred.succeed(arrived, undefined), latch.await) : Effect.never)
      yield* Deferred.await(arrived)
      yield* network.freeze

      yield* startRelay(setting, inbox.take)
      yield* inbox.has(2)
      yield* setting.send("a", "three")
      yield* latch.open
      yield* network.thaw
      yield* inbox.has(3)

      assert.deepStrictEqual(inbox.lines, ["a: one", "a: two", "a: three"])
    }))
})
