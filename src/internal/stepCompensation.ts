import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { Execution } from "./execution.ts"
import { pathOf } from "./log.ts"
import { type Attempts, compensationKey } from "./progress.ts"
import { causeLine } from "./render.ts"
import { CurrentFrame, type Entry, Frame } from "./run.ts"
import { executionOf, lost, memoryKeyOf, orReturnedFailure, retries, undone } from "./stepAttempt.ts"
import type { AnyEffect, StepSpec } from "./stepSpec.ts"

/* What the compensation of a step does, until it succeeds, fails for good, or an operator has decided. */

export const compensate = (
  spec: StepSpec,
  input: unknown,
  given: unknown,
  cause: Cause.Cause<unknown>,
  entry: Entry
): AnyEffect => {
  const execution = executionOf(entry.frame)
  if (execution === undefined) {
    let attempt = 0
    const once = Effect.suspend(() =>
      undone(spec, given, { idempotencyKey: memoryKeyOf(entry), attempt: ++attempt, input, cause }, spec.name)
    )
    return spec.compensationRetry === undefined ? once : Effect.retry(once, spec.compensationRetry)
  }
  const path = pathOf(entry)
  const attempt = (number: number): AnyEffect => {
    // Nothing that a compensation waits for is mistaken for what an earlier attempt, or the saga itself, waited for.
    const frame = new Frame(
      entry.frame.run,
      undefined,
      number === 1 ? `${path}/undo` : `${path}/undo#${number}`,
      undefined
    )
    frame.status = "Unwinding"
    frame.compensating = true
    const context = { idempotencyKey: `${execution.id}/${path}`, attempt: number, input, cause }
    return undone(spec, given, context, path).pipe(
      Effect.flatMap(orReturnedFailure),
      Effect.provideService(CurrentFrame, frame)
    )
  }
  return undo(spec, entry, path, execution, given === lost ? () => Effect.die(valueLost(path)) : attempt)
}

const undo = (
  spec: StepSpec,
  { frame, kept: ofEntry }: Entry,
  path: string,
  execution: Execution,
  attempt: (number: number) => AnyEffect
): AnyEffect => {
  const kept = ofEntry!
  const key = compensationKey(path)
  const recorded = execution.recovered?.take(key)
  if (recorded !== undefined) {
    return Effect.flatMap(recorded, (event): AnyEffect => {
      kept.at = event.at
      if (event._tag === "CompensationSucceeded") kept.attempt = event.attempt
      if (event._tag !== "CompensationFailed") return execution.settling(Effect.void)
      kept.attempt = event.attempt
      return execution.settling(Effect.flatMap(
        execution.causeOf(event.cause, spec.compensationCause, `The failure of the compensation of "${path}"`),
        (cause) => Effect.failCause(cause)
      ))
    })
  }

  const tried = (before: Attempts | undefined): AnyEffect =>
    Effect.flatMap(
      spec.compensationRetry === undefined
        ? Effect.succeed(() => Effect.succeed(undefined))
        : retries(spec.compensationRetry, before, spec.compensationCause, execution, path),
      (nextDelay) => {
        const once: AnyEffect = Effect.flatMap(execution.journal.durable, () =>
          execution.halted
            ? Effect.interrupt
            : Effect.catchCause(Effect.suspend(() => attempt(kept.attempt)), (cause) =>
              Effect.flatMap(nextDelay(cause), (delay): AnyEffect => {
                if (delay === undefined || execution.halted) return Effect.failCause(cause)
                return Effect.flatMap(execution.seal(spec.compensationCause.encode(cause)), (stored) => {
                  const head = execution.journal.head("CompensationAttemptFailed")
                  const retryAt = head.at + delay
                  execution.journal.note({ ...head, path, attempt: kept.attempt, cause: stored, retryAt })
                  kept.attempt++
                  return Effect.andThen(execution.unlessHalted(execution.sleepUntil(retryAt)), once)
                })
              })))
        return before?.retryAt === undefined
          ? once
          : Effect.andThen(execution.unlessHalted(execution.sleepUntil(before.retryAt)), once)
      }
    )

  const retried = (): AnyEffect =>
    Effect.suspend(() => {
      const before = execution.progress.attempts?.get(key)
      kept.after = execution.givenIn(frame)
      kept.attempt = (before?.count ?? 0) + 1
      const attempts = kept.limits === undefined ? tried(before) : kept.limits.apply(tried(before))
      // Whatever it failed with, and be it a mistake of the compensation or of its schedule.
      return Effect.catchCause(attempts, (cause) => execution.halted ? Effect.interrupt : failed(cause))
    })

  const failed = (cause: Cause.Cause<unknown>): AnyEffect =>
    Effect.flatMap(execution.seal(spec.compensationCause.encode(cause)), (stored) => {
      if (execution.definition.onCompensationFailure !== "park") return fail(cause, stored)
      kept.limits?.lift()
      return Effect.andThen(
        execution.park({
          kind: "CompensationFailed",
          path,
          attempt: kept.attempt,
          reason: `Step "${path}" could not be undone: ${causeLine(cause, execution.isInClear)}.`,
          cause: stored
        }),
        decided()
      )
    })

  const fail = (cause: Cause.Cause<unknown>, stored: Json): AnyEffect => {
    kept.failure = { cause, stored }
    return Effect.failCause(cause)
  }

  const decided = (): AnyEffect =>
    Effect.flatMap(execution.incoming.awaitDecision(path), (decision): AnyEffect => {
      if (decision._tag === "Resolved") return Effect.void
      if (decision._tag === "Retried") return retried()
      return Effect.flatMap(
        execution.causeOf(decision.failure, spec.compensationCause, `The failure of the compensation of "${path}"`),
        (cause) => fail(cause, decision.failure)
      )
    })

  return Effect.andThen(
    execution.awaitReplay(path),
    Effect.suspend(() => {
      const { decisions, parked } = execution.progress
      const before = parked?.get(path)
      const decision = decisions?.get(path)
      if (before === undefined && decision === undefined) return retried()
      kept.after = execution.givenIn(frame)
      kept.attempt = execution.progress.attempts?.get(key)?.count ?? 1
      kept.limits?.lift()
      return decided()
    })
  )
}

const valueLost = (path: string): Error =>
  new Error(
    `The value of step "${path}" did not fit its schema, so it was not kept, and a restart has lost it. ` +
      "Undo the step by hand, and resolve it"
  )
