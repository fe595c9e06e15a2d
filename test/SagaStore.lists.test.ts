import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { SagaStore } from "effect-saga"
import { DatabaseSync } from "node:sqlite"
import { file, open } from "./support/sqliteFile.ts"
import { keysOf } from "./support/storeValues.ts"

/*
 * Which index a list is read from depends on how many there are, so this is a file with many of everything: of 110,000
 * executions, half are orders with dates for ids; what is odd has completed; some were changed before they were created.
 */
const executions = 110_000

const fill = (database: DatabaseSync) =>
  database.exec(`
    BEGIN;
    INSERT INTO executions
      (key, id, definition, version, status, cancelled, error, attributes, created_at, updated_at)
    WITH RECURSIVE keys (key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM keys WHERE key < ${executions})
    SELECT key, definition || '/' || CASE definition WHEN 'Order' THEN 100000 + key ELSE (key * 7919) % 110017 END,
      definition, 1,
      CASE WHEN key % 1000 = 0 THEN 'Parked' WHEN key % 2 = 1 THEN 'Completed' ELSE 'Compensated' END, 0,
      CASE WHEN key % 2 = 0 THEN 'NoSeats' END, json_object('region', region), created_at,
      created_at + CASE WHEN key % 5000 = 0 THEN -400000 ELSE key % 100 END
    FROM (
      SELECT key, CASE WHEN key % 4 < 2 THEN 'Order' ELSE 'Trip' || (key % 5) END AS definition,
        CASE WHEN key % 16 < 15 THEN 'eu' ELSE 'us' END AS region,
        1000000 + key * 10 - CASE WHEN key % 777 = 0 THEN 5000 ELSE 0 END AS created_at
      FROM keys
    );
    INSERT INTO attributes (name, value, created_at, execution)
      SELECT 'region', attributes ->> 'region', created_at, key FROM executions;
    COMMIT;
  `)

const eu = { attributes: { region: "eu" } }
const isEu = "attributes ->> 'region' = 'eu'"
const middle = 1_000_000 + executions * 5

const cases: ReadonlyArray<readonly [name: string, filter: SagaStore.ExecutionFilter, where: string]> = [
  ["all", {}, "true"],
  ["a definition", { definition: "Order" }, "definition = 'Order'"],
  ["an attribute", eu, isEu],
  ["an attribute and a status", { ...eu, statuses: ["Completed"] }, `${isEu} AND status = 'Completed'`],
  ["an attribute and a status that few have", { ...eu, statuses: ["Parked"] }, `${isEu} AND status = 'Parked'`],
  ["an attribute and a definition", { ...eu, definition: "Trip3" }, `${isEu} AND definition = 'Trip3'`],
  ["an attribute and an error", { ...eu, error: "NoSeats" }, `${isEu} AND error = 'NoSeats'`],
  ["an error that many have", { error: "NoSeats" }, "error = 'NoSeats'"],
  ["ids of a definition", { idPrefix: "Order/" }, "id GLOB 'Order/*'"],
  ["ids in order", { idPrefix: "Order/15" }, "id GLOB 'Order/15*'"],
  ["a few ids", { idPrefix: "Order/150" }, "id GLOB 'Order/150*'"],
  ["ids in order, and an attribute", { idPrefix: "Order/1", ...eu }, `id GLOB 'Order/1*' AND ${isEu}`],
  ["ids of many definitions", { idPrefix: "Trip" }, "id GLOB 'Trip*'"],
  [
    "ids and statuses",
    { idPrefix: "Tr", statuses: ["Completed", "Parked"] },
    "id GLOB 'Tr*' AND status <> 'Compensated'"
  ],
  ["what has not changed for long", { updatedBefore: middle }, `updated_at < ${middle}`],
  ["what has hardly ever changed", { updatedBefore: 1_000_500 }, "updated_at < 1000500"],
  ["an attribute, unchanged", { updatedBefore: middle, ...eu }, `updated_at < ${middle} AND ${isEu}`],
  [
    "a status, unchanged",
    { updatedBefore: middle, statuses: ["Compensated"] },
    `updated_at < ${middle} AND status = 'Compensated'`
  ],
  [
    "ids, unchanged, created in a time",
    { idPrefix: "Order/1", updatedBefore: middle, createdFrom: 1_100_000, createdBefore: middle + 100 },
    `id GLOB 'Order/1*' AND updated_at < ${middle} AND created_at >= 1100000 AND created_at < ${middle + 100}`
  ]
]

describe("lists of a SQLite file with many executions", () => {
  const scope = Effect.runSync(Scope.make())
  let store: SagaStore.SagaStore["Service"]
  let database: DatabaseSync

  beforeAll(() =>
    Effect.gen(function*() {
      const filename = yield* file
      store = yield* open({ filename })
      database = new DatabaseSync(filename)
      fill(database)
      yield* Effect.addFinalizer(() => Effect.sync(() => database.close()))
    }).pipe(Scope.provide(scope), Effect.runPromise)
  )

  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const [name, filter, where] of cases) {
    it.effect(`have just what is asked for, in order, wherever the page begins: ${name}`, () =>
      Effect.gen(function*() {
        const oldest = database
          .prepare(
            `SELECT created_at AS createdAt, key FROM executions NOT INDEXED WHERE ${where} ORDER BY created_at, key`
          )
          .all() as unknown as ReadonlyArray<SagaStore.Position>

        assert.isNotEmpty(oldest)
        assert.strictEqual(yield* store.count(filter), oldest.length)
        for (const order of ["oldest", "newest"] as const) {
          const all = order === "oldest" ? oldest : oldest.toReversed()
          for (const offset of [0, 1, Math.floor(all.length / 3), all.length - 20, all.length]) {
            const page = yield* store.list({ ...filter, order, after: all[offset - 1], limit: 50 })

            assert.deepStrictEqual(keysOf(page), all.slice(Math.max(0, offset), offset + 50).map(({ key }) => key))
          }
        }
      }))
  }
})
