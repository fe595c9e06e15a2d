import { Effect, Exit, Fiber, Latch } from "effect"
import { done, effectActions, type Kind, promiseActions } from "./actions.ts"
import { heapUsed, turn } from "./heap.ts"
import { median } from "./statistics.ts"
import { type EffectVariant, effectVariants, type PromiseVariant, promiseVariants, type Variant } from "./variants.ts"

/*
 * Measures one variant, in a process of its own: the inline caches of V8 see the shapes of this variant only, as they do
 * in an application. The job comes as JSON in the first argument, the result goes to the standard output as JSON.
 */

export interface TimeJob {
  readonly task: "time"
  readonly variant: Variant
  readonly kind: Kind
  readonly fails: boolean
  readonly runner: "promise" | "sync"
  readonly sizes: ReadonlyArray<number>
  /** Milliseconds of the first warm-up, of that of each size, and of the measurement of each size. */
  readonly warmUp: number
  readonly warmUpEach: number
  readonly measure: number
}

/** Nanoseconds per saga, for each of the sizes. */
export type TimeResult = ReadonlyArray<number>

export interface MemoryJob {
  readonly task: "memory"
  readonly variant: EffectVariant
  readonly kind: Kind
  /** How many sagas are in flight at once, and how many steps of each are open then. */
  readonly sagas: number
  readonly steps: number
  readonly rounds: number
}

export interface MemoryResult {
  /** Bytes per saga in flight. */
  readonly inFlight: number
  /** Bytes in all by which the heap has grown when all sagas of all rounds have ended. */
  readonly left: number
}

type Run = () => unknown

const prepare = (job: TimeJob, size: number): Run => {
  if (job.variant in promiseVariants) {
    return promiseVariants[job.variant as PromiseVariant](promiseActions[job.kind], size, job.fails)
  }
  const variant = effectVariants[job.variant as EffectVariant]
  const effect: Effect.Effect<void, unknown> = variant(effectActions[job.kind], size, job.fails, Effect.void)
  return job.runner === "sync" ? () => Effect.runSyncExit(effect) : () => Effect.runPromiseExit(effect)
}

/* A number that comes from less work than the others did would be worse than none. */
const verify = async (run: Run, job: TimeJob, size: number): Promise<void> => {
  const before = { ...done }
  const failed = await Promise.resolve().then(run).then(
    (exit) => Exit.isExit(exit) && Exit.isFailure(exit),
    () => true
  )
  const expected = job.fails ? { reserved: size - 1, released: size - 1 } : { reserved: size, released: 0 }
  const actual = { reserved: done.reserved - before.reserved, released: done.released - before.released }
  if (failed !== job.fails || actual.reserved !== expected.reserved || actual.released !== expected.released) {
    throw new Error(
      `${job.variant} with ${size} steps: expected ${JSON.stringify(expected)}, found ${JSON.stringify(actual)}`
    )
  }
}

/* Milliseconds of processor time that this thread has used: what others do on the machine is not counted. */
const now = (): number => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1000
}

/** Runs for so long, and returns the mean: the garbage collections that a variant causes count as well. */
const runFor = async (run: Run, milliseconds: number, batch: number): Promise<number> => {
  const start = now()
  let runs = 0
  let end = start
  while (end - start < milliseconds) {
    for (let index = 0; index < batch; index++) {
      try {
        const result = run()
        if (result instanceof Promise) await result
      } catch {
        // The forms without Effect reject.
      }
    }
    runs += batch
    end = now()
  }
  return (end - start) / runs
}

const measureTime = async (job: TimeJob): Promise<TimeResult> => {
  const first = prepare(job, 10)
  await verify(first, job, 10)
  await runFor(first, job.warmUp, 10)
  const means: Array<number> = []
  for (const size of job.sizes) {
    const run = prepare(job, size)
    await verify(run, job, size)
    // Looking at the clock should cost nothing, and the last batch not overrun the time by much.
    const batch = Math.max(1, Math.round(1000 / size))
    await runFor(run, job.warmUpEach, batch)
    globalThis.gc!()
    const windows: Array<number> = []
    for (let window = 0; window < 5; window++) windows.push(await runFor(run, job.measure / 5, batch))
    means.push(median(windows) * 1e6)
  }
  return means
}

/* Every second saga fails, so what is left is what both ends leave. */
const holdAndEnd = async (job: MemoryJob, empty: number): Promise<number> => {
  const latch = Latch.makeUnsafe(false)
  let arrived = 0
  const wait = Effect.suspend(() => {
    arrived++
    return latch.await
  })
  const variant = effectVariants[job.variant]
  const actions = effectActions[job.kind]
  const succeeding: Effect.Effect<void, unknown> = variant(actions, job.steps, false, wait)
  const failing: Effect.Effect<void, unknown> = variant(actions, job.steps + 1, true, wait)
  const fibers = Array.from({ length: job.sagas }, (_, index) => Effect.runFork(index % 2 === 0 ? succeeding : failing))
  while (arrived < job.sagas) await turn()
  const full = await heapUsed(2)
  latch.openUnsafe()
  const exits = await Effect.runPromise(Fiber.awaitAll(fibers))
  const failed = exits.filter(Exit.isFailure).length
  if (failed !== Math.floor(job.sagas / 2)) throw new Error(`${job.variant}: ${failed} of ${job.sagas} sagas failed`)
  return (full - empty) / job.sagas
}

const measureMemory = async (job: MemoryJob): Promise<MemoryResult> => {
  // The first round fills caches and compiles code, which stays.
  await holdAndEnd(job, 0)
  const before = await heapUsed(6)
  const samples: Array<number> = []
  let empty = before
  for (let round = 0; round < job.rounds; round++) {
    samples.push(await holdAndEnd(job, empty))
    empty = await heapUsed(6)
  }
  return { inFlight: median(samples), left: empty - before }
}

const job = JSON.parse(process.argv[2]!) as TimeJob | MemoryJob
const result: TimeResult | MemoryResult = job.task === "time" ? await measureTime(job) : await measureMemory(job)
process.stdout.write(JSON.stringify(result))
