/*
 * Journals of this version, kept as files. A later version has to write the same ones, and has to go on with executions
 * that were left anywhere in them. Where a journal is to change, `UPDATE_GOLDEN=1` writes the files anew; journals of a
 * version that people use stay in `test/golden` all the same, beside the new ones.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { JournalEvent } from "effect-saga"
import { readFile } from "node:fs/promises"
import { comparable } from "./support/crashCompare.ts"
import { type Feature, features, journalOf } from "./support/crashGolden.ts"
import { expectGolden } from "./support/golden.ts"
import { type Line, linesOf, textOf } from "./support/goldenJournal.ts"

const fileOf = ({ name }: Feature): URL => new URL(`golden/${name}.jsonl`, import.meta.url)

/* Journals hold the stacks of errors, which differ between machines. */
const { stackTraceLimit } = Error
beforeAll(() => {
  Error.stackTraceLimit = 0
})
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit
})

const stored = (feature: Feature) => Effect.map(Effect.promise(() => readFile(fileOf(feature), "utf8")), linesOf)

/* What was done by whom, and how it ended: not when, nor with which event the start of an action was written. */
const storyOf = (lines: ReadonlyArray<Line>) =>
  lines.flatMap(({ events, key }) =>
    events.filter(({ _tag }) => _tag !== "StepStarted" && _tag !== "WaitInterrupted" && _tag !== "SignalAwaited").map((
      event
    ) => [key, comparable(event)])
  )

/* `charge` is ambiguous: once it has started it does not run again, and the saga is undone. */
const isInDoubt = (lines: ReadonlyArray<Line>): boolean =>
  lines.at(-1)!.events.at(-1)!.starts?.some(([path]) => path === "charge") === true

describe("a journal in test/golden", () => {
  for (const feature of features) {
    it.effect(`${feature.name}: is what is written today`, () =>
      Effect.gen(function*() {
        const { lines } = yield* journalOf(feature)

        yield* Effect.promise(() => expectGolden(fileOf(feature), textOf(lines)))
      }), 60_000)

    it.effect(`${feature.name}: cut after any of its appends, ends as it did`, () =>
      Effect.gen(function*() {
        const whole = yield* stored(feature)

        for (let length = 1; length <= whole.length; length++) {
          const before = whole.slice(0, length)
          const { lines } = yield* journalOf(feature, before)

          if (isInDoubt(before)) assert.strictEqual(lines.at(-1)!.events.at(-1)!._tag, "ExecutionCompensated")
          else assert.deepStrictEqual(storyOf(lines), storyOf(whole), `cut after ${length}`)
        }
      }), 60_000)

    it.effect(`${feature.name}: has nothing that its schema does not know`, () =>
      Effect.gen(function*() {
        const events = (yield* stored(feature)).flatMap(({ events }) => events)

        const decoded = yield* Schema.decodeUnknownEffect(Schema.Array(JournalEvent.JournalEvent))(events)

        assert.deepStrictEqual(Schema.encodeSync(Schema.Array(JournalEvent.JournalEvent))(decoded), events)
      }))
  }
})
