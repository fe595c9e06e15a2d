import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, type Scope } from "effect"
import { SagaTimeline } from "effect-saga"
import * as Schemas from "../src/cli/schemas.ts"
import { execution, executions, golden, oddId, run, seeded, transcripts } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { open } from "./support/sqliteFile.ts"
import { succeeded } from "./support/timeline.ts"

/** What these commands print is as in the golden file of this name. */
const shows = (
  name: string,
  all: ReadonlyArray<ReadonlyArray<string>>,
  options?: { readonly columns?: number; readonly env?: Record<string, string>; readonly empty?: boolean }
) =>
  Effect.gen(function*() {
    const filename = yield* seeded(options?.empty === true ? [] : executions)

    const text = yield* transcripts(filename, all, options)

    yield* Effect.promise(() => expectGolden(golden(name), text))
  })

/** The JSON that a command prints, as its schema has it. */
const document = <A, I>(schema: Schema.Codec<A, I>, args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const filename = yield* seeded()
    const { code, stderr, stdout } = yield* run([...args, "--json"], { env: { EFFECT_SAGA_DB: filename } })
    assert.deepStrictEqual([code, stderr], [0, ""])
    const json: unknown = JSON.parse(stdout)
    const value = Schema.decodeUnknownSync(schema)(json)
    assert.deepStrictEqual(Schema.encodeSync(schema)(value) as unknown, json, "the schema says all that is there")
    return value
  })

const idsOf = (args: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> =>
  Effect.map(document(Schemas.Listed, ["list", ...args]), ({ executions }) => executions.map(({ id }) => id))

describe("list", () => {
  it.effect("is a table of the newest executions", () =>
    shows("list", [["list"], ["list", "--oldest", "--limit", "3"]]))

  it.effect("fits a terminal, with colours", () => shows("list-terminal", [["list"]], { columns: 90 }))

  it.effect("has a sentence for each way of being empty", () =>
    shows("list-empty", [
      ["list"],
      ["list", "--parked"],
      ["list", "--definition", "Nothing"],
      ["list", "--error", "hoteldown"],
      ["list", "--id", "Nothing"],
      ["list", "--count"],
      ["list", "--ids"]
    ], { empty: true }))

  it.effect("prints ids alone, or how many there are", () =>
    shows("list-ids", [
      ["list", "--parked", "--definition", "Booking", "--ids"],
      ["list", "--status", "completed,Failed", "--ids"],
      ["list", "--ids", "--limit", "2"],
      ["list", "--count"],
      ["list", "--parked", "--count"]
    ]))

  it.effect("has no more after its last page", () => shows("list-after", [["list", "--after", "Booking/41"]]))

  for (
    const [title, args, expected] of [
      ["status", ["--status", "Parked"], [oddId, "Transfer/7", "Booking/42"]],
      ["several statuses", ["--status=running,Waiting", "-s", "Failed"], ["Booking/47", "Booking/45", "Booking/44"]],
      ["what is parked", ["--parked"], [oddId, "Transfer/7", "Booking/42"]],
      ["definition", ["--definition", "Transfer"], ["Transfer/7"]],
      ["what an id begins with", ["--id", "Booking/42"], ["Booking/42"]],
      ["error", ["--error", "NoCarLeft"], ["Booking/47", "Booking/43"]],
      ["attributes", ["--attribute", "customer=alice", "-a", "city=Paris"], ["Booking/42"]],
      ["other attributes", ["--attribute", "customer=ada", "-a", "city=Paris"], []],
      ["start", ["--since", "2026-01-05T09:06:30Z"], [oddId, "Transfer/7"]],
      ["start in another zone", ["--since", "2026-01-05 10:06:30+01:00"], [oddId, "Transfer/7"]],
      ["start before", ["--until", "2026-01-05T09:01:00"], ["Booking/41"]],
      ["start so long ago", ["--since", "23h55m", "--until", "23h54m"], ["Booking/46"]]
    ] as const
  ) {
    it.effect(`chooses by ${title}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* idsOf(args), expected)
      }))
  }

  it.effect("says with --json where the next page begins", () =>
    Effect.gen(function*() {
      const first = yield* document(Schemas.Listed, ["list", "--limit", "8"])
      const second = yield* document(Schemas.Listed, ["list", "--limit", "8", `--after=${first.next}`])

      assert.deepStrictEqual(first.next, "Booking/42")
      assert.deepStrictEqual([second.executions.map(({ id }) => id), second.next], [["Booking/41"], null])
    }))

  it.effect("counts with --json", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* document(Schemas.Counted, ["list", "--parked", "--count"]), { v: 1, count: 3 })
    }))

  it.effect("prints a command for the next page that goes on with the same list", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const next = /effect-saga (list .*)$/m

      let args = "list --oldest --limit=2 --since=30h"
      const seen: Array<string> = []
      while (true) {
        const { stdout } = yield* run(args.split(" "), { env: { EFFECT_SAGA_DB: filename } })
        seen.push(...stdout.split("\n").filter((line) => /^\S+\/\S+/.test(line)).map((line) => line.split(" ")[0]!))
        const [, more] = next.exec(stdout) ?? []
        if (more === undefined) break
        assert.match(more, /^list --since=2026-01-05T03:00:00\.000Z --oldest --limit=2 --after=/)
        args = more
      }

      assert.deepStrictEqual(
        seen.slice(0, 8),
        [41, 42, 43, 44, 45, 46, 47].map((id) => `Booking/${id}`).concat("Transfer/7")
      )
    }))

  it.effect("prints ids so that they can be given back, but not to a terminal", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const args = ["list", "--id=-odd", "--ids"]

      const piped = yield* run(args, { env: { EFFECT_SAGA_DB: filename } })
      const shown = yield* run(args, { env: { EFFECT_SAGA_DB: filename }, columns: 80 })

      assert.strictEqual(piped.stdout, `${JSON.stringify(oddId)}\n`)
      assert.strictEqual(shown.stdout, "-odd/it's \\u001b[31mred\\nand long\n")
    }))

  it.effect("has no colours where they are not wanted", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const colored = (args: ReadonlyArray<string>, env: Record<string, string>, columns?: number) =>
        Effect.map(
          run(["list", ...args], { env: { EFFECT_SAGA_DB: filename, ...env }, columns }),
          ({ stdout }) => stdout.includes("\u001b[")
        )

      assert.isTrue(yield* colored([], {}, 100))
      assert.isTrue(yield* colored([], { NO_COLOR: "" }, 100))
      assert.isFalse(yield* colored([], {}))
      assert.isFalse(yield* colored(["--no-color"], {}, 100))
      assert.isFalse(yield* colored([], { NO_COLOR: "0" }, 100))
      assert.isFalse(yield* colored([], { TERM: "dumb" }, 100))
    }))
})

describe("show", () => {
  it.effect("says what happened and what to do", () => shows("show", [["show", "Booking/42"], ["show", "Booking/41"]]))

  it.effect("leaves out values with --redact", () => shows("show-redact", [["show", "Booking/42", "--redact"]]))

  it.effect("says which ids are like a wrong one", () =>
    shows("show-not-found", [
      ["show", "Booking/4"],
      ["show", "Nothing/1"],
      ["show", "Booking/4", "--json"],
      ["show", ""],
      ["show", "--", "-odd"]
    ]))

  it.effect("takes an id after two dashes", () => shows("show-odd", [["show", "--", oddId]]))

  it.effect("prints the timeline with --json", () =>
    Effect.gen(function*() {
      const timeline = yield* document(SagaTimeline.SagaTimeline, ["show", "Booking/42"])

      assert.strictEqual(timeline.execution.id, "Booking/42")
    }))
})

describe("show", () => {
  it.effect("says that a child for which it waits is parked", () =>
    Effect.gen(function*() {
      const filename = yield* seeded([
        ...executions,
        execution(20, "Tour/1", { status: "Waiting", definition: "Tour" }, [
          "ChildStarted",
          { path: "Booking", after: 0, child: "Booking/42" }
        ])
      ])

      const { stderr, stdout } = yield* run(["show", "Tour/1", "--db", filename])

      assert.include(stdout, "It goes on when child \"Booking/42\" has ended.")
      assert.match(stderr, /^It waits for its child Booking\/42, which is parked until an operator decides\.$/m)
    }))

  it.effect("says of what has not ended that no engine runs, and nothing where one does", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const show = (id: string) => Effect.map(run(["show", id, "--db", filename]), ({ stderr }) => stderr)

      assert.match(yield* show("Booking/42"), /^No engine runs on this store now,/)
      assert.match(yield* show("Booking/44"), /^No engine runs on this store now,/)
      assert.strictEqual(yield* show("Booking/41"), "")
      const store = yield* open({ filename })
      yield* store.acquire({ owner: "engine", standby: false })
      assert.strictEqual(yield* show("Booking/42"), "")
    }))
})

describe("history", () => {
  it.effect("has a line for each event", () =>
    shows("history", [["history", "Booking/47"], ["history", "--", oddId], ["history", "Nothing/1"]]))

  it.effect("leaves out with --redact what customers and operators wrote", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const history = (...args: ReadonlyArray<string>) =>
        Effect.map(run(["history", "Booking/47", "--db", filename, ...args]), ({ stdout }) => stdout)

      assert.match(yield* history(), /operator="ada" reason="refunded by phone"/)
      for (const text of [yield* history("--redact"), yield* history("--redact", "--json")]) {
        assert.include(text, "Skipped")
        assert.notMatch(text, /ada|refunded|"47"/)
      }
    }))

  it.effect("cuts nothing where there is no terminal", () =>
    Effect.gen(function*() {
      const text = "x".repeat(2000)
      const filename = yield* seeded([
        execution(1, "Booking/1", { status: "Parked", reason: text }, ["ValueRecorded", {
          path: "value",
          after: 0,
          value: text
        }])
      ])

      for (const args of [["history", "Booking/1"], ["list"]]) {
        assert.include((yield* run([...args, "--db", filename])).stdout, text)
        assert.notInclude((yield* run([...args, "--db", filename], { columns: 100 })).stdout, text)
      }
    }))

  it.effect("fits a terminal, with colours", () =>
    shows("history-terminal", [["history", "Booking/42"]], { columns: 90 }))

  it.effect("says who has decided and why in full, and of the rest what fits, but a bit where next to nothing does", () =>
    Effect.gen(function*() {
      const reason = "He has called, and wants another room. ".repeat(30)
      const filename = yield* seeded([
        execution(
          1,
          "Booking/1",
          { status: "Running" },
          succeeded("flight", "hotel"),
          ["CancelRequested", { operator: "ada", reason }]
        )
      ])

      const { stdout } = yield* run(["history", "Booking/1", "--no-color", "--db", filename], { columns: 40 })

      const [, step, cancelled] = stdout.split("\n")
      assert.include(cancelled, `operator="ada" reason="${reason}"`)
      assert.match(step!, /StepSucceeded {10}flight {2}value="v…$/)
    }))

  it.effect("prints the events with --json", () =>
    Effect.gen(function*() {
      const history = yield* document(Schemas.History, ["history", "Booking/41"])

      assert.deepStrictEqual(history.execution, "Booking/41")
      assert.deepStrictEqual(
        history.events.map(({ _tag }) => _tag),
        ["ExecutionStarted", "StepSucceeded", "StepSucceeded", "ExecutionCompleted"]
      )
    }))
})

describe("stats", () => {
  it.effect("counts by definition and status", () => shows("stats", [["stats"], ["stats", "--window", "2d"]]))

  it.effect("has a sentence where there is nothing", () => shows("stats-empty", [["stats"]], { empty: true }))

  it.effect("prints the numbers with --json", () =>
    Effect.gen(function*() {
      const stats = yield* document(Schemas.Stats, ["stats", "--window", "1d"])

      assert.deepInclude(stats.groups, { definition: "Booking", status: "Parked", count: 1 })
      assert.strictEqual(stats.oldestParked?.id, "Booking/42")
      assert.deepStrictEqual([stats.started, stats.ended.Completed, stats.windowMillis], [9, 1, 86_400_000])
    }))
})
