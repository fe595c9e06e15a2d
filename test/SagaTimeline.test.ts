/*
 * What a timeline tells of an execution. How it is shown stands in SagaTimeline.render.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Saga, SagaTimeline, Step } from "effect-saga"
import { arbitraryCrashes, arbitraryScenario } from "./support/crashArbitrary.ts"
import { run } from "./support/crashRun.ts"
import { type Definitions, refusal, settle, start, testsOn } from "./support/durable/engine.ts"
import { type Ledger, makeGate, makeLedger, Trip } from "./support/durable/sagas.ts"
import { memory } from "./support/durable/storage.ts"
import {
  compensated,
  decode,
  encode,
  entriesOf,
  fail,
  failed,
  goldenJournals,
  interrupt,
  journal,
  parkedAfterPivot,
  parkedFor,
  parkedForCode,
  prefixesOf,
  second,
  starting,
  stepAt,
  type Stored,
  succeeded,
  timelineOf,
  unwinding
} from "./support/timeline.ts"

/** Where each step stands, in short. */
const statesOf = (timeline: SagaTimeline.SagaTimeline): { readonly [path: string]: string } =>
  Object.fromEntries(entriesOf(timeline, "Step").map(({ path, state }) => [path, state]))

const remainingOf = ({ remaining }: SagaTimeline.SagaTimeline): ReadonlyArray<string> =>
  remaining.map(({ path, state }) => `${path} ${state}`)

const isLost = (state: SagaTimeline.CompensationState): boolean =>
  state === "Failed" || state === "GivenUp" || state === "Remaining"

/** What has to be true of the timeline of any journal that an engine wrote, cut anywhere. */
const assertLaws = (stored: Stored): void => {
  const whole = timelineOf(stored)
  const finished = stored.events.some(({ _tag }) => /^Execution(Completed|Compensated|Failed)$/.test(_tag))
  if (finished) assert.strictEqual(whole.execution.status, stored.record.status)
  for (const { events, record } of prefixesOf(stored)) {
    const timeline = timelineOf({ record, events })

    assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(timeline)))), timeline)
    assert.isAbove(SagaTimeline.render(timeline, { now: second(0) }).length, 0)
    const sequences = timeline.entries.map(({ sequence }) => sequence)
    assert.deepStrictEqual(sequences, sequences.toSorted((one, other) => one - other))
    // Entries change, but none goes away, and none comes before them.
    const keyOf = ({ _tag, sequence }: SagaTimeline.Entry) => `${sequence} ${_tag}`
    assert.deepStrictEqual(whole.entries.slice(0, timeline.entries.length).map(keyOf), timeline.entries.map(keyOf))

    if (!finished) continue
    // What is left to undo is what is undone later, where it is being undone now.
    const scopes = new Set(
      entriesOf(timeline, "Unwind").flatMap(({ scope, state }) => state === "Running" ? [scope] : [])
    )
    const decided = new Set(
      entriesOf(timeline, "Step").flatMap(({ compensation, path }) =>
        compensation !== null && compensation.endedAt === null && /^(Resolved|GivenUp)$/.test(compensation.state)
          ? [path]
          : []
      )
    )
    const later = stored.events.slice(events.length).flatMap((event) =>
      (event._tag === "CompensationSucceeded" || event._tag === "CompensationFailed") && !decided.has(event.path) &&
        scopes.has(stepAt(whole, event.path).compensation!.scope)
        ? [event.path]
        : []
    )
    const left = timeline.remaining.flatMap(({ path, state }) => isLost(state) ? [] : [path])
    // Branches may be undone side by side.
    const isConcurrent = later.some((path) => path.includes("]/"))
    assert.deepStrictEqual(isConcurrent ? left.toSorted() : left, isConcurrent ? later.toSorted() : later)
  }
}

interface Report {
  readonly saga: string
  readonly status: string
  readonly pivot: string | null
  readonly steps: ReadonlyArray<{ readonly path: string; readonly name: string; readonly outcome: string }>
}

/** What the report in the failure of an execution says became of its steps, where there is one. */
const reportedOutcomes = ({ events, record }: Stored): ReadonlyArray<readonly [string, string]> => {
  const last = events.at(-1)!
  if (last._tag !== "ExecutionFailed") return []
  const [reason] = last.result as ReadonlyArray<{ readonly error?: { readonly report?: Report } }>
  const report = reason?.error?.report
  // It may also be that of a child, or of a savepoint before the saga had ended.
  if (report === undefined || report.saga !== record.definition || report.status !== "Failed") return []
  if (events.some((event) => event._tag === "ChildFinished" && event.status === "Failed")) return []
  // The pivot around a step has none of its own in a journal.
  return report.steps.flatMap(({ name, outcome, path }) =>
    path === report.pivot || /^pivot\d*$/.test(name) ? [] : [[path, outcome]]
  )
}

const assertOutcomes = (stored: Stored): void => {
  const timeline = timelineOf(stored)
  for (const [path, outcome] of reportedOutcomes(stored)) {
    assert.strictEqual(stepAt(timeline, path).outcome, outcome, `${stored.record.id}: ${path}`)
  }
}

describe("a timeline", () => {
  const known = Array.from(goldenJournals.values()).flat().flatMap(({ events }) => events)

  for (const [name, executions] of goldenJournals) {
    it(`of the golden journal ${name}, cut anywhere, tells what is left to undo, and comes back from its JSON`, () => {
      executions.forEach(assertLaws)
    })
  }

  it("has the outcomes of the report in the failure of its execution", () => {
    const failing = Array.from(goldenJournals.values()).flat().filter((stored) => reportedOutcomes(stored).length > 0)

    assert.isAtLeast(failing.length, 3)
    failing.forEach(assertOutcomes)
  })

  it.effect.prop(
    "of a random saga whose processes end anywhere tells the same, cut anywhere",
    { scenario: arbitraryScenario, crashes: arbitraryCrashes },
    ({ crashes, scenario }) =>
      Effect.sync(() => {
        const { ending, journals } = run(scenario, { crashes })
        if (ending !== "done") return
        for (const stored of journals.values()) {
          assertLaws(stored)
          assertOutcomes(stored)
        }
      }),
    { arbitrary: { runs: 100 }, timeout: 60_000 }
  )

  it.effect.prop(
    "of events in any order, which no engine writes, is made all the same",
    {
      numbers: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9999 }))), {
        maxLength: 30
      })
    },
    ({ numbers }) =>
      Effect.sync(() => {
        const { events, record } = journal(starting("flight", "savepoint/hotel"))
        const stored = { record, events: [...events, ...numbers.map((number) => known[number % known.length]!)] }
        const timeline = timelineOf(stored)

        assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(timeline)))), timeline)
        assert.include(SagaTimeline.render(timeline, { now: second(0) }), "What you can do")
      })
  )

  it("needs a journal with its first event, and options that there are", () => {
    const { events, record } = journal({})

    assert.throws(
      () => SagaTimeline.make({ record, events: [] }),
      RangeError,
      "the first event has to be ExecutionStarted"
    )
    assert.throws(
      () => SagaTimeline.make({ record, events, redacted: true } as never),
      RangeError,
      "SagaTimeline.make: options has to be an object of record, events, redact, sealed, but is \"one with redacted\""
    )
  })
})

describe("the action of a step", () => {
  it("is in flight from the event with which it starts", () => {
    const timeline = timelineOf(journal(starting("charge"), ["StepStarted", { path: "ship", after: 0, attempt: 1 }]))

    assert.deepStrictEqual(statesOf(timeline), { charge: "InFlight", ship: "InFlight" })
    const { attempts, endedAt, outcome, sequence, startedAt } = stepAt(timeline, "ship")
    assert.deepStrictEqual({ outcome, sequence, startedAt, endedAt }, {
      outcome: null,
      sequence: 2,
      startedAt: second(1),
      endedAt: null
    })
    assert.deepStrictEqual(attempts, [
      { number: 1, startedAt: second(1), endedAt: null, durationMillis: null, cause: null, retryAt: null }
    ])
  })

  it("has its input, its value and its duration when it has succeeded", () => {
    const timeline = timelineOf(journal(starting("charge"), succeeded("charge", "ship")))

    assert.deepInclude(stepAt(timeline, "charge"), {
      state: "Succeeded",
      outcome: "Succeeded",
      input: { _tag: "Json", json: "input of charge" },
      value: { _tag: "Json", json: "value of charge" },
      durationMillis: 1000
    })
    assert.deepInclude(stepAt(timeline, "ship"), { state: "InFlight", startedAt: second(1) })
  })

  it("waits for its next attempt until that starts, and has the attempts that failed", () => {
    const busy = fail("Busy", { desk: 3 })
    const waiting = journal(
      starting("charge"),
      ["AttemptFailed", { path: "charge", attempt: 1, cause: busy, retryAt: second(5) }]
    )
    const again = journal(
      starting("charge"),
      ["AttemptFailed", { path: "charge", attempt: 1, cause: busy, retryAt: second(5), ...starting("charge") }]
    )

    const [one, other] = [stepAt(timelineOf(waiting), "charge"), stepAt(timelineOf(again), "charge")]

    assert.deepInclude(one, { state: "WaitingForRetry", retryAt: second(5) })
    assert.deepInclude(one.attempts[0]!, { number: 1, durationMillis: 1000, retryAt: second(5) })
    assert.deepInclude(one.attempts[0]!.cause, {
      failures: [
        { kind: "Fail", tag: "Busy", message: null, fields: { desk: 3 }, stack: [], because: [], compensations: [] }
      ]
    })
    assert.deepInclude(other, { state: "InFlight", retryAt: null })
    assert.deepStrictEqual(other.attempts.map(({ number, startedAt }) => [number, startedAt]), [
      [1, second(0)],
      [2, second(5)]
    ])
  })

  it("that is said to start twice has started once", () => {
    const timeline = timelineOf(journal(starting("charge"), ["StepStarted", { path: "charge", after: 0, attempt: 1 }]))

    assert.strictEqual(stepAt(timeline, "charge").attempts.length, 1)
  })

  it("that is given up while it waits has made no other attempt", () => {
    const timeline = timelineOf(journal(
      starting("charge"),
      ["AttemptFailed", { path: "charge", attempt: 1, cause: fail("Busy"), retryAt: second(60) }],
      ["CancelRequested", {}],
      ["StepFailed", { path: "charge", after: 0, startedAt: second(0), attempt: 2, input: null, cause: fail("Busy") }]
    ))

    const { attempts, state } = stepAt(timeline, "charge")
    assert.strictEqual(state, "Failed")
    assert.deepStrictEqual(attempts.map(({ number }) => number), [1])
  })

  it("that has started again in another process keeps the time of its first start", () => {
    const timeline = timelineOf(journal(
      starting("charge"),
      ["SignalReceived", { name: "go", value: null, at: second(100) }],
      [
        "StepSucceeded",
        { path: "charge", after: 0, at: second(101), startedAt: second(99), attempt: 1, input: null, value: null }
      ]
    ))

    const step = stepAt(timeline, "charge")
    assert.strictEqual(step.startedAt, second(0))
    assert.deepInclude(step.attempts[0]!, { startedAt: second(99), durationMillis: 2000 })
  })

  for (
    const [what, cause] of [
      ["was interrupted", interrupt],
      ["timed out", fail("TimeoutError", { message: "too late" })],
      ["was running when its process ended, and must not run twice", fail("OutcomeUnknown", { step: "charge" })]
    ] as const
  ) {
    it(`that ${what} has an unknown outcome`, () => {
      const timeline = timelineOf(journal(starting("charge"), failed("charge", cause)))

      assert.deepInclude(stepAt(timeline, "charge"), { state: "Unknown", outcome: "Unknown" })
    })
  }

  it("is committed by the pivot, before it and after it", () => {
    const timeline = timelineOf(
      journal(starting("a"), succeeded("a", "b"), ["SagaCommitted", { path: "pivot" }], succeeded("b"))
    )

    assert.deepStrictEqual(statesOf(timeline), { a: "Committed", b: "Committed" })
    assert.strictEqual(timeline.pivot, "pivot")
    assert.deepInclude(entriesOf(timeline, "Commit")[0]!, { path: "pivot", sequence: 3, at: second(2) })
  })

  it("of which nothing is undone leaves nothing to undo", () => {
    const partly = journal(starting("a"), succeeded("a", "b"), succeeded("b", "c"), failed("c"), unwinding("", ["b"]))
    const not = journal(starting("a"), succeeded("a", "c"), failed("c"), [
      "ExecutionCompensated",
      { result: fail("Refused") }
    ])

    assert.deepStrictEqual(statesOf(timelineOf(partly)), { a: "NoCompensation", b: "Compensating", c: "Failed" })
    assert.deepStrictEqual(statesOf(timelineOf(not)), { a: "NoCompensation", c: "Failed" })
  })
})

describe("undoing", () => {
  const begun = [succeeded("a", "b"), succeeded("b", "c"), succeeded("c", "d"), failed("d")] as const

  it("runs the first compensation, and then the others in their order", () => {
    const first = timelineOf(journal(starting("a"), ...begun, unwinding("", ["c", "b", "a"])))
    const next = timelineOf(journal(starting("a"), ...begun, unwinding("", ["c", "b", "a"]), compensated("c")))

    assert.deepStrictEqual(remainingOf(first), ["c InFlight", "b Pending", "a Pending"])
    assert.deepStrictEqual(statesOf(first), { a: "Succeeded", b: "Succeeded", c: "Compensating", d: "Failed" })
    assert.deepStrictEqual(remainingOf(next), ["b InFlight", "a Pending"])
    assert.deepStrictEqual(stepAt(next, "c").compensation, {
      scope: "",
      state: "Succeeded",
      attempts: [
        { number: 1, startedAt: second(5), endedAt: second(6), durationMillis: 1000, cause: null, retryAt: null }
      ],
      startedAt: second(5),
      endedAt: second(6),
      durationMillis: 1000,
      retryAt: null,
      cause: null
    })
    assert.deepInclude(stepAt(next, "b").compensation!.attempts[0]!, { startedAt: second(6), endedAt: null })
    assert.deepInclude(entriesOf(next, "Unwind")[0]!, { scope: "", state: "Running", steps: ["c", "b", "a"] })
  })

  it("shows a compensation that waits for its next attempt, with those that failed", () => {
    const timeline = timelineOf(journal(starting("a"), ...begun, unwinding("", ["c", "b", "a"]), [
      "CompensationAttemptFailed",
      { path: "c", attempt: 1, cause: fail("Stuck"), retryAt: second(60) }
    ]))

    assert.deepInclude(stepAt(timeline, "c").compensation!, { state: "WaitingForRetry", retryAt: second(60) })
    assert.deepStrictEqual(stepAt(timeline, "c").compensation!.attempts.map(({ number }) => number), [1])
    assert.deepStrictEqual(remainingOf(timeline), ["c WaitingForRetry", "b Pending", "a Pending"])
  })

  it("does not tell when the compensation of a branch started, but for the first", () => {
    const timeline = timelineOf(journal(
      starting("all[0]/a", "all[1]/b", "all[1]/c"),
      succeeded("all[0]/a"),
      succeeded("all[1]/b"),
      failed("all[1]/c"),
      unwinding("", ["all[1]/b", "all[0]/a"]),
      compensated("all[1]/b"),
      compensated("all[0]/a")
    ))

    assert.strictEqual(stepAt(timeline, "all[1]/b").compensation!.startedAt, second(4))
    assert.strictEqual(stepAt(timeline, "all[0]/a").compensation!.startedAt, null)
    assert.strictEqual(stepAt(timeline, "all[0]/a").name, "a")
  })

  it("of a savepoint is its own, and the saga goes on", () => {
    const parts = [
      succeeded("a", "savepoint/b"),
      succeeded("savepoint/b", "savepoint/c"),
      failed("savepoint/c"),
      unwinding("savepoint", ["savepoint/b"])
    ] as const
    const during = timelineOf(journal(starting("a"), ...parts))
    const after = timelineOf(
      journal(starting("a"), ...parts, compensated("savepoint/b"), [
        "UnwindFinished",
        { scope: "savepoint", remaining: [] }
      ])
    )

    assert.strictEqual(during.execution.status, "Running")
    assert.deepStrictEqual(remainingOf(during), ["savepoint/b InFlight"])
    assert.deepStrictEqual(remainingOf(after), [])
    assert.deepStrictEqual(statesOf(after), { a: "Succeeded", "savepoint/b": "Compensated", "savepoint/c": "Failed" })
    assert.deepInclude(entriesOf(after, "Unwind")[0]!, { scope: "savepoint", state: "Finished", endedAt: second(6) })
  })

  it("that stopped after a failure leaves the rest, which nobody will undo", () => {
    const timeline = timelineOf(journal(
      starting("inner/a"),
      succeeded("inner/a", "inner/b"),
      succeeded("inner/b", "inner/c"),
      failed("inner/c"),
      unwinding("inner", ["inner/b", "inner/a"]),
      ["CompensationFailed", { path: "inner/b", after: 0, attempt: 1, cause: fail("Stuck") }],
      ["UnwindFinished", { scope: "inner", remaining: ["inner/a"] }]
    ))

    assert.deepStrictEqual(remainingOf(timeline), ["inner/b Failed", "inner/a Remaining"])
    assert.deepInclude(stepAt(timeline, "inner/a"), { state: "Remaining", outcome: "Remaining" })
    assert.deepInclude(stepAt(timeline, "inner/b"), { state: "CompensationFailed", outcome: "CompensationFailed" })
  })

  it("has what a compensation waits for, and the sagas in it, as parts of that compensation", () => {
    const timeline = timelineOf(journal(
      starting("a"),
      succeeded("a", "b"),
      failed("b"),
      unwinding("", ["a"]),
      ["TimerStarted", { path: "a/undo/sleep", dueAt: second(60) }],
      ["StepStarted", { path: "a/undo#2/inner/x", after: -1, attempt: 1, ...starting("trip/undo/y") }],
      succeeded("a/undo#2/inner/x"),
      unwinding("a/undo#2/inner", ["a/undo#2/inner/x"])
    ))

    assert.strictEqual(entriesOf(timeline, "Timer")[0]!.compensationOf, "a")
    assert.strictEqual(stepAt(timeline, "a/undo#2/inner/x").compensationOf, "a")
    assert.strictEqual(stepAt(timeline, "b").compensationOf, null)
    assert.strictEqual(stepAt(timeline, "trip/undo/y").compensationOf, null)
    assert.deepStrictEqual(entriesOf(timeline, "Unwind").map(({ compensationOf }) => compensationOf), [null, "a"])
    // The inner one has to end before the outer one can.
    assert.deepStrictEqual(remainingOf(timeline), ["a/undo#2/inner/x InFlight", "a InFlight"])
  })
})

describe("an operator", () => {
  const stuck = [
    succeeded("a", "b"),
    succeeded("b", "c"),
    failed("c"),
    unwinding("", ["b", "a"]),
    parkedFor("b")
  ] as const
  const by = { operator: "grace", reason: "the bank is closed" }

  it("is told for what an execution is parked, since when and why, and what each decision does", () => {
    const { execution, parked, remaining } = timelineOf(journal(starting("a"), ...stuck))

    assert.deepInclude(execution, { status: "Parked", since: second(5) })
    assert.deepStrictEqual(remaining.map(({ path, state }) => [path, state]), [["b", "Parked"], ["a", "Pending"]])
    assert.strictEqual(parked.length, 1)
    assert.deepInclude(parked[0]!, {
      kind: "CompensationFailed",
      path: "b",
      since: second(5),
      reason: "Step \"b\" could not be undone: Stuck."
    })
    assert.deepStrictEqual(parked[0]!.actions.map(({ action, needsValue, path }) => [action, path, needsValue]), [
      ["retry", "b", false],
      ["skip", "b", false],
      ["resolve", "b", false]
    ])
    assert.include(parked[0]!.actions[2]!.effect, "\"b\" was undone by hand")
  })

  it("has every decision kept, with who and why, and the end of the parking", () => {
    const timeline = timelineOf(journal(
      starting("a"),
      ...stuck,
      ["Retried", { path: "b", ...by }],
      parkedFor("b", 2),
      ["Resolved", { path: "b", value: { paid: "in cash" } }],
      compensated("b", 2),
      ["CancelRequested", { operator: "ada" }]
    ))

    assert.deepStrictEqual(entriesOf(timeline, "Parking").map(({ at, endedAt }) => [at, endedAt]), [
      [second(5), second(6)],
      [second(7), second(8)]
    ])
    assert.deepStrictEqual(
      entriesOf(timeline, "Decision").map(({ reason, decision, on, operator, value }) =>
        [decision, on, operator, reason, value] as const
      ),
      [
        ["Retried", "CompensationFailed", "grace", "the bank is closed", null],
        ["Resolved", "CompensationFailed", null, null, { _tag: "Json", json: { paid: "in cash" } }]
      ]
    )
    assert.deepInclude(entriesOf(timeline, "CancelRequest")[0]!, { operator: "ada", reason: null })
    assert.deepStrictEqual(stepAt(timeline, "b").compensation!.attempts.map(({ number }) => number), [1, 2])
  })

  for (
    const [decision, before, after, outcome] of [
      ["Retried", "InFlight", "Succeeded", "Compensated"],
      ["Resolved", "Resolved", "Resolved", "Compensated"],
      ["Skipped", "GivenUp", "GivenUp", "CompensationFailed"]
    ] as const
  ) {
    it(`has a compensation that was ${decision} shown as ${before}, and then as ${after}`, () => {
      const decided = [...stuck, [decision, { path: "b", value: null, ...by }]] as const
      const during = timelineOf(journal(starting("a"), ...decided))
      const ended = timelineOf(journal(
        starting("a"),
        ...decided,
        decision === "Skipped"
          ? ["CompensationFailed", { path: "b", after: 0, attempt: 1, cause: fail("Stuck") }]
          : compensated("b", decision === "Retried" ? 2 : 1)
      ))

      assert.strictEqual(stepAt(during, "b").compensation!.state, before)
      const { compensation, outcome: actual } = stepAt(ended, "b")
      assert.deepStrictEqual([compensation!.state, actual], [after, outcome])
      assert.strictEqual(compensation!.attempts.length, decision === "Retried" ? 2 : 1)
      assert.deepStrictEqual(
        remainingOf(ended),
        decision === "Skipped" ? ["a InFlight", "b GivenUp"] : ["a InFlight"]
      )
    })
  }

  const afterPivot = [
    succeeded("a", "b"),
    ["SagaCommitted", { path: "pivot" }],
    failed("b"),
    parkedAfterPivot("b", "b")
  ] as const

  it("has a step after the pivot done by hand, tried again or given up", () => {
    const decided = (decision: "Retried" | "Resolved" | "Skipped") =>
      stepAt(timelineOf(journal(starting("a"), ...afterPivot, [decision, { path: "b", value: 17 }])), "b")

    assert.deepInclude(decided("Resolved"), {
      state: "Resolved",
      outcome: "Committed",
      value: { _tag: "Json", json: 17 }
    })
    assert.deepInclude(decided("Retried"), { state: "WaitingForRetry", retryAt: second(5) })
    assert.deepInclude(decided("Skipped"), { state: "GivenUp", outcome: "Failed" })
  })

  it("has a step that was resolved with a value that does not fit shown as failed again", () => {
    const timeline = timelineOf(journal(
      starting("a"),
      ...afterPivot,
      ["Resolved", { path: "b", value: 17 }],
      parkedAfterPivot("b", "b")
    ))

    assert.deepInclude(stepAt(timeline, "b"), { state: "Failed", value: null })
  })

  it("is told that an execution goes on when its code fits", () => {
    const parked = journal(starting("a"), parkedForCode("NotRegistered", "No definition \"Order\" is registered."))
    const resumed = journal(
      starting("a"),
      parkedForCode("NotRegistered", "No definition \"Order\" is registered."),
      ["Resumed"]
    )

    const [before, after] = [timelineOf(parked), timelineOf(resumed)]
    assert.deepStrictEqual(before.parked[0]!.actions.map(({ action, path }) => [action, path]), [["retry", null]])
    assert.strictEqual(after.execution.status, "Running")
    assert.strictEqual(entriesOf(after, "Parking")[0]!.endedAt, second(2))
    assert.strictEqual(entriesOf(after, "Resumption").length, 1)
  })

  it("still has to decide on a failure after the pivot when the code fits", () => {
    const timeline = timelineOf(
      journal(starting("a"), ...afterPivot.slice(0, 3), parkedAfterPivot("", "b"), ["Resumed"])
    )

    assert.strictEqual(timeline.execution.status, "Parked")
  })

  it("has to name a path, also an empty one, where an execution is parked for several things", () => {
    const { actions, parked } = timelineOf(journal(
      starting("savepoint/a"),
      succeeded("savepoint/a", "savepoint/b"),
      failed("savepoint/b"),
      unwinding("savepoint", ["savepoint/a"]),
      parkedFor("savepoint/a"),
      parkedForCode("Mismatch", "The code does not fit the journal of Order/7.")
    ))

    assert.deepStrictEqual(
      parked.flatMap((one) => one.actions.map(({ action, path }) => [action, path])),
      [["retry", "savepoint/a"], ["skip", "savepoint/a"], ["resolve", "savepoint/a"], ["retry", ""]]
    )
    assert.deepStrictEqual(actions.map(({ action }) => action), ["cancel"])
  })

  it("has a compensation tried again, although that of another branch is still parked", () => {
    const timeline = timelineOf(journal(
      starting("all[0]/a", "all[1]/b"),
      succeeded("all[0]/a"),
      succeeded("all[1]/b"),
      failed("c"),
      unwinding("", ["all[1]/b", "all[0]/a"]),
      parkedFor("all[1]/b"),
      parkedFor("all[0]/a"),
      ["Retried", { path: "all[0]/a" }]
    ))

    assert.deepStrictEqual(remainingOf(timeline), ["all[1]/b Parked", "all[0]/a InFlight"])
    assert.deepInclude(stepAt(timeline, "all[0]/a").compensation!.attempts[1]!, { number: 2, startedAt: second(7) })
  })

  it("is told of the last reason only, where an execution is parked for another one each time it is started", () => {
    const timeline = timelineOf(journal({}, parkedForCode("NotRegistered", "one"), parkedForCode("Mismatch", "two")))

    assert.deepStrictEqual(timeline.parked.map(({ reason }) => reason), ["two"])
    assert.deepStrictEqual(entriesOf(timeline, "Parking").map(({ endedAt }) => endedAt), [second(2), null])
  })

  it("who cancels what has failed after its pivot has ended it", () => {
    const timeline = timelineOf(journal(
      starting("a"),
      ...afterPivot,
      ["CancelRequested", by],
      ["ExecutionFailed", { result: fail("CommittedIncomplete") }]
    ))

    assert.deepStrictEqual(timeline.parked, [])
    assert.deepStrictEqual(timeline.actions, [])
    assert.strictEqual(entriesOf(timeline, "Parking")[0]!.endedAt, second(6))
    assert.deepInclude(timeline.execution, { status: "Failed", cancelled: true })
  })

  it("can't have a step that was undone done again", () => {
    const { parked } = timelineOf(journal(
      starting("a"),
      succeeded("a", "savepoint/b"),
      ["SagaCommitted", { path: "pivot" }],
      succeeded("savepoint/b", "savepoint/c"),
      failed("savepoint/c"),
      unwinding("savepoint", ["savepoint/b"]),
      compensated("savepoint/b"),
      parkedAfterPivot("savepoint/c", "savepoint/c")
    ))

    assert.deepStrictEqual(parked[0]!.actions.map(({ action }) => action), ["skip"])
  })
})

describe("waits", () => {
  it("for timers, signals and children tell what they wait for, and what came of that", () => {
    const before = journal(
      {},
      ["TimerStarted", { path: "sleep", dueAt: second(60) }],
      ["SignalAwaited", { path: "go", name: "go" }],
      ["ChildStarted", { path: "Child", after: 0, child: "Child/1" }],
      ["SignalReceived", { name: "other", value: 1 }]
    )
    const after = {
      ...before,
      events: [
        ...before.events,
        ...journal(
          {},
          ["TimerFired", { path: "sleep", after: 0 }],
          ["SignalReceived", { name: "go", value: { by: "Ada" } }],
          ["SignalConsumed", { path: "go", after: 0, name: "go", signal: 7, value: { by: "Ada" } }],
          [
            "ChildFinished",
            { path: "Child", after: 0, child: "Child/1", status: "Failed", cancelled: true, result: fail("Refused") }
          ],
          ["ValueRecorded", { path: "now", after: 0, value: 17 }]
        ).events.slice(1)
      ]
    }

    const [waiting, over] = [timelineOf(before), timelineOf(after)]

    assert.deepInclude(waiting.execution, { status: "Waiting", since: second(1) })
    const statesOf = (timeline: SagaTimeline.SagaTimeline) =>
      timeline.entries.flatMap((entry) => "state" in entry ? [`${entry._tag} ${entry.state}`] : [])
    assert.deepStrictEqual(statesOf(waiting), ["Timer Waiting", "SignalWait Waiting", "Child Running"])
    assert.deepStrictEqual(statesOf(over), ["Timer Fired", "SignalWait Consumed", "Child Failed"])
    assert.deepStrictEqual(entriesOf(over, "Signal").map(({ consumedBy, signal }) => [signal, consumedBy]), [
      ["other", null],
      ["go", "go"]
    ])
    assert.strictEqual(entriesOf(over, "SignalWait")[0]!.received, 7)
    assert.deepInclude(entriesOf(over, "Child")[0]!, { child: "Child/1", cancelled: true })
    assert.strictEqual(entriesOf(over, "Child")[0]!.result!._tag, "Failed")
    assert.deepStrictEqual(entriesOf(over, "Value")[0]!.value, { _tag: "Json", json: 17 })
  })

  it("that were interrupted say so", () => {
    const timeline = timelineOf(journal(
      {},
      ["TimerStarted", { path: "sleep", dueAt: second(60) }],
      ["WaitInterrupted", { path: "sleep" }]
    ))

    assert.deepInclude(entriesOf(timeline, "Timer")[0]!, { state: "Interrupted", endedAt: second(2) })
    assert.strictEqual(timeline.execution.status, "Running")
  })

  it("are over with the execution, also those of forked fibers", () => {
    const timeline = timelineOf(journal(
      {},
      ["TimerStarted", { path: "sleep", dueAt: second(60) }],
      ["SignalAwaited", { path: "go", name: "go" }],
      ["ChildStarted", { path: "child", after: 0, child: "Child/1" }],
      ["ExecutionCompleted", { result: null }]
    ))

    for (const kind of ["Timer", "SignalWait", "Child"] as const) {
      assert.deepInclude(entriesOf(timeline, kind)[0]!, { state: "Interrupted", endedAt: second(4) })
    }
  })
})

describe("the result", () => {
  it("is the JSON of a success, or the failures of a cause with what they were caused by", () => {
    const incomplete = {
      _tag: "CompensationFailed",
      saga: "Order",
      reason: fail("Refused", { amount: 1 }),
      origins: ["b"],
      failures: [{
        step: "a",
        cause: [{ _tag: "Die", defect: { name: "TypeError", message: "no x", stack: "at x" } }]
      }],
      report: { steps: ["a long report"] }
    }
    const nested = { name: "Error", message: "outer", stack: "Error: outer\n    at f (a.ts:1:1)", cause: "inner" }

    const completed = timelineOf(journal({}, ["ExecutionCompleted", { result: { ok: true } }]))
    const failing = timelineOf(
      journal({}, ["ExecutionFailed", {
        result: [
          { _tag: "Fail", error: incomplete },
          { _tag: "Die", defect: nested },
          { _tag: "Fail", error: 17 },
          { _tag: "Fail", error: "a text" }
        ]
      }])
    )

    assert.deepStrictEqual(completed.result, { _tag: "Succeeded", value: { _tag: "Json", json: { ok: true } } })
    assert.deepInclude(completed.execution, { status: "Completed", endedAt: second(1) })
    assert.strictEqual(completed.durationMillis, 1000)
    const nothing = { tag: null, message: null, fields: null, stack: [], because: [], compensations: [] }
    assert.deepStrictEqual(failing.result, {
      _tag: "Failed",
      cause: {
        _tag: "Failures",
        failures: [
          {
            ...nothing,
            kind: "Fail",
            tag: "CompensationFailed",
            fields: { saga: "Order" },
            because: [{ ...nothing, kind: "Fail", tag: "Refused", fields: { amount: 1 } }],
            compensations: [
              { step: "a", failures: [{ ...nothing, kind: "Die", tag: "TypeError", message: "no x" }] }
            ]
          },
          {
            ...nothing,
            kind: "Die",
            tag: "Error",
            message: "outer",
            stack: ["at f (a.ts:1:1)"],
            because: [{ ...nothing, kind: "Fail", message: "inner" }]
          },
          { ...nothing, kind: "Fail", fields: 17 },
          { ...nothing, kind: "Fail", message: "a text" }
        ]
      }
    })
  })
})

describe("a failure", () => {
  it("caused by others without end is shown no deeper than people can follow", () => {
    let error: unknown = { name: "Error", message: "the first one" }
    for (let depth = 0; depth < 50; depth++) error = { name: "Error", message: `of ${depth}`, cause: error }

    const { cause } = stepAt(timelineOf(journal(starting("a"), failed("a", [{ _tag: "Die", defect: error }]))), "a")

    const depthOf = (failures: ReadonlyArray<SagaTimeline.Failure>): number =>
      failures.length === 0 ? 0 : 1 + depthOf(failures[0]!.because)
    assert.strictEqual(depthOf(cause?._tag === "Failures" ? cause.failures : []), 6)
  })
})

describe("the actions of a timeline", () => {
  const actions = ["retry", "skip", "resolve", "cancel"] as const
  const test = testsOn(memory)

  const situations: { readonly [what: string]: (ledger: Ledger, gate: Effect.Effect<void>) => Definitions } = {
    "whose action is in flight": (ledger, gate) =>
      Trip.toLayer(() => Effect.andThen(ledger.step("a"), ledger.slow(gate))),
    "whose compensation is in flight": (ledger, gate) =>
      Trip.toLayer(() => Effect.as(Effect.andThen(ledger.slowlyUndone(gate), ledger.failing("b")), null)),
    "that can't be undone": (ledger) =>
      Trip.toLayer(() => Effect.as(Effect.andThen(ledger.stubborn("a"), ledger.failing("b")), null)),
    "of which a part can't be undone": (ledger) =>
      Trip.toLayer(() =>
        Effect.as(Effect.ignore(Saga.savepoint(Effect.andThen(ledger.stubborn("a"), ledger.failing("b")))), null)
      ),
    "that failed after its pivot": (ledger) =>
      Trip.toLayer(() => Effect.as(Effect.andThen(Saga.pivot(ledger.step("a")), ledger.failing("b")), null)),
    "that failed in plain code after its pivot": (ledger) =>
      Trip.toLayer(() => Effect.andThen(Saga.pivot(ledger.step("a")), Effect.fail("a mistake"))),
    "that has ended": (ledger) => Trip.toLayer(() => ledger.step("a"))
  }

  for (const [what, definitionsOf] of Object.entries(situations)) {
    test(
      `are those that an engine takes for an execution ${what}`,
      Effect.gen(function*() {
        const gate = yield* makeGate
        const engine = yield* start(definitionsOf(yield* makeLedger, gate.pass))
        for (const action of actions) {
          const id = `Trip/${action}`
          yield* engine.use(Trip.start(action))
          yield* settle
          const timeline = SagaTimeline.make({
            record: yield* engine.service.get(id),
            events: yield* engine.service.history(id)
          })
          const offered = [...timeline.parked.flatMap(({ actions }) => actions), ...timeline.actions]
          const path = offered.find((one) => one.action === action)?.path ?? undefined

          const attempt = action === "resolve"
            ? engine.service.resolve(id, null, { path })
            : action === "cancel"
            ? engine.service.cancel(id)
            : engine.service[action](id, { path })
          const taken = yield* Effect.match(refusal(Effect.asVoid(attempt)), {
            onSuccess: () => false,
            onFailure: () => true
          })

          assert.strictEqual(offered.some((one) => one.action === action), taken, action)
          yield* gate.openToOthers
        }
        yield* gate.open
      })
    )
  }
})

describe("a step in a saga", () => {
  it.effect("that runs on an engine is told as it was", () =>
    Effect.gen(function*() {
      const definitions = Trip.toLayer((id) =>
        Step.make("greet", {
          input: Schema.String,
          success: Schema.String,
          action: (name) => Effect.succeed(`hi ${name}`)
        })(id)
      )
      const engine = yield* start(definitions)
      yield* engine.use(Trip.execute("Ada"))

      const timeline = SagaTimeline.make({
        record: yield* engine.service.get("Trip/Ada"),
        events: yield* engine.service.history("Trip/Ada")
      })

      assert.deepInclude(stepAt(timeline, "greet"), {
        state: "Succeeded",
        input: { _tag: "Json", json: "Ada" },
        value: { _tag: "Json", json: "hi Ada" }
      })
      assert.deepStrictEqual(timeline.result, { _tag: "Succeeded", value: { _tag: "Json", json: "hi Ada" } })
    }).pipe(Effect.scoped, Effect.provide(memory)))
})
