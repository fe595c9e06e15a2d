/*
 * The operator in this process, the engine in another one. Times are those of the machine, so they are bounded generously.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Redacted, type Scope, Stream } from "effect"
import { SagaOperator, SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { spawn } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { freshDatabase } from "./support/postgres/database.ts"
import { folder } from "./support/sqliteFile.ts"

const program = fileURLToPath(new URL("support/cliEngine.ts", import.meta.url))

/** Starts an engine, and waits until its trips are parked. `mend` has their compensations succeed from now on. */
const startEngine = Effect.fnUntraced(function*(db: string, trips: number) {
  const place = yield* folder
  const hotel = join(place, "hotel-is-down")
  yield* Effect.sync(() => writeFileSync(hotel, ""))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-saga-source", program, db, place, String(trips)], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  yield* Effect.callback<void>((resume) => {
    createInterface({ input: child.stdout }).on("line", (line) => line === "ready" && resume(Effect.void))
  })
  return { mend: Effect.sync(() => rmSync(hotel)) }
})

interface Place {
  readonly db: string
  readonly layer: Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError>
}

const places: ReadonlyArray<readonly [name: string, place: Effect.Effect<Place, unknown, Scope.Scope>]> = [
  [
    "in SQLite",
    Effect.map(folder, (folder) => {
      const filename = join(folder, "sagas.db")
      return { db: filename, layer: SagaStore.layerSqlite({ filename }) }
    })
  ],
  [
    "in PostgreSQL",
    Effect.map(freshDatabase, (url) => ({ db: Redacted.value(url), layer: PostgresStore.layer({ url }) }))
  ]
]

const median = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)]!

for (const [name, place] of places) {
  describe(`${name}: an operator in another process than the engine`, () => {
    it.live("has its decisions with the engine in a moment", () =>
      Effect.gen(function*() {
        const { db, layer } = yield* place
        yield* startEngine(db, 10)
        const ids = Array.from({ length: 10 }, (_, index) => `Trip/${index + 1}`)

        const delays = yield* Effect.provide(
          Effect.flatMap(SagaOperator.SagaOperator, (operator) =>
            Effect.forEach(ids, (id) =>
              Effect.gen(function*() {
                const asked = yield* Clock.currentTimeMillis
                yield* operator.skip(id, { operator: "ada" })
                const answered = yield* Clock.currentTimeMillis
                const taken = (yield* operator.history(id)).find(({ _tag }) => _tag === "Skipped")!
                return { reached: taken.at - asked, answered: answered - asked }
              }))),
          Layer.provide(SagaOperator.layer(), layer)
        )

        assert.isBelow(median(delays.map(({ reached }) => reached)), name === "in SQLite" ? 1000 : 500)
        assert.isBelow(median(delays.map(({ answered }) => answered)), 1500)
      }), 30_000)

    it.live("has 500 retried in a moment", () =>
      Effect.gen(function*() {
        const { db, layer } = yield* place
        const engine = yield* startEngine(db, 500)

        yield* Effect.gen(function*() {
          const operator = yield* SagaOperator.SagaOperator
          const filter = { definition: "Trip", statuses: ["Parked"] } as const
          const planned = yield* Stream.runCollect(operator.bulk("retry", { filter, dryRun: true }))
          yield* engine.mend
          const [took, done] = yield* Effect.timed(Stream.runCollect(operator.bulk("retry", { filter })))
          const undone = yield* Effect.repeat(operator.count({ definition: "Trip", statuses: ["Compensated"] }), {
            until: (count) => count === 500
          })

          assert.lengthOf(planned, 500)
          assert.lengthOf(done.filter(({ outcome }) => outcome._tag === "Done"), 500)
          assert.strictEqual(undone, 500)
          assert.isBelow(Duration.toMillis(took), 10_000)
        }).pipe(Effect.provide(Layer.provide(SagaOperator.layer(), layer)))
      }), 60_000)
  })
}
