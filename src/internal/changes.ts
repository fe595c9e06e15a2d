import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import {
  alreadyFinished,
  type DecisionBy,
  type DecisionKind,
  decisionOn,
  type DecisionOptions,
  notApplicable,
  type Refusal
} from "./decisions.ts"
import type { RequestAnswer } from "./desk.ts"
import type { EarlySignals } from "./earlySignals.ts"
import { closed, type Ending } from "./ending.ts"
import type { Execution } from "./execution.ts"
import type { Executions } from "./executions.ts"
import type { Idle } from "./idle.ts"
import { head } from "./journalText.ts"
import type { Loader } from "./loader.ts"
import type * as Progress from "./progress.ts"
import type { ExecutionRecord } from "./store.ts"

/*
 * What others want to change in an execution: signals, decisions of operators, and that it is cancelled.
 *
 * Whoever wants an execution to change appends an event, by whoever runs it or to the journal of an idle one; there is no
 * second way to store anything.
 */

export class Changes {
  private readonly store: string
  private readonly ending: Ending
  private readonly executions: Executions
  private readonly loader: Loader
  private readonly idle: Idle
  private readonly earlySignals: EarlySignals
  private readonly clock: Clock.Clock

  constructor(options: {
    readonly store: string
    readonly ending: Ending
    readonly executions: Executions
    readonly loader: Loader
    readonly idle: Idle
    readonly earlySignals: EarlySignals
    readonly clock: Clock.Clock
  }) {
    this.store = options.store
    this.ending = options.ending
    this.executions = options.executions
    this.loader = options.loader
    this.idle = options.idle
    this.earlySignals = options.earlySignals
    this.clock = options.clock
  }

  signal(
    id: string,
    name: string,
    value: Json,
    answer?: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.andThen(
      this.ending.ready,
      this.withExecution(id, {
        live: (execution) => Effect.as(execution.incoming.receive(name, value, answer), undefined),
        idle: (record, progress) =>
          Effect.as(
            this.idle.append(record, progress, [{ ...this.head("SignalReceived"), name, value }], answer),
            undefined
          ),
        none: () => {
          const event = JSON.stringify({ ...this.head("SignalReceived"), name, value })
          return Effect.as(this.earlySignals.keep({ execution: id, event }, answer), undefined)
        }
      })
    )
  }

  cancel(id: string, by: DecisionBy, answer?: RequestAnswer): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.andThen(
      this.ending.ready,
      this.withExecution(id, {
        live: (execution) => {
          if (execution.isUnwinding) return Effect.succeed(notApplicable("it is already being undone"))
          if (execution.progress.cancelled) return Effect.succeed(undefined)
          return Effect.as(
            Effect.andThen(
              execution.cancel(by, answer),
              Effect.forEach(this.executions.childrenOf(id), (child) => this.cancel(child, {}), { discard: true })
            ),
            undefined
          )
        },
        idle: (record, progress) => {
          const parked = progress.parked?.values().next().value
          const requested: JournalEvent = { ...this.head("CancelRequested"), ...by }
          return Effect.as(
            parked?.kind === "FailedAfterPivot"
              ? this.idle.append(record, progress, [requested, {
                ...this.head("ExecutionFailed"),
                result: parked.cause
              }], answer)
              : this.idle.append(record, progress, [requested], answer),
            undefined
          )
        },
        none: () => Effect.succeed({ _tag: "NotFound" as const })
      })
    )
  }

  decide(
    id: string,
    kind: DecisionKind,
    options: DecisionOptions,
    answer?: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
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
        this.ending.ready,
        this.withExecution<{ readonly refusal: Refusal | undefined; readonly reopen: boolean }>(id, {
          live: (execution) =>
            Effect.map(
              decided(execution.progress, (decision) => execution.incoming.decide(decision, answer)),
              (refusal) => ({ refusal, reopen: false })
            ),
          idle: (record, progress) => {
            const failed = Array.from(progress.parked?.values() ?? []).find(({ kind }) => kind === "FailedAfterPivot")
            return Effect.map(
              decided(progress, (decision) =>
                decision._tag === "Skipped" && failed !== undefined
                  ? this.idle.append(record, progress, [decision, {
                    ...this.head("ExecutionFailed"),
                    result: failed.cause
                  }], answer)
                  : this.idle.append(record, progress, [decision], answer)),
              (refusal) => ({ refusal, reopen: refusal === undefined })
            )
          },
          none: () => Effect.succeed({ refusal: { _tag: "NotFound" as const }, reopen: false })
        })
      ),
      (answer) => {
        if (answer === undefined) return Effect.succeed(undefined)
        if ("_tag" in answer) return Effect.succeed(answer)
        return answer.reopen ? Effect.as(this.loader.load(id), answer.refusal) : Effect.succeed(answer.refusal)
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
        execution.journal.isLost
          ? Effect.fail(this.ending.error ?? closed(this.store))
          : Effect.failCause(cause))
    }
    return Effect.suspend((): Effect.Effect<A | Refusal, SagaStoreError> => {
      // One whose last event was lost with the store stays live, and would be waited for again and again.
      if (this.ending.error !== undefined) return Effect.fail(this.ending.error)
      const live = this.executions.getLive(id)
      if (live !== undefined) {
        return live.halted && live.fiber !== undefined
          // It is about to be idle.
          ? Effect.andThen(Fiber.await(live.fiber), this.withExecution(id, cases))
          : onLive(live)
      }
      return this.idle.use<A | Refusal>(id, ({ found, progress }) => {
        if (found === undefined) return cases.none()
        if (progress.finished !== undefined) return Effect.succeed(alreadyFinished(progress.finished))
        // One that the recovery has not come to is run first, as the recovery leaves alone what is idle.
        return Effect.flatMap(this.loader.resume(found.record, found.events), () => {
          const live = this.executions.getLive(id)
          return live === undefined ? cases.idle(found.record, progress) : onLive(live)
        })
      })
    })
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private head<Tag extends JournalEvent["_tag"]>(_tag: Tag) {
    return head(_tag, this.now)
  }
}
