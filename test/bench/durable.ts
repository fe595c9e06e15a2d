import { loadavg } from "node:os"
import * as Folder from "./durable/folder.ts"
import type { RawResult } from "./durable/raw.ts"
import type { RunJob, RunResult } from "./durable/run.ts"
import type { Held } from "./durable/waiting.ts"
import type { Settings } from "./settings.ts"
import { measureDurable } from "./spawn.ts"
import { median, ratio } from "./statistics.ts"
import { decimal, integer, table } from "./table.ts"

const goals = {
  rate: { success: 20_000, failure: 10_000 },
  p50: 0.5,
  growth: 1.2,
  recovery: 20,
  rss: 1e9
}

const ends = ["success", "failure"] as const

type End = typeof ends[number]

const inFlight = (settings: Settings): ReadonlyArray<number> => settings.quick ? [1, 128] : [1, 16, 128]

const slowSync = 5

export const durable = (settings: Settings): void => {
  const sections = [
    ...ends.map((end) => ({ name: `durable/${end}`, run: throughput(end) })),
    { name: "durable/slow-sync", run: slow },
    { name: "durable/steps", run: steps },
    { name: "durable/recovery", run: recovery },
    { name: "durable/waiting", run: waiting }
  ].filter(({ name }) => settings.selects(name))
  if (sections.length === 0) return
  const folder = Folder.make()
  console.log(
    `durable: SQLite with synchronous=FULL and a write-ahead log, in a folder in ${folder.place} (${folder.fileSystem})\n`
  )
  for (const { name, run } of sections) {
    const lines = run(settings, folder)
    console.log(`${name}, load ${decimal(loadavg()[0]!, 1)} at the end\n${lines}\n`)
  }
}

/* ---------------------------------------------------------------------------------------------------- throughput */

const rounds = (settings: Settings): number => settings.quick ? 1 : 3

const runJob = (settings: Settings, job: Pick<RunJob, "store" | "fails" | "inFlight">): RunJob => ({
  task: "run",
  steps: 3,
  warmUpInFlight: 128,
  ...settings.quick ? { warmUp: 100, measure: 150 } : { warmUp: 1000, measure: 600 },
  ...job
})

/** With a file that is gone afterwards. */
const withFile = <A>(folder: Folder.Folder, use: (file: string) => A): A => {
  const file = folder.newFile()
  const result = use(file)
  folder.remove(file)
  return result
}

const throughput = (end: End) => (settings: Settings, folder: Folder.Folder): string => {
  const fails = end === "failure"
  const samples = inFlight(settings).map((inFlight) => ({
    inFlight,
    sqlite: [] as Array<RunResult>,
    raw: [] as Array<RawResult>,
    memory: [] as Array<RunResult>
  }))
  const oneByOne: Array<RawResult> = []
  for (let round = 0; round < rounds(settings); round++) {
    for (const { inFlight, memory, raw, sqlite } of samples) {
      const run = (file: string | undefined) =>
        measureDurable(runJob(settings, { store: { file, slowSync: 0 }, fails, inFlight }))
      const result = withFile(folder, run)
      const rawJob = {
        task: "raw",
        sample: result.sample,
        ...settings.quick ? { warmUp: 50, measure: 100 } : { warmUp: 200, measure: 500 }
      } as const
      sqlite.push(result)
      raw.push(
        withFile(
          folder,
          (file) => measureDurable({ ...rawJob, file, inFlight, appendsPerCommit: result.appendsPerCommit })
        )
      )
      memory.push(run(undefined))
      if (inFlight === 1) {
        oneByOne.push(withFile(folder, (file) => measureDurable({ ...rawJob, file, inFlight, appendsPerCommit: 1 })))
      }
    }
  }
  const goalOf = (inFlight: number, result: RunResult): ReadonlyArray<string> =>
    inFlight === 128
      ? [`>= ${integer(goals.rate[end])}/s`, verdict(settings, result.rate >= goals.rate[end])]
      : inFlight === 1 && !fails
      ? [`p50 < ${goals.p50} ms`, verdict(settings, result.p50 < goals.p50)]
      : ["", ""]
  const rows = [
    ...samples.map(({ inFlight, raw, sqlite }) => {
      const all = medians(sqlite)
      return [
        ...row(`SQLite, ${inFlight}`, sqlite),
        decimal(ratio(rates(sqlite), rates(raw)).median, 2),
        ...goalOf(inFlight, all)
      ]
    }),
    ...samples.map(({ inFlight, raw }) => [...row(`raw, ${inFlight}`, raw), "1.00", "", ""]),
    [...row("raw, row by row", oneByOne), "", "", ""],
    ...samples.map(({ inFlight, memory }) => [
      ...row(`memory, ${inFlight}`, memory),
      "",
      "",
      ""
    ])
  ]
  return table([...columns, "of raw", "goal", ""], rows)
}

const columns = ["", "sagas/s", "min-max", "rows/s", "p50 ms", "p99 ms", "commits", "rows", "CPU µs", "bytes"]

type Measured = RunResult | RawResult

const row = (name: string, results: ReadonlyArray<Measured>): ReadonlyArray<string> => {
  const { bytes, commits, cpu, p50, p99, rate, rows } = medians(results)
  return [
    name,
    integer(rate),
    results.length === 1 ? "" : `${integer(Math.min(...rates(results)))}-${integer(Math.max(...rates(results)))}`,
    integer(rate * rows),
    decimal(p50, 2),
    decimal(p99, 2),
    decimal(commits, 2),
    decimal(rows, 0),
    decimal(cpu, 1),
    bytes === 0 ? "" : integer(bytes)
  ]
}

const rates = (results: ReadonlyArray<Measured>): ReadonlyArray<number> => results.map(({ rate }) => rate)

const medians = <R extends Measured>(results: ReadonlyArray<R>): R => {
  const [first] = results
  if (first === undefined) throw new RangeError("medians: there is no result")
  const numbers = Object.keys(first).filter((key) => typeof first[key as keyof R] === "number")
  return Object.assign(
    { ...first },
    Object.fromEntries(numbers.map((key) => [key, median(results.map((result) => Number(result[key as keyof R])))]))
  )
}

const slow = (settings: Settings, folder: Folder.Folder): string =>
  table(
    columns,
    ends.flatMap((end) =>
      inFlight(settings).map((inFlight) => {
        const result = withFile(
          folder,
          (file) => measureDurable(runJob(settings, { store: { file, slowSync }, fails: end === "failure", inFlight }))
        )
        return row(`${end}, ${inFlight}`, [result])
      })
    )
  )

/* ---------------------------------------------------------------------------------------------------- steps */

const steps = (settings: Settings, folder: Folder.Folder): string => {
  const sizes = settings.quick ? [10, 100] : [10, 100, 1000]
  const growth = `${integer(sizes[sizes.length - 1]!)}/${sizes[0]}`
  return table(
    ["", ...sizes.map((size) => `${integer(size)} steps`), growth, "goal", ""],
    ["SQLite", "memory"].flatMap((store) =>
      ends.map((end) => {
        const samples = sizes.map((): Array<number> => [])
        for (let round = 0; round < (settings.quick ? 1 : 2); round++) {
          sizes.forEach((size, index) => {
            const run = (file: string | undefined) =>
              measureDurable({
                ...runJob(settings, { store: { file, slowSync: 0 }, fails: end === "failure", inFlight: 16 }),
                warmUpInFlight: 16,
                ...settings.quick ? undefined : { warmUp: 400, measure: 400 },
                steps: size
              })
            const { cpu } = store === "SQLite" ? withFile(folder, run) : run(undefined)
            samples[index]!.push(cpu / size)
          })
        }
        const grown = ratio(samples[samples.length - 1]!, samples[0]!)
        return [
          `${store}, ${end}`,
          ...samples.map((sample) => `${decimal(median(sample), 1)} µs`),
          `${decimal(grown.median, 2)}x`,
          `<= ${decimal(goals.growth, 2)}x`,
          verdict(settings, grown.median <= goals.growth)
        ]
      })
    )
  )
}

/* ---------------------------------------------------------------------------------------------------- waiting */

const executions = (settings: Settings): number => settings.quick ? 2000 : 100_000

const recovery = (settings: Settings, folder: Folder.Folder): string => {
  const count = executions(settings)
  return withFile(folder, (file) => {
    const started = measureDurable({ task: "start", file, executions: count })
    const recovered = measureDurable({ task: "recover", file, executions: count })
    const isFast = recovered.recovered <= goals.recovery
    return table(phaseColumns, [
      [`${integer(count)} started, each waits for a signal`, ...seconds(started.seconds), ...memory(settings, started)],
      [
        "killed, and all live in the next process",
        ...seconds(recovered.recovered, `<= ${goals.recovery} s`, verdict(settings, isFast)),
        ...memory(settings, recovered)
      ],
      ["signalled, and all completed", ...seconds(recovered.woken), ...left(recovered.left)]
    ])
  })
}

const waiting = (settings: Settings, folder: Folder.Folder): string => {
  const count = executions(settings)
  const attempt = (due: number): string => {
    const result = withFile(folder, (file) => measureDurable({ task: "timers", file, executions: count, due }))
    // A machine that was too busy to start all of them by then.
    if (result.early) return attempt(2 * due)
    return table(phaseColumns, [
      [`${integer(count)} started, each waits for a timer`, ...seconds(result.seconds), ...memory(settings, result)],
      ["due at once, and all completed", ...seconds(result.woken), ...left(result.left)]
    ])
  }
  return attempt(2000 + count / 6)
}

const phaseColumns = ["", "seconds", "goal", "", "bytes each", "RSS MB", "peak MB", "goal", "", "left MB"]

const seconds = (value: number, goal = "", met = ""): ReadonlyArray<string> => [decimal(value, 1), goal, met]

const memory = (settings: Settings, { each, peakRss, rss }: Held): ReadonlyArray<string> => [
  integer(each),
  megabytes(rss),
  megabytes(peakRss),
  `<= ${megabytes(goals.rss)}`,
  verdict(settings, peakRss <= goals.rss),
  ""
]

const left = (bytes: number): ReadonlyArray<string> => ["", "", "", "", "", decimal(bytes / 1e6, 1)]

const megabytes = (bytes: number): string => integer(bytes / 1e6)

/* A quick run measures code that is not optimised yet. */
const verdict = (settings: Settings, met: boolean): string => settings.quick ? "" : met ? "met" : "missed"
