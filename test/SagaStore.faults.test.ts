import { assert, describe, it } from "@effect/vitest"
import { Context, type Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { migrate, version } from "../src/sqlite/schema.ts"
import { make } from "../src/sqlite/store.ts"
import { execute, file, folder } from "./support/sqliteFile.ts"
import { start } from "./support/storeProcess.ts"
import { appended, inTime, keysOf, reasonOf, recordOf, request, started } from "./support/storeValues.ts"

const acquire = Effect.flatMap(SagaStore.SagaStore, (store) => store.acquire({ owner: "engine", standby: false }))

/** The reason why the file can't be opened. */
const refusal = (options: SagaStore.SqliteOptions) =>
  reasonOf(Effect.scoped(Layer.build(SagaStore.layerSqlite(options))))

/** Opens the file, lets the owner use it, and closes it. */
const withStore = <A, E>(
  options: SagaStore.SqliteOptions,
  use: (
    store: SagaStore.SagaStore["Service"],
    ownership: SagaStore.Ownership
  ) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    return yield* use(store, yield* acquire)
  }).pipe(Effect.scoped, Effect.provide(SagaStore.layerSqlite(options)))

/** Four finished executions from this key on, each with an event of 10 kB. */
const largeBatch = (first: number): ReadonlyArray<SagaStore.Append> =>
  [0, 1, 2, 3].map((index) => ({ ...started(first + index, { status: "Completed" }), events: ["x".repeat(10_000)] }))

/** What the tables and indexes of a file are made with. */
const tablesOf = (filename: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new DatabaseSync(filename)),
    (database) =>
      Effect.sync(() =>
        database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all()
          .map(({ name, sql }) => [name, String(sql).replaceAll(/\s+/g, " ")])
      ),
    (database) => Effect.sync(() => database.close())
  )

describe("faults of a SQLite file", () => {
  describe.each([
    { thread: "the thread of the engine", worker: false },
    { thread: "a thread of its own", worker: true }
  ])("in $thread", ({ worker }) => {
    it.effect(
      "fails as busy while another program has the lock, and writes the same batch when it is free",
      () =>
        Effect.gen(function*() {
          const filename = yield* file
          yield* withStore({ filename, worker }, (store, { commit }) =>
            Effect.gen(function*() {
              yield* commit([started(1)])
              const batch = [started(2), appended(1, 2), started(3)]
              const other = new DatabaseSync(filename)

              for (const lock of ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]) {
                other.exec(lock)
                const writing = yield* Effect.forkChild(
                  Effect.all([Effect.flip(commit(batch)), Effect.flip(store.ask([request("a", "Trip/1")]))])
                )
                const errors = yield* inTime(writing)
                const read = yield* store.list()
                other.exec("ROLLBACK")

                for (const { isTransient, reason } of errors) {
                  assert(reason._tag === "Unavailable")
                  assert.strictEqual(reason.problem, "busy")
                  assert.isTrue(isTransient)
                }
                assert.deepStrictEqual(keysOf(read), [1])
              }
              other.close()
              assert.deepStrictEqual(yield* store.requests(), [])
              yield* commit(batch)
              assert.deepStrictEqual(keysOf(yield* store.list()), [3, 2, 1])
            }))
        }),
      20_000
    )

    it.effect(
      "waits for others who leave their requests, and for an owner who commits, to ask",
      () =>
        Effect.gen(function*() {
          const filename = yield* file
          yield* withStore({ filename, worker }, (store, { commit }) =>
            Effect.gen(function*() {
              const other = new DatabaseSync(filename)
              const locked = <A, E>(writing: Effect.Effect<A, E>, duration: Duration.Input) =>
                Effect.gen(function*() {
                  other.exec("BEGIN IMMEDIATE")
                  const fiber = yield* Effect.forkChild(writing)
                  yield* TestClock.withLive(Effect.sleep("20 millis"))
                  yield* TestClock.adjust(duration)
                  const isWaiting = fiber.pollUnsafe() === undefined
                  other.exec("ROLLBACK")
                  yield* inTime(fiber)
                  return isWaiting
                })

              const waited = [
                yield* locked(commit([started(1)]), "20 millis"),
                yield* locked(store.ask([request("a", "Trip/1")]), "3 seconds")
              ]

              other.close()
              assert.deepStrictEqual(waited, [true, true])
              assert.deepStrictEqual(keysOf(yield* store.list()), [1])
              assert.deepStrictEqual(yield* store.requests(), [request("a", "Trip/1")])
            }))
        }),
      20_000
    )

    it.effect("fails as full, and writes the same batch when there is room", () =>
      Effect.gen(function*() {
        const filename = yield* file
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* make({ filename, synchronous: "full", worker, migrate: true, maxPages: 100 })
          const { commit, keepSignal } = yield* store.acquire({ owner: "engine", standby: false })
          yield* store.ask([request("a", "Trip/1000000")])
          let first = 1
          const error = yield* Effect.suspend(() => commit(largeBatch(first))).pipe(
            Effect.tap(() =>
              Effect.sync(() => {
                first += 4
              })
            ),
            Effect.forever,
            Effect.flip
          )
          const signal = { execution: "Trip/1000000", event: "x".repeat(60_000) }
          const answer = { request: "a", answer: "{}" }
          const asked = { ...request("b", "Trip/1"), request: signal.event }
          const signalError = yield* Effect.flip(keepSignal(signal, answer))
          const askError = yield* Effect.flip(store.ask([request("c", "Trip/1"), asked]))

          for (const { isTransient, reason } of [error, signalError, askError]) {
            assert(reason._tag === "Unavailable")
            assert.strictEqual(reason.problem, "full")
            assert.isTrue(isTransient)
          }
          assert.deepStrictEqual(yield* store.requests(), [request("a", "Trip/1000000")])
          assert.isAbove(first, 4)
          assert.strictEqual((yield* store.list()).length, first - 1)
          yield* store.prune({ finishedBefore: 10_000 })
          yield* commit(largeBatch(first))
          yield* keepSignal(signal, answer)
          yield* store.ask([asked])
          assert.deepStrictEqual(yield* store.requests(), [asked])
          assert.deepStrictEqual(yield* store.answers(["a"]), [answer])
          assert.deepStrictEqual(keysOf(yield* store.list()), [first + 3, first + 2, first + 1, first])
        }))
      }))

    it.effect("is told with its cause why the file can't be opened", () =>
      Effect.gen(function*() {
        const parent = yield* folder

        const reason = yield* refusal({ filename: join(parent, "missing", "sagas.db"), worker })

        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "can't be opened")
        assert.include(reason.message, "missing")
        assert.include(String(reason.cause), "unable to open database file")
      }))

    it.live("prunes although another program has the lock now and then", () =>
      Effect.gen(function*() {
        const filename = yield* file
        yield* withStore({ filename, worker }, (store, { commit }) =>
          Effect.gen(function*() {
            yield* commit(Array.from({ length: 500 }, (_, index) => started(index + 1, { status: "Completed" })))
            const other = new DatabaseSync(filename, { timeout: 1000 })
            const lock = () => other.exec("BEGIN IMMEDIATE")
            const told: Array<number> = []
            lock()
            const pruning = yield* Effect.forkChild(store.prune({
              finishedBefore: 10_000,
              onProgress: (deleted) => {
                told.push(deleted)
                if (deleted < 500) lock()
              }
            }))

            for (let locks = 0; locks < 3; locks++) {
              yield* Effect.repeat(Effect.sleep("5 millis"), {
                until: () => told.length === locks || pruning.pollUnsafe() !== undefined
              })
              yield* Effect.sleep("50 millis")
              other.exec("ROLLBACK")
            }
            const count = yield* Fiber.join(pruning)
            other.close()

            assert.strictEqual(count, 500)
            assert.deepStrictEqual(told, [200, 400, 500])
            assert.isEmpty(yield* store.list())
          }))
      }), 20_000)

    it.live("lets its process end where nobody closes it", () =>
      Effect.gen(function*() {
        const filename = yield* file

        const child = yield* start("forget", filename, { thread: worker ? "worker" : "main" })

        assert.strictEqual(yield* child.line, "opened")
        yield* child.ended
      }), 20_000)

    it.live("lets its process end when it is closed", () =>
      Effect.gen(function*() {
        const filename = yield* file

        const child = yield* start("once", filename, { thread: worker ? "worker" : "main" })

        assert.strictEqual(yield* child.line, "owner 1")
        assert.strictEqual(yield* child.line, "closed")
        yield* child.ended
      }), 20_000)
  })

  it.live("does not block the thread while it is busy", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (store, { commit }) =>
        Effect.gen(function*() {
          const other = new DatabaseSync(filename)
          other.exec("BEGIN IMMEDIATE")
          let longest = 0
          let last = performance.now()
          yield* Effect.forkChild(Effect.forever(Effect.andThen(
            Effect.sync(() => {
              longest = Math.max(longest, performance.now() - last)
              last = performance.now()
            }),
            Effect.sleep("1 millis")
          )))

          yield* Effect.flip(commit([started(1)]))
          yield* Effect.timeoutOption(store.ask([request("a", "Trip/1")]), "200 millis")

          other.close()
          assert.isBelow(longest, 100)
        }))
    }))

  it.live("waits to open a file that is busy", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      const other = new DatabaseSync(filename)
      other.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT; BEGIN EXCLUSIVE")
      yield* Effect.forkChild(Effect.delay(Effect.sync(() => other.close()), "200 millis"))

      const keys = yield* withStore({ filename }, (store) => Effect.map(store.list(), keysOf))

      assert.deepStrictEqual(keys, [1])
    }))

  it.live(
    "fails as input-output where a file can't grow, and writes the same batch when it can",
    () =>
      Effect.gen(function*() {
        const filename = yield* file

        const child = yield* start("grow", filename, { limit: 400 })

        assert.strictEqual(yield* child.line, "owner 1")
        assert.strictEqual(yield* child.line, "failed input-output")
        assert.strictEqual(yield* child.line, "executions true")
        assert.strictEqual(yield* child.line, "executions true")
      }),
    20_000
  )

  it.live("fails as read-only where the file can't be written", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      chmodSync(dirname(filename), 0o777)
      chmodSync(filename, 0o444)

      const child = yield* start("restricted", filename)

      assert.strictEqual(yield* child.line, "failed read-only")
    }), 20_000)

  it.live("fails as not to be opened where no file may be made beside it", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      chmodSync(filename, 0o666)
      chmodSync(dirname(filename), 0o555)

      const child = yield* start("restricted", filename)

      assert.include(["failed can't be opened", "failed read-only"], yield* child.line)
      chmodSync(dirname(filename), 0o777)
    }), 20_000)

  it.effect("fails as not to be opened where the folder is missing, or the file is a folder", () =>
    Effect.gen(function*() {
      const parent = yield* folder
      mkdirSync(join(parent, "sagas.db"))

      for (const filename of [join(parent, "missing", "sagas.db"), join(parent, "sagas.db")]) {
        const reason = yield* refusal({ filename })
        assert(reason._tag === "Unavailable")
        assert.strictEqual(reason.problem, "can't be opened")
        assert.include(reason.message, filename)
      }
      assert.isFalse(existsSync(join(parent, "missing")))
    }))

  it.effect("finds a file corrupt that is no database, and leaves it as it is", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const content = "Not a database, but somebody's letters.\n".repeat(1000)
      writeFileSync(filename, content)

      const reason = yield* refusal({ filename })

      assert.strictEqual(reason._tag, "Corrupt")
      assert.strictEqual(readFileSync(filename, "utf8"), content)
    }))

  it.effect("finds a file corrupt that was cut off", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      truncateSync(filename, statSync(filename).size / 2)

      assert.strictEqual((yield* refusal({ filename }))._tag, "Corrupt")
    }))

  it.effect("finds a file corrupt that lacks a table", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      yield* execute(filename, "DROP TABLE events")

      const reason = yield* refusal({ filename })

      assert(reason._tag === "Corrupt")
      assert.include(reason.detail, "events")
    }))

  it.effect("finds a journal corrupt whose pages were overwritten", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const marker = "a text that is easy to find again"
      yield* withStore({ filename }, (_, { commit }) =>
        commit(Array.from({ length: 500 }, (_, index) => ({ ...started(index + 1), events: [marker] }))))
      const content = readFileSync(filename)
      const page = Math.floor(content.indexOf(marker) / 4096)
      writeFileSync(filename, content.fill(0x5a, page * 4096, (page + 1) * 4096))

      const reasons = yield* withStore({ filename }, (store) =>
        Effect.all([reasonOf(store.find("Trip/1")), reasonOf(store.unfinished({ after: undefined, limit: 1000 }))]))

      assert.deepStrictEqual(
        reasons.map((reason) =>
          reason._tag
        ),
        ["Corrupt", "Corrupt"]
      )
    }))

  it.effect("finds a journal corrupt that lacks an event, or whose rows were changed to what nobody writes", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const damages = [
        "DELETE FROM events WHERE execution = 1 AND seq = 1",
        "UPDATE executions SET status = 'Lost'",
        "UPDATE executions SET cancelled = 7",
        "UPDATE executions SET updated_at = 9223372036854775807"
      ]

      for (const damage of damages) {
        yield* withStore(
          { filename },
          (_, { commit, lastKey }) => lastKey === 0 ? commit([started(1), appended(1, 2)]) : Effect.void
        )
        const before = readFileSync(filename)
        yield* execute(filename, damage)
        const reason = yield* withStore({ filename }, (store) => reasonOf(store.find("Trip/1")))
        writeFileSync(filename, before)

        assert.strictEqual(reason._tag, "Corrupt", damage)
      }
    }))

  it.effect("refuses the file of another program, and leaves it as it is", () =>
    Effect.gen(function*() {
      const foreign = ["CREATE TABLE letters (text TEXT)", "PRAGMA application_id = 1", "PRAGMA user_version = 1"]
      const parent = yield* folder

      for (const [index, sql] of foreign.entries()) {
        const filename = join(parent, `${index}.db`)
        yield* execute(filename, sql)
        const before = readFileSync(filename)

        const reason = yield* refusal({ filename })

        assert(reason._tag === "Incompatible", sql)
        assert.include(reason.message, "another program")
        assert.deepStrictEqual(readFileSync(filename), before)
      }
    }))

  it.effect("refuses a file that a later version has written, and leaves it as it is", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      yield* execute(filename, "INSERT INTO migrations VALUES (1000, 0)")
      const before = readFileSync(filename)

      const reason = yield* refusal({ filename })

      assert(reason._tag === "Incompatible")
      assert.include(reason.detail, "1000")
      assert.deepStrictEqual(readFileSync(filename), before)
    }))

  it.effect("opens an empty file", () =>
    Effect.gen(function*() {
      const filename = yield* file
      writeFileSync(filename, "")

      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))

      assert.deepStrictEqual(yield* withStore({ filename }, (store) => Effect.map(store.list(), keysOf)), [1])
    }))

  it.effect("keeps what was written when it is closed and opened again", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1), appended(1, 2)]))

      const found = yield* withStore({ filename }, (store) => store.find("Trip/1"))

      assert.deepStrictEqual(found, { record: recordOf(1), events: [`{"started":1}`, `{"event":2}`] })
    }))

  it.live("is created by several processes at once", () =>
    Effect.gen(function*() {
      const filename = yield* file

      const children = yield* Effect.all(Array.from({ length: 3 }, () => start("open", filename)))
      const lines = yield* Effect.all(children.map((child) => child.line))

      assert.deepStrictEqual(lines, ["opened", "opened", "opened"])
    }), 20_000)

  it.effect("is not migrated twice by two that found it empty", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* withStore({ filename }, (_, { commit }) => commit([started(1)]))
      const database = new DatabaseSync(filename)

      migrate(database, 0)
      const { count } = database.prepare("SELECT count(*) AS count FROM migrations").get()!
      database.close()

      assert.strictEqual(count, version)
      assert.deepStrictEqual(yield* withStore({ filename }, (store) => Effect.map(store.list(), keysOf)), [1])
    }))

  it.effect("gets the tables that it lacks when an earlier version has written it, and keeps what is in it", () =>
    Effect.gen(function*() {
      const [filename, fresh] = yield* Effect.all([file, file])
      yield* execute(filename, readFileSync(new URL("support/sqliteVersion1.sql", import.meta.url), "utf8"))

      const found = yield* withStore(
        { filename },
        (store, { commit, earlySignals, lastKey }) =>
          Effect.gen(function*() {
            const records = yield* store.list()
            const journals = yield* Effect.forEach(["Trip/1", "Trip/2"], store.find)
            const signals = yield* earlySignals
            yield* store.ask([request("a", "Trip/1")])
            yield* commit([{ ...appended(1, 3), answer: { request: "a", answer: "{}" } }])
            return { records, journals, signals, lastKey, answers: yield* store.answers(["a"]) }
          })
      )
      yield* withStore({ filename: fresh }, () => Effect.void)

      const first = recordOf(1)
      const second = recordOf(2, { status: "Failed", cancelled: true, reason: "it's late", parent: "Trip/1" })
      assert.deepStrictEqual(found, {
        records: [second, first],
        journals: [
          { record: first, events: [`{"started":1}`, `{"event":2}`] },
          { record: second, events: [`{"started":2}`] }
        ],
        signals: [{ execution: "Trip/3", event: "{}" }],
        lastKey: 7,
        answers: [{ request: "a", answer: "{}" }]
      })
      assert.deepStrictEqual(yield* tablesOf(filename), yield* tablesOf(fresh))
    }))

  it.effect("leaves nothing beside its file when it is closed", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(SagaStore.layerSqlite({ filename }), scope)
      const { name } = Context.get(context, SagaStore.SagaStore)

      yield* Scope.close(scope, Exit.void)

      assert.include(name, filename)
      assert.isFalse(existsSync(`${filename}-wal`))
    }))
})

const layerOf = (options: object) => () => SagaStore.layerSqlite(options as SagaStore.SqliteOptions)

describe("SagaStore.layerSqlite", () => {
  it("is what loads node:sqlite, and nothing before it", () => {
    const program = `
      import { SagaStore } from "effect-saga"
      SagaStore.layerSqlite({ filename: "sagas.db" })
      console.log(process.moduleLoadList.filter((module) => module.includes("sqlite")))
    `
    const output = execFileSync(
      process.execPath,
      ["--conditions=effect-saga-source", "--input-type=module-typescript", "--eval", program],
      { cwd: import.meta.dirname, encoding: "utf8" }
    )

    assert.strictEqual(output, "[]\n")
  }, 20_000)

  it("rejects options that can't be meant", () => {
    assert.throws(layerOf({ filename: "" }), RangeError, "SagaStore.layerSqlite: filename has to be the path of a file")
    assert.throws(layerOf({ filename: ":memory:" }), RangeError, "SagaStore.layerMemory")
    assert.throws(layerOf({ filename: "file:a.db" }), RangeError, "\"file:a.db\"")
    assert.throws(layerOf({}), RangeError, "undefined")
    assert.throws(
      layerOf({ filename: "a.db", synchronous: "off" }),
      RangeError,
      "\"full\" or \"normal\", but is \"off\""
    )
    assert.throws(layerOf({ filename: "a.db", worker: 1 }), RangeError, "worker has to be true or false")
    assert.throws(layerOf({ filename: "a.db", wal: true }), RangeError, "wal")
  })
})
