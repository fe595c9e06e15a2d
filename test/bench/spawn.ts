import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { MemoryJob, MemoryResult, TimeJob, TimeResult } from "./child.ts"

const child = fileURLToPath(new URL("./child.ts", import.meta.url))

/* Loading the modules is half the time of a short child; with their bytecode at hand it is little. */
const cache = mkdtempSync(join(tmpdir(), "effect-saga-bench-"))
process.once("exit", () => rmSync(cache, { recursive: true, force: true }))

/** Measures in a process of its own. */
export const measure: {
  (job: TimeJob): TimeResult
  (job: MemoryJob): MemoryResult
} = (job: TimeJob | MemoryJob) => {
  const result = spawnSync(process.execPath, [...process.execArgv, child, JSON.stringify(job)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: cache }
  })
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) {
    throw new Error(`The process that measures ${JSON.stringify(job)} ended with ${result.status}`)
  }
  return JSON.parse(result.stdout)
}
