import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { checksOf, checkup, type Facts, size, unusable } from "../src/cli/doctor/checks.ts"
import { diskOf } from "../src/cli/doctor/disk.ts"
import { render } from "../src/cli/doctor/render.ts"
import { type Check, Checkup } from "../src/cli/schemas.ts"
import * as Cli from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { folder, open } from "./support/sqliteFile.ts"
import * as Timeline from "./support/timeline.ts"

const now = Date.UTC(2026, 0, 5, 9)

const healthy: Facts = {
  now,
  store: `SQLite file "/var/lib/sagas.db"`,
  program: "effect-saga",
  readMillis: 3,
  inspection: {
    version: 4,
    owner: {
      name: "bookings",
      host: "node-1",
      pid: 4711,
      acquiredAt: now - 86_400_000,
      silence: 400,
      isAlive: true
    },
    unanswered: 0,
    bytes: 12_000_000
  },
  parked: 0,
  oldestParked: undefined,
  unfinished: 12,
  staleAfter: 3_600_000,
  stale: [],
  unseen: 0,
  disk: { file: 11_000_000, log: 1_000_000, free: 20_000_000_000, total: 100_000_000_000 }
}

const silent: Facts["inspection"] = {
  ...healthy.inspection,
  owner: { ...healthy.inspection.owner!, silence: 300_000, isAlive: false }
}

const cases: Record<string, Facts> = {
  healthy,
  postgres: { ...healthy, store: `PostgreSQL database "app" at db, schema "effect_saga"`, disk: undefined },
  "no-disk": { ...healthy, inspection: { ...healthy.inspection, bytes: undefined }, disk: undefined },
  slow: { ...healthy, readMillis: 2500 },
  "no-engine": { ...healthy, inspection: { ...healthy.inspection, owner: undefined, unanswered: 2 } },
  "no-engine-needed": { ...healthy, inspection: { ...healthy.inspection, owner: undefined }, unfinished: 0 },
  "silent-engine": { ...healthy, inspection: silent },
  "engine-that-does-not-answer": { ...healthy, inspection: { ...healthy.inspection, unanswered: 1 } },
  parked: { ...healthy, parked: 500, oldestParked: { id: "Trip/it's Ada's", updatedAt: now - 7_200_000 } },
  "one-parked": { ...healthy, parked: 1, oldestParked: { id: "Trip/1", updatedAt: now - 7_200_000 } },
  stale: { ...healthy, stale: [{ id: "Trip/1", at: now - 10_800_000 }] },
  "many-stale": {
    ...healthy,
    stale: Array.from({ length: 1000 }, (_, index) => ({ id: `Trip/${index}`, at: now - 9_000_000 })),
    unseen: 234
  },
  "scarce-disk": { ...healthy, disk: { ...healthy.disk!, free: 900_000_000 } },
  "full-disk": { ...healthy, disk: { ...healthy.disk!, free: 20_000 } },
  "long-log": { ...healthy, disk: { ...healthy.disk!, log: 3_000_000_000 } }
}

describe("what doctor says", () => {
  it.each(Object.entries(cases))("of a store that is: %s", async (name, facts) => {
    const text = render(checkup(checksOf(facts)), false)

    await expectGolden(new URL(`golden/cli/doctor-${name}.txt`, import.meta.url), `${text}\n`)
  })

  it("of a store that can't be opened", async () => {
    const text = render(checkup(unusable("SQLite file \"/nowhere/sagas.db\" is not available.")), false)

    await expectGolden(new URL("golden/cli/doctor-unusable.txt", import.meta.url), `${text}\n`)
  })

  it("fails when sagas can't go on, and not for what somebody has to look at", () => {
    const failed = Object.keys(cases).filter((name) => !checkup(checksOf(cases[name]!)).ok)

    assert.deepStrictEqual(failed, ["no-engine", "silent-engine", "full-disk"])
  })

  it("of sizes in the largest unit that fits", () => {
    assert.deepStrictEqual(
      [0, 999, 1000, 999_949, 999_950, 1_500_000, 2e12, 5e15].map(size),
      ["0 bytes", "999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 MB", "2.0 TB", "5000.0 TB"]
    )
  })
})

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Checkup))

/** What doctor finds, by the name of the check. */
const findings = ({ stdout }: Cli.Ran): Partial<Record<Check["check"], string>> =>
  Object.fromEntries(decode(stdout).checks.map(({ check, detail, state }) => [check, `${state}: ${detail}`]))

describe("doctor", () => {
  it.effect("finds that no engine runs, what is parked, and what stands still", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const ran = yield* Cli.run(["doctor", "--db", filename, "--json"])

      const found = findings(ran)
      assert.strictEqual(ran.code, 1)
      assert.strictEqual(found.store, `ok: SQLite file "${filename}" answers: a read took 0ms.`)
      assert.match(found.schema!, /^ok: Its tables have version \d+,/)
      assert.strictEqual(
        found.owner,
        "fail: No engine runs its executions. 6 executions can't go on. Start the service that runs the sagas."
      )
      assert.match(
        found.parked!,
        /^warn: 3 executions wait for a decision, the oldest for .*: .* effect-saga --db=\S+ show Booking\/42\.$/
      )
      assert.match(
        found.stale!,
        /^warn: 2 executions have stood still, and wait for nothing: Booking\/44 for .*, Booking\/46 for /
      )
      assert.match(found.disk!, /^ok: The file takes \d+\.\d kB and its log .* free\.$/)
    }))

  it.effect("is content where an engine runs", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded([Cli.executions[0]!])
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "bookings", standby: false })

      const ran = yield* Cli.run(["doctor", "--db", filename])

      assert.strictEqual(ran.code, 0)
      assert.match(ran.stdout, /^ok +owner +Engine "bookings" \(process \d+ on .*\) runs its executions since /m)
      assert.match(ran.stdout, /^All is well\.$/m)
    }))

  it.effect("takes no execution for one that stands still, which waits for a time, a signal, a child or its next attempt", () =>
    Effect.gen(function*() {
      const later = Cli.now + 60_000
      const step = { path: "flight", attempt: 1, cause: Timeline.fail("Busy"), retryAt: later }
      const waits: ReadonlyArray<Timeline.Written> = [
        ["TimerStarted", { path: "pause", dueAt: later }],
        ["SignalAwaited", { path: "approval", name: "approved" }],
        ["ChildStarted", { path: "child", after: 0, child: "Other/1" }],
        ["AttemptFailed", step]
      ]
      const filename = yield* Cli.seeded(
        waits.map((wait, index) => Cli.execution(index + 1, `Trip/${index}`, { status: "Running" }, wait))
      )

      const found = findings(yield* Cli.run(["doctor", "--db", filename, "--json"]))

      assert.strictEqual(found.stale, "ok: No execution has stood still for 1h.")
    }))

  it.effect("says for how long nothing may happen", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const found = findings(yield* Cli.run(["doctor", "--db", filename, "--json", "--stale", "2d"]))

      assert.strictEqual(found.stale, "ok: No execution has stood still for 2d.")
    }))

  it.live("of a file that is not there says so, and makes none", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "sagas.db")

      const ran = yield* Cli.run(["doctor", "--db", filename])

      assert.deepStrictEqual([ran.code, ran.stderr], [1, ""])
      assert.match(ran.stdout, /^fail +store +SQLite file /)
      assert.isFalse(existsSync(filename))
    }))

  it.live("of a file of another kind says so, and leaves it alone", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "sagas.db")
      writeFileSync(filename, "Dear diary, ".repeat(1000))

      const ran = yield* Cli.run(["doctor", "--db", filename, "--json"])

      const found = findings(ran)
      assert.deepStrictEqual([ran.code, Object.keys(found)], [1, ["store"]])
      assert.match(found.store!, /^fail: .*is damaged or is no store of sagas/)
      assert.strictEqual(readFileSync(filename, "utf8"), "Dear diary, ".repeat(1000))
    }))

  it.live("needs to be told which store", () =>
    Effect.gen(function*() {
      const ran = yield* Cli.run(["doctor"])

      assert.strictEqual(ran.code, 2)
    }))
})

describe("the disk of a file", () => {
  it.effect("is told of one that is named by a link, with its log", () =>
    Effect.gen(function*() {
      const path = yield* folder
      writeFileSync(join(path, "sagas.db"), "12345")
      writeFileSync(join(path, "sagas.db-wal"), "1234567")
      symlinkSync(join(path, "sagas.db"), join(path, "link.db"))

      const disk = yield* diskOf(join(path, "link.db"))

      assert.deepStrictEqual([disk?.file, disk?.log], [5, 7])
    }))
})
