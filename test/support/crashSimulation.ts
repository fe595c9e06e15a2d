/*
 * Processes that run in one thread on virtual time, and can be killed between any two of their tasks.
 *
 * 1. All that a process does it does in tasks of the simulation, one after another, so a run is the same each time.
 * 2. A process that was killed does nothing any more: its tasks and timers are dropped where they stand, its finalizers
 *    don't run. What it had sent to others is no longer its own.
 * 3. Time stands still while anybody has something to do, and then goes on to the next timer.
 */
import { Clock, Context, Duration, Effect, Exit, Fiber, Logger, References, Scheduler } from "effect"

interface Timer {
  readonly at: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

/** Cancels what was planned. */
export type Cancel = () => void

const aLot = 50_000

export class Simulation {
  now = 1_000_000
  /** How many tasks have run. */
  steps = 0
  readonly processes: Array<Process> = []
  private tasks: Array<() => void> = []
  /** Ascending by time. */
  private readonly timers: Array<Timer> = []
  private timersMade = 0

  /** Starts a process. */
  start(): Process {
    const process = new Process(this, this.processes.length)
    this.processes.push(process)
    return process
  }

  /** Has `run` called after `millis`. */
  after(millis: number, run: () => void): Cancel {
    const timer: Timer = { at: this.now + millis, order: this.timersMade++, run, cancelled: false }
    let low = 0
    let high = this.timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.timers[middle]!.at <= timer.at) low = middle + 1
      else high = middle
    }
    this.timers.splice(low, 0, timer)
    return () => {
      timer.cancelled = true
    }
  }

  enqueue(task: () => void): void {
    this.tasks.push(task)
  }

  /** Runs until `done`, until there is nothing to do, or until the time has come to `end`. */
  run(done: () => boolean, end: number): "done" | "idle" | "late" {
    for (let index = 0; !done();) {
      if (index < this.tasks.length) {
        if (++this.steps > aLot) return "late"
        this.tasks[index++]!()
        continue
      }
      this.tasks = []
      index = 0
      const timer = this.timers.shift()
      if (timer === undefined) return "idle"
      if (timer.cancelled) continue
      if (timer.at > end) return "late"
      this.now = Math.max(this.now, timer.at)
      this.steps++
      timer.run()
    }
    return "done"
  }
}

export class Process {
  readonly number: number
  isAlive = true
  /** What it has logged. */
  readonly log: Array<string> = []
  /** How many tasks it has run. */
  steps = 0
  /** Called before each task. */
  beforeTask: (() => void) | undefined = undefined
  readonly simulation: Simulation
  private readonly context: Context.Context<never>

  constructor(simulation: Simulation, number: number) {
    this.simulation = simulation
    this.number = number
    this.context = Context.make(Scheduler.Scheduler, schedulerOf(this)).pipe(
      Context.add(Clock.Clock, clockOf(this)),
      Context.add(
        Logger.CurrentLoggers,
        new Set([Logger.make(({ message }) => {
          this.log.push(Array.isArray(message) ? message.map(String).join(" ") : String(message))
        })])
      ),
      Context.add(References.MinimumLogLevel, "Info")
    )
  }

  run<A, E>(effect: Effect.Effect<A, E>, ended: (exit: Exit.Exit<A, E>) => void = () => {}): Fiber.Fiber<A, E> {
    const fiber = Effect.runForkWith(this.context)(effect)
    fiber.addObserver(ended)
    return fiber
  }

  enqueue(task: () => void): void {
    this.simulation.enqueue(() => {
      if (!this.isAlive) return
      this.steps++
      this.beforeTask?.()
      if (this.isAlive) task()
    })
  }

  /** Has `run` called after `millis`, if the process is alive then. */
  after(millis: number, run: () => void): Cancel {
    return this.simulation.after(millis, () => this.enqueue(run))
  }

  kill(): void {
    this.isAlive = false
  }
}

const schedulerOf = (process: Process): Scheduler.Scheduler => ({
  executionMode: "async",
  shouldYield: (fiber) => fiber.currentOpCount >= 2048,
  makeDispatcher: () => ({
    scheduleTask: (task) => process.enqueue(task),
    flush: () => {}
  })
})

const clockOf = (process: Process): Clock.Clock => {
  const { simulation } = process
  const millis = () => simulation.now
  const nanos = () => BigInt(simulation.now) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback((resume) => {
        const cancel = process.after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }
}

/** Numbers from 0 to 1 that are the same for the same seed. */
export const randomNumbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A number that stands for a text. */
export const hash = (text: string): number => {
  let value = 2_166_136_261
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 16_777_619)
  return value >>> 0
}
