import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Cli from "./support/cli.ts"
import { setting, tripIds } from "./support/cliSetting.ts"
import { expectTranscript } from "./support/cliTranscript.ts"
import { folder as temporary } from "./support/sqliteFile.ts"

describe("prune", () => {
  const ended = Effect.gen(function*() {
    const place = yield* setting
    yield* place.hotelIsBack
    yield* place.run(["retry", "--definition", "Trip", "--yes"])
    yield* Effect.forEach(tripIds, (id) => place.ended(`Trip/${id}`))
    return place
  })

  it.live("deletes what has ended, and nothing else", () =>
    Effect.gen(function*() {
      const { engine, expect } = yield* ended

      yield* expect("prune", ["prune", "--older-than", "0s", "--status", "compensated", "--yes"])

      const left = yield* engine.list({ order: "oldest" })
      assert.deepStrictEqual(left.map(({ id }) => id), ["Tour/1", "Order/1", "Visa/1"])
    }))

  it.live("changes nothing before it was asked for, and leaves what ended a short time ago", () =>
    Effect.gen(function*() {
      const { refuses } = yield* ended

      const dry = yield* refuses("prune-dry-run", ["prune", "--older-than", "0s", "--dry-run"])
      const unasked = yield* refuses("prune-unasked", ["prune", "--older-than", "0s"])
      const nothing = yield* refuses("prune-nothing", ["prune", "--older-than", "1h", "--yes"])

      assert.deepStrictEqual([dry.code, unasked.code, nothing.code], [0, 2, 0])
    }))

  it.live("tells programs how many it deleted", () =>
    Effect.gen(function*() {
      const { run } = yield* ended

      const dry = yield* run(["prune", "--older-than", "0s", "--dry-run", "--json"])
      const ran = yield* run(["prune", "--older-than", "0s", "--yes", "--json"])

      assert.deepStrictEqual(JSON.parse(dry.stdout), {
        v: 1,
        dryRun: true,
        deleted: 6,
        counts: [
          { status: "Completed", count: 0 },
          { status: "Compensated", count: 6 },
          { status: "Failed", count: 0 }
        ]
      })
      assert.deepStrictEqual(JSON.parse(ran.stdout), { v: 1, dryRun: false, deleted: 6 })
    }))
})

describe("prune", () => {
  it.effect("deletes what it has asked about, and not what gets old enough meanwhile", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const db = ["--db", filename]
      // By now all but one ended so long ago; after a day of thinking all have.
      const args = ["prune", "--older-than", "1435m"]

      const ran = yield* Cli.run([...db, ...args], { columns: 80, answer: Effect.as(TestClock.adjust("1 day"), "y") })

      assert.match(ran.stdout, /Delete 2 executions.*Deleted 2 executions\./s)
      const left = yield* Cli.run([...db, "list", "--status", "Completed,Compensated,Failed", "--ids"])
      assert.strictEqual(left.stdout, "Booking/47\n")
    }))
})

describe("prune", () => {
  it.effect("does not say of what somebody else has deleted that it stayed", () =>
    Effect.gen(function*() {
      const db = ["--db", yield* Cli.seeded()]
      const args = ["prune", "--older-than", "1435m"]
      const meanwhile = Cli.run([...db, ...args, "--status", "Completed", "--yes"])

      const { stdout } = yield* Cli.run([...db, ...args], { columns: 80, answer: Effect.as(meanwhile, "y") })

      assert.match(stdout, /Delete 2 executions.*Deleted 1 execution\.\n$/s)
    }))
})

describe("export", () => {
  it.effect("writes an execution with its journal to standard output", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const args = ["export", "Booking/42"]
      const ran = yield* Cli.run(["--db", filename, ...args])

      yield* expectTranscript("export", args, ran)
    }))

  it.effect("leaves payloads out on request", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const args = ["export", "Booking/42", "--redact"]
      const ran = yield* Cli.run(["--db", filename, ...args])

      yield* expectTranscript("export-redacted", args, ran)
    }))

  it.effect("writes a file, and never over one that is there", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const folder = yield* temporary
      const args = ["export", "Booking/42", "--redact", "--output", join(folder, "export.json")]

      const first = yield* Cli.run(["--db", filename, ...args])
      const text = readFileSync(join(folder, "export.json"), "utf8")
      const second = yield* Cli.run(["--db", filename, "export", "Booking/41", ...args.slice(2)])
      const nowhere = yield* Cli.run(["--db", filename, "export", "Booking/41", "--output", join(folder, "a/b.json")])

      const names = { [folder]: "/home/ada" }
      yield* expectTranscript("export-file", args, first, names)
      yield* expectTranscript("export-file-again", args, second, names)
      yield* expectTranscript("export-nowhere", args, nowhere, names)
      assert.deepInclude(JSON.parse(text), { v: 1, redacted: true })
      assert.strictEqual(readFileSync(join(folder, "export.json"), "utf8"), text)
      assert.deepStrictEqual([first.code, second.code, nowhere.code], [0, 1, 1])
    }))

  it.effect("says that there is no such execution", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const ran = yield* Cli.run(["--db", filename, "export", "Booking/4"])

      assert.strictEqual(ran.code, 3)
    }))
})
