import { Effect, Exit, Layer } from "effect"
import { SagaEngine, SagaStore } from "effect-saga"
import { statSync } from "node:fs"
import { quantile } from "../statistics.ts"
import * as Found from "./found.ts"
import { done, Trip, tripLayer } from "./sagas.ts"
import * as Stores from "./stores.ts"

/*
 * Runs durable sagas as fast as they go, always so many at once.
 */

export interface RunJob {
  readonly task: "run"
  readonly store: Stores.StoreOptions
  readonly steps: number
  readonly fails: boolean
  readonly inFlight: number
  /** How many are in flight while the code gets warm. */
  readonly warmUpInFlight: number
  /** Milliseconds. */
  readonly warmUp: number
  readonly measure: number
}

export interface RunResult {
  /** Sagas per second. */
  readonly rate: number
  /** Milliseconds from the call that starts a saga to its result. */
  readonly p50: number
  readonly p99: number
  /** Per saga. */
  readonly commits: number
  readonly rows: number
  /** Microseconds of processor time per saga, of all threads of the process. */
  readonly cpu: number
  /** Bytes in the file per saga, 0 in memory. */
  readonly bytes: number
  readonly appendsPerCommit: number
  /** All that one saga appends. */
  readonly sample: ReadonlyArray<SagaStore.Append>
}

export const run = async (job: RunJob): Promise<RunResult> => {
  const written = Stores.nothingWritten(Trip.executionId({ id: "sample" }))
  let started = 0

  const one = Effect.suspend(() => Effect.exit(Trip.execute({ id: started++ === 0 ? "sample" : `trip-${started}` })))
    .pipe(
      Effect.flatMap((exit) =>
        Exit.isFailure(exit) === job.fails ? Effect.void : Effect.die(new Error(`A saga ended with ${String(exit)}`))
      )
    )

  const runFor = Effect.fnUntraced(function*(milliseconds: number, inFlight: number) {
    const latencies: Array<number> = []
    const end = performance.now() + milliseconds
    const client = Effect.gen(function*() {
      for (let start = performance.now(); start < end;) {
        yield* one
        const now = performance.now()
        latencies.push(now - start)
        start = now
      }
    })
    yield* Effect.all(Array.from({ length: inFlight }, () => client), { concurrency: "unbounded", discard: true })
    return latencies
  })

  const program = Effect.gen(function*() {
    yield* one
    yield* runFor(job.warmUp, job.warmUpInFlight)
    const before = { ...written }
    const cpuBefore = process.cpuUsage()
    const start = performance.now()
    const latencies = yield* runFor(job.measure, job.inFlight)
    const seconds = (performance.now() - start) / 1000
    const cpu = process.cpuUsage(cpuBefore)
    const sagas = latencies.length
    const commits = written.commits - before.commits
    const rows = written.events - before.events + written.records - before.records
    if (job.store.file === undefined) verify(job, started, written, yield* Found.inStore)
    return {
      rate: sagas / seconds,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      commits: commits / sagas,
      rows: rows / sagas,
      cpu: (cpu.user + cpu.system) / sagas,
      appendsPerCommit: (written.appends - before.appends) / commits
    }
  })

  const app = tripLayer(job.steps, job.fails).pipe(
    Layer.provideMerge(SagaEngine.layer()),
    Layer.provideMerge(Stores.layer(job.store, written))
  )
  const measured = await Effect.runPromise(Effect.provide(program, app))
  const { file } = job.store
  if (file !== undefined) verify(job, started, written, Found.inFile(file))
  return {
    ...measured,
    bytes: file === undefined ? 0 : statSync(file).size / started,
    sample: written.sample
  }
}

/* A number that comes from less work than there was to do would be worse than none. */
const verify = (job: RunJob, started: number, written: Stores.Written, found: Found.Found): void => {
  const status = job.fails ? "Compensated" : "Completed"
  // The start, the steps, the end; where it is undone, also the decision and the compensations.
  const events = job.fails ? 2 * job.steps + 3 : job.steps + 2
  const expected = {
    [status]: started,
    events: started * events,
    written: started * events,
    actions: started * job.steps,
    compensations: job.fails ? started * job.steps : 0
  }
  const actual = {
    ...found.statuses,
    // Nobody can look at the events of a store in memory but one by one.
    events: found.events ?? expected.events,
    written: written.events,
    actions: done.actions,
    compensations: done.compensations
  }
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`Expected ${JSON.stringify(expected)}, found ${JSON.stringify(actual)}`)
  }
}
