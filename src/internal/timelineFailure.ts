import type { Cause, Failure, Stored } from "./timelineModel.ts"
import { compact, cut, type Line, line, mark, type Style, wrap } from "./timelineText.ts"

/* How failures and stored values are shown. The output is bounded, whatever they hold. */

const maxFailures = 10
const maxLines = 12
const maxFrames = 5
const maxDepth = 3

/** All lines of a cause, each behind a bar. */
export const causeLines = (cause: Cause, indent: string, width: number): ReadonlyArray<Line> =>
  textsOf(cause, width - indent.length - 2).map(([style, text]) => line(["dim", `${indent}│ `], [style, text]))

/** A cause in one line: what failed. */
export const causeSummary = (cause: Cause): string => {
  if (cause._tag === "Sealed") return "sealed"
  const failures = cause.failures.flatMap((failure) => failure.because.length > 0 ? failure.because : [failure])
  if (failures.length === 0) return "no cause given"
  const shown = failures.slice(0, 3).map((failure) => headerOf(failure).split("\n")[0]!)
  return failures.length > 3 ? `${shown.join("; ")} and ${failures.length - 3} more` : shown.join("; ")
}

/** What is stored, as one line; undefined where there is nothing to say. */
export const storedText = (stored: Stored | null, width: number): string | undefined => {
  switch (stored?._tag) {
    case undefined:
    case "Redacted":
      return undefined
    case "Sealed":
      return "sealed"
    case "Json":
      return stored.json === null ? undefined : compact(stored.json, width)
  }
}

type Text = readonly [style: Style, text: string]

const textsOf = (cause: Cause, width: number): ReadonlyArray<Text> =>
  cause._tag === "Sealed" ? [["dim", "sealed"]] : failuresTexts(cause.failures, width, 0)

const failuresTexts = (failures: ReadonlyArray<Failure>, width: number, depth: number): ReadonlyArray<Text> => [
  ...failures.slice(0, maxFailures).flatMap((failure) => failureTexts(failure, width, depth)),
  ...(failures.length > maxFailures ? [["dim", `... and ${failures.length - maxFailures} more`] as const] : [])
]

const failureTexts = (failure: Failure, width: number, depth: number): ReadonlyArray<Text> => {
  const { because, compensations, stack } = failure
  const frames = stack.filter(isUserFrame)
  const inner = Math.max(20, width - 2)
  const nested = (failures: ReadonlyArray<Failure>): ReadonlyArray<Text> =>
    depth >= maxDepth ? [["dim", `  ${mark}`]] : indented(failuresTexts(failures, inner, depth + 1))
  return [
    ...wrap(headerOf(failure), width, maxLines).map((text): Text => ["red", text]),
    ...frames.slice(0, maxFrames).map((frame): Text => ["dim", cut(`    ${frame}`, width)]),
    ...(because.length === 0 ? [] : [["dim", "because of"] as const, ...nested(because)]),
    ...compensations.slice(0, maxFailures).flatMap(({ failures, step }): ReadonlyArray<Text> => [
      ["dim", cut(`the compensation of "${step}" failed`, width)],
      ...nested(failures)
    ])
  ]
}

const indented = (texts: ReadonlyArray<Text>): ReadonlyArray<Text> => texts.map(([style, text]) => [style, `  ${text}`])

const headerOf = ({ fields, kind, message, tag }: Failure): string => {
  if (kind === "Interrupt") return "Interrupted"
  const fieldsText = fields === null ? "" : compact(fields, 500)
  const parts = [message ?? "", fieldsText].filter((part) => part !== "").join(" ")
  const header = tag === null ? parts : parts === "" ? tag : `${tag}: ${parts}`
  const named = header === "" ? kind === "Fail" ? "a failure" : "an error" : header
  return kind === "Die" ? `${named} (a defect)` : named
}

/* Frames of the runtime say nothing about the saga that failed. */
const isUserFrame = (frame: string): boolean => !/node_modules\/effect(-saga)?\/|node:|Generator\.next/.test(frame)
