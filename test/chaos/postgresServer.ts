/*
 * Has trips booked in one process while its server is stopped, killed and frozen, and its connections are cut, and
 * has the books checked: nobody who calls may notice anything but that it takes longer.
 *
 * The faults and their moments are drawn from the seed; what they hit depends on the machine.
 */
import { Clock, Deferred, Effect, Layer, Random, Ref } from "effect"
import { SagaEngine } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import * as Proxy from "../support/postgres/proxy.ts"
import { type Server, start } from "../support/postgres/server.ts"
import { connect, readJournals, schema } from "./postgresJournals.ts"
import { audit, makeLedger } from "./postgresLedger.ts"
import { execute, inTime, type Outcome, Services, TripLayer } from "./postgresTrip.ts"

type Range = readonly [from: number, to: number]

export interface Options {
  /** At least so many. The load goes on until there were as many faults of the server as are asked for, too. */
  readonly sagas: number
  readonly serverFaults: number
  readonly seed: string
  /** Sagas in flight. */
  readonly concurrency: number
  /** How long a call to a service takes at most, in milliseconds. */
  readonly callMillis: number
  /** Milliseconds between two faults of the server, and for how long it is away. */
  readonly every: Range
  readonly away: Range
  /** Milliseconds between two faults of the network. */
  readonly cutEvery: Range
  /** Called when a fault of the server is over. */
  readonly onFault?: (progress: { readonly ended: number; readonly fault: string }) => Effect.Effect<void>
}

/** The choices of the long campaign. */
export const heavy = {
  serverFaults: 0,
  concurrency: 64,
  callMillis: 1000,
  every: [5000, 10_000],
  away: [0, 2000],
  cutEvery: [200, 1000]
} satisfies Partial<Options>

const between = ([from, to]: Range): Effect.Effect<number> =>
  Effect.map(Random.next, (part) => from + part * (to - from))

const pick = <A>(values: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.next, (part) => values[Math.floor(part * values.length)]!)

export const campaign = Effect.fnUntraced(
  function*(options: Options) {
    const server = yield* start({ settings: { max_connections: "300" } })
    const proxy = yield* Proxy.open(server.url)
    const ledger = makeLedger(options.callMillis)
    const faults: Record<string, number> = {}
    const outcomes = new Map<string, Outcome>()
    const over = yield* Deferred.make<void>()
    const count = (fault: string) => {
      faults[fault] = (faults[fault] ?? 0) + 1
    }
    const startedAt = yield* Clock.currentTimeMillis
    let isAway = false
    let serverFaults = 0
    let longestWait = 0

    const pause = (range: Range) =>
      Effect.flatMap(between(range), (millis) => Effect.raceFirst(Effect.sleep(millis), Deferred.await(over)))
    const isOver = Deferred.isDone(over)

    const breakServer = Effect.gen(function*() {
      let left: Array<keyof typeof serverVerbs> = []
      while (true) {
        yield* pause(options.every)
        if (yield* isOver) return
        // Each of them comes before one comes again.
        if (left.length === 0) left = ["stopped", "killed", "frozen"]
        const fault = yield* pick(left)
        left = left.filter((other) => other !== fault)
        isAway = true
        yield* serverVerbs[fault](server, yield* between(options.away))
        isAway = false
        count(`server ${fault}`)
        serverFaults++
        yield* options.onFault?.({ ended: outcomes.size, fault }) ?? Effect.void
      }
    })

    const breakNetwork = Effect.gen(function*() {
      while (true) {
        yield* pause(options.cutEvery)
        if (yield* isOver) return
        // Aimed now, all of them would hit the first statements after it, one after the other.
        if (isAway) continue
        const unnoticed = (yield* Random.next) < 1 / 4
        const fault = yield* pick(networkFaults)
        const { happened } = yield* networkVerbs[fault](proxy, { unnoticed })
        const name = `${fault}${unnoticed ? ", unnoticed" : ""}`
        // What it waits for may come much later, after another fault, or never.
        yield* Effect.forkChild(Effect.andThen(happened, Effect.sync(() => count(name))))
      }
    })

    const next = yield* Ref.make(0)
    const call = Effect.gen(function*() {
      while ((yield* Ref.get(next)) < options.sagas || serverFaults < options.serverFaults) {
        const trip = `${options.seed}-${yield* Ref.updateAndGet(next, (number) => number + 1)}`
        const calledAt = yield* Clock.currentTimeMillis
        outcomes.set(trip, yield* inTime(execute(trip)))
        longestWait = Math.max(longestWait, (yield* Clock.currentTimeMillis) - calledAt)
      }
    })

    // How much gets through between two faults depends on the machine, and so does how long it takes until it is written.
    const store = PostgresStore.layer({ url: proxy.url, schema, retryFor: "1 minute" })
    const engine = TripLayer.pipe(
      Layer.provideMerge(SagaEngine.layer()),
      Layer.provide([store, Layer.succeed(Services, { call: ledger.call })])
    )
    yield* Effect.gen(function*() {
      const breaking = Effect.all([breakServer, breakNetwork], { concurrency: "unbounded" })
      const calling = Effect.all(Array.from({ length: options.concurrency }, () => call), { concurrency: "unbounded" })
      yield* Effect.all([breaking, Effect.andThen(calling, Deferred.succeed(over, undefined))], {
        concurrency: "unbounded"
      })
    }).pipe(Effect.provide(engine))

    const journals = yield* readJournals(server.url, outcomes.keys())
    const books = audit(ledger, outcomes)
    const ask = yield* connect(server.url)
    const [owner] = yield* ask<{ readonly epoch: number }>(
      `SELECT epoch::integer AS epoch FROM ${schema}.owner`
    )
    return {
      ...books,
      sagas: outcomes.size,
      faults,
      serverFaults,
      cuts: Object.values(faults).reduce((sum, number) => sum + number, 0) - serverFaults,
      longestWait: Math.round(longestWait),
      lost: books.lost + journals.lost,
      doubled: books.doubled + journals.doubled,
      events: journals.events,
      seconds: ((yield* Clock.currentTimeMillis) - startedAt) / 1000,
      problems: [
        ...books.problems,
        ...journals.problems,
        ...owner?.epoch === 1 ? [] : [`The store has had ${owner?.epoch} owners.`]
      ]
    }
  },
  Effect.scoped,
  (effect, { seed }) => Random.withSeed(effect, seed)
)

const serverVerbs = {
  stopped: (server: Server, pause: number) => server.restart({ by: "stop", pause }),
  killed: (server: Server, pause: number) => server.restart({ by: "kill", pause }),
  frozen: (server: Server, pause: number) =>
    Effect.ensuring(Effect.andThen(server.freeze, Effect.sleep(pause)), server.thaw)
}

/*
 * Mostly a write of the journal is hit. The other statements are what is done after one whose answer got lost, and the
 * sign of life.
 */
const targets = ["FOR KEY SHARE", "FOR KEY SHARE", "FOR KEY SHARE", "SET term", "FILTER", "SET beats"]

const networkVerbs = {
  "cut before request": (proxy: Proxy.Proxy, options: Proxy.CutOptions) =>
    Effect.flatMap(pick(targets), (target) => proxy.cutBeforeRequest(target, options)),
  "cut after request": (proxy: Proxy.Proxy, options: Proxy.CutOptions) =>
    Effect.flatMap(pick(targets), (target) => proxy.cutAfterRequest(target, options)),
  "cut before reply": (proxy: Proxy.Proxy, options: Proxy.CutOptions) =>
    Effect.flatMap(pick(targets), (target) => proxy.cutBeforeReply(target, options)),
  "cut in a message": (proxy: Proxy.Proxy, options: Proxy.CutOptions) =>
    Effect.flatMap(between([1, 20_000]), (bytes) => proxy.cutAfterBytes(Math.floor(bytes), options)),
  "all cut": (proxy: Proxy.Proxy, options: Proxy.CutOptions) => Effect.as(proxy.cut(options), { happened: Effect.void })
}

const networkFaults = [
  "cut before request",
  "cut after request",
  "cut before reply",
  "cut in a message",
  "all cut"
] as const satisfies ReadonlyArray<keyof typeof networkVerbs>
