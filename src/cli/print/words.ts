import { commandLine } from "../../internal/timelineText.ts"

/* What several commands say. */

export const counted = (count: number): string =>
  count === 1 ? "1 execution" : `${count === 0 ? "no" : count} executions`

export const seeAlso = (program: string, id: string): string => `See ${commandLine(program, "show", id)}`
