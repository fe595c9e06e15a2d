import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import { lengthOf } from "../../internal/columns.ts"
import { escaped } from "../../internal/timelineText.ts"
import { lossOf } from "./jsonLoss.ts"

/* How much of the text is shown on each side. */
const shown = 30

const hint =
  `Names and texts stand in double quotes, and the whole in single quotes for the shell: '{"seats": 2}', '"a text"'.`

/**
 * Reads a text as JSON. Fails with what is wrong with it, and where; also where the value would not have all that the text
 * says. `what` names it, as in `--value`.
 */
export const parse = (what: string, text: string): Effect.Effect<Json, string> =>
  Effect.try({
    // What JSON.parse returns is JSON.
    try: () => JSON.parse(text) as Json,
    catch: (error) => `${what} is not JSON${wrong(text, error)}`
  }).pipe(Effect.flatMap((json) => {
    const loss = lossOf(text)
    return loss === undefined
      ? Effect.succeed(json)
      : Effect.fail(`${what} ${loss.what},${placeOf(text, loss.position)}${loss.advice}`)
  }))

const wrong = (text: string, error: unknown): string => {
  if (text.trim() === "") return ": it is empty."
  const { message } = error as Error
  const position = positionOf(text, message)
  return position === undefined || position < 0
    ? `: ${escaped(message)}.\n${hint}`
    : `${placeOf(text, position)}${hint}`
}

const placeOf = (text: string, position: number): string => {
  const before = text.slice(0, position)
  const line = before.split("\n").length
  const column = position - before.lastIndexOf("\n")
  const start = Math.max(0, position - shown)
  const part = `${start === 0 ? "" : "…"}${escaped(text.slice(start, position))}`
  const rest = `${escaped(text.slice(position, position + shown))}${position + shown < text.length ? "…" : ""}`
  return ` from line ${line}, column ${column} on:\n\n  ${part}${rest}\n  ${" ".repeat(lengthOf(part))}^\n\n`
}

/* The messages of V8 name the place, but for that of a token, which is certain only where it is there once. */
const positionOf = (text: string, message: string): number | undefined => {
  const position = /at position (\d+)/.exec(message)?.[1]
  if (position !== undefined) return Number(position)
  if (/end of JSON/.test(message)) return text.length
  const token = /^Unexpected token '(.+?)'/su.exec(message)?.[1]
  return token !== undefined && text.indexOf(token) === text.lastIndexOf(token) ? text.indexOf(token) : undefined
}
