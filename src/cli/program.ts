import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { guarded } from "../internal/guard.ts"
import { databaseOf } from "./input/database.ts"
import { option } from "./input/filter.ts"

/**
 * What the commands begin with that are suggested. Flags that said where the store is are repeated, as the environment may
 * name another one; the password of a url is not.
 */
export const programOf = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const given = valueOf(args, "db")
  // What can't be used may be a url with a mistake in it, and then its password is not known.
  const database = given === undefined || given.trim() === ""
    ? undefined
    : Option.getOrUndefined(yield* Effect.option(databaseOf(given)))
  const db = database?._tag === "Postgres" ? withoutPassword(Redacted.value(database.url)) : database?.filename
  return ["effect-saga", ...option("db", db), ...option("schema", valueOf(args, "schema"))].join(" ")
})

const valueOf = (args: ReadonlyArray<string>, flag: string): string | undefined => {
  const end = args.indexOf("--")
  const words = end < 0 ? args : args.slice(0, end)
  const index = words.findIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`))
  if (index < 0) return undefined
  const word = words[index]!
  return word.includes("=") ? word.slice(flag.length + 3) : words[index + 1]
}

const withoutPassword = (text: string): string | undefined => {
  const url = guarded(() => new URL(text))
  // Else a part of the password may pass for something else.
  if (url === undefined || (url.username === "" && text.includes("@"))) return undefined
  url.password = ""
  for (const name of Array.from(url.searchParams.keys())) if (/password/i.test(name)) url.searchParams.delete(name)
  return url.href
}
