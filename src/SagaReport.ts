/**
 * What became of a saga, step by step.
 *
 * A `SagaReport` is a fold over the events of one saga and of the sagas nested in it. `Saga.report` finds the one that
 * belongs to a failure, and `CompensationFailed` and `CommittedIncomplete` carry theirs.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { sharesReason } from "./internal/cause.ts"
import { AnyFailure } from "./internal/codec.ts"
import { causeLines, causeSummary, interrupted } from "./internal/render.ts"
import type { SagaEvent, SagaStarted } from "./SagaEvent.ts"

const AnyCause = Schema.Cause(AnyFailure, AnyFailure)

/**
 * How a step ended.
 *
 * - `Succeeded`: the action took effect, and the saga may still undo it.
 * - `Failed`: the action failed.
 * - `Unknown`: the action was interrupted or timed out. It may have taken effect.
 * - `Compensated`: the compensation succeeded.
 * - `CompensationFailed`: the compensation failed.
 * - `Remaining`: the step took effect, should have been undone and was not tried.
 * - `Committed`: the step took effect for good, because a pivot or the end of a nested saga committed it.
 * - `NoCompensation`: the step took effect, and there is nothing to undo it with.
 *
 * @category models
 * @since 0.1.0
 */
export const Outcome = Schema.Literals([
  "Succeeded",
  "Failed",
  "Unknown",
  "Compensated",
  "CompensationFailed",
  "Remaining",
  "Committed",
  "NoCompensation"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Outcome = typeof Outcome.Type

/**
 * What became of one step. Times are milliseconds since the epoch; `startedAt` is known where an observer followed the
 * saga.
 *
 * @category models
 * @since 0.1.0
 */
export class StepReport extends Schema.Class<StepReport>("effect-saga/SagaReport/StepReport")({
  /** The place of the step in the outermost saga: `all[1]/book-car`. */
  path: Schema.String,
  name: Schema.String,
  /** The saga that the step belongs to. */
  saga: Schema.String,
  /** What ran last. */
  phase: Schema.Literals(["action", "compensation"]),
  outcome: Outcome,
  /** Which attempt of the nearest enclosing `Effect.retry` this was, counted from 1. */
  attempt: Schema.Number,
  startedAt: Schema.UndefinedOr(Schema.Number),
  endedAt: Schema.Number,
  /** Why the action failed. */
  cause: Schema.UndefinedOr(AnyCause),
  /** Why the compensation failed. */
  compensationCause: Schema.UndefinedOr(AnyCause)
}) {}

/**
 * What became of a saga: its steps in the order in which their actions ended, and how the saga ended.
 *
 * `status` is `Running` and `Compensating` while the saga runs, then `Completed`, `Compensated` (all undone) or `Failed`
 * (something was not undone).
 *
 * @category models
 * @since 0.1.0
 */
export class SagaReport extends Schema.Class<SagaReport>("effect-saga/SagaReport")({
  saga: Schema.String,
  /** The run of the saga, as in its events. */
  run: Schema.String,
  status: Schema.Literals(["Running", "Compensating", "Completed", "Compensated", "Failed"]),
  /** The path of the pivot that committed the saga. */
  pivot: Schema.UndefinedOr(Schema.String),
  /** Why the saga failed. */
  cause: Schema.UndefinedOr(AnyCause),
  /** The paths of the steps whose failures are in `cause`. */
  failedBy: Schema.Array(Schema.String),
  startedAt: Schema.Number,
  endedAt: Schema.UndefinedOr(Schema.Number),
  steps: Schema.Array(StepReport)
}) {}

/**
 * Builds the report of a saga from its events, oldest first. The first event has to be the `SagaStarted` of the saga;
 * those of the sagas nested in it may be among the rest.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEvents = (events: ReadonlyArray<SagaEvent>): SagaReport => {
  const start = events[0]
  if (start === undefined || start._tag !== "SagaStarted") {
    throw new RangeError("SagaReport.fromEvents: the first event has to be the SagaStarted of the saga")
  }
  const steps = new Map<string, Draft>()
  const sagas = new Map<string, SagaSteps>()
  const report: SagaDraft = {
    saga: start.saga,
    run: start.run,
    status: "Running",
    pivot: undefined,
    cause: undefined,
    failedBy: [],
    startedAt: start.at,
    endedAt: undefined
  }
  for (const event of events) apply(event, start, report, steps, sagas)
  return new SagaReport({
    ...report,
    steps: Array.from(
      steps.values(),
      ({ compensable: _compensable, ...step }) => new StepReport(step, { disableChecks: true })
    )
  }, { disableChecks: true })
}

/**
 * Renders a report for people, one line per step and then the reasons. The output is bounded, whatever the failures
 * hold.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (report: SagaReport): string => {
  const failed = report.steps.filter((step) => step.compensationCause !== undefined)
  return shorten(
    [
      headline(report),
      "",
      ...stepLines(report),
      ...causeSection(report),
      ...failed.slice(0, maxFailures).flatMap((step) => [
        "",
        `Compensation of ${quote(step.path)} failed:`,
        ...indent(causeLines(step.compensationCause!))
      ]),
      ...(failed.length > maxFailures ? ["", `... and ${failed.length - maxFailures} more compensations failed.`] : []),
      ...leftLines(report)
    ].join("\n"),
    maxLength
  )
}

/**
 * Renders a report in one line, for logs: how the saga ended, and the first reason why.
 *
 * @category rendering
 * @since 0.1.0
 */
export const summarize = (report: SagaReport): string =>
  report.cause === undefined ? headline(report) : `${headline(report)} ${causeSummary(report.cause)}`

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

type SagaDraft = Mutable<Omit<typeof SagaReport.Type, "steps">>

interface Draft extends Mutable<typeof StepReport.Type> {
  readonly compensable: boolean
}

/** The steps of one of the sagas that a report is about. */
interface SagaSteps {
  readonly steps: Array<Draft>
  committed: boolean
}

const apply = (
  event: SagaEvent,
  start: SagaStarted,
  report: SagaDraft,
  steps: Map<string, Draft>,
  sagas: Map<string, SagaSteps>
): void => {
  const own = sagaOf(event.run, sagas)
  const outermost = event.run === start.run
  switch (event._tag) {
    case "SagaStarted":
    case "StepStarted":
    case "CompensationStarted":
      return
    case "StepSucceeded":
    case "StepFailed": {
      const step: Draft = {
        compensable: event.compensable,
        path: event.path,
        name: event.step,
        saga: event.saga,
        phase: "action",
        outcome: event._tag === "StepFailed" ? event.outcome : own.committed ? "Committed" : "Succeeded",
        attempt: event.attempt,
        startedAt: event.startedAt,
        endedAt: event.at,
        cause: event._tag === "StepFailed" ? event.cause : undefined,
        compensationCause: undefined
      }
      steps.set(event.path, step)
      own.steps.push(step)
      return
    }
    case "SagaCommitted": {
      own.committed = true
      if (outermost) report.pivot = event.pivot
      for (const step of own.steps) if (step.outcome === "Succeeded") step.outcome = "Committed"
      return
    }
    case "UnwindStarted": {
      if (outermost && event.scope === start.path) report.status = "Compensating"
      for (const step of own.steps) {
        if (step.outcome === "Succeeded" && !step.compensable && within(step.path, event.scope)) {
          step.outcome = "NoCompensation"
        }
      }
      return
    }
    case "UnwindDeclined":
    case "UnwindFinished": {
      for (const path of event.remaining) {
        const step = steps.get(path)
        if (step !== undefined) step.outcome = "Remaining"
      }
      return
    }
    case "CompensationSucceeded":
    case "CompensationFailed": {
      const step = steps.get(event.path)
      if (step === undefined) return
      step.phase = "compensation"
      step.endedAt = event.at
      step.outcome = event._tag === "CompensationFailed" ? "CompensationFailed" : "Compensated"
      step.compensationCause = event._tag === "CompensationFailed" ? event.cause : undefined
      return
    }
    case "SagaCompleted": {
      if (outermost) {
        report.status = "Completed"
        report.endedAt = event.at
        return
      }
      for (const step of own.steps) if (step.outcome === "Succeeded") step.outcome = "Committed"
      return
    }
    case "SagaCompensated":
    case "SagaFailed": {
      if (!outermost) return
      report.status = event._tag === "SagaFailed" ? "Failed" : "Compensated"
      report.cause = event.cause
      report.failedBy = Array.from(steps.values())
        .filter((step) => step.cause !== undefined && sharesReason(step.cause, event.cause))
        .map((step) => step.path)
      report.endedAt = event.at
      return
    }
  }
}

const sagaOf = (run: string, sagas: Map<string, SagaSteps>): SagaSteps => {
  let saga = sagas.get(run)
  if (saga === undefined) sagas.set(run, saga = { steps: [], committed: false })
  return saga
}

const within = (path: string, scope: string): boolean => scope === "" || path.startsWith(`${scope}/`)

const maxSteps = 30
const maxFailures = 10
const maxLength = 16_000
const maxName = 100

const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length)}... (${text.length - length} more characters)` : text

const quote = (name: string): string => `"${shorten(name, maxName)}"`

const words: Record<Outcome, string> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Unknown: "OUTCOME UNKNOWN",
  Compensated: "compensated",
  CompensationFailed: "COMPENSATION FAILED",
  Remaining: "NOT UNDONE",
  Committed: "committed",
  NoCompensation: "done, has no compensation"
}

const headline = (report: SagaReport): string => {
  const name = quote(report.saga)
  const saga = `Saga ${name}`
  const unknown = report.steps.filter(isUnknown).map((step) => quote(step.path))
  switch (report.status) {
    case "Running":
      return report.pivot !== undefined
        ? `A part of saga ${name} failed after its pivot ${quote(report.pivot)}: it counts as done.`
        : report.steps.some(isLeft)
        ? `A part of saga ${name} could not be undone completely.`
        : `${saga} is running.`
    case "Compensating":
      return `${saga} failed and is being undone.`
    case "Completed":
      return `${saga} completed.`
    case "Compensated":
      return unknown.length === 0
        ? `${saga} failed and was undone.`
        : `${saga} failed and was undone, but nobody knows whether ${unknown.slice(0, 5).join(", ")} took effect.`
    case "Failed":
      return report.pivot !== undefined
        ? `${saga} failed after its pivot ${quote(report.pivot)}: it counts as done and was not undone.`
        : report.steps.some((step) => step.outcome === "CompensationFailed" || step.outcome === "Compensated")
        ? `${saga} failed and could not be undone completely.`
        : `${saga} failed and was not undone.`
  }
}

const stepLines = ({ failedBy, steps }: SagaReport): ReadonlyArray<string> => {
  if (steps.length === 0) return ["  no step ended"]
  const shown = selectSteps(steps)
  const width = Math.min(maxName, Math.max(...shown.map(([, step]) => step === undefined ? 0 : step.path.length)))
  const digits = String(steps.length).length
  return shown.map(([index, step]) =>
    step === undefined
      ? `  ${" ".repeat(digits)}  ... ${index} more`
      : `  ${String(index + 1).padStart(digits)}  ${shorten(step.path, maxName).padEnd(width)}  ${
        became(step, failedBy)
      }`
  )
}

/* Why a step failed stands here where it is not among the reasons of the saga: it was retried, or handled. */
const became = (step: StepReport, failedBy: ReadonlyArray<string>): string => {
  const attempt = step.attempt > 1 ? ` (attempt ${step.attempt})` : ""
  const why = step.cause === undefined || failedBy.includes(step.path) ? "" : `: ${causeSummary(step.cause)}`
  return `${words[step.outcome]}${attempt}${why}`
}

/* The steps that went wrong are always shown; of the others the first and the last where there are too many. */
const selectSteps = (steps: ReadonlyArray<StepReport>): ReadonlyArray<readonly [number, StepReport | undefined]> => {
  if (steps.length <= maxSteps) return steps.map((step, index) => [index, step])
  const chosen = new Set<number>()
  for (let index = 0; index < steps.length && chosen.size < maxSteps; index++) {
    if (isTrouble(steps[index]!)) chosen.add(index)
  }
  for (let index = 0; index < 5; index++) chosen.add(index).add(steps.length - 1 - index)
  const out: Array<readonly [number, StepReport | undefined]> = []
  let previous = -1
  for (const index of Array.from(chosen).toSorted((a, b) => a - b)) {
    if (index - previous > 1) out.push([index - previous - 1, undefined])
    out.push([index, steps[index]])
    previous = index
  }
  return out
}

const isTrouble = (step: StepReport): boolean => step.outcome === "Failed" || isUnknown(step) || isLeft(step)

const isUnknown = (step: StepReport): boolean => step.outcome === "Unknown"

const isLeft = (step: StepReport): boolean => step.outcome === "CompensationFailed" || step.outcome === "Remaining"

const causeSection = ({ cause, failedBy }: SagaReport): ReadonlyArray<string> => {
  if (cause === undefined) return []
  const lines = causeLines(cause)
  if (lines.length === 1 && lines[0] === interrupted) return ["", "It was interrupted."]
  const steps = failedBy.slice(0, 5).map(quote).join(", ")
  return [
    "",
    failedBy.length === 0 ? "It failed between steps, because of:" : `It failed because of ${steps}:`,
    ...indent(lines)
  ]
}

const leftLines = ({ steps }: SagaReport): ReadonlyArray<string> => [
  ...listed("Left to undo", steps.filter(isLeft)),
  ...listed("To be looked up", steps.filter(isUnknown))
]

const listed = (what: string, steps: ReadonlyArray<StepReport>): ReadonlyArray<string> => {
  if (steps.length === 0) return []
  const names = steps.slice(0, maxSteps).map((step) => shorten(step.path, maxName)).join(", ")
  return ["", `${what}: ${names}${steps.length > maxSteps ? ` and ${steps.length - maxSteps} more` : ""}.`]
}

const indent = (lines: ReadonlyArray<string>): ReadonlyArray<string> => lines.map((line) => `  │ ${line}`)
