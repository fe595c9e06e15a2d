/// <reference types="node" />
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag, type HelpDoc, TerminalCapabilities } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import { escaped } from "../internal/timelineText.ts"
import * as Failure from "./failure.ts"
import * as Output from "./output.ts"
import { programOf } from "./program.ts"
import { root } from "./root.ts"
import * as Settings from "./settings.ts"

/**
 * Runs the command line with these arguments, and returns the code to exit with. `unwritten` returns when what was to be
 * written has been taken, and could not be.
 */
export const run = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  unwritten: Effect.Effect<Output.NotWritten> = Effect.never
) {
  const output = yield* Output.make({
    json: Settings.isGiven(args, "json"),
    colors: !Settings.isGiven(args, "no-color"),
    program: yield* programOf(args)
  })
  const exit = yield* Command.runWith(root, { version: yield* version })(args).pipe(
    Effect.provide([presenter, config]),
    Effect.raceFirst(Effect.flatMap(unwritten, output.lost)),
    Effect.exit,
    Effect.provideService(Output.Output, output)
  )
  const lost = yield* output.rescue
  const code = yield* Effect.provideService(codeOf(exit), Output.Output, output)
  if (lost === undefined) return code
  yield* Effect.provideService(Failure.report(Failure.failed("NotWritten", lost.message)), Output.Output, output)
  return code === 0 ? 1 : code
}, Effect.provide([TerminalCapabilities.layer, Logger.layer([])]))

/* Says why it failed, and returns the code to exit with. */
const codeOf = Effect.fnUntraced(function*(exit: Exit.Exit<unknown, unknown>) {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
  const error = Cause.squash(exit.cause)
  if (error instanceof CliError.ShowHelp) return error.errors.length === 0 ? 0 : 2
  if (error instanceof Output.NotWritten && error.isClosed) return 0
  const failure = Failure.fromError(error) ??
    (error instanceof Output.NotWritten ? Failure.failed("NotWritten", error.message) : undefined) ??
    Failure.failed("Defect", `This should not have happened, please report it:\n${Cause.pretty(exit.cause)}`)
  return yield* Failure.report(failure)
})

const config = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })

/* As the default, but that a mistake shows what is wrong with it, not the whole help. */
const presenter = Layer.effect(
  CliOutput.Presenter,
  Effect.map(Output.Output, (output) => {
    const { formatHelpDoc } = CliOutput.defaultFormatter({ colors: output.colors })
    return {
      present: (event) => {
        switch (event._tag) {
          case "Help":
            return output.text(formatHelpDoc(withoutValues(event.helpDoc)))
          case "Version":
            return output.text(event.version)
          case "InvalidInvocation": {
            const message = event.errors.map((error) => error.message.split("\n").map(escaped).join("\n")).join("\n")
            const failure = Failure.usage(Failure.withHelp(message, event.commandPath))
            return Effect.asVoid(Effect.provideService(Failure.report(failure), Output.Output, output))
          }
        }
      }
    }
  })
)

/* That a toggle takes a value too is no help to anybody. */
const withoutValues = (doc: HelpDoc.HelpDoc): HelpDoc.HelpDoc => ({
  ...doc,
  flags: doc.flags.map(withoutValue),
  ...(doc.globalFlags === undefined ? {} : { globalFlags: doc.globalFlags.map(withoutValue) })
})

const withoutValue = (flag: HelpDoc.FlagDoc): HelpDoc.FlagDoc =>
  flag.type === "[=boolean]" ? { ...flag, type: "boolean" } : flag

const Package = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

const version = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.readFileString(fileURLToPath(new URL("../../package.json", import.meta.url)))
).pipe(
  Effect.flatMap(Schema.decodeEffect(Package)),
  Effect.map((json) => json.version),
  Effect.orDie
)

const unwritten = Effect.callback<Output.NotWritten>((resume) => {
  process.stdout.on("error", (error) => resume(Effect.succeed(new Output.NotWritten(error))))
})

/** Runs the command line of this process. */
export const main = (): void => {
  // Whether or not messages can be written, the command goes on, and so does its code.
  process.stderr.on("error", () => {})
  Effect.flatMap(Stdio.Stdio, (stdio) => stdio.args).pipe(
    Effect.flatMap((args) => run(args, unwritten)),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      teardown: (exit, onExit) =>
        onExit(Exit.isSuccess(exit) ? exit.value as number : Cause.hasInterruptsOnly(exit.cause) ? 130 : 1)
    })
  )
}
