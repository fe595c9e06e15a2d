import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Failure from "../failure.ts"

/** Where a store is. */
export type Database =
  | { readonly _tag: "File"; readonly filename: string }
  | { readonly _tag: "Postgres"; readonly url: Redacted.Redacted }

/**
 * What a text names: a file of SQLite, or a database of PostgreSQL. What may be meant to be a url, and is none, is not taken
 * for a file, whose name would be shown with the password that is in it.
 */
export const databaseOf = (given: string): Effect.Effect<Database, Failure.Failure> => {
  const text = given.trim()
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === "postgres" || scheme === "postgresql") {
    return Effect.succeed({ _tag: "Postgres", url: Redacted.make(text) })
  }
  if (scheme !== undefined) {
    return Effect.fail(
      Failure.usage(`--db has to be the path of a SQLite file, or to begin with postgres://, not ${scheme}://.`)
    )
  }
  return maybeUrl(text) ? Effect.fail(notUsable) : Effect.succeed({ _tag: "File", filename: text })
}

const notUsable = Failure.usage(
  "--db looks like a url of PostgreSQL, and is none: it has to be like postgres://user:password@host:port/database, " +
    "without quotes. It is not repeated here, as there may be a password in it. " +
    "For a file whose name looks so, give its path: it begins with ./ or /."
)

const maybeUrl = (text: string): boolean =>
  text.includes("://") || (!isPath.test(text) && /^\W*postgres|:.*@|password=/is.test(text))

const isPath = /^(\.{0,2}\/(?!\/)|\.{1,2}\\|[a-z]:[\\/])/i
