import type { JournalEvent } from "../JournalEvent.ts"
import { type DecisionKind, decisionOn } from "./decisions.ts"
import * as Progress from "./progress.ts"
import type { Action } from "./timelineModel.ts"

/* What an operator can do with an execution as it stands, and what that does. */

type Parked = Extract<JournalEvent, { readonly _tag: "Parked" }>

/** The decisions that are possible on one of the things that an execution is parked for. */
export const onParked = (progress: Progress.Progress, parked: Parked): ReadonlyArray<Action> => {
  // A path can be left out only where there is nothing to choose from.
  const needsPath = parked.path !== "" || progress.parked!.size > 1
  return decisions.flatMap(([action, kind]) => {
    const decision = decisionOn(progress, kind, { path: parked.path, by: {} }, parked.at)
    if (!("v" in decision)) return []
    return [{
      action,
      path: needsPath ? parked.path : null,
      needsValue: kind === "Resolved" && parked.kind === "FailedAfterPivot",
      effect: effectOf[parked.kind](kind, parked)
    }]
  })
}

/** What is possible whatever an execution is parked for. */
export const onExecution = (progress: Progress.Progress): ReadonlyArray<Action> =>
  // The engine refuses to cancel what is being undone, and to cancel twice changes nothing.
  progress.finished !== undefined || progress.cancelled || Progress.isBeingUndone(progress)
    ? []
    : [{ action: "cancel", path: null, needsValue: false, effect: effectOfCancel(progress) }]

const decisions = [
  ["retry", "Retried"],
  ["skip", "Skipped"],
  ["resolve", "Resolved"]
] as const satisfies ReadonlyArray<readonly [Action["action"], DecisionKind]>

const effectOf: Record<Parked["kind"], (kind: DecisionKind, parked: Parked) => string> = {
  CompensationFailed: (kind, { path }) => {
    switch (kind) {
      case "Retried":
        return `Runs the compensation of "${path}" again. Where it fails again, the execution is parked again.`
      case "Skipped":
        return `Gives up undoing "${path}": it stays as it is, and its compensation counts as failed. ` +
          `The others run.`
      case "Resolved":
        return `Says that "${path}" was undone by hand: it counts as compensated. The others run.`
    }
  },
  FailedAfterPivot: (kind, { path, steps }) => {
    switch (kind) {
      case "Retried":
        return steps.length === 0
          ? `Runs the code again. Steps that have ended are not repeated.`
          : `Runs ${named(steps)} again, and goes on from there. Steps that succeeded are not repeated.`
      case "Skipped":
        return `Ends the execution as it is. It counts as done, so nothing is undone.`
      case "Resolved":
        return `Says that "${path}" was done by hand, and goes on with the value that you give: ` +
          `the JSON of what the step succeeds with.`
    }
  },
  Mismatch: () => `Tries again with the code that is registered now.`,
  NotRegistered: () => `Looks for the definition again. Once it is registered, the execution goes on by itself.`
}

const effectOfCancel = (progress: Progress.Progress): string => {
  const parked = Array.from(progress.parked?.values() ?? [])
  if (parked.some(({ kind }) => kind === "FailedAfterPivot")) {
    return `Ends the execution as it is. It counts as done, so nothing is undone.`
  }
  const whenRun = parked.some(({ kind }) => kind === "Mismatch" || kind === "NotRegistered")
  const what = progress.committed
    ? `Ends the execution at its next step or wait. It counts as done, so nothing is undone.`
    : `Undoes what the execution has done, once what is in flight has ended.`
  return whenRun
    ? `${what} That happens when its code is registered.`
    : parked.length > 0
    ? `${what} That happens after the decision on what it is parked for.`
    : what
}

const named = (steps: ReadonlyArray<string>): string => {
  const names = steps.slice(0, 5).map((step) => `"${step}"`).join(", ")
  return steps.length > 5 ? `${names} and ${steps.length - 5} more` : names
}
