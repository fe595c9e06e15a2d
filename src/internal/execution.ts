import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { CauseCodec } from "./codec.ts"
import type { DecisionBy } from "./decisions.ts"
import type { Definition } from "./definition.ts"
import type { RequestAnswer } from "./desk.ts"
import { ExecutionJournal } from "./executionJournal.ts"
import { Haltable } from "./haltable.ts"
import type { Host } from "./host.ts"
import { Incoming } from "./incoming.ts"
import { notAsked } from "./mismatch.ts"
import * as Progress from "./progress.ts"
import { Recovered } from "./recovered.ts"
import { causeLine } from "./render.ts"
import type { Frame } from "./run.ts"
import type { ExecutionRecord } from "./store.ts"

/*
 * An execution that runs in this process.
 *
 * 1. A recovered execution runs its body again. Results come from the replay until it is done; nothing else starts.
 * 2. An execution halts, without being undone, when its engine stops, its store is lost, or its code does not fit. What
 *    ran then may still write how it ended, as long as the store is there; nothing else starts.
 */

export class Execution extends Haltable {
  readonly definition: Definition
  readonly host: Host
  readonly journal: ExecutionJournal
  readonly progress: Progress.Progress
  /** What it has from before; undefined where it began in this process, under this engine. */
  readonly recovered: Recovered | undefined
  private whatComesIn: Incoming | undefined = undefined

  constructor(options: {
    readonly record: ExecutionRecord
    readonly definition: Definition
    readonly host: Host
    readonly events: ReadonlyArray<JournalEvent>
    /** Whether the store has these events already. */
    readonly stored: boolean
  }) {
    super()
    const { definition, events, host, record, stored } = options
    this.definition = definition
    this.host = host
    const journal = this.journal = new ExecutionJournal(this, host, record, events, stored)
    this.progress = journal.progress
    this.recovered = !stored ? undefined : new Recovered(this, events, host.codec !== undefined, (given) => {
      journal.given = given
      journal.resume()
    })
  }

  get id(): string {
    return this.progress.started.id
  }

  get key(): number {
    return this.journal.key
  }

  get now(): number {
    return this.host.clock.currentTimeMillisUnsafe()
  }

  /** Whether it has started to be undone as a whole. */
  get isUnwinding(): boolean {
    return Progress.isBeingUndone(this.progress)
  }

  /** Signals and decisions. */
  get incoming(): Incoming {
    return this.whatComesIn ??= new Incoming(this, this.journal)
  }

  /** Lets `fiber` be interrupted when the execution is cancelled, or is known to be undone. */
  attach(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.fiber = fiber
    const { recovered } = this
    if (recovered?.isReplaying !== true) {
      if (this.progress.cancelled && !this.isUnwinding) fiber.interruptUnsafe()
    } else {
      // The body gets time to fail as it did before.
      recovered.onBodyDone(() => {
        Effect.runForkWith(Context.add(this.definition.context, Clock.Clock, this.host.clock))(
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

  /** Asks it to cancel. Nothing that has started is interrupted but waits. Returns when that is durable. */
  cancel(decision: DecisionBy, answer?: RequestAnswer): Effect.Effect<void> {
    this.journal.note({ ...this.journal.head("CancelRequested"), ...decision }, undefined, answer)
    if (!this.isReplaying && !this.isUnwinding) this.fiber?.interruptUnsafe()
    return this.journal.durable
  }

  /** Waits until the wall clock says `dueAt`. */
  sleepUntil(dueAt: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = dueAt - this.now
      // Once more, as the wall clock may have been set, and timers may be early.
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), this.sleepUntil(dueAt))
    })
  }

  /* ------------------------------------------------------------------------------------------------ what may start */

  /** Whether nothing of it goes on here. A fiber that it has forked may still run. */
  get isOver(): boolean {
    return this.halted || this.progress.finished !== undefined
  }

  /** Holds back what had not started before until all that had has been asked for; undefined where nothing holds it. */
  hold(frame: Frame, path: string): Effect.Effect<void> | undefined {
    if (this.isOver) return Effect.interrupt
    const { recovered } = this
    const undone = this.undoneAround(frame)
    if (recovered?.isReplaying !== true) {
      return undone !== undefined || (this.progress.cancelled && !isInCompensation(frame))
        ? Effect.interrupt
        : undefined
    }
    // It is refused, but not before all that came in before that has come in again.
    return undone !== undefined
      ? Effect.andThen(recovered.awaitUnwind(undone), Effect.interrupt)
      : Effect.andThen(recovered.awaitReplay(path), Effect.suspend(() => this.hold(frame, path) ?? Effect.void))
  }

  /** As `hold`, for a wait, which a compensation may have, too. */
  holdWait(frame: Frame, path: string): Effect.Effect<void> | undefined {
    if (!frame.compensating) return this.hold(frame, path)
    return this.isReplaying ? this.awaitReplay(path) : undefined
  }

  /** Whether nothing new may start in `frame`. */
  isStopped(frame: Frame): boolean {
    return this.isOver || this.undoneAround(frame) !== undefined ||
      (this.progress.cancelled && !isInCompensation(frame))
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

  /* ------------------------------------------------------------------------------------------------ the replay */

  get isReplaying(): boolean {
    return this.recovered?.isReplaying === true
  }

  /** Waits until everything recorded has been handed out. */
  awaitReplay(path: string): Effect.Effect<void> {
    return this.recovered === undefined ? Effect.void : this.recovered.awaitReplay(path)
  }

  /** Runs what decodes a result that was handed out, before the next one is. */
  settling<A, E, R>(decode: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.isInClear ? decode : Effect.ensuring(decode, Effect.sync(() => this.recovered?.settled()))
  }

  /** How many results the saga has been given, for what is asked for in `frame`. */
  givenIn(frame: Frame): number {
    return isInCompensation(frame) ? -1 : this.recovered?.given ?? this.journal.given
  }

  /** Called now and then while it is replaying: a replay that has not moved since does not fit the code. */
  checkReplay(): void {
    const stalled = this.halted ? undefined : this.recovered?.stalled()
    if (stalled !== undefined) this.mismatch(notAsked(stalled.unasked, stalled.held, this.host.stallMillis))
  }

  /* ------------------------------------------------------------------------------------------------ parking */

  /** Writes down that the execution can't go on by itself. */
  park(parked: {
    readonly kind: Extract<JournalEvent, { readonly _tag: "Parked" }>["kind"]
    readonly path: string
    readonly reason: string
    readonly steps?: ReadonlyArray<string>
    readonly attempt?: number
    readonly cause?: Json
  }): Effect.Effect<void> {
    this.journal.note({ ...this.journal.head("Parked"), steps: [], attempt: 0, cause: null, ...parked })
    if (this.host.alerts?.isLogged === true) return this.journal.durable
    // Whoever reads the line finds the execution parked. Also where nobody runs what comes next.
    this.journal.whenDurable((written) => {
      if (!written) return
      Effect.runForkWith(this.definition.context)(
        Effect.logError(`Execution ${this.id} is parked until an operator decides. ${parked.reason}`)
      )
    })
    return this.journal.durable
  }

  /** Parks the execution because the code does not fit the journal. Stops whoever runs it. */
  mismatch(difference: string): Effect.Effect<never> {
    return this.stop(
      `The code does not fit the journal of ${this.id}. ${difference} ` +
        `Nothing was done. Register the code that this execution began with (version ${this.progress.started.version}), ` +
        `and it goes on.`
    )
  }

  /** Parks the execution as what can go on when the program around it has changed. Stops whoever runs it. */
  stop(reason: string): Effect.Effect<never> {
    if (!this.halted) {
      if (this.progress.parked?.get("")?.reason !== reason) this.park({ kind: "Mismatch", path: "", reason })
      this.halt()
    }
    return Effect.interrupt
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
      this.incoming.judge(path)
      this.halt()
    }
    return Effect.interrupt
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

const isInCompensation = (frame: Frame): boolean => {
  for (let around: Frame | undefined = frame; around !== undefined; around = around.parent) {
    if (around.compensating) return true
  }
  return false
}
