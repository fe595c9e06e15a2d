import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SagaEngine } from "effect-saga"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Decided } from "../src/cli/schemas.ts"
import * as Cli from "./support/cli.ts"
import { Order, settled, Trip } from "./support/cliSagas.ts"
import { setting } from "./support/cliSetting.ts"

describe("a decision on one execution", () => {
  it.live("retry has it try again, and keeps who has decided so, and why", () =>
    Effect.gen(function*() {
      const { decisions, ended, expect, hotelIsBack } = yield* setting
      yield* hotelIsBack

      const { code } = yield* expect("retry-one", [
        "retry",
        "Trip/1",
        "--reason",
        "the hotel is back",
        "--operator",
        "ada"
      ])

      assert.strictEqual(code, 0)
      assert.strictEqual(yield* ended("Trip/1"), "Compensated")
      assert.deepStrictEqual(yield* decisions("Trip/1"), [{ event: "Retried", by: "ada", why: "the hotel is back" }])
    }))

  it.live("retry that fails again says so, and ends with 1", () =>
    Effect.gen(function*() {
      const { expect } = yield* setting

      const { code } = yield* expect("retry-in-vain", ["retry", "Trip/1"])

      assert.strictEqual(code, 1)
    }))

  it.live("--wait 0 does not wait for what comes of it", () =>
    Effect.gen(function*() {
      const { expect } = yield* setting

      const { code } = yield* expect("retry-unwatched", ["retry", "Trip/1", "--wait", "0"])

      assert.strictEqual(code, 0)
    }))

  it.live("programs are told what was decided, and what came of it", () =>
    Effect.gen(function*() {
      const { engine, hotelIsBack, run } = yield* setting

      const inVain = yield* run(["retry", "Trip/1", "--path", "hotel", "--json"])
      yield* hotelIsBack
      const retried = yield* run(["retry", "Trip/1", "--json"])
      const signalled = yield* run(["signal", "Visa/1", "approved", `{"by": "Ada"}`, "--json"])

      const decided = ({ stdout }: Cli.Ran) => Schema.decodeUnknownSync(Schema.fromJsonString(Decided))(stdout)
      const { execution, ...rest } = decided(inVain)
      assert.deepStrictEqual(rest, { v: 1, decision: "retry", path: "hotel", outcome: "ParkedAgain" })
      assert.deepStrictEqual([execution.id, execution.status], ["Trip/1", "Parked"])
      assert.deepStrictEqual([inVain.code, inVain.stderr], [1, ""])
      assert.deepStrictEqual(decided(retried), {
        v: 1,
        decision: "retry",
        path: null,
        outcome: "Ended",
        execution: yield* engine.get("Trip/1")
      })
      assert.deepStrictEqual(JSON.parse(signalled.stdout), {
        v: 1,
        execution: "Visa/1",
        signal: "approved",
        outcome: "Ended",
        status: "Completed"
      })
    }))

  it.live("skip leaves it undone, and its history says why", () =>
    Effect.gen(function*() {
      const { decisions, ended, expect } = yield* setting

      yield* expect("skip-one", ["skip", "Trip/1", "--reason", "the hotel is bankrupt", "--operator", "ada"])

      assert.strictEqual(yield* ended("Trip/1"), "Failed")
      assert.deepStrictEqual(yield* decisions("Trip/1"), [{
        event: "Skipped",
        by: "ada",
        why: "the hotel is bankrupt"
      }])
    }))

  it.live("a decision on one of several steps leaves the others parked", () =>
    Effect.gen(function*() {
      const { ended, expect, hotelIsBack, status } = yield* setting
      yield* hotelIsBack

      yield* expect("retry-path", ["retry", "Tour/1", "--path", "all[0]/ritz"])

      assert.strictEqual(yield* status("Tour/1"), "Parked")
      yield* expect("retry-other-path", ["retry", "Tour/1"])
      assert.strictEqual(yield* ended("Tour/1"), "Compensated")
    }))

  it.live("resolve says that it was done by hand", () =>
    Effect.gen(function*() {
      const { decisions, ended, expect } = yield* setting

      yield* expect("resolve", ["resolve", "Trip/1", "--reason", "cancelled by phone", "--operator", "ada"])

      assert.strictEqual(yield* ended("Trip/1"), "Compensated")
      assert.deepStrictEqual(yield* decisions("Trip/1"), [{ event: "Resolved", by: "ada", why: "cancelled by phone" }])
    }))

  it.live("resolve takes the value of a step from itself, a file, or standard input", () =>
    Effect.gen(function*() {
      const { engine, folder, run } = yield* setting
      yield* Effect.provideService(
        Effect.andThen(Effect.forEach(["2", "3"], (id) => Order.start(id)), settled),
        SagaEngine.SagaEngine,
        engine
      )
      const file = join(folder, "value.json")
      writeFileSync(file, `{"parcel": 2}`)

      const ran = yield* Effect.forEach([
        [`{"parcel": 1}`, ""],
        [`@${file}`, ""],
        ["-", `{"parcel": 3}\n`]
      ], ([value, stdin], index) => run(["resolve", `Order/${index + 1}`, "--value", value!], stdin))

      assert.deepStrictEqual(ran.map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""], [0, ""]])
      for (const id of [1, 2, 3]) {
        assert.deepStrictEqual(yield* engine.await(`Order/${id}`), {
          status: "Completed",
          cancelled: false,
          result: id
        })
      }
    }))

  it.live("signal gives it what it waits for", () =>
    Effect.gen(function*() {
      const { engine, expect } = yield* setting

      yield* expect("signal", ["signal", "Visa/1", "approved", `{"by": "Ada"}`])

      assert.strictEqual((yield* engine.await("Visa/1")).result, "approved by Ada")
    }))

  it.live("cancel has it undone", () =>
    Effect.gen(function*() {
      const { decisions, ended, expect } = yield* setting

      yield* expect("cancel-one", ["cancel", "Visa/1", "--reason", "the traveller has called", "--operator", "ada"])

      assert.strictEqual(yield* ended("Visa/1"), "Compensated")
      assert.deepStrictEqual(yield* decisions("Visa/1"), [
        { event: "CancelRequested", by: "ada", why: "the traveller has called" }
      ])
    }))

  it.effect("cancel of what is cancelled already asks nobody, and says so", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const ran = yield* Cli.run(["cancel", "Booking/46", "--wait", "0", "--db", filename])

      assert.deepStrictEqual(ran, {
        code: 0,
        stdout: `Execution "Booking/46" is already cancelled, so nothing was asked.\n` +
          `See effect-saga --db=${filename} show Booking/46\n`,
        stderr: ""
      })
    }))

  it.live("that was made is told where standard output has no room for it, on standard error", () =>
    Effect.gen(function*() {
      const { ended, filename } = yield* setting

      const { code, stderr } = yield* Cli.run(["cancel", "Visa/1", "--db", filename], { full: ["stdout"] })

      assert.strictEqual(yield* ended("Visa/1"), "Compensated")
      assert.match(stderr, /^Execution "Visa\/1" is cancelled.*was cancelled and undone.*could not be written.*ENOSPC/s)
      assert.strictEqual(code, 1)
    }))

  it.live("the operator is whoever runs it, where it does not say", () =>
    Effect.gen(function*() {
      const { decisions, run } = yield* setting

      yield* run(["skip", "Trip/1", "--reason", "a test"])

      const [decision] = yield* decisions("Trip/1")
      assert.isString(decision?.by)
      assert.isNotEmpty(decision?.by)
    }))
})

describe("decisions on many executions", () => {
  it.live("--yes does it to all that the filter finds, and to no other", () =>
    Effect.gen(function*() {
      const { ended, expect, hotelIsBack, status } = yield* setting
      yield* hotelIsBack

      const { code } = yield* expect("retry-filter", ["retry", "--attribute", "customer=Ada", "--yes"])

      assert.strictEqual(code, 0)
      assert.deepStrictEqual(yield* Effect.forEach(["2", "4", "6"], (id) => ended(`Trip/${id}`)), [
        "Compensated",
        "Compensated",
        "Compensated"
      ])
      assert.deepStrictEqual(yield* Effect.forEach(["1", "3", "5"], (id) => status(`Trip/${id}`)), [
        "Parked",
        "Parked",
        "Parked"
      ])
    }))

  it.live("what is parked while it asks is left alone", () =>
    Effect.gen(function*() {
      const { engine, filename, status } = yield* setting
      const another = Effect.andThen(Trip.start({ id: "7", customer: "Ada" }), settled).pipe(
        Effect.provideService(SagaEngine.SagaEngine, engine)
      )

      const { code, stdout } = yield* Cli.run(
        ["--db", filename, "skip", "--definition", "Trip", "--reason", "the hotel is bankrupt"],
        { columns: 80, answer: Effect.as(Effect.orDie(another), "y") }
      )

      assert.match(stdout, /Skip 6 executions\?.*Skipped 6 executions\./s)
      assert.deepStrictEqual([code, yield* status("Trip/7")], [0, "Parked"])
    }))

  it.live("what is not parked for the same step any more when it was asked is refused", () =>
    Effect.gen(function*() {
      const { decisions, filename, run } = yield* setting
      const meanwhile = run(["skip", "Tour/1", "--path", "all[0]/ritz", "--reason", "by phone", "--operator", "grace"])

      const { code, stdout } = yield* Cli.run(
        ["--db", filename, "skip", "--definition", "Tour", "--reason", "bankrupt", "--operator", "ada"],
        { columns: 80, answer: Effect.as(meanwhile, "y") }
      )

      assert.match(stdout, /parked for 2 steps\?.*Skipped 1 execution\.\n1 was refused/s)
      assert.strictEqual(code, 1)
      const by = (yield* decisions("Tour/1")).map(({ by }) => by)
      assert.deepStrictEqual(by, ["grace", "ada"])
    }))

  it.live("--limit takes the oldest", () =>
    Effect.gen(function*() {
      const { ended, hotelIsBack, run, status } = yield* setting
      yield* hotelIsBack

      yield* run(["retry", "--definition", "Trip", "--limit", "2", "--yes"])

      assert.deepStrictEqual(yield* Effect.forEach(["1", "2"], (id) => ended(`Trip/${id}`)), [
        "Compensated",
        "Compensated"
      ])
      assert.strictEqual(yield* status("Trip/3"), "Parked")
    }))

  it.live("ids come from another command", () =>
    Effect.gen(function*() {
      const { ended, expect, hotelIsBack, run } = yield* setting
      yield* hotelIsBack
      const { stdout } = yield* run(["list", "--definition", "Trip", "--oldest", "--ids"])

      const { code } = yield* expect("retry-piped", ["retry", "-", "--yes"], stdout)

      assert.strictEqual(code, 0)
      assert.strictEqual(yield* ended("Trip/6"), "Compensated")
    }))

  it.live("an execution that is parked for several steps gets a decision on each", () =>
    Effect.gen(function*() {
      const { ended, expect, hotelIsBack } = yield* setting
      yield* hotelIsBack

      yield* expect("retry-several-steps", ["retry", "Tour/1", "Trip/1", "--yes"])

      assert.strictEqual(yield* ended("Tour/1"), "Compensated")
    }))

  it.live("a refusal does not stop the others, and ends with 1", () =>
    Effect.gen(function*() {
      const { ended, expect, hotelIsBack } = yield* setting
      yield* hotelIsBack

      const { code } = yield* expect("retry-partly", ["retry", "Trip/1", "Visa/1", "Trip/none", "Trip/2", "--yes"])

      assert.strictEqual(code, 1)
      assert.strictEqual(yield* ended("Trip/2"), "Compensated")
    }))

  it.live("programs are told what became of each", () =>
    Effect.gen(function*() {
      const { run } = yield* setting

      const dry = yield* run(["cancel", "Visa/1", "Trip/none", "--dry-run", "--json"])
      const ran = yield* run(["cancel", "Visa/1", "Trip/none", "--yes", "--json"])

      const outcomes = ({ stdout }: Cli.Ran) => {
        const { v, decision, dryRun, results } = JSON.parse(stdout)
        return [
          v,
          decision,
          dryRun,
          results.map((result: any) => [result.execution, result.outcome, result.error?._tag])
        ]
      }
      assert.deepStrictEqual(outcomes(dry), [1, "cancel", true, [
        ["Visa/1", "Planned", undefined],
        ["Trip/none", "Refused", "ExecutionNotFound"]
      ]])
      assert.deepStrictEqual(outcomes(ran), [1, "cancel", false, [
        ["Visa/1", "Done", undefined],
        ["Trip/none", "Refused", "ExecutionNotFound"]
      ]])
      assert.deepStrictEqual([dry.code, ran.code, ran.stderr], [1, 1, ""])
    }))
})
