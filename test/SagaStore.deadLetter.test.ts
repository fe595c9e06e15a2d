import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SagaStore } from "effect-saga"
import { readFileSync } from "node:fs"
import { file, open, select } from "./support/sqliteFile.ts"
import { recordOf } from "./support/storeValues.ts"

interface Commit {
  readonly key: number
  readonly record: SagaStore.ExecutionRecord | null
  readonly firstSequence: number
  readonly events: ReadonlyArray<{ readonly _tag: string }>
}

/** What an engine has written of an execution, until the first event of this kind is there. */
const golden = (name: string, until?: string): ReadonlyArray<SagaStore.Append> => {
  const lines = readFileSync(new URL(`golden/${name}.jsonl`, import.meta.url), "utf8").trim().split("\n")
  const commits = lines.map((line) => JSON.parse(line) as Commit)
  const last = until === undefined
    ? commits.length - 1
    : commits.findIndex(({ events }) => events.some(({ _tag }) => _tag === until))
  assert.isAbove(last, 0)
  return commits.slice(0, last + 1).map(({ events, firstSequence, key, record }) => ({
    key,
    record: record === null ? undefined : recordOf(key, record),
    firstSequence,
    events: events.map((event) => JSON.stringify(event))
  }))
}

/** An execution that stands at `status` with these events. */
const journal = (
  status: SagaStore.Status,
  ...events: ReadonlyArray<{ readonly _tag: string; readonly [field: string]: unknown }>
): ReadonlyArray<SagaStore.Append> => [{
  key: 1,
  record: recordOf(1, { status }),
  firstSequence: 1,
  events: events.map((event, index) => JSON.stringify({ v: 1, at: 1001 + index, ...event }))
}]

const parked = (path: string, fields?: object) => ({
  _tag: "Parked",
  kind: "CompensationFailed",
  path,
  steps: [],
  attempt: 1,
  reason: `Not undone: ${path}`,
  cause: [],
  ...fields
})

const decided = (_tag: string, path: string) => ({ _tag, path, operator: "grace", reason: "by the book" })

/** What the view has of a store in which this was written. */
const lettersOf = Effect.fnUntraced(function*(appends: ReadonlyArray<SagaStore.Append>) {
  const filename = yield* file
  const store = yield* open({ filename })
  const { commit } = yield* store.acquire({ owner: "engine", standby: false })
  yield* commit(appends)
  const rows = yield* select(filename, "SELECT * FROM dead_letter ORDER BY execution, at, path")
  return rows.map(({ cause, remaining, ...row }): Record<string, unknown> => ({
    ...row,
    cause: JSON.parse(String(cause)),
    remaining: JSON.parse(String(remaining))
  }))
})

const pathsOf = (letters: ReadonlyArray<Record<string, unknown>>) => letters.map(({ path }) => path)

describe("the view dead_letter", () => {
  it.effect("has a compensation that an operator has to decide on, with what is still to be undone", () =>
    Effect.gen(function*() {
      const [letter, ...more] = yield* lettersOf(golden("parked-skip", "Parked"))

      assert.deepStrictEqual(more, [])
      assert.deepInclude(letter, {
        execution: "Journey/1",
        definition: "Journey",
        status: "Parked",
        kind: "CompensationFailed",
        path: "flight",
        reason: "Step \"flight\" could not be undone: CancelRefused.",
        cause: [{ _tag: "Fail", error: { _tag: "CancelRefused", booking: "the flight" } }],
        remaining: ["flight"],
        at: 1767603605000
      })
    }))

  it.effect("has a saga that failed after its pivot, until somebody has decided on it, and when it has failed", () =>
    Effect.gen(function*() {
      const [waiting] = yield* lettersOf(golden("pivot-failed-skip", "Parked"))
      const [failed, ...more] = yield* lettersOf(golden("pivot-failed-skip"))

      assert.deepInclude(waiting, { status: "Parked", kind: "FailedAfterPivot", path: "hotel", remaining: [] })
      assert.match(String(waiting!["reason"]), /^It failed after its pivot/)
      assert.deepStrictEqual(more, [])
      assert.deepInclude(failed, {
        execution: "Journey/1",
        status: "Failed",
        kind: "FailedAfterPivot",
        path: "",
        reason: null,
        remaining: [],
        at: 1767603604000
      })
      assert.nestedPropertyVal(failed, "cause[0].error._tag", "CommittedIncomplete")
    }))

  it.effect("has each step of a failed execution that was not undone, also one that an operator gave up", () =>
    Effect.gen(function*() {
      const [failed, ...more] = yield* lettersOf(golden("not-undone"))
      const [skipped, ...others] = yield* lettersOf(golden("parked-skip"))

      const expected = {
        status: "Failed",
        kind: "CompensationFailed",
        path: "flight",
        reason: null,
        remaining: ["flight"]
      }
      assert.deepStrictEqual([more, others], [[], []])
      assert.deepInclude(failed, { execution: "StubbornJourney/1", ...expected })
      assert.deepInclude(skipped, { execution: "Journey/1", ...expected })
    }))

  for (const name of ["success", "unwinding", "parked-retry", "parked-resolve", "pivot-failed-retry", "cancelled"]) {
    it.effect(`has nothing of what nobody has to look at any more: ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* lettersOf(golden(name)), [])
      }))
  }

  it.effect("has the error of the record", () =>
    Effect.gen(function*() {
      const [append] = journal("Parked", parked("a"))

      const [letter] = yield* lettersOf([{ ...append!, record: { ...append!.record!, error: "NoSeats" } }])

      assert.strictEqual(letter!["error"], "NoSeats")
    }))

  it.effect("has what is parked side by side, without what was decided", () =>
    Effect.gen(function*() {
      const pending = { _tag: "UnwindStarted", scope: "", cause: [], pending: ["d", "c", "b", "a"] }
      const letters = yield* lettersOf(journal(
        "Parked",
        pending,
        parked("d"),
        parked("c"),
        parked("b"),
        parked("a"),
        decided("Resolved", "d"),
        decided("Retried", "c"),
        parked("c")
      ))

      assert.deepStrictEqual(pathsOf(letters), ["b", "a", "c"])
      assert.deepStrictEqual(letters[0]!["remaining"], ["c", "b", "a"])
    }))

  for (const _tag of ["Retried", "Skipped", "Resolved", "CompensationSucceeded", "CompensationFailed"]) {
    it.effect(`has nothing that was followed by ${_tag}, and what is at another path`, () =>
      Effect.gen(function*() {
        const letters = yield* lettersOf(journal("Parked", parked("a"), parked("b"), decided(_tag, "a")))

        assert.deepStrictEqual(pathsOf(letters), ["b"])
      }))
  }

  it.effect("has a whole execution whose code does not fit, until it goes on", () =>
    Effect.gen(function*() {
      const mismatch = parked("", { kind: "Mismatch", cause: null })
      const again = yield* lettersOf(journal("Parked", mismatch, { _tag: "Resumed" }, parked("a")))
      const [waiting, ...more] = yield* lettersOf(journal("Parked", mismatch))

      assert.deepStrictEqual(pathsOf(again), ["a"])
      assert.deepStrictEqual(more, [])
      assert.deepInclude(waiting, { kind: "Mismatch", path: "", cause: null, remaining: [] })
    }))

  it.effect("has once what is parked for the same again", () =>
    Effect.gen(function*() {
      const letters = yield* lettersOf(journal("Parked", parked("a"), parked("a", { attempt: 2 })))

      assert.deepStrictEqual(letters.map(({ at }) => at), [1002])
    }))

  it.effect("takes what is still to be undone from the last time that the saga began to be undone", () =>
    Effect.gen(function*() {
      const [letter] = yield* lettersOf(journal(
        "Parked",
        { _tag: "UnwindStarted", scope: "", cause: [], pending: ["x"] },
        { _tag: "UnwindStarted", scope: "", cause: [], pending: ["c", "b", "a"] },
        { _tag: "UnwindStarted", scope: "inner", cause: [], pending: ["y"] },
        { _tag: "CompensationSucceeded", path: "c", after: 1, attempt: 1 },
        parked("b")
      ))

      assert.deepStrictEqual(letter!["remaining"], ["b", "a"])
    }))

  it.effect("has causes as JSON, also where a codec has sealed them", () =>
    Effect.gen(function*() {
      const [letter] = yield* lettersOf(journal("Parked", parked("a", { cause: "c2VjcmV0" })))

      assert.strictEqual(letter!["cause"], "c2VjcmV0")
    }))

  it.effect("reads no journals but those of what is parked or has failed", () =>
    Effect.gen(function*() {
      const filename = yield* file
      yield* open({ filename })

      const plan = yield* select(filename, "EXPLAIN QUERY PLAN SELECT * FROM dead_letter")

      const steps = plan.map(({ detail }) => String(detail))
      assert.isAbove(
        steps.filter((step) => /SEARCH .* USING .*INDEX executions_by_status \(status=\?\)/.test(step)).length,
        2
      )
      assert.deepStrictEqual(steps.filter((step) => /^SCAN (?!.*(VIRTUAL TABLE|CONSTANT|SUBQUERY|\())/.test(step)), [])
    }))
})
