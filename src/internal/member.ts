import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Json } from "effect/Schema"
import * as Scope from "effect/Scope"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { logged } from "./cause.ts"
import { Client } from "./client.ts"
import type { DecisionBy, DecisionKind, DecisionOptions, Refusal } from "./decisions.ts"
import type { Definition } from "./definition.ts"
import { definitionKey } from "./definitions.ts"
import { Engine, type EngineOptions } from "./engine.ts"
import type { Finished, Runner, StartCall } from "./runner.ts"
import type { ExecutionRecord, ListOptions, PruneOptions, SagaStore, StoredExecution } from "./store.ts"

/*
 * One of the processes that may own a store. While another one does, it is a client of that one; when that one is gone, it
 * becomes the owner; and when it has lost the store (its process was paused, say), it is a client again.
 */

export interface MemberOptions extends EngineOptions {
  /** What the owner is called in the errors of others. */
  readonly owner: string
  /** Whether it waits where another one owns the store, and again when it has lost it. */
  readonly standby: boolean
}

export class Member implements Runner {
  private readonly store: SagaStore["Service"]
  private readonly options: MemberOptions
  private readonly clock: Clock.Clock
  private readonly client: Client
  private readonly definitions = new Map<string, Definition>()
  private engine: Engine | undefined = undefined

  constructor(store: SagaStore["Service"], options: MemberOptions, clock: Clock.Clock) {
    this.store = store
    this.options = options
    this.clock = clock
    this.client = new Client(store)
  }

  /** Works until the scope closes. Without `standby` it owns the store when this returns, or fails. */
  readonly open: Effect.Effect<void, SagaStoreError, Scope.Scope> = Effect.suspend(() => {
    if (!this.options.standby) return Effect.asVoid(this.own)
    return Effect.andThen(this.client.open, Effect.asVoid(Effect.forkScoped(Effect.forever(this.term))))
  })

  private readonly own: Effect.Effect<Engine, SagaStoreError, Scope.Scope> = Effect.gen({ self: this }, function*() {
    const { owner, standby } = this.options
    // Its own scope, so that the store is given back after everything has been written.
    const scope = yield* Scope.make()
    const acquired = Effect.gen({ self: this }, function*() {
      const ownership = yield* Scope.provide(this.store.acquire({ owner, standby }), scope)
      return new Engine(this.store, ownership, yield* ownership.earlySignals, this.options, this.clock)
    })
    const engine = yield* Effect.onExit(
      acquired,
      (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)
    )
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    // Once it has ended, and has written all there was to write, nothing is asked of it any more.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (this.options.standby) this.engine = undefined
      })
    )
    yield* Effect.forEach(this.definitions.values(), (definition) => engine.add(definition), { discard: true })
    this.engine = engine
    yield* engine.open
    if (standby) yield* Effect.logInfo(`The engine owns ${this.store.name} now.`)
    return engine
  })

  /* From when it waits for the store to when it has lost it. */
  private readonly term: Effect.Effect<void> = Effect.suspend(() =>
    Effect.scoped(Effect.flatMap(this.own, ({ awaitEnd }) => awaitEnd)).pipe(
      Effect.matchCauseEffect({
        onSuccess: (error) => Effect.as(Effect.logInfo("The engine is on standby again."), error),
        onFailure: (cause) =>
          Effect.as(
            logged("The engine could not own its store. It tries again.", cause),
            Option.getOrUndefined(Cause.findErrorOption(cause))
          )
      }),
      // Another one may be faster, and the store may be away for a while. What else keeps it from owning takes somebody to set it right.
      Effect.flatMap((error) =>
        Effect.sleep(error?.isTransient === true || error?.reason._tag === "OwnershipLost" ? "1 second" : "10 seconds")
      )
    )
  )

  /** Runs the executions of `definition` whenever it owns the store, until the scope closes. */
  register(definition: Definition): Effect.Effect<void, never, Scope.Scope> {
    const name = definitionKey(definition)
    return Effect.acquireRelease(
      Effect.suspend(() => {
        if (this.definitions.has(name)) {
          return Effect.die(
            new Error(`There is a definition "${definition.name}" with version ${definition.version} already.`)
          )
        }
        this.definitions.set(name, definition)
        return this.engine?.add(definition) ?? Effect.void
      }),
      () =>
        Effect.suspend(() => {
          this.definitions.delete(name)
          return this.engine?.remove(definition) ?? Effect.void
        })
    )
  }

  /** Who does what it is asked for now. */
  private get runner(): Runner {
    const { engine } = this
    return engine !== undefined && !(this.options.standby && engine.hasEnded) ? engine : this.client
  }

  private use<A>(call: (runner: Runner) => Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> {
    return Effect.suspend(() => call(this.runner))
  }

  /* For what may be asked twice: of the next owner, too, where this one has lost the store meanwhile. */
  private useAgain<A>(call: (runner: Runner) => Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> {
    return Effect.suspend(() => {
      const { runner } = this
      return Effect.catchIf(
        call(runner),
        (error) => this.options.standby && runner !== this.client && error.reason._tag === "OwnershipLost",
        () => call(this.client)
      )
    })
  }

  start(call: StartCall): Effect.Effect<void, SagaStoreError> {
    return this.useAgain((runner) => runner.start(call))
  }

  run(call: StartCall): Effect.Effect<Finished | undefined, SagaStoreError> {
    return this.useAgain((runner) => runner.run(call))
  }

  awaitFinished(id: string): Effect.Effect<Finished | undefined, SagaStoreError> {
    return this.useAgain((runner) => runner.awaitFinished(id))
  }

  poll(id: string): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> {
    return this.useAgain((runner) => runner.poll(id))
  }

  cancel(id: string, by: DecisionBy): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.useAgain((runner) => runner.cancel(id, by))
  }

  signal(id: string, name: string, value: Json, by: DecisionBy): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.use((runner) => runner.signal(id, name, value, by))
  }

  decide(
    id: string,
    kind: DecisionKind,
    options: DecisionOptions
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.use((runner) => runner.decide(id, kind, options))
  }

  find(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return this.useAgain((runner) => runner.find(id))
  }

  list(options: ListOptions): Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> {
    return this.useAgain((runner) => runner.list(options))
  }

  prune(options: PruneOptions): Effect.Effect<number, SagaStoreError> {
    return this.use((runner) => runner.prune(options))
  }
}
