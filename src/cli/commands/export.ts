import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { escaped } from "../../internal/timelineText.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import * as Flags from "../input/flags.ts"
import { problemOf } from "../input/problem.ts"
import { Output } from "../output.ts"
import { jsonText } from "../print/jsonText.ts"
import { Exported, ExportedTo } from "../schemas.ts"

export const exportCommand = Cli.make(
  "export",
  {
    id: Flags.id,
    redact: Flags.toggle("redact", Flags.redacted),
    file: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("FILE"),
      Flag.optional,
      Flag.withDescription("Write to this file, which must not exist (default: standard output)")
    )
  },
  Effect.fnUntraced(function*({ file, id, redact }) {
    const output = yield* Output
    const exported = yield* Effect.flatMap(SagaOperator, (operator) => operator.export(id, { redact }))
    if (Option.isNone(file)) return yield* output.document(Exported, exported)
    yield* write(file.value, exported)
    yield* output.json
      ? output.document(ExportedTo, { v: 1, execution: id, file: file.value, redacted: redact })
      : output.text(
        `Execution "${escaped(id)}" was written to "${escaped(file.value)}". ` + (redact
          ? "What it was given and returned, and what operators wrote, was left out; ids and names of steps are in it."
          : "It has what the execution was given and returned: look through it before you send it, or use --redact.")
      )
  }, connected)
).pipe(
  Command.withDescription("Writes an execution with its journal as JSON, for a report of a bug."),
  Command.withExamples([
    { command: "effect-saga export Booking/42 --redact --output booking-42.json", description: "For a report" }
  ])
)

const write = Effect.fnUntraced(function*(file: string, exported: typeof Exported.Type) {
  const { writeFileString } = yield* FileSystem.FileSystem
  const text = jsonText(yield* Effect.orDie(Schema.encodeEffect(Exported)(exported)), 2)
  yield* Effect.catch(writeFileString(file, `${text}\n`, { flag: "wx" }), (error) =>
    Effect.fail(
      error.reason._tag === "AlreadyExists"
        ? Failure.failed(
          "FilesExist",
          `There is a file "${escaped(file)}" already. It was not changed: choose another name.`
        )
        : Failure.failed("FileUnusable", `File "${escaped(file)}" can't be written, because ${problemOf(error)}.`)
    ))
})
