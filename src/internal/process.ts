/// <reference types="node" />
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import * as process from "node:process"
import { guarded } from "./guard.ts"

/*
 * Whether the process that owns a store still lives. A process id says little by itself: containers that share a file
 * can have one host name and each a process 1, and an id is given again after its process has ended. So an owner writes
 * down in which process namespace of which boot it runs, and when it started. Where that can't be known (only Linux has
 * it in files), or where the other runs elsewhere, nothing is proven, and its heartbeat has to tell.
 */

export interface ProcessIdentity {
  readonly host: string
  readonly pid: number
  /** The namespace, and the time of the start, of the process; empty where the system does not tell. */
  readonly process: string
}

export const self = (): ProcessIdentity => ({
  host: hostname(),
  pid: process.pid,
  process: `${namespace()} ${stateOf(process.pid)?.startedAt ?? ""}`.trim()
})

/** Whether it is certain that the process has ended. */
export const isDead = (other: ProcessIdentity): boolean => {
  const [space = "", startedAt = ""] = other.process.split(" ")
  if (other.host !== hostname() || space !== namespace()) return false
  if (!exists(other.pid)) return true
  const state = stateOf(other.pid)
  // A zombie has ended too, although its parent has not taken notice.
  return state !== undefined && (state.code === "Z" || state.startedAt !== startedAt)
}

const exists = (pid: number): boolean => {
  const exit = Effect.runSyncExit(Effect.try({ try: () => process.kill(pid, 0), catch: (error) => error }))
  if (Exit.isSuccess(exit)) return true
  return !exit.cause.reasons.some((reason) => reason._tag === "Fail" && isNoSuchProcess(reason.error))
}

const isNoSuchProcess = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "ESRCH"

const namespace = (): string =>
  guarded(() =>
    `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${readlinkSync("/proc/self/ns/pid")}`
  ) ?? ""

/* The fields of /proc/<pid>/stat follow the name of the program, which is in parentheses and may contain some. */
const stateOf = (pid: number): { readonly code: string; readonly startedAt: string } | undefined =>
  guarded(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { code: fields[0]!, startedAt: fields[19]! }
  })
