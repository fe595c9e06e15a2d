import * as Schema from "effect/Schema"
import { compact, instant, type Line, minWidth, type Span, type Style, wholeLine } from "../../internal/timelineText.ts"
import { JournalEvent } from "../../JournalEvent.ts"

/* One line for an event of a journal. */

const encode = Schema.encodeSync(JournalEvent)

/** With its number, from 1 on. Long values may be cut; who has decided, and why, is never. */
export const eventLine = (event: JournalEvent, sequence: number, isCut: boolean): Line => {
  const { _tag, at, v: _, ...fields } = encode(event)
  const path = "path" in fields ? fields.path : "scope" in fields ? fields.scope : ""
  const isDecided = styles[_tag] === decided
  const spans: ReadonlyArray<Span> = [
    ["dim", `${String(sequence).padStart(4)}  ${instant(at)}  `],
    [styles[_tag] ?? "plain", _tag.padEnd(tagWidth)],
    ["bold", path === "" ? "" : `  ${path}`],
    ["plain", `  ${detailOf(fields, (name) => isCut && !(isDecided && decision.has(name)) ? maxField : Infinity)}`]
  ]
  return isDecided ? wholeLine(...spans) : { spans, atLeast: minWidth }
}

const tagWidth = 21

const decided = "cyan"

const styles: { readonly [Tag in JournalEvent["_tag"]]?: Style } = {
  AttemptFailed: "yellow",
  StepFailed: "red",
  UnwindStarted: "yellow",
  CompensationAttemptFailed: "yellow",
  CompensationFailed: "red",
  Parked: "red",
  Retried: decided,
  Skipped: decided,
  Resolved: decided,
  CancelRequested: decided,
  ExecutionCompleted: "green",
  ExecutionCompensated: "yellow",
  ExecutionFailed: "red"
}

/* What is for machines, or is elsewhere in the line. */
const left = new Set(["path", "scope", "starts", "after", "startedAt"])

/* What is told first; the rest may be cut. */
const first = ["operator", "reason", "payload", "name", "child", "status", "value", "result", "cause"]

const times = new Set(["retryAt", "dueAt"])

const maxField = 500

const decision = new Set(["operator", "reason"])

const detailOf = (fields: { readonly [name: string]: unknown }, lengthOf: (name: string) => number): string =>
  Array.from(new Set([...first, ...Object.keys(fields)]))
    .filter((name) => name in fields && !left.has(name))
    .map((name) => {
      const value = fields[name]
      return `${name}=${times.has(name) ? instant(value as number) : compact(value as Schema.Json, lengthOf(name))}`
    })
    .join(" ")
