import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { MemoryJob, MemoryResult, TimeJob, TimeResult } from "./child.ts"
import type { Job, ResultOf } from "./durable/child.ts"
import type { Job as PostgresJob, Result as PostgresResult } from "./postgres/job.ts"

/* Loading the modules is half the time of a short child; with their bytecode at hand it is little. */
const cache = mkdtempSync(join(tmpdir(), "effect-saga-bench-"))
process.once("exit", () => rmSync(cache, { recursive: true, force: true }))

/** Measures in a process of its own. */
export const measure: {
  (job: TimeJob): TimeResult
  (job: MemoryJob): MemoryResult
} = (job: TimeJob | MemoryJob) => run("./child.ts", job)

/** Measures durable sagas in a process of its own. */
export const measureDurable = <J extends Job>(job: J): ResultOf<J> => run("./durable/child.ts", job)

const run = (child: string, job: { readonly task: string }) => {
  const path = fileURLToPath(new URL(child, import.meta.url))
  const { error, signal, status, stdout } = spawnSync(
    process.execPath,
    [...process.execArgv, path, JSON.stringify(job)],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: cache }
    }
  )
  if (error !== undefined) throw error
  // One of them dies on purpose, after its result.
  if (status !== 0 && !(job.task === "start" && signal === "SIGKILL" && stdout !== "")) {
    throw new Error(`The process that measures ${JSON.stringify(job)} ended with ${status ?? signal}`)
  }
  return JSON.parse(stdout)
}

/** Measures sagas on PostgreSQL in a process of its own. Meanwhile this one goes on, as it looks after the server. */
export const measurePostgres = (job: PostgresJob, databaseUrl: string): Promise<PostgresResult> =>
  new Promise((resolve, reject) => {
    const child = job.variant === "DBOS" ? "./postgres/peers/dbos.ts" : "./postgres/child.ts"
    const path = fileURLToPath(new URL(child, import.meta.url))
    let printed = ""
    // `pg`, which DBOS uses, warns of what DBOS does.
    const { stdout } = spawn(process.execPath, [...process.execArgv, "--no-deprecation", path, JSON.stringify(job)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: cache, DATABASE_URL: databaseUrl },
      timeout: 120_000,
      killSignal: "SIGKILL"
    })
      .once("error", reject)
      .once("close", (status, signal) => {
        if (status === 0) return resolve(JSON.parse(printed))
        reject(new Error(`The process that measures ${JSON.stringify(job)} ended with ${status ?? signal}`))
      })
    stdout.setEncoding("utf8").on("data", (chunk: string) => {
      printed += chunk
    })
  })
