import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type * as SagaEvent from "../SagaEvent.ts"
import { guarded } from "./guard.ts"
import type { Entry, Item, Run } from "./run.ts"

/*
 * From the items in the log of a saga to its events. Items are small and cheap to write on the way forward; events, with
 * all their fields, are made when an observer listens or a report is asked for.
 */

/** The events of a saga and of the sagas nested in it, oldest first. */
export const toEvents = (run: Run): ReadonlyArray<SagaEvent.SagaEvent> => {
  const items = run.parent === undefined ? run.log : run.log.filter((item) => isWithin(runOf(item), run))
  nameSteps(run.log)
  return items.map(toEvent)
}

const isWithin = (run: Run, around: Run): boolean => {
  for (let current: Run | undefined = run; current !== undefined; current = current.parent) {
    if (current === around) return true
  }
  return false
}

const runOf = (item: Item): Run => "run" in item ? item.run : "frame" in item ? item.frame.run : item.entry.frame.run

/* Steps are numbered in the order in which they started, the log holds them in the order in which they ended. */
const nameSteps = (log: ReadonlyArray<Item>): void => {
  log
    .filter((item): item is Entry => item._tag === "Step" && item.path === undefined)
    .toSorted((one, other) => one.started - other.started)
    .forEach(pathOf)
}

/** The path of a step. Has to be asked for in the order in which the steps started. */
export const pathOf = (entry: Entry): string => entry.path ??= entry.frame.claimStep(entry.step.name)

const attemptOf = (entry: Entry): number => Context.get(entry.context, Schedule.CurrentMetadata).attempt + 1

/** Whether the action may have taken effect although it failed. */
const mayHaveTakenEffect = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) =>
    reason._tag === "Interrupt" ||
    (reason._tag === "Fail" && guarded(() => Cause.isTimeoutError(reason.error)) === true)
  )

export const toEvent = (item: Item): SagaEvent.SagaEvent => {
  switch (item._tag) {
    case "Step": {
      const exit = item.exit!
      const base = { ...stepBase(item, item.endedAt), compensable: item.stack !== "None", startedAt: item.startedAt }
      return Exit.isSuccess(exit)
        ? { _tag: "StepSucceeded", ...base, value: exit.value }
        : {
          _tag: "StepFailed",
          ...base,
          outcome: mayHaveTakenEffect(exit.cause) ? "Unknown" : "Failed",
          cause: exit.cause
        }
    }
    case "SagaStarted":
      return { _tag: item._tag, ...base(item.run, item.at), path: item.frame.path }
    case "SagaCommitted":
      return { _tag: item._tag, ...base(item.entry.frame.run, item.at), pivot: pathOf(item.entry) }
    case "UnwindStarted":
      return {
        _tag: item._tag,
        ...base(item.frame.run, item.at),
        scope: item.frame.path,
        cause: item.cause,
        pending: item.pending.map(pathOf)
      }
    case "UnwindDeclined":
      return {
        _tag: item._tag,
        ...base(item.run, item.at),
        cause: item.cause,
        remaining: item.remaining.map(pathOf)
      }
    case "StepStarted":
    case "CompensationStarted":
    case "CompensationSucceeded":
      return { _tag: item._tag, ...stepBase(item.entry, item.at) }
    case "CompensationFailed":
      return {
        _tag: item._tag,
        ...stepBase(item.entry, item.at),
        value: item.entry.given,
        cause: item.cause,
        reason: item.unwinding.cause,
        // As of now: the observer hears of it before the next compensation starts.
        remaining: item.unwinding.remaining.map(pathOf)
      }
    case "UnwindFinished":
      return {
        _tag: item._tag,
        ...base(item.frame.run, item.at),
        scope: item.frame.path,
        remaining: item.remaining.map(pathOf)
      }
    case "SagaCompleted":
      return { _tag: item._tag, ...base(item.run, item.at) }
    case "SagaCompensated":
    case "SagaFailed":
      return { _tag: item._tag, ...base(item.run, item.at), cause: item.cause }
  }
}

const base = (run: Run, at: number) => ({ saga: run.options.name, run: run.id, root: run.root.id, at })

const stepBase = (entry: Entry, at: number) => ({
  ...base(entry.frame.run, at),
  step: entry.step.name,
  path: pathOf(entry),
  attempt: entry.tries ?? attemptOf(entry)
})
