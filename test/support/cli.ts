/*
 * The command line in the process of the tests, and as a process of its own; and a store with executions in all statuses
 * to run it on.
 */
import { NodeServices } from "@effect/platform-node"
import {
  type Cause,
  ConfigProvider,
  Console,
  Effect,
  Layer,
  Option,
  PlatformError,
  Queue,
  Schema,
  Sink,
  Stdio,
  Stream,
  Terminal
} from "effect"
import { JournalEvent, SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import { run as runCli } from "../../src/cli/run.ts"
import { file } from "./sqliteFile.ts"
import * as Timeline from "./timeline.ts"

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** All of the environment, besides what a process needs to start. */
  readonly env?: Record<string, string> | undefined
  /** How wide the terminal is. Without it, there is none. */
  readonly columns?: number | undefined
  /** What is on standard input. */
  readonly stdin?: string | Uint8Array | undefined
  /** What somebody types who is asked in a terminal. */
  readonly answer?: Effect.Effect<string> | undefined
  /** Whether nobody reads standard output any more. */
  readonly unread?: boolean | undefined
  /** Whether there is no room for what is printed, on these streams. */
  readonly full?: ReadonlyArray<"stdout" | "stderr"> | undefined
  /** Is told what is printed, as soon as it is. */
  readonly onPrint?: ((text: string) => void) | undefined
  /** What a process runs. */
  readonly main?: string | undefined
}

const typed = Effect.fnUntraced(function*(text: string) {
  const queue = yield* Queue.unbounded<Terminal.UserInput, Cause.Done>()
  yield* Queue.offerAll(
    queue,
    Array.from(text, (key) => ({
      input: Option.some(key),
      key: { name: key, ctrl: false, meta: false, shift: false }
    }))
  )
  return queue
})

const notWritten = (code: string) =>
  Sink.fail(PlatformError.systemError({
    _tag: "BadResource",
    module: "Stdio",
    method: "stdout",
    cause: Object.assign(new Error(`write ${code}`), { code })
  }))

/** Runs a command line here, at the time of the caller's clock. */
export const run = (
  args: ReadonlyArray<string>,
  { answer, columns, env = {}, full = [], onPrint, stdin = "", unread = false }: RunOptions = {}
): Effect.Effect<Ran> =>
  Effect.suspend(() => {
    let stdout = ""
    let stderr = ""
    const out = (text: string) => {
      stdout += text
      onPrint?.(text)
    }
    const err = (text: string) => {
      stderr += text
      onPrint?.(text)
    }
    const recording: Console.Console = Object.assign(Object.create(console), {
      log: (...args: ReadonlyArray<unknown>) => out(`${format(...args)}\n`),
      error: (...args: ReadonlyArray<unknown>) => err(`${format(...args)}\n`)
    })
    const write = (to: (text: string) => void) => () =>
      Sink.forEach((chunk: string | Uint8Array) =>
        Effect.sync(() => to(typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)))
      )
    const isTerminal = Effect.succeed(columns !== undefined)
    const stdio = Stdio.layerTest({
      stdin: Stream.succeed(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin),
      stdinIsTerminal: isTerminal,
      stdoutIsTerminal: isTerminal,
      stderrIsTerminal: isTerminal,
      stdout: unread || full.includes("stdout") ? () => notWritten(unread ? "EPIPE" : "ENOSPC") : write(out),
      stderr: full.includes("stderr") ? () => notWritten("ENOSPC") : write(err)
    })
    const terminal = Layer.effect(
      Terminal.Terminal,
      Effect.map(Terminal.Terminal, (terminal) => ({
        ...terminal,
        columns: Effect.succeed(columns ?? 0),
        display: (text) => Effect.sync(() => out(text)),
        readInput: answer === undefined ? terminal.readInput : Effect.flatMap(answer, typed)
      }))
    )
    return runCli(args).pipe(
      Effect.provideService(Console.Console, recording),
      Effect.provide(Layer.mergeAll(stdio, terminal).pipe(Layer.provideMerge(NodeServices.layer))),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))),
      Effect.map((code) => ({ code, stdout, stderr }))
    )
  })

export const program = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

/** Runs a command line as a process, which takes about half a second. */
export const spawn = (
  args: ReadonlyArray<string>,
  { env = {}, main = program, stdin = "" }: RunOptions = {}
): Effect.Effect<Ran> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      ["--conditions=effect-saga-source", main, ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (error, stdout, stderr) =>
        resume(Effect.succeed({ code: error === null ? 0 : error.code as number, stdout, stderr }))
    )
    child.stdin!.end(stdin)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** When the executions of the store began, each a minute after the one before; the day after that is `now`. */
export const { morning } = Timeline

export const now = morning + 86_400_000

const encode = Schema.encodeSync(JournalEvent.JournalEvent)

/** An execution that this was written of. */
export const execution = (
  key: number,
  id: string,
  fields: Partial<SagaStore.ExecutionRecord>,
  ...written: ReadonlyArray<Timeline.Written>
): SagaStore.Append => {
  const definition = id.slice(0, id.indexOf("/"))
  const { events } = Timeline.journal({ id, definition, payload: { id: id.slice(definition.length + 1) } }, ...written)
  const later = (key - 1) * 60_000
  return {
    key,
    record: {
      key,
      id,
      definition,
      version: 1,
      status: "Running",
      cancelled: false,
      reason: null,
      error: null,
      attributes: {},
      parent: null,
      createdAt: morning + later,
      updatedAt: events.at(-1)!.at + later,
      ...fields
    },
    firstSequence: 1,
    events: events.map((event) => JSON.stringify(encode({ ...event, at: event.at + later })))
  }
}

/** An id that has to be quoted in a shell, and would be taken for an option. */
export const oddId = "-odd/it's \u001b[31mred\nand long"

/** In all statuses. */
export const executions: ReadonlyArray<SagaStore.Append> = [
  execution(
    1,
    "Booking/41",
    { status: "Completed", attributes: { customer: "ada" } },
    Timeline.succeeded("flight", "hotel"),
    Timeline.succeeded("hotel"),
    ["ExecutionCompleted", { result: "booked" }]
  ),
  execution(
    2,
    "Booking/42",
    {
      status: "Parked",
      reason: `Step "hotel" could not be undone: HotelDown.`,
      error: "HotelDown",
      attributes: { customer: "alice", city: "Paris" }
    },
    Timeline.succeeded("flight", "hotel"),
    Timeline.succeeded("hotel", "car"),
    Timeline.failed("car", Timeline.fail("NoCarLeft")),
    Timeline.unwinding("", ["hotel", "flight"], Timeline.fail("NoCarLeft")),
    Timeline.parkedFor("hotel", 3)
  ),
  execution(
    3,
    "Booking/43",
    { status: "Compensated", error: "NoCarLeft" },
    Timeline.succeeded("flight", "car"),
    Timeline.failed("car", Timeline.fail("NoCarLeft")),
    Timeline.unwinding("", ["flight"], Timeline.fail("NoCarLeft")),
    Timeline.compensated("flight"),
    ["UnwindFinished", { scope: "", remaining: [] }],
    ["ExecutionCompensated", { result: Timeline.fail("NoCarLeft") }]
  ),
  execution(4, "Booking/44", { status: "Running" }, Timeline.succeeded("flight", "hotel")),
  execution(
    5,
    "Booking/45",
    { status: "Waiting" },
    Timeline.succeeded("flight"),
    ["SignalAwaited", { path: "approval", name: "approved" }]
  ),
  execution(
    6,
    "Booking/46",
    { status: "Compensating", cancelled: true },
    Timeline.succeeded("flight"),
    ["CancelRequested", { operator: "ada", reason: "the customer called" }],
    Timeline.unwinding("", ["flight"], Timeline.interrupt)
  ),
  execution(
    7,
    "Booking/47",
    { status: "Failed", error: "NoCarLeft" },
    Timeline.succeeded("flight", "car"),
    Timeline.failed("car", Timeline.fail("NoCarLeft")),
    Timeline.unwinding("", ["flight"], Timeline.fail("NoCarLeft")),
    Timeline.parkedFor("flight"),
    ["Skipped", { path: "flight", operator: "ada", reason: "refunded by phone" }],
    ["UnwindFinished", { scope: "", remaining: ["flight"] }],
    ["ExecutionFailed", { result: Timeline.fail("NoCarLeft") }]
  ),
  execution(
    8,
    "Transfer/7",
    { status: "Parked", reason: "It failed after its pivot: Refused", error: "Refused" },
    Timeline.succeeded("debit", "credit"),
    ["SagaCommitted", { path: "debit" }],
    Timeline.failed("credit"),
    Timeline.parkedAfterPivot("credit", "credit")
  ),
  execution(
    9,
    oddId,
    { status: "Parked", reason: `Step "-\u202edlo" could not be undone: Stuck.`, error: "Stuck" },
    Timeline.succeeded("-\u202edlo"),
    Timeline.unwinding("", ["-\u202edlo"]),
    Timeline.parkedFor("-\u202edlo")
  )
]

/** Writes executions into a store, and leaves it. */
export const seed = (appends: ReadonlyArray<SagaStore.Append>) =>
  Effect.scoped(
    Effect.flatMap(SagaStore.SagaStore, (store) =>
      Effect.flatMap(store.acquire({ owner: "seed", standby: false }), ({ commit }) => commit(appends)))
  )

/** A file with these executions, which is deleted with the scope. */
export const seededFile = Effect.fnUntraced(function*(appends: ReadonlyArray<SagaStore.Append> = executions) {
  const filename = yield* file
  yield* Effect.orDie(Effect.provide(seed(appends), SagaStore.layerSqlite({ filename })))
  return filename
})

/** As `seededFile`; and the clock of the test is set to `now`. */
export const seeded = (appends?: ReadonlyArray<SagaStore.Append>) =>
  Effect.tap(seededFile(appends), TestClock.setTime(now))

const shownArgument = (arg: string): string => /^[\w/.:=@,-]+$/.test(arg) ? arg : JSON.stringify(arg)

/** What a terminal shows of it, for golden files: the command, what it printed on each stream, and its code. */
export const transcript = (args: ReadonlyArray<string>, { code, stderr, stdout }: Ran): string =>
  [
    `$ effect-saga ${args.map(shownArgument).join(" ")}`,
    stdout.trimEnd(),
    ...(stderr === "" ? [] : ["--- standard error", stderr.trimEnd()]),
    `--- exit ${code}`,
    "",
    ""
  ].join("\n")

/** Runs several command lines on a file, one after another. The file is called "sagas.db" in what they print. */
export const transcripts = (
  filename: string,
  all: ReadonlyArray<ReadonlyArray<string>>,
  options?: RunOptions
): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(all, (args) =>
      Effect.map(
        run(args, { ...options, env: { EFFECT_SAGA_DB: filename, ...options?.env } }),
        (ran) => transcript(args, ran)
      )),
    (texts) => texts.join("").replaceAll(filename, "sagas.db")
  )

export const golden = (name: string): URL => new URL(`../golden/cli/${name}.txt`, import.meta.url)
