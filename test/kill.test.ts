import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { campaign } from "./chaos/campaign.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-kill-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

describe("kill -9 of the main job", () => {
  it.live("30 kills over 300 bookings lose nothing and double nothing", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder

      const figures = yield* campaign({ folder, rounds: 3, sagas: 100, kills: 10, seed: "kill" })

      assert.deepStrictEqual(figures.problems, [])
      assert.deepInclude(figures, { kills: 30, sagas: 300, lost: 0, doubled: 0, open: 0 })
      assert.strictEqual(figures.confirmed + figures.undone, 300)
      assert.isAbove(figures.hits, 8, "many kills hit while bookings are under way")
      assert.isAbove(figures.recovered, 30, "open sagas are there to recover")
      assert.isAbove(figures.repeated, 0, "some kills fall between an effect and its record")
    }), 150_000)

  it.live("a job that keeps no journal is found out", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const program = fileURLToPath(new URL("chaos/careless.ts", import.meta.url))

      const figures = yield* campaign({ folder, rounds: 1, sagas: 60, kills: 3, seed: "careless", program })

      assert.isNotEmpty(figures.problems)
      assert.isAbove(figures.doubled + figures.lost + figures.open, 0)
    }), 60_000)
})
