/*
 * Random sagas of up to six steps, with random failures, and processes that end anywhere, several times in a row.
 */
import { Arbitrary, Schema } from "effect"
import {
  bare,
  child,
  childInStep,
  failure,
  parallel,
  pivot,
  savepoint,
  sequence,
  signal,
  step,
  stepExit,
  timer,
  value
} from "./crashCases.ts"
import type { Crash } from "./crashRun.ts"
import {
  type ActionFault,
  type CompensationFault,
  type Fault,
  isCompensable,
  isStep,
  type Part,
  type Place,
  placesOf,
  type Scenario
} from "./crashSaga.ts"
import { oneOf } from "./tree.ts"

const upTo = (maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const arbitraryLeaf: Arbitrary.Arbitrary<Part> = oneOf([
  step,
  step,
  step,
  stepExit,
  bare,
  timer(2),
  timer(2000),
  value,
  signal
])

const arbitraryParts = (depth: number): Arbitrary.Arbitrary<ReadonlyArray<Part>> =>
  Arbitrary.array(arbitraryPart(depth), { minLength: 1, maxLength: 3 })

/** Parts that are nested at most `depth` times. */
const arbitraryPart = (depth: number): Arbitrary.Arbitrary<Part> =>
  depth === 0 ? arbitraryLeaf : Arbitrary.flatMap(
    upTo(9),
    (choice): Arbitrary.Arbitrary<Part> => {
      const children = arbitraryParts(depth - 1)
      switch (choice) {
        case 0:
        case 1:
          return Arbitrary.map(children, (children) => parallel(...children))
        case 2:
          return Arbitrary.map(children, (children) => ({
            _tag: "Parallel",
            children,
            concurrency: 2,
            compensation: "parallel"
          }))
        case 3:
          return Arbitrary.map(
            Arbitrary.all({ children, then: oneOf(["raise", "catch", "retry"] as const) }),
            ({ children, then }) => savepoint(then, ...children)
          )
        case 4:
          return Arbitrary.map(children, (children) => child(...children))
        case 5:
          return Arbitrary.map(children, (children) => childInStep(...children))
        case 6:
          return Arbitrary.map(children, (children) => sequence(...children))
        default:
          return arbitraryLeaf
      }
    }
  )

const countSteps = (saga: Part): number =>
  placesOf(saga).filter((place) => isStep(place) || isCompensable(place)).length

const arbitrarySaga: Arbitrary.Arbitrary<Part> = Arbitrary.filter(
  Arbitrary.map(
    Arbitrary.all({
      before: Arbitrary.array(arbitraryPart(2), { minLength: 1, maxLength: 4 }),
      after: Arbitrary.array(arbitraryPart(1), { minLength: 0, maxLength: 2 }),
      between: oneOf(["nothing", "nothing", "a pivot", "a failure"] as const)
    }),
    ({ after, before, between }) =>
      sequence(...before, ...(between === "nothing" ? [] : [between === "a pivot" ? pivot : failure]), ...after)
  ),
  (saga) => countSteps(saga) >= 1 && countSteps(saga) <= 6
)

const actionFaults: ReadonlyArray<ActionFault> = [
  "refuses",
  "dies",
  "is busy twice",
  "is always busy",
  "refuses the first time",
  "refuses until repaired"
]

const compensationFaults: ReadonlyArray<CompensationFault> = [
  "refuses",
  "dies",
  "is busy twice",
  "refuses until repaired"
]

/** What goes wrong at one place; `place` is a number that stands for one of the places where something can. */
interface Misfortune {
  readonly place: number
  readonly action: ActionFault | undefined
  readonly compensation: CompensationFault | undefined
}

const arbitraryMisfortune: Arbitrary.Arbitrary<Misfortune> = Arbitrary.all({
  place: upTo(100),
  action: oneOf([undefined, ...actionFaults]),
  compensation: oneOf([undefined, ...compensationFaults])
})

/* An operator who tries again has it repaired, and what is done by a child has no retries. */
const bearable = (place: Place, { action, compensation }: Misfortune, decision: Scenario["decision"]): Fault => {
  const lasting = decision === "retry" ? "refuses until repaired" : "refuses"
  const isChild = place.part._tag === "Child"
  return {
    action: action === undefined || action === "refuses the first time" || (action === "is busy twice" && !isChild)
      ? action
      : action === "dies" && decision !== "retry"
      ? "dies"
      : lasting,
    compensation: compensation === undefined || (compensation === "is busy twice" && !isChild)
      ? compensation
      : compensation === "dies" && decision !== "retry"
      ? "dies"
      : lasting
  }
}

/** Sagas with up to three places where something goes wrong. */
export const arbitraryScenario: Arbitrary.Arbitrary<Scenario> = Arbitrary.map(
  Arbitrary.all({
    saga: arbitrarySaga,
    misfortunes: Arbitrary.array(arbitraryMisfortune, { minLength: 0, maxLength: 3 }),
    onCompensationFailure: oneOf(["park", "park", "fail"] as const),
    decision: oneOf(["retry", "skip", "resolve"] as const),
    retries: oneOf([1, 1, 2]),
    signalAt: oneOf([5, 0, "before the start", 5000] as const),
    commitMillis: oneOf([0, 0, 3])
  }),
  ({ misfortunes, ...scenario }) => {
    const places = placesOf(scenario.saga).filter((place) => isStep(place) || isCompensable(place))
    const faults = new Map(misfortunes.map((misfortune) => {
      const place = places[misfortune.place % places.length]!
      return [place.id, bearable(place, misfortune, scenario.decision)] as const
    }))
    return { ...scenario, name: "a random saga", faults }
  }
)

const arbitraryCrash: Arbitrary.Arbitrary<Crash> = Arbitrary.all({
  when: Arbitrary.flatMap(
    oneOf(["commit", "task"]),
    (what): Arbitrary.Arbitrary<Crash["when"]> =>
      what === "commit"
        ? Arbitrary.map(
          Arbitrary.all({ number: upTo(19), written: oneOf([false, true]) }),
          ({ number, written }) => ({ _tag: "Commit", number: number + 1, written })
        )
        : Arbitrary.map(upTo(120), (number) => ({ _tag: "Task", number: number + 1 }))
  ),
  how: oneOf(["killed", "killed", "killed", "fenced", "hung"] as const),
  requests: oneOf(["lost", "late"] as const),
  lateness: oneOf([0, 3, 2000, 60_000]),
  downtime: oneOf([1, 10, 30_000])
})

/** One to three processes in a row that end. */
export const arbitraryCrashes: Arbitrary.Arbitrary<ReadonlyArray<Crash>> = Arbitrary.array(arbitraryCrash, {
  minLength: 1,
  maxLength: 3
})
