import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { databaseOf } from "../src/cli/input/database.ts"
import { Failed } from "../src/cli/schemas.ts"
import { golden, run, seededFile, transcript, transcripts } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { execute, file, folder } from "./support/sqliteFile.ts"

const commands = [
  "list",
  "show",
  "history",
  "watch",
  "stats",
  "retry",
  "skip",
  "resolve",
  "cancel",
  "signal",
  "doctor",
  "prune",
  "export",
  "init"
]

describe("a filter", () => {
  it.effect("is what is parked, or has a status", () =>
    Effect.gen(function*() {
      for (const command of ["list", "watch", "retry"]) {
        const { code, stderr } = yield* run([command, "--parked", "--status", "Running", "--db", "none.db"])

        assert.strictEqual(code, 2)
        assert.match(stderr, /^--parked is short for --status Parked: give it, or --status with all that you want\.\n/)
      }
    }))
})

describe("help", () => {
  it.effect("shows all commands, and how to set a parked execution right", () =>
    Effect.gen(function*() {
      const ran = yield* run(["--help"])

      yield* Effect.promise(() => expectGolden(golden("help"), transcript(["--help"], ran)))
      for (const command of commands) assert.match(ran.stdout, new RegExp(`^  ${command} `, "m"))
    }))

  it.effect("is shown where no command is given", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* run([]), yield* run(["--help"]))
    }))

  for (const command of commands) {
    it.effect(`has an example of ${command}`, () =>
      Effect.gen(function*() {
        const ran = yield* run([command, "--help"])

        yield* Effect.promise(() => expectGolden(golden(`help-${command}`), transcript([command, "--help"], ran)))
        assert.include(ran.stdout, `\n  effect-saga ${command}`)
      }))
  }

  it.effect("has no flag that the documentation does not have", () =>
    Effect.gen(function*() {
      const page = readFileSync(new URL("../docs/cli.md", import.meta.url), "utf8")

      for (const command of commands) {
        const { stdout } = yield* run([command, "--help"])
        const flags = stdout.match(/^ {2}--[a-z-]+/gm) ?? []
        assert.deepStrictEqual(flags.filter((flag) => !page.includes(`\`${flag.trim()}`)), [], command)
      }
    }))

  it.effect("has colours on a terminal only", () =>
    Effect.gen(function*() {
      const colored = (args: ReadonlyArray<string>, columns?: number) =>
        Effect.map(run(["--help", ...args], { columns }), ({ stdout }) => stdout.includes("\u001b["))

      assert.deepStrictEqual(
        [yield* colored([], 100), yield* colored(["--no-color"], 100), yield* colored([])],
        [true, false, false]
      )
    }))

  it.effect("prints the version of the package", () =>
    Effect.gen(function*() {
      const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

      assert.deepStrictEqual(yield* run(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" })
    }))
})

describe("a wrong command line", () => {
  it.effect("is told what is wrong with it, and where help is", () =>
    Effect.gen(function*() {
      const filename = yield* file

      const text = yield* transcripts(filename, [
        ["lst"],
        ["list", "--bogus"],
        ["list", "now"],
        ["list", "--status", "parkd"],
        ["list", "--limit", "0"],
        ["list", "--limit", "many"],
        ["list", "--since", "yesterday"],
        ["list", "--attribute", "customer"],
        ["list", "--attribute", "customer=ada", "--attribute", "city=Paris", "--attribute", "customer=alice"],
        ["list", "--until", "2026-02-30"],
        ["list", "--definition", ""],
        ["list", "--after"],
        ["list", "--count", "--ids"],
        ["list", "--ids", "--json"],
        ["show"],
        ["show", ""],
        ["watch", "Booking/42", "--parked"],
        ["stats", "--window", "0s"],
        ["list", "--schema", "sagas"],
        ["list", "--schema", "two words", "--db", "postgres://localhost/sagas"],
        ["signal", "Visa/1", "approved", "@/"],
        ["signal", "Visa/1", "approved", "@/dev/null/value.json"],
        ["list", "\u001b[31m"]
      ])

      yield* Effect.promise(() => expectGolden(golden("usage"), text))
      assert.deepStrictEqual(new Set(text.match(/^--- exit .*$/gm)), new Set(["--- exit 2"]))
    }))

  it.effect("without a store is told both ways to name one", () =>
    Effect.gen(function*() {
      const texts = yield* Effect.forEach([{}, { EFFECT_SAGA_DB: " " }], (env) =>
        Effect.map(run(["list"], { env }), (ran) => transcript(["list"], ran)))

      yield* Effect.promise(() =>
        expectGolden(golden("no-store"), texts.join(""))
      )
    }))

  it.effect("is an error in JSON with --json", () =>
    Effect.gen(function*() {
      const withJson = [["list", "--json"], ["list", "--bogus", "--json"], ["--json", "lst"]]
      const withValue = ["true", "yes", "on", "1", "y"].map((value) => ["list", `--json=${value}`])
      for (const args of [...withJson, ...withValue]) {
        const { code, stderr, stdout } = yield* run(args)

        assert.deepStrictEqual([code, stdout], [2, ""])
        assert.strictEqual(Schema.decodeUnknownSync(Failed)(JSON.parse(stderr)).error._tag, "Usage")
      }
      assert.match((yield* run(["list", "--json=no"])).stderr, /^Which store\?/)
    }))
})

describe("what is read", () => {
  const latin1 = Buffer.from(`"Zo\u00eb"`, "latin1")
  const withMark = Buffer.from("\ufeff[1]")

  it.effect("has to be UTF-8, so that what is stored is what was given", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const named = (name: string, bytes: Uint8Array) => {
        writeFileSync(join(path, name), bytes)
        return `@${join(path, name)}`
      }
      const args = (value: string) => ["signal", "Visa/1", "approved", value, "--db", join(path, "none.db")]

      const refused = [
        yield* run(args("-"), { stdin: latin1 }),
        yield* run(args(named("latin1.json", latin1))),
        yield* run(["retry", "-", "--yes", "--db", join(path, "none.db")], { stdin: latin1 })
      ]
      const taken = [yield* run(args("-"), { stdin: withMark }), yield* run(args(named("marked.json", withMark)))]

      for (const { code, stderr } of refused) {
        assert.strictEqual(code, 2)
        assert.match(stderr, /is no text in UTF-8: convert it, as with iconv -f LATIN1 -t UTF-8\.\n/)
      }
      // It is the store that is missing.
      assert.deepStrictEqual(taken.map(({ code }) => code), [1, 1])
    }))
})

describe("a store that can't be used", () => {
  it.effect("is told in a sentence, and left as it is", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const other = join(path, "sagas.db")
      yield* execute(other, "CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
      const before = readFileSync(other)
      const text = join(path, "text.db")
      writeFileSync(text, "This is no database, but a text that is long enough for a page.".repeat(100))

      const ran = yield* transcripts(other, [
        ["list"],
        ["list", "--db", join(path, "missing.db")],
        ["list", "--db", join(path, "missing", "sagas.db")],
        ["list", "--db", text],
        ["list", "--db", path]
      ])

      yield* Effect.promise(() => expectGolden(golden("unusable"), ran.replaceAll(path, "data")))
      assert.deepStrictEqual(readFileSync(other), before)
      assert.deepStrictEqual(readdirSync(path).toSorted(), ["sagas.db", "text.db"])
    }))

  it.effect("does not have its password shown", () =>
    Effect.gen(function*() {
      const urls = [
        "mysql://ada:secret@localhost/sagas",
        "postgres://ada:secret@localhost:99999/sagas",
        "postgres://ada:sec/ret@localhost/sagas",
        "postgresql://ada:secret@localhost/sagas?sslmode=secret",
        "postgres://ada:secret@localhost/%%",
        "postgres://ada:123#secret@localhost/sagas",
        `"postgres://ada:secret@localhost/sagas"`,
        "postgres:ada:secret@localhost/sagas",
        "postgres:/ada:secret@localhost/sagas",
        "url=postgres://ada:secret@localhost/sagas",
        "postgres//ada:secret@localhost/sagas",
        "//ada:secret@localhost/sagas",
        "ada:secret@localhost",
        "host=localhost user=ada password=secret"
      ]

      const texts = yield* Effect.forEach(urls, (url) =>
        Effect.map(run(["list"], { env: { EFFECT_SAGA_DB: url } }), (ran) => transcript(["list"], ran)))

      yield* Effect.promise(() =>
        expectGolden(golden("wrong-url"), texts.join(""))
      )
      assert.notMatch(texts.join(""), /sec|ret@|123/)
    }))

  it.effect("may have space around its name", () =>
    Effect.gen(function*() {
      const filename = yield* seededFile()

      const { stdout } = yield* run(["list", "--count"], { env: { EFFECT_SAGA_DB: ` ${filename}\n` } })
      const wrong = yield* run(["list"], { env: { EFFECT_SAGA_DB: " postgres://ada:secret@localhost:99999/sagas" } })

      assert.strictEqual(stdout, "9\n")
      assert.include(wrong.stderr, "url has to be like postgres://user:password@host:5432/database")
    }))

  it.effect("is a file where its name is a path, or that of a file", () =>
    Effect.gen(function*() {
      const names = ["sagas.db", "./postgres.db", "../a:b@c.db", "/var/lib/a:b@c", "C:\\sagas\\a@b.db", "a@b.db"]

      const databases = yield* Effect.forEach(names, databaseOf)

      assert.deepStrictEqual(databases, names.map((filename) => ({ _tag: "File", filename })))
    }))

  it.live("is told soon where its server is away", () =>
    Effect.gen(function*() {
      const env = { EFFECT_SAGA_DB: "postgres://ada:secret@127.0.0.1:1/sagas" }
      const commands = [["list"], ["doctor"]]

      const texts = yield* Effect.forEach(
        commands,
        (args) => Effect.map(run(args, { env }), (ran) => transcript(args, ran)),
        { concurrency: 2 }
      )

      yield* Effect.promise(() => expectGolden(golden("unreachable"), texts.join("")))
    }), 15_000)
})

describe("the commands that a timeline shows", () => {
  const timelines = new URL("golden/timeline/", import.meta.url)

  const shown = new Set(
    readdirSync(timelines).flatMap((name) =>
      Array.from(
        readFileSync(new URL(name, timelines), "utf8").matchAll(
          /^ {2}(effect-saga (?:retry|skip|resolve|cancel|show) .*)$/gm
        ),
        ([, command]) => command!.replace("--value JSON", "--value '{}'")
      )
    )
  )

  const odd = ["effect-saga retry --path=$'-\\u202edlo' -- $'-odd/it\\'s \\u001b[31mred'", "effect-saga show -- -1"]

  /** The words that a shell makes of a command, but for its name. */
  const wordsOf = (command: string): ReadonlyArray<string> =>
    execFileSync("bash", ["-c", `effect-saga() { printf '%s\\0' "$@"; }\n${command}`], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8" }
    }).split("\0").slice(0, -1)

  it.effect("are taken as they are", () =>
    Effect.gen(function*() {
      const db = join(yield* folder, "missing.db")
      assert.isAtLeast(shown.size, 10)

      for (const command of [...shown, ...odd]) {
        const ran = yield* run(wordsOf(command), { env: { EFFECT_SAGA_DB: db } })

        // Where it was understood, it is the store that is missing.
        assert.deepStrictEqual([ran.code, ran.stdout], [1, ""], `${command}\n${ran.stderr}`)
      }
    }))
})

describe("completions", () => {
  /* How a shell checks a script without running it. */
  for (const [shell, flag] of [["bash", "-n"], ["zsh", "-n"], ["fish", "--no-execute"]] as const) {
    it.effect(`for ${shell} know all commands, and all flags`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* run(["--completions", shell])

        assert.deepStrictEqual([code, stderr], [0, ""])
        for (const word of [...commands, "db", "no-color", "parked", "reason", "window"]) assert.include(stdout, word)
        const checked = spawnSync(shell, [flag], { input: stdout, encoding: "utf8" })
        if (checked.error === undefined) assert.deepStrictEqual([checked.status, checked.stderr], [0, ""])
      }))
  }

  it.effect("complete a flag in bash", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run(["--completions", "bash"])
      const complete = (...words: ReadonlyArray<string>) =>
        execFileSync("bash", [
          "-c",
          `${stdout}
          COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")})
          COMP_CWORD=${words.length - 1} COMP_LINE="${words.join(" ")}" COMP_POINT=\${#COMP_LINE}
          $(complete -p effect-saga | sed 's/.*-F \\([^ ]*\\).*/\\1/')
          printf '%s\\n' "\${COMPREPLY[@]}"`
        ], { encoding: "utf8" }).trim().split("\n")

      assert.deepStrictEqual(complete("effect-saga", "sh"), ["show"])
      assert.include(complete("effect-saga", "list", "--pa"), "--parked")
      assert.include(complete("effect-saga", "list", "--d"), "--db")
    }))
})
