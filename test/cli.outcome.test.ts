import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { SagaOperator, SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"
import * as Outcome from "../src/cli/decisions/outcome.ts"
import { became } from "../src/cli/decisions/texts.ts"
import { execution, golden, seed } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { inTime } from "./support/storeValues.ts"
import * as Timeline from "./support/timeline.ts"

const parked: ReadonlyArray<Timeline.Written> = [
  Timeline.succeeded("flight", "hotel"),
  Timeline.succeeded("hotel", "car"),
  Timeline.failed("car"),
  Timeline.unwinding("", ["hotel", "flight"]),
  Timeline.parkedFor("hotel")
]

const parkedTwice = [...parked, Timeline.parkedFor("flight")]

const retried: Timeline.Written = ["Retried", { path: "hotel", operator: "ada" }]

const undone = [Timeline.compensated("hotel"), Timeline.compensated("flight")]

const ended: ReadonlyArray<Timeline.Written> = [
  ["UnwindFinished", { scope: "", remaining: [] }],
  ["ExecutionCompensated", { result: Timeline.fail("Refused") }]
]

const Parked = { status: "Parked", reason: `Step "hotel" could not be undone: Stuck.` } as const
const OtherParked = { status: "Parked", reason: `Step "flight" could not be undone: Stuck.` } as const
const Compensating = { status: "Compensating" } as const
const Compensated = { status: "Compensated" } as const

const booking = (fields: Partial<SagaStore.ExecutionRecord>, ...written: ReadonlyArray<Timeline.Written>) =>
  execution(1, "Booking/42", fields, ...written)

const retry: Outcome.Decided = { decision: "retry", id: "Booking/42", path: undefined }

/** What is seen of a decision, within five seconds unless it says otherwise. */
const outcomeOf = (decided: Outcome.Decided, wait: Duration.Input = "5 seconds") =>
  Effect.flatMap(
    SagaOperator.SagaOperator,
    (operator) => Outcome.outcome(operator, decided, Duration.fromInputUnsafe(wait))
  )

const store = Layer.provideMerge(SagaOperator.layer(), SagaStore.layerMemory)

/** An engine that has the store until the scope closes. */
const engine = Effect.flatMap(SagaStore.SagaStore, ({ acquire }) => acquire({ owner: "test", standby: false }))

/** What is seen of a decision in a store that has this, and an engine. */
const seen = (decided: Outcome.Decided, append: SagaStore.Append) =>
  Effect.gen(function*() {
    const { commit } = yield* engine
    yield* commit([append])
    return yield* Effect.flatMap(Effect.forkChild(outcomeOf(decided)), inTime)
  }).pipe(Effect.scoped, Effect.provide(store))

describe("what became of a decision", () => {
  it.effect("is seen as soon as it has come to something", () =>
    Effect.gen(function*() {
      yield* seed([booking(Compensating, ...parked, retried)])
      const looking = yield* Effect.forkChild(outcomeOf(retry))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(looking.pollUnsafe())

      const { events, record } = booking(Compensated, ...parked, retried, ...undone, ...ended)
      yield* Effect.scoped(Effect.gen(function*() {
        const { commit } = yield* engine
        yield* commit([{ key: 1, record, firstSequence: 8, events: events.slice(7) }])
      }))
      yield* TestClock.adjust("200 millis")

      const { _tag } = yield* Fiber.join(looking)
      assert.strictEqual(_tag, "Ended")
    }).pipe(Effect.provide(store)))

  it.effect("is not waited for longer than was said", () =>
    Effect.gen(function*() {
      const { commit } = yield* engine
      yield* commit([booking(Compensating, ...parked, retried)])
      const looking = yield* Effect.forkChild(outcomeOf(retry, "3 seconds"))

      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(looking.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.strictEqual((yield* Fiber.join(looking))._tag, "GoesOn")
    }).pipe(Effect.provide(store)))

  it.effect("is not waited for in vain where no engine runs any more", () =>
    Effect.gen(function*() {
      yield* seed([booking(Compensating, ...parked, retried)])

      const outcome = yield* Effect.flatMap(Effect.forkChild(outcomeOf(retry)), inTime)

      assert.strictEqual(
        became("effect-saga", outcome),
        "No engine runs on the store any more, so nothing comes of it until the service is started. " +
          "To see it then: effect-saga watch Booking/42\nSee effect-saga show Booking/42"
      )
    }).pipe(Effect.provide(store)))

  const cancelled: Timeline.Written = ["CancelRequested", { operator: "ada" }]
  const cancel: Outcome.Decided = { ...retry, decision: "cancel" }
  const signal: Outcome.Decided = { ...retry, decision: "signal", signal: "approved" }
  const received: Timeline.Written = ["SignalReceived", { name: "approved", value: null, operator: "ada" }]
  const awaited: ReadonlyArray<Timeline.Written> = [
    Timeline.succeeded("flight", "hotel"),
    ["SignalAwaited", { path: "approval", name: "approved" }]
  ]
  const consumed = (signal: number): Timeline.Written => [
    "SignalConsumed",
    { path: "approval", after: 0, name: "approved", signal, value: null }
  ]
  const NotRegistered = { status: "Parked", reason: `No definition "Booking" is registered.` } as const
  const Waiting = { status: "Waiting" } as const
  const notRegistered: Timeline.Written = [
    "Parked",
    { kind: "NotRegistered", path: "", steps: [], attempt: 0, reason: NotRegistered.reason, cause: null }
  ]
  const cases: ReadonlyArray<readonly [string, Outcome.Outcome["_tag"], Outcome.Decided, SagaStore.Append]> = [
    ["a retry that succeeded", "Ended", retry, booking(Compensated, ...parked, retried, ...undone, ...ended)],
    [
      "a retry that failed again",
      "ParkedAgain",
      retry,
      booking(Parked, ...parked, retried, Timeline.parkedFor("hotel"))
    ],
    [
      "a retry after which another step failed",
      "ParkedAgain",
      retry,
      booking(OtherParked, ...parked, retried, Timeline.compensated("hotel"), Timeline.parkedFor("flight"))
    ],
    [
      "a second retry, of what was parked again before it",
      "GoesOn",
      retry,
      booking(Compensating, ...parked, retried, Timeline.parkedFor("hotel"), retried)
    ],
    [
      "a retry of one step of two that succeeded",
      "StillParked",
      { ...retry, path: "hotel" },
      booking(OtherParked, ...parkedTwice, retried, Timeline.compensated("hotel"))
    ],
    [
      "a retry of one step of two that goes on",
      "GoesOn",
      { ...retry, path: "hotel" },
      booking(OtherParked, ...parkedTwice, retried)
    ],
    [
      "a skip of one step of two",
      "StillParked",
      { ...retry, decision: "skip" },
      booking(OtherParked, ...parkedTwice, ["Skipped", { path: "hotel", operator: "ada", reason: "bankrupt" }])
    ],
    [
      "a cancellation of what is being undone, and parked",
      "StillParked",
      { ...retry, decision: "cancel" },
      booking({ ...Parked, cancelled: true }, ...parked, cancelled)
    ],
    [
      "a retry of one step of two that goes on, while another one has failed again",
      "GoesOn",
      { ...retry, path: "hotel" },
      booking(
        OtherParked,
        ...parkedTwice,
        retried,
        ["Retried", { path: "flight", operator: "grace" }],
        Timeline.parkedFor("flight")
      )
    ],
    [
      "a retry of one step of two that succeeded, while another one has failed again",
      "StillParked",
      { ...retry, path: "hotel" },
      booking(
        OtherParked,
        ...parkedTwice,
        retried,
        ["Retried", { path: "flight", operator: "grace" }],
        Timeline.parkedFor("flight"),
        Timeline.compensated("hotel")
      )
    ],
    [
      "a cancellation of what waits for its code",
      "StillParked",
      cancel,
      booking({ ...NotRegistered, cancelled: true }, Timeline.succeeded("flight"), notRegistered, cancelled)
    ],
    [
      "a cancellation that can't be undone",
      "ParkedAgain",
      cancel,
      booking(
        { ...Parked, cancelled: true },
        Timeline.succeeded("flight", "hotel"),
        Timeline.succeeded("hotel"),
        cancelled,
        Timeline.unwinding("", ["hotel", "flight"], Timeline.interrupt),
        Timeline.parkedFor("hotel")
      )
    ],
    ["a signal that it waits for", "GoesOn", signal, booking(Waiting, ...awaited, received)],
    [
      "a signal after which it waits for something else",
      "Waits",
      signal,
      booking(
        Waiting,
        ...awaited,
        received,
        consumed(4),
        ["SignalAwaited", { path: "payment", name: "paid" }]
      )
    ],
    [
      "a signal that it does not wait for",
      "Kept",
      signal,
      booking({ status: "Running" }, ...awaited, received, consumed(4), received)
    ],
    ["a signal that it waited for", "Ended", signal, booking(Compensated, ...awaited, received, consumed(4), ...ended)],
    [
      "a cancellation of what runs",
      "GoesOn",
      { ...retry, decision: "cancel" },
      booking({ status: "Running", cancelled: true }, Timeline.succeeded("flight", "hotel"), cancelled)
    ]
  ]

  it.effect.each(cases)("%s: %s", ([, expected, decided, append]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* seen(decided, append))._tag, expected)
    }))

  it.effect("is told in a sentence", () =>
    Effect.gen(function*() {
      const texts = yield* Effect.forEach(cases, ([name, , decided, append]) =>
        Effect.map(seen(decided, append), (outcome) =>
          `# ${name}\n${became("effect-saga", outcome)}\n`))

      yield* Effect.promise(() =>
        expectGolden(golden("outcomes"), texts.join("\n"))
      )
    }))
})
