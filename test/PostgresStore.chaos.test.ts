import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { campaign, heavy } from "./chaos/postgresServer.ts"

describe("an engine on PostgreSQL whose server and network fail", () => {
  it.live("loses nothing and doubles nothing, and no caller notices", () =>
    Effect.gen(function*() {
      const figures = yield* campaign({
        ...heavy,
        sagas: 150,
        serverFaults: 3,
        seed: "chaos",
        callMillis: 300,
        every: [1000, 1500],
        away: [0, 1000],
        cutEvery: [200, 500]
      })

      assert.deepStrictEqual(figures.problems, [])
      assert.deepInclude(figures, { errors: 0, lost: 0, doubled: 0, repeated: 0 })
      assert.strictEqual(figures.booked + figures.undone, figures.sagas)
      assert.isAtLeast(figures.sagas, 150)
      assert.isAbove(figures.booked, 0, "some are booked")
      assert.isAbove(figures.undone, 0, "some are undone")
      for (const fault of ["stopped", "killed", "frozen"]) {
        assert.isAbove(figures.faults[`server ${fault}`] ?? 0, 0, `the server was ${fault}`)
      }
      assert.isAbove(figures.cuts, 3, "connections were cut")
    }), 120_000)
})
