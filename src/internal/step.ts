import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { observe } from "./observe.ts"
import { blockedBy, currentFrame, Entry, type Frame, isInAction, type Journal, type StepDefinition } from "./run.ts"

/** The action of a step; of a durable one, that has to know where it stands. */
export type Action<A, E, R> = Effect.Effect<A, E, R> | ((entry: Entry, restore: Restore) => Effect.Effect<A, E, R>)

/**
 * Runs an action as a step of the saga in force.
 *
 * The action enters its uninterruptible region and is counted as in flight in one synchronous block, and it is put on
 * the stack in the block in which it ends: there is no instant at which it has taken effect and nobody knows.
 */
export const runStep = <A, E, R>(action: Action<A, E, R>, step: StepDefinition): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const context = Fiber.getCurrent()!.context
    const frame = currentFrame(context)
    if (frame === undefined) return Effect.die(new Error(notInSaga(step, context)))
    if (blockedBy(frame) !== undefined) return Effect.die(new Error(refusal(step, frame)))
    const { journal } = frame.run
    return journal === undefined
      ? perform(action, new Entry(frame, step, context), restore)
      : performDurable(action, step, frame, context, journal, restore)
  })

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const perform = <A, E, R>(action: Action<A, E, R>, entry: Entry, restore: Restore): Effect.Effect<A, E, R> => {
  const { frame, step } = entry
  const { journal, observer } = frame.run
  if (observer !== undefined || journal !== undefined) entry.startedAt = frame.run.clock.currentTimeMillisUnsafe()
  const effect = typeof action === "function" ? action(entry, restore) : action
  const running = step.interruptible ? restore(effect) : effect
  frame.enter()
  if (observer !== undefined) return performObserved(running, entry)
  return Effect.onExitPrimitive(running, (exit) => {
    const committed = settle(entry, exit)
    const kept = journal?.keep(entry)
    if (committed !== undefined) journal?.keep(committed)
    leave(entry)
    return kept === "Repeated" ? undefined : kept
  })
}

const leave = ({ frame, step }: Entry): void => {
  frame.busy?.delete(step.name)
  frame.leave()
}

/*
 * The path is claimed when the step is asked for, so that a replay claims the same one. A step that had started before a
 * crash counts as in flight from then on: nothing may be undone or interrupted without it. Any other waits until the
 * replay has caught up.
 */
const performDurable = <A, E, R>(
  action: Action<A, E, R>,
  step: StepDefinition,
  frame: Frame,
  context: Context.Context<never>,
  journal: Journal,
  restore: Restore
): Effect.Effect<A, E, R> => {
  if (!step.durable && step.kind !== "pivot") return Effect.die(new Error(notDurable(step)))
  const path = claim(frame, step.name)
  if (path === undefined) return Effect.die(new Error(ambiguous("step", step.name)))
  if (journal.isRecorded(path)) return start(action, step, frame, context, path, true, restore)
  const held = step.kind === "pivot" || journal.isStarted(path) ? undefined : journal.hold(frame, path)
  if (held === undefined) return start(action, step, frame, context, path, false, restore)
  return Effect.matchCauseEffect(restore(held), {
    onSuccess: (): Effect.Effect<A, E, R> => {
      if (blockedBy(frame) === undefined) return start(action, step, frame, context, path, false, restore)
      frame.busy!.delete(step.name)
      return Effect.die(new Error(refusal(step, frame)))
    },
    onFailure: (cause) => {
      frame.busy!.delete(step.name)
      return Effect.failCause(cause)
    }
  })
}

const start = <A, E, R>(
  action: Action<A, E, R>,
  step: StepDefinition,
  frame: Frame,
  context: Context.Context<never>,
  path: string,
  recorded: boolean,
  restore: Restore
): Effect.Effect<A, E, R> => {
  const entry = new Entry(frame, step, context)
  entry.path = path
  entry.kept!.recorded = recorded
  return perform(action, entry, restore)
}

/** The path of what is called `name`, which is busy from now on; undefined where something of that name is running. */
export const claim = (frame: Frame, name: string): string | undefined => {
  const busy = frame.busy ??= new Set()
  if (busy.has(name)) return undefined
  busy.add(name)
  return frame.claimStep(name)
}

/* The entry is on the stack before the observer hears of it, and in flight until the observer has. */
const performObserved = <A, E, R>(action: Effect.Effect<A, E, R>, entry: Entry): Effect.Effect<A, E, R> => {
  const run = entry.frame.run
  return Effect.andThen(
    observe(run, { _tag: "StepStarted", entry, at: entry.startedAt! }),
    Effect.onExitPrimitive(action, (exit) => {
      const committed = settle(entry, exit)
      const heard = committed === undefined
        ? observe(run, entry)
        : Effect.andThen(observe(run, entry), observe(run, committed))
      return Effect.ensuring(heard, Effect.sync(() => leave(entry)))
    })
  )
}

/* Puts an ended action on the stack. Returns what a pivot adds to that. */
const settle = (entry: Entry, exit: Exit.Exit<unknown, unknown>) => {
  const { frame, step } = entry
  const run = frame.run
  entry.exit = exit
  entry.endedAt = entry.kept?.at ?? run.clock.currentTimeMillisUnsafe()
  if (
    step.compensate !== undefined && run.committedBy === undefined &&
    (exit._tag === "Success" || step.kind === "stepExit" || entry.unkept !== undefined)
  ) entry.stack = "Pending"
  run.log.push(entry)
  if (step.kind !== "pivot" || exit._tag === "Failure" || run.committedBy !== undefined) return undefined
  run.committedBy = entry
  const committed = { _tag: "SagaCommitted", entry, at: entry.endedAt } as const
  run.log.push(committed)
  return committed
}

export const ambiguous = (kind: string, name: string): string =>
  `Two of ${kind} "${name}" run at once in the same place, so after a crash nobody could tell which is which. ` +
  `Put them in branches of Saga.all or Saga.forEach, or give them names of their own.`

const notDurable = (step: StepDefinition): string =>
  `Step "${step.name}" was not started: a durable saga would repeat it after a crash. Make it with Step.make.`

const subjectOf = (step: StepDefinition): string =>
  `${step.kind === "pivot" ? "Pivot" : "Step"} "${step.name}" was not started, because`

const notInSaga = (step: StepDefinition, context: Context.Context<never>): string =>
  isInAction(context)
    ? `${subjectOf(step)} it is in the action of a step, which a durable saga repeats as a whole. ` +
      `Put it beside that step, or close it with Saga.transact: a saga of its own, in memory.`
    : `${subjectOf(step)} it is not part of a saga, so nobody would undo it. ` +
      `Close the effect around it with Saga.transact.`

const refusal = (step: StepDefinition, frame: Frame): string => {
  const subject = subjectOf(step)
  const blocked = blockedBy(frame)!
  const saga = `saga "${blocked.run.options.name}"`
  const place = blocked.outer === undefined ? saga : `savepoint "${blocked.path}" of ${saga}`
  return blocked.status === "Unwinding"
    ? `${subject} ${place} is already being undone. ` +
      `A compensation that has steps of its own closes them with Saga.transact; a forked fiber has to be joined before.`
    : `${subject} ${place} is over, and nobody would undo it. ` +
      `A forked fiber has to be joined before that, or needs a Saga.transact of its own.`
}
