import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Json } from "effect/Schema"
import * as Scope from "effect/Scope"
import type { JournalEvent } from "../JournalEvent.ts"
import { CommittedIncomplete, CompensationFailed } from "../SagaError.ts"
import { Corrupt, SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import { thrown } from "./cause.ts"
import {
  alreadyFinished,
  type DecisionBy,
  type DecisionKind,
  decisionOn,
  type DecisionOptions,
  notApplicable,
  type Refusal
} from "./decisions.ts"
import type { Definition, PayloadCodec } from "./definition.ts"
import { type ChildCall, Execution, type Host, type ResultOfChild } from "./execution.ts"
import { isInstance } from "./guard.ts"
import { decodeEvents, head, progressOf } from "./journalText.ts"
import { Locks } from "./locks.ts"
import * as Progress from "./progress.ts"
import { causeLine, causeSummary } from "./render.ts"
import {
  type EarlySignal,
  type ExecutionRecord,
  isFinished,
  type ListOptions,
  type Ownership,
  type PruneOptions,
  type SagaStore,
  type StoredExecution,
  unfinishedStatuses
} from "./store.ts"
import { transactDurable } from "./transact.ts"
import { Waiters } from "./waiters.ts"
import { type Ticket, Writer } from "./writer.ts"

/*
 * The engine of one process: it owns a store, and runs the executions in it.
 *
 * 1. An unfinished execution is either live (a fiber runs it here) or idle (it waits for its definition or for an
 *    operator). What an idle one has to know is in its journal alone.
 * 2. Whoever wants an execution to change appends an event; there is no second way to store anything.
 * 3. Executions halt before anything that they use is closed, and are never undone by that.
 */

/** What is known of how an execution ended: its last event. */
export type Finished = Progress.FinishedEvent & { readonly cancelled: boolean }

export interface StartCall extends ChildCall {
  readonly parent?: string | undefined
}

export interface EngineOptions {
  readonly owner: string
  readonly standby: boolean
  readonly codec: PayloadCodec | undefined
  readonly shutdownTimeout: Duration.Duration
  readonly registrationTimeout: Duration.Duration
  readonly replayTimeout: Duration.Duration
}

const pageSize = 500

export class Engine implements Host {
  readonly codec: PayloadCodec | undefined
  readonly stallMillis: number
  private readonly store: SagaStore["Service"]
  private readonly options: EngineOptions
  private readonly clock: Clock.Clock
  private readonly writer: Writer
  private readonly definitions = new Map<string, Definition>()
  private readonly live = new Map<string, { readonly execution: Execution; fiber: Fiber.Fiber<void> | undefined }>()
  /** Unfinished, and not live. */
  private readonly idle = new Map<string, ExecutionRecord>()
  /** Nobody starts, loads or decides on an execution while another one does. */
  private readonly locks = new Locks()
  /** The recovered executions whose replay was not done at once. */
  private readonly replaying = new Set<Execution>()
  private whenReplaying: (() => void) | undefined = undefined
  private whenIdle: (() => void) | undefined = undefined
  private readonly waiters = new Waiters<Finished, SagaStoreError>()
  private earlySignals: Array<EarlySignal> = []
  private ownership: Ownership | undefined = undefined
  private lastKey = 0
  private ended: SagaStoreError | undefined = undefined
  private readonly whenOwning: Array<() => void> = []
  private isRecovered = false
  /** What has ended before the recovery came to it, which may have read it before that. */
  private readonly endedEarly = new Set<string>()
  private readonly whenRecovered: Array<() => void> = []

  constructor(store: SagaStore["Service"], options: EngineOptions, clock: Clock.Clock) {
    this.store = store
    this.writer = new Writer(store.name)
    this.options = options
    this.clock = clock
    this.codec = options.codec
    this.stallMillis = Duration.toMillis(options.replayTimeout)
  }

  /* ------------------------------------------------------------------------------------------------ its life */

  /** Owns the store and runs what is in it, until the scope closes. */
  readonly open: Effect.Effect<void, SagaStoreError, Scope.Scope> = Effect.suspend(() => {
    if (!this.options.standby) return this.own
    // Nobody waits for a standby that can't own the store: it tries again, and says so.
    const waiting = Effect.retry(
      Effect.tapError(this.own, (error) => Effect.logError(`The engine waits for its store. ${error.message}`)),
      { while: (error) => error.isTransient, schedule: Schedule.spaced("1 second") }
    )
    return Effect.asVoid(Effect.forkScoped(Effect.catch(waiting, (error) => Effect.sync(() => this.shut(error)))))
  })

  private readonly own: Effect.Effect<void, SagaStoreError, Scope.Scope> = Effect.gen({ self: this }, function*() {
    const { owner, standby } = this.options
    // Its own scope, so that the store is given back after everything has been written.
    const scope = yield* Scope.make()
    const acquired = Effect.gen({ self: this }, function*() {
      const ownership = yield* Scope.provide(this.store.acquire({ owner, standby }), scope)
      this.earlySignals = Array.from(yield* ownership.earlySignals)
      return ownership
    })
    const ownership = yield* Effect.onExit(
      acquired,
      (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
    )
    yield* Effect.addFinalizer((exit) => Effect.andThen(this.close, Scope.close(scope, exit)))
    this.lastKey = ownership.lastKey
    yield* Effect.forkIn(
      Effect.catchCause(Effect.raceFirst(this.writer.run(ownership), ownership.lost), (cause) => this.fail(cause)),
      scope
    )
    yield* Effect.forkIn(this.watchReplays, scope)
    this.ownership = ownership
    for (const resume of this.whenOwning.splice(0)) resume()
    yield* Effect.forkIn(
      Effect.retry(
        Effect.tapError(
          this.recover,
          (error) => Effect.logError(`Unfinished executions could not be read. ${error.message}`)
        ),
        { while: (error) => error.isTransient, schedule: Schedule.spaced("1 second") }
      ),
      scope
    )
  })

  private readonly watchReplays: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(Effect.suspend(() =>
      this.replaying.size === 0
        ? Effect.callback<void>((resume) => {
          this.whenReplaying = () => resume(Effect.void)
        })
        : Effect.andThen(
          Effect.sleep(this.stallMillis),
          Effect.sync(() => {
            for (const execution of this.replaying) {
              if (execution.isReplaying && !execution.halted) execution.checkReplay()
              else this.replaying.delete(execution)
            }
          })
        )
    ))
  )

  /* The store is gone: nothing can be written any more, and another engine may run the executions already. */
  private fail(cause: Cause.Cause<SagaStoreError>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    const error = Option.getOrElse(Cause.findErrorOption(cause), () =>
      new SagaStoreError({
        reason: new Unavailable({ store: this.store.name, problem: "input-output", cause: Cause.squash(cause) })
      }))
    this.shut(error)
    for (const { execution } of this.live.values()) execution.lose()
    return Effect.logError(`The engine has stopped. ${error.message}`, cause)
  }

  private readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const closed = unavailable(this.store.name, "closed")
    this.ended ??= closed
    return Effect.andThen(
      this.haltAll(() => true),
      Effect.andThen(
        // What a store does not take by then is not lost but done again.
        Effect.timeoutOption(Effect.interruptible(this.writer.flushed), this.options.shutdownTimeout),
        Effect.sync(() => {
          this.writer.close(closed)
          for (const { execution } of this.live.values()) execution.lose()
          this.shut(closed)
        })
      )
    )
  })

  private shut(error: SagaStoreError): void {
    this.ended = error
    this.writer.close(error)
    for (const resume of this.whenOwning.splice(0)) resume()
    this.waiters.tellAll(Exit.fail(error))
  }

  /* Stops executions where they stand, and waits until what they were doing has ended: its outcome is still written. */
  private haltAll(which: (execution: Execution) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const halted = Array.from(this.live.values()).filter(({ execution }) => which(execution))
      for (const { execution } of halted) execution.halt()
      const fibers = halted.flatMap(({ fiber }) => fiber === undefined ? [] : [fiber])
      return Effect.andThen(
        Effect.timeoutOption(Effect.interruptible(Fiber.awaitAll(fibers)), this.options.shutdownTimeout),
        Effect.sync(() => {
          // What has not ended by now is not waited for again. It runs once more when the execution goes on.
          for (const { execution, fiber } of halted) {
            if (fiber?.pollUnsafe() === undefined) execution.lose()
            this.rest(execution)
          }
        })
      )
    })
  }

  /** Fails where the engine has ended; waits where it is not the owner yet. */
  private readonly ready: Effect.Effect<void, SagaStoreError> = Effect.suspend(() => {
    if (this.ended !== undefined) return Effect.fail(this.ended)
    return this.ownership !== undefined ? Effect.void : Effect.andThen(
      Effect.callback<void>((resume) => {
        this.whenOwning.push(() => resume(Effect.void))
      }),
      Effect.suspend(() => this.ready)
    )
  })

  /* ------------------------------------------------------------------------------------------------ definitions */

  /** Runs the executions of `definition`, those that wait for it too, until the scope closes. */
  register(definition: Definition): Effect.Effect<void, never, Scope.Scope> {
    const name = definitionKey(definition.name, definition.version)
    return Effect.acquireRelease(
      Effect.suspend(() => {
        if (this.definitions.has(name)) {
          return Effect.die(
            new Error(`There is a definition "${definition.name}" with version ${definition.version} already.`)
          )
        }
        this.definitions.set(name, definition)
        const waiting = Array.from(this.idle.values()).filter((record) => this.definitionOf(record) === definition)
        return Effect.forEach(waiting, ({ id }) => this.openAgain(id), { discard: true })
      }),
      () =>
        Effect.suspend(() => {
          this.definitions.delete(name)
          return this.haltAll((execution) => execution.definition === definition)
        })
    )
  }

  private openAgain(id: string): Effect.Effect<void> {
    return Effect.catch(
      Effect.asVoid(this.load(id)),
      (error) => Effect.logError(`Execution ${id} could not be read. ${error.message}`)
    )
  }

  /* ------------------------------------------------------------------------------------------------ recovery */

  private readonly recover: Effect.Effect<never, SagaStoreError> = Effect.gen({ self: this }, function*() {
    let after = 0
    const { lastKey } = this
    while (after < lastKey) {
      const page = yield* Effect.catchIf(
        this.store.unfinished({ after, limit: pageSize }),
        (error) => error.reason._tag === "Corrupt",
        () => this.readOneByOne(after)
      )
      if (page.length === 0) break
      for (const { events, record } of page) {
        after = record.key
        if (after > lastKey) break
        // Whoever opened it meanwhile has read a later state.
        if (this.live.has(record.id) || this.idle.has(record.id) || this.endedEarly.has(record.id)) continue
        // Whoever has it open may leave it without running it.
        if (this.locks.isHeld(record.id)) yield* Effect.forkChild(this.openAgain(record.id))
        else yield* this.resume(record, events)
      }
      // Others are to be started meanwhile.
      yield* Effect.yieldNow
    }
    this.isRecovered = true
    this.endedEarly.clear()
    for (const resume of this.whenRecovered.splice(0)) resume()
    return yield* Effect.forever(Effect.suspend(() =>
      this.idle.size === 0
        ? Effect.callback<void>((resume) => {
          this.whenIdle = () => resume(Effect.void)
        })
        : Effect.andThen(Effect.sleep(this.options.registrationTimeout), this.parkUnregistered)
    ))
  })

  /* A journal that can't be read does not keep the others from going on. */
  private readOneByOne(after: number): Effect.Effect<ReadonlyArray<StoredExecution>, SagaStoreError> {
    return Effect.gen({ self: this }, function*() {
      const readable: Array<StoredExecution> = []
      let before: number | undefined
      while (true) {
        const page = yield* this.store.list({ statuses: unfinishedStatuses, before })
        for (const record of page) {
          if (record.key <= after) continue
          const found = yield* Effect.catch(this.store.find(record.id), (error) => {
            this.setIdle(record)
            return Effect.as(Effect.logError(`${error.message} Execution ${record.id} stays as it is.`), undefined)
          })
          if (found !== undefined) readable.push(found)
        }
        if (page.length === 0 || page.at(-1)!.key <= after) break
        before = page.at(-1)!.key
      }
      return readable.toReversed()
    })
  }

  /** Waits until all unfinished executions have been found. */
  private readonly recovered: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isRecovered) return resume(Effect.void)
    this.whenRecovered.push(() => resume(Effect.void))
  })

  private readonly parkUnregistered: Effect.Effect<void, SagaStoreError> = Effect.suspend(() =>
    Effect.forEach(Array.from(this.idle.values()), (record) => {
      const isEarly = this.now - record.updatedAt < Duration.toMillis(this.options.registrationTimeout)
      if (isEarly || record.status === "Parked" || this.definitionOf(record) !== undefined) return Effect.void
      const others = Array.from(this.definitions.values()).filter(({ name }) => name === record.definition)
      const reason = others.length === 0
        ? `No definition "${record.definition}" is registered. Register it, and the execution goes on.`
        : `It began with version ${record.version} of "${record.definition}", and registered is ` +
          `${others.map(({ version }) => `version ${version}`).join(", ")}. ` +
          `Register version ${record.version} beside it, and the execution goes on.`
      return this.withIdle(
        record.id,
        ({ found, progress }) =>
          found === undefined || progress.finished !== undefined || this.definitionOf(record) !== undefined
            ? Effect.void
            : this.appendIdle(found.record, progress, {
              ...head("Parked", this.now),
              kind: "NotRegistered",
              path: "",
              steps: [],
              attempt: 0,
              reason,
              cause: null
            })
      )
    }, { discard: true })
  )

  private definitionOf(record: ExecutionRecord): Definition | undefined {
    return this.definitions.get(definitionKey(record.definition, record.version))
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /* ------------------------------------------------------------------------------------------------ running */

  /** Runs an unfinished execution, or lets it wait for what it needs. */
  private resume(record: ExecutionRecord, texts: ReadonlyArray<string>): Effect.Effect<void> {
    const definition = this.definitionOf(record)
    if (definition === undefined) return Effect.sync(() => this.setIdle(record))
    return Effect.suspend(() => {
      const events = decodeEvents(texts)
      const progress = events === undefined ? undefined : progressOf(events)
      if (this.live.has(record.id)) return Effect.void
      this.setIdle(record)
      if (events === undefined || progress === undefined) {
        return Effect.logError(`${this.unreadable(record.id).message} It stays as it is.`)
      }
      // After its pivot nothing but a decision changes what became of it.
      const isDecided = Array.from(progress.parked?.values() ?? []).some(({ kind }) => kind === "FailedAfterPivot")
      if (!isDecided) {
        this.launch(new Execution({ record, definition, events, stored: true, host: this, clock: this.clock }))
      }
      return Effect.void
    })
  }

  private setIdle(record: ExecutionRecord): void {
    this.idle.set(record.id, record)
    this.whenIdle?.()
  }

  private launch(execution: Execution): void {
    const { definition, id } = execution
    const live: { readonly execution: Execution; fiber: Fiber.Fiber<void> | undefined } = {
      execution,
      fiber: undefined
    }
    this.idle.delete(id)
    this.live.set(id, live)
    // The services of the body were taken when its definition was registered.
    const saga = transactDurable(
      Effect.interruptible(bodyOf(execution)),
      {
        name: definition.name,
        onCompensationFailure: "continue",
        compensationTimeout: undefined,
        unwindTimeout: undefined,
        compensateWhen: undefined
      },
      execution
    ) as Effect.Effect<unknown, unknown>
    const program = Effect.uninterruptible(
      Effect.flatMap(
        Effect.exit(execution.isInClear ? saga : Effect.andThen(execution.openReasons, saga)),
        (exit) => this.finish(execution, exit)
      )
    )
    const fiber = Effect.runForkWith(definition.context)(program)
    live.fiber = fiber
    execution.attach(fiber)
    if (execution.isReplaying) {
      this.replaying.add(execution)
      this.whenReplaying?.()
    }
  }

  private finish(execution: Execution, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (execution.halted) return Effect.sync(() => this.rest(execution))
    if (Exit.isFailure(exit)) return this.finishFailed(execution, exit.cause)
    this.end(execution, { ...execution.head("ExecutionCompleted"), result: exit.value as Json })
    return Effect.void
  }

  /* Nobody runs it any more. What it has to know is in its journal, if it has got that far. */
  private rest(execution: Execution): void {
    // Another one may run in its place by now, and one that has ended is told of when that is durable.
    if (this.live.get(execution.id)?.execution !== execution) return
    if (execution.progress.finished !== undefined && !execution.isLost) return
    this.live.delete(execution.id)
    this.setIdle(execution.record)
  }

  /* It is live until its last event is durable, and then gone. */
  private end(execution: Execution, event: Progress.FinishedEvent): void {
    execution.note(event, () => {
      this.live.delete(execution.id)
      if (!this.isRecovered) this.endedEarly.add(execution.id)
      this.waiters.tell(execution.id, Exit.succeed({ ...event, cancelled: execution.progress.cancelled }))
    })
  }

  private finishFailed(execution: Execution, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { definition, outcome, progress } = execution
    return Effect.flatMap(execution.seal(definition.cause.encode(asTyped(cause))), (result) => {
      if (outcome === "Compensated") {
        // What is not undone of a saga within it, or of a child, is not undone of it.
        const ended = execution.head(leavesSomething(cause) ? "ExecutionFailed" : "ExecutionCompensated")
        this.end(execution, { ...ended, result })
        return Effect.void
      }
      const incomplete = failureIn(cause)
      if (
        isInstance(incomplete, CommittedIncomplete) && definition.onCompensationFailure === "park" &&
        !progress.cancelled
      ) {
        const steps = incomplete.report.failedBy
        const parked = execution.park({
          kind: "FailedAfterPivot",
          path: steps.length === 1 ? steps[0]! : "",
          steps,
          reason: `It failed after its pivot: ${
            execution.isInClear ? causeSummary(incomplete.reason) : causeLine(incomplete.reason, false)
          }`,
          cause: result
        })
        // From here on decisions are those on an execution that nobody runs.
        this.rest(execution)
        return parked
      }
      this.end(execution, { ...execution.head("ExecutionFailed"), result })
      return Effect.void
    })
  }

  write(ticket: Ticket): void {
    this.writer.write(ticket)
  }

  /* ------------------------------------------------------------------------------------------------ clients */

  /** Starts an execution, or joins the one that has its id. Returns when that is durable. */
  start(call: StartCall): Effect.Effect<void, SagaStoreError> {
    return Effect.flatMap(this.ready, () => {
      const live = this.live.get(call.id)
      if (live !== undefined) return this.join(live.execution, call)
      return Effect.flatten(this.locks.exclusively(
        call.id,
        Effect.suspend((): Effect.Effect<Effect.Effect<void, SagaStoreError>, SagaStoreError> => {
          const live = this.live.get(call.id)
          if (live !== undefined) return Effect.succeed(this.join(live.execution, call))
          // It may be on its way to the store.
          if (this.idle.has(call.id)) {
            return Effect.succeed(Effect.andThen(
              this.writer.flushed,
              Effect.suspend(() => this.idle.has(call.id) ? Effect.void : this.start(call))
            ))
          }
          return Effect.flatMap(
            this.store.find(call.id),
            (found) => found === undefined ? this.create(call) : Effect.as(this.resumeFound(found), Effect.void)
          )
        })
      ))
    })
  }

  /* Where the one who started it was refused by the store, this one tries by itself. */
  private join(execution: Execution, call: StartCall): Effect.Effect<void, SagaStoreError> {
    return execution.isStored ?
      Effect.void :
      Effect.callback((resume) =>
        execution.whenWritten(1, (written) => resume(written ? Effect.void : this.start(call)))
      )
  }

  /** Starts an execution, or joins the one that has its id, and waits until it has ended. */
  run(call: StartCall): Effect.Effect<Finished, SagaStoreError> {
    return Effect.flatMap(this.ready, () =>
      this.live.has(call.id)
        ? this.waiters.await(call.id)
        : Effect.flatten(this.locks.exclusively(
          call.id,
          Effect.suspend((): Effect.Effect<Effect.Effect<Finished, SagaStoreError>, SagaStoreError> => {
            if (this.live.has(call.id) || this.idle.has(call.id)) return Effect.succeed(this.waiters.await(call.id))
            return Effect.flatMap(this.store.find(call.id), (found) => {
              if (found === undefined) return Effect.as(this.create(call), this.waiters.await(call.id))
              if (isFinished(found.record.status)) return Effect.succeed(this.finishedOf(found))
              return Effect.as(this.resumeFound(found), this.waiters.await(call.id))
            })
          })
        )))
  }

  /* The body may begin before the start is durable: it does nothing that has an effect before. Gives the wait for that. */
  private create(call: StartCall): Effect.Effect<Effect.Effect<void, SagaStoreError>> {
    return Effect.map(
      this.codec === undefined ? Effect.succeed(call.payload) : this.codec.encode(call.payload),
      (payload) => {
        const at = this.now
        const { definition, id, parent, version } = call
        const started: JournalEvent = {
          ...head("ExecutionStarted", at),
          id,
          definition,
          version,
          payload,
          ...(parent === undefined ? undefined : { parent })
        }
        const record: ExecutionRecord = {
          key: ++this.lastKey,
          id,
          definition,
          version,
          status: "Running",
          cancelled: false,
          reason: null,
          parent: parent ?? null,
          createdAt: at,
          updatedAt: at
        }
        const early = this.earlySignals.length === 0 ? [] : this.takeEarlySignals(id)
        const found = this.definitionOf(record)
        const execution = found === undefined ? undefined : new Execution({
          record,
          definition: found,
          events: early.length === 0 ? [started] : [started, ...decodeEvents(early)!],
          stored: false,
          host: this,
          clock: this.clock
        })
        let state: "Queued" | "Written" | SagaStoreError = "Queued"
        let wake: (() => void) | undefined
        const written = () => {
          state = "Written"
          wake?.()
        }
        const failed = (error: SagaStoreError) => {
          this.earlySignals.push(...early.map((event) => ({ execution: id, event })))
          execution?.lose()
          this.idle.delete(id)
          state = error
          wake?.()
          this.waiters.tell(id, Exit.fail(error))
        }
        if (execution !== undefined) execution.begin(early, { written, failed })
        else {
          this.setIdle(record)
          this.writer.write({
            take: () => ({ key: record.key, record, firstSequence: 1, events: [JSON.stringify(started), ...early] }),
            written,
            lost: failed,
            refused: failed,
            isVoid: false
          })
        }
        if (execution !== undefined) this.launch(execution)
        return Effect.callback<void, SagaStoreError>((resume) => {
          wake = () => {
            if (state !== "Queued") resume(state === "Written" ? Effect.void : Effect.fail(state))
          }
          wake()
        })
      }
    )
  }

  private takeEarlySignals(id: string): ReadonlyArray<string> {
    const taken = this.earlySignals.filter(({ execution }) => execution === id)
    if (taken.length > 0) this.earlySignals = this.earlySignals.filter(({ execution }) => execution !== id)
    return taken.map(({ event }) => event)
  }

  private resumeFound({ events, record }: StoredExecution): Effect.Effect<void> {
    return isFinished(record.status) ? Effect.void : this.resume(record, events)
  }

  /** Makes an unfinished execution live or idle. */
  private load(id: string): Effect.Effect<void, SagaStoreError> {
    return this.locks.exclusively(
      id,
      Effect.suspend(() =>
        this.live.has(id) ? Effect.void : Effect.flatMap(
          Effect.andThen(this.writer.flushed, this.store.find(id)),
          (found) => found === undefined ? Effect.void : this.resumeFound(found)
        )
      )
    )
  }

  /** Waits until an execution has ended. `undefined` where there is none of this id. */
  awaitFinished(id: string): Effect.Effect<Finished | undefined, SagaStoreError> {
    return Effect.flatMap(this.ready, () => {
      if (this.live.has(id) || this.idle.has(id)) return this.waiters.await(id)
      return Effect.flatMap(this.store.find(id), (found): Effect.Effect<Finished | undefined, SagaStoreError> => {
        if (found === undefined) return Effect.succeed(undefined)
        if (isFinished(found.record.status)) return this.finishedOf(found)
        return Effect.andThen(this.load(id), this.awaitFinished(id))
      })
    })
  }

  /** How an execution ended, if it has; `undefined` where there is none of this id. */
  poll(id: string): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> {
    return Effect.flatMap(
      this.ready,
      () =>
        Effect.flatMap(
          this.find(id),
          (found): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> =>
            found === undefined
              ? Effect.succeed(undefined)
              : isFinished(found.record.status)
              ? this.finishedOf(found)
              : Effect.succeed("Unfinished")
        )
    )
  }

  private finishedOf({ events, record }: StoredExecution): Effect.Effect<Finished, SagaStoreError> {
    const last = decodeEvents(events.slice(-1))?.[0]
    return last?._tag === "ExecutionCompleted" || last?._tag === "ExecutionCompensated" ||
        last?._tag === "ExecutionFailed"
      ? Effect.succeed({ ...last, cancelled: record.cancelled })
      : Effect.fail(
        new SagaStoreError({
          reason: new Corrupt({
            store: this.store.name,
            detail: `execution ${record.id} has ended and its journal has no last event`,
            cause: undefined
          })
        })
      )
  }

  /** What is stored of an execution, after what was queued before is written. */
  find(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return Effect.andThen(this.writer.flushedUnlessStalled, this.store.find(id))
  }

  history(id: string): Effect.Effect<ReadonlyArray<JournalEvent> | undefined, SagaStoreError> {
    return Effect.flatMap(this.find(id), (found) => {
      if (found === undefined) return Effect.succeed(undefined)
      const events = decodeEvents(found.events)
      return events !== undefined ? Effect.succeed(events) : Effect.fail(this.unreadable(id))
    })
  }

  list(options: ListOptions): Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> {
    return Effect.andThen(this.writer.flushedUnlessStalled, this.store.list(options))
  }

  prune(olderThan: Duration.Duration, statuses: PruneOptions["statuses"]): Effect.Effect<number, SagaStoreError> {
    return Effect.suspend(() => this.store.prune({ finishedBefore: this.now - Duration.toMillis(olderThan), statuses }))
  }

  /** Keeps a signal for an execution, which may be one that has not been started. */
  signal(id: string, name: string, value: Json): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.flatMap(
      Effect.andThen(this.ready, this.codec === undefined ? Effect.succeed(value) : this.codec.encode(value)),
      (value) =>
        this.withExecution(id, {
          live: (execution) => Effect.as(execution.receive(name, value), undefined),
          idle: (record, progress) =>
            Effect.as(
              this.appendIdle(record, progress, { ...head("SignalReceived", this.now), name, value }),
              undefined
            ),
          none: () => {
            const early: EarlySignal = {
              execution: id,
              event: JSON.stringify({ ...head("SignalReceived", this.now), name, value })
            }
            return Effect.as(
              Effect.andThen(
                this.ownership!.keepSignal(early),
                Effect.sync(() => this.earlySignals.push(early))
              ),
              undefined
            )
          }
        })
    )
  }

  /** Has an execution undone, at its next step or wait. Its children, too. */
  cancel(id: string, by: DecisionBy): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.andThen(
      this.ready,
      this.withExecution(id, {
        live: (execution) => {
          if (execution.isUnwinding) return Effect.succeed(notApplicable("it is already being undone"))
          if (execution.progress.cancelled) return Effect.succeed(undefined)
          return Effect.as(
            Effect.andThen(
              execution.cancel(by),
              Effect.forEach(this.childrenOf(id), (child) => this.cancel(child, {}), { discard: true })
            ),
            undefined
          )
        },
        idle: (record, progress) => {
          const parked = progress.parked?.values().next().value
          const requested: JournalEvent = { ...head("CancelRequested", this.now), ...by }
          return Effect.as(
            parked?.kind === "FailedAfterPivot"
              ? this.appendIdle(record, progress, requested, {
                ...head("ExecutionFailed", this.now),
                result: parked.cause
              })
              : this.appendIdle(record, progress, requested),
            undefined
          )
        },
        none: () => Effect.succeed({ _tag: "NotFound" as const })
      })
    )
  }

  cancelChild(id: string): Effect.Effect<void> {
    return Effect.ignore(Effect.andThen(this.cancel(id, {}), this.awaitFinished(id)))
  }

  cancelChildren(parent: string): Effect.Effect<void> {
    return Effect.andThen(
      this.recovered,
      Effect.suspend(() => Effect.forEach(this.childrenOf(parent), (id) => this.cancelChild(id), { discard: true }))
    )
  }

  private childrenOf(parent: string): ReadonlyArray<string> {
    return Array.from(this.live.values())
      .filter(({ execution }) => execution.progress.started.parent === parent)
      .map(({ execution }) => execution.id)
  }

  runChild(call: ChildCall, parent: Execution): Effect.Effect<ResultOfChild> {
    const run: Effect.Effect<ResultOfChild, SagaStoreError> = Effect.flatMap(
      Effect.andThen(
        this.start({ ...call, parent: parent.id }),
        Effect.andThen(
          Effect.suspend(() => parent.progress.cancelled ? Effect.asVoid(this.cancel(call.id, {})) : Effect.void),
          this.awaitFinished(call.id)
        )
      ),
      (finished) =>
        finished === undefined ? run : Effect.succeed({
          status: Progress.statusOfFinished(finished),
          cancelled: finished.cancelled,
          result: finished.result
        })
    )
    // The parent waits for the store as it does for all else. Where that is gone for good, the parent has halted.
    return Effect.catch(run, (error) =>
      error.isTransient
        ? Effect.andThen(Effect.sleep(1000), this.runChild(call, parent))
        : Effect.interrupt)
  }

  /** Decides on what an execution is parked for: all of it, or the step at `path`. */
  decide(id: string, kind: DecisionKind, options: DecisionOptions): Effect.Effect<Refusal | undefined, SagaStoreError> {
    const decided = (
      progress: Progress.Progress,
      apply: (decision: Progress.Decision) => Effect.Effect<void, SagaStoreError>
    ): Effect.Effect<Refusal | undefined, SagaStoreError> => {
      const decision = decisionOn(progress, kind, options, this.now)
      return "v" in decision ? Effect.as(apply(decision), undefined) : Effect.succeed(decision)
    }
    // What was decided takes effect, also where nobody waits for that any more.
    return Effect.uninterruptible(Effect.flatMap(
      Effect.andThen(
        this.ready,
        this.withExecution<{ readonly refusal: Refusal | undefined; readonly reopen: boolean }>(id, {
          live: (execution) =>
            Effect.map(
              decided(execution.progress, (decision) => execution.decide(decision)),
              (refusal) => ({ refusal, reopen: false })
            ),
          idle: (record, progress) => {
            const failed = Array.from(progress.parked?.values() ?? []).find(({ kind }) => kind === "FailedAfterPivot")
            return Effect.map(
              decided(progress, (decision) =>
                decision._tag === "Skipped" && failed !== undefined
                  ? this.appendIdle(record, progress, decision, {
                    ...head("ExecutionFailed", this.now),
                    result: failed.cause
                  })
                  : this.appendIdle(record, progress, decision)),
              (refusal) => ({ refusal, reopen: refusal === undefined })
            )
          },
          none: () => Effect.succeed({ refusal: { _tag: "NotFound" as const }, reopen: false })
        })
      ),
      (answer) => {
        if (answer === undefined) return Effect.succeed(undefined)
        if ("_tag" in answer) return Effect.succeed(answer)
        return answer.reopen ? Effect.as(this.load(id), answer.refusal) : Effect.succeed(answer.refusal)
      }
    ))
  }

  /* Does what fits the place where an execution is now. A finished one refuses everything. */
  private withExecution<A>(id: string, cases: {
    readonly live: (execution: Execution) => Effect.Effect<A, SagaStoreError>
    readonly idle: (record: ExecutionRecord, progress: Progress.Progress) => Effect.Effect<A, SagaStoreError>
    readonly none: () => Effect.Effect<A, SagaStoreError>
  }): Effect.Effect<A | Refusal, SagaStoreError> {
    const onLive = (execution: Execution): Effect.Effect<A | Refusal, SagaStoreError> => {
      const { finished } = execution.progress
      if (finished !== undefined) return Effect.succeed(alreadyFinished(finished))
      return Effect.catchCause(cases.live(execution), (cause) =>
        execution.isLost
          ? Effect.fail(this.ended ?? unavailable(this.store.name, "closed"))
          : Effect.failCause(cause))
    }
    return Effect.suspend((): Effect.Effect<A | Refusal, SagaStoreError> => {
      // One whose last event was lost with the store stays live, and would be waited for again and again.
      if (this.ended !== undefined) return Effect.fail(this.ended)
      const live = this.live.get(id)
      if (live !== undefined) {
        return live.execution.halted && live.fiber !== undefined
          // It is about to be idle.
          ? Effect.andThen(Fiber.await(live.fiber), this.withExecution(id, cases))
          : onLive(live.execution)
      }
      return this.withIdle<A | Refusal>(id, ({ found, progress }) => {
        if (found === undefined) return cases.none()
        if (progress.finished !== undefined) return Effect.succeed(alreadyFinished(progress.finished))
        // One that the recovery has not come to is run first, as the recovery leaves alone what is idle.
        return Effect.flatMap(this.resume(found.record, found.events), () => {
          const live = this.live.get(id)
          return live === undefined ? cases.idle(found.record, progress) : onLive(live.execution)
        })
      })
    })
  }

  private withIdle<A>(
    id: string,
    use: (
      read:
        | { readonly found: undefined; readonly progress: undefined }
        | { readonly found: StoredExecution; readonly progress: Progress.Progress }
    ) => Effect.Effect<A, SagaStoreError>
  ): Effect.Effect<A, SagaStoreError> {
    return this.locks.exclusively(
      id,
      // Nothing may be appended to a journal before all that is on its way to it is there.
      Effect.flatMap(Effect.andThen(this.writer.flushed, this.store.find(id)), (found) => {
        if (found === undefined) return use({ found, progress: undefined })
        const progress = progressOf(decodeEvents(found.events))
        return progress === undefined ? Effect.fail(this.unreadable(id)) : use({ found, progress })
      })
    )
  }

  private unreadable(id: string): SagaStoreError {
    return new SagaStoreError({
      reason: new Corrupt({
        store: this.store.name,
        detail: `the journal of execution ${id} is damaged, or was written by a later version of this library`,
        cause: undefined
      })
    })
  }

  /* Appends to the journal of an execution that nobody runs. */
  private appendIdle(
    record: ExecutionRecord,
    progress: Progress.Progress,
    ...events: ReadonlyArray<JournalEvent>
  ): Effect.Effect<void, SagaStoreError> {
    return Effect.callback((resume) => {
      const { id } = record
      const firstSequence = progress.sequence + 1
      for (const event of events) Progress.apply(progress, event)
      const changed: ExecutionRecord = {
        ...record,
        status: Progress.statusOf(progress),
        reason: Progress.parkedReason(progress) ?? null,
        cancelled: progress.cancelled,
        updatedAt: this.now
      }
      this.writer.write({
        take: () => ({
          key: record.key,
          record: changed,
          firstSequence,
          events: events.map((event) => JSON.stringify(event))
        }),
        written: () => {
          if (progress.finished === undefined) this.setIdle(changed)
          else {
            this.idle.delete(id)
            if (!this.isRecovered) this.endedEarly.add(id)
            this.waiters.tell(id, Exit.succeed({ ...progress.finished, cancelled: progress.cancelled }))
          }
          resume(Effect.void)
        },
        lost: (error) => resume(Effect.fail(error)),
        refused: (error) => resume(Effect.fail(error)),
        isVoid: false
      })
    })
  }
}

const definitionKey = (name: string, version: number): string => `${name}@${version}`

const unavailable = (store: string, problem: "closed"): SagaStoreError =>
  new SagaStoreError({ reason: new Unavailable({ store, problem, cause: undefined }) })

/* The body, from the payload as stored to its result as stored. A result that can't be stored fails, and is undone. */
const bodyOf = (execution: Execution): Effect.Effect<Json, unknown> => {
  const { definition, progress } = execution
  return Effect.flatMap(execution.open(progress.started.payload, "The payload"), (opened) => {
    const payload = definition.payload.decode(opened)
    if (Exit.isFailure(payload)) {
      return execution.mismatch(
        `Its payload does not fit the schema any more: ${causeLine(payload.cause, execution.isInClear)}.`
      )
    }
    // Its services are in the context that it is run with.
    const body = Effect.suspend(() => {
      const returned: unknown = definition.body(payload.value as never)
      if (Effect.isEffect(returned)) return returned as Effect.Effect<unknown, unknown>
      if (isInstance(returned, Promise)) returned.catch(() => {})
      return Effect.die(
        new Error(`The body of "${definition.name}" returned no Effect. Wrap a promise in Effect.tryPromise.`)
      )
    })
    return Effect.flatMap(body, (value) => {
      const result = definition.success.encode(value)
      return Exit.isSuccess(result) ? execution.seal(result.value) : Effect.die(
        new Error(`The result of "${definition.name}" does not fit its schema: ${Cause.pretty(result.cause)}`)
      )
    })
  })
}

const isUndone = (reason: Cause.Reason<unknown>): boolean => {
  const error = reason._tag === "Interrupt" ? undefined : thrown(reason)
  return !(isInstance(error, CompensationFailed) || isInstance(error, CommittedIncomplete))
}

const leavesSomething = (cause: Cause.Cause<unknown>): boolean => !cause.reasons.every(isUndone)

/* A saga within it may have died with these, but the type of a durable saga names them. */
const asTyped = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  leavesSomething(cause)
    ? Cause.fromReasons(
      cause.reasons.map((reason) =>
        reason._tag === "Die" && !isUndone(reason) ? Cause.makeFailReason(reason.defect) : reason
      )
    )
    : cause

const failureIn = (cause: Cause.Cause<unknown>): unknown => {
  const reason = cause.reasons.find((reason) => reason._tag !== "Interrupt")
  return reason === undefined ? undefined : thrown(reason as Cause.Fail<unknown> | Cause.Die)
}
