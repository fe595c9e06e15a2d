import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Layer, Redacted, Schema } from "effect"
import { SagaEngine } from "effect-saga"
import { PostgresStep } from "effect-saga/postgres"
import { SqlClient } from "effect/sql"
import { type Bank, Broke, Job, problemOf, test } from "./support/bank.ts"
import { until } from "./support/outbox.ts"
import { freshDatabase } from "./support/postgres/database.ts"
import { makeTables, openPool } from "./support/postgres/pool.ts"
import * as Proxy from "./support/postgres/proxy.ts"

/** A step that adds one, and counts how often it runs. */
const makeDeposit = ({ add }: Bank) => {
  const runs: Array<string> = []
  const deposit = PostgresStep.make("deposit", {
    success: Schema.Number,
    action: () => {
      runs.push("deposit")
      return add(1)
    },
    compensate: () => {
      runs.push("withdraw")
      return add(-1)
    }
  })
  return { runs: runs as ReadonlyArray<string>, deposit }
}

/** A pool whose connections go through a network of their own. */
const throughNetwork = Effect.fnUntraced(function*({ url }: Bank) {
  const network = yield* Proxy.open(url)
  return { network, pool: yield* openPool(network.url, { connectTimeout: "1 second" }) }
})

/** A role that may log in, and nothing else. */
const clerk = ({ query, schema }: Bank) =>
  Effect.acquireRelease(
    Effect.as(query(`CREATE ROLE ${schema}_clerk LOGIN PASSWORD 'secret'`), `${schema}_clerk`),
    (role) => Effect.andThen(query(`DROP OWNED BY ${role}`), query(`DROP ROLE ${role}`))
  )

/** What a role needs for steps. */
const grant = ({ query, schema }: Bank, role: string) =>
  query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`).pipe(
    Effect.andThen(query(`GRANT SELECT, INSERT ON ${schema}.transactions TO ${role}`)),
    Effect.andThen(query(`GRANT SELECT, UPDATE ON ${schema}.owner, ${schema}.accounts TO ${role}`))
  )

const statements = [
  "BEGIN",
  "pg_try_advisory_xact_lock",
  "SELECT value FROM",
  "UPDATE",
  "INSERT INTO",
  "COMMIT"
]

describe("A step that is a transaction runs once where", () => {
  test("its process dies between its COMMIT and the journal", (bank) =>
    Effect.gen(function*() {
      const { deposit, runs } = makeDeposit(bank)
      const definitions = Job.toLayer(() => deposit())
      const first = yield* bank.start(definitions)
      yield* first.loseEvents("StepSucceeded")
      yield* first.use(Job.start("1"))
      yield* until(bank.records, (records) => records.length === 1)
      yield* first.stop

      const second = yield* bank.start(definitions)
      const exit = yield* second.run("1")

      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.deepStrictEqual(runs, ["deposit"])
      assert.strictEqual(yield* bank.balance, 1)
    }))

  test("its process dies between the COMMIT of its compensation and the journal", (bank) =>
    Effect.gen(function*() {
      const { deposit, runs } = makeDeposit(bank)
      const definitions = Job.toLayer(() => Effect.andThen(deposit(), Effect.fail("undo it")))
      yield* bank.query(`UPDATE ${bank.schema}.accounts SET balance = 10`)
      const first = yield* bank.start(definitions)
      yield* first.loseEvents("CompensationSucceeded")
      yield* first.use(Job.start("1"))
      yield* until(bank.records, (records) => records.length === 2)
      yield* first.stop

      const second = yield* bank.start(definitions)
      const exit = yield* second.run("1")

      assert.match(problemOf(exit), /undo it/)
      assert.deepStrictEqual(runs, ["deposit", "withdraw"])
      assert.strictEqual(yield* bank.balance, 10)
      assert.deepStrictEqual((yield* bank.records).map(([key]) => key), ["deposit", "deposit\nundo"])
    }))

  for (const fault of ["cutBeforeRequest", "cutAfterRequest", "cutBeforeReply"] as const) {
    test(`its connection breaks at any of its statements: ${fault}`, (bank) =>
      Effect.gen(function*() {
        const { network, pool } = yield* throughNetwork(bank)
        const { deposit } = makeDeposit(bank)
        const engine = yield* bank.start(Job.toLayer(() => deposit()), { pool })
        const exits: Array<Exit.Exit<unknown, unknown>> = []

        for (const statement of statements) {
          const cut = yield* network[fault](statement)
          exits.push(yield* engine.run(statement))
          yield* cut.happened
        }

        assert.deepStrictEqual(exits, statements.map((_, index) => Exit.succeed(index + 1)))
        assert.strictEqual(yield* bank.balance, statements.length)
      }))
  }

  test("its connection breaks and the server has not noticed", (bank) =>
    Effect.gen(function*() {
      const { network, pool } = yield* throughNetwork(bank)
      const { deposit, runs } = makeDeposit(bank)
      const engine = yield* bank.start(Job.toLayer(() => deposit()), { pool })

      const exits: Array<Exit.Exit<unknown, unknown>> = []
      for (const statement of ["UPDATE", "INSERT INTO", "COMMIT"]) {
        yield* network.cutBeforeReply(statement, { unnoticed: true })
        exits.push(yield* engine.run(statement))
      }

      assert.deepStrictEqual(exits, [1, 2, 3].map((balance) => Exit.succeed(balance)))
      // Not again after the last one, which had committed.
      assert.strictEqual(runs.length, 5)
      assert.strictEqual(yield* bank.balance, 3)
    }))

  test("a COMMIT whose answer is lost is followed by a run that would fail", (bank) =>
    Effect.gen(function*() {
      const { network, pool } = yield* throughNetwork(bank)
      for (const isolation of ["read committed", "serializable"] as const) {
        let runs = 0
        const register = PostgresStep.make("register", {
          error: Broke,
          isolation,
          action: () =>
            Effect.flatMap(bank.add(1), () => ++runs === 1 ? Effect.void : Effect.fail(new Broke({ account: "a" })))
        })
        const engine = yield* bank.start(Job.toLayer(() => Effect.as(register(), null)), { pool })
        yield* network.cutBeforeReply("COMMIT")

        const exit = yield* engine.run(isolation)
        yield* engine.stop

        assert.deepStrictEqual(exit, Exit.succeed(null))
        assert.strictEqual(runs, 1)
      }
      assert.strictEqual(yield* bank.balance, 2)
    }))

  test("its action takes a broken connection for a failure of its own", (bank) =>
    Effect.gen(function*() {
      const { network, pool } = yield* throughNetwork(bank)
      const deposit = PostgresStep.make("deposit", {
        error: Broke,
        action: () => Effect.mapError(Effect.asVoid(bank.add(1)), () => new Broke({ account: "a" }))
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(deposit(), null)), { pool })
      yield* network.cutBeforeReply("UPDATE")

      const exit = yield* engine.run("1")

      assert.deepStrictEqual(exit, Exit.succeed(null))
      assert.strictEqual(yield* bank.balance, 1)
    }))

  test("the database is away for a while", (bank) =>
    Effect.gen(function*() {
      const { network, pool } = yield* throughNetwork(bank)
      const { deposit, runs } = makeDeposit(bank)
      const engine = yield* bank.start(Job.toLayer(() => deposit()), { pool })
      yield* network.cutBeforeReply("COMMIT", { refuse: true })
      const running = yield* Effect.forkChild(engine.run("1"))
      yield* until(bank.records, (records) => records.length === 1)
      yield* Effect.sleep("300 millis")

      yield* network.accept
      const exit = yield* Fiber.join(running)

      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.deepStrictEqual(runs, ["deposit"])
    }))

  test("its engine is closed while the action runs, and another one runs it again", (bank) =>
    Effect.gen(function*() {
      const latch = yield* Latch.make()
      const arrived = yield* Deferred.make<void>()
      let runs = 0
      const deposit = PostgresStep.make("deposit", {
        success: Schema.Number,
        action: () =>
          Effect.tap(bank.add(1), () =>
            ++runs === 1 ? Effect.andThen(Deferred.succeed(arrived, undefined), latch.await) : Effect.void)
      })
      const definitions = Job.toLayer(() =>
        deposit()
      )
      const first = yield* bank.start(definitions)
      yield* first.use(Job.start("1"))
      yield* Deferred.await(arrived)
      yield* first.stop

      const second = yield* bank.start(definitions)
      const exit = yield* second.run("1")
      yield* latch.open
      yield* Effect.sleep("100 millis")

      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(runs, 2)
      assert.strictEqual(yield* bank.balance, 1)
    }))
})

describe("A step that is a transaction waits", () => {
  test("for the end of an earlier attempt that its role may not end", (bank) =>
    Effect.gen(function*() {
      const role = yield* clerk(bank)
      yield* grant(bank, role)
      const latch = yield* Latch.make()
      const arrived = yield* Deferred.make<void>()
      let runs = 0
      const deposit = PostgresStep.make("deposit", {
        success: Schema.Number,
        action: () =>
          Effect.tap(bank.add(1), () =>
            ++runs === 1 ? Effect.andThen(Deferred.succeed(arrived, undefined), latch.await) : Effect.void)
      })
      const definitions = Job.toLayer(() =>
        deposit()
      )
      const first = yield* bank.start(definitions)
      yield* first.use(Job.start("1"))
      yield* Deferred.await(arrived)
      yield* first.stop

      const pool = yield* openPool(bank.url, { username: role, password: Redacted.make("secret") })
      const second = yield* bank.start(definitions, { pool })
      const running = yield* Effect.forkChild(second.run("1"))
      yield* Effect.sleep("200 millis")
      const runsBefore = runs
      yield* latch.open
      const exit = yield* Fiber.join(running)

      assert.strictEqual(runsBefore, 1)
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(runs, 2)
      assert.strictEqual(yield* bank.balance, 1)
    }))
})

describe("A step that is a transaction gives up", () => {
  test("where its action ends its connection each time", (bank) =>
    Effect.gen(function*() {
      let runs = 0
      const suicidal = PostgresStep.make("suicidal", {
        action: Effect.fnUntraced(function*() {
          runs++
          yield* bank.add(1)
          const sql = yield* SqlClient.SqlClient
          yield* sql`SELECT pg_terminate_backend(pg_backend_pid())`
        })
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(suicidal(), null)))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /Connection closed/)
      assert.strictEqual(runs, 6)
      assert.strictEqual(yield* bank.balance, 0)
    }))
})

describe("A step of an engine that was replaced", () => {
  const isTakenOver = ({ query, schema }: Bank) =>
    until(query<{ epoch: number }>(`SELECT epoch::integer AS epoch FROM ${schema}.owner`), ([row]) => row!.epoch > 1)

  /* An engine that is cut off from its store, and not from the accounts. It has begun a step, which waits in its action. */
  const cutOff = Effect.fnUntraced(function*(bank: Bank) {
    const network = yield* Proxy.open(bank.url)
    const latch = yield* Latch.make()
    const arrived = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
    let runs = 0
    const deposit = PostgresStep.make("deposit", {
      success: Schema.Number,
      action: () =>
        Effect.tap(bank.add(1), () =>
          ++runs === 1
            ? Effect.onExit(
              Effect.andThen(Deferred.succeed(arrived, undefined), latch.await),
              (exit) => Deferred.succeed(ended, exit)
            )
            : Effect.void)
    })
    const definitions = Job.toLayer(() => deposit())
    const engine = yield* bank.start(definitions, { url: network.url })
    yield* engine.use(Job.start("1"))
    yield* Deferred.await(arrived)
    yield* network.freeze
    return { definitions, engine, network, latch, runs: () => runs }
  })

  test("can't commit, and does not disturb the next one", (bank) =>
    Effect.gen(function*() {
      const { definitions, latch, network, runs } = yield* cutOff(bank)
      const second = yield* bank.start(Layer.empty, { engine: { standby: true } })
      // The lock is free when the transaction has ended.
      const transactions = bank.query(
        `SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%${bank.schema}%'`
      )

      yield* isTakenOver(bank)
      yield* latch.open
      yield* until(transactions, (rows) => rows.length === 0)
      const [balance, records] = [yield* bank.balance, yield* bank.records]
      yield* second.stop
      const third = yield* bank.start(definitions)
      const exit = yield* third.run("1")
      yield* network.thaw

      assert.deepStrictEqual([balance, records], [0, []])
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(runs(), 2)
      assert.strictEqual(yield* bank.balance, 1)
    }))

  test("is ended by the same step of the next one, whatever it has locked", (bank) =>
    Effect.gen(function*() {
      const { definitions, latch, network, runs } = yield* cutOff(bank)

      const second = yield* bank.start(definitions, { engine: { standby: true } })
      const exit = yield* second.run("1")
      yield* latch.open
      yield* network.thaw
      yield* Effect.sleep("100 millis")

      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(runs(), 2)
      assert.strictEqual(yield* bank.balance, 1)
    }))

  test("does not keep the next one waiting when it is paused before its COMMIT", (bank) =>
    Effect.gen(function*() {
      const { network, pool } = yield* throughNetwork(bank)
      const storeNetwork = yield* Proxy.open(bank.url)
      const { deposit } = makeDeposit(bank)
      const definitions = Job.toLayer(() => deposit())
      const first = yield* bank.start(definitions, { url: storeNetwork.url, pool })
      const held = yield* network.holdReply("INSERT INTO")
      yield* first.use(Job.start("1"))
      yield* held.happened
      yield* storeNetwork.freeze

      const second = yield* bank.start(definitions, { engine: { standby: true } })
      const exit = yield* second.run("1")
      yield* held.release
      yield* storeNetwork.thaw
      yield* Effect.sleep("100 millis")

      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(yield* bank.balance, 1)
    }))
})

describe("A step that is a transaction waits for somebody to put right", () => {
  for (const what of ["nothing in it", "a store of its own in it"]) {
    test(`that its client uses another database than the store, with ${what}`, (bank) =>
      Effect.gen(function*() {
        const { deposit, runs } = makeDeposit(bank)
        const definitions = Job.toLayer(() => deposit())
        const url = yield* freshDatabase
        if (what !== "nothing in it") yield* makeTables(url, bank.schema)
        const first = yield* bank.start(definitions, { pool: yield* openPool(url) })
        yield* first.use(Job.start("1"))
        const get = first.use(Effect.flatMap(SagaEngine.SagaEngine, (engine) => engine.get("Job/1")))

        yield* until(get, ({ status }) => status === "Parked")
        const { reason } = yield* get
        yield* first.stop
        const second = yield* bank.start(definitions)
        const exit = yield* second.run("1")

        assert.match(
          reason!,
          /^Step "deposit" can't look up whether it has run already: the journal is in the store [\w-]+, schema "effect_saga_\w+", and its SqlClient uses the database "effect_saga_\w+" at 127\.0\.0\.1:\d+, where that store is not\. Both have to be in one database\./
        )
        assert.deepStrictEqual(exit, Exit.succeed(1))
        assert.deepStrictEqual(runs, ["deposit"])
      }))
  }

  test("that the role of its client has no right to the records", (bank) =>
    Effect.gen(function*() {
      const role = yield* clerk(bank)
      const { deposit, runs } = makeDeposit(bank)
      const definitions = Job.toLayer(() => deposit())
      const pool = yield* openPool(bank.url, { username: role, password: Redacted.make("secret") })
      const first = yield* bank.start(definitions, { pool })
      yield* first.use(Job.start("1"))
      const get = first.use(Effect.flatMap(SagaEngine.SagaEngine, (engine) => engine.get("Job/1")))

      yield* until(get, ({ status }) => status === "Parked")
      const { reason } = yield* get
      yield* first.stop
      yield* grant(bank, role)
      const second = yield* bank.start(definitions, { pool })
      const exit = yield* second.run("1")

      assert.match(reason!, /Step "deposit" can't look up .* permission denied for schema .* \(42501\)/)
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.deepStrictEqual(runs, ["deposit"])
    }))
})
