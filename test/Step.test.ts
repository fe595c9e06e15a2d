import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import { Saga, Step } from "effect-saga"

const makeSeat = Effect.sync(() => {
  const lines: Array<string> = []
  const state = { refusals: 0 }
  const seat = Step.make("seat", {
    input: Schema.Number,
    success: Schema.Number,
    compensationError: Schema.String,
    action: (row) => Effect.sync(() => lines.push(`seat ${row}`)).pipe(Effect.as("12A" as never)),
    compensate: (value) =>
      Effect.suspend(() => {
        lines.push(`undo seat ${value}`)
        return state.refusals-- > 0 ? Effect.fail("refused") : Effect.void
      })
  })
  return { lines, seat, state }
})

const problemOf = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "none"

describe("A step in memory", () => {
  it.effect("dies of an input that does not fit, and its action does not run", () =>
    Effect.gen(function*() {
      const { lines, seat } = yield* makeSeat

      const exit = yield* Effect.exit(Saga.transact(seat("twelve" as never)))

      assert.include(problemOf(exit), "The input of step \"seat\" does not fit its schema")
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("dies of a value that does not fit, and is undone at once", () =>
    Effect.gen(function*() {
      const { lines, seat } = yield* makeSeat

      const exit = yield* Effect.exit(Saga.transact(Effect.catchDefect(seat(12), () => Effect.succeed(lines.length))))

      assert.deepStrictEqual(exit, Exit.succeed(2))
      assert.deepStrictEqual(lines, ["seat 12", "undo seat 12A"])
    }))

  it.effect("is undone with its saga where it could not be undone at once", () =>
    Effect.gen(function*() {
      const { lines, seat, state } = yield* makeSeat
      state.refusals = 1

      const exit = yield* Effect.exit(Saga.transact(seat(12)))

      assert.include(problemOf(exit), "The success of step \"seat\" does not fit its schema")
      assert.include(problemOf(exit), "refused")
      assert.deepStrictEqual(lines, ["seat 12", "undo seat 12A", "undo seat 12A"])
    }))
})
