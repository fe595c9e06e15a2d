import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Redacted } from "effect"
import { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { execFile, spawn as start } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { execution, executions, golden, program, run, seed, seededFile, spawn, transcript } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { place } from "./support/postgresStore.ts"
import { folder } from "./support/sqliteFile.ts"

const node = [process.execPath, "--conditions=effect-saga-source"] as const

describe("the process", () => {
  it.live(
    "prints results on standard output and messages on standard error, and ends with their code",
    () =>
      Effect.gen(function*() {
        const filename = yield* seededFile()

        const [counted, piped, missing, wrong, failed] = yield* Effect.all([
          spawn(["list", "--db", filename, "--count"]),
          spawn(["retry", "-", "--dry-run", "--db", filename], { stdin: "Booking/42\nTransfer/7\n" }),
          spawn(["show", "Nothing/1", "--db", filename]),
          spawn(["show"]),
          spawn(["list", "--db", `${filename}.missing`])
        ], { concurrency: 3 })

        assert.deepStrictEqual(counted, { code: 0, stdout: "9\n", stderr: "" })
        assert.deepStrictEqual([piped.code, piped.stderr], [0, ""])
        assert.include(piped.stdout, "This would retry 2 executions.")
        assert.deepStrictEqual([missing.code, wrong.code, failed.code], [3, 2, 1])
        for (const { stderr, stdout } of [missing, wrong, failed]) {
          assert.strictEqual(stdout, "")
          assert.isNotEmpty(stderr)
        }
      }),
    15_000
  )

  it.live("ends with 0 where nobody reads on", () =>
    Effect.gen(function*() {
      const filename = yield* seededFile([])
      const shell = `"$@" watch --db ${filename} | head -1; echo "\${PIPESTATUS[0]}"`
      const watched = yield* Effect.forkChild(Effect.callback<readonly [string, string]>((resume) => {
        execFile("bash", ["-c", shell, "bash", ...node, program], (_error, stdout, stderr) =>
          resume(Effect.succeed([stdout, stderr])))
      }))

      yield* Effect.scoped(Effect.gen(function*() {
        const { acquire } = yield* SagaStore.SagaStore
        const { commit } = yield* acquire({ owner: "test", standby: false })
        const isOver = Effect.sync(() =>
          watched.pollUnsafe() !== undefined
        )
        for (let key = 1; !(yield* isOver); key++) {
          const at = yield* Clock.currentTimeMillis
          yield* commit([execution(key, `Booking/${key}`, { createdAt: at, updatedAt: at })])
          yield* Effect.sleep("50 millis")
        }
      })).pipe(Effect.provide(SagaStore.layerSqlite({ filename })))

      const [stdout, stderr] = yield* Fiber.join(watched)
      assert.match(stdout, /^.* Running .* Booking\/\d+\n0\n$/)
      assert.strictEqual(stderr, "")
    }), 15_000)

  it.live("that watches ends with Ctrl-C", () =>
    Effect.gen(function*() {
      const filename = yield* seededFile()
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => start(node[0], [node[1], program, "watch", "Booking/42", "--db", filename])),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )

      const ended = once(child, "exit")
      yield* Effect.promise(() => once(child.stdout, "data"))
      child.kill("SIGINT")

      assert.deepStrictEqual(yield* Effect.promise(() => ended), [130, null])
    }))

  it.live("says which package it needs", () =>
    Effect.gen(function*() {
      const path = yield* folder
      cpSync(fileURLToPath(new URL("../src", import.meta.url)), join(path, "src"), { recursive: true })
      cpSync(fileURLToPath(new URL("../package.json", import.meta.url)), join(path, "package.json"))
      const main = join(path, "src/cli/main.ts")
      const args = ["list", "--db", "postgres://localhost/sagas"]

      const texts = yield* Effect.forEach(["effect", "@effect/platform-node", "@effect/sql-pg"], (name) =>
        Effect.gen(function*() {
          const ran = yield* spawn(args, { main })
          mkdirSync(join(path, "node_modules/@effect"), { recursive: true })
          symlinkSync(
            fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url)),
            join(path, "node_modules", name)
          )
          return transcript(args, ran)
        }))

      yield* Effect.promise(() =>
        expectGolden(golden("missing-package"), texts.join(""))
      )
    }))
})

describe("on PostgreSQL", () => {
  it.live("prints what it prints on SQLite", () =>
    Effect.gen(function*() {
      const { schema, url } = yield* place
      const filename = yield* seededFile()
      yield* Effect.provide(seed(executions), PostgresStore.layer({ url, schema }))

      for (
        const args of [
          ["list", "--json"],
          ["list", "--parked", "--oldest", "--attribute", "customer=alice", "--ids"],
          ["list", "--after", "Booking/43", "--json"],
          ["show", "Booking/42", "--json"],
          ["history", "Booking/47"],
          ["watch", "Booking/47"],
          ["show", "Booking/4"]
        ]
      ) {
        const onPostgres = yield* run([...args, "--schema", schema], { env: { EFFECT_SAGA_DB: Redacted.value(url) } })
        const onSqlite = yield* run(args, { env: { EFFECT_SAGA_DB: filename } })

        assert.deepStrictEqual(onPostgres, onSqlite)
      }
    }), 20_000)

  it.live("makes no tables where there are none", () =>
    Effect.gen(function*() {
      const { schema, url } = yield* place
      const list = run(["list", "--schema", schema], { env: { EFFECT_SAGA_DB: Redacted.value(url) } })

      const first = yield* list

      assert.deepStrictEqual([first.code, first.stdout], [1, ""])
      assert.include(first.stderr, schema)
      assert.notInclude(first.stderr, new URL(Redacted.value(url)).password)
      assert.deepStrictEqual(yield* list, first)
    }), 20_000)

  it.live("is told that the name of a schema is wrong", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run(["list", "--schema", "a b", "--db", "postgres://localhost/sagas"])

      assert.strictEqual(code, 2)
      assert.include(stderr, "--schema has to be a name")
    }))
})
