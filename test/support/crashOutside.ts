/*
 * The services that the steps of a saga call: they take effect once for each idempotency key, and remember everything
 * that they were asked for. A request takes a while to arrive, and its answer to come back, and who asked may be dead by
 * then.
 */
import { Effect } from "effect"
import type { Process, Simulation } from "./crashSimulation.ts"

/** What a service is asked for. */
export interface Request {
  readonly what: "do" | "undo"
  /** The idempotency key of the step. */
  readonly key: string
  readonly attempt: number
}

/** What a service does with a request, besides answering. */
export type Answer =
  | { readonly _tag: "Succeeds" }
  | { readonly _tag: "Fails"; readonly error: string; readonly takesEffect: boolean }
  | { readonly _tag: "Dies"; readonly defect: string }
  | { readonly _tag: "Keeps silent" }

/** What became of one key. */
export interface Account {
  done: boolean
  undone: boolean
}

/** What becomes of the requests that were under way when their process was killed. */
export type Fate = "lost" | "late"

export class Outside {
  readonly accounts = new Map<string, Account>()
  /** The effects, in order: each key at most once as `do`, and once as `undo`. */
  readonly effects: Array<Request> = []
  /** All requests that were made, in order. */
  readonly requests: Array<Request & { readonly process: number; readonly at: number }> = []
  /** What a well-behaved saga does not ask for. */
  readonly complaints: Array<string> = []
  private readonly underWay = new Set<{ readonly process: Process; readonly arrive: () => void; cancel: () => void }>()
  private readonly simulation: Simulation
  private readonly answer: (request: Request) => Answer
  private readonly delay: (request: Request) => number

  constructor(simulation: Simulation, options: {
    readonly answer: (request: Request) => Answer
    /** How long a request takes to arrive, in milliseconds. */
    readonly delay: (request: Request) => number
  }) {
    this.simulation = simulation
    this.answer = options.answer
    this.delay = options.delay
  }

  account(key: string): Account {
    let account = this.accounts.get(key)
    if (account === undefined) this.accounts.set(key, account = { done: false, undone: false })
    return account
  }

  /** Asks for something, from within `process`. */
  ask(process: Process, request: Request): Effect.Effect<void, string> {
    return Effect.callback((resume) => {
      this.requests.push({ ...request, process: process.number, at: this.simulation.now })
      // As of now: a request that is late is not taken for one that was made later.
      const answer = this.answer(request)
      const answered = (answer: Answer) => {
        switch (answer._tag) {
          case "Succeeds":
            return resume(Effect.void)
          case "Fails":
            return resume(Effect.fail(answer.error))
          case "Dies":
            return resume(Effect.die(answer.defect))
          case "Keeps silent":
            return
        }
      }
      const sent = {
        process,
        arrive: () => {
          this.underWay.delete(sent)
          this.receive(request, answer)
          process.after(1, () => answered(answer))
        },
        cancel: () => {}
      }
      this.underWay.add(sent)
      sent.cancel = this.simulation.after(this.delay(request), sent.arrive)
    })
  }

  /** What `process` has sent, and has not arrived, never arrives, or only after a while. */
  abandon(process: Process, fate: Fate, lateness: number): void {
    for (const sent of Array.from(this.underWay)) {
      if (sent.process !== process) continue
      sent.cancel()
      if (fate === "late") this.simulation.after(lateness, sent.arrive)
      else this.underWay.delete(sent)
    }
  }

  private receive(request: Request, answer: Answer): void {
    if (answer._tag === "Dies" || (answer._tag === "Fails" && !answer.takesEffect)) return
    this.assume(request)
  }

  /** Has it take effect, if it has not. */
  assume(request: Request): void {
    const account = this.account(request.key)
    if (request.what === "do" ? account.done : account.undone || !account.done) return
    if (request.what === "do") account.done = true
    else account.undone = true
    this.effects.push(request)
  }
}
