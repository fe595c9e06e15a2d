import { readFileSync } from "node:fs"
import { childrenOf } from "../../support/postgres/processes.ts"

/* As Linux counts it for `/proc`, whatever the kernel does itself. */
const ticksPerSecond = 100

/** Microseconds of processor time that a server and all its processes have used, where the system tells. */
export const usedBy = (server: number | undefined): number | undefined => {
  if (server === undefined || process.platform !== "linux") return undefined
  const ticks = childrenOf(server).reduce((sum, pid) => sum + ticksOf(pid, false), ticksOf(server, true))
  return ticks * 1_000_000 / ticksPerSecond
}

/* With that of its children that have ended, or without. */
const ticksOf = (pid: number, ended: boolean): number => {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name of a process, in parentheses, may have spaces. The times are fields 14 to 17, and this starts with 3.
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").slice(11, ended ? 15 : 13)
    return fields.reduce((sum, field) => sum + Number(field), 0)
  } catch {
    // It has ended meanwhile, and its parent has its time.
    return 0
  }
}
