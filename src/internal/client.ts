import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import { unlessInterrupted } from "./cause.ts"
import {
  type DecisionBy,
  type DecisionKind,
  type DecisionOptions,
  givenValue,
  notApplicable,
  type Refusal
} from "./decisions.ts"
import {
  type Asked,
  decodeAsked,
  decodeOutcome,
  type Finished,
  finishedFrom,
  type Runner,
  type StartCall
} from "./runner.ts"
import {
  answerRetention,
  type ExecutionRecord,
  isFinished,
  type ListOptions,
  type PruneOptions,
  type Request,
  type SagaStore,
  type StoredExecution
} from "./store.ts"
import { Waiters } from "./waiters.ts"

/*
 * Uses the executions in a store that another engine owns, or will own.
 *
 * 1. What is asked for is a request in the store. A start counts as durable when its request is, whether or not an engine
 *    is there; everything else waits for the answer of one.
 * 2. Requests that come in while others are written share the next write.
 * 3. One listener and one read serve all that waits in this process. They rest where nobody does.
 */

interface Asking {
  readonly request: Request
  readonly resume: (exit: Exit.Exit<void, SagaStoreError>) => void
}

/* How long to listen on where nobody waits any more, as somebody may again. */
const patience = "5 seconds"

export class Client implements Runner {
  private readonly store: SagaStore["Service"]
  private readonly finished = new Waiters<Finished | undefined, SagaStoreError>()
  private readonly answered = new Waiters<Refusal | undefined, SagaStoreError>()
  /** The requests whose answers are awaited, and since when. */
  private readonly awaited = new Map<string, { readonly execution: string; readonly at: number }>()
  private asking: Array<Asking> = []
  private isClosed = false
  private whenAsked: (() => void) | undefined = undefined
  private whenWaiting: (() => void) | undefined = undefined
  private whenLooking: (() => void) | undefined = undefined
  private isLookDue = false

  /** Values come through the payload codec, unless they are `plain`: then the engine has them go through its own. */
  private readonly plain: { readonly plain?: true }

  constructor(store: SagaStore["Service"], options?: { readonly hasCodec: false }) {
    this.store = store
    this.plain = options === undefined ? {} : { plain: true }
  }

  /** Works until the scope closes. */
  readonly open: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() =>
    Effect.andThen(
      Effect.addFinalizer(() => Effect.sync(() => this.close())),
      Effect.andThen(
        Effect.forkScoped(Effect.forever(this.writeRequests)),
        Effect.forkScoped(Effect.forever(this.listen))
      )
    )
  )

  private close(): void {
    this.isClosed = true
    const exit = Exit.fail(this.closedError())
    for (const { resume } of this.asking.splice(0)) resume(exit)
    this.tellAll(exit)
  }

  private closedError(): SagaStoreError {
    return new SagaStoreError({
      reason: new Unavailable({ store: this.store.name, problem: "closed", cause: undefined })
    })
  }

  /* ------------------------------------------------------------------------------------------------ asking */

  private readonly writeRequests: Effect.Effect<void> = Effect.suspend(() => {
    if (this.asking.length === 0) {
      return Effect.callback<void>((resume) => {
        this.whenAsked = () => resume(Effect.void)
      })
    }
    const asking = this.asking.splice(0)
    const told = Effect.onExit(this.store.ask(asking.map(({ request }) => request)), (exit) =>
      Effect.sync(() => {
        const known = Exit.hasInterrupts(exit) ? Exit.fail(this.closedError()) : exit
        for (const { resume } of asking) resume(known)
      }))
    return Effect.asVoid(Effect.exit(told))
  })

  private ask(execution: string, asked: Asked): Effect.Effect<string, SagaStoreError> {
    return Effect.callback((resume) => {
      if (this.isClosed) return resume(Effect.fail(this.closedError()))
      const id = crypto.randomUUID()
      this.asking.push({
        request: { id, execution, request: JSON.stringify(asked) },
        resume: (exit) => resume(Exit.map(exit, () => id))
      })
      this.whenAsked?.()
      this.whenAsked = undefined
    })
  }

  private askAndWait(execution: string, asked: Asked): Effect.Effect<Refusal | undefined, SagaStoreError> {
    const value = "value" in asked ? givenValue(asked.value) : undefined
    if (value !== undefined && Result.isFailure(value)) return Effect.succeed(value.failure)
    return Effect.flatMap(this.ask(execution, asked), (id) =>
      Effect.clockWith((clock) => {
        this.awaited.set(id, { execution, at: clock.currentTimeMillisUnsafe() })
        return Effect.ensuring(this.waiting(this.answered, id), Effect.sync(() => this.awaited.delete(id)))
      }))
  }

  start({ attributes, definition, id, payload, version }: StartCall): Effect.Effect<void, SagaStoreError> {
    const asked = { _tag: "Start", v: 1, definition, version, payload } as const
    return Effect.asVoid(this.ask(id, attributes === undefined ? asked : { ...asked, attributes }))
  }

  run(call: StartCall): Effect.Effect<Finished | undefined, SagaStoreError> {
    return Effect.andThen(this.start(call), this.waiting(this.finished, call.id))
  }

  cancel(id: string, by: DecisionBy): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.askAndWait(id, { _tag: "Cancel", v: 1, ...by })
  }

  signal(id: string, name: string, value: Json, by: DecisionBy): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.askAndWait(id, { _tag: "Signal", v: 1, name, value, ...this.plain, ...by })
  }

  decide(
    id: string,
    kind: DecisionKind,
    { by, hasValue, path, value = null }: DecisionOptions
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return this.askAndWait(id, {
      _tag: "Decide",
      v: 1,
      kind,
      value,
      ...(hasValue === true ? { hasValue } : undefined),
      ...(path === undefined ? undefined : { path }),
      ...this.plain,
      ...by
    })
  }

  /* ------------------------------------------------------------------------------------------------ waiting */

  private waiting<A>(waiters: Waiters<A, SagaStoreError>, id: string): Effect.Effect<A, SagaStoreError> {
    return Effect.suspend(() => {
      if (this.isClosed) return Effect.fail(this.closedError())
      return waiters.await(id, () => {
        this.whenWaiting?.()
        this.whenWaiting = undefined
        // What it waits for may have come in before.
        this.lookSoon()
      })
    })
  }

  private get isAwaited(): boolean {
    return this.finished.size > 0 || this.answered.size > 0
  }

  private readonly listen: Effect.Effect<void> = Effect.suspend(() =>
    this.isAwaited || this.isLookDue
      ? Effect.raceFirst(
        Effect.andThen(Stream.runForEach(this.store.news, () => Effect.sync(() => this.lookSoon())), Effect.never),
        Effect.raceFirst(Effect.forever(this.look), this.unawaited)
      )
      : Effect.callback<void>((resume) => {
        this.whenWaiting = () => resume(Effect.void)
      })
  )

  private readonly unawaited: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(patience),
      Effect.suspend(() => {
        if (!this.isAwaited) return Effect.void
        this.lookSoon()
        return Effect.andThen(Effect.ignoreCause(this.lookForPruned), this.unawaited)
      })
    )
  )

  private lookSoon(): void {
    this.isLookDue = true
    this.whenLooking?.()
    this.whenLooking = undefined
  }

  /* What news there are for those who wait. News that come in meanwhile are looked at after that. */
  private readonly look: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.isLookDue) {
      return Effect.callback<void>((resume) => {
        this.whenLooking = () => resume(Effect.void)
      })
    }
    this.isLookDue = false
    return Effect.catchCause(
      Effect.andThen(this.lookForEnds, this.lookForAnswers),
      (cause) =>
        unlessInterrupted(cause, () => {
          this.isLookDue = true
          const error = Option.getOrUndefined(Cause.findErrorOption(cause))
          // What does not pass is told to those who wait.
          if (error?.isTransient !== true) this.tellAll(Exit.failCause(cause))
          return Effect.andThen(
            Effect.logError("What became of requests could not be read.", cause),
            Effect.sleep(Duration.seconds(1))
          )
        })
    )
  })

  private tellAll(exit: Exit.Exit<never, SagaStoreError>): void {
    this.finished.tellAll(exit)
    this.answered.tellAll(exit)
  }

  private readonly lookForEnds: Effect.Effect<void, SagaStoreError> = Effect.suspend(() =>
    this.finished.size === 0 ? Effect.void : Effect.map(this.store.ended(this.finished.ids), (ended) => {
      for (const { event, record } of ended) {
        this.finished.tell(record.id, finishedFrom(this.store.name, record, event))
      }
    })
  )

  /* What has ended may have been pruned before this process could look. */
  private readonly lookForPruned: Effect.Effect<void, SagaStoreError> = Effect.suspend(() => {
    const { ids } = this.finished
    return Effect.flatMap(this.store.existing(ids), (existing) => {
      const there = new Set(existing)
      return Effect.forEach(
        ids.filter((id) => !there.has(id)),
        (id) =>
          Effect.flatMap(this.poll(id), (found) =>
            Effect.sync(() => {
              if (found === undefined) this.finished.tell(id, Exit.succeed(undefined))
            })),
        { discard: true }
      )
    })
  })

  private readonly lookForAnswers: Effect.Effect<void, SagaStoreError> = Effect.suspend(() =>
    this.answered.size === 0 ? Effect.void : Effect.flatMap(this.store.answers(this.answered.ids), (answers) => {
      for (const { answer, request } of answers) this.answered.tell(request, decodeOutcome(this.store.name, answer))
      return this.answered.size === 0 ? Effect.void : this.lookForLost
    })
  )

  /* Answers are kept for a while only, and this process may have been asleep for longer. */
  private readonly lookForLost: Effect.Effect<void, SagaStoreError> = Effect.clockWith((clock) => {
    const before = clock.currentTimeMillisUnsafe() - answerRetention
    const old = this.answered.ids.flatMap((id) => {
      const asked = this.awaited.get(id)
      return asked !== undefined && asked.at < before ? [{ id, execution: asked.execution }] : []
    })
    return Effect.forEach(
      old,
      ({ execution, id }) =>
        Effect.flatMap(this.store.requests({ execution }), (requests) =>
          requests.some((request) => request.id === id) ?
            Effect.void :
            Effect.map(
              // It may have been answered just now.
              this.store.answers([id]),
              ([found]) =>
                this.answered.tell(
                  id,
                  found === undefined
                    ? Exit.succeed(notApplicable(
                      "as far as this client knows: an engine has answered while nobody listened, and answers are kept for ten minutes. " +
                        "Its history says what was done"
                    ))
                    : decodeOutcome(this.store.name, found.answer)
                )
            )),
      { discard: true }
    )
  })

  awaitFinished(id: string): Effect.Effect<Finished | undefined, SagaStoreError> {
    return Effect.flatMap(
      this.poll(id),
      (found) => found === "Unfinished" ? this.waiting(this.finished, id) : Effect.succeed(found)
    )
  }

  poll(id: string): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> {
    return Effect.flatMap(
      this.isStarting(id),
      (isStarting) =>
        Effect.flatMap(
          this.store.find(id),
          (found): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> => {
            if (found === undefined) return Effect.succeed(isStarting ? "Unfinished" : undefined)
            return isFinished(found.record.status)
              ? finishedFrom(this.store.name, found.record, found.events.at(-1))
              : Effect.succeed("Unfinished")
          }
        )
    )
  }

  /* Looked at before the execution is: an engine that takes the request meanwhile has written the execution by then. */
  private isStarting(id: string): Effect.Effect<boolean, SagaStoreError> {
    return Effect.map(
      this.store.requests({ execution: id }),
      (requests) => requests.some(({ request }) => decodeAsked(request)?._tag === "Start")
    )
  }

  find(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return this.store.find(id)
  }

  list(options: ListOptions): Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> {
    return this.store.list(options)
  }

  prune(options: PruneOptions): Effect.Effect<number, SagaStoreError> {
    return this.store.prune(options)
  }
}
