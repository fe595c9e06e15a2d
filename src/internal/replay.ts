import * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import { compensationKey } from "./progress.ts"

/*
 * What a recovered execution is given again.
 *
 * 1. A result (the outcome of a step or a compensation, a timer that fired, a signal, a child, a value) is handed out in the order of
 *    the journal, so whatever was first then is first now: a race has the same winner, the stack the same order.
 * 2. Before a result is handed out, everything has been asked for that had been asked for by then. So nobody is
 *    interrupted by a failure earlier than in the first run.
 * 3. An action that had started and has no result is running again, as far as its saga can tell, from when it is asked for:
 *    nothing is undone without it. It does run when the replay is done.
 * 4. All else starts when the replay is done, too. Until then nothing new has any effect, and a journal that does not fit
 *    the code is noticed before it can do harm.
 */

type Tag =
  | "StepSucceeded"
  | "StepFailed"
  | "TimerFired"
  | "SignalConsumed"
  | "ValueRecorded"
  | "ChildFinished"
  | "CompensationSucceeded"
  | "CompensationFailed"

export type ResultEvent = Extract<JournalEvent, { readonly _tag: Tag }>

/** What the code has to ask for again. */
interface Asked {
  readonly key: string
  /** How many results had been handed out when it was asked for. */
  readonly after: number
  asked: boolean
}

/** What had started and has no result. */
export interface Unfinished extends Asked {
  /** Whether an attempt was running: not while a step waits for the next one. */
  readonly inDoubt: boolean
}

export interface Recorded extends Asked {
  readonly event: ResultEvent
  /** Of a step that an operator has resolved: how it, and then the saga, had failed. */
  readonly resolved?: { readonly step: StepFailed; readonly saga: Json }
  /** Undefined where nobody waits for it, or not any more. */
  handOut: (() => void) | undefined
}

export class Replay {
  private readonly recorded = new Map<string, Recorded>()
  private readonly unfinished = new Map<string, Unfinished>()
  private readonly order: ReadonlyArray<Recorded>
  /** Ascending by `after`. */
  private readonly byAsking: ReadonlyArray<Asked>
  private nextAsked = 0
  private advancing = false
  private readonly holding = new Map<() => void, string>()
  private whenDone: (() => void) | undefined = undefined
  private readonly reaching: Array<{ readonly given: number; readonly reached: () => void }> = []
  private whenBodyDone: (() => void) | undefined
  private scheduled = false
  private readonly decodes: boolean
  private unsettled = false
  /** By scope: how many results came before the decision to undo it. */
  private readonly unwinds: ReadonlyMap<string, number>
  /** What compensations were given. It is handed out at once, also when the replay is done. */
  readonly inCompensations: Map<string, ResultEvent>
  /** What compensations had started and were not given. */
  readonly unfinishedInCompensations = new Map<string, Unfinished>()
  /** How many results have been handed out. */
  given = 0
  /** Grows with everything that is asked for. */
  asked = 0
  /** Whether all results have been handed out, and everything that was running runs again. */
  done = false

  /**
   * With `decodes`, results have to be decoded by an effect: the next one is handed out when `settled` says that the last
   * one has been, so that it can't overtake it.
   */
  constructor(events: ReadonlyArray<JournalEvent>, decodes: boolean) {
    this.decodes = decodes
    const { order, unfinished, unordered, unwinds } = askedIn(events)
    this.order = order
    this.unwinds = unwinds
    for (const one of order) this.recorded.set(one.key, one)
    this.inCompensations = new Map(unordered.map(({ event, key }) => [key, event]))
    for (const one of unfinished) (isOrdered(one) ? this.unfinished : this.unfinishedInCompensations).set(one.key, one)
    this.byAsking = [...order, ...this.unfinished.values()].toSorted((one, other) => one.after - other.after)
    this.advance()
  }

  /** Whether the body of the saga has been given all that it had before it was undone. */
  get bodyDone(): boolean {
    const end = this.unwinds.get("")
    // With the last result the body may have ended before `done` is set.
    return end === undefined ? this.given === this.order.length && this.hasAskedAll() : this.given >= end
  }

  get(key: string): Recorded | undefined {
    return this.recorded.get(key)
  }

  unfinishedAt(key: string): Unfinished | undefined {
    return this.unfinished.get(key)
  }

  /** What nobody has asked for, in the order in which it was asked for then. */
  get unasked(): ReadonlyArray<string> {
    return this.byAsking.filter((one) => !one.asked).map(({ key }) => key)
  }

  /** What waits for the replay to end. */
  get held(): ReadonlyArray<string> {
    return Array.from(this.holding.values())
  }

  /** Calls `handOut` when it is the turn of this result. */
  ask(recorded: Recorded, handOut: () => void): void {
    recorded.handOut = handOut
    this.mark(recorded)
  }

  /** Says that what had been running runs again. */
  askUnfinished(key: string): void {
    const unfinished = this.unfinished.get(key)
    if (unfinished !== undefined) this.mark(unfinished)
  }

  /* Who asks goes on before anybody is given anything: those that it wakes must not overtake it. */
  private mark(one: Asked): void {
    one.asked = true
    this.asked++
    this.schedule()
  }

  /** Says that the result that was handed out last has been decoded. */
  settled(): void {
    if (!this.unsettled) return
    this.unsettled = false
    this.schedule()
  }

  private schedule(): void {
    if (this.advancing || this.scheduled) return
    this.scheduled = true
    Fiber.getCurrent()!.currentDispatcher.scheduleTask(() => {
      this.scheduled = false
      this.advance()
    }, 0)
  }

  /** Calls `reached` when everything has been handed out that came before the decision to undo `scope`. */
  onUnwind(scope: string, reached: () => void): void {
    const given = this.unwinds.get(scope) ?? 0
    if (this.given >= given && !this.advancing) reached()
    else this.reaching.push({ given, reached })
  }

  /** Calls `release` when the replay is done. The result stops that. */
  hold(path: string, release: () => void): () => void {
    if (this.done) {
      release()
      return () => {}
    }
    this.holding.set(release, path)
    return () => {
      this.holding.delete(release)
    }
  }

  /** Calls `f` when the replay is done, before whatever waits for that goes on. */
  onDone(f: () => void): void {
    if (this.done) f()
    else this.whenDone = f
  }

  /** Calls `f` once the body has been given all that it had. */
  onBodyDone(f: () => void): void {
    if (this.bodyDone) f()
    else this.whenBodyDone = f
  }

  private advance(): void {
    // Whoever is given a result runs at once, and asks for the next one while this one is handed out.
    if (this.advancing || this.done) return
    this.advancing = true
    while (this.given < this.order.length && !this.unsettled) {
      const next = this.order[this.given]!
      if (!next.asked || !this.hasAskedAll()) break
      this.given++
      if (next.handOut === undefined) continue
      this.unsettled = this.decodes
      next.handOut()
    }
    this.done = this.given === this.order.length && !this.unsettled && this.hasAskedAll()
    this.advancing = false
    if (this.done) this.whenDone?.()
    for (const waiting of this.reaching.splice(0)) {
      if (this.given >= waiting.given) waiting.reached()
      else this.reaching.push(waiting)
    }
    if (this.bodyDone && this.whenBodyDone !== undefined) {
      const whenBodyDone = this.whenBodyDone
      this.whenBodyDone = undefined
      whenBodyDone()
    }
    if (!this.done) return
    for (const release of Array.from(this.holding.keys())) {
      if (this.holding.delete(release)) release()
    }
  }

  private hasAskedAll(): boolean {
    const { byAsking } = this
    while (this.nextAsked < byAsking.length && byAsking[this.nextAsked]!.after <= this.given) {
      if (!byAsking[this.nextAsked]!.asked) return false
      this.nextAsked++
    }
    return true
  }
}

/* What a compensation waited for is asked for again only where that compensation runs again. */
const isOrdered = ({ after }: { readonly after: number }): boolean => after >= 0

const askedIn = (
  events: ReadonlyArray<JournalEvent>
): {
  readonly order: ReadonlyArray<Recorded>
  readonly unordered: ReadonlyArray<Recorded>
  readonly unfinished: ReadonlyArray<Unfinished>
  readonly unwinds: ReadonlyMap<string, number>
} => {
  let order: Array<Recorded> = []
  const unordered: Array<Recorded> = []
  const unwinds = new Map<string, number>()
  let parked: Extract<JournalEvent, { readonly _tag: "Parked" }> | undefined
  const running = new Map<string, Unfinished>()
  const started = (key: string, after: number, inDoubt = true) =>
    running.set(key, { key, after, asked: false, inDoubt })
  const add = (key: string, event: ResultEvent) => {
    const recorded = { key, event, after: event.after, asked: false, handOut: undefined }
    if (isOrdered(recorded)) order.push(recorded)
    else unordered.push(recorded)
  }
  for (const event of events) {
    switch (event._tag) {
      case "StepStarted":
      case "ChildStarted":
        started(event.path, event.after)
        break
      case "AttemptFailed":
        started(event.path, running.get(event.path)?.after ?? order.length, false)
        break
      case "WaitInterrupted":
        running.delete(event.path)
        break
      case "StepSucceeded":
      case "StepFailed":
      case "TimerFired":
      case "SignalConsumed":
      case "ValueRecorded":
      case "ChildFinished":
        running.delete(event.path)
        add(event.path, event)
        break
      case "CompensationSucceeded":
      case "CompensationFailed":
        add(compensationKey(event.path), event)
        break
      case "UnwindStarted":
        unwinds.set(event.scope, order.length)
        break
      case "Parked":
        parked = event
        break
      case "Retried":
        if (parked?.kind === "FailedAfterPivot") order = without(order, parked.steps)
        break
      case "Resolved":
        if (parked?.kind === "FailedAfterPivot") order = resolve(order, event.path, event.value, parked.cause)
        break
    }
    // With the event that was written last before them.
    for (const [path, after] of event.starts ?? []) started(path, after)
  }
  return {
    order,
    unordered,
    unfinished: Array.from(running.values()),
    unwinds
  }
}

/* The failures that a retry is to forget. What was asked for after them keeps its place among the others. */
const without = (order: ReadonlyArray<Recorded>, steps: ReadonlyArray<string>): Array<Recorded> => {
  const isForgotten = (one: Recorded) => failureOf(one) !== undefined && steps.includes(one.event.path)
  const forgottenBefore = [0]
  for (const one of order) forgottenBefore.push(forgottenBefore.at(-1)! + (isForgotten(one) ? 1 : 0))
  return order
    .filter((one) => !isForgotten(one))
    .map((one) => ({ ...one, after: one.after - (forgottenBefore[one.after] ?? forgottenBefore.at(-1)!) }))
}

const resolve = (order: ReadonlyArray<Recorded>, path: string, value: Json, saga: Json): Array<Recorded> =>
  order.map((one) => {
    const failure = failureOf(one)
    if (failure === undefined || failure.path !== path) return one
    const { cause: _cause, ...step } = failure
    return { ...one, event: { ...step, _tag: "StepSucceeded", value }, resolved: { step: failure, saga } }
  })

const failureOf = ({ event, resolved }: Recorded): StepFailed | undefined =>
  event._tag === "StepFailed" ? event : resolved?.step

type StepFailed = Extract<JournalEvent, { readonly _tag: "StepFailed" }>
