import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Option } from "effect"
import { Saga, SagaReport } from "effect-saga"
import {
  arbitraryInterruption,
  arbitrarySaga,
  arbitraryTree,
  hasDetached,
  type Line,
  nameOf,
  type Observation,
  oneOf,
  type Place,
  run,
  simplestStep,
  stepsOf,
  type Tree,
  upwards,
  withoutFailures
} from "./support/tree.ts"

const placesOf = (observation: Observation, ...what: ReadonlyArray<Line["what"]>): ReadonlyArray<Place> =>
  observation.lines.filter((line) => what.includes(line.what)).map((line) => line.place)

const indexOf = (observation: Observation, what: Line["what"], place: Place): number =>
  observation.lines.findIndex((line) => line.what === what && line.place === place)

const names = (places: ReadonlyArray<Place>): ReadonlyArray<string> => places.map(nameOf)

/** The saga or savepoint that has to undo the step at `place`: the innermost around it that failed, if any did. */
const ownerOf = ({ succeeded }: Observation, place: Place): Place | undefined => {
  for (const scope of upwards(place)) {
    if (scope.tree._tag === "Savepoint" && !succeeded.has(scope)) return scope
    if (scope.tree._tag === "Nested") return succeeded.has(scope) ? undefined : scope
  }
  return undefined
}

/** The saga around `place`. */
const sagaAround = (place: Place): Place => upwards(place).find(({ tree }) => tree._tag === "Nested")!

/** The innermost part of the saga around both. */
const around = (one: Place, other: Place): Place => {
  const outer = new Set(upwards(one))
  return upwards(other).find((place) => outer.has(place))!
}

const isParallel = ({ tree }: Place): boolean => tree._tag === "Branches" && tree.compensation === "parallel"

const isConcurrent = ({ tree }: Place): boolean => tree._tag === "Branches" && tree.concurrency !== 1

/** Whether a parallel group between `outer` and `place` is undone as one. */
const isGrouped = (place: Place, outer: Place): boolean =>
  upwards(place).some((between) => isParallel(between) && between !== outer && upwards(between).includes(outer))

/** Whether of two steps, of which `second` ended later, `second` has to be undone before `first`. */
const isOrdered = (observation: Observation, first: Place, second: Place): boolean => {
  const owner = ownerOf(observation, first)
  if (owner === undefined || owner !== ownerOf(observation, second)) return false
  const both = around(first, second)
  if (isParallel(both)) return false
  // A group that is undone side by side is undone as one, so a step that ended amidst it comes before or after it.
  return (!isConcurrent(both) && !hasDetached(both)) || (!isGrouped(first, both) && !isGrouped(second, both))
}

const compensationFailures = (cause: Cause.Cause<unknown>, saga: string) =>
  cause.reasons.flatMap((reason) => {
    const error = reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
    return error instanceof Saga.CompensationFailed && error.saga === saga ? [error] : []
  })

const withoutStart = (report: SagaReport.SagaReport) => ({
  ...report,
  steps: report.steps.map((step) => ({ ...step, startedAt: undefined }))
})

/* Interruptions differ in what fibers add to them on the way. */
const failuresOf = (cause: Cause.Cause<unknown>) =>
  cause.reasons.flatMap((reason): ReadonlyArray<readonly [string, unknown]> =>
    reason._tag === "Fail" ? [["Fail", reason.error]] : reason._tag === "Die" ? [["Die", reason.defect]] : []
  )

const laws = {
  "undoes what was done by what failed, all of it and nothing else, each effect once": (observation: Observation) => {
    const toUndo = placesOf(observation, "done").filter((place) => ownerOf(observation, place) !== undefined)
    const undoing = placesOf(observation, "undoing")

    assert.strictEqual(new Set(undoing).size, undoing.length)
    assert.sameMembers([...names(undoing)], [...names(toUndo)])
    assert.sameMembers([...names(placesOf(observation, "undone", "not undone"))], [...names(toUndo)])
  },

  "undoes in reverse order of completion, one at a time except in branches side by side": (
    observation: Observation
  ) => {
    const done = placesOf(observation, "done")

    for (const [index, second] of done.entries()) {
      for (const first of done.slice(0, index)) {
        if (!isOrdered(observation, first, second)) continue
        const ended = Math.max(indexOf(observation, "undone", second), indexOf(observation, "not undone", second))
        assert.isBelow(ended, indexOf(observation, "undoing", first), `${nameOf(second)} before ${nameOf(first)}`)
      }
    }
  },

  "starts to undo all branches of a parallel group at once": (observation: Observation) => {
    const undoing = placesOf(observation, "undoing")

    for (const group of observation.places.filter(isParallel)) {
      const firstOf = group.children.flatMap((branch) => {
        const first = undoing.find((place) => upwards(place).includes(branch))
        return first === undefined ? [] : [first]
      })
      for (const one of firstOf) {
        if (one.tree._tag !== "Step" || one.tree.compensationTurns === 0) continue
        const ended = Math.max(indexOf(observation, "undone", one), indexOf(observation, "not undone", one))
        for (const other of firstOf) {
          if (ownerOf(observation, one) !== ownerOf(observation, other)) continue
          assert.isBelow(indexOf(observation, "undoing", other), ended)
        }
      }
    }
  },

  "undoes nothing before every started action has settled, and starts none while it undoes": (
    observation: Observation
  ) => {
    for (const place of placesOf(observation, "undoing")) {
      const owner = ownerOf(observation, place)!
      const undoing = indexOf(observation, "undoing", place)
      for (const started of placesOf(observation, "action started")) {
        if (!upwards(started).includes(owner)) continue
        assert.isBelow(indexOf(observation, "action started", started), undoing)
        assert.isBelow(indexOf(observation, "action ended", started), undoing)
      }
    }
  },

  "has undone everything when the failed savepoint or saga ends": (observation: Observation) => {
    for (const place of placesOf(observation, "undoing")) {
      const owner = ownerOf(observation, place)!
      const ended = indexOf(observation, owner === observation.saga ? "saga ended" : "scope ended", owner)
      const undone = Math.max(indexOf(observation, "undone", place), indexOf(observation, "not undone", place))
      assert.isBelow(undone, ended)
    }
  },

  "does nothing after it has ended": (observation: Observation) => {
    assert.strictEqual(observation.lines.at(-1)?.what, "saga ended")
  },

  "fails with CompensationFailed if and only if something could not be undone": (observation: Observation) => {
    const { exit, saga, succeeded } = observation
    const failed = placesOf(observation, "not undone").filter((place) => sagaAround(place) === saga)

    if (Exit.isSuccess(exit) || succeeded.has(saga)) return
    const errors = compensationFailures(exit.cause, "root")
    assert.strictEqual(errors.length > 0, failed.length > 0)
    for (const error of errors) {
      const reported = error.failures.map(({ step }) => step.split("/").at(-1))
      assert.deepStrictEqual(reported, [...names(failed)].filter((name) => reported.includes(name)))
    }
  },

  "fails with its original cause when all was undone": (observation: Observation) => {
    const { bodyExit, exit, saga, succeeded } = observation
    const failed = placesOf(observation, "not undone").filter((place) => sagaAround(place) === saga)

    if (Exit.isSuccess(exit) || succeeded.has(saga) || failed.length > 0) return
    if (bodyExit === undefined || Exit.isSuccess(bodyExit)) return assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
    assert.deepStrictEqual(failuresOf(exit.cause), failuresOf(bodyExit.cause))
    if (Cause.hasInterrupts(bodyExit.cause)) assert.isTrue(Cause.hasInterrupts(exit.cause))
  },

  "succeeds when its body does, unless an interruption comes at that very moment": (observation: Observation) => {
    const { exit, saga, succeeded } = observation

    if (Exit.isSuccess(exit)) return assert.isTrue(succeeded.has(saga))
    if (succeeded.has(saga)) {
      assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
      assert.isTrue(Option.isNone(Saga.report(exit.cause)))
    }
  },

  "reports what happened, step by step": (observation: Observation) => {
    const { exit, saga, succeeded } = observation
    if (Exit.isSuccess(exit) || succeeded.has(saga)) return

    const report = Option.getOrThrow(Saga.report(exit.cause))
    const done = new Set(placesOf(observation, "done"))
    const undone = new Set(placesOf(observation, "undone"))
    const notUndone = new Set(placesOf(observation, "not undone"))
    const expected = placesOf(observation, "action ended").map((place) => {
      const outcome = undone.has(place)
        ? "Compensated"
        : notUndone.has(place)
        ? "CompensationFailed"
        : done.has(place)
        ? "Committed"
        : "action" in place.tree && place.tree.action === "succeed"
        ? "Unknown"
        : "Failed or Unknown"
      return [nameOf(place), outcome]
    })

    const reported = report.steps.map((step, index) => [
      step.name,
      expected[index]?.[1] === "Failed or Unknown" && (step.outcome === "Failed" || step.outcome === "Unknown")
        ? "Failed or Unknown"
        : step.outcome
    ])
    assert.deepStrictEqual(reported, expected)
    assert.strictEqual(
      report.status,
      Array.from(notUndone).some((place) => sagaAround(place) === saga) ? "Failed" : "Compensated"
    )
  },

  "reports the fold of its events": (observation: Observation) => {
    const { events, exit, saga, succeeded } = observation

    const folded = SagaReport.fromEvents(events)
    if (Exit.isSuccess(exit) || succeeded.has(saga)) return assert.strictEqual(folded.status, "Completed")
    assert.deepStrictEqual(withoutStart(folded), withoutStart(Option.getOrThrow(Saga.report(exit.cause))))
  }
} satisfies Record<string, (observation: Observation) => void>

/** What the ledger says in the end, with steps numbered as they are written. */
const ledgerOf = (observation: Observation): ReadonlyArray<string> => {
  const steps = stepsOf(observation)
  return observation.lines.flatMap(({ place, what }) =>
    steps.includes(place) ? [`${what} ${steps.indexOf(place)}`] : []
  )
}

const outcomes = (cause: Cause.Cause<unknown>) =>
  Option.map(Saga.report(cause), ({ status, steps }) => [
    status,
    ...steps.map(({ outcome, path, phase }) => [path, phase, outcome])
  ])

const show = ({ lines }: Observation): string =>
  lines.map(({ place, what }) => `  ${what}: ${upwards(place).toReversed().map(placeName).join("/")}`).join("\n")

const placeName = (place: Place): string => `${place.tree._tag}${place.id}`

describe("a random saga", () => {
  it.effect.prop(
    "keeps all laws of undoing",
    { tree: arbitrarySaga, interruption: arbitraryInterruption },
    Effect.fnUntraced(function*({ interruption, tree }) {
      const observation = yield* run(tree, interruption)

      for (const [name, law] of Object.entries(laws)) {
        yield* Effect.try({
          try: () => law(observation),
          catch: (error) => new Error(`${name}\n${show(observation)}`, { cause: error })
        })
      }
    }),
    { arbitrary: { runs: 500 }, timeout: 20_000 }
  )

  it.effect.prop(
    "does the same whether or not it is observed",
    { tree: arbitrarySaga, interruption: arbitraryInterruption },
    Effect.fnUntraced(function*({ interruption, tree }) {
      const observed = yield* run(tree, interruption)
      const unobserved = yield* run(tree, interruption, { observed: false })

      assert.deepStrictEqual(ledgerOf(unobserved), ledgerOf(observed))
      assert.strictEqual(unobserved.exit._tag, observed.exit._tag)
      if (Exit.isFailure(unobserved.exit) && Exit.isFailure(observed.exit)) {
        assert.deepStrictEqual(outcomes(unobserved.exit.cause), outcomes(observed.exit.cause))
      }
    }),
    { arbitrary: { runs: 200 }, timeout: 20_000 }
  )
})

describe("composition", () => {
  const arbitrarySteps = Arbitrary.array(
    Arbitrary.all({
      fails: oneOf([false, false, false, false, true]),
      compensationFails: oneOf([false, false, false, true]),
      turns: oneOf([0, 1])
    }),
    { minLength: 1, maxLength: 8 }
  )

  it.effect.prop(
    "is associative: however the same steps are nested, the same happens in the same order",
    { steps: arbitrarySteps, splits: Arbitrary.array(oneOf([0, 1, 2, 3, 4, 5, 6, 7]), { minLength: 8, maxLength: 8 }) },
    Effect.fnUntraced(function*({ splits, steps }) {
      const outcomeOf = Effect.fnUntraced(function*(
        compose: (
          steps: ReadonlyArray<Effect.Effect<number, string, Saga.CompensationStack<string>>>
        ) => Effect.Effect<ReadonlyArray<number>, string, Saga.CompensationStack<string>>
      ) {
        const lines: Array<string> = []
        const note = (line: string, fails: boolean, turns: number) =>
          Effect.suspend(() => {
            lines.push(line)
            return fails ? Effect.fail(`${line} failed`) : Effect.yieldNow.pipe(Effect.repeat({ times: turns }))
          })
        const body = compose(
          steps.map(({ compensationFails, fails, turns }, index) =>
            Saga.step(
              Effect.as(note(`do ${index}`, fails, turns), index),
              (value, cause) => note(`undo ${value} because ${Cause.squash(cause)}`, compensationFails, turns),
              { name: `s${index}` }
            )
          )
        )
        const exit = yield* Effect.exit(Saga.transact(body))
        const result = Exit.isSuccess(exit) ? exit.value : Cause.findErrorOption(exit.cause).pipe(
          Option.map((error) =>
            typeof error === "string"
              ? error
              : [
                Cause.squash(error.reason),
                ...error.failures.map(({ cause, step }) => [step.split("/").at(-1), Cause.squash(cause)])
              ]
          )
        )
        return { lines, result }
      })

      type Steps = Parameters<Parameters<typeof outcomeOf>[0]>[0]
      const none = Effect.succeed<ReadonlyArray<number>>([])
      const zipped = (steps: Steps, depth = 0): ReturnType<Parameters<typeof outcomeOf>[0]> => {
        if (steps.length === 1) return Effect.map(steps[0]!, (value) => [value])
        const split = 1 + splits[depth % splits.length]! % (steps.length - 1)
        return Effect.zipWith(
          zipped(steps.slice(0, split), depth + 1),
          zipped(steps.slice(split), depth + 2),
          (left, right) => [...left, ...right]
        )
      }

      const expected = yield* outcomeOf(Effect.fnUntraced(function*(steps) {
        const values: Array<number> = []
        for (const step of steps) values.push(yield* step)
        return values
      }))
      const others = yield* Effect.all({
        leftNested: outcomeOf((steps) =>
          steps.reduce<ReturnType<typeof zipped>>(
            (before, step) => Effect.flatMap(before, (values) => Effect.map(step, (value) => [...values, value])),
            none
          )
        ),
        rightNested: outcomeOf((steps) =>
          steps.reduceRight<ReturnType<typeof zipped>>(
            (after, step) => Effect.flatMap(step, (value) => Effect.map(after, (values) => [value, ...values])),
            none
          )
        ),
        zipped: outcomeOf((steps) => zipped(steps)),
        effectAll: outcomeOf((steps) => Effect.all(steps)),
        sagaAll: outcomeOf((steps) => Saga.all(steps))
      })

      for (const [name, other] of Object.entries(others)) assert.deepStrictEqual(other, expected, name)
    }),
    { arbitrary: { runs: 200 }, timeout: 20_000 }
  )

  it.effect.prop(
    "with a savepoint around a part that succeeds changes nothing, whether the saga succeeds or fails later",
    { part: arbitraryTree(3), last: oneOf(["succeed", "fail"] as const) },
    Effect.fnUntraced(function*({ last, part }) {
      const tree = withoutFailures(part)
      const after: Tree = { ...simplestStep, action: last }

      const plain = yield* run({ _tag: "Sequence", children: [tree, after] })
      const inSavepoint = yield* run({
        _tag: "Sequence",
        children: [{ _tag: "Savepoint", child: tree, caught: "nothing" }, after]
      })

      assert.deepStrictEqual(ledgerOf(inSavepoint), ledgerOf(plain))
      assert.strictEqual(inSavepoint.exit._tag, plain.exit._tag)
    }),
    { arbitrary: { runs: 150 }, timeout: 20_000 }
  )

  it.effect.prop(
    "with a saga around a part that succeeds does the same, and keeps it when the saga outside fails later",
    { part: arbitraryTree(3), last: oneOf(["succeed", "fail"] as const) },
    Effect.fnUntraced(function*({ last, part }) {
      const tree = withoutFailures(part)
      const after: Tree = { ...simplestStep, action: last }

      const alone = yield* run(tree)
      const inSaga = yield* run({
        _tag: "Sequence",
        children: [{ _tag: "Nested", child: tree, caught: "nothing" }, after]
      })

      const written = stepsOf(alone).length
      assert.deepStrictEqual(ledgerOf(inSaga).filter((line) => !line.endsWith(` ${written}`)), ledgerOf(alone))
      assert.strictEqual(inSaga.exit._tag, last === "succeed" ? "Success" : "Failure")
    }),
    { arbitrary: { runs: 150 }, timeout: 20_000 }
  )
})
