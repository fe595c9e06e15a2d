import { Argument, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import { escaped, shellWord } from "../../internal/timelineText.ts"
import * as Cli from "../command.ts"
import * as Failure from "../failure.ts"
import { problemOf } from "../input/problem.ts"
import { Output } from "../output.ts"
import { Begun } from "../schemas.ts"
import * as Starter from "../starter.ts"

export const init = Cli.make(
  "init",
  {
    folder: Argument.String("dir").pipe(
      Argument.withDescription("The folder of the project, which is made where there is none (default: this one)"),
      Argument.withDefault(".")
    )
  },
  Effect.fnUntraced(function*({ folder }) {
    const output = yield* Output
    const there = yield* Effect.mapError(Starter.existing(folder), (error) => unwritable(folder, error))
    if (there.length > 0) return yield* occupied(folder, there)
    yield* Effect.catch(Starter.write(folder), (error) => Effect.fail(unwritable(folder, error)))
    yield* output.json
      ? output.document(Begun, { v: 1, folder, files: Starter.names })
      : output.text(written(folder))
  })
).pipe(
  Command.withDescription(
    "Writes a starter project: a durable booking on SQLite that parks, to be set right with this command line. " +
      "Existing files are never changed."
  ),
  Command.withShortDescription("Writes a runnable starter project."),
  Command.withExamples([{ command: "effect-saga init bookings", description: "Make a project in ./bookings" }])
)

const named = (folder: string): string => folder === "." ? "this folder" : `folder "${escaped(folder)}"`

const occupied = (folder: string, there: ReadonlyArray<string>) =>
  Failure.failed(
    "FilesExist",
    `In ${named(folder)} there ${there.length === 1 ? "is" : "are"} already ${
      there.join(", ")
    }. Nothing was changed: ` +
      `choose an empty folder, as in effect-saga init bookings.`
  )

const unwritable = (folder: string, error: PlatformError) =>
  Failure.failed("FolderUnusable", `The project can't be written to ${named(folder)}, because ${problemOf(error)}.`)

const written = (folder: string): string =>
  [
    `A starter project is in ${named(folder)}: ${Starter.names.join(", ")}.`,
    "",
    "Start its engine, and leave it running:",
    ...(folder === "." ? [] : [`  cd ${shellWord(folder)}`]),
    "  npm install",
    "  npm start",
    "",
    "One of its trips is parked then. In another terminal, see what has happened, and decide:",
    ...(folder === "." ? [] : [`  cd ${shellWord(folder)}`]),
    "  export EFFECT_SAGA_DB=sagas.db",
    "  npx effect-saga list --parked",
    "",
    "README.md goes on from there."
  ].join("\n")
