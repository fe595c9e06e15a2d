import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { observe } from "./observe.ts"
import { blockedBy, currentFrame, Entry, type Frame, type StepDefinition } from "./run.ts"

/**
 * Runs an action as a step of the saga in force.
 *
 * The action enters its uninterruptible region and is counted as in flight in one synchronous block, and it is put on
 * the stack in the block in which it ends: there is no instant at which it has taken effect and nobody knows.
 */
export const runStep = <A, E, R>(action: Effect.Effect<A, E, R>, step: StepDefinition): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const context = Fiber.getCurrent()!.context
    const frame = currentFrame(context)
    if (frame === undefined || blockedBy(frame) !== undefined) return Effect.die(new Error(refusal(step, frame)))

    const entry = new Entry(frame, step, context)
    const running = step.interruptible ? restore(action) : action
    frame.enter()
    return frame.run.observer === undefined
      ? Effect.onExitPrimitive(running, (exit) => {
        settle(entry, exit)
        frame.leave()
        return undefined
      })
      : runObserved(running, entry)
  })

/* The entry is on the stack before the observer hears of it, and in flight until the observer has. */
const runObserved = <A, E, R>(action: Effect.Effect<A, E, R>, entry: Entry): Effect.Effect<A, E, R> => {
  const run = entry.frame.run
  const started = entry.startedAt = run.clock.currentTimeMillisUnsafe()
  return Effect.andThen(
    observe(run, { _tag: "StepStarted", entry, at: started }),
    Effect.onExitPrimitive(action, (exit) => {
      const committed = settle(entry, exit)
      const heard = committed === undefined
        ? observe(run, entry)
        : Effect.andThen(observe(run, entry), observe(run, committed))
      return Effect.ensuring(heard, Effect.sync(() => entry.frame.leave()))
    })
  )
}

/* Puts an ended action on the stack. Returns what a pivot adds to that. */
const settle = (entry: Entry, exit: Exit.Exit<unknown, unknown>) => {
  const { frame, step } = entry
  const run = frame.run
  entry.exit = exit
  entry.endedAt = run.clock.currentTimeMillisUnsafe()
  if (
    step.compensate !== undefined && run.committedBy === undefined &&
    (exit._tag === "Success" || step.kind === "stepExit")
  ) entry.stack = "Pending"
  run.log.push(entry)
  if (step.kind !== "pivot" || exit._tag === "Failure" || run.committedBy !== undefined) return undefined
  run.committedBy = entry
  const committed = { _tag: "SagaCommitted", entry, at: entry.endedAt } as const
  run.log.push(committed)
  return committed
}

const refusal = (step: StepDefinition, frame: Frame | undefined): string => {
  const subject = `${step.kind === "pivot" ? "Pivot" : "Step"} "${step.name}" was not started, because`
  const blocked = frame === undefined ? undefined : blockedBy(frame)
  if (blocked === undefined) {
    return `${subject} it is not part of a saga, so nobody would undo it. Close the effect around it with Saga.transact.`
  }
  const saga = `saga "${blocked.run.options.name}"`
  const place = blocked.outer === undefined ? saga : `savepoint "${blocked.path}" of ${saga}`
  return blocked.status === "Unwinding"
    ? `${subject} ${place} is already being undone. ` +
      `A compensation that has steps of its own closes them with Saga.transact; a forked fiber has to be joined before.`
    : `${subject} ${place} is over, and nobody would undo it. ` +
      `A forked fiber has to be joined before that, or needs a Saga.transact of its own.`
}
