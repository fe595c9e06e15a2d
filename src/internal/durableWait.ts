import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { Codec } from "./codec.ts"
import type { Execution } from "./execution.ts"
import type { ResultOfChild } from "./host.ts"
import { causeLine } from "./render.ts"
import type { ResultEvent } from "./replay.ts"
import { blockedBy, currentFrame, type Frame } from "./run.ts"
import type { ChildCall } from "./runner.ts"
import { ambiguous, claim } from "./step.ts"
import { currentAction, executionOf } from "./stepAttempt.ts"

/*
 * What a durable saga does between its steps and has to find again after a crash: waits, and values that change.
 */

interface Place {
  readonly execution: Execution
  readonly frame: Frame
  readonly path: string
}

/*
 * Runs `live` where the saga asks for it the first time, and gives it what was recorded after that. Outside a durable
 * saga `inMemory` runs; where it is undefined, there is none.
 */
const between = <A>(
  what: { readonly kind: string; readonly name: string; readonly result: ResultEvent["_tag"] },
  inMemory: Effect.Effect<A> | undefined,
  live: (place: Place, interruptibly: <B>(self: Effect.Effect<B>) => Effect.Effect<B>) => Effect.Effect<A>,
  recorded: (event: ResultEvent, place: Place) => Effect.Effect<A>
): Effect.Effect<A> =>
  Effect.uninterruptibleMask((restore) => {
    const { context } = Fiber.getCurrent()!
    const frame = currentFrame(context)
    const execution = frame === undefined ? undefined : executionOf(frame)
    if (frame === undefined || execution === undefined) {
      if (currentAction(context) !== undefined) return Effect.die(new Error(inAction(what)))
      return inMemory === undefined ? Effect.die(new Error(outside(what))) : restore(inMemory)
    }
    if (isOver(frame)) return Effect.die(new Error(tooLate(what)))
    const path = claim(frame, what.name)
    if (path === undefined) return Effect.die(new Error(ambiguous(what.kind, what.name)))
    const place = { execution, frame, path }
    // A compensation can't be interrupted, but its engine can stop.
    const interruptibly = <B>(self: Effect.Effect<B>) =>
      restore(frame.compensating ? execution.unlessHalted(self) : self)

    const taken = execution.recovered?.take(path)
    if (taken !== undefined) {
      return ending(
        frame,
        what.name,
        Effect.flatMap(restore(taken), (event) =>
          event._tag === what.result ? execution.settling(recorded(event, place)) : execution.mismatch(
            `"${path}" was something else when the execution began (${event._tag} instead of ${what.result}).`
          ))
      )
    }
    const held = execution.recovered?.unfinished(path) !== undefined ? undefined : execution.holdWait(frame, path)
    return ending(
      frame,
      what.name,
      held === undefined ? live(place, interruptibly) : Effect.andThen(
        restore(held),
        Effect.suspend(() =>
          isOver(frame) ? Effect.die(new Error(tooLate(what))) : live(place, interruptibly)
        )
      )
    )
  })

const ending = <A>(frame: Frame, name: string, self: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.ensuring(self, Effect.sync(() => frame.busy!.delete(name)))

/* A forked fiber may come too late, a compensation may always wait. */
const isOver = (frame: Frame): boolean => !frame.compensating && blockedBy(frame) !== undefined

/** Waits until a time that is written down first. */
export const sleep = (millis: number, inMemory: Effect.Effect<void>, name: string): Effect.Effect<void> =>
  between(
    { kind: "timer", name, result: "TimerFired" },
    inMemory,
    ({ execution, frame, path }, interruptibly) => {
      const after = execution.givenIn(frame)
      const dueAt = execution.progress.timers?.get(path)
      const due = dueAt ?? execution.now + millis
      if (dueAt === undefined) execution.journal.note({ ...execution.journal.head("TimerStarted"), path, dueAt: due })
      return waiting(
        execution,
        path,
        interruptibly(execution.sleepUntil(due)),
        () => Effect.sync(() => execution.journal.note({ ...execution.journal.head("TimerFired"), path, after }))
      )
    },
    () => Effect.void
  )

/** Waits for a signal. */
export const awaitSignal = <A>(name: string, codec: Codec<A>): Effect.Effect<A> => {
  const misfit = (problem: Cause.Cause<unknown>, isInClear: boolean): string =>
    `"${name}" does not fit its schema: ${causeLine(problem, isInClear)}`
  const read = (
    execution: Execution,
    value: Json,
    otherwise: (why: string) => Effect.Effect<never>
  ): Effect.Effect<A> =>
    Effect.flatMap(execution.open(value, `Signal "${name}"`), (opened) => {
      const decoded = codec.decode(opened)
      return Exit.isSuccess(decoded)
        ? Effect.succeed(decoded.value)
        : otherwise(`Signal ${misfit(decoded.cause, execution.isInClear)}`)
    })
  return between<A>(
    { kind: "wait for signal", name, result: "SignalConsumed" },
    undefined,
    ({ execution, frame, path }, interruptibly) => {
      const after = execution.givenIn(frame)
      const consume = (): Effect.Effect<A> => {
        const signal = execution.incoming.nextSignal(name)
        if (signal === undefined) return wait()
        const { sequence, value } = signal
        // Read first, so that nothing comes between what the journal and the saga are told.
        return Effect.flatMap(Effect.exit(read(execution, value, (why) => Effect.die(new Error(why)))), (given) => {
          if (execution.incoming.nextSignal(name)?.sequence !== sequence) return consume()
          if (execution.isOver) return Effect.interrupt
          execution.journal.note({
            ...execution.journal.head("SignalConsumed"),
            path,
            after,
            name,
            signal: sequence,
            value
          })
          return given
        })
      }
      const wait = (): Effect.Effect<A> =>
        waiting(
          execution,
          path,
          interruptibly(execution.incoming.awaitSignal(name, (value) => {
            // What is sealed is looked at when it is taken.
            if (!execution.isInClear) return undefined
            const decoded = codec.decode(value)
            return Exit.isSuccess(decoded) ? undefined : `signal ${misfit(decoded.cause, true)}`
          })),
          consume
        )
      if (execution.incoming.nextSignal(name) !== undefined || execution.progress.waits?.has(path) === true) {
        return consume()
      }
      execution.journal.note({ ...execution.journal.head("SignalAwaited"), path, name })
      return wait()
    },
    (event, { execution }) =>
      read(
        execution,
        (event as Extract<ResultEvent, { _tag: "SignalConsumed" }>).value,
        (why) => execution.mismatch(`${why}.`)
      )
  )
}

/** Gives the saga a value that would be another one after a crash. */
export const value = <A extends Json>(name: string, make: Effect.Effect<A>): Effect.Effect<A> =>
  between<A>(
    { kind: "value", name, result: "ValueRecorded" },
    make,
    ({ execution, frame, path }) => {
      const after = execution.givenIn(frame)
      return Effect.map(make, (value) => {
        execution.journal.note({ ...execution.journal.head("ValueRecorded"), path, after, value })
        return value
      })
    },
    // It was written by the same function.
    (event) => Effect.succeed((event as Extract<ResultEvent, { _tag: "ValueRecorded" }>).value as A)
  )

/** Runs a child, from where a saga waits for it; undefined outside a durable saga. */
export const child = (call: ChildCall): Effect.Effect<ResultOfChild> =>
  between<ResultOfChild>(
    { kind: "child", name: call.definition, result: "ChildFinished" },
    undefined,
    ({ execution, frame, path }, interruptibly) => {
      const before = execution.recovered?.unfinished(path)
      const after = before?.after ?? execution.givenIn(frame)
      const started = before !== undefined
        ? Effect.andThen(Effect.sync(() => execution.recovered!.askUnfinished(path)), execution.awaitReplay(path))
        : execution.journal.append({ ...execution.journal.head("ChildStarted"), path, after, child: call.id })
      // What ends the wait ends the child, too, before anything around it is undone.
      const wait = Effect.onError(
        // A saga that was cancelled is not told that its child was: it may have ended so before a crash.
        interruptibly(Effect.suspend(() =>
          Effect.andThen(execution.hold(frame, path) ?? Effect.void, execution.host.runChild(call, execution))
        )),
        () =>
          execution.halted ? Effect.void : Effect.ignoreCause(execution.host.cancelChild(call.id, execution))
      )
      return Effect.andThen(
        started,
        waiting(execution, path, wait, (ended) =>
          Effect.map(openResult(execution, call, ended), (opened) => {
            execution.journal.note({
              ...execution.journal.head("ChildFinished"),
              path,
              after,
              child: call.id,
              ...ended
            })
            return opened
          }))
      )
    },
    (event, { execution }) => {
      const { cancelled, result, status } = event as Extract<JournalEvent, { _tag: "ChildFinished" }>
      return openResult(execution, call, { cancelled, result, status })
    }
  )

const openResult = (execution: Execution, call: ChildCall, ended: ResultOfChild): Effect.Effect<ResultOfChild> =>
  Effect.map(execution.open(ended.result, `The result of child "${call.id}"`), (result) => ({ ...ended, result }))

/*
 * Goes on with `then` when the wait is over. Where it is interrupted, nobody waits any more, and the journal says so. With
 * the execution all waits are over, which a forked fiber may find out late.
 */
const waiting = <A, B>(
  execution: Execution,
  path: string,
  wait: Effect.Effect<A>,
  then: (value: A) => Effect.Effect<B>
): Effect.Effect<B> =>
  Effect.matchCauseEffect(wait, {
    onSuccess: (value) => execution.isOver ? Effect.interrupt : then(value),
    onFailure: (cause) => {
      if (!execution.isOver) execution.journal.note({ ...execution.journal.head("WaitInterrupted"), path })
      return Effect.failCause(cause)
    }
  })

const nameOf = ({ kind, name }: { readonly kind: string; readonly name: string }): string => `${kind} "${name}"`

const inAction = (what: { readonly kind: string; readonly name: string }): string =>
  `The ${nameOf(what)} is in the action of a step, which runs again as a whole after a crash. Put it between two steps.`

const outside = (what: { readonly kind: string; readonly name: string }): string =>
  `The ${nameOf(what)} is not in a durable saga, so nobody keeps it. It needs a DurableSaga around it.`

const tooLate = (what: { readonly kind: string; readonly name: string }): string =>
  `The ${nameOf(what)} was not started, because its saga is over or being undone.`
