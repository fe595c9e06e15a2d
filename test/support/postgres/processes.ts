import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"

interface Entry {
  readonly pid: number
  readonly parent: number
  readonly ended: boolean
}

/* `4711 (name, with any signs) S 4710 ...`, where Z stands for a process that has ended and that nobody has asked for. */
const entryOf = (pid: string): ReadonlyArray<Entry> => {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8")
    const [state, parent] = line.slice(line.lastIndexOf(")") + 2).split(" ")
    return [{ pid: Number(pid), parent: Number(parent), ended: state === "Z" || state === "X" }]
  } catch {
    // It has ended meanwhile.
    return []
  }
}

const fromPs = (): ReadonlyArray<Entry> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" }).trim().split("\n").map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), ended: state!.startsWith("Z") }
  })

/* Containers often come without `ps`, and systems other than Linux without `/proc`. */
const entries = (): ReadonlyArray<Entry> =>
  existsSync("/proc/self/stat")
    ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap(entryOf)
    : fromPs()

/** The processes that a process has started and that have not ended. */
export const childrenOf = (parent: number): ReadonlyArray<number> =>
  entries().filter((entry) => entry.parent === parent && !entry.ended).map(({ pid }) => pid)

/** Those of the processes that have not ended. */
export const runningOf = (pids: ReadonlyArray<number>): ReadonlyArray<number> =>
  entries().filter(({ ended, pid }) => !ended && pids.includes(pid)).map(({ pid }) => pid)

/** Sends a signal to each process that is still there. */
export const signalTo = (pids: ReadonlyArray<number>, signal: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}
