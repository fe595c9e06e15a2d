import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { campaign, losses } from "./chaos/postgresTakeover.ts"

describe("engines on PostgreSQL in several processes", () => {
  it.live(
    "take over from one that is lost in any way, and a client gets each result once",
    () =>
      Effect.gen(function*() {
        const figures = yield* campaign({
          takeovers: losses.length,
          engines: 2,
          seed: "takeover",
          concurrency: 8,
          callMillis: 200,
          calmMillis: 300
        })

        assert.deepStrictEqual(figures.problems, [])
        assert.deepInclude(figures, { errors: 0, lost: 0, doubled: 0, stale: 0 })
        assert.strictEqual(figures.booked + figures.undone, figures.sagas)
        assert.isAbove(figures.booked, 0, "some are booked")
        assert.isAbove(figures.undone, 0, "some are undone")
        assert.sameMembers(figures.takeovers.map(({ loss }) => loss), [...losses])
        for (const { loss, ownedAfter } of figures.takeovers) {
          // It takes less than 5 seconds where the machine has time.
          assert.isBelow(ownedAfter, 15_000, `an engine that was ${loss} is replaced`)
        }
      }),
    180_000
  )
})
