/*
 * Whatever becomes of a process, the next one ends its executions as if nothing had happened.
 *
 * A simulated process runs a saga on a store in memory and ends at a given commit, just before or just after that is
 * written, or between two tasks; the next one goes on. The services outside, the sender of signals and the operator live on.
 * What must be the same as in a run that was not interrupted, and what may differ, stands in `support/crashCompare.ts`.
 *
 * There are more cases than anybody waits for, so each run of the tests takes the same part of them by chance, and
 * `CRASH_ALL=1` all of them. `CRASH_SEED` (a number) takes another part.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { arbitraryCrashes, arbitraryScenario } from "./support/crashArbitrary.ts"
import {
  crashesAt,
  failure,
  family,
  parallel,
  savepoint,
  scenarioOf,
  scenariosOf,
  sequence,
  step
} from "./support/crashCases.ts"
import { differences, problemsOf, summaryOf, thereOutside } from "./support/crashCompare.ts"
import { damagesOf } from "./support/crashDamage.ts"
import { type Crash, type Observation, parkedIn, readable, run } from "./support/crashRun.ts"
import { isConcurrent, numberOf, type Scenario } from "./support/crashSaga.ts"
import { hash, randomNumbers } from "./support/crashSimulation.ts"

const all = process.env.CRASH_ALL === "1"
const seed = Number(process.env.CRASH_SEED ?? 1)

/** Chooses one in `many` cases, but the first one always. */
const chosen = (name: string, many: number): () => boolean => {
  const random = randomNumbers(seed + hash(name))
  let first = true
  return () => {
    const isChosen = all || first || random() < 1 / many
    first = false
    return isChosen
  }
}

const count = () => ({ all: 0, run: 0 })

/** How many cases there are, and how many of them ran. */
const figures = { scenarios: 0, commits: count(), tasks: count(), cuts: count(), damages: count(), repeated: 0 }

if (all) afterAll(() => console.info(JSON.stringify(figures)))

const none: ReadonlyArray<string> = []

/** Runs a scenario without interruption, and makes sure of how that ended. */
const uninterrupted = (scenario: Scenario): Observation => {
  const whole = run(scenario, { batching: "single" })
  assert.deepStrictEqual(problemsOf(whole), none, scenario.name)
  return whole
}

/** The scenarios of a saga, each with its run without interruption. */
const wholeRuns = (() => {
  const known = new Map<string, ReadonlyArray<Observation>>()
  return (name: string): ReadonlyArray<Observation> => {
    let runs = known.get(name)
    if (runs === undefined) known.set(name, runs = scenariosOf(name, family[name]!).map(uninterrupted))
    return runs
  }
})()

/** Asserts that a run with crashes ended as the one without. */
const assertSame = (whole: Observation, other: Observation, what: unknown): void => {
  const found = [...problemsOf(other), ...(other.exit === undefined ? [] : differences(whole, other))]
  if (found.length > 0) assert.fail(`${whole.scenario.name}: ${JSON.stringify(what)}\n  ${found.join("\n  ")}`)
}

/** Whether a service was asked for the same a second time: the process ended after the effect and before its record. */
const isRepeated = ({ outside }: Observation): boolean => {
  const asked = outside.requests.map(({ attempt, key, what }) => `${what} ${key} ${attempt}`)
  return new Set(asked).size < asked.length
}

describe("a process that ends at any commit, before or after it is written", () => {
  for (const name of Object.keys(family)) {
    it(`${name}: is taken up by the next one as if nothing had happened`, () => {
      const isChosen = chosen(name, 40)
      for (const whole of wholeRuns(name)) {
        const { scenario } = whole
        figures.scenarios++
        for (let number = 1; number <= whole.commits[0]!; number++) {
          for (const crash of crashesAt(number)) {
            figures.commits.all++
            if (!isChosen()) continue
            figures.commits.run++

            const crashed = run(scenario, { crashes: [crash], batching: "single" })

            if (isRepeated(crashed)) figures.repeated++
            assertSame(whole, crashed, crash)
          }
        }
      }
    }, 600_000)
  }

  it("falls between an effect and its record now and then, so that the effect is asked for again", () => {
    assert.isAbove(figures.repeated, figures.commits.run / 20)
  })

  it.effect.prop(
    "random sagas with random failures: keep their promises over several ends in a row, also between any two tasks",
    { scenario: arbitraryScenario, crashes: arbitraryCrashes },
    ({ crashes, scenario }) =>
      Effect.sync(() => {
        const whole = uninterrupted(scenario)
        for (const batching of ["single", "whole"] as const) {
          const crashed = run(scenario, { crashes, batching })

          assert.deepStrictEqual(problemsOf(crashed), none)
          // Where two things go wrong side by side, what comes first decides.
          if (!isConcurrent(scenario.saga) || scenario.faults.size <= 1) assertSame(whole, crashed, crashes)
        }
      }),
    { arbitrary: { runs: all ? 5000 : 300, seed }, timeout: 600_000 }
  )

  for (const name of Object.keys(family)) {
    it(`${name}: between any two of its tasks, too`, () => {
      const isChosen = chosen(`${name}, tasks`, 60)
      for (const whole of wholeRuns(name)) {
        for (let number = 1; number <= whole.steps[0]!; number++) {
          figures.tasks.all++
          if (!isChosen()) continue
          figures.tasks.run++
          const crash: Crash = {
            when: { _tag: "Task", number },
            how: "killed",
            requests: number % 2 === 0 ? "late" : "lost",
            lateness: number % 7,
            downtime: 1
          }

          const crashed = run(whole.scenario, { crashes: [crash], batching: "single" })

          assertSame(whole, crashed, crash)
        }
      }
    }, 600_000)
  }

  it("an ambiguous step: never runs twice, and is undone with the rest where nobody knows what became of it", () => {
    const ambiguous = { _tag: "Step", kind: "ambiguous" } as const
    const sagas = [
      sequence(step, ambiguous, step),
      sequence(ambiguous, parallel(step, ambiguous)),
      sequence(step, savepoint("raise", ambiguous, ambiguous), failure)
    ]
    let unknown = 0
    for (const saga of sagas) {
      const whole = uninterrupted(scenarioOf("ambiguous", saga))
      for (let number = 1; number <= whole.commits[0]!; number++) {
        // A request that arrives after it was undone is beyond everybody: its service knows no keys.
        for (const crash of crashesAt(number).filter(({ how, lateness }) => how === "killed" && lateness === 0)) {
          const crashed = run(whole.scenario, { crashes: [crash], batching: "single" })

          assert.deepStrictEqual(problemsOf(crashed), none, JSON.stringify(crash))
          const asked = crashed.outside.requests.flatMap(({ key, what }) => {
            const { part } = crashed.places[numberOf(key)]!
            return what === "do" && part._tag === "Step" && part.kind === "ambiguous" ? [key] : []
          })
          assert.strictEqual(new Set(asked).size, asked.length, JSON.stringify(crash))
          if (summaryOf(crashed.exit) === summaryOf(whole.exit)) continue
          unknown++
          assert.match(summaryOf(crashed.exit), /OutcomeUnknown/)
          assert.deepStrictEqual(thereOutside(crashed), [])
        }
      }
    }
    assert.isAbove(unknown, 0)
  })

  it("twice and three times in a row: pairs and triples of commits of one saga with all of it", () => {
    const isChosen = chosen("in a row", 40)
    for (const whole of wholeRuns("all of it").slice(0, 3)) {
      const crash = (number: number): Crash => ({
        when: { _tag: "Commit", number, written: number % 2 === 0 },
        how: "killed",
        requests: number % 3 === 0 ? "lost" : "late",
        lateness: number,
        downtime: 1
      })
      for (let first = 1; first <= whole.commits[0]!; first++) {
        for (let second = 1; second <= whole.commits[0]! - first + 1; second++) {
          if (!isChosen()) continue
          const crashes = [crash(first), crash(second), crash(1 + (first * second) % 7)]

          const crashed = run(whole.scenario, { crashes, batching: "single" })

          assertSame(whole, crashed, crashes)
        }
      }
    }
  }, 600_000)
})

describe("a log that was cut after any of its appends", () => {
  for (const name of Object.keys(family)) {
    it(`${name}: ends as the whole one did, and turns forward nowhere where it was unwinding`, () => {
      const isChosen = chosen(name, 10)
      for (const whole of wholeRuns(name)) {
        const { scenario } = whole
        for (let length = 1; length <= whole.writes.length; length++) {
          figures.cuts.all++
          if (!isChosen()) continue
          figures.cuts.run++
          const start = whole.writes.slice(0, length)

          const resumed = run(scenario, { start })

          assertSame(whole, resumed, `cut after ${length}`)
          const unwinding = start.some(({ events, record }) =>
            record.id === "Root/0" && events.some((event) => /"_tag":"UnwindStarted".*"scope":""/.test(event))
          )
          if (unwinding) {
            const forward = resumed.outside.requests.filter(({ key, what }) =>
              what === "do" && key.startsWith("Root/0")
            )
            assert.deepStrictEqual(forward, [], `${scenario.name} cut after ${length}`)
          }
        }
      }
    }, 600_000)
  }

  it("has nothing more to do where it is whole", () => {
    for (const name of ["a sequence", "all of it"]) {
      const whole = wholeRuns(name)[0]!

      const resumed = run(whole.scenario, { start: whole.writes })

      assert.deepStrictEqual(resumed.outside.requests, [])
      assert.deepStrictEqual(resumed.writes, whole.writes)
      assert.strictEqual(summaryOf(resumed.exit), summaryOf(whole.exit))
    }
  })
})

describe("a damaged log", () => {
  /* What is damaged is a log that was left just before its end. */
  const damaged = (whole: Observation) => {
    const own = whole.writes.filter(({ record }) => record.id === "Root/0")
    const others = whole.writes.filter(({ record }) => record.id !== "Root/0")
    const { record } = own.at(-1)!
    return damagesOf(own.flatMap(({ events }) => events).slice(0, -1)).map(({ events, ...damage }) => {
      const status = parkedIn(events.flatMap(readable)).length > 0 ? "Parked" as const : "Running" as const
      return { ...damage, start: [{ record: { ...record, status, reason: null }, events }, ...others] }
    })
  }

  for (const name of Object.keys(family)) {
    it(`${name}: stops with a message and does nothing, or ends as the whole one where only history was lost`, () => {
      const isChosen = chosen(name, 80)
      for (const whole of wholeRuns(name)) {
        const { scenario } = whole
        // What was done by hand is known to the decision alone; and one that has been parked for an operator may wait for him.
        if (scenario.decision === "resolve" || scenario.decision === "cancel" || scenario.cancelAt !== undefined) {
          continue
        }
        for (const { isFatal, start, what } of damaged(whole)) {
          figures.damages.all++
          if (!isChosen()) continue
          figures.damages.run++

          const resumed = run(scenario, { start })

          const where = `${scenario.name}: ${what}`
          const asked = resumed.outside.requests
          const told = [...resumed.complaints.filter((complaint) => complaint.startsWith("parked: ")), ...resumed.log]
          if (resumed.exit === undefined) {
            assert.deepStrictEqual(asked, [], where)
            assert.isNotEmpty(told, where)
          } else {
            assert.isFalse(isFatal, where)
            assert.deepStrictEqual(resumed.complaints, none, where)
            assert.strictEqual(summaryOf(resumed.exit), summaryOf(whole.exit), where)
            assert.deepStrictEqual(thereOutside(resumed), thereOutside(whole), where)
          }
        }
      }
    }, 600_000)
  }
})

describe("the harness", () => {
  const scenario = scenarioOf("three steps", sequence(step, step, step))

  it("notices effects that are lost, doubled or left behind", () => {
    const whole = run(scenario)
    const outside = (effects: Observation["outside"]["effects"], done: boolean): Observation => ({
      ...whole,
      outside: Object.assign(Object.create(whole.outside), {
        effects,
        accounts: new Map([...whole.outside.accounts, ["Root/0/s1", { done, undone: false }]])
      })
    })
    const { effects } = whole.outside

    assert.deepStrictEqual(problemsOf(whole), none)
    assert.isNotEmpty(problemsOf(outside([...effects, effects[0]!], true)))
    assert.isNotEmpty(problemsOf(outside(effects, false)))
    assert.isNotEmpty(differences(whole, { ...whole, exit: Exit.succeed("something else") }))
  })

  it("does the same each time", () => {
    const crash = crashesAt(3)[1]!
    const journal = () => JSON.stringify(run(scenario, { crashes: [crash] }).writes)

    assert.strictEqual(journal(), journal())
  })
})
