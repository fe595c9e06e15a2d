import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isUnknown, SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import type { Append, Ownership } from "./store.ts"

/*
 * Group commit: appends of all executions that come in while a transaction is written share the next one.
 *
 * The appends of one execution are written in the order in which they were queued, and whoever waits for them goes on in
 * that order, too. An append that fails for a reason that may pass is repeated until it does not; one that nobody can do
 * without an answer to (the start of an execution) is given the error instead, unless it may have been written.
 */

/** An append on its way to the store. */
export interface Ticket {
  /** What to write. Called once; nothing is added to it after that. */
  take(): Append
  /** Called when it is durable. */
  written(): void
  /** Called when it never will be. */
  lost(error: SagaStoreError): void
  /** Whether it is of an execution whose start was refused. */
  readonly isVoid: boolean
  /** Called instead of waiting for a store that is not available. */
  readonly refused: ((error: SagaStoreError) => void) | undefined
}

/** A commit that was begun. */
interface Sent {
  readonly batch: ReadonlyArray<Ticket>
  readonly appends: ReadonlyArray<Append>
  readonly commit: Effect.Effect<void, SagaStoreError>
}

const maxBatch = 1024

/* Of fewer than these, two commits take longer than one. */
const worthHalving = 32

export class Writer {
  private queue: Array<Ticket> = []
  /** What is being written, or has just been. */
  private readonly writing = new Set<ReadonlyArray<Ticket>>()
  private wake: (() => void) | undefined = undefined
  private closed: SagaStoreError | undefined = undefined
  /** How many were queued, and how many of them have been written, refused or lost. */
  private queued = 0
  private settled = 0
  /** Whether the store could not be written the last time. */
  private isStalled = false
  private readonly whenStalled: Array<() => void> = []
  private readonly store: string
  private flushing: Array<{ readonly upTo: number; readonly resume: () => void }> = []

  constructor(store: string) {
    this.store = store
  }

  write(ticket: Ticket): void {
    if (this.closed !== undefined) return ticket.lost(this.closed)
    this.queued++
    this.queue.push(ticket)
    if (this.wake !== undefined) {
      const wake = this.wake
      this.wake = undefined
      wake()
    }
  }

  /** Writes what is queued, for ever. Fails when the store can't be written any more. */
  run(ownership: Ownership): Effect.Effect<never, SagaStoreError> {
    return ownership.isApart === true ?
      this.runApart(ownership) :
      Effect.forever(Effect.suspend(() =>
        this.queue.length === 0
          ? this.awaitWork
          // Whoever is about to append has appended by the time this goes on.
          : Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => this.finish(ownership, this.send(ownership, maxBatch)))
          )
      ))
  }

  /*
   * A store that works elsewhere does so while this process works, too. So half of what is there is sent first, where it is much, and from
   * then on one half is on its way while the sagas of the other one go on: the next commit is sent before those who wait
   * for the last one are told.
   */
  private runApart(ownership: Ownership): Effect.Effect<never, SagaStoreError> {
    const next = (sent: Sent): Effect.Effect<never, SagaStoreError> =>
      Effect.flatMap(Effect.exit(sent.commit), (exit) => {
        if (Exit.isFailure(exit)) {
          return Effect.andThen(this.failed(ownership, sent.batch, sent.appends, exit.cause, 50), first)
        }
        if (this.queue.length === 0) {
          this.writtenAll(sent.batch)
          return first
        }
        return Effect.flatMap(this.sendNow(ownership, maxBatch), (following) => {
          this.writtenAll(sent.batch)
          return next(following)
        })
      })
    const first: Effect.Effect<never, SagaStoreError> = Effect.andThen(
      Effect.andThen(this.awaitWork, Effect.yieldNow),
      Effect.suspend(() => {
        const { length } = this.queue
        return Effect.flatMap(this.sendNow(ownership, length > worthHalving ? Math.ceil(length / 2) : length), next)
      })
    )
    return first
  }

  private readonly awaitWork = Effect.callback<void>((resume) => {
    if (this.queue.length > 0) return resume(Effect.void)
    this.wake = () => resume(Effect.void)
  })

  /** Waits until everything queued so far has been written, or never will be. */
  readonly flushed: Effect.Effect<void> = Effect.suspend(() =>
    this.settled >= this.queued ? Effect.void : Effect.callback<void>((resume) => {
      this.flushing.push({ upTo: this.queued, resume: () => resume(Effect.void) })
    })
  )

  /** As `flushed`, but does not wait for a store that can't be written. */
  readonly flushedUnlessStalled: Effect.Effect<void> = Effect.suspend(() =>
    this.isStalled ? Effect.void : Effect.raceFirst(
      this.flushed,
      Effect.callback<void>((resume) => {
        const stalled = () => resume(Effect.void)
        this.whenStalled.push(stalled)
        return Effect.sync(() => {
          this.whenStalled.splice(this.whenStalled.indexOf(stalled) >>> 0, 1)
        })
      })
    )
  )

  private settle(count: number): void {
    this.settled += count
    if (this.flushing.length === 0) return
    const flushing = this.flushing
    this.flushing = flushing.filter(({ upTo }) => upTo > this.settled)
    for (const { resume, upTo } of flushing) if (upTo <= this.settled) resume()
  }

  private send(ownership: Ownership, size: number): Sent {
    const count = Math.min(size, maxBatch)
    const batch = this.queue.length <= count ? this.queue : this.queue.slice(0, count)
    this.queue = this.queue.length <= count ? [] : this.queue.slice(count)
    this.writing.add(batch)
    const appends = batch.map((ticket) => ticket.take())
    return { batch, appends, commit: ownership.commit(appends) }
  }

  /* As `send`, and the commit is under way when this returns. */
  private sendNow(ownership: Ownership, size: number): Effect.Effect<Sent> {
    return Effect.suspend(() => {
      const sent = this.send(ownership, size)
      return Effect.map(
        Effect.forkChild(sent.commit, { startImmediately: true }),
        (fiber) => ({ ...sent, commit: Fiber.join(fiber) })
      )
    })
  }

  private finish(ownership: Ownership, { appends, batch, commit }: Sent): Effect.Effect<void, SagaStoreError> {
    return Effect.matchCauseEffect(commit, {
      onSuccess: () => {
        this.writtenAll(batch)
        return Effect.void
      },
      onFailure: (cause) => this.failed(ownership, batch, appends, cause, 50)
    })
  }

  private writtenAll(batch: ReadonlyArray<Ticket>): void {
    this.writing.delete(batch)
    for (const ticket of batch) ticket.written()
    this.settle(batch.length)
  }

  private failed(
    ownership: Ownership,
    batch: ReadonlyArray<Ticket>,
    appends: ReadonlyArray<Append>,
    cause: Cause.Cause<SagaStoreError>,
    delayMillis: number
  ): Effect.Effect<void, SagaStoreError> {
    // A defect of the store: what it has written is not known.
    const error = Option.getOrElse(Cause.findErrorOption(cause), () =>
      new SagaStoreError({
        reason: new Unavailable({ store: this.store, problem: "input-output", cause: Cause.squash(cause) })
      }))
    if (!error.isTransient || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) {
      this.close(error)
      return Effect.failCause(cause)
    }
    this.isStalled = true
    for (const resume of this.whenStalled.splice(0)) resume()
    const waiting = isUnknown(error.reason) ? batch : refuse(batch, error)
    this.writing.delete(batch)
    this.writing.add(waiting)
    const queue = refuse(this.queue, error)
    this.settle(batch.length - waiting.length + this.queue.length - queue.length)
    this.queue = queue
    if (waiting.length === 0) {
      this.writing.delete(waiting)
      this.isStalled = false
      return Effect.void
    }
    const remaining = appends.filter((_, index) => waiting.includes(batch[index]!))
    return Effect.logError(`${error.message} Trying again in ${Duration.format(Duration.millis(delayMillis))}.`).pipe(
      Effect.andThen(Effect.sleep(delayMillis)),
      Effect.andThen(Effect.suspend(() => ownership.commit(remaining))),
      Effect.matchCauseEffect({
        onSuccess: () => {
          this.isStalled = false
          this.writtenAll(waiting)
          return Effect.logInfo("The store is available again, and its executions go on.")
        },
        onFailure: (cause) => this.failed(ownership, waiting, remaining, cause, Math.min(delayMillis * 2, 1000))
      })
    )
  }

  /** Takes nothing any more, and tells whoever still waits. What is being written may have been. */
  close(error: SagaStoreError): void {
    if (this.closed !== undefined) return
    this.closed = error
    const tickets = [...Array.from(this.writing).flat(), ...this.queue]
    this.writing.clear()
    this.queue = []
    for (const ticket of tickets) ticket.lost(error)
    this.settle(tickets.length)
  }
}

/* The tickets that wait for the store; the others are told. What follows a start that was refused is void. */
const refuse = (tickets: ReadonlyArray<Ticket>, error: SagaStoreError): Array<Ticket> => {
  const kept = tickets.filter(({ refused }) => {
    refused?.(error)
    return refused === undefined
  })
  return kept.filter(({ isVoid }) => !isVoid)
}
