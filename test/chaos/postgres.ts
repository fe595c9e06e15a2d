/*
 * npm run chaos:postgres -- --sagas 5000 --takeovers 40 --seed 1
 *
 * Breaks a PostgreSQL server, the network and processes while that many trips are booked, and while engines take over that
 * often, and reports what became of the trips. Ends with exit code 1 if anything is lost, doubled or left, or if a caller saw
 * an error. With 0 sagas, or 0 takeovers, there is only the other part.
 */
import { Clock, Console, Effect, Exit } from "effect"
import { parseArgs } from "node:util"
import * as Server from "./postgresServer.ts"
import * as Takeover from "./postgresTakeover.ts"

const { values } = parseArgs({
  options: {
    sagas: { type: "string", default: "5000" },
    takeovers: { type: "string", default: "40" },
    engines: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "30" }
  }
})

const whole = (name: "sagas" | "takeovers" | "engines" | "minutes", least: number): number => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < least) {
    throw new RangeError(`--${name} has to be a whole number of at least ${least}, but is ${values[name]}`)
  }
  return value
}

const sagas = whole("sagas", 0)
const takeovers = whole("takeovers", 0)
const engines = whole("engines", 2)
const minutes = whole("minutes", 1)
const { seed } = values

/* Names in front, and their values in a column. */
const table = (rows: Readonly<Record<string, string | number>>): string =>
  Object.entries(rows).map(([name, value]) => `${name.padEnd(32)} ${value}`).join("\n")

interface Books {
  readonly sagas: number
  readonly booked: number
  readonly undone: number
  readonly events: number
  readonly repeated: number
  readonly errors: number
  readonly lost: number
  readonly doubled: number
  readonly longestWait: number
  readonly seconds: number
}

const rowsOf = (figures: Books): Readonly<Record<string, string | number>> => ({
  sagas: `${figures.sagas}: ${figures.booked} booked, ${figures.undone} undone`,
  "events in journals": figures.events,
  "calls made again": figures.repeated,
  "errors seen by callers": figures.errors,
  lost: figures.lost,
  doubled: figures.doubled,
  "longest wait of a caller": `${figures.longestWait} ms`,
  time: `${Math.round(figures.seconds)} s, seed ${seed}`
})

const breakServer = Effect.gen(function*() {
  const startedAt = yield* Clock.currentTimeMillis
  const figures = yield* Server.campaign({
    ...Server.heavy,
    sagas,
    seed,
    onFault: ({ ended, fault }) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          Console.log(
            `${String(Math.round((now - startedAt) / 1000)).padStart(5)} s  ${ended} sagas have ended; server ${fault}`
          )
      )
  })
  yield* Console.log(`\nFaults of the server and the network\n\n${table({ ...rowsOf(figures), ...figures.faults })}\n`)
  return figures.problems
})

const loseEngines = Effect.gen(function*() {
  const figures = yield* Takeover.campaign({
    takeovers,
    engines,
    seed,
    concurrency: 16,
    callMillis: 300,
    calmMillis: 2000,
    onTakeover: ({ loss, ownedAfter, wroteAfter }, ended) =>
      Console.log(
        `${ended} sagas have ended; an engine that was ${loss} was replaced after ${ownedAfter} ms, ` +
          `and the next event was written after ${wroteAfter} ms`
      )
  })
  const times = Takeover.losses.flatMap((loss) => {
    const millis = figures.takeovers.filter((one) => one.loss === loss).map((one) => one.wroteAfter)
    if (millis.length === 0) return []
    const [least, middle, most] = [0, 0.5, 1].map((part) =>
      millis.toSorted((one, other) => one - other)[Math.round(part * (millis.length - 1))]
    )
    return [[`${loss} ${millis.length} times`, `next event after ${least} to ${most} ms, median ${middle} ms`]]
  })
  const rows = { ...rowsOf(figures), "stale writes": figures.stale, ...Object.fromEntries(times) }
  yield* Console.log(`\nLosses of the owner, ${engines} engines\n\n${table(rows)}\n`)
  return figures.problems
})

const program = Effect.gen(function*() {
  const problems = [
    ...sagas > 0 ? yield* breakServer : [],
    ...takeovers > 0 ? yield* loseEngines : []
  ]
  yield* Effect.forEach(problems.slice(0, 50), (problem) => Console.log(problem))
  if (problems.length > 50) yield* Console.log(`... and ${problems.length - 50} more`)
  return problems.length === 0
})

const exit = await Effect.runPromiseExit(Effect.timeout(program, `${minutes} minutes`))
if (Exit.isFailure(exit)) console.error(String(exit.cause))
process.exitCode = Exit.isSuccess(exit) && exit.value ? 0 : 1
