import { assert, describe, it } from "@effect/vitest"
import { Effect, PlatformError, Sink, Stdio } from "effect"
import { SagaStoreError } from "effect-saga"
import { TestClock } from "effect/testing"
import { question, summary, unasked } from "../src/cli/decisions/texts.ts"
import { messageOf } from "../src/cli/failure.ts"
import { parse } from "../src/cli/input/json.ts"
import * as Progress from "../src/cli/print/progress.ts"
import { golden } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"

describe("JSON on the command line", () => {
  it.effect("is read as it is", () =>
    Effect.gen(function*() {
      const texts = [`{"seats": 2}`, `"a text"`, " 7 ", "null", `[1, {"a": true}]`]

      const values = yield* Effect.forEach(texts, (text) => parse("--value", text))

      assert.deepStrictEqual(values, [{ seats: 2 }, "a text", 7, null, [1, { a: true }]])
    }))

  it.effect("that is wrong is shown where it is wrong, as far as that is known", () =>
    Effect.gen(function*() {
      const texts = [
        "{seats: 2}",
        "Ada",
        `{"a": 1,}`,
        `{"a": `,
        `"Ada`,
        "[1, 2",
        `{"b": b}`,
        "",
        "{'a': 1}",
        `{"name": "Ada",\n "city": London}`,
        `{"${"long".repeat(30)}": 1,, "${"more".repeat(30)}": 2}`,
        "\u001b[31m"
      ]

      const errors = yield* Effect.forEach(texts, (text) => Effect.flip(parse("--value", text)))

      const shown = texts.map((text, index) => `${JSON.stringify(text)}\n${errors[index]}\n`).join("\n")
      yield* Effect.promise(() => expectGolden(golden("bad-json"), shown))
    }))
})

describe("what is said of many", () => {
  it("asks with what can't be taken back", () =>
    expectGolden(
      golden("questions"),
      (["retry", "skip", "cancel"] as const).flatMap((action) => [
        question(action, { decisions: 1, executions: 1 }),
        question(action, { decisions: 500, executions: 500 }),
        unasked(action, { decisions: 620, executions: 500 }),
        summary("effect-saga", action, {
          decisions: 3,
          executions: 2,
          refused: 1,
          reasons: ["It has ended."],
          unanswered: 0,
          unansweredIds: [],
          notAsked: 0
        })
      ]).join("\n") + "\n"
    ))
})

describe("progress", () => {
  const written = Effect.fnUntraced(function*(isTerminal: boolean) {
    let text = ""
    const stdio = Stdio.make({
      args: Effect.succeed([]),
      stdin: (yield* Stdio.Stdio).stdin,
      stderrIsTerminal: Effect.succeed(isTerminal),
      stdout: () => Sink.drain,
      stderr: () => Sink.forEach((chunk) => Effect.sync(() => void (text += String(chunk))))
    })
    const progress = yield* Effect.provideService(Progress.make, Stdio.Stdio, stdio)
    for (let second = 1; second <= 12; second++) {
      yield* TestClock.adjust("1 second")
      yield* progress.show(`${second} of 12`)
      yield* progress.show("not that soon")
    }
    yield* progress.clear
    return text
  }, Effect.provide(Stdio.layerTest({})))

  it.effect("is one line of a terminal, which is gone in the end", () =>
    Effect.gen(function*() {
      const lines = (yield* written(true)).split("\r\u001b[2K")

      assert.deepStrictEqual(lines, ["", ...Array.from({ length: 12 }, (_, index) => `${index + 1} of 12`), ""])
    }))

  it.effect("is a line every few seconds in a file", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* written(false), "5 of 12\n10 of 12\n")
    }))

  it.effect("is left out where it can't be written", () =>
    Effect.gen(function*() {
      const closed = PlatformError.systemError({ _tag: "BadResource", module: "Stdio", method: "stderr" })

      yield* Effect.provide(
        Effect.gen(function*() {
          const progress = yield* Progress.make
          yield* TestClock.adjust("1 minute")
          yield* progress.show("1 of 2")
        }),
        Stdio.layerTest({ stderr: () => Sink.fail(closed) })
      )
    }))
})

describe("what is said of a store that can't be reached", () => {
  it("ends with the code of the system, and has nothing else of the cause", () => {
    const said = (cause: unknown) =>
      messageOf(
        new SagaStoreError.SagaStoreError({
          reason: new SagaStoreError.Unavailable({ store: "The store", problem: "can't be reached", cause })
        })
      ).replace(/^.* it is back\./, "")

    const failed = (code: string) => Object.assign(new Error("postgres://ada:secret@host"), { code })
    assert.deepStrictEqual(
      [failed("ENOTFOUND"), failed("EAI_AGAIN"), failed("ERR_SQLITE_ERROR"), new Error("Connection timed out"), "EPIPE"]
        .map(said),
      [" The system says: ENOTFOUND.", " The system says: EAI_AGAIN.", "", " The system says: timeout.", ""]
    )
  })
})
