import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { RequestAnswer } from "./desk.ts"
import type { ExecutionJournal } from "./executionJournal.ts"
import type { Haltable } from "./haltable.ts"
import type * as Progress from "./progress.ts"

/** What an execution may wait for that comes from outside: signals, and decisions of operators. */
export class Incoming {
  private readonly execution: Haltable
  private readonly journal: ExecutionJournal
  private signalWaiters: Array<{ readonly name: string; readonly wake: () => void }> | undefined = undefined
  private deciders: Map<string, () => void> | undefined = undefined

  constructor(execution: Haltable, journal: ExecutionJournal) {
    this.execution = execution
    this.journal = journal
  }

  /** Waits until a signal of this name arrives. */
  awaitSignal(name: string): Effect.Effect<void> {
    return this.execution.wait((resume) => {
      const waiter = { name, wake: () => resume(undefined) }
      const waiters = this.signalWaiters ??= []
      waiters.push(waiter)
      return () => {
        const index = waiters.indexOf(waiter)
        if (index >= 0) waiters.splice(index, 1)
      }
    })
  }

  /** The oldest signal of this name that nobody has been given. */
  nextSignal(name: string): Progress.Signal | undefined {
    return this.journal.progress.signals?.find((signal) => signal.name === name)
  }

  /** Takes a signal in. The effect returns when it is durable. */
  receive(name: string, value: Json, answer?: RequestAnswer): Effect.Effect<void> {
    this.journal.note({ ...this.journal.head("SignalReceived"), name, value }, undefined, answer)
    const received = this.journal.durable
    const waiters = this.signalWaiters ?? []
    const index = waiters.findIndex((waiter) => waiter.name === name)
    if (index >= 0) waiters.splice(index, 1)[0]!.wake()
    return received
  }

  /** Waits for the decision of an operator on the compensation of the step at `path`. */
  awaitDecision(path: string): Effect.Effect<Progress.Decided> {
    return Effect.suspend(() => {
      const decided = this.journal.progress.decisions?.get(path)
      return decided !== undefined ? Effect.succeed(decided) : Effect.andThen(
        this.execution.wait<void>((resume) => {
          const deciders = this.deciders ??= new Map()
          deciders.set(path, () => resume(undefined))
          return () => {
            deciders.delete(path)
          }
        }),
        this.awaitDecision(path)
      )
    })
  }

  /** Writes the decision of an operator down. The effect returns when it is durable. */
  decide(decision: Progress.Decision, answer?: RequestAnswer): Effect.Effect<void> {
    // The compensation starts when that is durable, whoever waits for it.
    this.journal.note(decision, undefined, answer)
    this.deciders?.get(decision.path)?.()
    return this.journal.durable
  }
}
