import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { CauseCodec } from "./codec.ts"
import type { DecisionBy } from "./decisions.ts"
import type { Definition, PayloadCodec } from "./definition.ts"
import { pathOf } from "./log.ts"
import * as Progress from "./progress.ts"
import { causeLine } from "./render.ts"
import { Replay, type ResultEvent, type Unfinished } from "./replay.ts"
import { type Entry, Frame, type Item, type Journal, type Keeping } from "./run.ts"
import type { Append, ExecutionRecord } from "./store.ts"
import type { Ticket } from "./writer.ts"

/*
 * An execution that runs in this process: the journal of its saga.
 *
 * 1. Every event is applied to the state and queued for the store in one synchronous block, so the state, the order of
 *    the journal and the order of the log of the saga can't differ. Code between steps goes on at once; the next action or
 *    compensation starts, and a result is told, when all events before it are durable.
 * 2. A recovered execution runs its body again. Results come from the replay until it is done; nothing else starts.
 * 3. An execution halts, without being undone, when its engine stops, its store is lost, or its code does not fit. What
 *    ran then may still write how it ended, as long as the store is there; nothing else starts.
 */

/** What an execution needs of its engine. */
export interface Host {
  readonly codec: PayloadCodec | undefined
  /** Queues an append. */
  readonly write: (ticket: Ticket) => void
  /** Starts a child, or joins it, and waits for its end. */
  readonly runChild: (child: ChildCall, parent: Execution) => Effect.Effect<ResultOfChild>
  readonly cancelChild: (id: string) => Effect.Effect<void>
  /** Cancels the children of an execution that run, and waits for their ends. */
  readonly cancelChildren: (parent: string) => Effect.Effect<void>
  /** How long a replay may wait for what the code does not ask for. */
  readonly stallMillis: number
}

export interface ChildCall {
  readonly id: string
  readonly definition: string
  readonly version: number
  readonly payload: Json
}

export type ResultOfChild = Pick<
  Extract<JournalEvent, { readonly _tag: "ChildFinished" }>,
  "status" | "cancelled" | "result"
>

const results: ReadonlySet<JournalEvent["_tag"]> = new Set<ResultEvent["_tag"]>([
  "StepSucceeded",
  "StepFailed",
  "TimerFired",
  "SignalConsumed",
  "ValueRecorded",
  "ChildFinished",
  "CompensationSucceeded",
  "CompensationFailed"
])

export class Execution implements Journal {
  readonly key: number
  readonly progress: Progress.Progress
  readonly definition: Definition
  readonly host: Host
  readonly clock: Clock.Clock
  halted = false
  /** How the outermost saga ended; known when its body, and its undoing, have ended. */
  outcome: "Completed" | "Compensated" | "Failed" | undefined = undefined
  /** Whether the store will not take anything any more. */
  isLost = false
  private replay: Replay | undefined = undefined
  /** Whether it had begun in another process, or before an engine was started anew. */
  private isRecovered = false
  private replayMoved = -1
  private inCompensations: ReadonlyMap<string, ResultEvent> | undefined = undefined
  private unfinishedInCompensations: ReadonlyMap<string, Unfinished> | undefined = undefined
  private given = 0
  /** The last event, as long as it waits to be written. */
  private unwritten: Appended | undefined = undefined
  /** How many events are durable. */
  private writtenSequence: number
  private writtenWaiters: Array<{ readonly sequence: number; resume(written: boolean): void }> | undefined = undefined
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** What the store knows of it, or will know soon. */
  record: ExecutionRecord
  /** What waits uninterruptibly: a decision, a retry of a compensation. */
  private waiting: Set<() => void> | undefined = undefined
  private signalWaiters: Array<{ readonly name: string; readonly wake: () => void }> | undefined = undefined
  private openedReasons: Map<string, Json> | undefined = undefined
  private deciders: Map<string, () => void> | undefined = undefined

  constructor(options: {
    readonly record: ExecutionRecord
    readonly definition: Definition
    readonly host: Host
    readonly clock: Clock.Clock
    readonly events: ReadonlyArray<JournalEvent>
    /** Whether the store has these events already. */
    readonly stored: boolean
  }) {
    this.key = options.record.key
    this.record = options.record
    this.definition = options.definition
    this.host = options.host
    this.clock = options.clock
    this.progress = Progress.fromEvents(options.events)
    this.writtenSequence = options.stored ? this.progress.sequence : 0
    if (!options.stored) return
    this.isRecovered = true
    const replay = this.replay = new Replay(options.events, options.host.codec !== undefined)
    if (replay.inCompensations.size > 0) this.inCompensations = replay.inCompensations
    if (replay.unfinishedInCompensations.size > 0) this.unfinishedInCompensations = replay.unfinishedInCompensations
    replay.onDone(() => {
      this.given = replay.given
      this.replay = undefined
    })
  }

  get id(): string {
    return this.progress.started.id
  }

  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** Whether it has started to be undone as a whole. */
  get isUnwinding(): boolean {
    return this.progress.unwinds?.has("") === true
  }

  /** Lets `fiber` be interrupted when the execution is cancelled, or is known to be undone. */
  attach(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.fiber = fiber
    const { replay } = this
    if (replay === undefined) {
      if (this.progress.cancelled && !this.isUnwinding) fiber.interruptUnsafe()
    } else {
      // The body gets time to fail as it did before.
      replay.onBodyDone(() => {
        Effect.runForkWith(Context.add(this.definition.context, Clock.Clock, this.clock))(
          Effect.andThen(
            Effect.repeat(Effect.yieldNow, { times: 2 }),
            Effect.sync(() => {
              if (this.progress.cancelled || this.isUnwinding) fiber.interruptUnsafe()
            })
          )
        )
      })
    }
  }

  /** Stops it here. It is not undone, and goes on from its journal when it is run again. */
  halt(): void {
    if (this.halted) return
    this.halted = true
    this.fiber?.interruptUnsafe()
    for (const wake of Array.from(this.waiting ?? [])) wake()
  }

  /** Asks it to cancel. Nothing that has started is interrupted but waits. Returns when that is durable. */
  cancel(decision: DecisionBy): Effect.Effect<void> {
    this.note({ ...this.head("CancelRequested"), ...decision })
    if (this.replay === undefined && !this.isUnwinding) this.fiber?.interruptUnsafe()
    return this.durable
  }

  /* ------------------------------------------------------------------------------------------------ the journal */

  isRecorded(path: string): boolean {
    return this.replay?.get(path) !== undefined || this.inCompensations?.has(path) === true
  }

  isStarted(path: string): boolean {
    return this.unfinished(path) !== undefined
  }

  hold(frame: Frame, path: string): Effect.Effect<void> | undefined {
    if (this.halted) return Effect.interrupt
    const { replay } = this
    const undone = this.undoneAround(frame)
    if (replay === undefined) {
      return undone !== undefined || (this.progress.cancelled && !isInCompensation(frame))
        ? Effect.interrupt
        : undefined
    }
    // It is refused, but not before all that came in before that has come in again.
    return undone !== undefined
      ? Effect.andThen(this.wait<void>((resume) => replay.onUnwind(undone, () => resume(undefined))), Effect.interrupt)
      : Effect.andThen(this.awaitReplay(path), Effect.suspend(() => this.hold(frame, path) ?? Effect.void))
  }

  /** As `hold`, for a wait, which a compensation may have, too. */
  holdWait(frame: Frame, path: string): Effect.Effect<void> | undefined {
    if (!frame.compensating) return this.hold(frame, path)
    return this.replay === undefined ? undefined : this.awaitReplay(path)
  }

  /* The innermost place around `frame` of which it is decided that it is undone. What a compensation does is not refused. */
  private undoneAround(frame: Frame): string | undefined {
    const { unwinds } = this.progress
    if (unwinds === undefined) return undefined
    for (let around: Frame | undefined = frame; around !== undefined && !around.compensating; around = around.parent) {
      if (unwinds.has(around.path)) return around.path
    }
    return undefined
  }

  isUndone(frame: Frame): boolean {
    const { cancelled, committed, unwinds } = this.progress
    return unwinds?.has(frame.path) === true || (cancelled && !committed && frame.parent === undefined)
  }

  reasonOf(frame: Frame, cause: Cause.Cause<unknown>): Cause.Cause<unknown> {
    const unwind = this.progress.unwinds?.get(frame.path)
    // A body that failed by itself has failed as it did before; one that was stopped did not get that far.
    if (unwind === undefined || !Cause.hasInterruptsOnly(cause)) return cause
    const recorded = this.definition.cause.decode(this.openedReasons?.get(frame.path) ?? unwind.cause)
    return Exit.isSuccess(recorded) ? recorded.value : cause
  }

  /** Opens what `reasonOf` may be asked for. */
  readonly openReasons: Effect.Effect<void> = Effect.suspend(() => {
    const { unwinds } = this.progress
    if (unwinds === undefined) return Effect.void
    const opened = this.openedReasons = new Map<string, Json>()
    return Effect.forEach(
      Array.from(unwinds),
      ([scope, { cause }]) =>
        Effect.map(
          this.open(cause, `The reason why ${scopeName(scope)} is undone`),
          (reason) => opened.set(scope, reason)
        ),
      { discard: true }
    )
  })

  bodyEnded(): void {
    if (this.replay !== undefined && !this.replay.bodyDone && !this.halted) {
      this.mismatch(
        `The body ended without asking for ${quoted(this.replay.unasked)}, ` +
          `which the journal has.`
      )
    }
  }

  keep(item: Item): Keeping {
    switch (item._tag) {
      case "Step":
        return this.keepStep(item)
      case "SagaCommitted":
        if (item.entry.frame.run.parent !== undefined) return this.isReplaying ? "Repeated" : undefined
        if (this.progress.committed) return "Repeated"
        this.note({ ...this.head("SagaCommitted"), path: pathOf(item.entry) })
        return undefined
      case "UnwindStarted":
        return this.keepUnwind(item.frame, item.cause, item.pending.map(pathOf))
      case "CompensationStarted": {
        const kept = item.entry.kept!
        kept.recorded = this.isRecorded(Progress.compensationKey(pathOf(item.entry)))
        kept.at = undefined
        return this.halted ? Effect.interrupt : kept.recorded ? "Repeated" : undefined
      }
      case "CompensationSucceeded": {
        const { after, attempt, recorded } = item.entry.kept!
        if (recorded) return "Repeated"
        this.note({ ...this.head("CompensationSucceeded"), path: pathOf(item.entry), after, attempt })
        return undefined
      }
      case "CompensationFailed": {
        if (this.halted) return Effect.interrupt
        const { after, attempt, recorded, result } = item.entry.kept!
        if (recorded) return "Repeated"
        this.note({ ...this.head("CompensationFailed"), path: pathOf(item.entry), after, attempt, cause: result })
        return undefined
      }
      case "UnwindFinished": {
        if (this.halted) return Effect.interrupt
        const unwind = this.progress.unwinds?.get(item.frame.path)
        if (unwind?.finished === true || (unwind === undefined && this.isReplaying)) return "Repeated"
        if (item.frame.parent !== undefined && unwind !== undefined) {
          this.note({
            ...this.head("UnwindFinished"),
            scope: item.frame.path,
            remaining: item.remaining.map(pathOf)
          })
        }
        return undefined
      }
      case "SagaCompleted":
      case "SagaCompensated":
      case "SagaFailed":
        if (item.run.parent === undefined) {
          this.outcome = item._tag === "SagaFailed"
            ? "Failed"
            : item._tag === "SagaCompensated"
            ? "Compensated"
            : "Completed"
          return undefined
        }
        return this.isReplaying ? "Repeated" : undefined
      case "SagaStarted":
        return item.run.parent === undefined ?
          (this.isRecovered ? "Repeated" : undefined)
          : this.isReplaying
          ? "Repeated"
          : undefined
      case "StepStarted":
        return item.entry.kept!.recorded ? "Repeated" : undefined
      case "UnwindDeclined":
        return this.isReplaying ? "Repeated" : undefined
    }
  }

  private keepStep(entry: Entry): Keeping {
    if (entry.step.kind === "pivot") return this.isReplaying ? "Repeated" : undefined
    const { after, attempt, input, recorded, result } = entry.kept!
    const exit = entry.exit!
    if (recorded) return "Repeated"
    const path = pathOf(entry)
    const startedAt = entry.startedAt ?? entry.endedAt
    if (Exit.isSuccess(exit)) {
      this.note({
        _tag: "StepSucceeded",
        v: 1,
        at: entry.endedAt,
        path,
        after,
        startedAt,
        attempt,
        input,
        value: result
      })
      return undefined
    }
    // An action that was stopped with its engine has not ended: it runs again.
    if (this.halted && Cause.hasInterrupts(exit.cause)) return Effect.interrupt
    this.note({ _tag: "StepFailed", v: 1, at: entry.endedAt, path, after, startedAt, attempt, input, cause: result })
    return undefined
  }

  private keepUnwind(
    frame: Frame,
    cause: Cause.Cause<unknown>,
    pending: ReadonlyArray<string>
  ): Keeping {
    const recorded = this.progress.unwinds?.get(frame.path)
    if (recorded !== undefined) {
      return sameList(recorded.pending, pending) ? "Repeated" : this.mismatch(
        `The journal has ${quoted(recorded.pending)} to undo in ${scopeName(frame.path)}, the code ${quoted(pending)}.`
      )
    }
    // Where a crash came between, children of a saga that was cancelled are not cancelled yet.
    const alone = frame.parent === undefined && this.progress.cancelled
      ? this.host.cancelChildren(this.id)
      : Effect.void
    // Nothing is decided by undoing nothing.
    if (pending.length === 0) return this.isReplaying ? "Repeated" : alone
    return Effect.andThen(
      alone,
      Effect.map(
        this.seal(this.definition.cause.encode(cause)),
        (cause) => this.note({ ...this.head("UnwindStarted"), scope: frame.path, cause, pending })
      )
    )
  }

  /** Writes down that an action starts, with the last event that is not written yet. It has to wait until that is durable. */
  start(path: string, after: number, attempt = 1): void {
    if (this.unwritten === undefined) this.note({ ...this.head("StepStarted"), path, after, attempt })
    else this.unwritten.start(path, after)
  }

  /** Queues an event to be written. What has an effect outside has to wait until it is `durable`. */
  note(event: JournalEvent, whenWritten?: () => void): void {
    const { progress } = this
    if (
      progress.parked !== undefined && progress.parked.size > 0 && progress.parked.has("") && !this.halted &&
      !isDecision(event)
    ) {
      // Parked by an earlier start, whose code did not fit. It does now.
      this.note(this.head("Resumed"))
    }
    Progress.apply(progress, event)
    if (results.has(event._tag) && (event as ResultEvent).after >= 0) this.given++
    if (this.isLost) return
    this.unwritten = new Appended(this, this.changedRecord(event.at), progress.sequence, event, [], whenWritten)
    this.host.write(this.unwritten)
  }

  /** Queues the first event. `refused` and `lost` are called where the store does not take it. */
  begin(early: ReadonlyArray<string>, ended: {
    readonly written: () => void
    readonly failed: (error: SagaStoreError) => void
  }): void {
    this.unwritten = new Appended(this, this.record, 1, this.progress.started, early, ended.written, ended.failed)
    this.host.write(this.unwritten)
  }

  /** An event is on its way to the store, so nothing can be added to it. */
  sealed(ticket: Appended): void {
    if (this.unwritten === ticket) this.unwritten = undefined
  }

  /** Writes an event. The effect returns when it is durable. */
  append(event: JournalEvent): Effect.Effect<void> {
    this.note(event)
    return this.durable
  }

  get isDurable(): boolean {
    return this.writtenSequence >= this.progress.sequence
  }

  /** Whether the store has anything of it. */
  get isStored(): boolean {
    return this.writtenSequence > 0
  }

  /** What had started before a crash and has no result. */
  unfinished(path: string): Unfinished | undefined {
    return this.replay?.unfinishedAt(path) ?? this.unfinishedInCompensations?.get(path)
  }

  /** Calls `resume` when all that happened so far is durable, or with `false` when it never will be. */
  whenDurable(resume: (written: boolean) => void): void {
    this.whenWritten(this.progress.sequence, resume)
  }

  /** Whether nothing new may start in `frame`. */
  isStopped(frame: Frame): boolean {
    return this.halted || this.undoneAround(frame) !== undefined ||
      (this.progress.cancelled && !isInCompensation(frame))
  }

  /** Waits until all that happened so far is durable. Ends with an interruption of its own where it never will be. */
  get durable(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.isDurable ? Effect.void : Effect.callback((resume) =>
        this.whenWritten(
          this.progress.sequence,
          (written) => resume(written ? Effect.void : Effect.interrupt)
        )
      )
    )
  }

  /** Calls `resume` when so many events are durable, or with `false` when they never will be. */
  whenWritten(sequence: number, resume: (written: boolean) => void): void {
    if (this.isLost || this.writtenSequence >= sequence) return resume(!this.isLost)
    ;(this.writtenWaiters ??= []).push({ sequence, resume })
  }

  /** The events up to this one are durable. */
  written(sequence: number): void {
    this.writtenSequence = sequence
    const waiters = this.writtenWaiters
    if (waiters === undefined) return
    if (waiters.at(-1)!.sequence <= sequence) this.writtenWaiters = undefined
    else this.writtenWaiters = waiters.filter((waiter) => waiter.sequence > sequence)
    for (const waiter of waiters) if (waiter.sequence <= sequence) waiter.resume(true)
  }

  private changedRecord(at: number): ExecutionRecord | undefined {
    const { progress, record } = this
    const status = Progress.statusOf(progress)
    const reason = Progress.parkedReason(progress) ?? null
    if (status === record.status && reason === record.reason && progress.cancelled === record.cancelled) {
      return undefined
    }
    return this.record = { ...record, status, reason, cancelled: progress.cancelled, updatedAt: at }
  }

  /** What all events have. */
  head<Tag extends JournalEvent["_tag"]>(_tag: Tag): { readonly _tag: Tag; readonly v: 1; readonly at: number } {
    return { _tag, v: 1, at: this.now }
  }

  /** The store does not take anything any more. */
  lose(): void {
    if (this.isLost) return
    this.isLost = true
    this.halt()
    const waiters = this.writtenWaiters ?? []
    this.writtenWaiters = undefined
    for (const waiter of waiters) waiter.resume(false)
  }

  /* ------------------------------------------------------------------------------------------------ the replay */

  /** What is recorded under `key`, when it is its turn; undefined where nothing is. */
  take(key: string): Effect.Effect<ResultEvent> | undefined {
    const inCompensation = this.inCompensations?.get(key)
    if (inCompensation !== undefined) return Effect.succeed(inCompensation)
    if (this.replay?.get(key) === undefined) return undefined
    // Not by closures over the replay, which would keep it in memory for as long as the saga waits for something else.
    return this.wait((resume) => {
      const asked = this.replay?.get(key)
      if (asked === undefined) return
      this.replay!.ask(asked, () => resume(asked.event))
      return () => {
        asked.handOut = undefined
      }
    })
  }

  /** Runs what decodes a result that was handed out, before the next one is. */
  settling<A, E, R>(decode: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.host.codec === undefined ? decode : Effect.ensuring(decode, Effect.sync(() => this.replay?.settled()))
  }

  /** Says that what had been running when the process ended runs again. */
  askUnfinished(key: string): void {
    this.replay?.askUnfinished(key)
  }

  /** Waits until everything recorded has been handed out. */
  awaitReplay(path: string): Effect.Effect<void> {
    return this.replay === undefined ? Effect.void : this.wait<void>((resume) => {
      if (this.replay !== undefined) return this.replay.hold(path, () => resume(undefined))
      return resume(undefined)
    })
  }

  get isReplaying(): boolean {
    return this.replay !== undefined
  }

  /** How many results the saga has been given, for what is asked for in `frame`. */
  givenIn(frame: Frame): number {
    if (isInCompensation(frame)) return -1
    return this.replay === undefined ? this.given : this.replay.given
  }

  /** Called now and then while it is replaying: a replay that has not moved since does not fit the code. */
  checkReplay(): void {
    const { replay } = this
    if (replay === undefined || this.halted) return
    const moved = replay.asked + replay.given
    const before = this.replayMoved
    this.replayMoved = moved
    if (moved !== before || replay.unasked.length === 0) return
    const { held } = replay
    this.mismatch(
      `The journal has a result of ${quoted(replay.unasked)}, ` +
        `which the code did not ask for within ${this.host.stallMillis / 1000} s` +
        (held.length === 0 ? "." : `; it asks for ${quoted(held)}.`)
    )
  }

  /** How the saga had failed, where an operator has resolved the step at `path` since. */
  failureBeforeResolution(path: string): Json | undefined {
    return this.replay?.get(path)?.resolved?.saga
  }

  /** Parks the execution once more, because what an operator gave as the value of the step at `path` is none. */
  refuseResolution(path: string, cause: Json, why: string): Effect.Effect<never> {
    if (!this.halted) {
      this.park({
        kind: "FailedAfterPivot",
        path,
        steps: [path],
        reason: `Step "${path}" was resolved with a value that does not fit its schema: ${why}`,
        cause
      })
      this.halt()
    }
    return Effect.interrupt
  }

  /** Parks the execution because the code does not fit the journal. Stops whoever runs it. */
  mismatch(difference: string): Effect.Effect<never> {
    return this.stop(
      `The code does not fit the journal of ${this.id}. ${difference} ` +
        `Nothing was done. Register the code that this execution began with (version ${this.progress.started.version}), ` +
        `and it goes on.`
    )
  }

  private stop(reason: string): Effect.Effect<never> {
    if (!this.halted) {
      if (this.progress.parked?.get("")?.reason !== reason) this.park({ kind: "Mismatch", path: "", reason })
      this.halt()
    }
    return Effect.interrupt
  }

  /** Writes down that the execution can't go on by itself. */
  park(parked: {
    readonly kind: Extract<JournalEvent, { readonly _tag: "Parked" }>["kind"]
    readonly path: string
    readonly reason: string
    readonly steps?: ReadonlyArray<string>
    readonly attempt?: number
    readonly cause?: Json
  }): Effect.Effect<void> {
    this.note({ ...this.head("Parked"), steps: [], attempt: 0, cause: null, ...parked })
    // Also where nobody runs what comes next.
    Effect.runForkWith(this.definition.context)(
      Effect.logError(`Execution ${this.id} is parked until an operator decides. ${parked.reason}`)
    )
    return this.durable
  }

  /* ------------------------------------------------------------------------------------------------ waiting */

  /**
   * Waits for what calls `resume`. Ends with an interruption of its own when the execution halts, also where nothing
   * else can interrupt it. What `register` returns is called when nobody waits any more.
   */
  wait<A>(register: (resume: (value: A) => void) => (() => void) | void): Effect.Effect<A> {
    return Effect.callback((resume) => {
      if (this.halted) return resume(Effect.interrupt)
      const wake = () => {
        end()
        resume(Effect.interrupt)
      }
      const end = () => {
        waiting.delete(wake)
        cancel?.()
      }
      const waiting = this.waiting ??= new Set()
      waiting.add(wake)
      const cancel = register((value) => {
        waiting.delete(wake)
        resume(Effect.succeed(value))
      })
      return Effect.sync(end)
    })
  }

  /** Waits until the wall clock says `dueAt`. */
  sleepUntil(dueAt: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = dueAt - this.now
      // Once more, as the wall clock may have been set, and timers may be early.
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), this.sleepUntil(dueAt))
    })
  }

  /** Runs a wait where nothing can interrupt but a halt. */
  unlessHalted<A>(wait: Effect.Effect<A>): Effect.Effect<A> {
    return Effect.raceFirst(Effect.interruptible(wait), Effect.interruptible(this.wait<never>(() => {})))
  }

  /** Waits until a signal of this name arrives. */
  awaitSignal(name: string): Effect.Effect<void> {
    return this.wait((resume) => {
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
    return this.progress.signals?.find((signal) => signal.name === name)
  }

  /** Takes a signal in. The effect returns when it is durable. */
  receive(name: string, value: Json): Effect.Effect<void> {
    const received = this.append({ ...this.head("SignalReceived"), name, value })
    const waiters = this.signalWaiters ?? []
    const index = waiters.findIndex((waiter) => waiter.name === name)
    if (index >= 0) waiters.splice(index, 1)[0]!.wake()
    return received
  }

  /** Waits for the decision of an operator on the compensation of the step at `path`. */
  awaitDecision(path: string): Effect.Effect<Progress.Decided> {
    return Effect.suspend(() => {
      const decided = this.progress.decisions?.get(path)
      return decided !== undefined ? Effect.succeed(decided) : Effect.andThen(
        this.wait<void>((resume) => {
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
  decide(decision: Progress.Decision): Effect.Effect<void> {
    // The compensation starts when that is durable, whoever waits for it.
    this.note(decision)
    this.deciders?.get(decision.path)?.()
    return this.durable
  }

  /* ------------------------------------------------------------------------------------------------ payloads */

  /** Whether values are stored as they are. Where they are not, the reasons that everybody reads don't hold any, either. */
  get isInClear(): boolean {
    return this.host.codec === undefined
  }

  /**
   * What is stored of `json`. Parks the execution where there is none: an action that has just ended is one that was running
   * when the process ended.
   */
  seal(json: Json): Effect.Effect<Json> {
    const { codec } = this.host
    return codec === undefined
      ? Effect.succeed(json)
      : this.coded(Effect.suspend(() => codec.encode(json)), "A value can't be written")
  }

  /** What was stored as `json`. Parks the execution where it can't be read. */
  open(json: Json, what: string): Effect.Effect<Json> {
    const { codec } = this.host
    return codec === undefined
      ? Effect.succeed(json)
      : this.coded(Effect.suspend(() => codec.decode(json)), `${what} can't be read`)
  }

  private coded(self: Effect.Effect<Json, Error>, what: string): Effect.Effect<Json> {
    return Effect.catchCause(self, (cause) =>
      this.stop(
        `Execution ${this.id} can't go on. ${what} by the payload codec: ${causeLine(cause)}. ` +
          `Nothing is lost. Give the engine a codec that can, and it goes on.`
      ))
  }

  causeOf(json: Json, codec: CauseCodec, what: string): Effect.Effect<Cause.Cause<unknown>> {
    return Effect.flatMap(this.open(json, what), (opened) => {
      const cause = codec.decode(opened)
      return Exit.isSuccess(cause)
        ? Effect.succeed(cause.value)
        : this.mismatch(`${what} does not fit its schema: ${causeLine(cause.cause, this.isInClear)}.`)
    })
  }
}

/* An event on its way to the store. */
class Appended implements Ticket {
  readonly refused: ((error: SagaStoreError) => void) | undefined
  private readonly execution: Execution
  private readonly record: ExecutionRecord | undefined
  private readonly sequence: number
  private readonly event: JournalEvent
  private readonly more: ReadonlyArray<string>
  private readonly whenWritten: (() => void) | undefined
  private starts: Array<readonly [path: string, after: number]> | undefined = undefined

  constructor(
    execution: Execution,
    record: ExecutionRecord | undefined,
    sequence: number,
    event: JournalEvent,
    more: ReadonlyArray<string>,
    whenWritten: (() => void) | undefined,
    refused?: (error: SagaStoreError) => void
  ) {
    this.execution = execution
    this.record = record
    this.sequence = sequence
    this.event = event
    this.more = more
    this.whenWritten = whenWritten
    this.refused = refused
  }

  get isVoid(): boolean {
    return this.execution.isLost
  }

  start(path: string, after: number): void {
    ;(this.starts ??= []).push([path, after])
  }

  take(): Append {
    this.execution.sealed(this)
    const event = this.starts === undefined ? this.event : { ...this.event, starts: this.starts }
    const text = JSON.stringify(event)
    return {
      key: this.execution.key,
      record: this.record,
      firstSequence: this.sequence,
      events: this.more.length === 0 ? [text] : [text, ...this.more]
    }
  }

  written(): void {
    this.execution.written(this.sequence + this.more.length)
    this.whenWritten?.()
  }

  lost(error: SagaStoreError): void {
    this.refused?.(error)
    this.execution.lose()
  }
}

const isInCompensation = (frame: Frame): boolean => {
  for (let around: Frame | undefined = frame; around !== undefined; around = around.parent) {
    if (around.compensating) return true
  }
  return false
}

const isDecision = (event: JournalEvent): boolean =>
  event._tag === "Retried" || event._tag === "Skipped" || event._tag === "Resolved" || event._tag === "Resumed" ||
  event._tag === "Parked" || event._tag === "CancelRequested" || event._tag === "SignalReceived" ||
  event._tag === "ExecutionFailed" || event._tag === "ExecutionCompensated"

const sameList = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index])

const scopeName = (scope: string): string => scope === "" ? "the saga" : `"${scope}"`

const quoted = (paths: ReadonlyArray<string>): string =>
  paths.length === 0 ? "nothing" : paths.slice(0, 5).map((path) => `"${path}"`).join(", ") +
    (paths.length > 5 ? ` and ${paths.length - 5} more` : "")
