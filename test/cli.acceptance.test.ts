/*
 * What a new operator does, with an engine in a process of its own. What decides is a process, too; what is looked at
 * before and after it is run here.
 */
import { assert, describe, it, layer as sharing } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { program, spawn } from "./support/cli.ts"
import { start, type Started } from "./support/cliProcess.ts"
import { freshDatabase } from "./support/postgres/database.ts"
import { folder } from "./support/sqliteFile.ts"

class Place extends Context.Service<Place, Started>()("Place") {}

const many = 500

/** A trip for each of the first two operators, and those of the third. */
const trips = 2 + many

const stores = {
  SQLite: start((folder) => join(folder, "sagas.db"), trips),
  PostgreSQL: Effect.flatMap(freshDatabase, (url) => start(() => Redacted.value(url), trips))
}

const list = (text: string): ReadonlyArray<unknown> => JSON.parse(text).executions

for (const [name, started] of Object.entries(stores)) {
  // One engine for all of them: each has trips of its own.
  sharing(Layer.effect(Place, started), { excludeTestServices: true, timeout: "60 seconds" })(
    `an operator, with an engine on ${name},`,
    (it) => {
      it.effect(
        "finds what is parked, reads what to do, and has it undone when the hotel is back",
        () =>
          Effect.gen(function*() {
            const { hotelIsBack, run, shell } = yield* Place

            const listed = yield* run("list", "--parked", "--attribute", "customer=Ada")
            const shown = yield* run("show", "Trip/1")
            const inVain = yield* run("retry", "Trip/1", "--wait", "30s")
            yield* hotelIsBack
            const command = /^ +(effect-saga retry .*)$/m.exec(shown.stdout)?.[1]
            assert.isDefined(command)
            const retried = yield* shell(command!)
            const after = yield* run("show", "Trip/1")
            const again = yield* run("retry", "Trip/1")
            const unknown = yield* run("retry", "Trip/none")

            assert.match(listed.stdout, /^Trip\/1 +Parked .*hotel.*HotelIsDown/m)
            assert.include(shown.stdout, `Step "hotel" could not be undone`)
            assert.match(inVain.stderr, /^It is parked again: .*HotelIsDown/)
            assert.deepStrictEqual([retried.code, retried.stderr], [0, ""])
            assert.match(retried.stdout, /^It failed and was undone\.$/m)
            assert.match(after.stdout, /^Execution "Trip\/1" .*undone/m)
            assert.match(again.stderr, /^Execution "Trip\/1" has ended \(Compensated\)/)
            assert.match(unknown.stderr, /^There is no execution "Trip\/none"/)
            assert.deepStrictEqual([inVain.code, again.code, unknown.code], [1, 1, 3])
          }),
        30_000
      )

      it.effect("gives a room up, and the reason is there after it has ended", () =>
        Effect.gen(function*() {
          const { run, spawn } = yield* Place

          const skipped = yield* spawn("skip", "Trip/2", "--operator", "ada", "--reason", "the hotel is bankrupt")
          const shown = yield* run("show", "Trip/2")
          const history = yield* run("history", "Trip/2", "--json")

          assert.deepStrictEqual([skipped.code, skipped.stderr], [0, ""])
          assert.include(shown.stdout, "the hotel is bankrupt")
          assert.deepInclude(
            JSON.parse(history.stdout).events.find((event: { readonly _tag: string }) => event._tag === "Skipped"),
            { operator: "ada", reason: "the hotel is bankrupt" }
          )
          assert.strictEqual(list((yield* run("list", "--status", "failed", "--json")).stdout).length, 1)
        }), 30_000)

      it.effect(`retries ${many} at once, after a look at what would be done`, () =>
        Effect.gen(function*() {
          const { hotelIsBack, run, spawn } = yield* Place
          const filter = ["--attribute=customer=the club", "--error", "HotelIsDown"]

          const dry = yield* run("retry", ...filter, "--dry-run")
          const parked = yield* run("list", "--parked", "--count", ...filter)
          const unasked = yield* run("retry", ...filter)
          yield* hotelIsBack
          const retried = yield* spawn("retry", ...filter, "--yes", "--reason", "the hotel is back")
          const ended = yield* Effect.repeat(run("list", "--status", "compensated", "--count", ...filter.slice(0, 1)), {
            until: ({ stdout }) => stdout === `${many}\n`,
            times: 100
          })

          assert.include(dry.stdout, `\nThis would retry ${many} executions. Nothing was done.\n`)
          assert.strictEqual(parked.stdout, `${many}\n`)
          assert.match(unasked.stderr, new RegExp(`^This would retry ${many} executions, and there is nobody to ask`))
          assert.strictEqual(unasked.code, 2)
          assert.match(retried.stdout, new RegExp(`^Retried ${many} executions\\.\n`))
          assert.deepStrictEqual([retried.code, retried.stderr], [0, ""])
          assert.strictEqual(ended.stdout, `${many}\n`)
        }), 60_000)
    }
  )
}

describe("an operator whose store can't be used is told why, and nothing is changed:", () => {
  it.live("it is not there", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "sagas.db")

      const ran = yield* spawn(["list", "--db", filename])

      assert.deepStrictEqual([ran.code, ran.stdout], [1, ""])
      assert.include(ran.stderr, filename)
      assert.isFalse(existsSync(filename))
    }))

  it.live("it is a file of another program", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "songs.db")
      const database = new DatabaseSync(filename)
      database.exec("CREATE TABLE songs (title TEXT)")
      database.close()
      const before = readFileSync(filename)

      const [ran, text] = yield* Effect.all([
        spawn(["list", "--db", filename]),
        spawn(["list", "--db", program])
      ], { concurrency: 2 })

      assert.deepStrictEqual([ran.code, text.code], [1, 1])
      assert.match(ran.stderr, /^SQLite file ".*" can't be used: .* Nothing was changed\.$/m)
      assert.include(text.stderr, "damaged or is no store of sagas")
      assert.isTrue(before.equals(readFileSync(filename)))
    }))
})
