import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Json } from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { Bell } from "./bell.ts"
import { logged } from "./cause.ts"
import {
  type DecisionBy,
  decisionBy,
  type DecisionKind,
  type DecisionOptions,
  notApplicable,
  type Refusal
} from "./decisions.ts"
import type { PayloadCodec } from "./definition.ts"
import { causeSummary } from "./render.ts"
import { type Asked, decodeAsked, encodeOutcome, type StartCall } from "./runner.ts"
import type { Answer, Ownership, Request, SagaStore } from "./store.ts"

/*
 * Where an engine takes the requests of clients in other processes.
 *
 * What a request changes is written in one transaction with its answer, so it is done once, whenever the process ends.
 * Requests about one execution are done in their order.
 */

/** What is written with the events that a request leads to. */
export class RequestAnswer {
  isWritten = false
  private readonly answer: Answer

  constructor(answer: Answer) {
    this.answer = answer
  }

  /** The id of the request. */
  get request(): string {
    return this.answer.request
  }

  take(): Answer {
    this.isWritten = true
    return this.answer
  }
}

/** What an engine does for clients. */
export interface Staff {
  /** Whether it can do nothing any more. */
  readonly hasEnded: boolean
  /** Waits until everything that is on its way to the store has been written, or never will be. */
  readonly flushed: Effect.Effect<void>
  readonly start: (call: StartCall, answer: RequestAnswer) => Effect.Effect<void, SagaStoreError>
  readonly cancel: (
    id: string,
    by: DecisionBy,
    answer: RequestAnswer
  ) => Effect.Effect<Refusal | undefined, SagaStoreError>
  readonly signal: (
    id: string,
    name: string,
    value: Json,
    by: DecisionBy,
    answer: RequestAnswer
  ) => Effect.Effect<Refusal | undefined, SagaStoreError>
  readonly decide: (
    id: string,
    kind: DecisionKind,
    options: DecisionOptions,
    answer: RequestAnswer
  ) => Effect.Effect<Refusal | undefined, SagaStoreError>
}

/* Requests per read. */
const pageSize = 1000

export class Desk {
  private readonly store: SagaStore["Service"]
  private readonly ownership: Ownership
  private readonly staff: Staff
  private readonly codec: PayloadCodec | undefined
  /** The ids of all requests that are being done. */
  private readonly taken = new Set<string>()
  /** Those that have been done, but may not have been when what was read last was read. */
  private done = new Set<string>()
  /** Whether there may be more than those that were read last. */
  private isMore = false
  private readonly more = new Bell()
  /** What is still to be done for an execution, the first of which is being done. */
  private readonly queues = new Map<string, Array<Request>>()

  constructor(
    store: SagaStore["Service"],
    ownership: Ownership,
    staff: Staff,
    codec: PayloadCodec | undefined
  ) {
    this.store = store
    this.ownership = ownership
    this.staff = staff
    this.codec = codec
  }

  /** Takes requests, for ever. */
  readonly open: Effect.Effect<void> = Effect.scopedWith((scope) =>
    Stream.runForEach(
      Stream.merge(this.store.requested, this.more.rings),
      () =>
        this.staff.hasEnded ? Effect.void : Effect.catchCause(
          Effect.flatMap(this.store.requests({ limit: pageSize }), (requests) => this.takeAll(requests, scope)),
          (cause) =>
            logged("Requests could not be read.", cause).pipe(
              Effect.andThen(Effect.sleep("1 second")),
              Effect.andThen(Effect.sync(() => this.more.ring()))
            )
        )
    )
  )

  private takeAll(requests: ReadonlyArray<Request>, scope: Scope.Scope): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { done } = this
      this.isMore = requests.length === pageSize
      this.done = new Set(requests.flatMap(({ id }) => done.has(id) ? [id] : []))
      return Effect.forEach(
        requests,
        (request) => done.has(request.id) || this.taken.has(request.id) ? Effect.void : this.take(request, scope),
        { discard: true }
      )
    })
  }

  private take(request: Request, scope: Scope.Scope): Effect.Effect<void> {
    this.taken.add(request.id)
    const queue = this.queues.get(request.execution)
    if (queue !== undefined) {
      queue.push(request)
      return Effect.void
    }
    this.queues.set(request.execution, [request])
    return Effect.asVoid(Effect.forkIn(this.work(request.execution), scope))
  }

  private work(execution: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const [request] = this.queues.get(execution)!
      if (request === undefined) {
        this.queues.delete(execution)
        return Effect.void
      }
      const done = Effect.catchCause(this.performSurely(request), (cause) => logged("A request was not done.", cause))
      return Effect.andThen(
        done,
        Effect.suspend(() => {
          this.taken.delete(request.id)
          this.done.add(request.id)
          this.queues.get(execution)!.shift()
          if (this.isMore && this.taken.size < pageSize / 2) {
            this.isMore = false
            this.more.ring()
          }
          return this.work(execution)
        })
      )
    })
  }

  /*
   * A store that can't be used now is waited for, and so is an execution that is just being closed. Where the engine has
   * ended, the next owner takes the request. What can't be done although the engine lives on is answered, too.
   */
  private performSurely(request: Request): Effect.Effect<void, SagaStoreError> {
    return Effect.catchCause(this.perform(request), (cause) => {
      if (this.staff.hasEnded || Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
      const reason = Option.getOrUndefined(Cause.findErrorOption(cause))?.reason._tag
      return Effect.sleep("1 second").pipe(
        // Whoever was told that it failed may not know that it was on its way to the store.
        Effect.andThen(this.staff.flushed),
        Effect.andThen(this.isUnanswered(request)),
        Effect.flatMap((isUnanswered) => {
          if (!isUnanswered) return Effect.void
          // Where it was the store as a whole, the engine has ended by now.
          if (this.staff.hasEnded) return Effect.failCause(cause)
          if (reason !== "Corrupt" && !Cause.hasDies(cause)) return this.performSurely(request)
          return Effect.andThen(
            Effect.logError(`What a client asked for execution ${request.execution} could not be done.`, cause),
            // Nothing but this is left to do, so it is done by the engine that has tried.
            this.whileOpen(this.tell(request, decodeAsked(request.request), notApplicable(causeSummary(cause))))
          )
        })
      )
    })
  }

  private isUnanswered({ execution, id }: Request): Effect.Effect<boolean, SagaStoreError> {
    return this.whileOpen(
      Effect.map(this.store.requests({ execution }), (requests) => requests.some((request) => request.id === id))
    )
  }

  /* Tries again what the store refuses, until the engine has ended. */
  private whileOpen<A>(self: Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> {
    return Effect.retry(self, { while: () => !this.staff.hasEnded, schedule: Schedule.spaced("1 second") })
  }

  private perform(request: Request): Effect.Effect<void, SagaStoreError> {
    return Effect.suspend(() => {
      const asked = decodeAsked(request.request)
      const answer = new RequestAnswer(answerTo(request, asked, undefined))
      return Effect.flatMap(
        this.performAsked(request.execution, asked, answer),
        (refusal) => answer.isWritten ? Effect.void : this.tell(request, asked, refusal)
      )
    })
  }

  private tell(
    request: Request,
    asked: Asked | undefined,
    refusal: Refusal | undefined
  ): Effect.Effect<void, SagaStoreError> {
    return this.ownership.answer([answerTo(request, asked, refusal)])
  }

  /* An operator has no payload codec. */
  private sealed({ plain, value }: { readonly plain?: true; readonly value: Json }): Effect.Effect<Json> {
    const { codec } = this
    return plain === true && codec !== undefined ? Effect.suspend(() => codec.encode(value)) : Effect.succeed(value)
  }

  private performAsked(
    id: string,
    asked: Asked | undefined,
    answer: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    switch (asked?._tag) {
      case undefined:
        return Effect.succeed({
          _tag: "NotApplicable",
          detail: "the engine that runs it has an earlier version of this library, which does not know this request"
        })
      case "Start": {
        const { attributes, definition, payload, version } = asked
        return Effect.as(this.staff.start({ id, definition, payload, version, attributes }, answer), undefined)
      }
      case "Signal":
        return Effect.flatMap(
          this.sealed(asked),
          (value) => this.staff.signal(id, asked.name, value, decisionBy(asked), answer)
        )
      case "Cancel":
        return this.staff.cancel(id, decisionBy(asked), answer)
      case "Decide": {
        const { hasValue, kind, path } = asked
        return Effect.flatMap(
          kind === "Resolved" ? this.sealed(asked) : Effect.succeed(null),
          (value) => this.staff.decide(id, kind, { path, value, hasValue, by: decisionBy(asked) }, answer)
        )
      }
    }
  }
}

/* Who has started an execution does not wait for an answer. */
const answerTo = (request: Request, asked: Asked | undefined, refusal: Refusal | undefined): Answer => ({
  request: request.id,
  answer: asked?._tag === "Start" ? undefined : encodeOutcome(refusal)
})
