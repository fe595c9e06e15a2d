import { assert, describe, it } from "@effect/vitest"
import { Effect, PlatformError, Sink, Stdio } from "effect"
import { SagaStoreError } from "effect-saga"
import { TestClock } from "effect/testing"
import { question, summary, unasked } from "../src/cli/decisions/texts.ts"
import { messageOf } from "../src/cli/failure.ts"
import { parse } from "../src/cli/input/json.ts"
import * as Progress from "../src/cli/print/progress.ts"
import { type Cell, table } from "../src/cli/print/table.ts"
import { cutMiddle, paint, wrap } from "../src/internal/timelineText.ts"
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
        "\u001b[31m",
        `{"parcel": 90071992547409931}`,
        `{\n  "amount": 1e999\n}`,
        `{"by": "東京", "by": "Ada"}`
      ]

      const errors = yield* Effect.forEach(texts, (text) => Effect.flip(parse("--value", text)))

      const shown = texts.map((text, index) => `${JSON.stringify(text)}\n${errors[index]}\n`).join("\n")
      yield* Effect.promise(() => expectGolden(golden("bad-json"), shown))
    }))
})

describe("a number on the command line", () => {
  const exact = [
    "0",
    "-0",
    "-0.0e5",
    "1.0",
    "0.10",
    "0.1",
    "1e2",
    "1E+2",
    "100e-2",
    "-12.50",
    "9007199254740991",
    "12345678901234567000",
    "1e23",
    "1.7976931348623157e308",
    "5e-324"
  ]

  const inexact = [
    "9007199254740993",
    "12345678901234567890",
    "-90071992547409931",
    "0.10000000000000000001",
    "3.14159265358979323846",
    "1e-400",
    "1e999",
    "-1E400"
  ]

  it.effect("is kept, however it is written", () =>
    Effect.gen(function*() {
      for (const number of exact) {
        assert.deepStrictEqual(yield* parse("--value", `{"a": [${number}]}`), { a: [Number(number)] })
      }
    }))

  it.effect("is refused where JavaScript would make another of it", () =>
    Effect.gen(function*() {
      for (const number of inexact) {
        const error = yield* Effect.flip(parse("--value", `{"a": [true, ${number}]}`))

        assert.include(error, `--value has a number that would not be kept as it is, from line 1, column 14 on:`)
      }
    }))
})

describe("a name in JSON on the command line", () => {
  it.effect("may stand in each object once", () =>
    Effect.gen(function*() {
      const texts = [`{"a":1,"b":{"a":1},"c":[{"a":"a"},{"a":"a: {\\"a\\":1}"}]}`, `["a","a"]`, `{"a\\\\":1,"a":2}`]
      for (const text of texts) assert.deepStrictEqual(yield* parse("--value", text), JSON.parse(text))

      for (const text of [`{"a":1,"a":2}`, `[{"b":[],"x":{"y":1},"b" : 2}]`, `{"a":1,"\\u0061":2}`]) {
        assert.include(
          yield* Effect.flip(parse("--value", text)),
          "--value has a name twice in one object, from line 1"
        )
      }
    }))

  it.effect("may be long, as may texts", () =>
    Effect.gen(function*() {
      const value = { [`\\"`.repeat(1_000_000)]: `\\"`.repeat(3_000_000) }

      assert.deepStrictEqual(yield* parse("--value", JSON.stringify(value)), value)
    }))
})

describe("a table", () => {
  const rows = [
    ["Booking/42", "a reason that is longer than there is room for"],
    ["旅行/東京-7", "大阪のホテルは満室です。別の日を選んでください。"],
    ["Trip/🚄❤️", "cafe\u0301 ".repeat(12)],
    ["Trip/한국", "ok"]
  ].map((cells) => cells.map((text): Cell => ["plain", text]))

  it("has its columns under each other, and is no wider than the terminal, whatever is in it", () => {
    const lines = table(["ID", "REASON"], rows, 40).map((line) => paint(line, 40, false))

    assert.deepStrictEqual(lines, [
      "ID           REASON",
      "Booking/42   a reason that is longer th…",
      "旅行/東京-7  大阪のホテルは満室です。別…",
      "Trip/🚄❤️    " + "cafe\u0301 ".repeat(5) + "c…",
      "Trip/한국    ok"
    ])
  })

  it("is wrapped at the columns of wide characters", () => {
    assert.deepStrictEqual(wrap("東京から大阪まで Ada", 9, 5), ["東京から", "大阪まで", "Ada"])
    assert.deepStrictEqual(wrap("東京から大阪まで Ada", 9, 1), ["東京から…"])
    assert.strictEqual(cutMiddle(`${"東京".repeat(20)}#12`, 14), "東京東京東…#12")
  })
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
