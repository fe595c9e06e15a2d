import type { JournalEvent } from "../JournalEvent.ts"
import * as Progress from "./progress.ts"
import type { ExecutionRecord } from "./store.ts"
import * as Actions from "./timelineActions.ts"
import type * as Model from "./timelineModel.ts"
import type { Mutable } from "./timelineStates.ts"
import { History, type ParkedEvent } from "./timelineSteps.ts"
import { makeReader, type Reader } from "./timelineStored.ts"

/*
 * From a journal to its timeline. Where the execution stands is told by the fold that the engine uses, which is applied
 * beside; here is only remembered what that forgets: when each thing was, and what came of it.
 */

export interface Options {
  readonly record: ExecutionRecord
  readonly events: ReadonlyArray<JournalEvent>
  readonly redact: boolean
  readonly sealed: boolean | undefined
}

export const make = ({ events, record, redact, sealed }: Options): Model.SagaTimeline => {
  const [started] = events
  if (started === undefined || started._tag !== "ExecutionStarted") {
    throw new RangeError("SagaTimeline.make: the first event has to be ExecutionStarted")
  }
  const draft = new Draft(started, makeReader(events, { redact, sealed }))
  for (let index = 1; index < events.length; index++) draft.add(events[index]!)
  return draft.timeline(record, events.at(-1)!.at)
}

type Started = Extract<JournalEvent, { readonly _tag: "ExecutionStarted" }>

class Draft {
  private readonly started: Started
  private readonly reader: Reader
  private readonly progress: Progress.Progress
  private readonly history: History
  private readonly entries: Array<Model.Entry | (() => Model.Entry)> = []
  private readonly timers = new Map<string, Mutable<Model.Timer>>()
  private readonly waits = new Map<string, Mutable<Model.SignalWait>>()
  private readonly signals = new Map<number, Mutable<Model.Signal>>()
  private readonly children = new Map<string, Mutable<Model.Child>>()
  /** What it is parked for, with the event that says so. */
  private readonly parkings = new Map<string, { readonly event: ParkedEvent; readonly entry: Mutable<Model.Parking> }>()
  private pivot: string | null = null
  private since: number
  private status: ReturnType<typeof Progress.statusOf> = "Running"

  constructor(started: Started, reader: Reader) {
    this.started = started
    this.reader = reader
    this.progress = Progress.make(started)
    this.history = new History(reader, this.progress, (entry) => this.entries.push(entry))
    this.since = started.at
    this.startActions(started)
  }

  add(event: JournalEvent): void {
    const { history, progress } = this
    const sequence = progress.sequence + 1
    const parked = "path" in event ? progress.parked?.get(event.path) : undefined
    // Before the fold forgets what was decided.
    history.add(event, sequence)
    Progress.apply(progress, event)
    this.tell(event, { sequence, at: event.at }, parked)
    this.startActions(event)
    for (const [path, { entry, event: parking }] of this.parkings) {
      if (progress.finished === undefined && progress.parked?.get(path) === parking) continue
      entry.endedAt = event.at
      this.parkings.delete(path)
    }
    const status = Progress.statusOf(progress)
    if (status !== this.status) this.since = event.at
    this.status = status
  }

  private startActions(event: JournalEvent): void {
    for (const [path] of event.starts ?? []) {
      // The next attempt of a step that has just failed comes after its delay.
      const at = event._tag === "AttemptFailed" && event.path === path ? Math.max(event.at, event.retryAt) : event.at
      this.history.startAction(path, at, this.progress.sequence, undefined)
    }
  }

  private tell(
    event: JournalEvent,
    head: { readonly sequence: number; readonly at: number },
    parked: ParkedEvent | undefined
  ): void {
    const { entries, reader } = this
    switch (event._tag) {
      case "SagaCommitted":
        this.pivot = event.path
        entries.push({ _tag: "Commit", ...head, path: event.path })
        return
      case "TimerStarted":
        this.timers.set(
          event.path,
          this.keep({
            _tag: "Timer",
            ...head,
            ...this.place(event),
            state: "Waiting",
            dueAt: event.dueAt,
            endedAt: null
          })
        )
        return
      case "SignalAwaited":
        this.waits.set(event.path, this.keep(this.waitOf(event, head)))
        return
      case "SignalReceived":
        this.signals.set(
          head.sequence,
          this.keep({
            _tag: "Signal",
            ...head,
            signal: event.name,
            value: reader.stored(event.value),
            consumedBy: null,
            consumedAt: null
          })
        )
        return
      case "SignalConsumed": {
        // Where it had arrived before, nobody has waited.
        const wait = this.waits.get(event.path) ?? this.keep(this.waitOf(event, head))
        wait.state = "Consumed"
        wait.endedAt = event.at
        wait.received = event.signal
        const signal = this.signals.get(event.signal)
        if (signal === undefined) return
        signal.consumedBy = event.path
        signal.consumedAt = event.at
        return
      }
      case "TimerFired":
        end(this.timers.get(event.path), "Fired", event.at)
        return
      case "WaitInterrupted":
        end(this.timers.get(event.path), "Interrupted", event.at)
        end(this.waits.get(event.path), "Interrupted", event.at)
        end(this.children.get(event.path), "Interrupted", event.at)
        return
      case "ValueRecorded":
        entries.push({ _tag: "Value", ...head, ...this.place(event), value: reader.clear(event.value) })
        return
      case "ChildStarted":
        this.children.set(event.path, this.keep(this.childOf(event, head)))
        return
      case "ChildFinished": {
        const child = this.children.get(event.path) ?? this.keep(this.childOf(event, head))
        end(child, event.status, event.at)
        child.cancelled = event.cancelled
        child.result = reader.result(event.status === "Completed", event.result)
        return
      }
      case "CancelRequested":
        entries.push({ _tag: "CancelRequest", ...head, ...this.decidedBy(event) })
        return
      case "Parked": {
        // Another start of its engine may have parked it for another reason.
        const before = this.parkings.get(event.path)
        if (before !== undefined) before.entry.endedAt = event.at
        this.parkings.set(event.path, {
          event,
          entry: this.keep({ _tag: "Parking", ...head, ...this.parkingOf(event), endedAt: null })
        })
        return
      }
      case "Retried":
      case "Skipped":
      case "Resolved":
        entries.push({
          _tag: "Decision",
          ...head,
          decision: event._tag,
          on: parked?.kind ?? null,
          path: event.path,
          value: event._tag === "Resolved" && event.value !== null ? reader.stored(event.value) : null,
          ...this.decidedBy(event)
        })
        return
      case "Resumed":
        entries.push({ _tag: "Resumption", ...head })
        return
      case "ExecutionCompleted":
      case "ExecutionCompensated":
      case "ExecutionFailed":
        // Forked fibers may have waited for something still.
        for (const wait of [...this.timers.values(), ...this.waits.values(), ...this.children.values()]) {
          if (wait.endedAt !== null) continue
          wait.state = "Interrupted"
          wait.endedAt = event.at
        }
        return
      default:
        return
    }
  }

  timeline(record: ExecutionRecord, lastAt: number): Model.SagaTimeline {
    const { history, progress, reader, started } = this
    const { finished } = progress
    history.end()
    return {
      v: 1,
      execution: {
        id: record.id,
        definition: record.definition,
        version: record.version,
        parent: record.parent,
        status: Progress.statusOf(progress),
        since: this.since,
        cancelled: progress.cancelled,
        startedAt: started.at,
        endedAt: finished?.at ?? null
      },
      durationMillis: Math.max(0, lastAt - started.at),
      redacted: reader.redacts,
      payload: reader.stored(started.payload),
      result: finished === undefined
        ? null
        : reader.result(finished._tag === "ExecutionCompleted", finished.result),
      pivot: this.pivot,
      entries: this.entries.map((entry) => typeof entry === "function" ? entry() : entry),
      remaining: history.remaining(),
      parked: Array.from(this.parkings.values(), ({ event }) => ({
        ...this.parkingOf(event),
        since: event.at,
        actions: Actions.onParked(progress, event)
      })),
      actions: Actions.onExecution(progress)
    }
  }

  private keep<const E extends Model.Entry>(entry: E): Mutable<E> {
    this.entries.push(entry)
    return entry
  }

  private place({ path }: { readonly path: string }) {
    return { path, compensationOf: this.history.compensationAround(path) }
  }

  private decidedBy({ operator, reason }: { readonly operator?: string; readonly reason?: string }) {
    const { redacts } = this.reader
    return { operator: redacts ? null : operator ?? null, reason: redacts ? null : reason ?? null }
  }

  private waitOf(
    event: { readonly path: string; readonly name: string },
    head: { readonly sequence: number; readonly at: number }
  ): Model.SignalWait {
    return {
      _tag: "SignalWait",
      ...head,
      ...this.place(event),
      signal: event.name,
      state: "Waiting",
      endedAt: null,
      received: null
    }
  }

  private childOf(
    event: { readonly path: string; readonly child: string },
    head: { readonly sequence: number; readonly at: number }
  ): Model.Child {
    return {
      _tag: "Child",
      ...head,
      ...this.place(event),
      child: event.child,
      state: "Running",
      cancelled: false,
      endedAt: null,
      result: null
    }
  }

  private parkingOf(event: ParkedEvent) {
    const { kind, path, steps } = event
    const cause = isCode(kind) ? null : this.reader.cause(event.cause)
    return {
      kind,
      path,
      steps,
      reason: this.reader.redacts ? redactedReason(this.started, event, cause) : event.reason,
      cause
    }
  }
}

const end = <State>(
  entry: { state: State; endedAt: number | null } | undefined,
  state: NoInfer<State>,
  at: number
): void => {
  if (entry === undefined) return
  entry.state = state
  entry.endedAt = at
}

const isCode = (kind: ParkedEvent["kind"]): boolean => kind === "Mismatch" || kind === "NotRegistered"

/* The sentences of an engine hold messages, inputs and values. This is what they begin with. */
export const redactedReason = (
  started: Started,
  { kind, path, reason }: ParkedEvent,
  cause: Model.Cause | null
): string => {
  const kinds = cause?._tag === "Failures" ? cause.failures.flatMap(kindsOf) : []
  const why = kinds.length === 0 ? "" : `: ${kinds.join(", ")}`
  switch (kind) {
    case "CompensationFailed":
      return `Step "${path}" could not be undone${why}.`
    case "FailedAfterPivot": {
      const refused = `Step "${path}" was resolved with a value that does not fit its schema`
      return reason.startsWith(refused) ? `${refused}.` : `It failed after its pivot${why}.`
    }
    case "Mismatch": {
      const misfit = `The code does not fit the journal of ${started.id}.`
      return reason.startsWith(misfit)
        ? `${misfit} Nothing was done. Register the code that this execution began with (version ${started.version}), ` +
          `and it goes on.`
        : `Execution ${started.id} can't go on.`
    }
    case "NotRegistered":
      // Names and versions of definitions.
      return reason
  }
}

const kindsOf = ({ because, kind, tag }: Model.Failure): ReadonlyArray<string> =>
  because.length > 0 ? because.flatMap(kindsOf) : kind === "Interrupt" ? ["Interrupted"] : tag === null ? [] : [tag]
