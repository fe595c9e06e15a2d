import * as Cause from "effect/Cause"
import * as Formatter from "effect/Formatter"
import { thrown } from "./cause.ts"
import { guarded } from "./guard.ts"

/*
 * Renders failures of any kind for people. What is thrown may be anything: no Error at all, frozen, circular, huge, or
 * hostile to being looked at. The output is bounded, and looking never throws.
 */

const maxLines = 12
const maxLineLength = 300

/** How an interruption is shown. */
export const interrupted = "Interrupted"

/** The lines of each failure in `cause`: what failed, then where. */
export const causeLines = (cause: Cause.Cause<unknown>, depth = 0): ReadonlyArray<string> => {
  const reasons = cause.reasons.filter((reason) => reason._tag !== "Interrupt")
  const lines = reasons.slice(0, 10).flatMap((reason) => reasonLines(reason, depth))
  if (reasons.length > 10) lines.push(`... and ${reasons.length - 10} more failures`)
  if (reasons.length < cause.reasons.length) lines.push(interrupted)
  return lines
}

/** The first line of the first failure in `cause`. */
export const causeSummary = (cause: Cause.Cause<unknown>): string => {
  const lines = causeLines(cause)
  return lines.length === 0 ? "no cause given" : lines[0]!
}

/** All failures in `cause`, in one line. Without `details`, only what kind they are: a message may hold any value. */
export const causeLine = (cause: Cause.Cause<unknown>, details = true): string => {
  const line = guarded(() =>
    Cause.prettyErrors(cause)
      .map(({ message, name }) => message === "" || !details ? name : `${name}: ${message}`)
      .join("; ")
      .replaceAll(/\s*\n\s*/g, " ")
  ) ?? "a failure that can't be shown"
  return line.length > maxLineLength ? `${line.slice(0, maxLineLength)}... (${line.length} characters)` : line
}

const reasonLines = (reason: Cause.Fail<unknown> | Cause.Die, depth: number): ReadonlyArray<string> => {
  const suffix = reason._tag === "Die" ? " (a defect)" : ""
  const lines = guarded(() => errorLines(thrown(reason), depth)) ?? ["a failure that can't be shown"]
  return [lines[0] + suffix, ...lines.slice(1)]
}

const errorLines = (error: unknown, depth: number): ReadonlyArray<string> => {
  if (!(error instanceof Error)) return bounded(Formatter.format(error).split("\n"))
  // The error of a saga or a savepoint inside this one: its message is a report, and would hold those inside it again.
  if ("saga" in error && "reason" in error && Cause.isCause(error.reason)) {
    const header = `${error.name} of saga "${String(error.saga).slice(0, 100)}"`
    return depth >= 3 ? [header] : bounded([header, ...causeLines(error.reason, depth + 1).map((line) => `  ${line}`)])
  }
  const header = headerOf(error).split("\n")
  const frames = typeof error.stack === "string" ? error.stack.split("\n").filter(isUserFrame) : []
  const nested = error.cause === undefined || Cause.isCause(error.cause) ? [] : [`caused by ${headerOf(error.cause)}`]
  return bounded([...header, ...frames.map((frame) => `    ${frame.trim()}`), ...nested])
}

const headerOf = (error: unknown): string => {
  if (!(error instanceof Error)) return Formatter.format(error)
  const message = messageOf(error)
  return message === "" ? String(error.name) : `${String(error.name)}: ${message}`
}

/* Tagged errors often have fields and no message. */
const messageOf = (error: Error): string => {
  if (error.message !== "") return String(error.message)
  const fields = Object.entries(error).filter(([key]) => key !== "_tag" && key !== "name" && key !== "message")
  return fields.length === 0 ? "" : Formatter.format(Object.fromEntries(fields))
}

/** An error with its fields as message where it has none, anything else as it is. */
export const withMessage = (failure: unknown): unknown => {
  // What is null is shown as that.
  const shown = guarded(() => [errorWithMessage(failure)])
  return shown === undefined ? "a failure that can't be shown" : shown[0]
}

const errorWithMessage = (failure: unknown): unknown => {
  if (!(failure instanceof Error) || failure.message !== "") return failure
  const error = new Error(messageOf(failure))
  error.name = failure.name
  if (failure.stack !== undefined) error.stack = failure.stack
  return error
}

/* Frames of the runtime say nothing about the saga that failed. */
const isUserFrame = (line: string): boolean =>
  /^\s+at /.test(line) && !/node_modules\/effect(-saga)?\/|node:|Generator\.next/.test(line)

const bounded = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const shown = lines.slice(0, maxLines).map((line) =>
    line.length > maxLineLength ? `${line.slice(0, maxLineLength)}... (${line.length} characters)` : line
  )
  return lines.length > maxLines ? [...shown, `... (${lines.length - maxLines} more lines)`] : shown
}
