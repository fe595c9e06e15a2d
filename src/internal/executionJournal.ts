import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { RequestAnswer } from "./desk.ts"
import type { Haltable } from "./haltable.ts"
import type { Host } from "./host.ts"
import { head } from "./journalText.ts"
import * as Progress from "./progress.ts"
import { recordAfter } from "./recordAfter.ts"
import type { ResultEvent } from "./replay.ts"
import type { Append, ExecutionRecord } from "./store.ts"
import type { Ticket } from "./writer.ts"

/*
 * The journal of an execution that runs in this process: its state, and its events on their way to the store.
 *
 * 1. Every event is applied to the state and queued for the store in one synchronous block, so the state, the order of
 *    the journal and the order of the log of the saga can't differ.
 * 2. Code between steps goes on at once; the next action or compensation starts, and a result is told, when all events
 *    before it are durable.
 * 3. When the store is lost, the execution halts, and whoever waits for an event to be durable is told that it never is.
 * 4. Nothing follows the last event, nor what is written when nobody runs the execution here any more: fibers that it has
 *    forked may still run then, and others may write its journal.
 */

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

const fromOutside: ReadonlySet<JournalEvent["_tag"]> = new Set<JournalEvent["_tag"]>([
  "Retried",
  "Skipped",
  "Resolved",
  "CancelRequested",
  "SignalReceived"
])

/** What a journal has to know of its execution. */
export interface Parkable extends Haltable {
  readonly id: string
  /** Parks the execution as what can go on when the program around it has changed. */
  readonly stop: (reason: string) => unknown
}

export class ExecutionJournal {
  readonly key: number
  readonly progress: Progress.Progress
  /** Whether the store will not take anything any more. */
  isLost = false
  /** What the store knows of it, or will know soon. */
  record: ExecutionRecord
  /** How many results the saga has been given. Where some were given again, their replay sets it when it is done. */
  given = 0
  private readonly execution: Parkable
  private readonly host: Host
  /** Whether nobody runs the execution here any more. */
  private isClosed = false
  /** The last event, as long as it waits to be written. */
  private unwritten: Appended | undefined = undefined
  /** How many events are durable. */
  private writtenSequence: number
  private waiters: Array<{ readonly sequence: number; resume(written: boolean): void }> | undefined = undefined

  /** With `stored`, the store has these events already. */
  constructor(
    execution: Parkable,
    host: Host,
    record: ExecutionRecord,
    events: ReadonlyArray<JournalEvent>,
    stored: boolean
  ) {
    this.execution = execution
    this.host = host
    this.key = record.key
    this.record = record
    this.progress = Progress.fromEvents(events)
    this.writtenSequence = stored ? this.progress.sequence : 0
  }

  /* ------------------------------------------------------------------------------------------------ adding to it */

  /** What all events have. */
  head<Tag extends JournalEvent["_tag"]>(_tag: Tag): { readonly _tag: Tag; readonly v: 1; readonly at: number } {
    return head(_tag, this.host.clock.currentTimeMillisUnsafe())
  }

  /** Writes down that an action starts, with the last event that is not written yet. It has to wait until that is durable. */
  start(path: string, after: number, attempt = 1): void {
    if (this.unwritten === undefined) this.note({ ...this.head("StepStarted"), path, after, attempt })
    else this.unwritten.start(path, after)
  }

  /** Says that an execution goes on which was parked by an earlier start, whose code did not fit. It does now. */
  resume(): void {
    const parked = this.progress.parked?.get("")
    if (parked !== undefined && Progress.isForCode(parked) && !this.execution.halted) this.note(this.head("Resumed"))
  }

  /** Queues an event to be written. What has an effect outside has to wait until it is `durable`. */
  note(event: JournalEvent, whenWritten?: () => void, answer?: RequestAnswer): void {
    const { progress } = this
    if (this.isClosed || progress.finished !== undefined) return
    const text = Result.try(() => JSON.stringify(event))
    if (Result.isFailure(text)) return this.refuse(event)
    if (saysThatCodeFits(event)) this.resume()
    Progress.apply(progress, event)
    if (results.has(event._tag) && (event as ResultEvent).after >= 0) this.given++
    if (this.isLost) return
    this.unwritten = new Appended(
      this,
      this.changedRecord(event),
      progress.sequence,
      text.success,
      [],
      whenWritten ?? this.host.alerts?.whenWritten(progress.started.id, progress.sequence, event),
      undefined,
      answer
    )
    this.host.write(this.unwritten)
  }

  /*
   * The writer is shared by all executions, so what can't be written is found out before. An action that has ended so is one
   * that was running when the process ended.
   */
  private refuse({ _tag }: JournalEvent): void {
    this.execution.stop(
      `Execution ${this.execution.id} can't go on. ${_tag} can't be written: it holds what JSON has no place for, or is ` +
        `nested too deep. Nothing is lost. Change the code or the payload codec that made it, and it goes on.`
    )
  }

  /** From now on nothing is added by this process, which does not run the execution any more. */
  close(): void {
    this.isClosed = true
  }

  /** Queues the first event. `refused` and `lost` are called where the store does not take it. */
  begin(early: ReadonlyArray<string>, ended: {
    readonly written: () => void
    readonly failed: (error: SagaStoreError) => void
  }, answer?: RequestAnswer): void {
    const { started } = this.progress
    const text = JSON.stringify(started)
    this.unwritten = new Appended(this, this.record, 1, text, early, ended.written, ended.failed, answer)
    this.host.write(this.unwritten)
  }

  /** Writes an event. The effect returns when it is durable. */
  append(event: JournalEvent): Effect.Effect<void> {
    this.note(event)
    return this.durable
  }

  private changedRecord({ _tag, at }: JournalEvent): ExecutionRecord | undefined {
    const changed = recordAfter(this.record, this.progress, at, _tag === "Parked" || _tag === "UnwindStarted")
    return changed === this.record ? undefined : this.record = changed
  }

  /* ------------------------------------------------------------------------------------------------ what is durable */

  get isDurable(): boolean {
    return this.writtenSequence >= this.progress.sequence
  }

  /** Whether the store has anything of it. */
  get isStored(): boolean {
    return this.writtenSequence > 0
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

  /** Calls `resume` when all that happened so far is durable, or with `false` when it never will be. */
  whenDurable(resume: (written: boolean) => void): void {
    this.whenWritten(this.progress.sequence, resume)
  }

  /** Calls `resume` when so many events are durable, or with `false` when they never will be. */
  whenWritten(sequence: number, resume: (written: boolean) => void): void {
    if (this.isLost || this.writtenSequence >= sequence) return resume(!this.isLost)
    ;(this.waiters ??= []).push({ sequence, resume })
  }

  /* ------------------------------------------------------------------------------------------------ the store's part */

  /** An event is on its way to the store, so nothing can be added to it. */
  sealed(ticket: Appended): void {
    if (this.unwritten === ticket) this.unwritten = undefined
  }

  /** The events up to this one are durable. */
  written(sequence: number): void {
    this.writtenSequence = sequence
    const { waiters } = this
    if (waiters === undefined) return
    if (waiters.at(-1)!.sequence <= sequence) this.waiters = undefined
    else this.waiters = waiters.filter((waiter) => waiter.sequence > sequence)
    for (const waiter of waiters) if (waiter.sequence <= sequence) waiter.resume(true)
  }

  /** The store does not take anything any more. */
  lose(): void {
    if (this.isLost) return
    this.isLost = true
    this.execution.halt()
    const waiters = this.waiters ?? []
    this.waiters = undefined
    for (const waiter of waiters) waiter.resume(false)
  }
}

/* An event on its way to the store. */
class Appended implements Ticket {
  readonly refused: ((error: SagaStoreError) => void) | undefined
  private readonly journal: ExecutionJournal
  private readonly record: ExecutionRecord | undefined
  private readonly sequence: number
  private readonly text: string
  private readonly more: ReadonlyArray<string>
  private readonly whenWritten: (() => void) | undefined
  private readonly answer: RequestAnswer | undefined
  private starts: Array<readonly [path: string, after: number]> | undefined = undefined

  constructor(
    journal: ExecutionJournal,
    record: ExecutionRecord | undefined,
    sequence: number,
    text: string,
    more: ReadonlyArray<string>,
    whenWritten: (() => void) | undefined,
    refused?: (error: SagaStoreError) => void,
    answer?: RequestAnswer
  ) {
    this.journal = journal
    this.record = record
    this.sequence = sequence
    this.text = text
    this.more = more
    this.whenWritten = whenWritten
    this.refused = refused
    this.answer = answer
  }

  get isVoid(): boolean {
    return this.journal.isLost
  }

  start(path: string, after: number): void {
    ;(this.starts ??= []).push([path, after])
  }

  take(): Append {
    this.journal.sealed(this)
    const { starts } = this
    const text = starts === undefined ? this.text : `${this.text.slice(0, -1)},"starts":${JSON.stringify(starts)}}`
    return {
      key: this.journal.key,
      record: this.record,
      firstSequence: this.sequence,
      events: this.more.length === 0 ? [text] : [text, ...this.more],
      answer: this.answer?.take()
    }
  }

  written(): void {
    this.journal.written(this.sequence + this.more.length)
    this.whenWritten?.()
  }

  lost(error: SagaStoreError): void {
    this.refused?.(error)
    this.journal.lose()
  }
}

const saysThatCodeFits = (event: JournalEvent): boolean =>
  !fromOutside.has(event._tag) && event._tag !== "Resumed" && !(event._tag === "Parked" && Progress.isForCode(event))
