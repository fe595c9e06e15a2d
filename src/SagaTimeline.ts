/**
 * What happened in a durable execution, what is undone, what is left to undo, why it is parked and what can be done now.
 *
 * A `SagaTimeline` is made of what a store has of an execution: its record and its journal. It needs no engine and no
 * definition, so it can be made of any execution, in any process. `SagaTimeline` is its schema: its JSON is what programs
 * read, and `render` shows it to people.
 *
 * **Details**
 *
 * - Where the execution stands is told by the fold that the engine itself uses, and which decisions are possible by the
 *   rules by which it takes them.
 * - Causes are shown without the schemas of the definition: the tag, the message and the fields of each error.
 * - What a payload codec has sealed stays so: the timeline says that it is sealed, and shows nothing.
 * - What a schema marks as `Redacted` is never in it: `{"~redacted": null}` stands in its place, and is shown as `<redacted>`.
 * - A journal does not say when a compensation started, only how it ended. In a sequence it started when the one before it
 *   had ended; of branches that may be undone side by side, `startedAt` is `null`.
 *
 * **Example** (Looking at an execution)
 *
 * ```ts
 * import { SagaTimeline } from "effect-saga"
 *
 * const at = Date.UTC(2026, 0, 5, 9)
 * const timeline = SagaTimeline.make({
 *   record: {
 *     key: 1,
 *     id: "Order/7",
 *     definition: "Order",
 *     version: 1,
 *     status: "Running",
 *     cancelled: false,
 *     reason: null,
 *     error: null,
 *     attributes: {},
 *     parent: null,
 *     createdAt: at,
 *     updatedAt: at
 *   },
 *   events: [
 *     { _tag: "ExecutionStarted", v: 1, at, id: "Order/7", definition: "Order", version: 1, payload: 7, starts: [["charge", 0]] }
 *   ]
 * })
 *
 * timeline.entries.map((entry) => entry._tag === "Step" ? `${entry.path}: ${entry.state}` : entry._tag) // => ["charge: InFlight"]
 *
 * SagaTimeline.render(timeline, { now: at + 5000 }).split("\n")[0] // => "Execution \"Order/7\" is running."
 * ```
 *
 * @since 0.1.0
 */
import * as Check from "./internal/check.ts"
import type { ExecutionRecord } from "./internal/store.ts"
import * as internal from "./internal/timelineMake.ts"
import type { SagaTimeline } from "./internal/timelineModel.ts"
import * as internalRender from "./internal/timelineRender.ts"
import type { JournalEvent } from "./JournalEvent.ts"

export {
  Action,
  Attempt,
  CancelRequest,
  Cause,
  Child,
  Commit,
  Compensation,
  CompensationState,
  Decision,
  Entry,
  Failure,
  Parked,
  Parking,
  Remaining,
  Result,
  Resumption,
  SagaTimeline,
  Signal,
  SignalWait,
  Step,
  StepState,
  Stored,
  Timer,
  Unwind,
  Value
} from "./internal/timelineModel.ts"

/**
 * What a timeline is made of.
 *
 * @category options
 * @since 0.1.0
 */
export interface MakeOptions {
  readonly record: ExecutionRecord
  /** The journal, oldest event first. It may be cut anywhere. */
  readonly events: ReadonlyArray<JournalEvent>
  /**
   * Leaves payloads, inputs, values, all of errors but their kinds, and what operators wrote (their names, reasons and
   * values) out, for reports of bugs. Ids, paths and names of signals stay. Default `false`.
   */
  readonly redact?: boolean | undefined
  /**
   * Whether payloads were stored through a codec that makes them unreadable. By default that is told by what is stored,
   * which may err where nothing has failed yet: then a long text without a space is taken for a sealed one if all are
   * such texts.
   */
  readonly sealed?: boolean | undefined
}

/**
 * Makes the timeline of an execution from its record and its journal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: MakeOptions): SagaTimeline => {
  const where = "SagaTimeline.make"
  Check.requiredOptions(where, options)
  Check.keys(where, options, ["record", "events", "redact", "sealed"])
  Check.flag(`${where}: redact`, options.redact)
  Check.flag(`${where}: sealed`, options.sealed)
  return internal.make({ ...options, redact: options.redact === true, sealed: options.sealed })
}

/**
 * How a timeline is shown.
 *
 * @category options
 * @since 0.1.0
 */
export interface RenderOptions {
  /** The time from which durations are told, in milliseconds since the epoch. */
  readonly now: number
  /** How many columns there are: at least 72, default 100. Commands may be longer, so that they can be copied. */
  readonly width?: number | undefined
  /** Whether to colour it for a terminal. Default `false`. */
  readonly colors?: boolean | undefined
  /** What each command begins with, as a shell takes it. Default `effect-saga`. */
  readonly program?: string | undefined
}

/**
 * Renders a timeline for people, as lines of text: what became of the execution, what happened, what was undone and is
 * left to undo, who decided what, and the commands that apply.
 *
 * **Details**
 *
 * The output is bounded, whatever is stored, but for the ids and paths in commands. It holds no control characters but
 * those of its own colours: any other is shown by its number.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (timeline: SagaTimeline, options: RenderOptions): string => {
  const where = "SagaTimeline.render"
  Check.requiredOptions(where, options)
  Check.keys(where, options, ["now", "width", "colors", "program"])
  Check.integer(`${where}: width`, options.width)
  Check.flag(`${where}: colors`, options.colors)
  if (options.program !== undefined) Check.text(`${where}: program`, options.program)
  return internalRender.render(timeline, {
    now: options.now,
    width: options.width ?? 100,
    colors: options.colors === true,
    program: options.program ?? "effect-saga"
  })
}
