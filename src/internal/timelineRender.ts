import { causeSummary, storedText } from "./timelineFailure.ts"
import { forwardSection } from "./timelineForward.ts"
import type * as Model from "./timelineModel.ts"
import { type Context, due } from "./timelineRows.ts"
import {
  commandLine,
  cut,
  duration,
  emptyLine,
  instant,
  type Line,
  line,
  minWidth,
  paint,
  shellWord,
  type Span,
  type Style,
  wholeLine,
  wrap
} from "./timelineText.ts"
import { isInterruption, isLost, undoingSection } from "./timelineUndoing.ts"

/* A timeline for people: what became of it, what happened, what was undone, who decided, and what can be done. */

export interface Options {
  readonly now: number
  readonly width: number
  readonly colors: boolean
  readonly program: string
}

const maxName = 200
const maxParked = 20
const maxChildren = 5

export const render = (timeline: Model.SagaTimeline, { colors, now, program, width }: Options): string => {
  const context: Context = { timeline, now, program, width: Math.max(minWidth, width) }
  return [
    ...head(context),
    emptyLine,
    ...forwardSection(context),
    ...undoingSection(context),
    ...decisionSection(context),
    ...actionSection(context)
  ].map((line) => paint(line, context.width, colors)).join("\n")
}

/* ------------------------------------------------------------------------------------------------- the head */

const head = (context: Context): ReadonlyArray<Line> => {
  const { now, timeline, width } = context
  const { execution, parked, payload } = timeline
  const { definition, endedAt, id, parent, since, startedAt, version } = execution
  return [
    ...wrap(headline(timeline, `Execution "${cut(id, maxName)}"`), width, 4).map((text) =>
      line([statusStyle[execution.status], text])
    ),
    emptyLine,
    ...parked.slice(0, maxParked).flatMap(({ reason }) => wrapped("why", reason, width)),
    ...(endedAt === null
      ? [
        fact("since", `${instant(since)}, for ${duration(Math.max(0, now - since))}`),
        fact("started", ago(startedAt, now))
      ]
      : [
        fact("ended", `${ago(endedAt, now)}, after ${duration(Math.max(0, endedAt - startedAt))}`),
        fact("started", instant(startedAt))
      ]),
    fact("definition", `${definition}, version ${version}`),
    ...(parent === null ? [] : [wholeLine(...factSpans("parent", parent))]),
    ...waitsFor(context).map((text) => fact("waits for", text)),
    fact("payload", payload._tag === "Redacted" ? "left out" : storedText(payload, width) ?? "null"),
    ...resultFacts(timeline, width)
  ]
}

export const statusStyle: Record<Model.SagaTimeline["execution"]["status"], Style> = {
  Running: "bold",
  Waiting: "bold",
  Compensating: "yellow",
  Parked: "red",
  Completed: "green",
  Compensated: "yellow",
  Failed: "red"
}

/** What became of it, in the words of `SagaReport`. The sentence is about `name`. */
export const headline = (timeline: Model.SagaTimeline, name: string): string => {
  const { execution: { cancelled, status }, parked, pivot, remaining } = timeline
  const left = remaining.filter(({ state }) => isLost(state))
  switch (status) {
    case "Running":
    case "Waiting":
      return `${name} ${status === "Running" ? "is running" : "waits"}${cancelled ? ", and is to be cancelled" : ""}.` +
        (left.length === 0 ? "" : " A part of it could not be undone completely.")
    case "Compensating":
      return `${name} ${cancelled ? "was cancelled" : "failed"} and is being undone.`
    case "Parked":
      return parked.every(({ kind }) => kind === "Mismatch" || kind === "NotRegistered")
        ? `${name} is parked until the code that it began with is there.`
        : `${name} is parked until an operator decides.`
    case "Completed":
      return `${name} completed${left.length === 0 ? "" : ", but a part of it could not be undone completely"}.`
    case "Compensated": {
      const unknown = unknownSteps(timeline)
      const undone = `${name} ${cancelled ? "was cancelled and" : "failed and was"} undone`
      return unknown.length === 0 ? `${undone}.` : `${undone}, but nobody knows whether ${named(unknown)} took effect.`
    }
    case "Failed": {
      const after = cancelled ? "was cancelled" : "failed"
      return pivot !== null
        ? `${name} ${after} after its pivot "${cut(pivot, maxName)}": it counts as done and was not undone.`
        : `${name} ${after} and could not be undone completely.`
    }
  }
}

const unknownSteps = ({ entries }: Model.SagaTimeline): ReadonlyArray<string> =>
  entries.flatMap((entry) => entry._tag === "Step" && entry.outcome === "Unknown" ? [entry.path] : [])

const named = (paths: ReadonlyArray<string>): string => {
  const names = paths.slice(0, 5).map((path) => `"${cut(path, maxName)}"`).join(", ")
  return paths.length > 5 ? `${names} and ${paths.length - 5} more` : names
}

const waitsFor = ({ now, timeline }: Context): ReadonlyArray<string> => {
  if (timeline.execution.endedAt !== null) return []
  const waits = timeline.entries.flatMap((entry): ReadonlyArray<string> => {
    switch (entry._tag) {
      case "Timer":
        return entry.state === "Waiting" ? [`its time, ${due(entry.dueAt, now)}`] : []
      case "SignalWait":
        return entry.state === "Waiting" ? [`signal "${entry.signal}"`] : []
      case "Child":
        return entry.state === "Running" ? [`child ${entry.child}`] : []
      case "Step":
        return entry.retryAt === null ? [] : [`the next attempt of "${entry.path}", ${due(entry.retryAt, now)}`]
      default:
        return []
    }
  })
  return waits.length > 10 ? [...waits.slice(0, 10), `... and ${waits.length - 10} more`] : waits
}

const resultFacts = ({ execution, result }: Model.SagaTimeline, width: number): ReadonlyArray<Line> => {
  switch (result?._tag) {
    case undefined:
      return []
    case "Succeeded":
      return [fact("result", result.value._tag === "Redacted" ? "left out" : storedText(result.value, width) ?? "null")]
    case "Failed":
      // The headline says that it was cancelled.
      return execution.cancelled && isInterruption(result.cause)
        ? []
        : wrapped("because", causeSummary(result.cause), width)
  }
}

const ago = (at: number, now: number): string => `${instant(at)}, ${duration(Math.max(0, now - at))} ago`

const labelWidth = 14

const fact = (label: string, text: string): Line => line(...factSpans(label, text))

const factSpans = (label: string, text: string): ReadonlyArray<Span> => [
  ["dim", `  ${label}`.padEnd(labelWidth)],
  ["plain", text]
]

const wrapped = (label: string, text: string, width: number): ReadonlyArray<Line> =>
  hanging([["dim", `  ${label}`.padEnd(labelWidth)]], text, width, 8)

/* What is said first, and then a text that goes on below itself. */
const hanging = (
  first: ReadonlyArray<Span>,
  text: string,
  width: number,
  maxLines: number
): ReadonlyArray<Line> => {
  const indent = first.reduce((sum, [, text]) => sum + text.length, 0)
  return wrap(text, width - indent, maxLines).map((part, index) =>
    index === 0 ? line(...first, ["plain", part]) : line(["plain", `${" ".repeat(indent)}${part}`])
  )
}

/* ------------------------------------------------------------------------------------------------- decisions */

const maxDecisions = 100

const decisionSection = (context: Context): ReadonlyArray<Line> => {
  const told = context.timeline.entries.flatMap((entry): ReadonlyArray<readonly [string, Style, number, string]> => {
    switch (entry._tag) {
      case "Parking": {
        const millis = (entry.endedAt ?? context.now) - entry.at
        return [["!", "red", entry.at, `parked, for ${duration(Math.max(0, millis))}: ${entry.reason}`]]
      }
      case "Decision": {
        const what = entry.path === "" ? "" : ` "${cut(entry.path, maxName)}"`
        const value = storedText(entry.value, 200)
        const text = `${decisionWords[entry.decision]}${what}${value === undefined ? "" : ` with ${value}`}${by(entry)}`
        return [["→", "bold", entry.at, text]]
      }
      case "CancelRequest":
        return [["→", "bold", entry.at, `cancelled${by(entry)}`]]
      case "Resumption":
        return [["→", "plain", entry.at, "went on, as its code fits"]]
      default:
        return []
    }
  })
  if (told.length === 0) return []
  const hidden = Math.max(0, told.length - maxDecisions)
  return [
    emptyLine,
    line(["bold", "Parked, and decided"]),
    ...(hidden === 0 ? [] : [line(["dim", `  ... ${hidden} more before these`])]),
    ...told.slice(hidden).flatMap(([mark, style, at, text]) =>
      hanging([[style, `  ${mark} `], ["dim", `${instant(at).padEnd(24)}  `]], text, context.width, 6)
    )
  ]
}

const decisionWords: Record<Model.Decision["decision"], string> = {
  Retried: "retried",
  Skipped: "given up",
  Resolved: "resolved by hand"
}

const by = ({ reason, operator }: { readonly operator: string | null; readonly reason: string | null }): string =>
  `${operator === null ? "" : `, by ${cut(operator, maxName)}`}${reason === null ? "" : `: ${reason}`}`

/* ------------------------------------------------------------------------------------------------- what can be done */

const actionSection = (context: Context): ReadonlyArray<Line> => {
  const { program, timeline, width } = context
  const { actions, execution: { endedAt, id, status }, parked } = timeline
  const text = (text: string): ReadonlyArray<Line> => hanging([["plain", "  "]], text, width, 6)
  const shown = (action: Model.Action): ReadonlyArray<Line> => [
    wholeLine(["cyan", `  ${commandLine(program, action.action, id, optionsOf(action))}`]),
    ...hanging([["plain", "      "]], action.effect, width, 6)
  ]
  return [
    emptyLine,
    line(["bold", "What you can do"]),
    ...(endedAt !== null ? afterEnd(timeline).flatMap(text) : []),
    ...(endedAt === null && status !== "Parked" ? text(goesOn(context)) : []),
    ...parked.slice(0, maxParked).flatMap((one) => [
      ...(parked.length > 1 ? text(`For ${one.path === "" ? one.kind : `"${one.path}"`}:`) : []),
      ...one.actions.flatMap(shown)
    ]),
    ...(parked.length > maxParked ? text(`... and ${parked.length - maxParked} more that it is parked for.`) : []),
    ...actions.flatMap(shown),
    ...awaitedSignals(timeline).slice(0, maxParked).flatMap((signal) => [
      wholeLine(["cyan", `  ${signalCommand(program, id, signal)}`]),
      ...hanging([["plain", "      "]], "Sends what it waits for: the JSON of a value of this signal.", width, 6)
    ]),
    ...runningChildren(timeline).slice(0, maxChildren).flatMap((child) => [
      wholeLine(["cyan", `  ${commandLine(program, "show", child)}`]),
      ...hanging([["plain", "      "]], "Shows the child that it waits for.", width, 6)
    ])
  ]
}

const signalCommand = (program: string, id: string, signal: string): string => {
  const words = [shellWord(id), shellWord(signal), "'<JSON>'"]
  return [program, "signal", ...([id, signal].some((word) => word.startsWith("-")) ? ["--"] : []), ...words].join(" ")
}

/* Timers fire on time, where there is somebody to see to them. */
const patience = 10_000

const goesOn = ({ now, timeline }: Context): string => {
  const { entries } = timeline
  const isOverdue = entries.some((entry) =>
    (entry._tag === "Timer" && entry.state === "Waiting" && now - entry.dueAt > patience) ||
    (entry._tag === "Step" && entry.retryAt !== null && now - entry.retryAt > patience)
  )
  if (isOverdue) return "Something is overdue: look whether an engine is running, and can write to its store."
  const signals = awaitedSignals(timeline)
  if (signals.length > 0) return `It goes on when it gets signal ${named(signals)}.`
  const children = runningChildren(timeline).slice(0, maxChildren)
  return children.length === 0
    ? "Nothing has to be done: it goes on by itself."
    : `It goes on when child ${named(children)} has ended.`
}

const awaitedSignals = ({ entries }: Model.SagaTimeline): ReadonlyArray<string> =>
  Array.from(
    new Set(entries.flatMap((entry) => entry._tag === "SignalWait" && entry.state === "Waiting" ? [entry.signal] : []))
  )

/** The ids of the children that an execution waits for. */
export const runningChildren = ({ entries }: Model.SagaTimeline): ReadonlyArray<string> =>
  entries.flatMap((entry) => entry._tag === "Child" && entry.state === "Running" ? [entry.child] : [])

const afterEnd = (timeline: Model.SagaTimeline): ReadonlyArray<string> => {
  const left = timeline.remaining.map(({ path }) => path)
  const unknown = unknownSteps(timeline)
  return [
    "It has ended, so nothing can be changed any more.",
    ...(left.length === 0 ? [] : [`To be undone by hand: ${named(left)}.`]),
    ...(unknown.length === 0 ? [] : [`To be looked up: whether ${named(unknown)} took effect.`])
  ]
}

/* An option has its value in the same word where that could be taken for another option. */
const optionsOf = ({ action, needsValue, path }: Model.Action): ReadonlyArray<string> => [
  ...(path === null ? [] : path.startsWith("-") ? [`--path=${shellWord(path)}`] : ["--path", shellWord(path)]),
  ...(needsValue ? ["--value", "JSON"] : []),
  ...(action === "skip" || action === "resolve" ? [`--reason "..."`] : [])
]
