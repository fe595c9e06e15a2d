import * as Progress from "./progress.ts"
import type { ExecutionRecord } from "./store.ts"

/** The record of an execution after events; the same one where they have not changed it, as a signal does not. */
export const recordAfter = (
  record: ExecutionRecord,
  progress: Progress.Progress,
  at: number,
  /** Whether the events may have brought another error, though all else is as it was: to find out takes time. */
  mayChangeError: boolean
): ExecutionRecord => {
  const { cancelled } = progress
  const status = Progress.statusOf(progress)
  const reason = Progress.parkedReason(progress) ?? null
  const isAsItWas = status === record.status && reason === record.reason
  const error = isAsItWas && !mayChangeError ? record.error : Progress.errorOf(progress)
  return isAsItWas && error === record.error && cancelled === record.cancelled
    ? record
    : { ...record, status, reason, error, cancelled, updatedAt: at }
}
