import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { Json } from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { escaped } from "../../internal/timelineText.ts"
import * as Failure from "../failure.ts"
import * as JsonText from "./json.ts"
import { problemOf } from "./problem.ts"

/** All of standard input. */
export const standardInput: Effect.Effect<string, Failure.Failure, Stdio.Stdio> = Effect.flatMap(
  Stdio.Stdio,
  ({ stdin }) => Stream.mkString(Stream.decodeText(stdin))
).pipe(
  Effect.catch(({ message }) => Effect.fail(Failure.failed("InputFailed", `Standard input can't be read: ${message}`)))
)

/**
 * JSON that was given on the command line: itself, in a file (`@file`) or on standard input (`-`). `what` names the
 * argument or flag.
 */
export const json = Effect.fnUntraced(function*(
  what: string,
  given: string
): Effect.fn.Return<Json, Failure.Failure, FileSystem.FileSystem | Stdio.Stdio> {
  const [source, text] = given === "-"
    ? ["Standard input", yield* standardInput]
    : given.startsWith("@")
    ? [`File "${escaped(given.slice(1))}"`, yield* fileText(what, given.slice(1))]
    : [what, given]
  return yield* Effect.mapError(JsonText.parse(source, text), Failure.usage)
})

const fileText = (what: string, file: string) =>
  Effect.flatMap(FileSystem.FileSystem, ({ readFileString }) => readFileString(file)).pipe(
    Effect.catch((error) =>
      Effect.fail(
        Failure.usage(
          error.reason._tag === "NotFound"
            ? `${what} names file "${escaped(file)}", and there is none.`
            : `${what} names file "${escaped(file)}", which can't be read, because ${problemOf(error)}.`
        )
      )
    )
  )
