import { Effect, Redacted } from "effect"
import { loadavg } from "node:os"
import type { Job, Result } from "./postgres/job.ts"
import * as Peers from "./postgres/peers.ts"
import * as Server from "./postgres/server.ts"
import type { Settings } from "./settings.ts"
import { measurePostgres } from "./spawn.ts"
import { median, ratio } from "./statistics.ts"
import { decimal, integer, table } from "./table.ts"

const ends = ["success", "failure"] as const

const variants = ["effect-saga", "DBOS", "Effect Cluster", "raw"] as const

type Variant = typeof variants[number]

const rounds = (settings: Settings): number => settings.quick ? 1 : 3

const inFlight = (settings: Settings): ReadonlyArray<number> => settings.quick ? [1, 128] : [1, 16, 128]

export const postgres = async (settings: Settings): Promise<void> => {
  const sections = ends.map((end) => ({ name: `postgres/${end}`, end })).filter(({ name }) => settings.selects(name))
  if (sections.length === 0) return
  const versions = Peers.install()
  const program = Effect.gen(function*() {
    const server = yield* Server.open
    console.log(`postgres: ${server.description}; ${versions}; rounds: ${rounds(settings)}\n`)
    for (const { end, name } of sections) {
      const lines = yield* throughput(settings, server, end === "failure")
      console.log(`${name}, load ${decimal(loadavg()[0]!, 1)} at the end\n${lines}\n`)
    }
  })
  await Effect.runPromise(Effect.scoped(program))
}

const jobOf = (settings: Settings, job: Pick<Job, "variant" | "fails" | "inFlight" | "server">): Job => ({
  warmUpInFlight: 16,
  ...settings.quick
    ? { warmUp: 200, measure: 400 }
    : { warmUp: 1500, measure: job.inFlight === 128 ? 2500 : 1000 },
  ...job
})

const throughput = Effect.fnUntraced(function*(settings: Settings, server: Server.Server, fails: boolean) {
  const measure = Effect.fnUntraced(function*(variant: Job["variant"], inFlight: number, fails: boolean) {
    const url = yield* server.database
    return yield* Effect.promise(() =>
      measurePostgres(jobOf(settings, { variant, fails, inFlight, server: server.pid }), Redacted.value(url))
    )
  }, Effect.scoped)

  const samples = inFlight(settings).map((inFlight) => ({
    inFlight,
    results: { "effect-saga": [], DBOS: [], "Effect Cluster": [], raw: [] } as Record<Variant, Array<Result>>
  }))
  const oneRow: Array<Result> = []
  for (let round = 0; round < rounds(settings); round++) {
    oneRow.push(yield* measure("one row", 1, false))
    for (const { inFlight, results } of samples) {
      for (const variant of variants) results[variant].push(yield* measure(variant, inFlight, fails))
    }
  }
  return [
    table(columns, [
      ...variants.flatMap((variant) =>
        samples.map(({ inFlight, results }) => row(`${variant}, ${inFlight}`, results[variant]))
      ),
      row("one row in a commit", oneRow)
    ]),
    "",
    table(
      ["effect-saga, in sagas/s", ...samples.flatMap(({ inFlight }) => [`${inFlight} in flight`, "min-max"])],
      variants.slice(1).map((variant) => [
        `of ${variant}`,
        ...samples.flatMap(({ results }) => times(results["effect-saga"], results[variant]))
      ])
    )
  ].join("\n")
})

const columns = [
  "",
  "sagas/s",
  "min-max",
  "p50 ms",
  "p99 ms",
  "commits",
  "rows",
  "log bytes",
  "client CPU µs",
  "server CPU µs"
]

const row = (name: string, results: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const of = (key: keyof Result): number => median(results.map((result) => Number(result[key])))
  return [
    name,
    integer(of("rate")),
    results.length === 1 ? "" : `${integer(Math.min(...rates(results)))}-${integer(Math.max(...rates(results)))}`,
    decimal(of("p50"), 2),
    decimal(of("p99"), 2),
    decimal(of("commits"), 2),
    decimal(of("rows"), 1),
    integer(of("log")),
    integer(of("client")),
    results.some(({ server }) => server === undefined) ? "" : integer(of("server"))
  ]
}

const rates = (results: ReadonlyArray<Result>): ReadonlyArray<number> => results.map(({ rate }) => rate)

const times = (results: ReadonlyArray<Result>, baseline: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const { max, median, min } = ratio(rates(results), rates(baseline))
  return [`${decimal(median, 2)}x`, results.length === 1 ? "" : `${decimal(min, 2)}-${decimal(max, 2)}`]
}
