/**
 * Random sagas that keep a ledger of their own, so that what the library says can be compared with what happened.
 */
import { Arbitrary, Effect, Exit, Fiber, Latch, Option, Schema } from "effect"
import { Saga, type SagaEvent, SagaObserver } from "effect-saga"

type Ending = "succeed" | "fail" | "die"

interface StepTree {
  readonly _tag: "Step"
  /** A detached step runs in a fiber that nobody joins. */
  readonly kind: "step" | "stepExit" | "interruptible" | "detached"
  readonly action: Ending
  readonly actionTurns: number
  readonly compensation: Ending
  readonly compensationTurns: number
}

/** A saga as data: what it is made of, and how each part of it ends. */
export type Tree =
  | StepTree
  | { readonly _tag: "Sequence"; readonly children: ReadonlyArray<Tree> }
  | {
    readonly _tag: "Branches"
    readonly children: ReadonlyArray<Tree>
    readonly concurrency: 1 | 2 | "unbounded"
    readonly compensation: "sequential" | "parallel"
  }
  | {
    readonly _tag: "Savepoint" | "Nested"
    readonly child: Tree
    readonly caught: "nothing" | "failures" | "everything"
  }

/** An interruption that comes when the given number of actions and compensations have started. */
export interface Interruption {
  readonly at: number
  readonly from: "nowhere" | "the saga itself" | "another fiber"
}

/** A part of a tree, and where it is in that tree. */
export interface Place {
  readonly id: number
  readonly tree: Tree
  readonly parent: Place | undefined
  readonly children: ReadonlyArray<Place>
}

/** What the actions and compensations themselves have seen, in order. */
export interface Line {
  readonly what:
    | "action started"
    | "action ended"
    | "done"
    | "undoing"
    | "undone"
    | "not undone"
    | "scope ended"
    | "saga ended"
  readonly place: Place
}

/** Whether a step at or below `place` runs in a detached fiber. */
export const hasDetached = ({ children, tree }: Place): boolean =>
  (tree._tag === "Step" && tree.kind === "detached") || children.some(hasDetached)

/** What one run of a tree has left. */
export interface Observation {
  /** The outermost saga, of which the tree is the body. */
  readonly saga: Place
  readonly places: ReadonlyArray<Place>
  readonly lines: ReadonlyArray<Line>
  /** The savepoints and sagas whose body came to its end. */
  readonly succeeded: ReadonlySet<Place>
  readonly exit: Exit.Exit<unknown, unknown>
  /** How the body of the outermost saga ended, before anything of it was undone. */
  readonly bodyExit: Exit.Exit<unknown, unknown> | undefined
  readonly events: ReadonlyArray<SagaEvent.SagaEvent>
}

/** One of `values`; earlier ones are simpler. */
export const oneOf = <A>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))),
    (index) => values[index]!
  )

const often = <A>(value: A, times: number): ReadonlyArray<A> => Array.from({ length: times }, () => value)

const arbitraryStep: Arbitrary.Arbitrary<Tree> = Arbitrary.all({
  _tag: Arbitrary.Constant("Step"),
  kind: oneOf<StepTree["kind"]>(["step", "step", "step", "step", "stepExit", "interruptible", "detached"]),
  action: oneOf<Ending>([...often<Ending>("succeed", 20), "fail", "die"]),
  actionTurns: oneOf([0, 0, 1, 2, 5]),
  compensation: oneOf<Ending>([...often<Ending>("succeed", 9), "fail", "die"]),
  compensationTurns: oneOf([0, 0, 1, 3])
})

/** A step that does nothing but succeed. */
export const simplestStep: StepTree = {
  _tag: "Step",
  kind: "step",
  action: "succeed",
  actionTurns: 0,
  compensation: "succeed",
  compensationTurns: 0
}

const arbitraryCaught = oneOf<"nothing" | "failures" | "everything">(["nothing", "failures", "everything"])

/** Trees whose parts are nested at most `depth` times. */
export const arbitraryTree = (depth: number): Arbitrary.Arbitrary<Tree> => {
  if (depth === 0) return arbitraryStep
  const child = arbitraryTree(depth - 1)
  const children = Arbitrary.array(child, { minLength: 2, maxLength: 4 })
  const sequence = Arbitrary.all({ _tag: Arbitrary.Constant("Sequence"), children })
  const branches = Arbitrary.all({
    _tag: Arbitrary.Constant("Branches"),
    children,
    concurrency: oneOf<1 | 2 | "unbounded">([1, 2, "unbounded", "unbounded"]),
    compensation: oneOf<"sequential" | "parallel">(["sequential", "parallel"])
  })
  const scope = <Tag extends "Savepoint" | "Nested">(tag: Tag) =>
    Arbitrary.all({ _tag: Arbitrary.Constant(tag), child, caught: arbitraryCaught })
  return Arbitrary.flatMap(
    oneOf([0, 0, 0, 1, 2, 2, 3, 3, 4]),
    (choice): Arbitrary.Arbitrary<Tree> =>
      [arbitraryStep, sequence, branches, scope("Savepoint"), scope("Nested")][choice]!
  )
}

/** Trees of several parts, some of which fail in the end whatever their parts did. */
export const arbitrarySaga: Arbitrary.Arbitrary<Tree> = Arbitrary.map(
  Arbitrary.all({
    children: Arbitrary.array(arbitraryTree(3), { minLength: 2, maxLength: 5 }),
    last: oneOf<Ending>(["succeed", "fail", "fail"])
  }),
  ({ children, last }) => ({ _tag: "Sequence", children: [...children, { ...simplestStep, action: last }] })
)

export const arbitraryInterruption: Arbitrary.Arbitrary<Interruption> = Arbitrary.all({
  at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 25 }))),
  from: oneOf<Interruption["from"]>(["nowhere", "nowhere", "the saga itself", "another fiber"])
})

/** The same tree with no failure in any action or compensation, and nothing that is left running. */
export const withoutFailures = (tree: Tree): Tree => {
  switch (tree._tag) {
    case "Step":
      return {
        ...tree,
        kind: tree.kind === "detached" ? "step" : tree.kind,
        action: "succeed",
        compensation: "succeed"
      }
    case "Sequence":
    case "Branches":
      return { ...tree, children: tree.children.map(withoutFailures) }
    case "Savepoint":
    case "Nested":
      return { ...tree, child: withoutFailures(tree.child) }
  }
}

/** `place` and everything around it, from the inside to the outside. */
export const upwards = (place: Place): ReadonlyArray<Place> =>
  place.parent === undefined ? [place] : [place, ...upwards(place.parent)]

/** The name of the step at `place`. */
export const nameOf = (place: Place): string => `s${place.id}`

type Part = Effect.Effect<unknown, unknown, Saga.CompensationStack<unknown>>

const turns = (times: number) => Effect.forEach(Array.from({ length: times }), () => Effect.yieldNow, { discard: true })

const end = (ending: Ending, what: string): Effect.Effect<string, string> =>
  ending === "succeed"
    ? Effect.succeed(what)
    : ending === "fail"
    ? Effect.fail(`${what} failed`)
    : Effect.die(`${what} died`)

const plant = (tree: Tree, parent: Place | undefined, places: Array<Place>): Place => {
  const children: Array<Place> = []
  const place: Place = { id: places.length, tree, parent, children }
  places.push(place)
  if ("child" in tree) children.push(plant(tree.child, place, places))
  if ("children" in tree) children.push(...tree.children.map((child) => plant(child, place, places)))
  return place
}

/** The steps of a tree, in the order in which they are written. */
export const stepsOf = ({ places }: Observation): ReadonlyArray<Place> =>
  places.filter(({ tree }) => tree._tag === "Step")

/** Runs `tree` as a saga called "root", with the interruption that `interruption` describes. */
export const run = Effect.fnUntraced(function*(
  tree: Tree,
  interruption: Interruption = { at: 0, from: "nowhere" },
  options: { readonly observed: boolean } = { observed: true }
) {
  const places: Array<Place> = []
  const outermost = plant({ _tag: "Nested", child: tree, caught: "nothing" }, undefined, places)
  const lines: Array<Line> = []
  const succeeded = new Set<Place>()
  const events: Array<SagaEvent.SagaEvent> = []
  const interrupt = yield* Latch.make()
  let fiber: Fiber.Fiber<unknown, unknown> | undefined
  let bodyExit: Exit.Exit<unknown, unknown> | undefined
  let effects = 0

  const write = (what: Line["what"], place: Place) => {
    lines.push({ what, place })
  }

  /*
   * `Effect.all` does not wait for a branch that interrupts it before it has noted that branch down, so a branch lets it
   * do that first.
   */
  const count = Effect.withFiber((running) => {
    effects++
    if (effects !== interruption.at || interruption.from === "nowhere") return Effect.void
    if (interruption.from === "another fiber") return Effect.andThen(Effect.yieldNow, interrupt.open)
    const now = Effect.sync(() => fiber!.interruptUnsafe())
    return running === fiber ? now : Effect.andThen(Effect.yieldNow, now)
  })

  /* Nothing yields between "done" and the end of the action, so the ledger and the stack agree on the order. */
  const actionOf = (place: Place, step: StepTree) => {
    const settled = Effect.suspend(() => {
      write("action ended", place)
      if (step.action === "succeed" || step.kind === "stepExit") write("done", place)
      return end(step.action, nameOf(place))
    })
    return Effect.sync(() => write("action started", place)).pipe(
      Effect.andThen(count),
      Effect.andThen(turns(step.actionTurns)),
      Effect.onInterrupt(() => Effect.sync(() => write("action ended", place))),
      Effect.andThen(settled)
    )
  }

  const compensationOf = (place: Place, step: StepTree) =>
    Effect.sync(() => write("undoing", place)).pipe(
      Effect.andThen(count),
      Effect.andThen(turns(step.compensationTurns)),
      Effect.andThen(Effect.suspend(() => {
        write(step.compensation === "succeed" ? "undone" : "not undone", place)
        return end(step.compensation, `undoing ${nameOf(place)}`)
      }))
    )

  const marked = (body: Part, place: Place): Part =>
    Effect.tap(body, () =>
      Effect.sync(() => {
        succeeded.add(place)
      }))

  /*
   * A saga whose body has succeeded waits for the steps in detached fibers. An interruption that comes meanwhile undoes
   * it: it has not ended.
   */
  const reconsider = (place: Place, exit: Exit.Exit<unknown, unknown>) => {
    if (Exit.isFailure(exit) && hasDetached(place) && Option.isSome(Saga.report(exit.cause))) succeeded.delete(place)
  }

  const build = (place: Place): Part => {
    const { children, tree } = place
    switch (tree._tag) {
      case "Step": {
        const action = actionOf(place, tree)
        const compensate = () => compensationOf(place, tree)
        const name = nameOf(place)
        switch (tree.kind) {
          case "step":
            return Saga.step(action, compensate, { name })
          case "interruptible":
            return Saga.step(action, compensate, { name, interruptible: true })
          case "stepExit":
            return Saga.stepExit(action, compensate, { name })
          case "detached":
            return Effect.forkDetach(Effect.exit(Saga.step(action, compensate, { name })), { startImmediately: true })
        }
      }
      case "Sequence":
        return Effect.forEach(children, build)
      case "Branches":
        return Saga.all(children.map(build), { concurrency: tree.concurrency, compensation: tree.compensation })
      case "Savepoint":
      case "Nested": {
        const body = marked(build(children[0]!), place)
        const scope: Part = tree._tag === "Savepoint"
          ? Saga.savepoint(body)
          : Saga.transact(body, { name: "nested" })
        const ended = Effect.onExit(scope, (exit) =>
          Effect.sync(() => {
            write("scope ended", place)
            if (tree._tag === "Nested") reconsider(place, exit)
          }))
        return tree.caught === "nothing"
          ? ended
          : tree.caught === "failures"
          ? Effect.catch(ended, () => Effect.void)
          : Effect.catchCause(ended, () => Effect.void)
      }
    }
  }

  const body = Effect.onExit(build(outermost.children[0]!), (exit) =>
    Effect.sync(() => {
      bodyExit = exit
    }))
  const saga = Saga.transact(marked(body, outermost), { name: "root" })
  const observer = options.observed
    ? SagaObserver.make((event) => Effect.sync(() => events.push(event)))
    : SagaObserver.ignore

  fiber = yield* Effect.forkChild(Effect.provideService(saga, SagaObserver.SagaObserver, observer))
  yield* Effect.forkChild(interrupt.whenOpen(Fiber.interrupt(fiber)))
  const exit = yield* Fiber.await(fiber)
  write("saga ended", outermost)
  reconsider(outermost, exit)
  yield* turns(10)

  const observation: Observation = { saga: outermost, places, lines, succeeded, exit, bodyExit, events }
  return observation
})
