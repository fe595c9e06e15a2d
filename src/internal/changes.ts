import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import {
  alreadyBeingUndone,
  alreadyFinished,
  type DecisionBy,
  type DecisionKind,
  decisionOn,
  type DecisionOptions,
  givenValue,
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
import * as Progress from "./progress.ts"
import type { ExecutionRecord } from "./store.ts"

/*
 * What others want to change in an execution: signals, decisions of operators, and that it is cancelled.
 *
 * Whoever wants an execution to change appends an event, by whoever runs it or to the journal of an idle one; there is no
 * second way to store anything.
 */

/* What became of a decision: whether it was taken, and what is to be done after it. */
interface Decided {
  readonly refusal: Refusal | undefined
  readonly reopen: boolean
  readonly resolution?: Progress.Resolution | undefined
}

export class Changes {
  private readonly store: string
  private readonly ending: Ending
  private readonly executions: Executions
  private readonly loader: Loader
  private readonly idle: Idle
  private readonly earlySignals: EarlySignals
  private readonly clock: Clock.Clock
  private readonly replayTimeout: Duration.Duration

  constructor(options: {
    readonly store: string
    readonly ending: Ending
    readonly executions: Executions
    readonly loader: Loader
    readonly idle: Idle
    readonly earlySignals: EarlySignals
    readonly clock: Clock.Clock
    readonly replayTimeout: Duration.Duration
  }) {
    this.store = options.store
    this.ending = options.ending
    this.executions = options.executions
    this.loader = options.loader
    this.idle = options.idle
    this.earlySignals = options.earlySignals
    this.clock = options.clock
    this.replayTimeout = options.replayTimeout
  }

  signal(
    id: string,
    name: string,
    given: Json,
    by: DecisionBy,
    answer?: RequestAnswer
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.suspend(() => {
      const value = givenValue(given)
      if (Result.isFailure(value)) return Effect.succeed(value.failure)
      const received = (): JournalEvent => ({ ...this.head("SignalReceived"), name, value: value.success, ...by })
      return Effect.andThen(
        this.ending.ready,
        this.withExecution(id, {
          live: (execution) => {
            const misfit = execution.incoming.misfitOf(name, value.success)
            return misfit === undefined
              ? Effect.as(execution.incoming.receive(name, value.success, by, answer), undefined)
              : Effect.as(execution.journal.durable, notApplicable(misfit))
          },
          idle: (record, progress) => Effect.as(this.idle.append(record, progress, [received()], answer), undefined),
          none: () => {
            const event = JSON.stringify(received())
            return Effect.as(this.earlySignals.keep({ execution: id, event }, answer), undefined)
          }
        })
      )
    })
  }

  cancel(id: string, by: DecisionBy, answer?: RequestAnswer): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.andThen(
      this.ending.ready,
      this.withExecution(id, {
        live: (execution) => {
          const known = answerToCancel(execution.progress)
          if (known !== undefined) return Effect.as(execution.journal.durable, known.refusal)
          return Effect.as(
            Effect.andThen(
              execution.cancel(by, answer),
              Effect.forEach(this.executions.childrenOf(id), (child) => this.cancel(child, by), { discard: true })
            ),
            undefined
          )
        },
        idle: (record, progress) => {
          const known = answerToCancel(progress)
          if (known !== undefined) return Effect.succeed(known.refusal)
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
    // Asked once more, as its engine had ended before it answered.
    const known = ({ resolutions }: Progress.Progress): Decided | undefined => {
      const resolution = answer === undefined
        ? undefined
        : resolutions?.find(({ request }) => request === answer.request)
      return resolution === undefined ? undefined : { refusal: undefined, reopen: true, resolution }
    }
    // What was decided takes effect, also where nobody waits for that any more.
    return Effect.uninterruptible(Effect.flatMap(
      Effect.andThen(
        this.ending.ready,
        this.withExecution<Decided>(id, {
          known,
          live: (execution) =>
            Effect.flatMap(
              decided(execution.progress, (decision) => execution.incoming.decide(decision, answer)),
              (refusal) =>
                Effect.as(refusal === undefined ? Effect.void : execution.journal.durable, { refusal, reopen: false })
            ),
          idle: (record, progress) => {
            const failed = Array.from(progress.parked?.values() ?? []).find(({ kind }) => kind === "FailedAfterPivot")
            return Effect.map(
              decided(progress, (decision) => {
                if (failed === undefined || decision._tag === "Retried") {
                  return this.idle.append(record, progress, [decision], answer)
                }
                if (decision._tag === "Resolved") {
                  const request = answer === undefined ? undefined : { request: answer.request }
                  return this.idle.append(record, progress, [{ ...decision, ...request }])
                }
                const ended: JournalEvent = { ...this.head("ExecutionFailed"), result: failed.cause }
                return this.idle.append(record, progress, [decision, ended], answer)
              }),
              (refusal) => ({
                refusal,
                reopen: refusal === undefined,
                resolution: kind === "Resolved" && failed !== undefined && refusal === undefined
                  ? progress.resolutions?.at(-1)
                  : undefined
              })
            )
          },
          none: () => Effect.succeed({ refusal: { _tag: "NotFound" as const }, reopen: false })
        })
      ),
      (decided) => {
        if ("_tag" in decided) return Effect.succeed(decided)
        const { refusal, reopen, resolution } = decided
        if (!reopen) return Effect.succeed(refusal)
        return Effect.andThen(
          this.loader.load(id),
          resolution === undefined ? Effect.succeed(refusal) : this.judgementOf(id, resolution)
        )
      }
    ))
  }

  /* Whether the step has taken its value is known when the saga has come to it again. */
  private judgementOf(
    id: string,
    { path, sequence }: Progress.Resolution
  ): Effect.Effect<Refusal | undefined, SagaStoreError> {
    return Effect.suspend(() => {
      const live = this.executions.getLive(id)
      const judged = live === undefined ? Effect.void : Effect.interruptible(
        Effect.timeoutOption(live.incoming.awaitJudgement(path), this.replayTimeout)
      )
      return Effect.andThen(
        judged,
        this.idle.use(id, ({ progress }) => {
          const detail = progress?.resolutions?.find((one) => one.sequence === sequence)?.refusal
          return Effect.succeed<Refusal | undefined>(
            detail === undefined ? undefined : { _tag: "InvalidValue", path, detail }
          )
        })
      )
    })
  }

  /*
   * Does what fits the place where an execution is now. A finished one refuses everything. What is answered from the state of
   * a live one is not told before that is durable: a crash would take it back.
   */
  private withExecution<A>(id: string, cases: {
    /** What is so already, also of one that is finished. */
    readonly known?: (progress: Progress.Progress) => A | undefined
    readonly live: (execution: Execution) => Effect.Effect<A, SagaStoreError>
    readonly idle: (record: ExecutionRecord, progress: Progress.Progress) => Effect.Effect<A, SagaStoreError>
    readonly none: () => Effect.Effect<A, SagaStoreError>
  }): Effect.Effect<A | Refusal, SagaStoreError> {
    const onLive = (execution: Execution): Effect.Effect<A | Refusal, SagaStoreError> => {
      const { finished } = execution.progress
      const known = cases.known?.(execution.progress) ??
        (finished === undefined ? undefined : alreadyFinished(finished))
      const answer: Effect.Effect<A | Refusal, SagaStoreError> = known === undefined
        ? cases.live(execution)
        : Effect.as(execution.journal.durable, known)
      return Effect.catchCause(answer, (cause) =>
        execution.journal.isLost
          ? Effect.fail(this.ending.error ?? closed(this.store))
          : Effect.failCause(cause))
    }
    return Effect.suspend((): Effect.Effect<A | Refusal, SagaStoreError> => {
      // One whose last event was lost with the store stays live, and would be waited for again and again.
      if (this.ending.error !== undefined) return Effect.fail(this.ending.error)
      const live = this.executions.getLive(id)
      if (live !== undefined) {
        return live.halted && live.fiber !== undefined && live.progress.finished === undefined
          // It is about to be idle.
          ? Effect.andThen(Fiber.await(live.fiber), this.withExecution(id, cases))
          : onLive(live)
      }
      return this.idle.use<A | Refusal>(id, ({ found, progress }) => {
        if (found === undefined) return cases.none()
        const known = cases.known?.(progress)
        if (known !== undefined) return Effect.succeed(known)
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

/* How a cancel is answered that changes nothing. */
const answerToCancel = (progress: Progress.Progress): { readonly refusal: Refusal | undefined } | undefined => {
  if (Progress.isBeingUndone(progress)) return { refusal: notApplicable(alreadyBeingUndone) }
  return progress.cancelled ? { refusal: undefined } : undefined
}
