/*
 * What an operator reads of an execution. The texts of the golden journals are kept in `test/golden/timeline`: each
 * execution in the middle of its journal, where it is parked for the first time, and at its end. `UPDATE_GOLDEN=1` writes
 * them anew.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { SagaTimeline } from "effect-saga"
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { expectGolden } from "./support/golden.ts"
import {
  compensated,
  type Event,
  fail,
  failed,
  goldenJournals,
  interrupt,
  journal,
  morning,
  parkedAfterPivot,
  parkedFor,
  parkedForCode,
  prefixesOf,
  second,
  starting,
  type Stored,
  succeeded,
  unwinding,
  type Written
} from "./support/timeline.ts"

const render = (stored: Stored, options: Partial<SagaTimeline.RenderOptions> = {}): string =>
  SagaTimeline.render(SagaTimeline.make(stored), { now: stored.events.at(-1)!.at + 90_000, ...options })

/** In the middle, where it is parked for the first time, and at its end. */
const momentsOf = (stored: Stored): ReadonlyArray<Stored> => {
  const { events, record } = stored
  const parked = events.findIndex(({ _tag }) => _tag === "Parked") + 1
  const lengths = new Set([Math.ceil(events.length / 2), ...(parked === 0 ? [] : [parked]), events.length])
  return Array.from(lengths).toSorted((one, other) => one - other).map((length) => ({
    record,
    events: events.slice(0, length)
  }))
}

const withoutColors = (text: string): string =>
  text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g"), "")

const isCommand = (line: string): boolean => line.startsWith("  effect-saga ")

/* A character of Japanese takes two columns. */
const widthOf = (line: string): number => line.replaceAll(/[\u3000-\u9fff]/g, "xx").length

describe("the text of a timeline", () => {
  for (const [name, executions] of goldenJournals) {
    it(`of the golden journal ${name} is what is kept`, async () => {
      const texts = executions.flatMap((stored) =>
        momentsOf(stored).map((moment) =>
          `=== ${stored.record.id} after ${moment.events.length} of ${stored.events.length} events\n\n${
            render(moment)
          }\n`
        )
      )

      await expectGolden(new URL(`golden/timeline/${name}.txt`, import.meta.url), texts.join("\n"))
    })
  }

  it("is kept for the golden journals that there are", () => {
    const kept = readdirSync(new URL("golden/timeline/", import.meta.url))

    assert.deepStrictEqual(kept.toSorted(), Array.from(goldenJournals.keys(), (name) => `${name}.txt`))
  })

  for (const width of [72, 100, 160]) {
    it(`is not wider than ${width} columns, but for commands`, () => {
      const long = "all the words of a text that is a bit longer than a line is wide ".repeat(4)
      const wide = journal(
        { payload: long, ...starting("a".repeat(200)) },
        succeeded("a".repeat(200), "savepoint/all[7]/with a name of some length#2"),
        failed("savepoint/all[7]/with a name of some length#2", fail("Refused", { message: long, more: long })),
        unwinding("", ["a".repeat(200)]),
        parkedFor("a".repeat(200)),
        ["Skipped", { path: "a".repeat(200), operator: long, reason: long }]
      )
      const room = "部屋".repeat(60)
      const japanese = journal(
        { payload: room, ...starting(room) },
        succeeded(room, "車"),
        failed("車", fail("満室", { message: "大阪のホテルは満室です。".repeat(20) })),
        unwinding("", [room]),
        parkedFor(room),
        ["Skipped", { path: room, operator: room, reason: room }]
      )
      const all = [...Array.from(goldenJournals.values()).flat(), wide, japanese].flatMap(prefixesOf)

      for (const stored of all) {
        for (const line of render(stored, { width }).split("\n")) {
          if (!isCommand(line)) assert.isAtMost(widthOf(line), width, line)
        }
      }
    })
  }

  it("has the same text with colours as without", () => {
    for (const stored of Array.from(goldenJournals.values()).flat()) {
      const colored = render(stored, { colors: true })

      assert.strictEqual(withoutColors(colored), render(stored))
      assert.notStrictEqual(colored, render(stored))
    }
  })

  it("is as narrow as 72 columns, and refuses options that are none", () => {
    const timeline = SagaTimeline.make(journal({}))

    assert.strictEqual(
      SagaTimeline.render(timeline, { now: morning, width: 1 }),
      SagaTimeline.render(timeline, { now: morning, width: 72 })
    )
    for (const options of [{ now: morning, width: 0 }, { now: morning, colours: true }, { now: morning, colors: 1 }]) {
      assert.throws(() => SagaTimeline.render(timeline, options as never), RangeError, /^SagaTimeline\.render: /)
    }
  })
})

describe("the text", () => {
  it("says that an action may have run twice where it started again in another process", () => {
    const text = render(journal(
      starting("charge"),
      ["SignalReceived", { name: "go", value: null, at: second(100) }],
      [
        "StepSucceeded",
        { path: "charge", after: 0, at: second(101), startedAt: second(99), attempt: 1, input: null, value: null }
      ]
    ))

    assert.include(text, "again  2026-01-05T09:01:39.000Z: it may have started before, and run twice")
  })

  it("says that what was in flight runs again, where the code is not there", () => {
    const text = render(
      journal(starting("a"), parkedForCode("NotRegistered", "No definition \"Order\" is registered."))
    )

    assert.include(text, "Execution \"Order/7\" is parked until the code that it began with is there.")
    assert.match(text, /a +1m 31s {2}was in flight, runs again/)
  })

  it("says of a timer and of a retry that they are overdue", () => {
    const stored = journal(
      starting("a"),
      ["TimerStarted", { path: "sleep", dueAt: second(60) }],
      ["AttemptFailed", { path: "a", attempt: 1, cause: fail("Busy"), retryAt: second(70) }]
    )

    const [early, late] = [render(stored, { now: second(50) }), render(stored, { now: second(80) })]

    assert.include(early, "its time, 2026-01-05T09:01:00.000Z, in 10s")
    assert.include(early, "the next attempt of \"a\", 2026-01-05T09:01:10.000Z, in 20s")
    assert.include(early, "Nothing has to be done")
    assert.include(late, "Something is overdue: look whether an engine is running")
    assert.include(late, "due    2026-01-05T09:01:00.000Z, overdue by 20s")
    assert.include(late, "retry  2026-01-05T09:01:10.000Z, overdue by 10s")
  })

  it("says that a compensation is in flight when its next attempt was due", () => {
    const stored = journal(starting("a"), succeeded("a", "b"), failed("b"), unwinding("", ["a"]), [
      "CompensationAttemptFailed",
      { path: "a", attempt: 1, cause: fail("Stuck"), retryAt: second(60) }
    ])

    assert.match(render(stored, { now: second(59) }), /Left to undo.*\n {2}1 {2}a {2}waits for its next attempt/)
    assert.match(render(stored, { now: second(61) }), /Left to undo.*\n {2}1 {2}a {2}in flight/)
  })

  it("says for which signal an execution waits", () => {
    const text = render(journal({}, ["SignalAwaited", { path: "approval/go", name: "go" }]))

    assert.include(text, "waits for   signal \"go\"")
    assert.include(text, "It goes on when it gets signal \"go\".")
  })

  it("says of what is not known whether it took effect, and of what is left, when all is over", () => {
    const unknown = render(journal(starting("a"), failed("a", interrupt), [
      "ExecutionCompensated",
      { result: interrupt }
    ]))
    const left = render(journal(
      starting("savepoint/a"),
      succeeded("savepoint/a", "savepoint/b"),
      failed("savepoint/b"),
      unwinding("savepoint", ["savepoint/a"]),
      ["CompensationFailed", { path: "savepoint/a", after: 0, attempt: 1, cause: fail("Stuck") }],
      ["UnwindFinished", { scope: "savepoint", remaining: [] }],
      ["ExecutionCompleted", { result: null }]
    ))

    assert.include(unknown, "failed and was undone, but nobody knows whether \"a\" took effect.")
    assert.include(unknown, "To be looked up: whether \"a\" took effect.")
    assert.include(left, "completed, but a part of it could not be undone completely.")
    assert.include(left, "Not undone, and nobody will try again\n  ✗  savepoint/a  COMPENSATION FAILED")
    assert.include(left, "To be undone by hand: \"savepoint/a\".")
  })

  it("says of a child that what it has done stays, where it is in what is undone", () => {
    const child = (path: string): Written => [
      "ChildFinished",
      { path, after: 0, child: `Mail/${path}`, status: "Completed", cancelled: false, result: null }
    ]
    const part = render(journal(
      starting("part/a"),
      succeeded("part/a"),
      child("before"),
      child("part/within"),
      unwinding("part", ["part/a"]),
      compensated("part/a"),
      child("part/later")
    ))
    const whole = render(journal({}, child("all"), ["ExecutionCompensated", { result: fail("Refused") }]))

    assert.match(part, / before .* child completed$/m)
    assert.match(part, / within .* child completed, and what it has done stays$/m)
    assert.match(part, / later .* child completed$/m)
    assert.match(whole, / all .* child completed, and what it has done stays$/m)
  })

  it("says why something failed as far as that goes, with the frames of users", () => {
    const stack = "Error: no money\n    at pay (bank.ts:1:1)\n    at run (node:internal/x:1:1)"
    const text = render(journal(
      starting("a"),
      failed("a", [{
        _tag: "Die",
        defect: { name: "Error", message: "no money\nat all", stack, cause: { name: "Broke", message: "since May" } }
      }]),
      ["ExecutionCompensated", { result: fail("Refused", { message: "says no", amount: 3 }) }]
    ))

    assert.include(
      text,
      [
        "      │ Error: no money",
        "      │ at all (a defect)",
        "      │     at pay (bank.ts:1:1)",
        "      │ because of",
        "      │   Broke: since May"
      ].join("\n")
    )
    assert.notInclude(text, "node:internal")
    assert.include(text, "because     Refused: says no {\"amount\":3}")
  })

  it("shows what a compensation waits for, with that compensation", () => {
    const text = render(journal(
      starting("a"),
      succeeded("a", "b"),
      failed("b"),
      unwinding("", ["a"]),
      ["TimerStarted", { path: "a/undo/sleep", dueAt: second(600) }]
    ))

    const [forward, undoing] = text.split("Undoing the saga")
    assert.notInclude(forward, "sleep")
    assert.match(undoing!, / a .* in flight\n.* undo\/sleep /)
  })
})

describe("the commands", () => {
  const commandsIn = (text: string): ReadonlyArray<string> =>
    text.split("\n").filter(isCommand).map((line) => line.slice(2))

  const stuck = (path: string): ReadonlyArray<ReturnType<typeof succeeded>> => [
    succeeded(path, "other"),
    failed("other"),
    unwinding("", [path]),
    parkedFor(path)
  ]

  it("are those that apply, with their paths", () => {
    assert.deepStrictEqual(commandsIn(render(journal(starting("a"), ...stuck("a")))), [
      "effect-saga retry Order/7 --path a",
      "effect-saga skip Order/7 --path a --reason \"...\"",
      "effect-saga resolve Order/7 --path a --reason \"...\""
    ])
    assert.deepStrictEqual(
      commandsIn(render(journal(
        starting("a"),
        succeeded("a", "b"),
        ["SagaCommitted", { path: "pivot" }],
        failed("b"),
        parkedAfterPivot("b", "b")
      ))),
      [
        "effect-saga retry Order/7 --path b",
        "effect-saga skip Order/7 --path b --reason \"...\"",
        "effect-saga resolve Order/7 --path b --value JSON --reason \"...\"",
        "effect-saga cancel Order/7"
      ]
    )
    assert.deepStrictEqual(commandsIn(render(journal(starting("a")))), ["effect-saga cancel Order/7"])
    assert.deepStrictEqual(
      commandsIn(render(journal({}, ["ChildStarted", { path: "Child", after: 0, child: "Child/1" }]))),
      ["effect-saga cancel Order/7", "effect-saga show Child/1"]
    )
    assert.deepStrictEqual(commandsIn(render(journal({}, ["ExecutionCompleted", { result: null }]))), [])
  })

  it("has all attempts but for several in the middle", () => {
    const attempts = (count: number) =>
      render(journal(
        starting("a"),
        ...Array.from({ length: count }, (_, index) =>
          ["AttemptFailed", {
            path: "a",
            attempt: index + 1,
            cause: fail("Busy"),
            retryAt: second(index + 2),
            ...starting("a")
          }] as const)
      )).match(/^ +(attempt \d+|\.\.\. .*)/gm)?.map((line) => line.trim())

    const all = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `attempt ${from + at}`)
    assert.deepStrictEqual(attempts(6), all(1, 7))
    assert.deepStrictEqual(attempts(7), [
      ...all(1, 2),
      "... 2 more attempts: see effect-saga history Order/7",
      ...all(5, 8)
    ])
  })

  it("begin as the caller says", () => {
    const text = render(journal(starting("a"), ...stuck("a")), { program: "npx effect-saga --db='my sagas.db'" })

    assert.include(text, "\n  npx effect-saga --db='my sagas.db' retry Order/7 --path a\n")
    assert.notMatch(text, /^ *effect-saga/m)
  })

  it("say for what they are, where an execution is parked for several things", () => {
    const text = render(journal(
      starting("savepoint/a"),
      succeeded("savepoint/a", "savepoint/b"),
      failed("savepoint/b"),
      unwinding("savepoint", ["savepoint/a"]),
      parkedFor("savepoint/a"),
      parkedForCode("Mismatch", "The code does not fit the journal of Order/7.")
    ))

    assert.include(text, "  For \"savepoint/a\":\n  effect-saga retry Order/7 --path savepoint/a\n")
    assert.include(text, "  For Mismatch:\n  effect-saga retry Order/7 --path ''\n")
  })

  /** The words that a shell makes of a command. */
  const wordsOf = (command: string): ReadonlyArray<string> =>
    execFileSync("bash", ["-c", `effect-saga() { printf '%s\\0' "$@"; }\n${command}`], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8" }
    }).split("\0").slice(0, -1)

  for (
    const [what, name] of [
      ["with spaces and quotes", "it's \"a\" name"],
      ["with what a shell would run", "$(touch x) `touch y`; touch z & ! * ~ \\ #"],
      ["in several lines, with controls", "one\ntwo\u001b[2J\u009b31m'\\n"],
      ["with other letters", "Zürich 東京 🚆"],
      ["that could be an option", "--value"],
      ["of a branch", "all[0]/a"],
      ["beginning with what a shell expands", "=ls"]
    ] as const
  ) {
    it(`can be pasted into a shell for a name ${what}`, () => {
      const [retry] = commandsIn(render(journal({ id: `${name}/7`, ...starting(name) }, ...stuck(name))))

      const words = wordsOf(retry!)

      const expected = name.startsWith("-")
        ? ["retry", `--path=${name}`, "--", `${name}/7`]
        : ["retry", `${name}/7`, "--path", name]
      assert.deepStrictEqual(words, expected)
    })
  }
})

describe("hostile texts", () => {
  const hostile = "\u001b[2J\u001b]0;owned\u0007\r\b\u009b31m\u2028\u202eevil\u200b\ud800\ttab\nline"
  // Every character that is no letter, mark, number, punctuation, symbol or plain space.
  const unsafe = /[^\p{L}\p{M}\p{N}\p{P}\p{S} \n]/u

  const everywhere = (text: string): Stored => {
    const path = text.replaceAll("\n", "\\n")
    const cause = [
      {
        _tag: "Fail",
        error: { _tag: text, message: text, name: text, stack: `${text}\n    at ${text}`, [text]: text }
      },
      { _tag: "Die", defect: text },
      {
        _tag: "Fail",
        error: {
          _tag: "CompensationFailed",
          saga: text,
          reason: fail(text),
          failures: [{ step: text, cause: fail(text) }]
        }
      }
    ]
    return journal(
      { id: text, definition: text, payload: { [text]: text }, ...starting(path) },
      ["AttemptFailed", { path, attempt: 1, cause, retryAt: second(5), ...starting(path) }],
      ["StepSucceeded", { path, after: 0, startedAt: 0, attempt: 2, input: text, value: [text] }],
      ["SagaCommitted", { path }],
      ["TimerStarted", { path: `${path}/${path}/timer`, dueAt: second(9) }],
      ["SignalAwaited", { path: `${path}/wait`, name: text }],
      ["SignalReceived", { name: text, value: text }],
      ["ValueRecorded", { path: `${path}/value`, after: 0, value: text }],
      ["ChildStarted", { path: `${path}/child`, after: 0, child: text }],
      ["UnwindStarted", { scope: path, cause, pending: [path] }],
      ["CompensationAttemptFailed", { path, attempt: 1, cause, retryAt: second(11) }],
      ["Parked", { kind: "CompensationFailed", path, steps: [path], attempt: 2, reason: text, cause }],
      ["Parked", { kind: "Mismatch", path: "", steps: [], attempt: 0, reason: text, cause: null }],
      ["Resolved", { path: `${path}2`, value: text, operator: text, reason: text }],
      ["CancelRequested", { operator: text, reason: text }]
    )
  }

  it("reach the terminal as numbers, wherever they are", () => {
    const stored = everywhere(hostile)
    const finished = journal({ id: hostile, payload: hostile }, ["ExecutionFailed", { result: fail(hostile) }])
    const pivoted = journal({}, ["SagaCommitted", { path: hostile }], ["ExecutionFailed", { result: fail(hostile) }])

    for (const one of [...prefixesOf(stored), finished, pivoted]) {
      const plain = render(one)
      const colored = render(one, { colors: true })

      assert.strictEqual(unsafe.exec(plain), null)
      assert.strictEqual(unsafe.exec(withoutColors(colored)), null)
      assert.notInclude(plain, "\nline")
    }
    assert.include(render(stored), "\\u001b[2J")
    assert.include(render(stored), "\\u202eevil")
  })

  it.effect.prop(
    "reach the terminal as numbers, whatever they are",
    {
      text: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))), {
        minLength: 1,
        maxLength: 12
      })
    },
    ({ text }) =>
      Effect.sync(() => {
        assert.strictEqual(
          /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(
            render(everywhere(String.fromCharCode(...text))).replaceAll("\n", "")
          ),
          null
        )
      })
  )

  it("are cut where they are long, deep or many, and the text stays short", () => {
    const huge = "x".repeat(1_000_000)
    const stored = journal(
      { payload: { huge }, ...starting("a") },
      ...Array.from({ length: 2000 }, (_, index) =>
        [
          "AttemptFailed",
          {
            path: "a",
            attempt: index + 1,
            cause: fail("Busy", { message: huge }),
            retryAt: second(index + 1),
            ...starting("a")
          }
        ] as const),
      ["StepSucceeded", { path: "a", after: 0, startedAt: 0, attempt: 2001, input: null, value: huge }],
      ...Array.from({ length: 2000 }, (_, index) => succeeded(`step ${index}`)),
      failed("b", Array.from({ length: 500 }, () => fail("Refused", { message: `${huge}\n`.repeat(3) })[0])),
      unwinding("", Array.from({ length: 2000 }, (_, index) => `step ${index}`)),
      ...Array.from({ length: 1000 }, (_, index) => compensated(`step ${index}`)),
      ...Array.from({ length: 500 }, () => ["CancelRequested", { reason: huge }] as const)
    )

    const text = render(stored)

    assert.isBelow(text.length, 150_000)
    assert.isBelow(text.split("\n").length, 1300)
    assert.include(text, "... 1995 more attempts: see effect-saga history Order/7\n")
    assert.include(text, "... and 1901 more between these: see effect-saga history Order/7\n")
    assert.include(text, "... and 950 more\n")
    assert.match(text, /payload {5}{"huge":"x+…$/m)
  })

  it("leave room for what became of a step whose name is long", () => {
    const path = "a name of some length ".repeat(10).trimEnd()

    const text = render(journal({}, succeeded(path), unwinding("", [path]), parkedFor(path)), { width: 80 })

    assert.match(text, /^ {2}1 {2}a name .*…ome length {2}PARKED$/m)
  })

  it("are left out where an execution is undone in part, or parked, very often", () => {
    const paths = Array.from({ length: 300 }, (_, index) => `savepoint#${index}/a`)
    const undone = journal(
      {},
      ...paths.flatMap((path) => [succeeded(path), unwinding(path.split("/")[0]!, [path]), compensated(path)])
    )
    const parked = journal(
      {},
      ...paths.map((path) => succeeded(path)),
      unwinding("", paths),
      ...paths.map((path) => parkedFor(path))
    )

    const [one, other] = [render(undone), render(parked)]

    assert.include(one, "... 280 unwinds before these are not shown")
    assert.include(one, "Undoing \"savepoint#299\"")
    assert.include(other, "... and 280 more that it is parked for.")
    assert.isBelow(Math.max(one.length, other.length), 150_000)
  })

  it("are cut where they are deep", () => {
    let payload: Schema.Json = "deep"
    for (let depth = 0; depth < 100_000; depth++) payload = [payload]
    const { events, record } = journal({})

    // An event with another payload is one of the same kind; its schema would take too deep a call to say so.
    const text = render({ record, events: [{ ...events[0]!, payload } as Event] })

    assert.include(text, `payload     ${"[".repeat(21)}[…]`)
  })

  it("in times and numbers that no calendar has are shown as they are", () => {
    const text = render(
      journal({}, ["TimerStarted", { path: "sleep", dueAt: 1e300 }], ["TimerStarted", { path: "back", dueAt: -1e300 }])
    )

    assert.include(text, "1e+300, in 1e+300 ms")
    assert.include(text, "-1e+300, overdue by 1e+300 ms")
  })
})

describe("a duration", () => {
  const durationOf = (millis: number): string => {
    const text = render(journal({}, ["TimerStarted", { path: "sleep", dueAt: morning + millis }]), { now: morning })
    return text.match(/in (.*)$/m)![1]!
  }

  for (
    const [millis, expected] of [
      [0, "0ms"],
      [999, "999ms"],
      [1000, "1s"],
      [1550, "1.5s"],
      [59_999, "59.9s"],
      [60_000, "1m"],
      [61_000, "1m 1s"],
      [3_600_000, "1h"],
      [3_661_000, "1h 1m"],
      [86_400_000, "1d"],
      [2 * 86_400_000 + 5 * 3_600_000 + 59_000, "2d 5h"],
      [400 * 86_400_000, "400d"]
    ] as const
  ) {
    it(`of ${millis} ms is shown as ${expected}`, () => {
      assert.strictEqual(durationOf(millis), expected)
    })
  }
})
