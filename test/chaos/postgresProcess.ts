/* The processes of the takeover campaign, as the one that starts, stops and kills them sees them. */
import { Deferred, Effect, Fiber, Redacted } from "effect"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Call, Outcome } from "./postgresTrip.ts"

export type FromMember =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Call"; readonly number: number; readonly call: Call }
  | { readonly _tag: "Ended"; readonly trip: string; readonly outcome: Outcome }

export type ToMember =
  | { readonly _tag: "Execute"; readonly trip: string }
  | { readonly _tag: "Reply"; readonly call: number; readonly reply: number | null }

export interface Options {
  /** What the database calls it, too. */
  readonly name: string
  readonly role: "engine" | "client"
  readonly url: Redacted.Redacted
  /** The services that it calls. */
  readonly call: (call: Call) => Effect.Effect<number | null>
  readonly onEnded?: (trip: string, outcome: Outcome) => void
}

export interface Member {
  readonly name: string
  /** It has been started, and uses its store. */
  readonly ready: Effect.Effect<void>
  readonly send: (message: ToMember) => void
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Effect.Effect<void>
  /** Whether it has ended without having been killed. */
  readonly hasFailed: () => boolean
  /** The end of what it has printed so far. */
  readonly output: () => string
}

const program = fileURLToPath(new URL("postgresMember.ts", import.meta.url))

/** Starts a process, which is killed with the scope. */
export const startMember = ({ call, name, onEnded, role, url }: Options) =>
  Effect.acquireRelease(
    Effect.sync((): Member => {
      const ready = Deferred.makeUnsafe<void>()
      const ended = Deferred.makeUnsafe<void>()
      const child = fork(program, [], {
        execArgv: ["--conditions=effect-saga-source"],
        env: { ...process.env, CHAOS_NAME: name, CHAOS_ROLE: role, CHAOS_URL: Redacted.value(url) },
        stdio: ["ignore", "pipe", "pipe", "ipc"]
      })
      let output = ""
      let hasFailed = false
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.setEncoding("utf8").on("data", (text) => {
          output = (output + text).slice(-20_000)
        })
      }
      // Where it was killed meanwhile, there is nobody to tell.
      const send = (message: ToMember) => void (child.connected && child.send(message, () => {}))
      const calls = new Set<Fiber.Fiber<void>>()
      // It is this program that sends.
      child.on("message", (message: FromMember) => {
        if (message._tag === "Ready") Deferred.doneUnsafe(ready, Effect.void)
        else if (message._tag === "Ended") onEnded?.(message.trip, message.outcome)
        else {
          const reply = (ticket: number | null) => send({ _tag: "Reply", call: message.number, reply: ticket })
          const fiber = Effect.runFork(Effect.map(call(message.call), reply))
          calls.add(fiber)
          fiber.addObserver(() => calls.delete(fiber))
        }
      })
      child.once("exit", (_, signal) => {
        hasFailed = signal !== "SIGKILL"
        Deferred.doneUnsafe(ended, Effect.void)
      })
      child.once("error", () => Deferred.doneUnsafe(ended, Effect.void))
      return {
        name,
        ready: Effect.raceFirst(
          Deferred.await(ready),
          Effect.andThen(
            Deferred.await(ended),
            Effect.suspend(() => Effect.die(new Error(`${name} has ended before it was ready: ${output}`)))
          )
        ),
        send,
        signal: (signal) => void child.kill(signal),
        ended: Deferred.await(ended),
        hasFailed: () => hasFailed,
        output: () => output
      }
    }),
    (member) => Effect.andThen(Effect.sync(() => member.signal("SIGKILL")), member.ended)
  )
