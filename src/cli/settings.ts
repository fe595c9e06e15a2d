import { Flag, GlobalFlag } from "effect/cli"
import * as Config from "effect/Config"
import * as Flags from "./input/flags.ts"

/* The flags of all commands. */

export const Database = GlobalFlag.Setting("db")({
  flag: Flag.Redacted("db").pipe(
    Flag.withMetavar("FILE|URL"),
    Flag.withFallbackConfig(Config.Redacted("EFFECT_SAGA_DB")),
    Flag.optional,
    Flag.withDescription(
      "The store: a SQLite file, or postgres://user:password@host:port/database (or set EFFECT_SAGA_DB)"
    )
  )
})

export const SchemaName = GlobalFlag.Setting("schema")({
  flag: Flag.String("schema").pipe(
    Flag.withMetavar("NAME"),
    Flag.optional,
    Flag.withDescription("The schema of PostgreSQL that has the tables (default effect_saga)")
  )
})

const toggle = (name: string, description: string) =>
  GlobalFlag.Setting(name)({ flag: Flags.toggle(name, description) })

export const Json = toggle("json", "Print JSON for programs, errors too")

export const NoColor = toggle("no-color", "Print without colours, as NO_COLOR does")

export const all = [Database, SchemaName, Json, NoColor] as const

/** Whether a toggle is among the arguments, which are not parsed: what is wrong with them is told as it says. */
export const isGiven = (args: ReadonlyArray<string>, flag: string): boolean => {
  const end = args.indexOf("--")
  return (end < 0 ? args : args.slice(0, end)).some((arg) =>
    arg === `--${flag}` || (arg.startsWith(`--${flag}=`) && truths.has(arg.slice(flag.length + 3)))
  )
}

/* All that `Flag.Boolean` takes for true. */
const truths = new Set(["true", "yes", "on", "1", "y"])
