import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema, Stream } from "effect"
import { SagaEngine, SagaOperator, SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import { decideMany } from "../src/cli/decisions/decideMany.ts"
import { perform, type Request, type Result } from "../src/cli/decisions/many.ts"
import { Counter } from "../src/cli/decisions/tally.ts"
import * as Texts from "../src/cli/decisions/texts.ts"
import { idsIn, lineOf } from "../src/cli/input/ids.ts"
import * as Output from "../src/cli/output.ts"
import { DecidedMany } from "../src/cli/schemas.ts"
import * as Cli from "./support/cli.ts"
import { open } from "./support/sqliteFile.ts"

const request: Request = {
  action: "skip",
  targets: { _tag: "Filter", filter: {}, limit: undefined },
  by: { operator: "ada", reason: "bankrupt" }
}

const targets = (count: number): ReadonlyArray<Result> =>
  Array.from({ length: count }, (_, index) => ({
    id: `Trip/${index}`,
    record: undefined,
    path: "hotel",
    outcome: { _tag: "Planned" }
  }))

const refusal = (reason: SagaEngine.SagaEngineError["reason"]) => new SagaEngine.SagaEngineError({ reason })

const noEngine = refusal(new SagaEngine.NoEngine({ store: "the store", owner: null }))

const unanswered = (execution: string) =>
  refusal(new SagaEngine.Unanswered({ execution, store: "the store", millis: 1000 }))

const unavailable = new SagaStore.SagaStoreError({
  reason: new SagaStore.Unavailable({ store: "the store", problem: "busy", cause: undefined })
})

/** An operator that skips as it is told. */
const operatorThat = (skip: (id: string, path: string | undefined) => Effect.Effect<void, SagaOperator.Error>) =>
  SagaOperator.make().pipe(
    Effect.map((operator) => ({
      ...operator,
      skip: (id: string, options: { readonly path?: string | undefined } = {}) => skip(id, options.path)
    })),
    Effect.provide(SagaStore.layerMemory)
  )

const performed = Effect.fnUntraced(function*(operator: SagaOperator.SagaOperator["Service"], count: number) {
  const tally = new Counter()
  const done = yield* perform(operator, request, targets(count), {
    onResult: (result) => Effect.sync(() => tally.add(result)),
    onInterrupt: () => Effect.void
  })
  return { ...done, tally }
})

describe("when the engine goes away, a decision on many", () => {
  it.effect("tells of each what became of it, and asks for no more", () =>
    Effect.gen(function*() {
      let asked = 0
      const operator = yield* operatorThat((id) =>
        Effect.suspend(() => {
          const index = asked++
          // It does 40, and dies with the others on their way.
          if (index < 40) return Effect.void
          return Effect.andThen(Effect.yieldNow, Effect.fail(index === 40 ? noEngine : unanswered(id)))
        })
      )

      const { error, results, tally } = yield* performed(operator, 200)

      assert.strictEqual(error, noEngine)
      assert.strictEqual(results.length, 200)
      const { decisions, notAsked, unanswered: open } = tally
      assert.strictEqual(decisions, 40)
      assert.isAbove(open, 0)
      // The one that found no engine has asked nobody.
      assert.deepStrictEqual([open, notAsked], [asked - 41, 200 - asked + 1])
      assert.strictEqual(
        Texts.stopped(tally, noEngine),
        `No engine runs on the store any more. 40 were done, ${open} may still be done, and ${notAsked} were not asked. ` +
          `Before you ask again, look at those that may still be done.`
      )
    }))

  it.effect("says that nothing was asked, where the store takes no requests", () =>
    Effect.gen(function*() {
      const operator = yield* operatorThat((id) => id === "Trip/0" ? Effect.fail(unavailable) : Effect.void)

      const { error, results, tally } = yield* performed(operator, 3)

      assert.strictEqual(error, unavailable)
      assert.deepStrictEqual(results.map(({ outcome }) => outcome._tag), ["NotAsked", "NotAsked", "NotAsked"])
      assert.match(Texts.stopped(tally, unavailable), /0 were done, and 3 were not asked\.$/)
    }))
})

describe("a decision that is interrupted", () => {
  /** What is printed by a command which is interrupted once it has asked an engine that does not answer. */
  const interrupted = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
    const filename = yield* Cli.seeded()
    const store = yield* open({ filename })
    yield* store.acquire({ owner: "busy", standby: false })
    let printed = ""
    const running = yield* Effect.forkChild(
      Cli.run([...args, "--db", filename], { onPrint: (text) => void (printed += text) })
    )
    yield* Effect.suspend(() => store.requests()).pipe(
      Effect.repeat({ until: (requests) => requests.length > 0, schedule: Schedule.spaced("10 millis") }),
      TestClock.withLive
    )
    yield* Fiber.interrupt(running)
    return printed.replaceAll(filename, "sagas.db")
  })

  it.effect("on one says that it may still be done", () =>
    Effect.gen(function*() {
      const printed = yield* interrupted("retry", "Booking/42")

      assert.strictEqual(
        printed,
        "Interrupted. It may have been asked, and may still be done: look at it before you ask again.\n" +
          "See effect-saga --db=sagas.db show Booking/42\n"
      )
    }))

  it.effect("on many says how far it had come", () =>
    Effect.gen(function*() {
      const printed = yield* interrupted("cancel", "Booking/44", "Booking/45", "Booking/41", "--yes")

      assert.strictEqual(
        printed,
        "Interrupted. 0 were done, 1 was refused, 2 may still be done, and 0 were not asked. Before you ask again, look " +
          "at those that may still be done.\n" +
          "  effect-saga --db=sagas.db show Booking/44\n" +
          "  effect-saga --db=sagas.db show Booking/45\n"
      )
    }))

  it.effect("on many tells programs what became of each", () =>
    Effect.gen(function*() {
      const printed = yield* interrupted("cancel", "Booking/44", "Booking/41", "--yes", "--json")

      const [, results, error] = /^(\{.*\n\})\n(\{.*\})\n$/s.exec(printed)!
      assert.deepStrictEqual(
        Schema.decodeUnknownSync(Schema.fromJsonString(DecidedMany))(results).results.map(({ error, outcome }) => [
          outcome,
          error?._tag
        ]),
        [["Unanswered", undefined], ["Refused", "AlreadyFinished"]]
      )
      assert.strictEqual(JSON.parse(error!).error._tag, "Interrupted")
    }))
})

describe("a decision on many", () => {
  it.effect("names the step that was planned, also where it is none", () =>
    Effect.gen(function*() {
      const paths: Array<string | undefined> = []
      const operator = yield* operatorThat((_, path) => Effect.sync(() => void paths.push(path)))
      const [one] = targets(1)

      yield* perform(operator, request, [one!, { ...one!, path: null }], {
        onResult: () => Effect.void,
        onInterrupt: () => Effect.void
      })

      assert.deepStrictEqual(paths, ["hotel", ""])
    }))

  it.effect("is not begun where planning fails half way", () =>
    Effect.gen(function*() {
      const operator = yield* operatorThat(() => Effect.die("asked"))
      const bulk: typeof operator.bulk = () =>
        Stream.concat(
          Stream.succeed({ execution: Cli.executions[1]!.record!, path: "hotel", outcome: { _tag: "Planned" } }),
          Stream.fail(unavailable)
        )

      const error = yield* decideMany(request, { dryRun: false, yes: true }).pipe(
        Effect.provideService(SagaOperator.SagaOperator, { ...operator, bulk }),
        Effect.provideServiceEffect(Output.Output, Output.make({ json: false, colors: false, program: "effect-saga" })),
        Effect.provide(NodeServices.layer),
        Effect.flip
      )

      assert.strictEqual(error, unavailable)
    }))
})

describe("ids in a pipe", () => {
  const ids = [
    "Booking/42",
    "Trip/a\nTrip/victim",
    "Trip/a\r",
    " Trip/a",
    "Trip/a ",
    `"Trip/a"`,
    `Trip/"a"`,
    "Trip/a\u2028b",
    "Trip/\ud800",
    "Trip/\u202ea\u009b31m",
    "Trip/a b",
    "-odd/é"
  ]

  it.effect("come back as they were", () =>
    Effect.gen(function*() {
      const text = ids.map((id) => `${lineOf(id)}\n`).join("")

      assert.deepStrictEqual(yield* idsIn(text), ids)
      assert.strictEqual(text.split("\n").length, ids.length + 1)
    }))

  it("are as they are where a line can give them back", () => {
    assert.deepStrictEqual(ids.filter((id) => lineOf(id) === id), ["Booking/42", `Trip/"a"`, "Trip/a b", "-odd/é"])
  })

  it.effect("of one command name nothing else to the next", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded([
        Cli.execution(1, "Trip/victim", { status: "Parked" }),
        Cli.execution(2, "Trip/a\nTrip/victim", { status: "Parked", attributes: { customer: "Mallory" } })
      ])
      const run = (args: ReadonlyArray<string>, stdin?: string) => Cli.run(["--db", filename, ...args], { stdin })

      const { stdout } = yield* run(["list", "--attribute", "customer=Mallory", "--ids"])
      const planned = yield* run(["cancel", "-", "--dry-run", "--json"], stdout)

      assert.deepStrictEqual(
        JSON.parse(planned.stdout).results.map(({ execution }: any) => execution),
        ["Trip/a\nTrip/victim"]
      )
    }))
})

describe("JSON", () => {
  it.effect("has nothing in it that a terminal would obey", () =>
    Effect.gen(function*() {
      const id = "Trip/a\u009b31m\u202e\u007f\u2028\u{e0001}b"
      const filename = yield* Cli.seeded([
        Cli.execution(1, id, { status: "Completed" }, ["ExecutionCompleted", { result: null }])
      ])

      for (
        const args of [["list"], ["show", id], ["history", id], ["export", id], ["watch", id], ["retry", id], ["stats"]]
      ) {
        const { stderr, stdout } = yield* Cli.run(["--db", filename, ...args, "--json"])

        assert.notMatch(stdout + stderr, /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, args[0])
        if (args[0] === "history") assert.strictEqual(JSON.parse(stdout).execution, id)
      }
    }))
})

describe("a dry run", () => {
  it.effect("of cancel promises nothing that is refused, or done already", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()
      const results = (...args: ReadonlyArray<string>) =>
        Effect.map(
          Cli.run(["cancel", ...args, "--dry-run", "--json", "--db", filename]),
          ({ stdout }) =>
            Schema.decodeUnknownSync(Schema.fromJsonString(DecidedMany))(stdout).results.map(
              ({ error, execution, outcome }) => `${execution} ${error?._tag ?? outcome}`
            )
        )

      assert.deepStrictEqual(yield* results("Booking/42", "Booking/44", "Booking/46", "Transfer/7"), [
        "Booking/42 NotApplicable",
        "Booking/44 Planned",
        "Booking/46 NotApplicable",
        "Transfer/7 Planned"
      ])
      // What is cancelled is left out of what a filter finds.
      assert.deepStrictEqual(yield* results("--status", "Running,Waiting,Parked,Compensating", "--limit", "5"), [
        "Booking/42 NotApplicable",
        "Booking/44 Planned",
        "Booking/45 Planned",
        "Transfer/7 Planned",
        `${Cli.oddId} NotApplicable`
      ])
    }))

  it.effect("takes an id that no store can have for one that is not there", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const { code, stdout } = yield* Cli.run(["retry", "-", "--dry-run", "--db", filename], {
        stdin: `Booking/4\0\n"Booking/\\ud800"\nBooking/42\n`
      })

      assert.match(stdout, /This would retry 1 execution\..*\n2 were refused/s)
      assert.strictEqual(code, 1)
    }))

  it.effect("says which execution may be meant where there is none", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const { code, stdout } = yield* Cli.run(["retry", "Booking/4", "Trip/1", "--dry-run", "--db", filename])

      assert.strictEqual(code, 1)
      assert.match(stdout, /Booking\/4".* Did you mean Booking\/47, Booking\/46,/)
      assert.notMatch(stdout, /Trip\/1".* Did you mean/)
    }))
})
