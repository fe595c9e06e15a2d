import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { DecisionBy } from "./decisions.ts"
import type { RequestAnswer } from "./desk.ts"
import type { ExecutionJournal } from "./executionJournal.ts"
import type { Haltable } from "./haltable.ts"
import type * as Progress from "./progress.ts"

interface SignalWaiter {
  readonly name: string
  readonly misfit: Misfit
  readonly wake: () => void
}

/** Why a value does not fit what is waited for; undefined where it fits, or nobody can tell. */
type Misfit = (value: Json) => string | undefined

/** What an execution may wait for that comes from outside: signals, and decisions of operators. */
export class Incoming {
  private readonly execution: Haltable
  private readonly journal: ExecutionJournal
  private signalWaiters: Array<SignalWaiter> | undefined = undefined
  private deciders: Map<string, () => void> | undefined = undefined
  /** The steps whose resolutions have been looked at, and who waits for others. */
  private judged: Set<string> | undefined = undefined
  private judging: Set<() => void> | undefined = undefined

  constructor(execution: Haltable, journal: ExecutionJournal) {
    this.execution = execution
    this.journal = journal
  }

  /** Waits until a signal of this name arrives. */
  awaitSignal(name: string, misfit: Misfit): Effect.Effect<void> {
    return this.execution.wait((resume) => {
      const waiter: SignalWaiter = { name, misfit, wake: () => resume(undefined) }
      const waiters = this.signalWaiters ??= []
      waiters.push(waiter)
      return () => {
        const index = waiters.indexOf(waiter)
        if (index >= 0) waiters.splice(index, 1)
      }
    })
  }

  /** Why whoever waits for a signal of this name can't take this value. */
  misfitOf(name: string, value: Json): string | undefined {
    return this.signalWaiters?.find((waiter) => waiter.name === name)?.misfit(value)
  }

  /** The oldest signal of this name that nobody has been given. */
  nextSignal(name: string): Progress.Signal | undefined {
    return this.journal.progress.signals?.find((signal) => signal.name === name)
  }

  /** Takes a signal in. The effect returns when it is durable. */
  receive(name: string, value: Json, by: DecisionBy, answer?: RequestAnswer): Effect.Effect<void> {
    this.journal.note({ ...this.journal.head("SignalReceived"), name, value, ...by }, undefined, answer)
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

  /** Says that the value which an operator has given for the step at `path` was taken, or refused. */
  judge(path: string): void {
    ;(this.judged ??= new Set()).add(path)
    for (const look of this.judging ?? []) look()
  }

  /** Waits until the value which an operator has given for the step at `path` was taken or refused, or never will be. */
  awaitJudgement(path: string): Effect.Effect<void> {
    return Effect.ignoreCause(this.execution.wait<void>((resume) => {
      const judging = this.judging ??= new Set()
      const look = () => {
        if (this.judged?.has(path) !== true) return
        judging.delete(look)
        resume(undefined)
      }
      judging.add(look)
      look()
      return () => {
        judging.delete(look)
      }
    }))
  }
}
