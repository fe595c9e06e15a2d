import { causeLines } from "./timelineFailure.ts"
import type * as Model from "./timelineModel.ts"
import {
  attemptLines,
  type Context,
  detail,
  due,
  failed,
  indent,
  isHeldUp,
  more,
  type Row,
  rowOf,
  running,
  select,
  table,
  undone,
  undoneByHand,
  waiting,
  wasInFlight
} from "./timelineRows.ts"
import { cut, cutMiddle, emptyLine, type Line, line, type Style } from "./timelineText.ts"

/* What was undone in the order in which that ran, and what is left to undo. */

const maxUnwinds = 20

export const undoingSection = (context: Context): ReadonlyArray<Line> => {
  const { entries, execution: { cancelled } } = context.timeline
  const of = new Map<string, Model.Step>()
  for (const entry of entries) if (entry._tag === "Step") of.set(entry.path, entry)
  const unwinds = entries.filter((entry): entry is Model.Unwind => entry._tag === "Unwind")
  // A savepoint may be repeated any number of times.
  const hidden = Math.max(0, unwinds.length - maxUnwinds)
  return [
    ...(hidden === 0 ? [] : [emptyLine, line(["dim", `... ${hidden} unwinds before these are not shown`])]),
    ...unwinds.slice(hidden).flatMap((unwind) => [
      emptyLine,
      line(["bold", `Undoing ${unwind.scope === "" ? "the saga" : `"${cut(unwind.scope, 200)}"`}`]),
      ...(isInterruption(unwind.cause)
        ? [line(["dim", `  It was ${cancelled ? "cancelled" : "interrupted"}.`])]
        : causeLines(unwind.cause, "  ", context.width)),
      ...unwindRows(unwind, of, context)
    ]),
    ...leftSection(of, context)
  ]
}

const unwindRows = (
  unwind: Model.Unwind,
  of: ReadonlyMap<string, Model.Step>,
  context: Context
): ReadonlyArray<Line> => {
  const begun = unwind.steps.flatMap((path) => {
    const compensation = of.get(path)?.compensation
    return compensation == null || (compensation.attempts.length === 0 && compensation.endedAt === null)
      ? []
      : [{ _tag: "Compensation", state: compensation.state, path, compensation }]
  })
  const { chosen, left } = select(begun)
  const rows = chosen.flatMap(({ compensation, path }): ReadonlyArray<Row> => [
    compensationRow(path, compensation, context),
    ...context.timeline.entries.flatMap((entry): ReadonlyArray<Row> => {
      if (!("compensationOf" in entry) || entry.compensationOf !== path || entry._tag === "Unwind") return []
      const row = rowOf(entry, context)
      return [{ ...row, name: `  ${entry.path.slice(path.length + 1)}` }]
    })
  ])
  return [...table(rows, context), ...more(left, context)]
}

const compensationRow = (path: string, compensation: Model.Compensation, context: Context): Row => {
  const { now, width } = context
  const { attempts, cause, endedAt, retryAt, startedAt } = compensation
  const state = stateAt(compensation, now)
  // What is parked does not run.
  const until = endedAt ?? (state === "Parked" ? attempts.at(-1)?.endedAt ?? now : now)
  const millis = startedAt === null ? null : until - startedAt
  const words = state === "InFlight" && isHeldUp(context.timeline) ? wasInFlight : compensationWords[state]
  return {
    ...compensationStyle[state],
    at: startedAt ?? endedAt ?? attempts[0]?.endedAt ?? null,
    name: path,
    millis,
    words: `${words}${attempts.length > 1 ? `, ${attempts.length} attempts` : ""}`,
    below: [
      ...attemptLines(attempts, context),
      ...(state === "WaitingForRetry" && retryAt !== null ? [detail("retry", due(retryAt, now))] : []),
      ...(cause === null ? [] : causeLines(cause, indent, width))
    ]
  }
}

/* When an attempt starts is not in the journal. */
const stateAt = ({ retryAt, state }: Model.Compensation, now: number): Model.CompensationState =>
  state === "WaitingForRetry" && retryAt !== null && retryAt <= now ? "InFlight" : state

const compensationWords: Record<Model.CompensationState, string> = {
  Pending: "waits for its turn",
  InFlight: "in flight",
  WaitingForRetry: "waits for its next attempt",
  Parked: "PARKED",
  Succeeded: "compensated",
  Failed: "COMPENSATION FAILED",
  GivenUp: "GIVEN UP",
  Resolved: undoneByHand,
  Remaining: "NOT UNDONE"
}

const compensationStyle: Record<Model.CompensationState, { readonly mark: string; readonly style: Style }> = {
  Pending: waiting,
  InFlight: running,
  WaitingForRetry: waiting,
  Parked: { mark: "!", style: "red" },
  Succeeded: undone,
  Failed: failed,
  GivenUp: failed,
  Resolved: undone,
  Remaining: failed
}

const leftSection = (
  of: ReadonlyMap<string, Model.Step>,
  { now, timeline: { remaining }, width }: Context
): ReadonlyArray<Line> => {
  const stateOf = ({ path, state }: Model.Remaining): Model.CompensationState => {
    const compensation = of.get(path)?.compensation
    return compensation == null ? state : stateAt(compensation, now)
  }
  const will = remaining.filter(({ state }) => !isLost(state))
  const not = remaining.filter(({ state }) => isLost(state))
  return [
    ...leftList("Left to undo, in this order", will, true, width, stateOf),
    ...leftList("Not undone, and nobody will try again", not, false, width, stateOf)
  ]
}

export const isLost = (state: Model.CompensationState): boolean =>
  state === "Failed" || state === "GivenUp" || state === "Remaining"

const maxLeft = 50

const leftList = (
  title: string,
  left: ReadonlyArray<Model.Remaining>,
  numbered: boolean,
  width: number,
  stateOf: (one: Model.Remaining) => Model.CompensationState
): ReadonlyArray<Line> => {
  if (left.length === 0) return []
  const digits = String(Math.min(left.length, maxLeft)).length
  return [
    emptyLine,
    line(["bold", title]),
    ...left.slice(0, maxLeft).map((one, index) => {
      const state = stateOf(one)
      const place = numbered ? `  ${String(index + 1).padStart(digits)}  ` : "  ✗  "
      const words = state === "Pending" ? "" : `  ${compensationWords[state]}`
      return line(
        ["dim", place],
        ["plain", cutMiddle(one.path, width - place.length - words.length)],
        [compensationStyle[state].style, words]
      )
    }),
    ...(left.length > maxLeft ? [line(["dim", `  ... and ${left.length - maxLeft} more`])] : [])
  ]
}

export const isInterruption = (cause: Model.Cause): boolean =>
  cause._tag === "Failures" && cause.failures.length > 0 && cause.failures.every(({ kind }) => kind === "Interrupt")
