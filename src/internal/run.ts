import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Json } from "effect/Schema"
import type { CompensationStack } from "../CompensationStack.ts"
import * as SagaObserver from "../SagaObserver.ts"

/*
 * The state of a running saga.
 *
 * 1. A `Run` is one run of a saga, a `Frame` a place in it (the saga itself, a savepoint, a branch of `all`), and an
 *    `Entry` a step whose action has ended. The frame in force travels in the context of the fiber.
 * 2. The log of a run holds its entries in the order in which their actions ended, and what happened between them.
 *    Nested sagas write to the log of the saga around them.
 * 3. A compensation stack is not stored apart: the stack of a frame is what is pending in the log at or below that
 *    frame. A savepoint that succeeds has therefore nothing to hand over, and order of completion is order in the log.
 * 4. An entry goes from `Pending` to `Taken` once, when unwinding takes it. Nobody can undo it a second time.
 * 5. `inFlight` counts the actions that run at or below a frame. It changes in the same synchronous block in which the
 *    action enters and leaves its uninterruptible region, so no interruption can come between. A frame is unwound when
 *    it is 0, not before.
 */

/** What a step is made of. */
export interface StepDefinition {
  readonly name: string
  readonly kind: "step" | "stepExit" | "pivot"
  /** Gets the value of the action, or for `stepExit` its `Exit`. */
  readonly compensate:
    | ((value: never, cause: Cause.Cause<unknown>, entry: Entry) => Effect.Effect<unknown, unknown, unknown>)
    | undefined
  readonly interruptible: boolean
  /** Whether what it does can be kept in a journal: it comes from `Step.make`. */
  readonly durable: boolean
}

/**
 * What keeps a run beyond its process. All that a durable saga does differently from one in memory is asked for here.
 */
export interface Journal {
  /** Whether the execution has stopped in this process. Then nothing is undone: it goes on elsewhere, or later. */
  readonly halted: boolean
  /** Whether the result of the step at `path` is known, so that its action does not run. */
  isRecorded(path: string): boolean
  /** Whether the action of the step at `path` had started before a crash, and its result is not known. */
  isStarted(path: string): boolean
  /** Holds back an action that had not started until all that had has been asked for again; undefined where nothing holds it. */
  hold(frame: Frame, path: string): Effect.Effect<void> | undefined
  /** Queues an item to be written, at once and in this order. */
  keep(item: Item): Keeping
  /** Why `frame` is undone: as recorded, where that has been decided before. */
  reasonOf(frame: Frame, cause: Cause.Cause<unknown>): Cause.Cause<unknown>
  /** Whether it is recorded that `frame` is undone, whatever becomes of it now. */
  isUndone(frame: Frame): boolean
  /** Whether it is recorded that the undoing of `frame` has ended without this step. */
  isLeft(frame: Frame, entry: Entry): boolean
  /** Called when the body of the outermost saga has ended, with the cause where it has failed. */
  bodyEnded(cause: Cause.Cause<unknown> | undefined): void
  /** Whether a compensation that fails waits for an operator: then it is told of time limits, and keeps them itself. */
  readonly parks: boolean
}

/** What the saga has to do before it goes on, if anything; `"Repeated"` where the item was known before a crash. */
export type Keeping = Effect.Effect<void> | "Repeated" | undefined

/** How a saga is to be run and unwound. */
export interface RunOptions {
  readonly name: string
  readonly onCompensationFailure: "continue" | "stop"
  readonly compensationTimeout: Duration.Duration | undefined
  readonly unwindTimeout: Duration.Duration | undefined
  readonly compensateWhen: ((cause: Cause.Cause<unknown>) => boolean) | undefined
}

/** A compensation that failed; `timedOut` where a time limit of the saga ended it. */
export interface Failure {
  readonly entry: Entry
  readonly cause: Cause.Cause<unknown>
  readonly timedOut: boolean
}

let runs = 0

export class Run {
  readonly options: RunOptions
  /** The saga around this one. */
  readonly parent: Run | undefined
  readonly root: Run
  readonly log: Array<Item>
  readonly clock: Clock.Clock
  /** Undefined where nobody observes, so that no event is built. */
  readonly observer: SagaObserver.SagaObserver | undefined
  /** Undefined in memory. */
  readonly journal: Journal | undefined
  /** Whether neither an observer nor a journal wants to know what happens when. */
  readonly unheard: boolean
  /** The compensations that failed, in savepoints too, in the order in which they ran. */
  readonly failures: Array<Failure> = []
  /** Set when steps that should have been undone were not tried. */
  hasRemaining = false
  /** The pivot that made the saga count as done. */
  committedBy: Entry | undefined = undefined
  /** Set when a compensation failed under `stop`: from then on no compensation starts. */
  stopped = false
  /** Set when a group of branches that unwind side by side was opened. */
  hasParallelGroups = false
  ended = false
  private claimed: Set<string> | undefined = undefined
  /** How many steps have started in this saga and those nested in it. */
  started = 0
  private readonly number: number

  constructor(
    options: RunOptions,
    parent: Run | undefined,
    fiber: Fiber.Fiber<unknown, unknown>,
    journal: Journal | undefined = parent?.journal
  ) {
    const observer = fiber.getRef(SagaObserver.SagaObserver)
    this.options = options
    this.parent = parent
    this.root = parent === undefined ? this : parent.root
    this.log = parent === undefined ? [] : parent.log
    this.number = ++runs
    this.clock = fiber.getRef(Clock.Clock)
    this.observer = observer === SagaObserver.ignore ? undefined : observer
    this.journal = journal
    this.unheard = this.observer === undefined && journal === undefined
  }

  /** The paths that are taken in this saga and those nested in it. */
  get paths(): Set<string> {
    return this.claimed ??= new Set()
  }

  get id(): string {
    return String(this.number)
  }
}

/** The branches of an `all` that unwind side by side. */
export interface ParallelGroup {
  readonly _tag: "ParallelGroup"
}

export class Frame {
  readonly run: Run
  /** The place in the outermost saga, empty for that saga itself. */
  readonly path: string
  /** The group that this branch belongs to, where its branches unwind side by side. */
  readonly group: ParallelGroup | undefined
  /** Where the log stood when this frame was opened: what belongs to it comes later. */
  readonly logStart: number
  /** `Open` takes steps, `Unwinding` waits for its actions or compensates, `Closed` is over. */
  status: "Open" | "Unwinding" | "Closed" = "Open"
  inFlight = 0
  /** The frame around this one within the same saga. */
  readonly outer: Frame | undefined
  /** The frame around this one, also where that is one of the saga around. */
  readonly parent: Frame | undefined
  /** In durable sagas: the names of what runs here, since two of one name at once could not be told apart later. */
  busy: Set<string> | undefined = undefined
  /** In durable sagas: the context of the actions that run in `of`. */
  actions: { readonly of: Context.Context<never>; readonly context: Context.Context<never> } | undefined = undefined
  /** Whether a compensation runs here: it may wait, but its steps need a saga of their own. */
  compensating = false
  private whenIdle: (() => void) | undefined = undefined
  private steps: Map<string, number> | undefined = undefined
  private frames: Map<string, number> | undefined = undefined

  constructor(run: Run, parent: Frame | undefined, path: string, group: ParallelGroup | undefined) {
    this.run = run
    this.outer = parent !== undefined && parent.run === run ? parent : undefined
    this.parent = parent
    this.path = path
    this.group = group
    this.logStart = run.log.length
  }

  /** The path of the next step of this name. Has to be asked for in the order in which the steps started. */
  claimStep(name: string): string {
    return this.claim(this.steps ??= new Map(), name)
  }

  /** The path of the next savepoint, group or nested saga of this name. */
  claimFrame(name: string): string {
    return this.claim(this.frames ??= new Map(), name)
  }

  private claim(occurrences: Map<string, number>, name: string): string {
    const { paths } = this.run.root
    // A path is one line, whatever is in a name.
    const line = name.includes("\n") ? name.replaceAll("\n", "\\n") : name
    const prefix = this.path === "" ? line : `${this.path}/${line}`
    let occurrence = occurrences.get(name) ?? 0
    let path: string
    // Names may hold what paths are made of, so that two ways lead to one path.
    do {
      occurrence++
      path = occurrence === 1 ? prefix : `${prefix}#${occurrence}`
    } while (paths.has(path))
    paths.add(path)
    occurrences.set(name, occurrence)
    return path
  }

  enter(): void {
    this.inFlight++
    for (let frame = this.outer; frame !== undefined; frame = frame.outer) frame.inFlight++
  }

  leave(): void {
    this.settleOne()
    for (let frame = this.outer; frame !== undefined; frame = frame.outer) frame.settleOne()
  }

  private settleOne(): void {
    if (--this.inFlight === 0 && this.whenIdle !== undefined) this.whenIdle()
  }

  /** Waits until no action runs at or below this frame. */
  awaitIdle(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.inFlight === 0) return resume(Effect.void)
      this.whenIdle = () => {
        this.whenIdle = undefined
        resume(Effect.void)
      }
    })
  }

  contains(frame: Frame): boolean {
    for (let current: Frame | undefined = frame; current !== undefined; current = current.outer) {
      if (current === this) return true
    }
    return false
  }
}

export class Entry {
  readonly _tag = "Step"
  readonly frame: Frame
  readonly step: StepDefinition
  /** The context of the action: its compensation gets the same services. */
  readonly context: Context.Context<never>
  /** Position among the starts of the saga tree. */
  readonly started: number
  startedAt: number | undefined = undefined
  endedAt = 0
  exit: Exit.Exit<unknown, unknown> | undefined = undefined
  /**
   * Where the entry stands on the stack: `None` where there is nothing to undo, else `Pending` until unwinding takes it,
   * `Taken` until its compensation starts, then `Tried`.
   */
  stack: "None" | "Pending" | "Taken" | "Tried" = "None"
  path: string | undefined = undefined
  /** How often the action was tried, where the step itself does that. */
  tries: number | undefined = undefined
  /** The value of an action that has taken effect, and counts as failed as its value does not fit: it is to be undone. */
  unkept: { readonly value: unknown } | undefined = undefined
  /** Of durable steps: what the journal says, or is to say, of how the action, then the compensation ended. */
  readonly kept: Kept | undefined

  constructor(frame: Frame, step: StepDefinition, context: Context.Context<never>) {
    this.frame = frame
    this.step = step
    this.context = context
    this.started = frame.run.root.started++
    this.kept = frame.run.journal === undefined
      ? undefined
      : {
        recorded: false,
        at: undefined,
        after: 0,
        attempt: 1,
        input: null,
        result: null,
        failure: undefined,
        limits: undefined
      }
  }

  /** What the compensation is given. */
  get given(): unknown {
    const { exit, unkept } = this
    if (unkept !== undefined) return unkept.value
    return this.step.kind === "stepExit" || exit === undefined || exit._tag === "Failure" ? exit : exit.value
  }
}

/** What a journal has to know of a step, beside its entry. */
export interface Kept {
  /** Whether the journal has it already. */
  recorded: boolean
  /** When it ended, if that was recorded. */
  at: number | undefined
  /** How many results the saga had been given when this one was asked for. */
  after: number
  attempt: number
  /** What went in and what came out, as stored. */
  input: Json
  result: Json
  /** The failure of the compensation, and as it is stored. */
  failure: { readonly cause: Cause.Cause<unknown>; readonly stored: Json } | undefined
  limits: Limits | undefined
}

/** The time limits of a saga for a compensation that waits for an operator when it fails. */
export interface Limits {
  /** Ends attempts that take too long. */
  readonly apply: <R>(attempts: Effect.Effect<unknown, unknown, R>) => Effect.Effect<unknown, unknown, R>
  /** From now on an operator decides, who has all the time. */
  readonly lift: () => void
}

/** What the log of a run holds: one small item per transition. `toEvent` makes the event of it. */
export type Item =
  | Entry
  | { readonly _tag: "SagaStarted"; readonly run: Run; readonly frame: Frame; readonly at: number }
  | { readonly _tag: "StepStarted"; readonly entry: Entry; readonly at: number }
  | { readonly _tag: "SagaCommitted"; readonly entry: Entry; readonly at: number }
  | {
    readonly _tag: "UnwindStarted"
    readonly frame: Frame
    readonly cause: Cause.Cause<unknown>
    readonly pending: ReadonlyArray<Entry>
    readonly at: number
  }
  | {
    readonly _tag: "UnwindDeclined"
    readonly run: Run
    readonly cause: Cause.Cause<unknown>
    readonly remaining: ReadonlyArray<Entry>
    readonly at: number
  }
  | { readonly _tag: "CompensationStarted"; readonly entry: Entry; readonly at: number }
  | { readonly _tag: "CompensationSucceeded"; readonly entry: Entry; readonly at: number }
  | {
    readonly _tag: "CompensationFailed"
    readonly entry: Entry
    readonly cause: Cause.Cause<unknown>
    readonly unwinding: { readonly cause: Cause.Cause<unknown>; readonly remaining: ReadonlyArray<Entry> }
    readonly at: number
  }
  | {
    readonly _tag: "UnwindFinished"
    readonly frame: Frame
    readonly remaining: ReadonlyArray<Entry>
    readonly at: number
  }
  | { readonly _tag: "SagaCompleted"; readonly run: Run; readonly at: number }
  | { readonly _tag: "SagaCompensated"; readonly run: Run; readonly cause: Cause.Cause<unknown>; readonly at: number }
  | { readonly _tag: "SagaFailed"; readonly run: Run; readonly cause: Cause.Cause<unknown>; readonly at: number }

/** The service under which the frame in force travels. */
export const CurrentFrame: Context.Service<CompensationStack<never>, Frame> = Context.Service(
  "effect-saga/CompensationStack"
)

export const currentFrame = (context: Context.Context<never>): Frame | undefined =>
  Context.getOrUndefined(context, CurrentFrame)

/** The context of an action of a durable saga: what it does is no part of the saga. */
export const apartFromFrame = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(context, CurrentFrame, undefined as never)

export const isInAction = (context: Context.Context<never>): boolean =>
  currentFrame(context) === undefined && Option.isSome(Context.getOption(context, CurrentFrame))

/**
 * What keeps `frame` from taking a step: the first place around it that is unwinding or over. A savepoint or a branch that
 * succeeded stays open for the fibers forked in it, as long as its saga does.
 */
export const blockedBy = (frame: Frame): Frame | undefined => {
  for (let around: Frame | undefined = frame; around !== undefined; around = around.outer) {
    if (around.status !== "Open") return around
  }
  return undefined
}
