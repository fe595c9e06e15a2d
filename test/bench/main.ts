import { createRequire } from "node:module"
import { availableParallelism, cpus, loadavg } from "node:os"
import { durable } from "./durable.ts"
import { listing } from "./listing.ts"
import { memory } from "./memory.ts"
import { postgres } from "./postgres.ts"
import { parse } from "./settings.ts"
import { time } from "./time.ts"

const settings = parse(process.argv.slice(2))

const { version } = createRequire(import.meta.url)("effect/package.json") as { readonly version: string }
console.log(
  `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.versions.node}, ` +
    `effect ${version}, load ${loadavg()[0]!.toFixed(1)} at the start`
)
console.log(
  `Times: each variant in a process of its own in each of ${settings.rounds} interleaved rounds, medians; processor ` +
    `time of the thread that runs it; ` +
    (settings.runner === "sync" ? "Effect.runSyncExit" : "Effect.runPromiseExit") +
    (settings.quick ? "; a quick run, whose figures say little" : "")
)
console.log("")

time(settings)
memory(settings)
durable(settings)
await listing(settings)
await postgres(settings)
