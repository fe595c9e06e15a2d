/*
 * What a timeline does not show: what a payload codec has sealed, and what is left out for reports of bugs.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { JournalEvent, SagaTimeline } from "effect-saga"
import {
  decode,
  encode,
  entriesOf,
  failed,
  goldenJournals,
  journal,
  parkedFor,
  prefixesOf,
  second,
  starting,
  stepAt,
  type Stored,
  timelineOf
} from "./support/timeline.ts"

describe("what is sealed", () => {
  const seal = (json: unknown): string =>
    `iv0123456789abcdef012345.${Buffer.from(JSON.stringify(json)).toString("base64")}`
  const sealing = <A>(value: A): A => {
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => [
        key,
        ["payload", "input", "value", "cause", "result"].includes(key) ? seal(field) : field
      ])
    ) as A
  }
  const sealed = ({ events, record }: Stored): Stored => ({ record, events: events.map(sealing) })

  for (const [name, executions] of goldenJournals) {
    it(`stays so in the golden journal ${name}, cut anywhere`, () => {
      for (const prefix of executions.flatMap(prefixesOf)) {
        const timeline = timelineOf(sealed(prefix))

        assert.deepStrictEqual(timeline.payload, { _tag: "Sealed" })
        const shown = SagaTimeline.render(timeline, { now: second(0) })
        assert.match(shown, /^ {2}payload +sealed$/m)
        assert.notInclude(JSON.stringify(timeline.entries.filter(({ _tag }) => _tag !== "Value")), "iv0123456789abcd")
        assert.deepStrictEqual(timeline.remaining, timelineOf(prefix).remaining)
      }
    })
  }

  it("is told by a cause, which is none: then all else is sealed, too", () => {
    const timeline = timelineOf(journal({ payload: "short" }, failed("a", "xyz")))

    assert.deepStrictEqual(timeline.payload, { _tag: "Sealed" })
    assert.deepStrictEqual(stepAt(timeline, "a").cause, { _tag: "Sealed" })
  })

  it("is not what can be read: a cause, a value that is no text, a short text, a text of words, an id", () => {
    const id = "550e8400-e29b-41d4-a716-446655440000"
    const opaque = "iv0123456789abcdef0123456789abcd"
    for (
      const stored of [
        journal({ payload: opaque }, failed("a")),
        journal({ payload: opaque }, ["SignalReceived", { name: "go", value: null }]),
        journal({ payload: opaque }, ["SignalReceived", { name: "go", value: "short" }]),
        journal({ payload: opaque }, ["SignalReceived", {
          name: "go",
          value: "a text that is rather long but readable"
        }]),
        journal({ payload: id })
      ]
    ) {
      assert.strictEqual(timelineOf(stored).payload._tag, "Json", JSON.stringify(stored.events.slice(1)))
    }
    assert.strictEqual(timelineOf(journal({ payload: opaque })).payload._tag, "Sealed")
  })

  it("is what the caller knows to be sealed or not", () => {
    const { events, record } = journal({ payload: "short" })
    const opaque = journal({ payload: "iv0123456789abcdef0123456789abcd" })

    assert.strictEqual(SagaTimeline.make({ record, events, sealed: true }).payload._tag, "Sealed")
    const { cause } = stepAt(SagaTimeline.make({ ...journal({}, failed("a")), sealed: true }), "a")
    assert.deepStrictEqual(cause, { _tag: "Sealed" })
    assert.strictEqual(SagaTimeline.make({ ...opaque, sealed: false }).payload._tag, "Json")
  })
})

describe("redaction", () => {
  /** Marks all texts in a JSON but those that name a kind of error, or a step. */
  const marked = (json: unknown): unknown => {
    if (typeof json === "string") return `${json} SECRET`
    if (typeof json !== "object" || json === null) return json
    if (Array.isArray(json)) return json.map(marked)
    return Object.fromEntries(
      Object.entries(json).map(([key, value]) =>
        ["_tag", "name", "saga", "step"].includes(key) ? [key, value] : [key, marked(value)]
      )
    )
  }
  const secretFields = ["payload", "input", "value", "cause", "result", "reason", "operator"]
  const decodeEvent = Schema.decodeUnknownSync(JournalEvent.JournalEvent)
  const withSecrets = ({ events, record }: Stored): Stored => ({
    record,
    events: events.map((event) =>
      decodeEvent(Object.fromEntries(
        Object.entries(event).map(([key, field]) => [
          key,
          secretFields.includes(key) ? marked(field) : field
        ])
      ))
    )
  })

  for (const [name, executions] of goldenJournals) {
    it(`leaves what was given, returned and failed with out of the golden journal ${name}, cut anywhere`, () => {
      for (const stored of executions.map(withSecrets).flatMap(prefixesOf)) {
        const timeline = SagaTimeline.make({ ...stored, redact: true })
        const plain = JSON.stringify(SagaTimeline.make(stored))

        assert.include(plain, "SECRET")
        assert.notInclude(JSON.stringify(timeline), "SECRET")
        assert.notInclude(SagaTimeline.render(timeline, { now: second(0) }), "SECRET")
        assert.isTrue(timeline.redacted)
        assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(timeline)))), timeline)
      }
    })
  }

  it("leaves out messages, fields, frames, the reasons made of them, and what operators wrote, and keeps kinds, paths and decisions", () => {
    const error = (tag: string) => ({
      _tag: tag,
      secret: "SECRET",
      message: "SECRET",
      name: "SECRET",
      stack: "SECRET\n    at SECRET",
      cause: { name: "SECRET", message: "SECRET" }
    })
    const cause = [
      { _tag: "Fail", error: error("Refused") },
      { _tag: "Die", defect: { name: "TypeError", message: "SECRET", stack: "TypeError: SECRET" } },
      { _tag: "Die", defect: { name: "SECRET", message: "SECRET" } },
      { _tag: "Fail", error: "SECRET" },
      { _tag: "Fail", error: ["SECRET"] },
      {
        _tag: "Fail",
        error: {
          _tag: "CompensationFailed",
          saga: "inner",
          reason: [{ _tag: "Fail", error: error("Inner") }],
          origins: [],
          failures: [{ step: "x", cause: [{ _tag: "Fail", error: error("Deep") }] }],
          report: "SECRET"
        }
      }
    ]
    const parked = (kind: string, path: string, reason: string): ReturnType<typeof parkedFor> => [
      "Parked",
      { kind, path, steps: [path], attempt: 1, reason, cause: kind === "Mismatch" ? null : cause }
    ]
    const { events, record } = journal(
      { payload: { SECRET: "SECRET" }, ...starting("a") },
      ["AttemptFailed", { path: "a", attempt: 1, cause, retryAt: second(2), ...starting("a") }],
      ["StepSucceeded", { path: "a", after: 0, startedAt: 0, attempt: 2, input: "SECRET", value: "SECRET" }],
      ["ValueRecorded", { path: "random", after: 0, value: "SECRET" }],
      ["SignalReceived", { name: "go", value: "SECRET", operator: "SECRET", reason: "SECRET" }],
      ["SignalConsumed", { path: "go", after: 0, name: "go", signal: 5, value: "SECRET" }],
      ["ChildStarted", { path: "Child", after: 0, child: "Child/1" }],
      [
        "ChildFinished",
        { path: "Child", after: 0, child: "Child/1", status: "Completed", cancelled: false, result: "SECRET" }
      ],
      failed("b", cause),
      ["UnwindStarted", { scope: "", cause, pending: ["a"] }],
      ["CompensationAttemptFailed", { path: "a", attempt: 1, cause, retryAt: second(11) }],
      parked("CompensationFailed", "a", "Step \"a\" could not be undone: Refused: SECRET."),
      parked("FailedAfterPivot", "b", "It failed after its pivot: Refused: SECRET"),
      parked("FailedAfterPivot", "c", "Step \"c\" was resolved with a value that does not fit its schema: SECRET"),
      parked("Mismatch", "", "The code does not fit the journal of Order/7. Step \"a\" had the input SECRET."),
      parked("Mismatch", "d", "Execution Order/7 can't go on. SECRET"),
      parked("NotRegistered", "e", "No definition \"Order\" is registered."),
      ["Resolved", { path: "a", value: "SECRET", operator: "SECRET", reason: "SECRET" }],
      ["CancelRequested", { operator: "SECRET", reason: "SECRET" }],
      ["ExecutionFailed", { result: cause }]
    )

    const timeline = SagaTimeline.make({ record, events, redact: true })

    const shown = `${JSON.stringify(timeline)}\n${SagaTimeline.render(timeline, { now: second(0) })}`
    assert.notInclude(shown, "SECRET")
    assert.deepStrictEqual(entriesOf(timeline, "Parking").map(({ reason }) => reason), [
      "Step \"a\" could not be undone: Refused, TypeError, Inner.",
      "It failed after its pivot: Refused, TypeError, Inner.",
      "Step \"c\" was resolved with a value that does not fit its schema.",
      "The code does not fit the journal of Order/7. Nothing was done. " +
      "Register the code that this execution began with (version 1), and it goes on.",
      "Execution Order/7 can't go on.",
      "No definition \"Order\" is registered."
    ])
    assert.deepInclude(entriesOf(timeline, "Decision")[0]!, {
      decision: "Resolved",
      path: "a",
      operator: null,
      reason: null,
      value: { _tag: "Redacted" }
    })
    assert.deepStrictEqual(timeline.payload, { _tag: "Redacted" })
    for (const kept of ["Refused", "TypeError", "Inner", "Deep"]) assert.include(shown, kept)
  })
})
