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
  ({ stdin }) => Stream.mkUint8Array(stdin)
).pipe(
  Effect.catch(({ message }) => Effect.fail(Failure.failed("InputFailed", `Standard input can't be read: ${message}`))),
  Effect.flatMap((bytes) => decoded("Standard input", bytes))
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
    ? [nameOf(given.slice(1)), yield* fileText(what, given.slice(1))]
    : [what, given]
  return yield* Effect.mapError(JsonText.parse(source, text), Failure.usage)
})

const nameOf = (file: string): string => `File "${escaped(file)}"`

const fileText = (what: string, file: string) =>
  Effect.flatMap(FileSystem.FileSystem, ({ readFile }) => readFile(file)).pipe(
    Effect.catch((error) =>
      Effect.fail(
        Failure.usage(
          error.reason._tag === "NotFound"
            ? `${what} names file "${escaped(file)}", and there is none.`
            : `${what} names file "${escaped(file)}", which can't be read, because ${problemOf(error)}.`
        )
      )
    ),
    Effect.flatMap((bytes) => decoded(nameOf(file), bytes))
  )

/* Else what is no character of UTF-8 would be stored as another one. */
const decoded = (source: string, bytes: Uint8Array): Effect.Effect<string, Failure.Failure> =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => Failure.usage(`${source} is no text in UTF-8: convert it, as with iconv -f LATIN1 -t UTF-8.`)
  })
