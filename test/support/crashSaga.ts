/*
 * Durable sagas as data: what they are made of, what goes wrong, and what the operator does about it. All of them run on
 * the same few definitions, whose bodies read the data.
 */
import { Context, Duration, Effect, Layer, Schedule, Schema } from "effect"
import { Durable, DurableSaga, Saga, type SagaEngine, Signal, Step } from "effect-saga"
import type { Answer, Outside, Request } from "./crashOutside.ts"
import type { Process } from "./crashSimulation.ts"

/** `bare` has nothing to undo it, `stepExit` and `ambiguous` are undone whatever became of them. */
export type StepKind = "step" | "stepExit" | "bare" | "ambiguous"

/** A part of a saga. */
export type Part =
  | { readonly _tag: "Step"; readonly kind: StepKind }
  | { readonly _tag: "Pivot" }
  | { readonly _tag: "Timer"; readonly millis: number }
  | { readonly _tag: "Signal" }
  | { readonly _tag: "Value" }
  /** Code between steps that fails. */
  | { readonly _tag: "Failure" }
  | { readonly _tag: "Sequence"; readonly children: ReadonlyArray<Part> }
  | {
    readonly _tag: "Parallel"
    readonly children: ReadonlyArray<Part>
    readonly concurrency: 1 | 2 | "unbounded"
    readonly compensation: "sequential" | "parallel"
  }
  /** After it failed: `raise` lets its saga fail, `catch` goes on, `retry` does it once more. */
  | { readonly _tag: "Savepoint"; readonly child: Part; readonly then: "raise" | "catch" | "retry" }
  /** A part that is an execution of its own. `inStep`: it is run by the action of a step, which undoes it. */
  | { readonly _tag: "Child"; readonly child: Part; readonly inStep: boolean }

export type ActionFault =
  | "refuses"
  | "dies"
  | "is busy twice"
  | "is always busy"
  | "refuses after its effect"
  | "keeps silent"
  /** In the first run of its savepoint. */
  | "refuses the first time"
  | "refuses until repaired"

export type CompensationFault = "refuses" | "dies" | "is busy twice" | "refuses until repaired"

export interface Fault {
  readonly action?: ActionFault | undefined
  readonly compensation?: CompensationFault | undefined
}

/** A saga, and what happens to it besides crashes. */
export interface Scenario {
  readonly name: string
  readonly saga: Part
  /** By the number of the part: parts are numbered from 0 in the order in which they are written. */
  readonly faults: ReadonlyMap<number, Fault>
  readonly onCompensationFailure: "park" | "fail"
  /** What the operator does about a parked execution. Before a retry he has what is broken repaired. */
  readonly decision: "retry" | "skip" | "resolve" | "cancel"
  /** How many decisions to retry it takes until that helps. */
  readonly retries: number
  /** When signals are sent and the execution is cancelled, in milliseconds after the client began. */
  readonly signalAt: number | "before the start"
  readonly cancelAt?: number | undefined
  /** How long the store takes to commit. */
  readonly commitMillis: number
}

/** A part, and where it is in its saga. */
export interface Place {
  readonly id: number
  readonly part: Part
  readonly children: ReadonlyArray<Place>
  /** The id of the execution that it is in. */
  readonly execution: string
}

export const placesOf = (saga: Part): ReadonlyArray<Place> => {
  const places: Array<Place> = []
  const plant = (part: Part, execution: string): Place => {
    const children: Array<Place> = []
    const place: Place = { id: places.length, part, children, execution }
    places.push(place)
    if ("child" in part) children.push(plant(part.child, part._tag === "Child" ? `Child/${place.id}` : execution))
    if ("children" in part) { for (const child of part.children) children.push(plant(child, execution)) }
    return place
  }
  plant(saga, "Root/0")
  return places
}

const isBelow = (place: Place, around: Place): boolean =>
  around.children.some((child) => child === place || isBelow(place, child))

/** How often it may run: once more for each savepoint around it that is done again when it failed. */
export const runsOf = (places: ReadonlyArray<Place>, place: Place): number =>
  2 **
    places.filter((around) =>
      around.part._tag === "Savepoint" && around.part.then === "retry" && isBelow(place, around)
    ).length

/** Whether the order of what happens in it may differ from run to run. */
export const isConcurrent = (part: Part): boolean =>
  (part._tag === "Parallel" && part.concurrency !== 1) ||
  ("child" in part ? isConcurrent(part.child) : "children" in part && part.children.some(isConcurrent))

/** Whether compensations may run side by side. */
export const hasParallelCompensation = (part: Part): boolean =>
  (part._tag === "Parallel" && part.compensation === "parallel") ||
  ("child" in part ? hasParallelCompensation(part.child) : "children" in part &&
    part.children.some(hasParallelCompensation))

export const isStep = ({ part }: Place): boolean => part._tag === "Step" || part._tag === "Pivot"

/** Whether it leaves something to undo. */
export const isCompensable = ({ part }: Place): boolean =>
  (part._tag === "Step" && part.kind !== "bare") || (part._tag === "Child" && part.inStep)

/* ---------------------------------------------------------------------------------------------------- the services */

/** What the operator repairs, between two runs or within one. */
export interface Repairs {
  done: boolean
}

/** The number of the place whose step has this path or key; NaN where it is none. */
export const numberOf = (key: string): number => Number(/s(\d+)(?:#\d+)?$/.exec(key)?.[1])

/** Whether an action of this key takes effect although it fails. */
export const failsAfterEffect = ({ faults }: Scenario, key: string): boolean => {
  const action = faults.get(numberOf(key))?.action
  return action === "refuses after its effect" || action === "keeps silent"
}

/** What the services answer. It goes by the attempt, which survives a crash, so a crash changes no answer. */
export const answerOf = (scenario: Scenario, repairs: Repairs) => ({ attempt, key, what }: Request): Answer => {
  const place = numberOf(key)
  const fault = scenario.faults.get(place)
  const refusal = (takesEffect: boolean): Answer => ({ _tag: "Fails", error: `refused ${what} ${key}`, takesEffect })
  switch (what === "do" ? fault?.action : fault?.compensation) {
    case undefined:
      return { _tag: "Succeeds" }
    case "refuses":
      return refusal(false)
    case "refuses after its effect":
      return refusal(true)
    case "dies":
      return { _tag: "Dies", defect: `broken ${what} ${key}` }
    case "is busy twice":
      return attempt > 2
        ? { _tag: "Succeeds" }
        : { _tag: "Fails", error: `busy ${what} ${key}`, takesEffect: false }
    case "is always busy":
      return { _tag: "Fails", error: `busy ${what} ${key}`, takesEffect: false }
    case "keeps silent":
      return { _tag: "Keeps silent" }
    case "refuses the first time":
      return key.includes("savepoint#2") ? { _tag: "Succeeds" } : refusal(false)
    case "refuses until repaired":
      return repairs.done ? { _tag: "Succeeds" } : refusal(false)
  }
}

/** Where a process runs its steps. */
export class World extends Context.Service<World, {
  readonly scenario: Scenario
  readonly places: ReadonlyArray<Place>
  readonly ask: (request: Request) => Effect.Effect<void, string>
}>()("effect-saga/test/World") {}

export const worldOf = (
  scenario: Scenario,
  places: ReadonlyArray<Place>,
  outside: Outside,
  process: Process
): World["Service"] => ({ scenario, places, ask: (request) => outside.ask(process, request) })

const ask = (what: Request["what"], { attempt, idempotencyKey }: Step.ActionContext) =>
  Effect.flatMap(World, (world) => world.ask({ what, key: idempotencyKey, attempt }))

/* -------------------------------------------------------------------------------------------------------- the steps */

const Input = Schema.Struct({
  /** What the step before gave. */
  given: Schema.String,
  /** What differs from run to run, and has to be the same after a crash. */
  noise: Schema.String
})

type State = typeof Input.Type

const name = (place: Place): string => `s${place.id}`

const act = (_: unknown, context: Step.ActionContext) =>
  Effect.as(ask("do", context), `receipt of ${context.idempotencyKey}`)

const undo = (_: unknown, context: Step.ActionContext) => ask("undo", context)

const schemas = { input: Input, success: Schema.String, error: Schema.String, compensationError: Schema.String }

const whileBusy = Schedule.max([Schedule.exponential("1 second"), Schedule.recurs(2)]).pipe(
  Schedule.setInputType<string>(),
  Schedule.while(({ input }) => input.startsWith("busy"))
)
const retries = { retry: whileBusy, compensationRetry: whileBusy }

const steps = {
  step: Step.make("step", { ...schemas, action: act, compensate: undo }),
  stepExit: Step.make("step-exit", { ...schemas, action: act, compensateExit: undo }),
  bare: Step.make("bare", { ...schemas, action: act })
}

const retriedSteps = {
  step: Step.make("step", { ...schemas, ...retries, action: act, compensate: undo }),
  stepExit: Step.make("step-exit", { ...schemas, ...retries, action: act, compensateExit: undo }),
  bare: Step.make("bare", { ...schemas, ...retries, action: act })
}

const impatient = Step.make("impatient", { ...schemas, action: act, compensateExit: undo, timeout: "5 seconds" })

const childStep = Step.make("child-step", {
  ...schemas,
  input: Schema.Struct({ ...Input.fields, place: Schema.Number, onCompensationFailure: Schema.String }),
  action: ({ onCompensationFailure, place }, context) =>
    Effect.andThen(
      Effect.mapError(
        (onCompensationFailure === "park" ? ParkingChild : FailingChild).execute(place),
        (error) => `the child failed with ${typeof error === "string" ? error : error._tag}`
      ),
      act(undefined, context)
    ),
  compensate: undo
})

const ambiguous = Step.make("ambiguous", { ...schemas, action: act, compensateExit: undo, ambiguous: true })

const isBusy = (fault: Fault | undefined): boolean =>
  fault?.action === "is busy twice" || fault?.action === "is always busy" || fault?.compensation === "is busy twice"

const stepAt = (place: Place, kind: StepKind, input: State) =>
  Effect.flatMap(World, ({ scenario }) => {
    const fault = scenario.faults.get(place.id)
    const options = { name: name(place) }
    const asText = (error: string | { readonly _tag: string }) =>
      typeof error === "string" ? error : `${error._tag}: s${place.id}`
    if (fault?.action === "keeps silent") return Effect.mapError(impatient(input, options), asText)
    if (kind === "ambiguous") return Effect.mapError(ambiguous(input, options), asText)
    return isBusy(fault) ? retriedSteps[kind](input, options) : steps[kind](input, options)
  })

/* --------------------------------------------------------------------------------------------------- the definitions */

const signals = new Map<string, Signal.Signal<typeof Schema.String>>()

export const signalAt = (place: Place): Signal.Signal<typeof Schema.String> => {
  const name = `signal${place.id}`
  const known = signals.get(name)
  if (known !== undefined) return known
  const signal = Signal.make(name, Schema.String)
  signals.set(name, signal)
  return signal
}

const define = <const Name extends string>(name: Name, onCompensationFailure: "park" | "fail") =>
  DurableSaga.make(name, {
    payload: Schema.Number,
    success: Schema.String,
    error: Schema.String,
    idempotencyKey: (place) => String(place),
    onCompensationFailure
  })

const ParkingRoot = define("Root", "park")
const FailingRoot = define("Root", "fail")
const ParkingChild = define("Child", "park")
const FailingChild = define("Child", "fail")

export const rootOf = ({ onCompensationFailure }: Scenario) =>
  onCompensationFailure === "park" ? ParkingRoot : FailingRoot

const childOf = ({ onCompensationFailure }: Scenario) => onCompensationFailure === "park" ? ParkingChild : FailingChild

type BodyFailure = DurableSaga.BodyError<string>

type Services =
  | World
  | SagaEngine.SagaEngine
  | Effect.Services<ReturnType<typeof stepAt>>
  | Effect.Services<Signal.Signal<typeof Schema.String>["await"]>
  | Saga.Pivot

type Body = Effect.Effect<State, BodyFailure, Services>

const build = (place: Place, state: State): Body => {
  const { children, part } = place
  switch (part._tag) {
    case "Step":
      return Effect.map(stepAt(place, part.kind, state), (given): State => ({ ...state, given }))
    case "Pivot":
      return Effect.map(
        Saga.pivot(stepAt(place, "bare", state), { name: `pivot${place.id}` }),
        (given): State => ({ ...state, given })
      )
    case "Timer":
      return Effect.as(Durable.sleep(Duration.millis(part.millis), { name: `timer${place.id}` }), state)
    case "Signal":
      return Effect.map(signalAt(place).await, (by): State => ({ ...state, given: `${state.given}, ${by}` }))
    case "Value":
      return Effect.map(
        Effect.all([Durable.now, Durable.random, Durable.uuid]),
        (values): State => ({ ...state, noise: values.join(" ") })
      )
    case "Failure":
      return Effect.fail(`no more after p${place.id}`)
    case "Sequence":
      return Effect.reduce(children, () => state, (before, child) => build(child, before))
    case "Parallel":
      return Effect.map(
        Saga.all(children.map((child) => build(child, state)), {
          concurrency: part.concurrency,
          compensation: part.compensation
        }),
        (states): State => ({ ...state, given: `[${states.map(({ given }) => given).join(" | ")}]` })
      )
    case "Savepoint": {
      const savepoint = Saga.savepoint(build(children[0]!, state))
      return part.then === "raise"
        ? savepoint
        : part.then === "retry"
        ? Effect.retry(savepoint, { times: 1, while: (error) => typeof error === "string" })
        : Effect.catch(
          savepoint,
          (error) =>
            typeof error === "string"
              ? Effect.succeed<State>({ ...state, given: `without p${place.id}: ${error}` })
              : Effect.fail(error)
        )
    }
    case "Child":
      return Effect.flatMap(World, ({ scenario }) =>
        Effect.map(
          part.inStep
            ? childStep({ ...state, place: place.id, onCompensationFailure: scenario.onCompensationFailure }, {
              name: name(place)
            })
            : childOf(scenario).execute(place.id),
          (given): State => ({ ...state, given })
        ))
  }
}

const rootBody = () =>
  Effect.flatMap(
    World,
    ({ places }) => Effect.map(build(places[0]!, { given: "nothing", noise: "" }), ({ given }) => given)
  )

const childBody = (place: number) =>
  Effect.flatMap(
    World,
    ({ places }) =>
      Effect.map(build(places[place]!.children[0]!, { given: "nothing", noise: "" }), ({ given }) => given)
  )

const layers = {
  park: Layer.merge(ParkingRoot.toLayer(rootBody), ParkingChild.toLayer(childBody)),
  fail: Layer.merge(FailingRoot.toLayer(rootBody), FailingChild.toLayer(childBody))
}

/** The definitions of a scenario, with their bodies. */
export const layerOf = (
  { onCompensationFailure }: Scenario
): Layer.Layer<never, never, SagaEngine.SagaEngine | World> => layers[onCompensationFailure]
