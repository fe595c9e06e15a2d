import { assert, describe, it, layer as sharing } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Cli from "./support/cli.ts"
import { journals, setting } from "./support/cliSetting.ts"
import { expectTranscript } from "./support/cliTranscript.ts"
import { whileTimePasses } from "./support/durable/engine.ts"
import { folder as temporary, open } from "./support/sqliteFile.ts"

class Place extends Context.Service<Place, Effect.Success<typeof setting>>()("Place") {}

// One engine for all of them, as nothing is changed.
sharing(Layer.effect(Place, setting), { excludeTestServices: true })(
  "a command that is refused, or has nothing to do, changes nothing:",
  (it) => {
    it.effect.each<[name: string, code: number, args: ReadonlyArray<string>, stdin?: string]>([
      ["refused-not-found", 3, ["retry", "Trip/77"]],
      ["refused-prefix", 3, ["retry", "Trip"]],
      ["refused-not-parked", 1, ["retry", "Visa/1"]],
      ["refused-wrong-step", 1, ["retry", "Trip/1", "--path", "flight"]],
      ["refused-which-step", 1, ["retry", "Tour/1"]],
      ["refused-signal-not-found", 3, ["signal", "Visa/77", "approved"]],
      ["usage-skip-reason", 2, ["skip", "Trip/1"]],
      ["usage-empty-reason", 2, ["skip", "Trip/1", "--reason", ""]],
      ["usage-empty-operator", 2, ["retry", "Trip/1", "--operator", " "]],
      ["usage-which", 2, ["retry"]],
      ["usage-which-cancel", 2, ["cancel"]],
      ["usage-ids-and-filter", 2, ["retry", "Trip/1", "--definition", "Trip"]],
      ["usage-wait-of-many", 2, ["retry", "--definition", "Trip", "--wait", "1s"]],
      ["usage-wait", 2, ["retry", "Trip/1", "--wait", "soon"]],
      ["usage-path-of-many", 2, ["retry", "Trip/1", "Trip/2", "--path", "hotel"]],
      ["usage-cancel-path", 2, ["cancel", "Trip/1", "--path", "hotel"]],
      ["usage-bad-json", 2, ["resolve", "Order/1", "--value", "{parcel: 7}"]],
      ["usage-bad-json-from-input", 2, ["signal", "Visa/1", "approved", "-"], `{\n  "by": "Ada",\n}`],
      ["usage-no-json", 2, ["signal", "Visa/1", "approved", ""]],
      ["usage-bad-line", 2, ["retry", "-", "--yes"], `Trip/1\n"Trip/2\n`],
      ["usage-no-file", 2, ["resolve", "Order/1", "--value", "@/nowhere/value.json"]],
      ["usage-empty-signal", 2, ["signal", "Visa/1", ""]],
      ["retry-dry-run", 0, ["retry", "--attribute", "customer=Ada", "--dry-run"]],
      ["retry-unasked", 2, ["retry", "--definition", "Trip"]],
      ["retry-none", 0, ["retry", "--definition", "Nothing", "--yes"]],
      ["retry-none-piped", 0, ["retry", "-", "--yes"], ""],
      // The first reasons are told, and how many there are.
      ["retry-all-refused", 1, ["retry", ...Array.from({ length: 7 }, (_, index) => `Trip/none-${index}`), "--yes"]],
      ["prune-status", 2, ["prune", "--older-than", "0s", "--status", "Parked", "--yes"]]
    ])("%s", ([name, code, args, stdin]) =>
      Effect.gen(function*() {
        const { refuses } = yield* Place

        const ran = yield* refuses(name, args, stdin)

        assert.strictEqual(ran.code, code)
      }))
  }
)

describe("a command that can't be done changes nothing, and says why:", () => {
  it.live("that a value does not fit", () =>
    Effect.gen(function*() {
      const { expect, status } = yield* setting

      for (const [name, value] of [["refused-value", `{"parcel": "seven"}`], ["refused-no-value", "null"]] as const) {
        const { code } = yield* expect(name, ["resolve", "Order/1", "--value", value])

        assert.strictEqual(code, 1)
        assert.strictEqual(yield* status("Order/1"), "Parked")
      }
    }))

  it.live("that it has ended", () =>
    Effect.gen(function*() {
      const { ended, hotelIsBack, refuses, run } = yield* setting
      yield* hotelIsBack
      yield* run(["retry", "Trip/1"])
      yield* ended("Trip/1")

      for (const command of [["retry"], ["skip", "--reason", "none"], ["resolve"], ["cancel"]]) {
        const ran = yield* refuses("refused-finished-" + command[0], [...command, "Trip/1"])
        assert.strictEqual(ran.code, 1)
      }
    }))

  it.effect("that no engine runs", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const before = readFileSync(filename)

      const args = ["retry", "Booking/42"]
      const ran = yield* Cli.run(["--db", filename, ...args])

      yield* expectTranscript("refused-no-engine", args, ran, { [filename]: "/var/lib/sagas.db" })
      assert.strictEqual(ran.code, 1)
      assert.isTrue(before.equals(readFileSync(filename)))
    }))

  it.effect("that the engine does not answer", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "busy", standby: false })
      const before = journals(filename)

      const args = ["retry", "Booking/42"]
      const ran = yield* whileTimePasses(Cli.run(["--db", filename, ...args]))

      yield* expectTranscript("refused-unanswered", args, ran, { [filename]: "/var/lib/sagas.db" })
      assert.strictEqual(ran.code, 1)
      assert.strictEqual(journals(filename), before)
    }))

  it.effect("that the engine does not answer for many", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "busy", standby: false })

      const args = ["retry", "--definition", "Booking", "--yes"]
      const [ran, json] = yield* whileTimePasses(Effect.all(
        [args, ["retry", "Booking/42", "Booking/44", "--yes", "--json"]].map((args) =>
          Cli.run(["--db", filename, ...args])
        )
      ))

      yield* expectTranscript("retry-unanswered", args, ran!, { [filename]: "/var/lib/sagas.db" })
      const { results } = JSON.parse(json!.stdout)
      assert.deepStrictEqual(
        results.map(({ error, outcome }: any) => [outcome, error._tag]),
        [["Unanswered", "Unanswered"], ["Refused", "NotParked"]]
      )
      assert.deepStrictEqual([ran!.code, json!.code], [1, 1])
    }))

  it.effect("that nobody reads what is said of it", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const code = (...args: ReadonlyArray<string>) =>
        Effect.map(Cli.run(["--db", filename, ...args], { unread: true }), ({ code }) => code)

      // No engine runs, so that doctor fails.
      assert.deepStrictEqual(
        [yield* code("retry", "Booking/44", "Booking/none", "--yes"), yield* code("doctor"), yield* code("list")],
        [1, 1, 0]
      )
    }))

  it.effect("that there is no room for what is said of it", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const { code } = yield* Cli.run(["show", "Booking/none", "--db", filename], { full: ["stdout", "stderr"] })

      assert.strictEqual(code, 3)
    }))

  it.live("that there is no such file", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporary, "sagas.db")

      const args = ["retry", "Trip/1"]
      const ran = yield* Cli.run(["--db", filename, ...args])

      yield* expectTranscript("refused-missing-file", args, ran, { [filename]: "/var/lib/sagas.db" })
      assert.strictEqual(ran.code, 1)
      assert.isFalse(existsSync(filename))
    }))

  it.live("that the file is one of another program", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporary, "sagas.db")
      const database = new DatabaseSync(filename)
      database.exec("CREATE TABLE songs (title TEXT)")
      database.close()
      const before = readFileSync(filename)

      const args = ["retry", "Trip/1"]
      const ran = yield* Cli.run(["--db", filename, ...args])

      yield* expectTranscript("refused-foreign-file", args, ran, { [filename]: "/var/lib/sagas.db" })
      assert.strictEqual(ran.code, 1)
      assert.isTrue(before.equals(readFileSync(filename)))
    }))
})
