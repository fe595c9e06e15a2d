/*
 * That a command which is suggested is about the store that the command before it was about.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { programOf } from "../src/cli/program.ts"
import { run, seeded } from "./support/cli.ts"

describe("what suggested commands begin with", () => {
  for (
    const [title, args, expected] of [
      ["nothing that the environment says", ["list"], ""],
      ["the file that was given", ["list", "--db", "./sagas.db"], " --db=./sagas.db"],
      ["the file that was given in one word", ["--db=./sagas.db", "list"], " --db=./sagas.db"],
      ["the file in quotes where it needs them", ["list", "--db", "my sagas; ls"], " --db='my sagas; ls'"],
      ["nothing after two dashes", ["show", "--", "--db", "x"], ""],
      [
        "the url without its password",
        ["list", "--db", "postgres://ada:secret@host:5433/sagas?sslmode=require&password=secret"],
        " --db='postgres://ada@host:5433/sagas?sslmode=require'"
      ],
      [
        "the schema",
        ["list", "--schema", "mine", "--db", "postgres://ada:secret@host/sagas"],
        " --db=postgres://ada@host/sagas --schema=mine"
      ],
      ["the schema alone", ["list", "--schema=mine"], " --schema=mine"],
      ["nothing of a url that is none", ["list", "--db", "postgres:/ada:secret@host"], ""],
      ["nothing of a url whose password can't be told", ["list", "--db", "postgres://ada:sec/ret@host/x"], ""],
      ["nothing where it is empty", ["list", "--db="], ""]
    ] as const
  ) {
    it.effect(`is ${title}`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* programOf(args), `effect-saga${expected}`)
      }))
  }
})

describe("a command that is suggested", () => {
  for (
    const [title, args] of [
      ["show", ["show", "Booking/42"]],
      ["show, for a journal with many attempts", ["show", "Transfer/7"]],
      ["the next page of list", ["list", "--limit", "1"]],
      ["stats", ["stats"]],
      ["doctor", ["doctor"]],
      ["a refusal", ["retry", "Booking/41"]],
      ["a command without its target", ["retry"]]
    ] as const
  ) {
    it.effect(`by ${title} names the store that was given, and not the one of the environment`, () =>
      Effect.gen(function*() {
        const db = yield* seeded()
        const commands = ({ stderr, stdout }: { readonly stdout: string; readonly stderr: string }) =>
          Array.from(`${stdout}${stderr}`.matchAll(/effect-saga (\S+) [a-z]/g), ([, first]) => first!)

        const given = commands(yield* run([...args, "--db", db], { env: { EFFECT_SAGA_DB: "/elsewhere" } }))
        const fromEnvironment = yield* run(args, { env: { EFFECT_SAGA_DB: db } })

        assert.isNotEmpty(given)
        assert.deepStrictEqual(new Set(given), new Set([`--db=${db}`]))
        assert.notInclude(fromEnvironment.stdout, "--db=")
      }))
  }

  it.effect("can be pasted", () =>
    Effect.gen(function*() {
      const db = yield* seeded()

      const { stdout } = yield* run(["list", "--limit", "1", "--db", db])
      const [, pasted] = /^ {2}effect-saga (.*)$/m.exec(stdout)!
      const next = yield* run(words(pasted!))

      assert.strictEqual(next.code, 0)
      assert.match(next.stdout, /Transfer\/7 /)
    }))
})

/* As a shell splits them. */
const words = (line: string): ReadonlyArray<string> =>
  execFileSync("bash", ["-c", `printf '%s\\0' ${line}`], { encoding: "utf8" }).split("\0").slice(0, -1)
