/*
 * Has a client in a process of its own book trips, which engines in others run, while the engine that owns the store is
 * lost again and again, and has the books checked. It is lost in four ways:
 *
 * - its process is killed;
 * - its process is paused, and goes on when another one has taken over;
 * - its connections are cut, and it gets no others until another one has taken over;
 * - nothing passes on its connections, and all that it has sent arrives when another one has taken over.
 *
 * A trigger in the database notes with each write who writes, and who owns the store then.
 */
import { Clock, Deferred, Effect, Exit, Layer, Random, Ref, Scope } from "effect"
import { PostgresStore } from "effect-saga/postgres"
import * as Proxy from "../support/postgres/proxy.ts"
import { start } from "../support/postgres/server.ts"
import { connect, readJournals, schema } from "./postgresJournals.ts"
import { audit, type Loss, makeLedger } from "./postgresLedger.ts"
import { type Member, startMember } from "./postgresProcess.ts"
import { inTime, type Outcome } from "./postgresTrip.ts"

export const losses = ["killed", "paused", "cut off", "silent"] as const

export interface Options {
  readonly takeovers: number
  readonly seed: string
  /** Processes with an engine. */
  readonly engines: number
  /** Sagas in flight. */
  readonly concurrency: number
  /** How long a call to a service takes at most, in milliseconds. */
  readonly callMillis: number
  /** Milliseconds at most between one takeover, and some sagas that end after it, and the next loss. */
  readonly calmMillis: number
  readonly onTakeover?: (takeover: Takeover, ended: number) => Effect.Effect<void>
}

export interface Takeover {
  readonly loss: (typeof losses)[number]
  /** From the loss until the store had its next owner. */
  readonly ownedAfter: number
  /** From the loss to the first event of the next owner. */
  readonly wroteAfter: number
}

interface Engine {
  readonly name: string
  readonly proxy: Proxy.Proxy
  readonly scope: Scope.Closeable
  readonly member: Member
}

export const campaign = Effect.fnUntraced(
  function*(options: Options) {
    const server = yield* start()
    const ledger = makeLedger(options.callMillis)
    const outcomes = new Map<string, Outcome>()
    const waiting = new Map<string, Deferred.Deferred<Outcome>>()
    const problems: Array<string> = []
    const takeovers: Array<Takeover> = []
    const times: Array<Loss> = []
    const startedAt = yield* Clock.currentTimeMillis
    let longestWait = 0

    yield* Effect.scoped(Layer.build(PostgresStore.layer({ url: server.url, schema })))
    const ask = yield* connect(server.url)
    yield* Effect.forEach(watching, (statement) => ask(statement))

    const startEngine = Effect.fnUntraced(function*(name: string, proxy: Proxy.Proxy) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const options = { name, role: "engine", url: proxy.url, call: ledger.call } as const
      return { name, proxy, scope, member: yield* Scope.provide(startMember(options), scope) } satisfies Engine
    })
    const engines = new Map<string, Engine>()
    for (let number = 1; number <= options.engines; number++) {
      const name = `engine-${number}`
      engines.set(name, yield* startEngine(name, yield* Proxy.open(server.url)))
    }
    const client = yield* startMember({
      name: "client",
      role: "client",
      url: server.url,
      call: ledger.call,
      onEnded: (trip, outcome) => {
        const deferred = waiting.get(trip)
        if (deferred !== undefined) Deferred.doneUnsafe(deferred, Effect.succeed(outcome))
      }
    })
    yield* Effect.forEach([client, ...Array.from(engines.values(), ({ member }) => member)], ({ ready }) => ready)

    /** Polls until there is one. */
    const until = <A, E>(self: Effect.Effect<A | undefined, E>, what: string) =>
      self.pipe(
        Effect.tap((value) => value === undefined ? Effect.sleep("10 millis") : Effect.void),
        Effect.repeat({ until: (value) => value !== undefined }),
        Effect.map((value) => value!),
        Effect.timeoutOption("1 minute"),
        Effect.tap((value) =>
          Effect.sync(() => void (value._tag === "None" && problems.push(`For a minute, ${what}.`)))
        ),
        Effect.map((value) => value._tag === "Some" ? value.value : undefined)
      )

    const ownerAfter = (epoch: string) =>
      Effect.map(
        ask<{ readonly name: string; readonly epoch: string }>(
          `SELECT name, epoch::text AS epoch FROM ${schema}.owner WHERE epoch > $1`,
          [epoch]
        ),
        ([owner]) => owner
      )
    const firstWriteAfter = (epoch: string) =>
      Effect.map(
        ask<{ readonly at: number; readonly acquired: number }>(
          `SELECT at, acquired FROM chaos.writes WHERE epoch > $1 AND written = 'events' ORDER BY at LIMIT 1`,
          [epoch]
        ),
        ([first]) => first
      )

    const lost = {
      killed: {
        begin: ({ member }) => Effect.sync(() => member.signal("SIGKILL")),
        end: Effect.fnUntraced(function*({ name, proxy, scope }) {
          yield* Scope.close(scope, Exit.void)
          const next = yield* startEngine(name, proxy)
          engines.set(name, next)
          yield* next.member.ready
        })
      },
      paused: {
        begin: ({ member }) => Effect.sync(() => member.signal("SIGSTOP")),
        end: ({ member }) => Effect.sync(() => member.signal("SIGCONT"))
      },
      "cut off": { begin: ({ proxy }) => proxy.cut({ refuse: true }), end: ({ proxy }) => proxy.accept },
      silent: { begin: ({ proxy }) => proxy.freeze, end: ({ proxy }) => proxy.thaw }
    } satisfies Record<Takeover["loss"], {
      readonly begin: (engine: Engine) => Effect.Effect<void>
      readonly end: (engine: Engine) => Effect.Effect<void, never, Scope.Scope>
    }>

    /** Has the owner lost, and come back once another one owns the store. */
    const lose = Effect.fnUntraced(function*(loss: Takeover["loss"]) {
      const ended = outcomes.size
      yield* until(Effect.sync(() => outcomes.size > ended + 5 ? true : undefined), "no saga has ended")
      yield* Effect.sleep(options.calmMillis * (yield* Random.next))
      const owner = yield* until(ownerAfter("0"), "no engine has owned the store")
      if (owner === undefined) return
      const engine = engines.get(owner.name)!

      const from = yield* Clock.currentTimeMillis
      yield* lost[loss].begin(engine)
      yield* until(ownerAfter(owner.epoch), `nobody has taken over from an engine that was ${loss}`)
      // At once, what it brings with it has not been done by the next owner.
      const isEarly = (yield* Random.next) < 2 / 3
      if (isEarly) yield* lost[loss].end(engine)
      const first = yield* until(firstWriteAfter(owner.epoch), `nobody has gone on after an engine that was ${loss}`)
      if (!isEarly) yield* Effect.andThen(Effect.sleep(500 * (yield* Random.next)), lost[loss].end(engine))
      // What it had begun to do it may go on with for a moment.
      times.push({ from, to: (yield* Clock.currentTimeMillis) + 5000 })
      if (first === undefined) return
      const takeover = { loss, ownedAfter: Math.round(first.acquired - from), wroteAfter: Math.round(first.at - from) }
      takeovers.push(takeover)
      yield* options.onTakeover?.(takeover, outcomes.size) ?? Effect.void
    })

    const isOver = yield* Ref.make(false)
    const loseAll = Effect.gen(function*() {
      let left: Array<Takeover["loss"]> = []
      for (let number = 1; number <= options.takeovers && problems.length === 0; number++) {
        // Each of them comes before one comes again.
        if (left.length === 0) left = [...losses]
        const [loss] = left.splice(Math.floor((yield* Random.next) * left.length), 1)
        yield* lose(loss!)
      }
      yield* Ref.set(isOver, true)
    })

    const next = yield* Ref.make(0)
    const call = Effect.gen(function*() {
      while (!(yield* Ref.get(isOver))) {
        const trip = `${options.seed}-${yield* Ref.updateAndGet(next, (number) => number + 1)}`
        const told = Deferred.makeUnsafe<Outcome>()
        const calledAt = yield* Clock.currentTimeMillis
        waiting.set(trip, told)
        client.send({ _tag: "Execute", trip })
        outcomes.set(trip, yield* inTime(Deferred.await(told)))
        waiting.delete(trip)
        longestWait = Math.max(longestWait, (yield* Clock.currentTimeMillis) - calledAt)
      }
    })
    yield* Effect.all([loseAll, ...Array.from({ length: options.concurrency }, () => call)], {
      concurrency: "unbounded",
      discard: true
    })

    const members = [client, ...Array.from(engines.values(), ({ member }) => member)]
    const failed = members.filter((member) => member.hasFailed())
    const stale = yield* ask<{ readonly text: string }>(
      `SELECT format('%s wrote %s rows of %s while %s owned the store, in epoch %s.', writer, count(*), written, owner, epoch)
        AS text
      FROM chaos.writes WHERE writer <> owner GROUP BY writer, written, owner, epoch`
    )
    const journals = yield* readJournals(server.url, outcomes.keys())
    const books = audit(ledger, outcomes, times)
    return {
      ...books,
      sagas: outcomes.size,
      takeovers,
      stale: stale.length,
      longestWait: Math.round(longestWait),
      lost: books.lost + journals.lost,
      doubled: books.doubled + journals.doubled,
      events: journals.events,
      seconds: ((yield* Clock.currentTimeMillis) - startedAt) / 1000,
      problems: [
        ...problems,
        ...stale.map(({ text }) => text),
        ...failed.map(({ name, output }) => `${name} has ended by itself: ${output()}`),
        ...books.problems,
        ...journals.problems
      ]
    }
  },
  Effect.scoped,
  (effect, { seed }) => Random.withSeed(effect, seed)
)

/* The rows that only the owner writes. A client leaves requests, which the owner answers. */
const watching = [
  "CREATE SCHEMA chaos",
  "CREATE TABLE chaos.writes (written text, epoch bigint, owner text, acquired double precision, writer text, at double precision)",
  "CREATE INDEX ON chaos.writes (epoch)",
  `CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.writes
    SELECT TG_TABLE_NAME, epoch, name, acquired_at, current_setting('application_name'), 
      extract(epoch FROM clock_timestamp()) * 1000
    FROM ${schema}.owner;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER note AFTER INSERT ON ${schema}.events FOR EACH ROW EXECUTE FUNCTION chaos.note()`,
  `CREATE TRIGGER note AFTER INSERT OR UPDATE ON ${schema}.executions FOR EACH ROW EXECUTE FUNCTION chaos.note()`,
  `CREATE TRIGGER note AFTER UPDATE ON ${schema}.requests FOR EACH ROW EXECUTE FUNCTION chaos.note()`
]
