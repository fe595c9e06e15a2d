import { Context, Effect, Layer, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { deepStrictEqual } from "node:assert"
import { loadavg } from "node:os"
import { DatabaseSync } from "node:sqlite"
import * as Folder from "./durable/folder.ts"
import { type Case, cases } from "./listing/cases.ts"
import { fill, now } from "./listing/fill.ts"
import type { Settings } from "./settings.ts"
import { median, quantile } from "./statistics.ts"
import { decimal, integer, table } from "./table.ts"

const goal = 50

const limit = 100

type Service = SagaStore.SagaStore["Service"]

interface Measured {
  readonly name: string
  readonly p50: number
  readonly p95: number
  readonly worst: number
}

export const listing = async (settings: Settings): Promise<void> => {
  if (!settings.selects("listing")) return
  const executions = settings.quick ? 50_000 : 1_000_000
  const runs = settings.quick ? 3 : 21
  const filename = Folder.make().newFile()
  const scope = await Effect.runPromise(Scope.make())
  const store = await Effect.runPromise(
    Effect.map(
      Layer.buildWithScope(SagaStore.layerSqlite({ filename }), scope),
      Context.get(SagaStore.SagaStore)
    )
  )
  const database = new DatabaseSync(filename)
  fill(database, executions)

  const pages: Array<Measured> = []
  for (const one of cases(executions)) {
    const oldestFirst = allOf(database, one)
    for (const order of ["newest", "oldest"] as const) {
      const all = order === "oldest" ? oldestFirst : oldestFirst.toReversed()
      for (const [position, offset] of pagesOf(all.length)) {
        const options = { ...one.filter, order, after: all[offset - 1], limit }
        // That it is fast is worth nothing where it is wrong.
        const page = await Effect.runPromise(store.list(options))
        const expected = all.slice(offset, offset + limit)
        deepStrictEqual(page.map(({ key }) => key), expected.map(({ key }) => key), JSON.stringify(options))
        pages.push(await measure(`${one.name}, ${order}, ${position}`, runs, store.list(options)))
      }
    }
  }
  const plain = pages[0]!
  console.log(
    `listing: pages of ${limit} of ${integer(executions)} executions in SQLite, ${runs} runs each, ` +
      `load ${decimal(loadavg()[0]!, 1)} at the end\n${
        table(
          ["", "p50 ms", "p95 ms", "worst ms", "of plain", "goal"],
          pages.map((page) => [...row(page), decimal(page.p50 / plain.p50, 1), page.p95 < goal ? "" : `< ${goal} ms`])
        )
      }\n`
  )

  const others: Array<Measured> = []
  for (const [name, effect] of reads(store)) others.push(await measure(name, runs, effect))
  console.log(`listing/others: what has no goal\n${table(["", "p50 ms", "p95 ms", "worst ms"], others.map(row))}\n`)

  database.close()
  await Effect.runPromise(Scope.close(scope, Effect.runSync(Effect.exit(Effect.void))))
}

const row = ({ name, p50, p95, worst }: Measured): ReadonlyArray<string> => [
  name,
  ...[p50, p95, worst].map((value) => decimal(value, 2))
]

const measure = async (
  name: string,
  runs: number,
  effect: Effect.Effect<unknown, SagaStore.SagaStoreError>
): Promise<Measured> => {
  const samples: Array<number> = []
  for (let index = 0; index < runs; index++) {
    const start = performance.now()
    await Effect.runPromise(effect)
    samples.push(performance.now() - start)
  }
  return { name, p50: median(samples), p95: quantile(samples, 0.95), worst: Math.max(...samples) }
}

/** All that belong to the list in its order, found without an index. */
const allOf = (database: DatabaseSync, { where }: Case): ReadonlyArray<SagaStore.Position> =>
  database.prepare(
    `SELECT created_at AS createdAt, key FROM executions NOT INDEXED WHERE ${where} ORDER BY created_at, key`
  ).all() as unknown as ReadonlyArray<SagaStore.Position>

/** How many come before the page: none, half of them, and all but the last hundred. */
const pagesOf = (count: number): ReadonlyArray<readonly [position: string, offset: number]> => [
  ["first", 0],
  ...(count <= 2 * limit ? [] : [["middle", Math.floor(count / 2)], ["last", count - limit]] as const)
]

const reads = (store: Service): ReadonlyArray<readonly [string, Effect.Effect<unknown, SagaStore.SagaStoreError>]> => [
  ["counts of the last hour", store.counts({ since: now - 3_600_000 })],
  ["count of all", store.count()],
  ["count of parked", store.count({ statuses: ["Parked"] })],
  ["count of a region", store.count({ attributes: { region: "eu" } })],
  ["count of a region, failed", store.count({ attributes: { region: "eu" }, statuses: ["Failed"] })],
  ["count of ids", store.count({ idPrefix: "Order/27" })],
  ["changed in the last hour, 500", store.changed({ from: now - 3_600_000, limit: 500 })],
  ["unfinished, 500", store.unfinished({ after: undefined, limit: 500 })],
  ["inspect", store.inspect]
]
