import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { main } from "../examples/main.ts"
import { recordOutput } from "./support/golden.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-main-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const run = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  let code: number | undefined
  const output = yield* recordOutput(Effect.map(main(args), (result) => {
    code = result
  }))
  return { code, output }
})

describe("the main job", () => {
  it.live("explains its arguments", () =>
    Effect.gen(function*() {
      const { code, output } = yield* run("--help")

      assert.strictEqual(code, 0)
      for (const name of ["--db", "--world", "--bookings", "--seed", "--check", "--help"]) assert.include(output, name)
    }))

  it.live.each<[args: ReadonlyArray<string>, sentence: string]>([
    [["--bookings", "many"], "--bookings has to be a whole number from 1 to 100000, but is \"many\"."],
    [["--bookings", "0"], "--bookings has to be a whole number from 1 to 100000, but is \"0\"."],
    [["--bookings", ""], "--bookings has to be a whole number from 1 to 100000, but is \"\"."],
    [["--db", "sagas.db"], "--db and --world belong together: give both, or none of them."],
    [["--world", "world.db"], "--db and --world belong together: give both, or none of them."],
    [["--world", "", "--db", "sagas.db"], "--db and --world need the name of a file."],
    [["--world", "same.db", "--db", "same.db"], "--db and --world have to be two files."],
    [["--world", "world.db", "--check", "--seed", "1"], "--check takes --world and --db alone"],
    [["--nonsense"], "Unknown option '--nonsense'"],
    [["nonsense"], "Unexpected argument 'nonsense'"],
    [["--check", "--world", "/nowhere/world.db"], "The world in /nowhere/world.db can't be opened."],
    [["--check", "--world", "world.db", "--db", "/nowhere/sagas.db"], "There is no file /nowhere/sagas.db."]
  ])("answers %j with a sentence", ([args, sentence]) =>
    Effect.gen(function*() {
      const { code, output } = yield* run(...args)

      assert.strictEqual(code, 2)
      assert.include(output, sentence)
    }))

  it.live("tells many bookings in a summary, and the same again when it is started again", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = ["--db", join(folder, "sagas.db"), "--world", join(folder, "world.db")]

      const first = yield* run(...files, "--bookings", "40", "--seed", "1")
      const again = yield* run(...files, "--bookings", "40", "--seed", "1")
      const check = yield* run(...files, "--check")

      assert.deepStrictEqual([first.code, again.code, check.code], [0, 0, 0])
      assert.isBelow(first.output.split("\n").length, 25)
      assert.include(first.output, "40 bookings: 0 have ended, 0 are open and go on")
      assert.include(again.output, "40 bookings: 40 have ended, 0 are open and go on")
      assert.strictEqual(again.output.split("\n").slice(1).join("\n"), first.output.split("\n").slice(1).join("\n"))
      assert.include(check.output, "open 0, lost 0, doubled 0")
    }))

  it.live("does not mix two worlds", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = ["--db", join(folder, "sagas.db"), "--world", join(folder, "world.db")]
      yield* run(...files, "--bookings", "2", "--seed", "1")

      const { code, output } = yield* run(...files, "--bookings", "3", "--seed", "1")

      assert.strictEqual(code, 2)
      assert.include(output, "was made for 2 bookings with seed 1, not for 3 with seed 1")
    }))

  it.live("leaves a file alone that is no world", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [db, world] = [join(folder, "sagas.db"), join(folder, "world.db")]
      yield* run("--db", db, "--world", world)

      const { code, output } = yield* run("--db", join(folder, "other.db"), "--world", db)

      assert.strictEqual(code, 2)
      assert.include(output, "holds something else than a world")
    }))
})
