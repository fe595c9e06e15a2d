import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"

/* Of `templates/starter`, and what they are called in the project: packages can't have a file of the first name. */
const files = [
  ["package.json", "package.json"],
  ["tsconfig.json", "tsconfig.json"],
  ["README.md", "README.md"],
  ["gitignore", ".gitignore"],
  ["hotel-is-down", "hotel-is-down"],
  ["src/main.ts", "src/main.ts"]
] as const

/** The names of the files of a starter project. */
export const names: ReadonlyArray<string> = files.map(([, name]) => name)

/** Those of its files that are in a folder already. */
export const existing = Effect.fnUntraced(function*(folder: string) {
  const { exists } = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  return yield* Effect.filter(names, (name) => exists(path.join(folder, name)))
})

/** Writes a starter project into a folder, which is made where there is none. Fails where one of its files is there. */
export const write = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<void, PlatformError, FileSystem.FileSystem | Path.Path> {
  const { makeDirectory, readFileString, writeFileString } = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // As far from here in `src` as in `dist`.
  const template = yield* Effect.orDie(path.fromFileUrl(new URL("../../templates/starter/", import.meta.url)))
  const texts = yield* Effect.forEach(files, ([source]) => readFileString(path.join(template, source)))
  yield* makeDirectory(path.join(folder, "src"), { recursive: true })
  yield* Effect.forEach(
    files,
    ([, name], index) => writeFileString(path.join(folder, name), texts[index]!, { flag: "wx" }),
    { discard: true }
  )
})
