/*
 * Sagas of each kind, with a failure at each of their steps and at each of their compensations.
 */
import { type Crash } from "./crashRun.ts"
import {
  type ActionFault,
  type Fault,
  isCompensable,
  isStep,
  type Part,
  type Place,
  placesOf,
  runsOf,
  type Scenario
} from "./crashSaga.ts"

export const step: Part = { _tag: "Step", kind: "step" }
export const stepExit: Part = { _tag: "Step", kind: "stepExit" }
export const bare: Part = { _tag: "Step", kind: "bare" }
export const pivot: Part = { _tag: "Pivot" }
export const signal: Part = { _tag: "Signal" }
export const value: Part = { _tag: "Value" }
export const failure: Part = { _tag: "Failure" }
export const timer = (millis = 3000): Part => ({ _tag: "Timer", millis })
export const sequence = (...children: ReadonlyArray<Part>): Part => ({ _tag: "Sequence", children })
export const parallel = (...children: ReadonlyArray<Part>): Part => ({
  _tag: "Parallel",
  children,
  concurrency: "unbounded",
  compensation: "sequential"
})
export const twoByTwo = (...children: ReadonlyArray<Part>): Part => ({
  _tag: "Parallel",
  children,
  concurrency: 2,
  compensation: "parallel"
})
export const savepoint = (then: "raise" | "catch" | "retry", ...children: ReadonlyArray<Part>): Part => ({
  _tag: "Savepoint",
  then,
  child: sequence(...children)
})
export const child = (...children: ReadonlyArray<Part>): Part => ({
  _tag: "Child",
  child: sequence(...children),
  inStep: false
})
export const childInStep = (...children: ReadonlyArray<Part>): Part => ({
  _tag: "Child",
  child: sequence(...children),
  inStep: true
})

/** Sagas of up to six steps, with each feature alone and with others. */
export const family: { readonly [name: string]: Part } = {
  "a sequence": sequence(step, stepExit, bare, step),
  "values between steps": sequence(step, value, step, value, step),
  "branches": sequence(step, parallel(step, stepExit, step), step),
  "branches of several steps": sequence(parallel(sequence(step, step), sequence(value, stepExit), step), step),
  "branches undone side by side": sequence(step, twoByTwo(sequence(step, step), step, stepExit), step),
  "branches in branches": sequence(parallel(sequence(step, parallel(step, step)), step), failure),
  "a savepoint": sequence(step, savepoint("raise", step, step), step),
  "a savepoint whose failure is handled": sequence(step, savepoint("catch", step, stepExit), step),
  "a savepoint that is repeated": sequence(step, savepoint("retry", step, step), step),
  "savepoints in branches": sequence(
    step,
    parallel(savepoint("catch", step, step), savepoint("retry", step, step)),
    step
  ),
  "branches in a savepoint": sequence(step, savepoint("retry", parallel(step, step), step), step),
  "a pivot": sequence(step, stepExit, pivot, step, step),
  "a pivot and branches": sequence(parallel(step, step), pivot, parallel(step, sequence(step, step))),
  "a child": sequence(step, child(step, step), step),
  "a child in a step": sequence(step, childInStep(step, step), step),
  "children in branches": sequence(parallel(child(step, step), child(step)), step),
  "a child in a savepoint": sequence(step, savepoint("catch", step, child(step)), step),
  "timers": sequence(step, timer(), step, timer(10), step),
  "timers in branches": sequence(parallel(sequence(step, timer()), sequence(timer(500), step), step), step),
  "a signal": sequence(step, signal, step),
  "a signal in a branch": sequence(step, parallel(sequence(signal, step), sequence(step, step)), step),
  "a signal and a timer in a child": sequence(step, child(step, signal, timer(20), step), step),
  "all of it": sequence(
    step,
    parallel(sequence(step, timer(5)), savepoint("catch", value, stepExit)),
    signal,
    child(step),
    pivot,
    step
  )
}

/** A scenario in which nothing goes wrong. */
export const scenarioOf = (name: string, saga: Part, options: Partial<Scenario> = {}): Scenario => ({
  name,
  saga,
  faults: new Map(),
  onCompensationFailure: "park",
  decision: "retry",
  retries: 1,
  signalAt: 5,
  commitMillis: 0,
  ...options
})

const isAfterPivot = (places: ReadonlyArray<Place>, place: Place): boolean =>
  places.some(({ execution, id, part }) => part._tag === "Pivot" && id < place.id && execution === place.execution)

/** The scenarios of a saga: all goes well, each action fails in each way, each compensation fails in each way. */
export const scenariosOf = (name: string, saga: Part): ReadonlyArray<Scenario> => {
  const places = placesOf(saga)
  const scenarios: Array<Scenario> = [
    scenarioOf(`${name}: all goes well`, saga),
    scenarioOf(`${name}: all goes well, on a slow store`, saga, { commitMillis: 3 })
  ]
  const add = (title: string, faults: ReadonlyArray<readonly [number, Fault]>, options: Partial<Scenario> = {}) =>
    scenarios.push(scenarioOf(`${name}: ${title}`, saga, { faults: new Map(faults), ...options }))

  if (places.some(({ part }) => part._tag === "Signal")) {
    add("its signal comes before the start", [], { signalAt: "before the start" })
    add("its signal comes late", [], { signalAt: 20_000 })
    add("it is cancelled while it waits for its signal", [], { signalAt: 100_000, cancelAt: 30_000 })
  }

  const steps = places.filter((place) => isStep(place) || isCompensable(place))
  for (const place of steps) {
    const { id, part } = place
    const after = isAfterPivot(places, place)
    const actions: ReadonlyArray<ActionFault> = part._tag === "Step" && part.kind === "stepExit"
      ? ["refuses", "dies", "is busy twice", "is always busy", "refuses after its effect", "keeps silent"]
      : part._tag === "Child"
      ? ["refuses", "dies"]
      : ["refuses", "dies", "is busy twice", "is always busy"]
    for (const action of actions) {
      if (action === "refuses after its effect" && after) continue
      add(`s${id} ${action}`, [[id, { action }]], {
        onCompensationFailure: after ? "fail" : "park",
        decision: "skip"
      })
    }
    if (runsOf(places, place) > 1) add(`s${id} refuses the first time`, [[id, { action: "refuses the first time" }]])
    if (after) {
      add(`s${id} refuses until repaired`, [[id, { action: "refuses until repaired" }]])
      add(`s${id} refuses until repaired well`, [[id, { action: "refuses until repaired" }]], { retries: 2 })
      for (const decision of ["skip", "resolve", "cancel"] as const) {
        add(`s${id} refuses, and the operator decides to ${decision}`, [[id, { action: "refuses" }]], { decision })
      }
    }
  }

  const last = steps.findLast((place) => !isAfterPivot(places, place) && place.execution === "Root/0")
  const failing: ReadonlyArray<readonly [number, Fault]> = last === undefined ||
      places.some(({ part }) => part._tag === "Failure")
    ? []
    : [[last.id, { action: "refuses" }]]
  for (const place of steps) {
    if (!isCompensable(place) || isAfterPivot(places, place) || place === last) continue
    const { id } = place
    const undoing = `s${id} is undone, which`
    const fault = (compensation: Fault["compensation"]) => [...failing, [id, { compensation }] as const]
    if (place.part._tag === "Step") add(`${undoing} is busy twice`, fault("is busy twice"))
    add(`${undoing} refuses until repaired`, fault("refuses until repaired"))
    add(`${undoing} refuses until repaired well`, fault("refuses until repaired"), { retries: 2 })
    add(`${undoing} refuses, and the operator skips it`, fault("refuses"), { decision: "skip" })
    add(`${undoing} dies, and the operator does it by hand`, fault("dies"), { decision: "resolve" })
    add(`${undoing} refuses, and that is that`, fault("refuses"), { onCompensationFailure: "fail" })
    add(`${undoing} dies, and that is that`, fault("dies"), { onCompensationFailure: "fail" })
  }
  return scenarios
}

/** All ways in which one process may end at its n-th commit. */
export const crashesAt = (number: number): ReadonlyArray<Crash> =>
  [false, true].flatMap((written) => {
    const when = { _tag: "Commit", number, written } as const
    const crash = (how: Crash["how"], requests: Crash["requests"], lateness: number, downtime: number): Crash => ({
      when,
      how,
      requests,
      lateness,
      downtime
    })
    return [
      crash("killed", "lost", 0, 1),
      crash("killed", "late", 2, 1),
      crash("killed", "late", 30_000, 1),
      crash("killed", "lost", 0, 20_000),
      crash("fenced", "late", 0, 1),
      crash("hung", "late", 0, 7)
    ]
  })
