/*
 * Commits of which an engine does not learn what became of them, for longer than it tries: the server has committed, and the
 * connection is lost before its reply. What was asked for is neither lost nor done twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { DurableSaga, Saga, SagaEngine, Step } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import type { Definitions } from "./support/durable/engine.ts"
import { makeLedger, Trip } from "./support/durable/sagas.ts"
import { query } from "./support/postgres/database.ts"
import * as Proxy from "./support/postgres/proxy.ts"
import { forgetOwner, owned, place, rowsOf } from "./support/postgresStore.ts"

/** How long the owner tries, and for how long its server is away. */
const retryFor = "150 millis"
const away = "600 millis"

const contextOf = (options: PostgresStore.Options, definitions: Definitions, engine: SagaEngine.Options = {}) =>
  Layer.build(Layer.fresh(
    definitions.pipe(
      Layer.provideMerge(Layer.fresh(SagaEngine.layer(engine))),
      Layer.provide(Layer.fresh(PostgresStore.layer(options)))
    )
  ))

/** An engine behind a proxy, and a client that has its own way to the server. */
const behindProxy = Effect.fnUntraced(function*(definitions: Definitions, options?: SagaEngine.Options) {
  const direct = yield* place
  const proxy = yield* Proxy.open(direct.url)
  const context = yield* contextOf({ ...direct, url: proxy.url, retryFor }, definitions, options)
  const clientContext = yield* Layer.build(Layer.fresh(
    SagaEngine.layerClient().pipe(Layer.provide(Layer.fresh(PostgresStore.layer(direct))))
  ))
  const engine = Context.get(context, SagaEngine.SagaEngine)

  /** Has the server commit what contains this, and then be away for longer than the owner tries. */
  const committedUnheard = <A, E>(statement: string | RegExp, self: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const { happened } = yield* proxy.cutBeforeReply(statement, { refuse: true })
      const fiber = yield* Effect.forkChild(Effect.exit(self))
      yield* happened
      yield* Effect.sleep(away)
      yield* proxy.accept
      return yield* Fiber.join(fiber)
    })

  return {
    direct,
    proxy,
    engine,
    client: Context.get(clientContext, SagaEngine.SagaEngine),
    committedUnheard,
    use: <A, E>(self: Effect.Effect<A, E, SagaEngine.SagaEngine>) =>
      Effect.provideService(self, SagaEngine.SagaEngine, engine)
  }
})

/** As whoever has to have it started does. */
const insist = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, { times: 50, schedule: Schedule.spaced("100 millis") })

/** An execution whose definition no engine has. */
const unknown = { id: "Unknown/1", definition: "Unknown", version: 1, payload: null }

const signals = "events WHERE event LIKE '%SignalReceived%'"

const limit = 20_000

describe.concurrent("a commit in PostgreSQL that got no answer", () => {
  it.live("of a start: it is neither lost nor done twice", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const pause = Effect.sleep("100 millis")
      const { committedUnheard, direct, use } = yield* behindProxy(
        Trip.toLayer((id) => Effect.andThen(ledger.slow(pause, `${id} a`), ledger.slow(pause, `${id} b`)))
      )
      yield* use(Trip.execute("before"))

      yield* committedUnheard(/executions \(/, insist(use(Trip.start("1"))))
      yield* insist(use(Trip.start("1")))
      const result = yield* use(Trip.execute("1"))
      yield* use(Trip.execute("2"))

      assert.strictEqual(result, "1 b")
      assert.deepStrictEqual(ledger.lines, ["before a", "before b", "1 a", "1 b", "2 a", "2 b"])
      assert.deepStrictEqual(yield* rowsOf(direct, "id, status", "executions"), [
        "Trip/1 Completed",
        "Trip/2 Completed",
        "Trip/before Completed"
      ])
      const orphans = `events WHERE execution NOT IN (SELECT key FROM ${direct.schema}.executions)`
      assert.deepStrictEqual(yield* rowsOf(direct, "seq", orphans), [])
    }), limit)

  it.live("of a start, whose store another engine takes over then: it is done once", () =>
    Effect.gen(function*() {
      const ledger = yield* makeLedger
      const definitions = Trip.toLayer((id) => ledger.step(id))
      const { direct, engine, proxy, use } = yield* behindProxy(definitions, { standby: true })
      yield* use(Trip.execute("before"))
      const { happened } = yield* proxy.cutBeforeReply(/executions \(/, { refuse: true })
      const executing = yield* Effect.forkChild(use(Trip.execute("1")))
      yield* happened

      yield* forgetOwner(direct)
      const second = yield* contextOf(direct, definitions)
      yield* proxy.accept

      assert.strictEqual(yield* Fiber.join(executing), "1")
      assert.strictEqual(yield* Effect.provide(Trip.execute("2"), second), "2")
      assert.strictEqual((yield* engine.get("Trip/1")).status, "Completed")
      assert.lengthOf(yield* rowsOf(direct, "id", "executions"), 3)
      assert.deepStrictEqual(ledger.lines, ["before", "1", "2"])
    }), limit)

  it.live("of a signal to an execution that nobody runs: it is there once", () =>
    Effect.gen(function*() {
      const { client, committedUnheard, direct, engine } = yield* behindProxy(Layer.empty)
      yield* engine.start(unknown)

      const exit = yield* committedUnheard("INSERT INTO", client.signal(unknown.id, "go", 1))
      yield* Effect.sleep("1.2 seconds")

      assert.isTrue(Exit.isSuccess(exit))
      assert.lengthOf(yield* rowsOf(direct, "seq", signals), 1)
      assert.deepStrictEqual(yield* rowsOf(direct, "id", "requests WHERE answer IS NULL"), [])
    }), limit)

  it.live("of a signal to an execution that is not there yet: it is there once", () =>
    Effect.gen(function*() {
      const { client, committedUnheard, direct, engine } = yield* behindProxy(Layer.empty)

      const exit = yield* committedUnheard("early_signals", client.signal(unknown.id, "go", 1))
      yield* Effect.sleep("1.2 seconds")
      const early = yield* rowsOf(direct, "execution", "early_signals")
      yield* engine.start(unknown)

      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(early, [unknown.id])
      assert.lengthOf((yield* engine.history(unknown.id)).filter(({ _tag }) => _tag === "SignalReceived"), 1)
    }), limit)

  it.live("of a signal to an execution that is started meanwhile: it is received once", () =>
    Effect.gen(function*() {
      const { client, direct, engine, proxy } = yield* behindProxy(Layer.empty)
      const { happened } = yield* proxy.cutBeforeReply("early_signals", { refuse: true })
      const signalling = yield* Effect.forkChild(client.signal(unknown.id, "go", 1))
      yield* happened
      yield* Effect.sleep("300 millis")

      const starting = yield* Effect.forkChild(engine.start(unknown))
      yield* proxy.accept
      yield* Fiber.join(starting)
      yield* Fiber.join(signalling)
      yield* Effect.sleep("1.2 seconds")

      assert.lengthOf((yield* engine.history(unknown.id)).filter(({ _tag }) => _tag === "SignalReceived"), 1)
      assert.deepStrictEqual(yield* rowsOf(direct, "execution", "early_signals"), [])
    }), limit)

  it.live("of a decision on a parked execution: that goes on", () =>
    Effect.gen(function*() {
      const Order = DurableSaga.make("Order", {
        payload: Schema.String,
        success: Schema.String,
        error: Schema.String,
        idempotencyKey: (id) => id
      })
      let isBroken = true
      const charge = Step.make("charge", { action: () => Effect.void })
      const ship = Step.make("ship", {
        error: Schema.String,
        action: () => Effect.suspend(() => isBroken ? Effect.fail("no truck") : Effect.void)
      })
      const { committedUnheard, direct, engine, use } = yield* behindProxy(Order.toLayer((id) =>
        Effect.gen(function*() {
          yield* Saga.pivot(charge())
          yield* ship()
          return id
        })
      ))
      yield* use(Order.start("1"))
      yield* Effect.repeat(engine.get("Order/1"), {
        until: ({ status }) => status === "Parked",
        schedule: Schedule.spaced("20 millis")
      })
      isBroken = false

      yield* committedUnheard("INSERT INTO", engine.retry("Order/1"))
      const result = yield* use(Order.await("Order/1"))

      assert.strictEqual(result, "1")
      assert.lengthOf(yield* rowsOf(direct, "seq", "events WHERE event LIKE '%Retried%'"), 1)
    }), limit)

  it.live("and is still under way when the connection is back: it is there once", () =>
    Effect.gen(function*() {
      const { direct, engine, proxy } = yield* behindProxy(Layer.empty)
      yield* engine.start(unknown)
      yield* query(
        direct.url,
        `CREATE FUNCTION ${direct.schema}.slow() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(0.8); RETURN NULL; END $$`
      )
      yield* query(
        direct.url,
        `CREATE TRIGGER slow AFTER INSERT ON ${direct.schema}.events EXECUTE FUNCTION ${direct.schema}.slow()`
      )

      const { happened } = yield* proxy.cutAfterRequest("INSERT INTO", { refuse: true, unnoticed: true })
      const signalling = yield* Effect.forkChild(insist(engine.signal(unknown.id, "go", 1)))
      yield* happened
      yield* Effect.sleep("300 millis")
      yield* proxy.accept
      yield* Fiber.join(signalling)

      assert.lengthOf(yield* rowsOf(direct, "seq", signals), 1)
      yield* engine.start({ ...unknown, id: "Unknown/2" })
    }), limit)
})

describe.concurrent("an owner in PostgreSQL", () => {
  it.live(
    "gives its signs of life on another connection where the one for them gives no answer",
    () =>
      Effect.gen(function*() {
        const direct = yield* place
        const proxy = yield* Proxy.open(direct.url)
        yield* owned({ ...direct, url: proxy.url })
        const { happened, release } = yield* proxy.holdReply("SET beats = beats + 1, heartbeat_at")
        yield* happened
        // Whoever gives the store back waits for the sign that is under way.
        yield* Effect.addFinalizer(() => release)
        const beats = Effect.map(rowsOf(direct, "beats", "owner"), ([row]) => Number(row))
        const before = yield* beats

        yield* Effect.sleep("1.8 seconds")

        assert.isAtLeast((yield* beats) - before, 1)
      }),
    limit
  )
})
