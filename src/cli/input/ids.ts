import * as Effect from "effect/Effect"
import { cut, escaped } from "../../internal/timelineText.ts"
import * as Failure from "../failure.ts"
import { jsonText } from "../print/jsonText.ts"
import * as JsonText from "./json.ts"

/* Ids in a pipe, one in a line: as they are, or as a text of JSON where a line would not give them back. */

/** The line of an id. */
export const lineOf = (id: string): string =>
  escaped(id) !== id || id.trim() !== id || id.startsWith(quote) ? jsonText(id, 0) : id

const quote = `"`

/** The ids in lines that were read. */
export const idsIn = (text: string): Effect.Effect<ReadonlyArray<string>, Failure.Failure> =>
  Effect.forEach(
    text.split(/\r?\n/).filter((line) => line !== ""),
    (line) => line.startsWith(quote) ? idOf(line) : Effect.succeed(line)
  )

const idOf = (line: string): Effect.Effect<string, Failure.Failure> =>
  Effect.mapBoth(JsonText.parse("It", line), {
    onSuccess: String,
    onFailure: () =>
      Failure.usage(
        `A line of standard input begins with a quote, and is no text of JSON as list --ids prints it: ${cut(line, 60)}`
      )
  })
