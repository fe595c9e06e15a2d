import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { type SagaOperator, SagaStore, SagaStoreError } from "effect-saga"
import { TerminalCapabilities } from "effect/cli"
import { TestClock } from "effect/testing"
import * as Output from "../src/cli/output.ts"
import { explain } from "../src/cli/print/silence.ts"
import * as Schemas from "../src/cli/schemas.ts"
import { executions, golden, now, run, seeded, transcripts } from "./support/cli.ts"
import { expectGolden } from "./support/golden.ts"
import { inTime } from "./support/storeValues.ts"

/** Lets time pass, of the clock of the test and of the machine, until it is so. */
const until = (isSo: () => boolean) =>
  TestClock.adjust("100 millis").pipe(
    Effect.andThen(TestClock.withLive(Effect.sleep("1 millis"))),
    Effect.repeat({ until: isSo })
  )

/** Runs `watch` while the store is changed: one execution starts, and gets parked a minute later. */
const watching = Effect.fnUntraced(function*(args: ReadonlyArray<string>, columns?: number) {
  const filename = yield* seeded(executions.slice(0, 3))
  const printed: Array<string> = []
  const onPrint = (text: string) => {
    if (!text.includes("Probe/1")) printed.push(text)
    else isWatching = true
  }
  let isWatching = false
  const watch = yield* Effect.forkChild(
    run(["watch", ...args], { env: { EFFECT_SAGA_DB: filename }, columns, onPrint })
  )
  const [, { events, record }] = executions as readonly [
    unknown,
    SagaStore.Append & { record: SagaStore.ExecutionRecord }
  ]

  yield* Effect.scoped(Effect.gen(function*() {
    const store = yield* SagaStore.SagaStore
    const { commit } = yield* store.acquire({ owner: "test", standby: false })

    // What is changed before it has begun to watch is not shown.
    const probe = (sequence: number) =>
      commit([{
        key: 11,
        record: { ...record, key: 11, id: "Probe/1", createdAt: now, updatedAt: now + sequence },
        firstSequence: sequence,
        events: [events[0]!]
      }])
    let probes = 0
    yield* Effect.repeat(
      Effect.andThen(Effect.suspend(() => probe(++probes)), until(() => true)),
      { until: () => isWatching }
    )

    const later = { ...record, key: 12, id: "Booking/50", createdAt: now + 60_000, updatedAt: now + 120_000 }
    const running = { ...later, status: "Running" as const, reason: null, error: null, updatedAt: now + 60_000 }
    const count = printed.length
    yield* commit([{ key: 12, record: running, firstSequence: 1, events: events.slice(0, 3) }])
    if (!args.includes("--parked")) yield* until(() => printed.length > count)
    yield* commit([{ key: 12, record: later, firstSequence: 4, events: events.slice(3) }])
    yield* until(() => printed.some((text) => text.includes("Parked")))
  })).pipe(Effect.provide(SagaStore.layerSqlite({ filename })), Effect.orDie)
  yield* Fiber.interrupt(watch)
  return printed.join("")
})

const inspection = { version: 4, owner: undefined, unanswered: 0, bytes: undefined }
const owner = { name: "engine", host: "here", pid: 1, acquiredAt: 0, silence: 0, isAlive: true }
const noEngine = Effect.succeed<SagaStore.Inspection>(inspection)
const running = Effect.succeed<SagaStore.Inspection>({ ...inspection, owner })
const hanging = Effect.never
const away = Effect.fail(
  new SagaStoreError.SagaStoreError({
    reason: new SagaStoreError.Unavailable({ store: `SQLite file "sagas.db"`, problem: "busy", cause: undefined })
  })
)

const decoded = <A, I>(schema: Schema.Codec<A, I>, lines: string): ReadonlyArray<A> =>
  lines.trimEnd().split("\n").map((line) => Schema.decodeUnknownSync(schema)(JSON.parse(line)))

describe("watch", () => {
  it.effect("prints a line for each change", () =>
    Effect.gen(function*() {
      const text = yield* watching([])

      yield* Effect.promise(() => expectGolden(golden("watch"), text))
    }))

  it.effect("says on a terminal how to end it", () =>
    Effect.gen(function*() {
      const text = yield* watching(["--parked"], 80)

      yield* Effect.promise(() => expectGolden(golden("watch-terminal"), text))
    }))

  it.effect("does not cut an id in a terminal that is too narrow for it", () =>
    Effect.gen(function*() {
      const text = yield* watching(["--parked", "--no-color"], 40)

      assert.match(text, /^2026-01-06T09:02:00Z {2}Parked {8}Booking\/50 {2}Step "hotel" co…$/m)
    }))

  it.effect("prints JSON in lines", () =>
    Effect.gen(function*() {
      const changes = decoded(Schemas.Changed, yield* watching(["--json"]))

      assert.deepStrictEqual(
        changes.map(({ execution: { id, status } }) => [id, status]),
        [["Booking/50", "Running"], ["Booking/50", "Parked"]]
      )
    }))

  it.effect("of an execution that has ended prints its events, and ends", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()

      const text = yield* transcripts(filename, [["watch", "Booking/43"], ["watch", "Nothing/1"]])

      yield* Effect.promise(() => expectGolden(golden("watch-ended"), text))
    }))

  it.effect("of an execution prints its events as JSON in lines", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()

      const { code, stdout } = yield* run(["watch", "Booking/41", "--json"], { env: { EFFECT_SAGA_DB: filename } })

      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        decoded(Schemas.Happened, stdout).map(({ event, execution, sequence }) => [execution, sequence, event._tag]),
        [
          ["Booking/41", 1, "ExecutionStarted"],
          ["Booking/41", 2, "StepSucceeded"],
          ["Booking/41", 3, "StepSucceeded"],
          ["Booking/41", 4, "ExecutionCompleted"]
        ]
      )
    }))

  it.effect("of an execution goes on until it ends", () =>
    Effect.gen(function*() {
      const [ended] = executions
      const begun = {
        ...ended!,
        record: { ...ended!.record!, status: "Running" as const },
        events: ended!.events.slice(0, 2)
      }
      const filename = yield* seeded([begun])

      const fiber = yield* Effect.forkChild(run(["watch", "Booking/41"], { env: { EFFECT_SAGA_DB: filename } }))
      yield* TestClock.adjust("1 second")
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* SagaStore.SagaStore
        const { commit } = yield* store.acquire({ owner: "test", standby: false })
        yield* commit([{ key: 1, record: ended!.record, firstSequence: 3, events: ended!.events.slice(2) }])
      })).pipe(Effect.provide(SagaStore.layerSqlite({ filename })), Effect.orDie)
      const { code, stdout } = yield* inTime(fiber)

      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        stdout.trimEnd().split("\n").map((line) => line.trim().split(/\s+/)[2]),
        ["ExecutionStarted", "StepSucceeded", "StepSucceeded", "ExecutionCompleted"]
      )
    }))

  for (const json of [false, true]) {
    it.effect(`says once that no engine runs, that the store is away, and that both are back${json ? ", as JSON" : ""}`, () =>
      Effect.gen(function*() {
        const printed: Array<string> = []
        const output = yield* Output.make({ json, colors: false, program: "effect-saga" })
        const inspections = [noEngine, noEngine, away, away, hanging, running, running, noEngine]
        let next = 0
        const operator = {
          inspect: Effect.suspend((): typeof noEngine | typeof away => inspections[next++] ?? hanging)
        } as SagaOperator.SagaOperator["Service"]

        const fiber = yield* Effect.forkChild(
          Effect.provideService(explain(operator), Output.Output, {
            ...output,
            error: (text) => Effect.sync(() => printed.push(text)),
            errorDocument: (schema, value) =>
              Effect.map(Effect.orDie(Schema.encodeEffect(schema)(value)), (encoded) => {
                printed.push(Schema.decodeUnknownSync(Schemas.Noticed)(encoded).notice._tag)
              })
          })
        )
        yield* TestClock.adjust("2 seconds")
        assert.isEmpty(printed)
        yield* TestClock.adjust("1 minute")
        yield* Fiber.interrupt(fiber)

        assert.deepStrictEqual(
          printed,
          json ? ["NoEngine", "Unavailable", "Back", "NoEngine", "Unavailable"] : [
            "No engine runs on this store now, so nothing changes until the service is started.",
            "SQLite file \"sagas.db\" is not available: another program holds its lock. Executions wait, and go on when the " +
            "lock is free. Nothing is shown until it is back.",
            "The store answers, and an engine runs on it again.",
            "No engine runs on this store now, so nothing changes until the service is started.",
            "The store does not answer. Nothing is shown until it is back."
          ]
        )
      }).pipe(Effect.provide(Layer.provideMerge(TerminalCapabilities.layer, NodeServices.layer))))
  }

  it.effect("of a store without an engine says so on standard error", () =>
    Effect.gen(function*() {
      const filename = yield* seeded()
      const printed: Array<string> = []

      const fiber = yield* Effect.forkChild(
        run(["watch"], { env: { EFFECT_SAGA_DB: filename }, onPrint: (text) => printed.push(text) })
      )
      yield* until(() => printed.length > 0)
      yield* Fiber.interrupt(fiber)

      assert.deepStrictEqual(printed, [
        "No engine runs on this store now, so nothing changes until the service is started.\n"
      ])
    }))
})
