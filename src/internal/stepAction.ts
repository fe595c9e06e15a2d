import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import type { Execution } from "./execution.ts"
import { stepKey } from "./progress.ts"
import { maskedText, withoutMarks } from "./redaction.ts"
import { causeLine } from "./render.ts"
import type { Entry } from "./run.ts"
import type { Restore } from "./step.ts"
import {
  actionContext,
  asEffect,
  executionOf,
  inContext,
  limited,
  lost,
  memoryKeyOf,
  orReturnedFailure,
  retries,
  undone
} from "./stepAttempt.ts"
import type { AnyEffect, AnySchedule, CallContext, StepSpec } from "./stepSpec.ts"

/* What the action of a step does. How its last attempt ended is kept by the core. */

export const act = (spec: StepSpec, input: unknown, entry: Entry, restore: Restore): AnyEffect => {
  const execution = executionOf(entry.frame)
  if (execution === undefined) return actInMemory(spec, input, entry)
  const kept = entry.kept!
  const encoded = spec.input.encode(input)
  if (Exit.isFailure(encoded)) return Effect.die(misfit(spec, "input", encoded.cause))
  if (kept.recorded) return replay(spec, encoded.value, entry, execution)
  if (execution.host.codec === undefined) {
    kept.input = encoded.value
    return begin(spec, input, entry, execution, restore)
  }
  return Effect.flatMap(execution.seal(encoded.value), (sealed) => {
    kept.input = sealed
    return begin(spec, input, entry, execution, restore)
  })
}

/* From here on the action may have taken effect, as far as a restart can tell. */
const begin = (
  spec: StepSpec,
  input: unknown,
  entry: Entry,
  execution: Execution,
  restore: Restore
): AnyEffect => {
  const path = entry.path!
  const kept = entry.kept!
  const unfinished = execution.recovered?.unfinished(path)
  if (unfinished !== undefined) {
    kept.after = unfinished.after
    execution.recovered!.askUnfinished(path)
    return Effect.andThen(
      execution.awaitReplay(path),
      Effect.suspend(() => attempts(spec, input, entry, execution, restore, unfinished.inDoubt))
    )
  }
  kept.after = execution.givenIn(entry.frame)
  execution.journal.start(path, kept.after)
  return Effect.callback((resume) =>
    execution.journal.whenDurable((written) =>
      resume(written && !execution.halted ? attempts(spec, input, entry, execution, restore, false) : Effect.interrupt)
    )
  )
}

const attempts = (
  spec: StepSpec,
  input: unknown,
  entry: Entry,
  execution: Execution,
  restore: Restore,
  inDoubt: boolean
): AnyEffect => {
  const path = entry.path!
  if (spec.ambiguous && inDoubt) {
    entry.kept!.attempt = (execution.progress.attempts?.get(stepKey(path))?.count ?? 0) + 1
    return keepFailure(spec, entry, execution, Cause.fail(spec.outcomeUnknown(path)))
  }
  return Effect.matchCauseEffect(
    spec.retry === undefined
      ? attempt(spec, input, entry, execution)
      : repeated(spec, spec.retry, input, entry, execution, restore, inDoubt),
    {
      onSuccess: (value) => keepValue(spec, input, entry, execution, value),
      onFailure: (cause) => keepFailure(spec, entry, execution, cause)
    }
  )
}

const attempt = (spec: StepSpec, input: unknown, entry: Entry, execution: Execution): AnyEffect => {
  const path = entry.path!
  const invoked = Effect.suspend(() => {
    const context = { idempotencyKey: `${execution.id}/${path}`, attempt: entry.kept!.attempt }
    return invoke(spec, input, context, path)
  })
  return inContext(invoked, actionContext(entry, execution))
}

/*
 * That an attempt starts is written before it does, as for the first one: an attempt that may have taken effect before a
 * crash runs again, whatever else has failed meanwhile. One that was waited for can be given up.
 */
const repeated = (
  spec: StepSpec,
  schedule: AnySchedule,
  input: unknown,
  entry: Entry,
  execution: Execution,
  restore: Restore,
  inDoubt: boolean
): AnyEffect => {
  const kept = entry.kept!
  const path = entry.path!
  const before = execution.progress.attempts?.get(stepKey(path))
  kept.attempt = (before?.count ?? 0) + 1
  return Effect.flatMap(retries(schedule, before, spec.cause, execution, path), (nextDelay) => {
    const started: AnyEffect = Effect.suspend(() => {
      entry.tries = kept.attempt
      return execution.halted ? Effect.interrupt : Effect.catchCause(attempt(spec, input, entry, execution), failed)
    })
    const failed = (cause: Cause.Cause<unknown>): AnyEffect =>
      Effect.flatMap(nextDelay(cause), (delay) => {
        if (delay === undefined) return Effect.failCause(cause)
        return Effect.flatMap(execution.seal(spec.cause.encode(cause)), (stored) => {
          const head = execution.journal.head("AttemptFailed")
          const retryAt = head.at + delay
          execution.journal.note({ ...head, path, attempt: kept.attempt, cause: stored, retryAt })
          kept.attempt++
          return afterWait(retryAt, cause)
        })
      })
    const afterWait = (dueAt: number, last: Cause.Cause<unknown>): AnyEffect =>
      Effect.matchCauseEffect(restore(execution.sleepUntil(dueAt)), {
        onSuccess: () => {
          // What is undone, or cancelled, makes no further attempt.
          if (execution.isStopped(entry.frame)) return execution.halted ? Effect.interrupt : Effect.failCause(last)
          execution.journal.start(path, kept.after, kept.attempt)
          return Effect.andThen(execution.journal.durable, started)
        },
        // Cancelled while it waited: the step has failed as its last attempt did.
        onFailure: (interruption) => Effect.failCause(execution.halted ? interruption : last)
      })
    if (before?.retryAt === undefined || inDoubt) return started
    const { failed: all, retryAt } = before
    return Effect.flatMap(
      execution.causeOf(all.at(-1)!.cause, spec.cause, `The failure of step "${path}"`),
      (last) => afterWait(retryAt, last)
    )
  })
}

/*
 * Where the value does not fit, the action has taken effect and nobody could undo it after a crash: it is undone now. Where
 * that fails, it is undone with the saga, like any other step.
 */
const keepValue = (
  spec: StepSpec,
  input: unknown,
  entry: Entry,
  execution: Execution,
  value: unknown
): AnyEffect => {
  const kept = entry.kept!
  const encoded = spec.success.encode(value)
  if (Exit.isSuccess(encoded)) {
    if (execution.host.codec === undefined) {
      kept.result = encoded.value
      return Effect.succeed(value)
    }
    return Effect.map(execution.seal(encoded.value), (sealed) => {
      kept.result = sealed
      return value
    })
  }
  const defect = Cause.die(misfit(spec, "success", encoded.cause))
  const undoing = undoMisfit(spec, input, entry, value, defect, `${execution.id}/${entry.path!}`)
  return Effect.flatMap(
    inContext(undoing, actionContext(entry, execution)),
    (cause) => keepFailure(spec, entry, execution, cause as Cause.Cause<unknown>)
  )
}

/* Undoes an action whose value does not fit. Returns what the step fails with. */
const undoMisfit = (
  spec: StepSpec,
  input: unknown,
  entry: Entry,
  value: unknown,
  defect: Cause.Cause<never>,
  idempotencyKey: string
): Effect.Effect<Cause.Cause<unknown>, never, unknown> => {
  // The exit tells it all.
  if (spec.compensate === undefined || spec.compensatesExit) return Effect.succeed(defect)
  const attempt = undone(
    spec,
    value,
    { idempotencyKey, attempt: 1, input, cause: defect },
    entry.path ?? entry.step.name
  )
  return Effect.matchCause(Effect.flatMap(attempt, orReturnedFailure), {
    onSuccess: () => defect,
    onFailure: (cause) => {
      entry.unkept = { value }
      return Cause.combine(defect, cause)
    }
  })
}

const keepFailure = (
  spec: StepSpec,
  entry: Entry,
  execution: Execution,
  cause: Cause.Cause<unknown>
): AnyEffect =>
  Effect.flatMap(execution.seal(spec.cause.encode(cause)), (stored) => {
    entry.kept!.result = stored
    return Effect.failCause(cause)
  })

const replay = (spec: StepSpec, input: Json, entry: Entry, execution: Execution): AnyEffect => {
  const path = entry.path!
  const failureBefore = execution.recovered?.failureBeforeResolution(path)
  return Effect.flatMap(execution.recovered?.take(stepKey(path)) ?? Effect.interrupt, (event): AnyEffect => {
    if (event._tag !== "StepSucceeded" && event._tag !== "StepFailed") {
      return execution.mismatch(`"${path}" was no step when the execution began (${event._tag}).`)
    }
    const kept = entry.kept!
    kept.at = event.at
    kept.attempt = event.attempt
    if (spec.retry !== undefined) entry.tries = event.attempt
    kept.after = event.after
    entry.startedAt = event.startedAt
    const decoded = Effect.flatMap(
      execution.open(event.input, `The input of step "${path}"`),
      (recorded): AnyEffect => {
        // What is `Redacted` now may not have been then.
        if (!sameJson(recorded, input) && !sameJson(withoutMarks(recorded), withoutMarks(input))) {
          const inputs = execution.isInClear
            ? `the input ${shown(recorded)}, and gets ${shown(input)} now`
            : "another input"
          return execution.mismatch(`Step "${path}" had ${inputs}. Code between steps has to be deterministic.`)
        }
        if (event._tag === "StepFailed") {
          if (event.tookEffect === true) entry.unkept = { value: lost }
          return Effect.flatMap(
            execution.causeOf(event.cause, spec.cause, `The failure of step "${path}"`),
            (cause) => Effect.failCause(cause)
          )
        }
        return Effect.flatMap(execution.open(event.value, `The value of step "${path}"`), (opened) => {
          const value = spec.success.decode(opened)
          if (Exit.isSuccess(value)) {
            if (failureBefore !== undefined) execution.incoming.judge(path)
            return Effect.succeed(value.value)
          }
          const why = causeLine(value.cause, execution.isInClear)
          return failureBefore === undefined
            ? execution.mismatch(`The value of step "${path}" does not fit its schema any more: ${why}.`)
            : execution.refuseResolution(path, failureBefore, why)
        })
      }
    )
    return execution.settling(decoded)
  })
}

/* As far as it can be, as in a durable saga: what runs in memory in a test is to run there too. */
const actInMemory = (spec: StepSpec, input: unknown, entry: Entry): AnyEffect => {
  const encoded = spec.input.encode(input)
  if (Exit.isFailure(encoded)) return Effect.die(misfit(spec, "input", encoded.cause))
  let attempt = 0
  const once = Effect.suspend(() => {
    attempt++
    if (spec.retry !== undefined) entry.tries = attempt
    return invoke(spec, input, { idempotencyKey: memoryKeyOf(entry), attempt }, spec.name)
  })
  return Effect.flatMap(spec.retry === undefined ? once : Effect.retry(once, spec.retry), (value) => {
    const encoded = spec.success.encode(value)
    if (Exit.isSuccess(encoded)) return Effect.succeed(value)
    const defect = Cause.die(misfit(spec, "success", encoded.cause))
    return Effect.flatMap(undoMisfit(spec, input, entry, value, defect, memoryKeyOf(entry)), Effect.failCause)
  })
}

const invoke = (spec: StepSpec, input: unknown, context: CallContext, step: string): AnyEffect => {
  const effect = asEffect(spec.action(input as never, context), "action", step)
  // Without this, a restart would take away what was there before it.
  const kept = spec.isVoid ? Effect.asVoid(effect) : effect
  return limited(kept, spec.timeout, `Step "${step}"`)
}

const misfit = (spec: StepSpec, what: "input" | "success", cause: Cause.Cause<unknown>): Error =>
  new Error(`The ${what} of step "${spec.name}" does not fit its schema: ${Cause.pretty(cause)}`)

const sameJson = (one: Json, other: Json): boolean => {
  if (one === other) return true
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false
  if (Array.isArray(one) !== Array.isArray(other)) return false
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length &&
    keys.every((key) => key in other && sameJson((one as never)[key], (other as never)[key]))
}

const shown = (json: Json): string => {
  const text = maskedText(json)
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}
