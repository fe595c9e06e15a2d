import { Command, Completions, Flag, GlobalFlag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Settings from "./settings.ts"

/* Scripts that have a shell complete commands and flags: as Effect writes them, and with the flags of all commands. */

export const flag = GlobalFlag.Action({
  flag: Flag.Literals("completions", ["bash", "zsh", "fish"]).pipe(
    Flag.withMetavar("SHELL"),
    Flag.withDescription("Print a script that completes commands and flags"),
    Flag.optional
  ),
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) =>
        Console.log(Completions.generate(command.name, shell, withSettings(Completions.fromCommand(command))))
    })
})

const settings = Completions.fromCommand(Command.make("settings", {
  db: Settings.Database.flag,
  schema: Settings.SchemaName.flag,
  json: Settings.Json.flag,
  noColor: Settings.NoColor.flag,
  help: Flag.Boolean("help").pipe(Flag.withoutNegation, Flag.withDescription("Show help information"))
})).flags.map((flag): Completions.FlagDescriptor =>
  flag.name === "db" ? { ...flag, type: { _tag: "Path", pathType: "file" } } : flag
)

const withSettings = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: [...command.flags, ...settings],
  subcommands: command.subcommands.map(withSettings)
})
