import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import * as Log from "./alertLog.ts"
import { alertOf, idOf, isTold, parkedBy, repeatedOf } from "./alertMake.ts"
import type { Alert, Handler } from "./alertModel.ts"
import { decodeEvents } from "./journalText.ts"
import type { ExecutionRecord, Position, SagaStore, StoredExecution } from "./store.ts"

/*
 * Tells of executions that are parked, and of compensations that failed, when that is durable. After a start it tells
 * again what the engine before may not have told: what is parked still, and what could not be undone shortly before that
 * engine wrote for the last time.
 *
 * 1. What waits to be told is the number of an event. The alert is read from the store when its turn comes, so executions
 *    that run, that nobody runs, and that were found by a start are told alike.
 * 2. Each handler has a line of its own, so none waits for another one. In a line, the alerts of one execution keep their
 *    order, and those of others don't wait for them.
 * 3. Nothing that a handler does reaches a saga, nor keeps its engine from closing: it runs in a fiber that nobody has to
 *    wait for.
 */

/** How many alerts a handler has at once. */
const concurrency = 16

/** A handler that never ends is not to hold up the others for ever. */
const patience = Duration.minutes(30)

/** How many executions a start reads at once. */
const pageSize = 500

type Store = Pick<SagaStore["Service"], "find" | "list">

interface Turn {
  readonly sequence: number
  /** Then it is all that has to be told again, of events up to that one. */
  readonly isRepeated: boolean
}

export class Alerts {
  /** Whether a handler writes what the engine itself would log of parked executions. */
  readonly isLogged: boolean
  private readonly lines: ReadonlyArray<Line>
  private readonly store: Store
  /** When the engine before wrote for the last time, and since when it may have been telling what it had not told then. */
  private readonly lastChange: number
  private readonly since: number
  /** The executions that the start has found unfinished: how many events they had. */
  private readonly found = new Map<string, number>()

  constructor(handlers: ReadonlyArray<Handler>, store: Store, lastChange: number) {
    this.isLogged = handlers.includes(Log.handler)
    this.store = store
    this.lastChange = lastChange
    this.since = lastChange - Duration.toMillis(patience)
    this.lines = handlers.map((handler) => new Line(handler, store, this.since))
  }

  /** What to call when the event with this number is durable. */
  whenWritten(execution: string, sequence: number, event: JournalEvent): (() => void) | undefined {
    if (!isTold(event)) return undefined
    return () => {
      for (const line of this.lines) {
        if (line.wants(event._tag)) line.add(execution, { sequence, isRepeated: false })
      }
    }
  }

  /** A start has found this execution, with so many events. Whoever had it before may have died too soon to tell. */
  repeat({ id, status }: ExecutionRecord, events: number): void {
    if (status === "Parked" || status === "Compensating") this.found.set(id, events)
  }

  /**
   * Tells, for ever. What was found parked is told when `settled` returns, if it is parked still: many go on when their
   * definitions are registered.
   */
  run(settled: Effect.Effect<void>): Effect.Effect<void> {
    const repeatFound = Effect.andThen(
      settled,
      Effect.sync(() => {
        for (const [execution, sequence] of this.found) {
          for (const line of this.lines) line.add(execution, { sequence, isRepeated: true })
        }
        this.found.clear()
      })
    )
    return Effect.all([repeatFound, this.repeatFailed, ...this.lines.map(({ run }) => run)], {
      concurrency: "unbounded",
      discard: true
    })
  }

  private get repeatFailed(): Effect.Effect<void> {
    const lines = this.lines.filter((line) => line.wants("CompensationFailed"))
    return lines.length === 0 ? Effect.void : Effect.catch(this.readFailed(lines), (error) =>
      Effect.logWarning(
        `Executions that failed before the start could not be read, so no alert of them is told again. ${error.message}`
      ))
  }

  private readonly readFailed = Effect.fnUntraced({ self: this }, function*(
    this: Alerts,
    lines: ReadonlyArray<Line>
  ): Effect.fn.Return<void, SagaStoreError> {
    let after: Position | undefined
    do {
      const page: ReadonlyArray<ExecutionRecord> = yield* untilThere(
        this.store.list({ statuses: ["Failed"], after, limit: pageSize })
      )
      for (const { id, updatedAt } of page) {
        // What has failed since the start is told anyway.
        if (updatedAt < this.since || updatedAt > this.lastChange) continue
        for (const line of lines) line.add(id, { sequence: Infinity, isRepeated: true })
      }
      after = page.length < pageSize ? undefined : page.at(-1)
    } while (after !== undefined)
  })

  /** Waits until all that happened in this engine has been told. What a start has found is told again by the next one. */
  readonly drained: Effect.Effect<void> = Effect.suspend(() => {
    this.found.clear()
    return Effect.forEach(this.lines, (line) => line.drained, { discard: true })
  })
}

class Line {
  private readonly handler: Handler
  private readonly store: Store
  private readonly since: number
  /** By execution: what is told, and what comes next. */
  private readonly turns = new Map<string, Array<Turn>>()
  /** The executions of which nothing is told at the moment. */
  private readonly next: Array<string> = []
  private readonly idle = new Set<() => void>()
  private whenEmpty: (() => void) | undefined = undefined
  private isClosing = false

  constructor(handler: Handler, store: Store, since: number) {
    this.handler = handler
    this.store = store
    this.since = since
  }

  wants(tag: JournalEvent["_tag"]): boolean {
    return (tag === "Parked" ? this.handler.onParked : this.handler.onCompensationFailed) !== undefined
  }

  add(execution: string, turn: Turn): void {
    const turns = this.turns.get(execution)
    if (turns !== undefined) {
      turns.push(turn)
      return
    }
    this.turns.set(execution, [turn])
    this.call(execution)
  }

  private call(execution: string): void {
    this.next.push(execution)
    const [wake] = this.idle
    wake?.()
  }

  get run(): Effect.Effect<void> {
    const one = Effect.forever(Effect.suspend(() => {
      const execution = this.next.shift()
      return execution === undefined ? this.awaitCall : this.tellNext(execution)
    }))
    return Effect.all(Array.from({ length: concurrency }, () => one), { concurrency: "unbounded", discard: true })
  }

  private readonly awaitCall: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.next.length > 0) return resume(Effect.void)
    const wake = () => {
      this.idle.delete(wake)
      resume(Effect.void)
    }
    this.idle.add(wake)
    return Effect.sync(() => this.idle.delete(wake))
  })

  get drained(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosing = true
      return this.turns.size === 0 ? Effect.void : Effect.callback<void>((resume) => {
        this.whenEmpty = () => resume(Effect.void)
      })
    })
  }

  private tellNext(execution: string): Effect.Effect<void> {
    const turns = this.turns.get(execution)!
    return Effect.andThen(
      this.tell(execution, turns[0]!),
      Effect.sync(() => {
        turns.shift()
        // The others come first.
        if (turns.length > 0) return this.call(execution)
        this.turns.delete(execution)
        if (this.turns.size === 0) this.whenEmpty?.()
      })
    )
  }

  private tell(execution: string, turn: Turn): Effect.Effect<void> {
    if (turn.isRepeated && this.isClosing) return Effect.void
    return untilThere(Effect.suspend(() => this.store.find(execution))).pipe(
      Effect.flatMap((found) =>
        Effect.forEach(found === undefined ? [] : this.alertsOf(found, turn), (alert) => this.hand(alert), {
          discard: true
        })
      ),
      Effect.catchCause((cause) =>
        Effect.logWarning(
          `Alert ${idOf(execution, turn.sequence)} could not be made of what is stored; the saga goes on.`,
          cause
        )
      )
    )
  }

  private alertsOf({ events, record }: StoredExecution, { isRepeated, sequence }: Turn): ReadonlyArray<Alert> {
    const journal = decodeEvents(events)
    if (journal === undefined) throw new Error(`The journal of ${record.id} is damaged, or of a later version.`)
    const numbers = isRepeated
      ? repeatedOf(journal, this.since).filter((by) => by <= sequence)
      // What was decided while its alert had to wait needs nobody any more.
      : [sequence].filter((by) => journal[by - 1]?._tag !== "Parked" || parkedBy(journal).includes(by))
    return numbers
      .flatMap((by) => alertOf(record, journal, by, isRepeated) ?? [])
      // Whoever has given it up knows.
      .filter((alert) => this.wants(alert._tag) && !(isRepeated && "isGivenUp" in alert && alert.isGivenUp))
  }

  /* Never fails. The fiber of the handler is left behind where it can't be interrupted. */
  private hand(alert: Alert): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDetach(Effect.interruptible(this.handle(alert))), (fiber) => {
        const leave = Effect.sync(() => fiber.interruptUnsafe())
        return restore(Effect.timeoutOption(Fiber.await(fiber), patience)).pipe(
          Effect.onInterrupt(() => leave),
          Effect.flatMap((ended) => {
            if (Option.isNone(ended)) {
              return Effect.andThen(
                leave,
                Effect.logWarning(
                  `Alert ${alert.id} was not handled within ${
                    Duration.format(patience)
                  } and is given up; the saga goes on.`
                )
              )
            }
            return Exit.isSuccess(ended.value) ? Effect.void : Effect.logWarning(
              `The handler of alert ${alert.id} failed; the saga goes on.`,
              ended.value.cause
            )
          })
        )
      })
    )
  }

  private handle(alert: Alert): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const { onCompensationFailed, onParked } = this.handler
      const handled: unknown = alert._tag === "Parked" ? onParked?.(alert) : onCompensationFailed?.(alert)
      if (Effect.isEffect(handled)) return handled as Effect.Effect<unknown, unknown>
      // Of one that is rejected, too, nobody but the log is told.
      if (handled instanceof Promise) handled.catch(() => {})
      return Effect.die(new Error("The handler returned no Effect (wrap a promise in Effect.tryPromise)."))
    })
  }
}

const untilThere = <A>(read: Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> =>
  Effect.retry(read, { while: (error) => error.isTransient, schedule: Schedule.spaced("1 second") })
