import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { SagaEngine, SagaOperator, SagaStore } from "effect-saga"
import { decideMany } from "../src/cli/decisions/decideMany.ts"
import { perform, type Request, type Result } from "../src/cli/decisions/many.ts"
import { Counter } from "../src/cli/decisions/tally.ts"
import * as Texts from "../src/cli/decisions/texts.ts"
import { idsIn, lineOf } from "../src/cli/input/ids.ts"
import * as Output from "../src/cli/output.ts"
import { DecidedMany } from "../src/cli/schemas.ts"
import * as Cli from "./support/cli.ts"

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
  const done = yield* perform(operator, request, targets(count), (result) => Effect.sync(() => tally.add(result)))
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
          return index === 40 ? Effect.fail(noEngine) : Effect.andThen(Effect.yieldNow, Effect.fail(unanswered(id)))
        })
      )

      const { error, results, tally } = yield* performed(operator, 200)

      assert.strictEqual(error, noEngine)
      assert.strictEqual(results.length, 200)
      const { decisions, notAsked, unanswered: open } = tally
      assert.strictEqual(decisions, 40)
      // The one that found no engine has asked nobody.
      assert.deepStrictEqual([open, notAsked], [asked - 41, 200 - asked + 1])
      assert.strictEqual(
        Texts.stopped(tally, noEngine),
        `No engine runs on the store any more. 40 were done, ${open} may still be done, and ${notAsked} were not asked. ` +
          `Before you ask again, look at those that may still be done.`
      )
    }))

  it.effect("says of what was on its way that it may still be done, where it is the store that is gone", () =>
    Effect.gen(function*() {
      const operator = yield* operatorThat((id) => id === "Trip/0" ? Effect.fail(unavailable) : Effect.void)

      const { error, results } = yield* performed(operator, 3)

      assert.strictEqual(error, unavailable)
      assert.deepStrictEqual(results.map(({ outcome }) => outcome._tag), ["Unanswered", "NotAsked", "NotAsked"])
    }))
})

describe("a decision on many", () => {
  it.effect("names the step that was planned, also where it is none", () =>
    Effect.gen(function*() {
      const paths: Array<string | undefined> = []
      const operator = yield* operatorThat((_, path) => Effect.sync(() => void paths.push(path)))
      const [one] = targets(1)

      yield* perform(operator, request, [one!, { ...one!, path: null }], () => Effect.void)

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

  it.effect("says which execution may be meant where there is none", () =>
    Effect.gen(function*() {
      const filename = yield* Cli.seeded()

      const { code, stdout } = yield* Cli.run(["retry", "Booking/4", "Trip/1", "--dry-run", "--db", filename])

      assert.strictEqual(code, 1)
      assert.match(stdout, /Booking\/4".* Did you mean Booking\/47, Booking\/46,/)
      assert.notMatch(stdout, /Trip\/1".* Did you mean/)
    }))
})
