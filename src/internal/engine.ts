import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Json } from "effect/Schema"
import * as Scope from "effect/Scope"
import { SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import type { Handler } from "./alertModel.ts"
import { Alerts } from "./alerts.ts"
import { unlessInterrupted } from "./cause.ts"
import { Changes } from "./changes.ts"
import { Children } from "./children.ts"
import { Creator } from "./creator.ts"
import type { DecisionBy, DecisionKind, DecisionOptions, Refusal } from "./decisions.ts"
import type { Definition, PayloadCodec } from "./definition.ts"
import { Definitions } from "./definitions.ts"
import { Desk, type RequestAnswer } from "./desk.ts"
import { EarlySignals } from "./earlySignals.ts"
import { closed, Ending } from "./ending.ts"
import type { Execution } from "./execution.ts"
import { Executions } from "./executions.ts"
import type { Host, Parent, ResultOfChild } from "./host.ts"
import { Idle } from "./idle.ts"
import { Journals } from "./journals.ts"
import { Launcher } from "./launcher.ts"
import { Loader } from "./loader.ts"
import { Recovery } from "./recovery.ts"
import { ReplayWatch } from "./replayWatch.ts"
import type { ChildCall, Finished, Runner, StartCall } from "./runner.ts"
import { Starter } from "./starter.ts"
import type {
  EarlySignal,
  ExecutionRecord,
  ListOptions,
  Ownership,
  PruneOptions,
  SagaStore,
  StoredExecution
} from "./store.ts"
import { type Ticket, Writer } from "./writer.ts"

/*
 * The engine of one process: it owns a store, and runs the executions in it. Here are its parts, and its life.
 *
 * 1. Each part is told what it needs when it is made, and knows those made before it. What executions need of the engine
 *    as a whole is its `Host`.
 * 2. Executions halt before anything that they use is closed, and are never undone by that.
 */

export interface EngineOptions {
  readonly codec: PayloadCodec | undefined
  readonly shutdownTimeout: Duration.Duration
  readonly registrationTimeout: Duration.Duration
  readonly replayTimeout: Duration.Duration
  readonly alerts: ReadonlyArray<Handler>
}

export class Engine implements Host, Runner {
  readonly codec: PayloadCodec | undefined
  readonly stallMillis: number
  readonly ownership: Ownership
  readonly alerts: Alerts | undefined
  readonly clock: Clock.Clock
  private readonly store: SagaStore["Service"]
  private readonly shutdownTimeout: Duration.Duration
  private readonly registrationTimeout: Duration.Duration
  private readonly writer: Writer
  private readonly ending = new Ending()
  private readonly definitions = new Definitions()
  private readonly journals: Journals
  private readonly executions: Executions
  private readonly replays: ReplayWatch
  private readonly loader: Loader
  private readonly recovery: Recovery
  private readonly starter: Starter
  private readonly changes: Changes
  private readonly children: Children

  constructor(
    store: SagaStore["Service"],
    ownership: Ownership,
    storedSignals: ReadonlyArray<EarlySignal>,
    options: EngineOptions,
    clock: Clock.Clock
  ) {
    this.store = store
    this.ownership = ownership
    this.clock = clock
    this.codec = options.codec
    this.shutdownTimeout = options.shutdownTimeout
    this.registrationTimeout = options.registrationTimeout
    this.stallMillis = Duration.toMillis(options.replayTimeout)

    const { definitions, ending } = this
    const writer = this.writer = new Writer(store.name)
    const journals = this.journals = new Journals(store, writer)
    const executions = this.executions = new Executions(ownership.lastKey)
    const alerts = this.alerts = options.alerts.length === 0
      ? undefined
      : new Alerts(options.alerts, store, ownership.lastChange)
    const replays = this.replays = new ReplayWatch(this.stallMillis)
    const earlySignals = new EarlySignals(ownership, storedSignals)
    const idle = new Idle(journals, executions, clock, alerts)
    const launcher = new Launcher(ending, executions, replays)
    const loader = this.loader = new Loader(this, journals, definitions, executions, launcher)
    const creator = new Creator(this, definitions, executions, earlySignals, launcher)
    const { registrationTimeout, replayTimeout } = options
    this.recovery = new Recovery({
      store,
      journals,
      definitions,
      executions,
      loader,
      idle,
      alerts,
      registrationTimeout,
      clock
    })
    this.starter = new Starter(ending, journals, executions, loader, creator)
    this.changes = new Changes({
      store: store.name,
      ending,
      executions,
      loader,
      idle,
      earlySignals,
      clock,
      replayTimeout
    })
    this.children = new Children(ending, executions, this)
  }

  /* ------------------------------------------------------------------------------------------------ its life */

  /** Works until the scope closes: then it has written all there was to write. */
  readonly open: Effect.Effect<void, never, Scope.Scope> = Effect.gen({ self: this }, function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Effect.andThen(this.close, Scope.close(scope, exit)))
    const write = Effect.raceFirst(this.writer.run(this.ownership), this.ownership.lost)
    yield* Effect.forkIn(Effect.catchCause(write, (cause) => this.fail(cause)), scope)
    yield* Effect.forkIn(this.replays.run, scope)
    yield* Effect.forkIn(this.recovery.run, scope)
    if (this.alerts !== undefined) {
      const settled = Effect.andThen(this.executions.recovered, Effect.sleep(this.registrationTimeout))
      yield* Effect.forkIn(this.alerts.run(settled), scope)
    }
    const desk = new Desk(this.store, this.ownership, this, this.codec)
    yield* Effect.forkIn(desk.open, scope)
  })

  /** Why it has ended, when it has. */
  get awaitEnd(): Effect.Effect<SagaStoreError> {
    return this.ending.awaited
  }

  get flushed(): Effect.Effect<void> {
    return this.writer.flushed
  }

  get hasEnded(): boolean {
    return this.ending.error !== undefined
  }

  /* The store is gone: nothing can be written any more, and another engine may run the executions already. */
  private fail(cause: Cause.Cause<SagaStoreError>): Effect.Effect<void> {
    return unlessInterrupted(cause, () => {
      const error = Option.getOrElse(Cause.findErrorOption(cause), () =>
        new SagaStoreError({
          reason: new Unavailable({ store: this.store.name, problem: "input-output", cause: Cause.squash(cause) })
        }))
      this.shut(error)
      this.executions.loseAll()
      return Effect.logError(`The engine has stopped. ${error.message}`, cause)
    })
  }

  private readonly close: Effect.Effect<void> = Effect.suspend(() => {
    // What runs in an engine that has lost its store can write nothing, so nobody waits for it.
    if (this.hasEnded) return Effect.void
    const error = closed(this.store.name)
    this.ending.begin(error)
    return this.haltAll(() => true).pipe(
      // What a store does not take by then is not lost but done again.
      Effect.andThen(Effect.timeoutOption(Effect.interruptible(this.writer.flushed), this.shutdownTimeout)),
      Effect.andThen(Effect.sync(() => {
        this.writer.close(error)
        this.executions.loseAll()
        this.shut(error)
      })),
      Effect.andThen(
        Effect.timeoutOption(Effect.interruptible(this.alerts?.drained ?? Effect.void), this.shutdownTimeout)
      )
    )
  })

  private shut(error: SagaStoreError): void {
    this.ending.end(error)
    this.writer.close(error)
    this.ending.tell(error)
    this.executions.tellAll(error)
  }

  /* Stops executions where they stand, and waits until what they were doing has ended: its outcome is still written. */
  private haltAll(which: (execution: Execution) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const halted = this.executions.allLive.filter(which)
      for (const execution of halted) execution.halt()
      const fibers = halted.flatMap(({ fiber }) => fiber === undefined ? [] : [fiber])
      return Effect.andThen(
        Effect.timeoutOption(Effect.interruptible(Fiber.awaitAll(fibers)), this.shutdownTimeout),
        Effect.sync(() => {
          // What has not ended by now is not waited for again. It runs once more when the execution goes on.
          for (const execution of halted) {
            if (execution.fiber?.pollUnsafe() === undefined) execution.journal.lose()
            this.executions.rest(execution)
          }
        })
      )
    })
  }

  /* ------------------------------------------------------------------------------------------------ definitions */

  /** Runs the executions of `definition`, those that wait for it too, until it is removed. */
  add(definition: Definition): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.definitions.add(definition)
      const waiting = this.executions.allIdle.filter((record) => this.definitions.of(record) === definition)
      return Effect.forEach(waiting, ({ id }) => this.loader.loadOrLog(id), { discard: true })
    })
  }

  remove(definition: Definition): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.definitions.remove(definition)
      return this.haltAll((execution) => execution.definition === definition)
    })
  }

  /* ------------------------------------------------------------------------------------------------ for executions */

  write(ticket: Ticket): void {
    this.writer.write(ticket)
  }

  runChild(call: ChildCall, parent: Parent): Effect.Effect<ResultOfChild> {
    return this.children.run(call, parent)
  }

  cancelChild(id: string, parent: Parent): Effect.Effect<void> {
    return this.children.cancel(id, parent)
  }

  cancelChildren(parent: Parent): Effect.Effect<void> {
    return this.children.cancelAll(parent)
  }

  /* ------------------------------------------------------------------------------------------------ for clients */

  start(call: StartCall, answer?: RequestAnswer): Effect.Effect<void, SagaStoreError> {
    return this.starter.start(call, answer)
  }

  run(call: StartCall): Effect.Effect<Finished, SagaStoreError> {
    return this.starter.run(call)
  }

  awaitFinished(id: string): Effect.Effect<Finished | undefined, SagaStoreError> {
    return this.starter.awaitFinished(id)
  }

  poll(id: string): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> {
    return this.starter.poll(id)
  }

  cancel(id: string, by: DecisionBy, answer?: RequestAnswer): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.changes.cancel(id, by, answer)
  }

  signal(
    id: string,
    name: string,
    value: Json,
    by: DecisionBy,
    answer?: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.changes.signal(id, name, value, by, answer)
  }

  decide(
    id: string,
    kind: DecisionKind,
    options: DecisionOptions,
    answer?: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.changes.decide(id, kind, options, answer)
  }

  /** What is stored of an execution, after what was queued before is written. */
  find(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return this.journals.readSoon(id)
  }

  list(options: ListOptions): Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> {
    return Effect.andThen(this.writer.flushedUnlessStalled, this.store.list(options))
  }

  prune(options: PruneOptions): Effect.Effect<number, SagaStoreError> {
    return this.store.prune(options)
  }
}
