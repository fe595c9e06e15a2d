import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { self } from "../src/internal/process.ts"
import { version } from "../src/sqlite/schema.ts"
import { execute, file, open, select } from "./support/sqliteFile.ts"
import { keysOf, reasonOf, recordOf, started } from "./support/storeValues.ts"

const version1 = readFileSync(new URL("support/sqliteVersion1.sql", import.meta.url), "utf8")

for (const worker of [false, true]) {
  const look = (filename: string) => open({ filename, worker, migrate: false })

  describe(`a SQLite file that is not to be migrated${worker ? ", in a thread of its own" : ""}`, () => {
    it.effect("is not made where there is none", () =>
      Effect.gen(function*() {
        const filename = yield* file

        const reason = yield* reasonOf(look(filename))
        const nowhere = yield* reasonOf(look(`${filename}/sagas.db`))

        assert.deepInclude(reason, { _tag: "Unavailable", problem: "missing" })
        assert.include(reason.message, "there is no such file")
        assert.include(reason.message, filename)
        assert.deepInclude(nowhere, { _tag: "Unavailable", problem: "missing" })
        assert.deepStrictEqual(readdirSync(dirname(filename)), [])
      }))

    it.effect("stays empty where it is", () =>
      Effect.gen(function*() {
        const filename = yield* file
        writeFileSync(filename, "")

        const reason = yield* reasonOf(look(filename))

        assert.strictEqual(reason._tag, "Incompatible")
        assert.include(reason.message, "it is empty")
        assert.strictEqual(readFileSync(filename).length, 0)
        assert.isFalse(existsSync(`${filename}-wal`))
      }))

    it.effect("stays as an earlier version has made it, and says which version it has", () =>
      Effect.gen(function*() {
        const filename = yield* file
        yield* execute(filename, version1)
        const before = readFileSync(filename)

        const reason = yield* reasonOf(look(filename))

        assert.strictEqual(reason._tag, "Incompatible")
        assert.include(reason.message, "its tables have version 1")
        assert.include(reason.message, `needs version ${version}`)
        assert.deepStrictEqual(readFileSync(filename), before)
      }))

    it.effect("is read and written as any other where its tables are as they should be", () =>
      Effect.gen(function*() {
        const filename = yield* file
        const owner = yield* open({ filename })
        const { commit } = yield* owner.acquire({ owner: "engine", standby: false })
        yield* commit([started(1)])

        const store = yield* look(filename)
        yield* store.ask([{ id: "a", execution: "Trip/1", request: "{}" }])

        assert.deepStrictEqual(keysOf(yield* store.list()), [1])
        assert.strictEqual((yield* owner.requests()).length, 1)
        assert.deepInclude((yield* store.inspect).owner, { name: "engine", isAlive: true })
      }))
  })
}

describe("a SQLite file of an earlier version", () => {
  it.effect("has its executions in all lists when it is upgraded", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* execute(filename, version1)
      const store = yield* open({ filename })

      const failed = recordOf(2, { status: "Failed", cancelled: true, reason: "it's late", parent: "Trip/1" })
      assert.deepStrictEqual(yield* store.list({ statuses: ["Failed"] }), [failed])
      assert.deepStrictEqual(yield* store.list({ createdBefore: 1002 }), [recordOf(1)])
      assert.deepStrictEqual(keysOf(yield* store.list({ idPrefix: "Trip/", order: "oldest" })), [1, 2])
      assert.deepStrictEqual(keysOf(yield* store.changed({ from: 1002, limit: 10 })), [2])
      assert.deepStrictEqual(yield* store.list({ error: "NoSeats" }), [])
      assert.deepStrictEqual(yield* store.list({ attributes: { customer: "7" } }), [])
      assert.strictEqual((yield* store.inspect).version, version)
    }))
})

describe.each([
  { thread: "the thread of the engine", worker: false },
  { thread: "a thread of its own", worker: true }
])("a SQLite file that an engine of an earlier version has, in $thread", ({ worker }) => {
  /** A file of an earlier version with the row of its owner, of which was heard so many milliseconds ago. */
  const owned = (silence: number, columns: Readonly<Record<string, number | string>>) =>
    Effect.gen(function*() {
      const filename = yield* file
      const now = yield* Clock.currentTimeMillis
      const row = { released_at: "NULL", heartbeat_at: now - silence, ...columns }
      const set = Object.entries(row).map(([name, value]) => `${name} = ${value}`)
      yield* execute(filename, `${version1}; UPDATE owner SET ${set.join(", ")}`)
      return filename
    })
  const { host, pid, process } = self()
  const here = { host: `'${host}'`, process: `'${process}'` }

  for (
    const [where, columns] of [
      ["on this machine", { ...here, pid }],
      ["on another machine", {}]
    ] as const
  ) {
    it.live(`stays as it is, and says so, where that runs ${where}`, () =>
      Effect.gen(function*() {
        const filename = yield* owned(0, columns)
        const before = readFileSync(filename)

        const reason = yield* reasonOf(open({ filename, worker }))

        assert.strictEqual(reason._tag, "Incompatible")
        assert.include(reason.message, "an engine of an earlier version has it, engine (process ")
        assert.include(reason.message, "Stop it first")
        assert.deepStrictEqual(readFileSync(filename), before)
        assert.deepStrictEqual(readdirSync(dirname(filename)), ["sagas.db"])
      }))
  }

  for (
    const [what, silence, columns] of [
      ["has given it back", 0, { released_at: 0 }],
      ["has not been heard of for long", 4001, {}],
      // Process ids have an end before that.
      ["has died on this machine", 0, { ...here, pid: 2147483646 }]
    ] as const
  ) {
    it.live(`is upgraded where that ${what}`, () =>
      Effect.gen(function*() {
        const filename = yield* owned(silence, columns)

        const store = yield* open({ filename, worker })

        assert.strictEqual((yield* store.inspect).version, version)
        assert.deepStrictEqual(keysOf(yield* store.list()), [2, 1])
      }))
  }
})

describe("an inspection of a SQLite file", () => {
  it.effect("says that its owner is not alive where that has given no sign of life for long", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "engine", standby: false })

      yield* execute(filename, "UPDATE owner SET heartbeat_at = -4001, host = 'elsewhere'")
      const silent = yield* store.inspect
      yield* execute(filename, "UPDATE owner SET heartbeat_at = -4000")
      const quiet = yield* store.inspect

      assert.deepInclude(silent.owner, { name: "engine", host: "elsewhere", silence: 4001, isAlive: false })
      assert.deepInclude(quiet.owner, { silence: 4000, isAlive: true })
    }))

  it.effect("says that its owner is not alive where its process has ended", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "engine", standby: false })

      // Process ids have an end before that.
      yield* execute(filename, "UPDATE owner SET pid = 2147483646")

      assert.deepInclude((yield* store.inspect).owner, { pid: 2147483646, isAlive: false })
    }))

  it.effect("says how much room it takes, also in what has not reached the file", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      const { commit } = yield* store.acquire({ owner: "engine", standby: false })
      const before = yield* store.inspect

      yield* commit([{
        key: 1,
        record: recordOf(1),
        firstSequence: 1,
        events: [JSON.stringify("x".repeat(1_000_000))]
      }])
      const after = yield* store.inspect

      assert.isAbove(before.bytes!, 4096)
      assert.isAbove(after.bytes!, before.bytes! + 1_000_000)
    }))
})

describe("pruning a SQLite file", () => {
  it.effect("leaves no attribute of what it deletes", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      const { commit } = yield* store.acquire({ owner: "engine", standby: false })
      const attributes = { customer: "7", "it's \"ä\\\n🚀": "\"\\\n'🚀", "": "" }
      yield* commit([started(1, { status: "Failed", attributes }), started(2, { attributes }), started(3)])

      yield* store.prune({ finishedBefore: 10_000 })

      const rows = yield* select(filename, "SELECT execution, count(*) AS count FROM attributes GROUP BY execution")
      assert.deepStrictEqual(rows, [{ execution: 2, count: 3 }])
    }))
})
