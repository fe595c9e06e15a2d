import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { names } from "../src/cli/starter.ts"
import * as Cli from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { folder } from "./support/sqliteFile.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

const template = (name: string) => readFileSync(join(root, "templates/starter", name), "utf8")

const filesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()

/** A project that `init` wrote, with the packages of this checkout. */
const project = Effect.gen(function*() {
  const project = join(yield* folder, "bookings")
  yield* Cli.run(["init", project])
  mkdirSync(join(project, "node_modules"))
  for (const name of ["effect", "@effect", "@types"]) {
    symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name))
  }
  symlinkSync(root, join(project, "node_modules/effect-saga"))
  return project
})

/** Runs the program of the project until the scope closes. Its lines are waited for in their order. */
const start = Effect.fnUntraced(function*(cwd: string) {
  const script = JSON.parse(template("package.json")).scripts.start as string
  const [command, ...args] = script.split(" ")
  assert.strictEqual(command, "node")
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-saga-source", ...args], {
        cwd,
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return (text: string): Effect.Effect<void> =>
    Effect.promise(async () => {
      for (;;) {
        const { done, value } = await lines.next()
        assert.isFalse(done, `It ended before it printed "${text}".`)
        if (value.includes(text)) return
      }
    })
})

describe("effect-saga init", () => {
  it.live("writes a project, and says what to do next", () =>
    Effect.gen(function*() {
      const project = join(yield* folder, "my bookings")

      const ran = yield* Cli.run(["init", project])

      assert.deepStrictEqual([ran.code, ran.stderr], [0, ""])
      assert.deepStrictEqual(filesIn(project), names.toSorted())
      assert.strictEqual(readFileSync(join(project, "src/main.ts"), "utf8"), template("src/main.ts"))
      const shown = ran.stdout.replaceAll(project, "/home/ada/my bookings")
      yield* Effect.promise(() => expectGolden(new URL("golden/cli/init.txt", import.meta.url), shown))
    }))

  it.live("tells programs what it wrote", () =>
    Effect.gen(function*() {
      const project = join(yield* folder, "bookings")

      const ran = yield* Cli.run(["init", project, "--json"])

      assert.deepStrictEqual(JSON.parse(ran.stdout), { v: 1, folder: project, files: names })
    }))

  it.live("changes nothing where one of its files is there already", () =>
    Effect.gen(function*() {
      const project = yield* folder
      writeFileSync(join(project, "package.json"), "{}")

      const ran = yield* Cli.run(["init", project])

      assert.deepStrictEqual([ran.code, ran.stdout], [1, ""])
      assert.deepStrictEqual(filesIn(project), ["package.json"])
      assert.strictEqual(readFileSync(join(project, "package.json"), "utf8"), "{}")
      const shown = ran.stderr.replaceAll(project, "/home/ada/bookings")
      yield* Effect.promise(() => expectGolden(new URL("golden/cli/init-occupied.txt", import.meta.url), shown))
    }))

  it.live("leaves files of others alone", () =>
    Effect.gen(function*() {
      const project = yield* folder
      writeFileSync(join(project, "notes.txt"), "mine")

      const ran = yield* Cli.run(["init", project])

      assert.strictEqual(ran.code, 0)
      assert.strictEqual(readFileSync(join(project, "notes.txt"), "utf8"), "mine")
    }))

  it.live("says where a file is in the way", () =>
    Effect.gen(function*() {
      const file = join(yield* folder, "file")
      writeFileSync(file, "")

      const ran = yield* Cli.run(["init", join(file, "project")])

      assert.strictEqual(ran.code, 1)
      const shown = ran.stderr.replaceAll(file, "/home/ada/file")
      yield* Effect.promise(() => expectGolden(new URL("golden/cli/init-file.txt", import.meta.url), shown))
    }))
})

describe("the starter project", () => {
  it("depends on this version of the library, and on what it works with", () => {
    const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const { dependencies } = JSON.parse(template("package.json"))

    assert.strictEqual(dependencies["effect-saga"], `^${own.version}`)
    assert.strictEqual(dependencies.effect, own.peerDependencies.effect)
    assert.strictEqual(dependencies["@effect/platform-node"], own.devDependencies["@effect/platform-node"])
    assert.include(own.files, "templates")
  })

  it.live("has types that are right", () =>
    Effect.gen(function*() {
      const cwd = yield* project

      const output = yield* Effect.promise(() =>
        new Promise<string>((resolve) =>
          execFile(
            process.execPath,
            [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "--customConditions", "effect-saga-source"],
            { cwd },
            (_error, stdout, stderr) => resolve(stdout + stderr)
          )
        )
      )

      assert.strictEqual(output, "")
    }), 60_000)

  it.live("parks a trip, which is set right as its README says", () =>
    Effect.gen(function*() {
      const cwd = yield* project
      const env = { EFFECT_SAGA_DB: join(cwd, "sagas.db") }
      const commands = Array.from(
        template("README.md").matchAll(/^ +(?:npx effect-saga|rm) .*$/gm),
        ([line]) => line.trim().split(" ")
      )
      const printed = yield* start(cwd)

      yield* printed("Execution Trip/2 is parked")
      let shown = ""
      for (const [word, ...args] of commands) {
        if (word === "rm") {
          assert.isTrue(existsSync(join(cwd, args[0]!)))
          rmSync(join(cwd, args[0]!))
          continue
        }
        const ran = yield* Cli.run(args.slice(1), { env })
        assert.deepStrictEqual([ran.code, ran.stderr], [0, ""], args.join(" "))
        if (args[1] !== "retry") shown += ran.stdout
        else yield* printed("Rome: no car, so all is undone")
      }

      assert.match(shown, /Trip\/2 +Parked/)
      assert.include(shown, "effect-saga retry Trip/2")
      assert.include(shown, "was undone")
    }), 30_000)
})
