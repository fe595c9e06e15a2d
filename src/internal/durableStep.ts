import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { Json } from "effect/Schema"
import type { CauseCodec, Codec } from "./codec.ts"
import type { Execution } from "./execution.ts"
import type { Keeper } from "./keeper.ts"
import { pathOf } from "./log.ts"
import { type Attempts, compensationKey, stepKey } from "./progress.ts"
import { maskedText, withoutMarks } from "./redaction.ts"
import { causeLine } from "./render.ts"
import { CurrentFrame, type Entry, Frame } from "./run.ts"
import { type Restore, runStep } from "./step.ts"

/*
 * A step whose result can be kept: what its action and its compensation do, in memory and in a durable saga.
 *
 * In a durable saga an attempt that failed is written down with the time of the next one before anybody waits for that,
 * so a crash changes neither how often nor when something is tried again. How the last attempt ended is kept by the
 * core, which puts the step on the stack and into the journal in one go.
 */

/** What actions and compensations are told besides their input. */
export interface CallContext {
  readonly idempotencyKey: string
  readonly attempt: number
}

export interface CompensationContext extends CallContext {
  readonly input: never
  readonly cause: Cause.Cause<unknown>
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

export interface StepSpec {
  readonly name: string
  readonly input: Codec<unknown>
  readonly success: Codec<unknown>
  readonly cause: CauseCodec
  readonly compensationCause: CauseCodec
  readonly action: (input: never, context: CallContext) => AnyEffect
  readonly compensate: ((value: never, context: CompensationContext) => AnyEffect) | undefined
  /** Whether the compensation gets the `Exit` of the action, and runs whatever became of it. */
  readonly compensatesExit: boolean
  readonly retry: AnySchedule | undefined
  readonly compensationRetry: AnySchedule | undefined
  readonly timeout: Duration.Duration | undefined
  readonly compensationTimeout: Duration.Duration | undefined
  readonly ambiguous: boolean
  /** What an ambiguous step fails with when nobody knows what became of it. */
  readonly outcomeUnknown: (step: string) => unknown
}

export type AnySchedule = Schedule.Schedule<unknown, unknown, never, unknown>

/** The execution whose step is running: what an action may not do by itself, but can start children with. */
export class CurrentAction extends Context.Service<CurrentAction, { readonly execution: Execution }>()(
  "effect-saga/Step/CurrentAction"
) {}

export const currentAction = (context: Context.Context<never>): CurrentAction["Service"] | undefined =>
  Context.getOrUndefined(context as Context.Context<CurrentAction>, CurrentAction)

/** The execution that a frame belongs to. */
export const executionOf = (frame: Frame): Execution | undefined =>
  // There is one implementation of the interface, which the core does not know.
  (frame.run.journal as Keeper | undefined)?.execution

export const call = (spec: StepSpec, input: unknown, name: string): AnyEffect =>
  runStep((entry, restore) => act(spec, input, entry, restore), {
    name,
    kind: spec.compensatesExit ? "stepExit" : "step",
    compensate: spec.compensate === undefined
      ? undefined
      : (given, cause, entry) => compensate(spec, input, given, cause, entry),
    interruptible: false,
    durable: true
  })

/* ------------------------------------------------------------------------------------------------- the action */

const act = (spec: StepSpec, input: unknown, entry: Entry, restore: Restore): AnyEffect => {
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
    const effect = asEffect(
      spec.action(input as never, { idempotencyKey: `${execution.id}/${path}`, attempt: entry.kept!.attempt }),
      "action",
      path
    )
    return spec.timeout === undefined ? effect : limited(effect, spec.timeout, `Step "${path}"`)
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

/* Where the value does not fit, the action has taken effect and nobody could undo it after a crash: it is undone now. */
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
  const undone = spec.compensate === undefined || spec.compensatesExit ? Effect.void : spec.compensate(value as never, {
    idempotencyKey: `${execution.id}/${entry.path!}`,
    attempt: 1,
    input: input as never,
    cause: defect
  })
  return Effect.matchCauseEffect(inContext(undone, actionContext(entry, execution)), {
    onSuccess: () => keepFailure(spec, entry, execution, defect),
    onFailure: (cause) => keepFailure(spec, entry, execution, Cause.combine(defect, cause))
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

const actInMemory = (spec: StepSpec, input: unknown, entry: Entry): AnyEffect => {
  let attempt = 0
  const once = Effect.suspend(() => {
    attempt++
    if (spec.retry !== undefined) entry.tries = attempt
    return limited(
      asEffect(
        spec.action(input as never, { idempotencyKey: memoryKeyOf(entry), attempt }),
        "action",
        spec.name
      ),
      spec.timeout,
      `Step "${spec.name}"`
    )
  })
  return spec.retry === undefined ? once : Effect.retry(once, spec.retry)
}

/* ------------------------------------------------------------------------------------------------- the compensation */

const compensate = (
  spec: StepSpec,
  input: unknown,
  given: unknown,
  cause: Cause.Cause<unknown>,
  entry: Entry
): AnyEffect => {
  const run = spec.compensate!
  const execution = executionOf(entry.frame)
  if (execution === undefined) {
    let attempt = 0
    const once = Effect.suspend(() =>
      limited(
        asEffect(
          run(given as never, { idempotencyKey: memoryKeyOf(entry), attempt: ++attempt, input: input as never, cause }),
          "compensation",
          spec.name
        ),
        spec.compensationTimeout,
        `The compensation of step "${spec.name}"`
      )
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
    return limited(
      asEffect(
        run(given as never, {
          idempotencyKey: `${execution.id}/${path}`,
          attempt: number,
          input: input as never,
          cause
        }),
        "compensation",
        path
      ),
      spec.compensationTimeout,
      `The compensation of step "${path}"`
    ).pipe(Effect.provideService(CurrentFrame, frame))
  }
  return undo(spec, entry, path, execution, attempt)
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

  const parks = execution.definition.onCompensationFailure === "park"
  const retried = (): AnyEffect =>
    Effect.suspend(() => {
      const before = execution.progress.attempts?.get(key)
      kept.after = execution.givenIn(frame)
      kept.attempt = (before?.count ?? 0) + 1
      return Effect.flatMap(
        spec.compensationRetry === undefined
          ? Effect.succeed(() => Effect.succeed(undefined))
          : retries(spec.compensationRetry, before, spec.compensationCause, execution, path),
        (nextDelay) => {
          const once: AnyEffect = Effect.flatMap(execution.journal.durable, () =>
            execution.halted ? Effect.interrupt : Effect.catchCause(attempt(kept.attempt), (cause) => {
              if (execution.halted) {
                return Effect.interrupt
              }
              return Effect.flatMap(
                Effect.zip(nextDelay(cause), execution.seal(spec.compensationCause.encode(cause))),
                ([delay, stored]): AnyEffect => {
                  kept.result = stored
                  if (delay === undefined) {
                    return parks ? parked(cause, stored) : Effect.failCause(cause)
                  }
                  const head = execution.journal.head("CompensationAttemptFailed")
                  const retryAt = head.at + delay
                  execution.journal.note({ ...head, path, attempt: kept.attempt, cause: stored, retryAt })
                  kept.attempt++
                  return Effect.andThen(execution.unlessHalted(execution.sleepUntil(retryAt)), once)
                }
              )
            }))
          return before?.retryAt === undefined ? once : Effect.andThen(
            execution.unlessHalted(execution.sleepUntil(before.retryAt)),
            once
          )
        }
      )
    })

  const parked = (cause: Cause.Cause<unknown>, stored: Json): AnyEffect =>
    Effect.andThen(
      execution.park({
        kind: "CompensationFailed",
        path,
        attempt: kept.attempt,
        reason: `Step "${path}" could not be undone: ${causeLine(cause, execution.isInClear)}.`,
        cause: stored
      }),
      decided()
    )

  const decided = (): AnyEffect =>
    Effect.flatMap(execution.incoming.awaitDecision(path), (decision): AnyEffect => {
      if (decision._tag === "Resolved") return Effect.void
      if (decision._tag === "Retried") return retried()
      kept.result = decision.failure
      return Effect.flatMap(
        execution.causeOf(decision.failure, spec.compensationCause, `The failure of the compensation of "${path}"`),
        (cause) => Effect.failCause(cause)
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
      return decided()
    })
  )
}

/* ------------------------------------------------------------------------------------------------- what both need */

/*
 * The delay before the next attempt, or undefined where there is none. A schedule has a state: that of a recovered step
 * is made anew by telling it of the attempts that failed before, without waiting.
 */
const retries = (
  schedule: AnySchedule,
  before: Attempts | undefined,
  codec: CauseCodec,
  execution: Execution,
  path: string
): Effect.Effect<(cause: Cause.Cause<unknown>) => Effect.Effect<number | undefined>, never, unknown> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<unknown>()
    const step = yield* Schedule.toStep(schedule)
    const next = (now: number, cause: Cause.Cause<unknown>): Effect.Effect<number | undefined> => {
      const error = Cause.findErrorOption(cause)
      // As everywhere in Effect, defects and interruptions are not retried.
      if (Option.isNone(error) || Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.succeed(undefined)
      return Effect.matchCauseEffect(Effect.provideContext(step(now, error.value), services), {
        onSuccess: ([, delay]) => Effect.succeed(Duration.toMillis(delay)),
        onFailure: (end) =>
          Pull.isDoneCause(end) ? Effect.succeed(undefined) : Effect.failCause(end as Cause.Cause<never>)
      })
    }
    for (const { at, cause } of before?.failed ?? []) {
      yield* next(at, yield* execution.causeOf(cause, codec, `A failed attempt of step "${path}"`))
    }
    return (cause: Cause.Cause<unknown>) => Effect.suspend(() => next(execution.now, cause))
  })

/*
 * A saga in an action is one of its own, in memory, as the action is repeated as a whole: it finds no frame. Steps in one
 * place mostly have one context, so theirs is made once.
 */
const actionContext = ({ context, frame }: Entry, execution: Execution): Context.Context<never> => {
  if (frame.actions?.of !== context) {
    frame.actions = {
      of: context,
      context: Context.add(Context.add(context, CurrentFrame, undefined as never), CurrentAction, { execution })
    }
  }
  return frame.actions.context
}

/* By the type of its step, the services that it needs are in the context of the step. */
const inContext = (self: AnyEffect, context: Context.Context<never>): AnyEffect =>
  Effect.setContext(self as Effect.Effect<unknown, unknown>, context)

const limited = (effect: AnyEffect, duration: Duration.Duration | undefined, what: string): AnyEffect =>
  duration === undefined ? effect : Effect.timeoutOrElse(effect, {
    duration,
    orElse: () => Effect.fail(new Cause.TimeoutError(`${what} did not end within ${Duration.format(duration)}.`))
  })

/* Outside a durable saga a key has to be unique among all processes. An action and its compensation have the same one. */
const memoryKeyOf = (entry: Entry): string => {
  let key = memoryKeys.get(entry)
  if (key === undefined) memoryKeys.set(entry, key = `${crypto.randomUUID()}/${entry.path ?? entry.step.name}`)
  return key
}

const memoryKeys = new WeakMap<Entry, string>()

export const asEffect = (returned: unknown, phase: "action" | "compensation", step: string): AnyEffect => {
  if (Effect.isEffect(returned)) return returned
  if (returned instanceof Promise) returned.catch(() => {})
  return Effect.die(
    new Error(
      `The ${phase} of step "${step}" returned no Effect. ` +
        `Wrap a promise in Effect.tryPromise and a plain function in Effect.sync.`
    )
  )
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
