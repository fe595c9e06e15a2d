import { Effect, Layer } from "effect"
import { SagaEngine, SagaStore } from "effect-saga"
import { writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { heapUsed } from "../heap.ts"
import * as Found from "./found.ts"
import { DelayedTrip, done, Go, SignalledTrip, waitingLayer } from "./sagas.ts"

/*
 * Very many executions that wait at once: for a signal, through the death of their process, or for a timer.
 */

/** Starts executions that wait for a signal, and is killed when all of them do. */
export interface StartJob {
  readonly task: "start"
  readonly file: string
  readonly executions: number
}

/** What is held while all of them wait. */
export interface Held {
  /** Bytes of heap for each of them. */
  readonly each: number
  /** Bytes of the process, now and at most until now. */
  readonly rss: number
  readonly peakRss: number
}

export interface StartResult extends Held {
  /** Seconds until all of them were waiting. */
  readonly seconds: number
}

/** Goes on with them, and sends each its signal. */
export interface RecoverJob {
  readonly task: "recover"
  readonly file: string
  readonly executions: number
}

export interface RecoverResult extends Held {
  /** Seconds from the start of the engine until all of them wait again. */
  readonly recovered: number
  /** Seconds from the first signal until all of them have completed. */
  readonly woken: number
  /** Bytes by which the heap has grown when all of them have ended. */
  readonly left: number
}

/** Starts executions that wait for a timer, all until the same time. */
export interface TimersJob {
  readonly task: "timers"
  readonly file: string
  readonly executions: number
  /** Milliseconds from the first start to that time. */
  readonly due: number
}

export interface TimersResult extends Held {
  readonly seconds: number
  readonly woken: number
  readonly left: number
  /** Whether a timer fired before all of them were waiting, so that nothing was measured. */
  readonly early: boolean
}

const atOnce = 128

export const start = (job: StartJob): Promise<never> =>
  withEngine(
    job.file,
    Effect.gen(function*() {
      const empty = yield* heap
      const from = performance.now()
      yield* forAll(job.executions, (id) => SignalledTrip.start({ id }))
      yield* until(job.file, "Waiting", job.executions)
      const seconds = since(from)
      verify({ actions: job.executions, waiting: job.executions, woken: 0 })
      const result: StartResult = { seconds, ...yield* held(empty, job.executions) }
      writeSync(1, JSON.stringify(result))
      process.kill(process.pid, "SIGKILL")
      return yield* Effect.never
    })
  )

export const recover = async (job: RecoverJob): Promise<RecoverResult> => {
  const empty = await heapUsed(6)
  const from = performance.now()
  const result = await withEngine(
    job.file,
    Effect.gen(function*() {
      while (done.waiting < job.executions) yield* Effect.sleep(10)
      const recovered = since(from)
      const memory = yield* held(empty, job.executions)
      const start = performance.now()
      yield* forAll(job.executions, (id) => SignalledTrip.signal(SignalledTrip.executionId({ id }), Go, undefined))
      yield* until(job.file, "Completed", job.executions)
      return { recovered, woken: since(start), left: (yield* heap) - empty, ...memory }
    })
  )
  // Nothing that was recorded has been done again.
  verify({ actions: 0, waiting: job.executions, woken: job.executions })
  // Its start, its step, the wait for the signal, the signal, what became of the wait, its end.
  verifyFile(job.file, job.executions, 6)
  return result
}

export const timers = async (job: TimersJob): Promise<TimersResult> => {
  const result = await withEngine(
    job.file,
    Effect.gen(function*() {
      const empty = yield* heap
      const from = performance.now()
      const due = from + job.due
      yield* forAll(job.executions, (id) => DelayedTrip.start({ id, millis: Math.max(0, due - performance.now()) }))
      while (done.waiting < job.executions) yield* Effect.sleep(10)
      const seconds = since(from)
      const memory = yield* held(empty, job.executions)
      const early = done.woken > 0
      yield* Effect.sleep(Math.max(0, due - performance.now()))
      yield* until(job.file, "Completed", job.executions)
      return { seconds, woken: since(due), left: (yield* heap) - empty, early, ...memory }
    })
  )
  verify({ actions: job.executions, waiting: job.executions, woken: job.executions })
  // Its start, its step, the timer, what became of that, its end.
  verifyFile(job.file, job.executions, 5)
  return result
}

const withEngine = <A, E>(file: string, self: Effect.Effect<A, E, SagaEngine.SagaEngine>): Promise<A> =>
  Effect.runPromise(Effect.provide(
    self,
    waitingLayer.pipe(
      Layer.provideMerge(SagaEngine.layer()),
      Layer.provide(SagaStore.layerSqlite({ filename: file }))
    )
  ))

const forAll = <E, R>(executions: number, f: (id: string) => Effect.Effect<unknown, E, R>): Effect.Effect<void, E, R> =>
  Effect.forEach(Array.from({ length: executions }, (_, index) => `trip-${index + 1}`), f, {
    concurrency: atOnce,
    discard: true
  })

/* Looks at the file itself: what the engine believes is not what is measured. */
const until = (file: string, status: string, executions: number): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new DatabaseSync(file, { readOnly: true })),
    (database) => {
      const count = database.prepare("SELECT count(*) AS count FROM executions WHERE status = ?")
      return Effect.gen(function*() {
        while (Number(count.get(status)!["count"]) < executions) yield* Effect.sleep(50)
      })
    },
    (database) => Effect.sync(() => database.close())
  )

const since = (start: number): number => (performance.now() - start) / 1000

const heap: Effect.Effect<number> = Effect.promise(() => heapUsed(6))

/* A collection of a full heap takes seconds. */
const held = (empty: number, executions: number): Effect.Effect<Held> =>
  Effect.map(Effect.promise(() => heapUsed(2)), (full) => ({
    each: (full - empty) / executions,
    rss: process.memoryUsage().rss,
    peakRss: process.resourceUsage().maxRSS * 1024
  }))

const verify = (expected: Pick<typeof done, "actions" | "waiting" | "woken">): void => {
  const { actions, waiting, woken } = done
  const actual = { actions, waiting, woken }
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`Expected ${JSON.stringify(expected)}, found ${JSON.stringify(actual)}`)
  }
}

const verifyFile = (file: string, executions: number, eventsEach: number): void => {
  const found = Found.inFile(file)
  if (found.statuses["Completed"] !== executions || found.events !== executions * eventsEach) {
    throw new Error(`Expected ${executions} completed with ${eventsEach} events each, found ${JSON.stringify(found)}`)
  }
}
