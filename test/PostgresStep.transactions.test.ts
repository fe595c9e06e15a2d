import { assert, describe } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Schedule, Schema } from "effect"
import { Saga, SagaEngine, SagaStore, Step } from "effect-saga"
import { PostgresStep } from "effect-saga/postgres"
import { SqlClient, SqlError } from "effect/sql"
import { Broke, Job, problemOf, test } from "./support/bank.ts"
import { makeMixedText } from "./support/mixedText.ts"

describe("A step that is a transaction", () => {
  test("commits what its action writes with a record of its value", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        input: Schema.Number,
        success: Schema.Struct({ balance: Schema.Number }),
        action: (amount) => Effect.map(bank.add(amount), (balance) => ({ balance }))
      })
      const engine = yield* bank.start(Job.toLayer(() => deposit(5)))

      const exit = yield* engine.run("1")

      assert.deepStrictEqual(exit, Exit.succeed({ balance: 5 }))
      assert.strictEqual(yield* bank.balance, 5)
      assert.deepStrictEqual(yield* bank.records, [["deposit", `{"balance":5}`]])
    }))

  test("changes nothing where the action fails, dies or is interrupted, and runs again where it is retried", (bank) =>
    Effect.gen(function*() {
      const endings: Record<string, Effect.Effect<never, Broke>> = {
        fails: Effect.fail(new Broke({ account: "a" })),
        dies: Effect.die(new Error("a bug")),
        interrupts: Effect.interrupt
      }
      let attempts = 0
      const ending = (how: string) =>
        PostgresStep.make(how, { error: Broke, action: () => Effect.andThen(bank.add(1), endings[how]!) })
      const again = PostgresStep.make("again", {
        error: Broke,
        action: () =>
          Effect.andThen(bank.add(10), Effect.suspend(() => ++attempts < 3 ? endings["fails"]! : Effect.void)),
        retry: Schedule.spaced("5 millis")
      })
      const engine = yield* bank.start(
        Job.toLayer((how) => Effect.as(how === "again" ? again() : ending(how)(), null))
      )

      const problems = yield* Effect.forEach(Object.keys(endings), (how) => Effect.map(engine.run(how), problemOf))
      const exit = yield* engine.run("again")

      assert.match(problems.join("\n"), /Broke.*\n.*a bug.*\n/)
      assert.deepStrictEqual(exit, Exit.succeed(null))
      assert.strictEqual(yield* bank.balance, 10)
      assert.deepStrictEqual(yield* bank.records, [["again", "null"]])
    }))

  test("rolls back what took too long, and says so", (bank) =>
    Effect.gen(function*() {
      const slow = (name: string, self: Effect.Effect<unknown, SqlError.SqlError, SqlClient.SqlClient>) =>
        PostgresStep.make(name, {
          timeout: "30 millis",
          action: () => Effect.asVoid(Effect.andThen(bank.add(1), self))
        })()
      const engine = yield* bank.start(Job.toLayer((where) =>
        Effect.as(
          where === "here"
            ? slow("here", Effect.never)
            : slow("there", SqlClient.SqlClient.use((sql) => sql`SELECT pg_sleep(20)`)),
          null
        )
      ))

      const exits = [yield* engine.run("here"), yield* engine.run("there")]

      assert.match(problemOf(exits[0]!), /Step "here" did not end within 30ms, and was rolled back/)
      assert.match(problemOf(exits[1]!), /Step "there" did not end within 30ms, and was rolled back/)
      assert.strictEqual(yield* bank.balance, 0)
      assert.deepStrictEqual(yield* bank.records, [])
    }))

  test("rolls back a value that does not fit its schema", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        success: Schema.String,
        action: () => bank.add(1) as Effect.Effect<never, SqlError.SqlError, SqlClient.SqlClient>
      })
      const engine = yield* bank.start(Job.toLayer(() => deposit()))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /Step "deposit" was rolled back, as its value does not fit its schema/)
      assert.strictEqual(yield* bank.balance, 0)
    }))

  test("makes savepoints of the transactions in its action", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        action: Effect.fnUntraced(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql.withTransaction(bank.add(1))
          yield* Effect.exit(sql.withTransaction(Effect.andThen(bank.add(10), Effect.fail("back"))))
          yield* Effect.exit(sql.withTransaction(sql`SELECT nonsense`))
          yield* bank.add(100)
        })
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(deposit(), null)))

      yield* engine.run("1")

      assert.strictEqual(yield* bank.balance, 101)
    }))

  test("says what to do where its action goes on after a failure of SQL", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        action: Effect.fnUntraced(function*() {
          yield* bank.add(1)
          yield* Effect.exit(Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT nonsense`))
        })
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(deposit(), null)))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /a statement in it had failed and the action went on/)
      assert.strictEqual(yield* bank.balance, 0)
    }))

  test("dies of failures of SQL that it does not declare, and fails with those that it does", (bank) =>
    Effect.gen(function*() {
      const insert = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => Effect.asVoid(sql.unsafe(`INSERT INTO ${bank.schema}.accounts VALUES ('a', 1)`))
      )
      const undeclared = PostgresStep.make("undeclared", { action: () => insert })
      const declared = PostgresStep.make("declared", {
        error: SqlError.SqlError,
        action: () => insert
      })
      const engine = yield* bank.start(
        Job.toLayer((id) =>
          Effect.as(
            Effect.catchTag(id === "declared" ? declared() : undeclared(), "SqlError", ({ reason }) =>
              Effect.succeed(reason._tag)),
            id
          )
        )
      )

      const died = yield* engine.run("undeclared")
      const failed = yield* engine.run("declared")

      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause), problemOf(died))
      assert.deepStrictEqual(failed, Exit.succeed("declared"))
    }))

  test("refuses to COMMIT what a deferred constraint refuses", (bank) =>
    Effect.gen(function*() {
      yield* bank.query(
        `CREATE TABLE ${bank.schema}.owners (account text REFERENCES ${bank.schema}.accounts DEFERRABLE INITIALLY DEFERRED)`
      )
      const orphan = PostgresStep.make("orphan", {
        error: SqlError.SqlError,
        action: () =>
          Effect.flatMap(
            SqlClient.SqlClient,
            (sql) => Effect.asVoid(sql.unsafe(`INSERT INTO ${bank.schema}.owners VALUES ('nobody')`))
          )
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(orphan(), null)))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /SqlError/)
      assert.deepStrictEqual(yield* bank.records, [])
    }))

  test("runs again after a deadlock and a serialization failure, which nobody hears of", (bank) =>
    Effect.gen(function*() {
      const swap = (first: string, second: string) =>
        PostgresStep.make(`${first}${second}`, {
          action: Effect.fnUntraced(function*() {
            const sql = yield* SqlClient.SqlClient
            for (const account of [first, second]) {
              yield* sql.unsafe(`UPDATE ${bank.schema}.accounts SET balance = balance + 1 WHERE id = '${account}'`)
              yield* Effect.sleep("50 millis")
            }
          })
        })
      const count = PostgresStep.make("count", {
        isolation: "serializable",
        success: Schema.Number,
        action: Effect.fnUntraced(function*() {
          const sql = yield* SqlClient.SqlClient
          const rows = yield* sql.unsafe(`SELECT 1 FROM ${bank.schema}.accounts`)
          yield* Effect.sleep("50 millis")
          yield* sql.unsafe(`INSERT INTO ${bank.schema}.accounts VALUES (gen_random_uuid(), $1)`, [rows.length])
          return rows.length
        })
      })
      const engine = yield* bank.start(Job.toLayer((id) =>
        id === "deadlock"
          ? Effect.as(Saga.all([swap("a", "b")(), swap("b", "a")()], { concurrency: "unbounded" }), null)
          : Effect.as(Saga.all([count(), count(), count()], { concurrency: "unbounded" }), null)
      ))

      const exits = [yield* engine.run("deadlock"), yield* engine.run("serializable")]

      assert.deepStrictEqual(exits.map(problemOf), ["success: null", "success: null"])
      assert.strictEqual(yield* bank.balance, 2)
      const counts = yield* bank.query<{ balance: number }>(
        `SELECT balance FROM ${bank.schema}.accounts WHERE length(id) > 1 ORDER BY balance`
      )
      assert.deepStrictEqual(counts.map(({ balance }) => balance), [2, 3, 4])
    }))

  test("gives up where the database never gives it a chance", (bank) =>
    Effect.gen(function*() {
      let attempts = 0
      const unlucky = PostgresStep.make("unlucky", {
        action: Effect.fnUntraced(function*() {
          attempts++
          const sql = yield* SqlClient.SqlClient
          yield* sql`DO $$ BEGIN RAISE EXCEPTION 'no luck' USING ERRCODE = '40001'; END $$`
        })
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(unlucky(), null)))

      const exit = yield* engine.run("1")

      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(attempts, 11)
    }))

  test("runs as isolated as it says, and gives a heartbeat of the engine no chance to disturb it", (bank) =>
    Effect.gen(function*() {
      const levels: Array<unknown> = []
      const level = (isolation: PostgresStep.Isolation | undefined) =>
        PostgresStep.make(`${isolation}`, {
          isolation,
          action: Effect.fnUntraced(function*() {
            const sql = yield* SqlClient.SqlClient
            levels.push((yield* sql`SHOW transaction_isolation`)[0])
            // Longer than between two heartbeats.
            if (isolation === "serializable") yield* Effect.sleep("1200 millis")
          })
        })()
      const engine = yield* bank.start(Job.toLayer(() =>
        Effect.as(
          Effect.forEach([undefined, "read committed", "repeatable read", "serializable"] as const, level),
          null
        )
      ))

      yield* engine.run("1")

      assert.deepStrictEqual(
        levels,
        ["read committed", "read committed", "repeatable read", "serializable"].map((level) => ({
          transaction_isolation: level
        }))
      )
    }))

  test("believes a failure on any level", (bank) =>
    Effect.gen(function*() {
      const runs: Array<string> = []
      const refuse = (isolation: PostgresStep.Isolation) =>
        PostgresStep.make(isolation, {
          isolation,
          error: Broke,
          action: () => {
            runs.push(isolation)
            return Effect.andThen(bank.add(1), Effect.fail(new Broke({ account: isolation })))
          }
        })
      const engine = yield* bank.start(
        Job.toLayer((id) => Effect.as(refuse(id as PostgresStep.Isolation)(), null))
      )

      const problems = yield* Effect.forEach(
        ["read committed", "repeatable read", "serializable"],
        (level) => Effect.map(engine.run(level), problemOf)
      )

      assert.match(problems.join(), /^(Broke: ,?){3}$/)
      assert.deepStrictEqual(runs, ["read committed", "repeatable read", "serializable"])
      assert.strictEqual(yield* bank.balance, 0)
    }))

  test("is undone in a transaction, which is repeated like any compensation and rolled back where it fails", (bank) =>
    Effect.gen(function*() {
      const given: Array<string> = []
      let attempts = 0
      const deposit = PostgresStep.make("deposit", {
        success: Schema.Number,
        compensationError: Broke,
        action: () => bank.add(1),
        compensate: (value, { idempotencyKey }) => {
          given.push(`${value} ${idempotencyKey}`)
          return Effect.andThen(
            bank.add(-1),
            Effect.suspend((): Effect.Effect<void, Broke> =>
              ++attempts < 3 ? Effect.fail(new Broke({ account: "a" })) : Effect.void
            )
          )
        },
        compensationRetry: Schedule.spaced("5 millis")
      })
      const refused = PostgresStep.make("refused", {
        error: Broke,
        action: () => Effect.andThen(bank.add(10), Effect.fail(new Broke({ account: "a" }))),
        compensateExit: (exit) => {
          given.push(problemOf(exit))
          return bank.add(100)
        }
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(Effect.andThen(deposit(), refused()), null)))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /^Broke/)
      assert.match(given[0]!, /^Broke/)
      assert.deepStrictEqual(given.slice(1), ["1 Job/1/deposit", "1 Job/1/deposit", "1 Job/1/deposit"])
      assert.strictEqual(yield* bank.balance, 100)
      assert.deepStrictEqual(yield* bank.records, [["deposit", "1"], ["deposit\nundo", "null"], [
        "refused\nundo",
        "null"
      ]])
    }))

  test("may have any name", (bank) =>
    Effect.gen(function*() {
      const names = ["zero \0", "half \ud800", "two\nlines", "\"\\u0000\"", makeMixedText()(5000)]
      const engine = yield* bank.start(Job.toLayer(() =>
        Effect.as(
          Effect.forEach(names, (name) =>
            PostgresStep.make(name, {
              action: () => Effect.asVoid(bank.add(1)),
              compensate: () => bank.add(100)
            })()).pipe(
              Effect.andThen(Effect.fail("undo"))
            ),
          null
        )
      ))

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /undo/)
      assert.strictEqual(yield* bank.balance, 505)
      assert.strictEqual(new Set((yield* bank.records).map(([key]) => key)).size, 10)
    }))

  test("stores its value as the engine stores values", (bank) =>
    Effect.gen(function*() {
      const codec: SagaEngine.Options["codec"] = {
        encode: (json) => Effect.succeed(btoa(JSON.stringify(json))),
        decode: (stored) => Effect.sync(() => JSON.parse(atob(stored as string)))
      }
      const deposit = PostgresStep.make("deposit", {
        success: Schema.String,
        action: () => Effect.as(bank.add(1), "secret")
      })
      const definitions = Job.toLayer(() => deposit())
      const first = yield* bank.start(definitions, { engine: { codec } })
      yield* first.loseEvents("StepSucceeded")
      yield* first.use(Job.start("1"))
      yield* Effect.repeat(bank.records, { until: (records) => records.length > 0, schedule: Schedule.spaced(10) })
      yield* first.stop

      const second = yield* bank.start(definitions, { engine: { codec } })
      const exit = yield* second.run("1")

      assert.notInclude(JSON.stringify(yield* bank.records), "secret")
      assert.deepStrictEqual(exit, Exit.succeed("secret"))
      assert.strictEqual(yield* bank.balance, 1)
    }))

  test("has its record deleted with its execution", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", { action: () => Effect.asVoid(bank.add(1)) })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(deposit(), null)))
      yield* engine.run("1")
      const before = yield* bank.records

      const prune = engine.use(SagaEngine.SagaEngine.use((engine) => engine.prune({ olderThan: "1 millis" })))
      yield* Effect.repeat(prune, { until: (count) => count > 0 })

      assert.strictEqual(before.length, 1)
      assert.deepStrictEqual(yield* bank.records, [])
    }))

  test("runs in a transaction in memory, and records nothing", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        input: Schema.Number,
        success: Schema.Number,
        error: Broke,
        action: (amount) =>
          Effect.tap(bank.add(amount), () => amount > 100 ? Effect.fail(new Broke({ account: "a" })) : Effect.void),
        compensate: (_, { input }) => bank.add(-input)
      })
      const inMemory = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.exit(Effect.provideContext(Saga.transact(self) as Effect.Effect<A, E, never>, bank.pool))

      const succeeded = yield* inMemory(deposit(1))
      const compensated = yield* inMemory(Effect.andThen(deposit(10), deposit(1000)))

      assert.deepStrictEqual(succeeded, Exit.succeed(1))
      assert.match(problemOf(compensated), /Broke/)
      assert.strictEqual(yield* bank.balance, 1)
      assert.deepStrictEqual(yield* bank.records, [])
    }))

  test("records nothing in a saga in memory, be it in an action of a durable one", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", {
        action: () => Effect.asVoid(bank.add(1)),
        compensate: () => bank.add(-1)
      })
      const outer = Step.make("outer", {
        error: Schema.String,
        action: () => Saga.transact(Effect.andThen(deposit(), Effect.fail("undone")))
      })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(Effect.ignore(outer()), null)))

      yield* engine.run("1")

      assert.strictEqual(yield* bank.balance, 0)
      assert.deepStrictEqual(yield* bank.records, [])
    }))
})

describe("A step that is a transaction refuses to start", () => {
  test("on an engine whose store is not in PostgreSQL", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", { action: () => Effect.asVoid(bank.add(1)) })
      const engine = yield* bank.start(Job.toLayer(() => Effect.as(deposit(), null)), { store: SagaStore.layerMemory })

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /Step "deposit" was not started: its engine does not run on a PostgreSQL store/)
      assert.strictEqual(yield* bank.balance, 0)
    }))

  test("with a client of another kind of database", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", { action: () => Effect.asVoid(bank.add(1)) })
      const sql = Context.get(bank.pool, SqlClient.SqlClient)
      const other = Object.assign(Object.create(sql), {
        onDialectOrElse: (options: { readonly orElse: () => unknown }) => options.orElse()
      })
      const engine = yield* bank.start(
        Job.toLayer(() => Effect.provideService(Effect.as(deposit(), null), SqlClient.SqlClient, other))
      )

      const exit = yield* engine.run("1")

      assert.match(problemOf(exit), /Step "deposit" was not started: its SqlClient is not one of PostgreSQL/)
    }))

  test("in a transaction that its saga has opened", (bank) =>
    Effect.gen(function*() {
      const deposit = PostgresStep.make("deposit", { action: () => Effect.asVoid(bank.add(1)) })
      const engine = yield* bank.start(Job.toLayer(() =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.as(Effect.orDie(sql.withTransaction(deposit())), null))
      ))

      const exit = yield* engine.run("1")

      assert.match(
        problemOf(exit),
        /Step "deposit" was not started: it is called in a transaction that its saga has opened/
      )
      assert.strictEqual(yield* bank.balance, 0)
    }))
})
