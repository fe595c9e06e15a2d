/*
 * Journals as files: a line for each append. What a record does not say is left out.
 */
import type { JournalEvent, SagaStore } from "effect-saga"

/** An append as it was written, with its events as JSON. */
export interface Line {
  readonly key: number
  readonly record: SagaStore.ExecutionRecord | null
  readonly firstSequence: number
  readonly events: ReadonlyArray<JournalEvent.JournalEvent>
}

/* Sagas are numbered by their process, which is nothing to compare. */
export const textOf = (lines: ReadonlyArray<Line>): string =>
  lines.map(({ record, ...line }) => {
    const { key, ...rest } = line
    const text = JSON.stringify({ key, record: record === null ? null : shortened(record), ...rest })
    return `${text.replaceAll(/"run":"\d+"/g, `"run":"1"`)}\n`
  }).join("")

export const linesOf = (text: string): ReadonlyArray<Line> =>
  text.trimEnd().split("\n").map((text) => {
    const line = JSON.parse(text) as Line
    return line.record === null ? line : { ...line, record: { ...nothing, ...line.record } }
  })

const nothing = { error: null, attributes: {} }

const shortened = (record: SagaStore.ExecutionRecord): object =>
  Object.fromEntries(
    Object.entries(record).filter(([name]) =>
      name === "error" ? record.error !== null : name !== "attributes" || Object.keys(record.attributes).length > 0
    )
  )
