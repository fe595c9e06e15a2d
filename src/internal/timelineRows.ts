import { lengthOf } from "./columns.ts"
import { causeLines, causeSummary, storedText } from "./timelineFailure.ts"
import type * as Model from "./timelineModel.ts"
import {
  commandLine,
  cut,
  cutMiddle,
  duration,
  instant,
  type Line,
  line,
  type Style,
  wholeLine
} from "./timelineText.ts"

/* One row for each thing that happened, in a table: when, where, how long it took, and what became of it. */

export interface Context {
  readonly timeline: Model.SagaTimeline
  readonly now: number
  readonly width: number
  /** What commands begin with. */
  readonly program: string
}

export interface Row {
  readonly mark: string
  readonly style: Style
  readonly at: number | null
  readonly name: string
  readonly millis: number | null
  readonly words: string
  readonly below: ReadonlyArray<Line>
}

export type Placed = Exclude<
  Model.Entry,
  Model.Unwind | Model.CancelRequest | Model.Parking | Model.Decision | Model.Resumption
>

const maxRows = 200
const maxAttempts = 6
export const indent = "      "

/* What went wrong or goes on is always shown; of the rest the first and the last where there is too much. */
export const select = <E extends { readonly _tag: string }>(
  entries: ReadonlyArray<E>
): { readonly chosen: ReadonlyArray<E>; readonly left: number } => {
  if (entries.length <= maxRows) return { chosen: entries, left: 0 }
  const troubles = new Set(entries.filter(isTrouble).slice(0, maxRows / 2))
  const chosen = entries.filter((entry, index) =>
    index < maxRows / 4 || index >= entries.length - maxRows / 4 || troubles.has(entry)
  )
  return { chosen, left: entries.length - chosen.length }
}

const isTrouble = (entry: { readonly _tag: string; readonly state?: string }): boolean =>
  entry.state !== undefined && !quiet.has(entry.state)

const quiet = new Set(["Succeeded", "Committed", "NoCompensation", "Compensated", "Fired", "Consumed", "Completed"])

export const more = (count: number, { program, timeline }: Context): ReadonlyArray<Line> =>
  count === 0
    ? []
    : [
      wholeLine([
        "dim",
        `  ... and ${count} more between these: see ${commandLine(program, "history", timeline.execution.id)}`
      ])
    ]

export const rowOf = (entry: Placed, context: Context): Row => {
  const { now, width } = context
  switch (entry._tag) {
    case "Step":
      return stepRow(entry, context)
    case "Timer":
      return {
        ...waitStyle(entry.state),
        at: entry.at,
        name: entry.path,
        millis: (entry.endedAt ?? now) - entry.at,
        words: entry.state === "Fired" ? "fired" : entry.state === "Waiting" ? "waits for its time" : "interrupted",
        below: entry.state === "Fired"
          ? []
          : [detail("due", entry.state === "Waiting" ? due(entry.dueAt, now) : instant(entry.dueAt))]
      }
    case "SignalWait": {
      const signal = `signal "${entry.signal}"`
      return {
        ...waitStyle(entry.state),
        at: entry.at,
        name: entry.path,
        millis: (entry.endedAt ?? now) - entry.at,
        words: entry.state === "Consumed"
          ? `was given ${signal}`
          : entry.state === "Waiting"
          ? `waits for ${signal}`
          : "interrupted",
        below: entry.received === null ? [] : received(entry.received, context)
      }
    }
    case "Signal":
      return {
        mark: "·",
        style: "yellow",
        at: entry.at,
        name: entry.signal,
        millis: null,
        words: "signal, for which nobody has waited",
        below: stored("value", entry.value, width)
      }
    case "Value":
      return {
        mark: "·",
        style: "dim",
        at: entry.at,
        name: entry.path,
        millis: null,
        words: "recorded",
        below: stored("value", entry.value, width)
      }
    case "Child":
      return {
        ...childStyle(entry.state),
        at: entry.at,
        name: entry.path,
        millis: (entry.endedAt ?? now) - entry.at,
        words: `child ${childWords[entry.state]}${entry.cancelled ? ", cancelled" : ""}${
          entry.state === "Completed" && isUndone(entry, context) ? ", and what it has done stays" : ""
        }`,
        below: [detail("id", entry.child), ...resultLines(entry.result, width)]
      }
    case "Commit":
      return {
        mark: "◆",
        style: "bold",
        at: entry.at,
        name: entry.path,
        millis: null,
        words: "pivot: from here on nothing is undone",
        below: []
      }
  }
}

/* Where nothing but children was there to undo, no entry says so. */
const isUndone = ({ path, sequence }: Model.Child, { timeline }: Context): boolean =>
  timeline.execution.status === "Compensated" ||
  timeline.entries.some((entry) =>
    entry._tag === "Unwind" && entry.compensationOf === null && entry.sequence > sequence &&
    (entry.scope === "" || path.startsWith(`${entry.scope}/`))
  )

const received = (sequence: number, { timeline, width }: Context): ReadonlyArray<Line> => {
  const signal = timeline.entries.find((entry) => entry.sequence === sequence && entry._tag === "Signal")
  return signal?._tag === "Signal" ? stored("value", signal.value, width) : []
}

const waitStyle = (state: string): { readonly mark: string; readonly style: Style } =>
  state === "Waiting" ? waiting : state === "Interrupted" ? { mark: "✗", style: "yellow" } : done

const childStyle = (state: Model.Child["state"]): { readonly mark: string; readonly style: Style } =>
  state === "Running"
    ? running
    : state === "Completed"
    ? done
    : { mark: "✗", style: state === "Failed" ? "red" : "yellow" }

const childWords: Record<Model.Child["state"], string> = {
  Running: "is running",
  Completed: "completed",
  Compensated: "failed and was undone",
  Failed: "failed",
  Interrupted: "is not waited for any more"
}

const resultLines = (result: Model.Result | null, width: number): ReadonlyArray<Line> =>
  result === null
    ? []
    : result._tag === "Succeeded"
    ? stored("result", result.value, width)
    : causeLines(result.cause, indent, width)

const stepRow = (step: Model.Step, context: Context): Row => {
  const { now, width } = context
  const { attempts, cause, endedAt, retryAt, startedAt, state } = step
  const first = attempts[0]?.startedAt ?? startedAt
  const restarted = first - startedAt >= 1000
  return {
    ...(isUndoneByHand(step) ? undone : stepStyle[state]),
    at: startedAt,
    name: step.path,
    millis: (endedAt ?? now) - startedAt,
    words: `${wordsOf(step, context)}${attempts.length > 1 ? `, ${attempts.length} attempts` : ""}`,
    below: [
      ...(restarted ? [detail("again", `${instant(first)}: it may have started before, and run twice`)] : []),
      ...attemptLines(attempts, context),
      ...(state === "WaitingForRetry" && retryAt !== null ? [detail("retry", due(retryAt, now))] : []),
      ...stored("input", step.input, width),
      ...stored("value", step.value, width),
      ...(cause === null ? [] : causeLines(cause, indent, width))
    ]
  }
}

const done: { readonly mark: string; readonly style: Style } = { mark: "✓", style: "green" }
export const running: { readonly mark: string; readonly style: Style } = { mark: "▸", style: "cyan" }
export const waiting: { readonly mark: string; readonly style: Style } = { mark: "…", style: "yellow" }
export const failed: { readonly mark: string; readonly style: Style } = { mark: "✗", style: "red" }
export const undone: { readonly mark: string; readonly style: Style } = { mark: "↶", style: "yellow" }

const stepStyle: Record<Model.StepState, { readonly mark: string; readonly style: Style }> = {
  Succeeded: done,
  Failed: failed,
  Unknown: { mark: "?", style: "red" },
  Compensated: undone,
  CompensationFailed: failed,
  Remaining: failed,
  Committed: done,
  NoCompensation: done,
  InFlight: running,
  WaitingForRetry: waiting,
  Compensating: undone,
  GivenUp: failed,
  Resolved: { mark: "✓", style: "yellow" }
}

const stepWords: Record<Model.StepState, string> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Unknown: "OUTCOME UNKNOWN",
  Compensated: "compensated",
  CompensationFailed: "COMPENSATION FAILED",
  Remaining: "NOT UNDONE",
  Committed: "committed",
  NoCompensation: "succeeded, nothing to undo",
  InFlight: "in flight",
  WaitingForRetry: "waits for its next attempt",
  Compensating: "is being undone",
  GivenUp: "GIVEN UP",
  Resolved: "done by hand"
}

const wordsOf = (step: Model.Step, { timeline }: Context): string =>
  isUndoneByHand(step)
    ? undoneByHand
    : step.state === "InFlight" && isHeldUp(timeline)
    ? wasInFlight
    : stepWords[step.state]

const isUndoneByHand = ({ compensation, state }: Model.Step): boolean => state === "Resolved" && compensation !== null

/* Nobody runs what is parked for its code. */
export const isHeldUp = ({ parked }: Model.SagaTimeline): boolean =>
  parked.some(({ kind }) => kind === "Mismatch" || kind === "NotRegistered")

export const wasInFlight = "was in flight, runs again"

export const undoneByHand = "undone by hand"

export const attemptLines = (attempts: ReadonlyArray<Model.Attempt>, context: Context): ReadonlyArray<Line> => {
  if (attempts.length < 2 && attempts[0]?.retryAt == null) return []
  // A line that says that one is left out takes as much room.
  const isLong = attempts.length > maxAttempts + 1
  const first = isLong ? 2 : attempts.length
  const last = isLong ? attempts.slice(first - maxAttempts) : []
  const hidden = attempts.length - last.length - first
  const history = commandLine(context.program, "history", context.timeline.execution.id)
  return [
    ...attempts.slice(0, first).map((attempt) => attemptLine(attempt, context)),
    ...(hidden > 0 ? [wholeLine(["dim", `${indent}... ${hidden} more attempts: see ${history}`])] : []),
    ...last.map((attempt) => attemptLine(attempt, context))
  ]
}

const attemptLine = ({ cause, durationMillis, endedAt, number, startedAt }: Model.Attempt, { now }: Context): Line => {
  const millis = durationMillis ?? (startedAt === null || endedAt !== null ? null : now - startedAt)
  return line(
    ["dim", `${indent}attempt ${number}  ${instant(startedAt ?? endedAt ?? now)}  ${elapsed(millis)}  `],
    cause === null ? ["plain", endedAt === null ? "in flight" : "succeeded"] : ["red", causeSummary(cause)]
  )
}

/* ------------------------------------------------------------------------------------------------- the table */

const timeWidth = 24

export const table = (rows: ReadonlyArray<Row>, { width }: Context): ReadonlyArray<Line> => {
  const widest = rows.reduce((widest, { name }) => Math.max(widest, lengthOf(cut(name, 100))), 0)
  const column = Math.min(widest, Math.max(10, width - timeWidth - 40))
  return rows.flatMap(({ at, below, mark, millis, name, style, words }) => {
    const shown = cutMiddle(name, column)
    return [
      line(
        [style, `  ${mark} `],
        ["dim", (at === null ? "" : instant(at)).padEnd(timeWidth)],
        ["plain", `  ${shown}${" ".repeat(column - lengthOf(shown))}`],
        ["dim", `  ${elapsed(millis)}  `],
        [style, words]
      ),
      ...below
    ]
  })
}

const elapsed = (millis: number | null): string => (millis === null ? "" : duration(Math.max(0, millis))).padStart(7)

export const detail = (label: string, text: string): Line =>
  line(["dim", `${indent}${label.padEnd(6)} `], ["plain", text])

const stored = (label: string, value: Model.Stored | null, width: number): ReadonlyArray<Line> => {
  const text = storedText(value, width)
  return text === undefined ? [] : [line(["dim", `${indent}${label.padEnd(6)} ${text}`])]
}

/** When something that has not come is due, and how long that is from now. */
export const due = (at: number, now: number): string =>
  at >= now ? `${instant(at)}, in ${duration(at - now)}` : `${instant(at)}, overdue by ${duration(now - at)}`
