import * as Effect from "effect/Effect"
import type { Alert, CompensationFailedAlert, Handler, ParkedAlert } from "./alertModel.ts"
import { causeSummary } from "./timelineFailure.ts"
import { commandLine, cut, escaped, mark } from "./timelineText.ts"

/* Alerts as lines of a log, which may end in a terminal. */

const maxPaths = 10

const maxReason = 500

const parked = (alert: ParkedAlert): Effect.Effect<void> => {
  const { execution, isRepeated, kind, reason, step } = alert
  const since = isRepeated ? "is still parked" : "is parked until an operator decides"
  const line = `Execution ${escaped(execution.id)} ${since}. ${cut(reason, maxReason)}${left(alert)}${advice(alert)}`
  return (isRepeated ? Effect.logWarning(line) : Effect.logError(line)).pipe(annotated(alert, step, kind))
}

const compensationFailed = (alert: CompensationFailedAlert): Effect.Effect<void> => {
  const { cause, execution, isGivenUp, isRepeated, step } = alert
  const why = isGivenUp ? "An operator gave it up" : "Nobody will try again"
  const line = `Execution ${escaped(execution.id)} could not undo step "${escaped(step)}": ` +
    `${cut(causeSummary(cause), maxReason)}. ${why}.${left(alert)}${advice(alert)}`
  // Whoever gave it up knows.
  return (isGivenUp || isRepeated ? Effect.logWarning(line) : Effect.logError(line)).pipe(
    annotated(alert, step, "CompensationFailed")
  )
}

export const handler: Handler = { onParked: parked, onCompensationFailed: compensationFailed }

const annotated = ({ execution, id }: Alert, step: string | null, kind: string) =>
  Effect.annotateLogs({
    alert: id,
    execution: execution.id,
    definition: execution.definition,
    ...(step === null ? {} : { step }),
    kind
  })

const left = ({ remaining }: Alert): string => {
  if (remaining.length === 0) return ""
  const shown = remaining.slice(0, maxPaths).map(escaped).join(", ")
  return ` Left to undo: ${shown}${remaining.length > maxPaths ? `, ${mark} (${remaining.length} in all)` : ""}.`
}

const advice = ({ execution: { id } }: Alert): string => ` To see more: ${commandLine("effect-saga", "show", id)}`
