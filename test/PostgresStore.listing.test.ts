import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import type { SagaStore } from "effect-saga"
import { readFileSync } from "node:fs"
import { migrations, version } from "../src/postgres/migrations.ts"
import * as Queries from "../src/postgres/queries.ts"
import * as Session from "../src/postgres/session.ts"
import { fromOptions } from "../src/postgres/settings.ts"
import { freshDatabase, query } from "./support/postgres/database.ts"
import { open, owned, type Place, place, rowsOf } from "./support/postgresStore.ts"
import { keysOf, reasonOf, recordOf, started } from "./support/storeValues.ts"

/* ------------------------------------------------------------------------------------------------ other versions */

/** The tables of the first version, with an execution that is parked. */
const firstVersion = Effect.fnUntraced(function*({ schema, url }: Place) {
  const [statements] = migrations(schema)
  const migrated = `${schema}.migrations`
  for (
    const statement of [
      `CREATE SCHEMA ${schema}`,
      `CREATE TABLE ${migrated} (number integer PRIMARY KEY, applied_at bigint NOT NULL, program text NOT NULL)`,
      ...statements!,
      `INSERT INTO ${migrated} VALUES (1, 0, 'effect-saga')`,
      `INSERT INTO ${schema}.executions
        VALUES (7, 'Trip/7', 'Trip', 1, 'Parked', true, 'refund failed', 'Holiday/1', 1007, 2007)`,
      `INSERT INTO ${schema}.events VALUES (7, 1, '{"started":7}')`
    ]
  ) yield* query(url, statement)
})

const contentOf = ({ schema, url }: Place) =>
  query(url, "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1)::oid ORDER BY oid", [schema])

describe("a store in PostgreSQL of an earlier version", () => {
  it.live("is upgraded when it is opened, with what is in it", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* firstVersion(at)

      const { commit, store } = yield* owned(at)

      const record = recordOf(7, {
        status: "Parked",
        cancelled: true,
        reason: "refund failed",
        parent: "Holiday/1",
        updatedAt: 2007
      })
      assert.deepStrictEqual(yield* store.find("Trip/7"), { record, events: [`{"started":7}`] })
      yield* commit([started(8, { error: "NoSeats", attributes: { to: "Lisbon" } })])
      assert.deepStrictEqual(keysOf(yield* store.list({ order: "oldest" })), [7, 8])
      assert.deepStrictEqual(keysOf(yield* store.list({ error: "NoSeats", attributes: { to: "Lisbon" } })), [8])
      assert.strictEqual((yield* store.inspect).version, version)
    }))

  it.live("is not opened, and stays as it is, where nothing may be migrated", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* firstVersion(at)
      const before = yield* contentOf(at)

      const reason = yield* reasonOf(Effect.scoped(open({ ...at, migrate: false })))

      assert(reason._tag === "Incompatible")
      assert.include(reason.message, `its tables have version 1, and version ${version} is needed`)
      assert.deepStrictEqual(yield* contentOf(at), before)
    }))

  it.live("is neither created in an empty schema, nor with one, where nothing may be migrated", () =>
    Effect.gen(function*() {
      const at = yield* place
      const absent = yield* reasonOf(Effect.scoped(open({ ...at, migrate: false })))
      yield* query(at.url, `CREATE SCHEMA ${at.schema}`)

      const empty = yield* reasonOf(Effect.scoped(open({ ...at, migrate: false })))

      assert(absent._tag === "Incompatible" && empty._tag === "Incompatible")
      assert.include(absent.message, "the schema does not exist")
      assert.include(empty.message, "there is no store in it yet")
      assert.deepStrictEqual(yield* contentOf(at), [])
    }))

  it.live("is opened where it has this version and nothing may be migrated", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* Effect.scoped(open(at))

      const store = yield* open({ ...at, migrate: false })

      assert.deepStrictEqual(yield* store.list(), [])
    }))
})

/* ------------------------------------------------------------------------------------------------ dead letters */

/** The appends of a journal up to one of its events, as those of the execution with this key. */
const golden = (name: string, key: number, last: number): ReadonlyArray<SagaStore.Append> =>
  readFileSync(new URL(`golden/${name}.jsonl`, import.meta.url), "utf8").trim().split("\n").slice(0, last)
    .map((line) => JSON.parse(line))
    .map(({ record, ...append }) => ({
      ...append,
      key,
      record: record === null
        ? undefined
        : { ...recordOf(key), ...record, key, id: `${name}/${key}`, error: `E${key}` },
      events: append.events.map((event: unknown) => JSON.stringify(event))
    }))

const letters = ({ schema, url }: Place) =>
  query(url, `SELECT *, cause::text AS cause FROM ${schema}.dead_letter ORDER BY execution, at, path`)

describe("dead_letter", () => {
  it.live("has what is parked until somebody has decided, and what was never undone", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* commit([
        ...golden("parked-retry", 1, 7),
        ...golden("parked-skip", 2, 8), // decided
        ...golden("parked-skip", 3, 100),
        ...golden("pivot-failed-skip", 4, 6),
        ...golden("pivot-failed-skip", 5, 100),
        ...golden("parked-resolve", 6, 100), // compensated
        ...golden("success", 7, 100)
      ])

      const rows = yield* letters(at)

      const shown = rows.map((row) => [
        row["execution"],
        row["status"],
        row["kind"],
        row["path"],
        row["reason"],
        row["error"],
        JSON.stringify(row["remaining"]),
        Number(row["at"])
      ])
      const refused = `Step "flight" could not be undone: CancelRefused.`
      const late = `It failed after its pivot: NoSeats: {"flight":"to the moon"}`
      const second = 1767603600000
      assert.deepStrictEqual(shown, [
        [
          "parked-retry/1",
          "Parked",
          "CompensationFailed",
          "flight",
          refused,
          "E1",
          `["flight"]`,
          second + 5000
        ],
        ["parked-skip/3", "Failed", "CompensationFailed", "flight", null, "E3", `["flight"]`, second + 6000],
        ["pivot-failed-skip/4", "Parked", "FailedAfterPivot", "hotel", late, "E4", "[]", second + 3000],
        ["pivot-failed-skip/5", "Failed", "FailedAfterPivot", "", null, "E5", "[]", second + 4000]
      ])
      assert.include(String(rows[0]!["cause"]), `"CancelRefused"`)
    }))

  it.live("shows one letter for each path, the last one, and none where the code fits again", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      const parked = (path: string, attempt: number, kind = "CompensationFailed") =>
        JSON.stringify({ _tag: "Parked", v: 1, at: attempt, kind, path, steps: [], attempt, reason: "", cause: [] })
      const events = [
        parked("a", 1),
        parked("b", 2),
        parked("", 3, "Mismatch"),
        JSON.stringify({ _tag: "Resumed", v: 1, at: 4 }),
        JSON.stringify({ _tag: "Retried", v: 1, at: 5, path: "a" }),
        parked("a", 6)
      ]

      yield* commit([{ key: 1, record: recordOf(1, { status: "Parked" }), firstSequence: 1, events }])

      assert.deepStrictEqual(yield* rowsOf(at, "path, at", "dead_letter"), ["a 6", "b 2"])
    }))

  it.live("reads journals with characters that the server does not have", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      const parked = {
        _tag: "Parked",
        v: 1,
        at: 1,
        kind: "CompensationFailed",
        path: "a",
        steps: [],
        attempt: 1,
        reason: "a \0 and half a \uD83D, a whole 🚀 and a \\u0000",
        cause: [{ _tag: "Fail", error: "\0\0\\\\\0" }]
      }

      yield* commit([{
        key: 1,
        record: recordOf(1, { status: "Parked", error: "\0" }),
        firstSequence: 1,
        events: [JSON.stringify({ _tag: "ExecutionStarted", payload: "\0 \uDE80" }), JSON.stringify(parked)]
      }])

      const [row] = yield* letters(at)
      assert.strictEqual(row!["reason"], "a \uFFFD and half a \uFFFD, a whole 🚀 and a \\u0000")
      assert.strictEqual(row!["error"], "\uFFFD")
      assert.deepStrictEqual(JSON.parse(String(row!["cause"])), [{ _tag: "Fail", error: "\uFFFD\uFFFD\\\\\uFFFD" }])
    }))
})

/* ------------------------------------------------------------------------------------------------ many executions */

const many = 20_000

/* Of the records that `fill` writes. */
const recordsOf = (): ReadonlyArray<SagaStore.ExecutionRecord> =>
  Array.from({ length: many }, (_, index) => {
    const key = index + 1
    const definition = key % 4 === 0 ? "Hotel" : "Trip"
    const isParked = key % 50 === 0
    // Several are created at a time, and not all in the order of their keys.
    const createdAt = 1_000_000 + Math.floor(key / 3) * 10 + (key % 7 === 0 ? -5 : 0)
    return recordOf(key, {
      id: `${definition}/${key}`,
      definition,
      status: isParked ? "Parked" : key % 50 === 1 ? "Running" : "Completed",
      error: isParked ? `E${key % 3}` : null,
      attributes: { tier: key % 10 === 0 ? "gold" : "iron", customer: `c${key % 500}` },
      createdAt,
      updatedAt: createdAt + key % 1000
    })
  })

/** A store with many executions, which nobody has counted, and what they are. */
const filled = Effect.gen(function*() {
  const url = yield* freshDatabase
  const at = { url, schema: "sagas" }
  const store = yield* open(at)
  for (const table of ["executions", "attributes"]) {
    yield* query(url, `ALTER TABLE sagas.${table} SET (autovacuum_enabled = false)`)
  }
  const records = recordsOf()
  yield* query(
    url,
    `INSERT INTO sagas.executions (
      key, id, definition, version, status, cancelled, created_at, updated_at, error, attributes
    )
    SELECT key, id, definition, 1, status, false, "createdAt", "updatedAt", error, attributes::text
    FROM json_to_recordset($1::json) AS given (
      key bigint, id text, definition text, status text, "createdAt" bigint, "updatedAt" bigint, error text, attributes json
    )`,
    [JSON.stringify(records)]
  )
  yield* query(
    url,
    `INSERT INTO sagas.attributes
    SELECT name, value, created_at, key FROM sagas.executions, json_each_text(attributes::json) AS a (name, value)`
  )
  return { at, store, records }
})

const filters: ReadonlyArray<SagaStore.ExecutionFilter> = [
  {},
  { statuses: ["Parked"] },
  { statuses: ["Parked", "Running"] },
  { statuses: ["Parked", "Completed"], definition: "Hotel" },
  { statuses: [] },
  { definition: "Trip" },
  { definition: "Tri" },
  { error: "E1" },
  { error: "E1", definition: "Hotel", statuses: ["Parked"] },
  { error: "\0" },
  { idPrefix: "Trip/1999" },
  { idPrefix: "Trip/" },
  { idPrefix: "Trip/", statuses: ["Parked"] },
  { idPrefix: "T" },
  { idPrefix: "Trip/\0" },
  { createdFrom: 1_050_000, createdBefore: 1_050_020 },
  { createdFrom: 1_050_000, createdBefore: 1_050_020, statuses: ["Completed"] },
  { updatedBefore: 1_001_000 },
  { updatedBefore: 1_060_000 },
  { updatedBefore: 1_060_000, statuses: ["Parked"], definition: "Hotel" },
  { attributes: { customer: "c5" } },
  { attributes: { tier: "iron" } },
  { attributes: { tier: "iron" }, idPrefix: "Hotel/1", createdFrom: 1_060_000 },
  { attributes: { tier: "iron", customer: "c5" } },
  { attributes: { tier: "gold", customer: "c5" } },
  { attributes: { tier: "iron" }, statuses: ["Running"], error: "E1" },
  { attributes: { tier: "gold" }, statuses: ["Parked"], error: "E1", updatedBefore: 1_050_000, definition: "Hotel" }
]

const matches = (record: SagaStore.ExecutionRecord, filter: SagaStore.ExecutionFilter): boolean =>
  (filter.statuses === undefined || filter.statuses.includes(record.status)) &&
  (filter.definition === undefined || filter.definition === record.definition) &&
  (filter.error === undefined || filter.error === record.error) &&
  record.id.startsWith(filter.idPrefix ?? "") &&
  record.createdAt >= (filter.createdFrom ?? 0) && record.createdAt < (filter.createdBefore ?? Infinity) &&
  record.updatedAt < (filter.updatedBefore ?? Infinity) &&
  Object.entries(filter.attributes ?? {}).every(([name, value]) => record.attributes[name] === value)

/** A literal of SQL for what the driver is given. */
const literal = (parameter: unknown): string => {
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
  if (typeof parameter === "string") return quoted(parameter)
  const { value } = parameter as { readonly value: ReadonlyArray<string> }
  return `ARRAY[${value.map(quoted).join(", ")}]::text[]`
}

describe("lists of many executions in PostgreSQL", () => {
  it.live("are what was asked for, in pages, in both orders", () =>
    Effect.gen(function*() {
      const { records, store } = yield* filled
      const oldest = records.toSorted((one, other) => one.createdAt - other.createdAt || one.key - other.key)

      for (const filter of filters) {
        const expected = oldest.filter((record) => matches(record, filter))
        for (const order of ["oldest", "newest"] as const) {
          const ordered = order === "oldest" ? expected : expected.toReversed()
          const first = yield* store.list({ ...filter, order, limit: 30 })
          const second = yield* store.list({ ...filter, order, limit: 30, after: first.at(-1) })
          const what = `${JSON.stringify(filter)}, ${order}`
          assert.deepStrictEqual(first, ordered.slice(0, 30), what)
          if (first.length > 0) assert.deepStrictEqual(keysOf(second), keysOf(ordered.slice(30, 60)), what)
        }
        assert.strictEqual(yield* store.count(filter), expected.length, JSON.stringify(filter))
      }
    }), 30_000)

  it.live("are found by what ids begin with, however long that is and whatever comes last in it", () =>
    Effect.gen(function*() {
      const { commit, store } = yield* owned(yield* place)
      const long = "x🚀".repeat(150)
      const ends = [
        "",
        "a",
        "\uD7FF",
        "\uE000",
        "\uFFFD",
        "🚀",
        "\u{10FFFF}",
        "\u{10FFFF}a",
        long,
        `${long}a`,
        `${long}\u{10FFFF}`
      ]
      const ids = ends.map((end) => `Trip/${end}`)
      yield* commit(ids.map((id, index) => started(index + 1, { id })))

      for (const idPrefix of ["Trip", ...ids, "trip/", "Trip/%", `Trip/${long}b`]) {
        const found = yield* store.list({ idPrefix, order: "oldest" })
        assert.deepStrictEqual(found.map(({ id }) => id), ids.filter((id) => id.startsWith(idPrefix)), idPrefix)
        assert.strictEqual(yield* store.count({ idPrefix }), found.length)
      }
      assert.lengthOf(yield* store.list({ idPrefix: "\u{10FFFF}" }), 0)
    }))

  it.live("are found by indexes, before anybody has counted the rows", () =>
    Effect.gen(function*() {
      const { at } = yield* filled
      const session = yield* Session.open(fromOptions("test", at))
      const plans: Array<{ readonly sql: string; readonly plan: string }> = []
      const explained: Session.Session = {
        ...session,
        query: (sql, parameters = []) =>
          Effect.gen(function*() {
            const given = parameters.length === 0 ? "" : `(${parameters.map(literal).join(", ")})`
            yield* session.queryOnce(`PREPARE statement AS ${sql}`)
            const rows = yield* session.queryOnce(`EXPLAIN (ANALYZE, TIMING OFF, BUFFERS) EXECUTE statement${given}`)
            yield* session.queryOnce("DEALLOCATE statement")
            plans.push({ sql, plan: rows.map((row) => row["QUERY PLAN"]).join("\n") })
            return yield* session.query(sql, parameters)
          })
      }
      const queries = Queries.make(at.schema)

      const explain = (rows: ReturnType<typeof queries.count>) =>
        Effect.suspend(() => {
          const before = plans.length
          return Effect.map(rows(explained), () => plans.slice(before).map(({ plan }) => plan).join("\n"))
        })

      for (const filter of filters) {
        yield* explain(queries.list({ ...filter, limit: 30 }))
        yield* explain(queries.count(filter))
      }
      yield* explain(queries.unfinished(undefined, 30))
      yield* explain(queries.counts(0))

      for (const { plan, sql } of plans) assert.notInclude(plan, "Seq Scan", `${sql}\n${plan}`)
      const pages: ReadonlyArray<readonly [index: string, rows: ReturnType<typeof queries.count>]> = [
        ["executions_by_time", queries.list({ limit: 10 })],
        ["executions_by_time", queries.list({ limit: 10, order: "oldest", createdFrom: 1_050_000 })],
        ["executions_by_status", queries.list({ limit: 10, statuses: ["Completed"] })],
        ["executions_by_status", queries.list({ limit: 10, idPrefix: "Trip/" })],
        ["executions_by_error", queries.list({ limit: 10, error: "E1" })],
        ["executions_by_prefix", queries.list({ limit: 10, idPrefix: "Trip/1999" })],
        ["executions_by_change", queries.list({ limit: 10, updatedBefore: 1_000_500 })],
        ["executions_by_change", queries.changed(1_050_000, undefined, 10)],
        ["attributes_pkey", queries.list({ limit: 10, attributes: { customer: "c5" } })],
        ["attributes_pkey", queries.list({ limit: 10, attributes: { tier: "iron" } })]
      ]
      for (const [index, rows] of pages) {
        const plan = yield* explain(rows)
        const page = plan.slice(plan.lastIndexOf("Limit"))
        const [, blocks] = /Buffers: shared hit=(\d+)/.exec(page)!
        assert.include(plan, index)
        assert.isBelow(Number(blocks), 150, plan)
      }
    }), 30_000)
})

/* ------------------------------------------------------------------------------------------------ the rest */

describe("a store in PostgreSQL", () => {
  it.live("deletes what lists look for together with its execution", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit, store } = yield* owned(at)
      const attributes = { "a \"name\"": "it's", half: "\uD83D" }
      yield* commit([
        started(1, { status: "Completed", attributes }),
        started(2, { status: "Completed" }),
        started(3, { attributes: { left: "" } })
      ])
      const told: Array<number> = []

      const count = yield* store.prune({ finishedBefore: 10_000, onProgress: (deleted) => told.push(deleted) })

      assert.deepStrictEqual([count, told], [2, [2]])
      assert.deepStrictEqual(yield* rowsOf(at, "name, key", "attributes"), ["left 3"])
    }))

  it.live("says of its owner whether it counts as alive, by the clock of the server", () =>
    Effect.gen(function*() {
      const at = yield* place
      const none = yield* Effect.flatMap(open(at), ({ inspect }) => inspect)
      const { store } = yield* owned(at)

      const alive = yield* store.inspect
      // With another epoch nobody gives signs of life.
      yield* query(at.url, `UPDATE ${at.schema}.owner SET epoch = 7, pid = 999999999`)
      const dead = yield* store.inspect
      yield* query(at.url, `UPDATE ${at.schema}.owner SET process = 'elsewhere', heartbeat_at = heartbeat_at - 3600000`)
      // The server itself may have been there for less than the lease.
      const silent = yield* Effect.repeat(store.inspect, {
        until: ({ owner }) => owner?.isAlive !== true,
        schedule: Schedule.spaced("50 millis"),
        times: 100
      })
      yield* query(at.url, `UPDATE ${at.schema}.owner SET released_at = 1`)
      const released = yield* store.inspect

      assert.isUndefined(none.owner)
      assert.deepInclude(alive.owner, { name: "engine", pid: process.pid, isAlive: true })
      assert.isBelow(alive.owner!.silence, 3000)
      assert.isAbove(alive.bytes!, 8192)
      assert.isFalse(dead.owner!.isAlive)
      assert.isFalse(silent.owner!.isAlive)
      assert.isAtLeast(silent.owner!.silence, 4000)
      assert.isUndefined(released.owner)
    }))
})
