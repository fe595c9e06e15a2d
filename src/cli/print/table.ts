import { lengthOf } from "../../internal/columns.ts"
import type { ExecutionRecord } from "../../internal/store.ts"
import {
  cut,
  escaped,
  instant,
  type Line,
  line,
  type Span,
  type Style,
  wholeLine
} from "../../internal/timelineText.ts"

export { statusStyle } from "../../internal/timelineRender.ts"

/* Tables for people: columns as wide as what is in them, and the last one as wide as there is room. */

export type Cell = readonly [style: Style, text: string]

/** Wider ones stick out of their column, so that one long id does not push all others to the right. */
const maxColumn = 60

const minLast = 16

/** The lines of a table. Only the last column is cut. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  width: number
): ReadonlyArray<Line> => {
  const widths = head.map((title, column) =>
    rows.reduce((max, row) => Math.max(max, Math.min(maxColumn, lengthOf(escaped(row[column]![1])))), title.length)
  )
  return [head.map((title): Cell => ["dim", title]), ...rows].map((row) => rowLine(row, widths, width))
}

/** One line of a table with columns so wide. */
export const rowLine = (row: ReadonlyArray<Cell>, widths: ReadonlyArray<number>, width: number): Line => {
  const spans: Array<Span> = []
  let used = 0
  for (const [column, [style, text]] of row.entries()) {
    const isLast = column === row.length - 1
    const shown = isLast ? cut(text, Math.max(minLast, width - used)) : escaped(text)
    const gap = isLast ? "" : " ".repeat(Math.max(0, widths[column]! - lengthOf(shown)) + 2)
    spans.push([style, shown], ["plain", gap])
    used += lengthOf(shown) + gap.length
  }
  return wholeLine(...spans)
}

/** A time in whole seconds. */
export const seconds = (millis: number): string => instant(millis).replace(/\.\d{3}Z$/, "Z")

/** Why it stands where it stands, as far as the record tells. */
export const reasonOf = ({ cancelled, error, reason }: ExecutionRecord): string =>
  reason ?? error ?? (cancelled ? "cancelled" : "")

export const note = (text: string): Line => line(["dim", text])
