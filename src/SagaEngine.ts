/**
 * Runs durable sagas on a store.
 *
 * **Details**
 *
 * - An engine owns its store: no other one writes to it meanwhile, and one that was paused for too long finds out before
 *   it can write again.
 * - When it starts, every unfinished execution goes on, forward or undoing, as soon as its definition is registered.
 *   Timers that fell due meanwhile fire at once.
 * - An action whose success is in the journal never runs again. One that was running when the process died runs again,
 *   with the same idempotency key.
 * - Closing an engine undoes nothing. Actions that are running may end and are written down, everything else stops where
 *   it stands, and goes on when an engine has the store again.
 * - While a store can't be written (a full disk, a lock) executions wait and go on later. New ones are refused with
 *   `SagaStoreError`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Check from "./internal/check.ts"
import { Client } from "./internal/client.ts"
import { decisionBy } from "./internal/decisions.ts"
import type { Definition, PayloadCodec } from "./internal/definition.ts"
import * as FilterCheck from "./internal/filterCheck.ts"
import { decodeEvents } from "./internal/journalText.ts"
import { Member } from "./internal/member.ts"
import * as Progress from "./internal/progress.ts"
import { accepted, found } from "./internal/refuse.ts"
import { type Finished, type Runner, type StartCall, unreadable } from "./internal/runner.ts"
import type { ExecutionRecord, ListOptions, Status } from "./internal/store.ts"
import { SagaStore } from "./internal/store.ts"
import type { JournalEvent } from "./JournalEvent.ts"
import { SagaAlerts } from "./SagaAlerts.ts"
import { InvalidPayload, SagaEngineError } from "./SagaEngineError.ts"
import type { SagaStoreError } from "./SagaStoreError.ts"

export type { PayloadCodec } from "./internal/definition.ts"
export {
  AlreadyFinished,
  Cancelled,
  ExecutionNotFound,
  InvalidPayload,
  InvalidValue,
  NoEngine,
  NotApplicable,
  NotParked,
  SagaEngineError,
  Unanswered,
  WrongStep
} from "./SagaEngineError.ts"

/**
 * How an execution ended, with its result as JSON: that of its success, or of the `Cause` of its failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Result {
  readonly status: "Completed" | "Compensated" | "Failed"
  /** Whether somebody had asked to cancel it. */
  readonly cancelled: boolean
  readonly result: Json
}

/**
 * What is kept of a decision or a signal, besides itself.
 *
 * @category options
 * @since 0.1.0
 */
export interface DecisionOptions {
  /** Who decided. */
  readonly operator?: string | undefined
  /** Why. */
  readonly reason?: string | undefined
}

/**
 * A decision on what an execution is parked for. With `path`, on the step at that path: needed where several of its
 * compensations could not be done.
 *
 * @category options
 * @since 0.1.0
 */
export interface ParkedOptions extends DecisionOptions {
  readonly path?: string | undefined
}

/**
 * Runs executions. Most programs use it through a `DurableSaga`, which knows the types of what is in the JSON here.
 *
 * @category services
 * @since 0.1.0
 */
export class SagaEngine extends Context.Service<SagaEngine, {
  /** Runs the executions of a definition until the scope closes. */
  readonly register: (definition: Definition) => Effect.Effect<void, never, Scope.Scope>
  /** Starts an execution, or joins the one of this id. Returns when that is durable. */
  readonly start: (call: StartCall) => Effect.Effect<void, SagaStoreError>
  /** Starts an execution, or joins the one of this id, and waits until it has ended. */
  readonly run: (call: StartCall) => Effect.Effect<Result, SagaStoreError | SagaEngineError>
  /** Waits until an execution has ended. */
  readonly await: (id: string) => Effect.Effect<Result, SagaStoreError | SagaEngineError>
  /** How an execution ended, or `undefined` where it has not. */
  readonly poll: (id: string) => Effect.Effect<Result | undefined, SagaStoreError | SagaEngineError>
  /** Has an execution undone, at its next step or wait, and its children with it. */
  readonly cancel: (id: string, options?: DecisionOptions) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  /**
   * Sends a signal. It is kept until it is waited for, also where the execution has not been started yet. Fails with
   * `NotApplicable` where the execution waits for it and `value` does not fit.
   */
  readonly signal: (
    id: string,
    name: string,
    value: Json,
    options?: DecisionOptions
  ) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  /** Has a parked execution try again what it is parked for. */
  readonly retry: (id: string, options?: ParkedOptions) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  /**
   * Gives up what an execution is parked for. A compensation counts as failed, and the others run; after its pivot the
   * execution ends as it is.
   */
  readonly skip: (id: string, options?: ParkedOptions) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  /**
   * Says that what an execution is parked for was done by hand. A compensation counts as done, and has no value; a step
   * after the pivot has succeeded with `value`, the JSON of its success. Where that does not fit the schema of the step, fails with
   * `InvalidValue`, and the execution stays parked; as long as its definition is not registered, nobody can tell.
   */
  readonly resolve: (
    id: string,
    value?: Json,
    options?: ParkedOptions
  ) => Effect.Effect<void, SagaStoreError | SagaEngineError>
  readonly get: (id: string) => Effect.Effect<ExecutionRecord, SagaStoreError | SagaEngineError>
  readonly list: (options?: ListOptions) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError>
  /** The journal of an execution, oldest event first. */
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<JournalEvent>, SagaStoreError | SagaEngineError>
  /**
   * Deletes executions that ended at least that long ago, and returns how many. Never one that has not ended. Their ids can
   * be started anew: keep them for longer than anything may deliver their payloads again.
   */
  readonly prune: (options: {
    readonly olderThan: Duration.Input
    /** Default all that are final. */
    readonly statuses?: ReadonlyArray<Extract<Status, "Completed" | "Compensated" | "Failed">> | undefined
  }) => Effect.Effect<number, SagaStoreError>
}>()("effect-saga/SagaEngine") {}

/**
 * Choices for an engine.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** What it is called in the errors of engines that find the store owned. Default `"effect-saga"`. */
  readonly owner?: string | undefined
  /**
   * Whether to wait where another engine owns the store, and to take over when that one is gone. Meanwhile every call
   * waits. Default `false`: to fail, naming the owner.
   */
  readonly standby?: boolean | undefined
  /** How payloads are stored. Default: as JSON. Search attributes are stored as they are. */
  readonly codec?: PayloadCodec | undefined
  /** How long actions that are running may take when the engine closes. Default 5 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** How long unfinished executions wait for their definitions before they are parked. Default 10 seconds. */
  readonly registrationTimeout?: Duration.Input | undefined
  /**
   * How long the code of a recovered execution may not ask for what its journal has, until that is a mismatch. Looked at as
   * often, so that it is found out after once to twice that time. Default 5 seconds.
   */
  readonly replayTimeout?: Duration.Input | undefined
}

/**
 * Creates an engine that runs until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<SagaEngine["Service"], SagaStoreError, SagaStore | Scope.Scope> => {
  const settings = check("SagaEngine.make", options)
  return Effect.gen(function*() {
    const store = yield* SagaStore
    const { handlers } = yield* SagaAlerts
    const member = new Member(store, { ...settings, alerts: handlers }, yield* Clock.Clock)
    yield* member.open
    return serviceOf(store.name, member, settings.codec, (definition) => member.register(definition))
  })
}

/**
 * Layer of an engine on the store that is provided to it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<SagaEngine, SagaStoreError, SagaStore> => {
  check("SagaEngine.layer", options)
  return Layer.effect(SagaEngine, make(options))
}

/**
 * Choices for a client.
 *
 * @category options
 * @since 0.1.0
 */
export interface ClientOptions {
  /** How payloads are stored: as by the engine. Default: as JSON. */
  readonly codec?: PayloadCodec | undefined
}

/**
 * Layer for a process that starts, awaits and decides on executions and runs none: a web server, say. The store is owned
 * by an engine in another process, which may come and go.
 *
 * **Details**
 *
 * - What is asked for is written to the store, and the engine is told. A start is durable when it returns, also while there
 *   is no engine; every other change waits until an engine has made it.
 * - Results come as soon as an execution has ended.
 * - A definition can be started and awaited, but its `toLayer` needs an engine, and dies on a client.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClient = (options: ClientOptions = {}): Layer.Layer<SagaEngine, never, SagaStore> => {
  const where = "SagaEngine.layerClient"
  Check.options(where, options)
  Check.keys(where, options, ["codec"])
  if (options.codec !== undefined) Check.codec(`${where}: codec`, options.codec)
  return Layer.effect(
    SagaEngine,
    Effect.gen(function*() {
      const store = yield* SagaStore
      const client = new Client(store)
      yield* client.open
      return serviceOf(store.name, client, options.codec, ({ name }) =>
        Effect.die(
          new Error(
            `SagaEngine.layerClient runs no executions, so it can't run "${name}": ` +
              `provide its toLayer with SagaEngine.layer, in the process that runs them.`
          )
        ))
    })
  )
}

const check = (where: string, options: Options) => {
  Check.options(where, options)
  Check.keys(where, options, [
    "owner",
    "standby",
    "codec",
    "shutdownTimeout",
    "registrationTimeout",
    "replayTimeout"
  ])
  if (options.owner !== undefined) Check.text(`${where}: owner`, options.owner)
  Check.flag(`${where}: standby`, options.standby)
  if (options.codec !== undefined) {
    Check.codec(`${where}: codec`, options.codec)
  }
  const duration = (name: "shutdownTimeout" | "registrationTimeout" | "replayTimeout", byDefault: Duration.Input) =>
    Check.duration(`${where}: ${name}`, options[name] ?? byDefault)!
  return {
    owner: options.owner ?? "effect-saga",
    standby: options.standby ?? false,
    codec: options.codec,
    shutdownTimeout: duration("shutdownTimeout", "5 seconds"),
    registrationTimeout: duration("registrationTimeout", "10 seconds"),
    replayTimeout: duration("replayTimeout", "5 seconds")
  }
}

const serviceOf = (
  store: string,
  runner: Runner,
  codec: PayloadCodec | undefined,
  register: SagaEngine["Service"]["register"]
): SagaEngine["Service"] => {
  const sealed = (json: Json): Effect.Effect<Json> => codec === undefined ? Effect.succeed(json) : codec.encode(json)

  const sealedCall = (call: StartCall): Effect.Effect<StartCall> =>
    codec === undefined
      ? Effect.succeed(call)
      : Effect.map(codec.encode(call.payload), (payload) => ({ ...call, payload }))

  const opened = (id: string, finished: Finished): Effect.Effect<Result, SagaEngineError> => {
    const status = Progress.statusOfFinished(finished)
    const { cancelled, result } = finished
    if (codec === undefined) return Effect.succeed({ status, cancelled, result })
    return Effect.mapBoth(codec.decode(result), {
      onSuccess: (result) => ({ status, cancelled, result }),
      onFailure: (error) =>
        new SagaEngineError({
          reason: new InvalidPayload({ what: `The result of execution "${id}"`, detail: error.message })
        })
    })
  }

  return {
    register,
    start: (call) => Effect.flatMap(sealedCall(call), (call) => runner.start(call)),
    run: (call) =>
      Effect.flatMap(
        found(call.id, Effect.flatMap(sealedCall(call), (call) => runner.run(call))),
        (finished) => opened(call.id, finished)
      ),
    await: (id) => Effect.flatMap(found(id, runner.awaitFinished(id)), (finished) => opened(id, finished)),
    poll: (id) =>
      Effect.flatMap(
        found(id, runner.poll(id)),
        (finished) => finished === "Unfinished" ? Effect.succeed(undefined) : opened(id, finished)
      ),
    cancel: (id, options) => accepted(id, runner.cancel(id, decisionBy(options))),
    signal: (id, name, value, options) =>
      accepted(id, Effect.flatMap(sealed(value), (value) => runner.signal(id, name, value, decisionBy(options)))),
    retry: (id, options) =>
      accepted(id, runner.decide(id, "Retried", { path: options?.path, by: decisionBy(options) })),
    skip: (id, options) => accepted(id, runner.decide(id, "Skipped", { path: options?.path, by: decisionBy(options) })),
    resolve: (id, value = null, options) =>
      accepted(
        id,
        Effect.flatMap(
          sealed(value),
          (stored) =>
            runner.decide(id, "Resolved", {
              path: options?.path,
              value: stored,
              hasValue: value !== null,
              by: decisionBy(options)
            })
        )
      ),
    get: (id) => Effect.map(found(id, runner.find(id)), ({ record }) => record),
    list: (options) => {
      FilterCheck.list("SagaEngine.list", options)
      return runner.list(options ?? {})
    },
    history: (id) =>
      Effect.flatMap(found(id, runner.find(id)), ({ events }) => {
        const decoded = decodeEvents(events)
        return decoded !== undefined
          ? Effect.succeed(decoded)
          : Effect.fail(unreadable(store, id))
      }),
    prune: ({ olderThan, statuses }) => {
      const duration = Check.duration("SagaEngine.prune: olderThan", olderThan)!
      return Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => runner.prune({ finishedBefore: now - Duration.toMillis(duration), statuses })
      )
    }
  }
}
