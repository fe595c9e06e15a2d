import { cluster } from "./cluster.ts"
import type { Job } from "./job.ts"
import { main, type Variant } from "./load.ts"
import { oneRow } from "./oneRow.ts"
import { raw } from "./raw.ts"
import { saga } from "./saga.ts"

/* Measures one of those that need no package of their own, in a process of its own. */

const variants: Partial<Record<Job["variant"], Variant>> = {
  "effect-saga": saga,
  "Effect Cluster": cluster,
  raw,
  "one row": oneRow
}
const { variant }: Job = JSON.parse(process.argv[2]!)
await main(variants[variant]!)
