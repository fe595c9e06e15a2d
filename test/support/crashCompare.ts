/*
 * What has to hold of every run, crashed or not, and what has to be the same in a run with crashes as in one without.
 */
import { Cause, Exit } from "effect"
import { type JournalEvent, Saga } from "effect-saga"
import type { Observation } from "./crashRun.ts"
import { isCompensable, isConcurrent, numberOf, type Place } from "./crashSaga.ts"

type Event = JournalEvent.JournalEvent

/* ------------------------------------------------------------------------------------------------- laws of one run */

const isWithin = (scope: string, path: string): boolean => scope === "" || path.startsWith(`${scope}/`)

const placeAt = (places: ReadonlyArray<Place>, path: string): Place | undefined => places[numberOf(path)]

/** Whether a step that ended like this has something to undo. */
const leaves = (places: ReadonlyArray<Place>, event: Event): boolean => {
  if (event._tag !== "StepSucceeded" && event._tag !== "StepFailed") return false
  const place = placeAt(places, event.path)
  if (place === undefined || !isCompensable(place)) return false
  return event._tag === "StepSucceeded" ||
    (place.part._tag === "Step" && (place.part.kind === "stepExit" || place.part.kind === "ambiguous"))
}

const canBeUndone = (places: ReadonlyArray<Place>, path: string): boolean => {
  const place = placeAt(places, path)
  return place !== undefined && isCompensable(place)
}

/* What must not be in any journal, whatever happened. */
const problemsOfJournal = (places: ReadonlyArray<Place>, id: string, events: ReadonlyArray<Event>): Array<string> => {
  const problems: Array<string> = []
  const succeeded = new Set<string>()
  const failed = new Set<string>()
  const compensated = new Set<string>()
  const unwound = new Set<string>()
  let pending: Array<string> = []
  let parked: Extract<Event, { readonly _tag: "Parked" }> | undefined
  let committed = false
  let ended = false
  const problem = (what: string, event: Event) => problems.push(`${id}: ${what}: ${JSON.stringify(event)}`)
  for (const [index, event] of events.entries()) {
    if ((event._tag === "ExecutionStarted") !== (index === 0)) problem("it starts once, at first", event)
    if (ended) problem("nothing happens after the end", event)
    switch (event._tag) {
      case "StepSucceeded":
      case "StepFailed":
        if (succeeded.has(event.path)) problem("an action that has succeeded runs no more", event)
        if (failed.has(event.path)) problem("a step that has failed runs no more", event)
        if (Array.from(unwound).some((scope) => isWithin(scope, event.path))) {
          problem("what is being undone does not turn forward", event)
        }
        ;(event._tag === "StepSucceeded" ? succeeded : failed).add(event.path)
        if (!committed && leaves(places, event)) pending.push(event.path)
        break
      case "Parked":
        parked = event
        break
      case "Retried":
        if (parked?.kind === "FailedAfterPivot") { for (const path of parked.steps) failed.delete(path) }
        break
      case "SagaCommitted":
        committed = true
        break
      case "UnwindStarted": {
        if (committed) problem("nothing is undone after the pivot", event)
        if (unwound.has(event.scope)) problem("it is decided once what to undo", event)
        unwound.add(event.scope)
        const expected = pending.filter((path) => isWithin(event.scope, path)).toReversed()
        pending = pending.filter((path) => !isWithin(event.scope, path))
        if (JSON.stringify(event.pending) !== JSON.stringify(expected)) {
          problem(`undone is what was done, in reverse: ${expected.join(", ")}`, event)
        }
        break
      }
      case "CompensationSucceeded":
      case "CompensationFailed":
        if (compensated.has(event.path)) problem("a compensation that has ended runs no more", event)
        compensated.add(event.path)
        break
      case "ExecutionCompleted":
      case "ExecutionCompensated":
      case "ExecutionFailed":
        ended = true
        break
      default:
        break
    }
  }
  if (!ended) problems.push(`${id}: it has not ended`)
  return problems
}

/* What is done and undone outside has to be what the journal says, also of what it does not mention. */
const problemsOfLedger = ({ journals, outside, places }: Observation): Array<string> => {
  const problems: Array<string> = []
  const expected = new Map<string, "there" | "gone" | "any">()
  for (const [id, { events }] of journals) {
    const byHand = new Set<string>()
    for (const event of events) {
      if (!("path" in event)) continue
      const key = `${id}/${event.path}`
      if (event._tag === "Resolved") byHand.add(event.path)
      if (event._tag === "StepSucceeded") expected.set(key, "there")
      if (event._tag === "CompensationSucceeded") expected.set(key, byHand.has(event.path) ? "any" : "gone")
      if (event._tag === "CompensationFailed" && expected.get(key) === undefined) expected.set(key, "any")
    }
  }
  for (const [key, { done, undone }] of outside.accounts) {
    const there = done && !undone
    const what = expected.get(key)
    if (there && (what === undefined || what === "gone")) problems.push(`left behind outside: ${key}`)
    if (!there && what === "there") problems.push(`undone outside, although the journal says otherwise: ${key}`)
  }
  for (const [key, what] of expected) {
    if (what === "there" && placeAt(places, key) !== undefined && outside.accounts.get(key)?.done !== true) {
      problems.push(`never done outside: ${key}`)
    }
  }
  const seen = new Set<string>()
  for (const { key, what } of outside.effects) {
    if (seen.has(`${what} ${key}`)) problems.push(`took effect twice: ${what} ${key}`)
    seen.add(`${what} ${key}`)
  }
  return problems
}

/* Outside things are undone in the order in which the journal decided it, where one is undone after another. */
const problemsOfOrder = ({ journals, outside, scenario }: Observation): Array<string> => {
  const problems: Array<string> = []
  if (isConcurrent(scenario.saga)) return problems
  for (const [id, { events }] of journals) {
    const byJournal = events.flatMap((event) => event._tag === "CompensationSucceeded" ? [`${id}/${event.path}`] : [])
    const undone = outside.effects.flatMap(({ key, what }) => what === "undo" && byJournal.includes(key) ? [key] : [])
    const decided = byJournal.filter((key) => undone.includes(key))
    if (undone.join() !== decided.join()) {
      problems.push(`undone outside as ${undone.join()}, in the journal as ${decided.join()}`)
    }
  }
  return problems
}

/*
 * A timer fires within 100 ms of its time, or of the start of the process that finds it due; and nothing is tried again
 * before its time.
 */
const problemsOfTime = ({ boots, journals, outside, scenario }: Observation): Array<string> => {
  const problems: Array<string> = []
  const tries = new Map<string, number>()
  for (const [id, { events }] of journals) {
    const due = new Map<string, number>()
    for (const event of events) {
      if (event._tag === "TimerStarted") due.set(event.path, event.dueAt)
      if (event._tag === "AttemptFailed") tries.set(`do ${id}/${event.path} ${event.attempt + 1}`, event.retryAt)
      if (event._tag === "CompensationAttemptFailed") {
        tries.set(`undo ${id}/${event.path} ${event.attempt + 1}`, event.retryAt)
      }
      if (event._tag !== "TimerFired") continue
      const dueAt = due.get(event.path)
      if (dueAt === undefined) problems.push(`${id}: "${event.path}" fired without having been started`)
      else {
        const started = boots.findLast((at) => at <= event.at) ?? 0
        const late = event.at - Math.max(dueAt, started)
        // Until it knows where it stands, a process may have to write something.
        if (late < 0 || late > 100 + 10 * scenario.commitMillis) {
          problems.push(`${id}: "${event.path}" fired ${late} ms after its time`)
        }
      }
    }
  }
  for (const { at, attempt, key, what } of outside.requests) {
    const retryAt = tries.get(`${what} ${key} ${attempt}`)
    if (retryAt !== undefined && at < retryAt) problems.push(`tried ${retryAt - at} ms too early: ${what} ${key}`)
  }
  return problems
}

/** What is wrong with a run, looked at by itself. */
export const problemsOf = (observation: Observation): ReadonlyArray<string> => {
  const { complaints, ending, exit, journals, places } = observation
  const problems = [...complaints]
  if (ending !== "done" || exit === undefined) {
    problems.push(`no result: ${ending}`)
    return problems
  }
  for (const [id, { events }] of journals) problems.push(...problemsOfJournal(places, id, events))
  return [
    ...problems,
    ...problemsOfLedger(observation),
    ...problemsOfOrder(observation),
    ...problemsOfTime(observation)
  ]
}

/* ------------------------------------------------------------------------------------------------ of two runs of one */

const times = new Set(["at", "startedAt", "endedAt", "retryAt", "dueAt", "noise", "run", "starts", "stack"])

/*
 * What may differ:
 *
 * - times, what was read from the clock and by chance, and the number that a saga has in its process,
 * - with which event the start of an action was written,
 * - when a signal came, how often it was sent, and so what number it has: who was not told that it was taken sends again,
 * - whether a wait that nobody needs any more was ended by that, or was over: a saga that is cancelled may hear of its
 *   cancelled child or not, which then counts among the results that it was given.
 */
export const comparable = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(comparable)
  if (typeof json !== "object" || json === null) return json
  const fields = json as { readonly [key: string]: unknown }
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([key]) =>
        !times.has(key) &&
        !(fields._tag === "ValueRecorded" && key === "value") &&
        !(fields._tag === "SignalConsumed" && key === "signal")
      )
      .map(([key, value]) => [key, comparable(value)])
  )
}

const timely: ReadonlySet<Event["_tag"]> = new Set([
  "StepStarted",
  "SignalReceived",
  "SignalAwaited",
  "WaitInterrupted"
])

const linesOf = (events: ReadonlyArray<Event>): ReadonlyArray<string> => {
  const cancelled = events.some(({ _tag }) => _tag === "CancelRequested")
  return events
    .filter((event) => !timely.has(event._tag) && !(cancelled && event._tag === "ChildFinished" && event.cancelled))
    .map((event) => JSON.stringify(comparable(cancelled ? { ...event, after: 0 } : event)))
}

const ofSteps: ReadonlySet<Event["_tag"]> = new Set([
  "AttemptFailed",
  "StepSucceeded",
  "StepFailed",
  "CompensationAttemptFailed",
  "CompensationSucceeded",
  "CompensationFailed"
])

/*
 * Of branches side by side, it may differ what came first, and so what a branch had been given by then, in which order
 * they are undone, and how much of a branch was done before another one failed. What becomes of one step may not, and a
 * step that only one of two runs has did nothing, was undone, or is none that can be undone.
 */
const linesOfSteps = (events: ReadonlyArray<Event>): ReadonlyMap<string, ReadonlyArray<string>> => {
  const lines = new Map<string, Array<string>>()
  for (const event of events.filter(({ _tag }) => ofSteps.has(_tag))) {
    if (!("path" in event)) continue
    const { after: _after, ...fields } = comparable(event) as { readonly after?: unknown }
    const own = lines.get(event.path)
    if (own === undefined) lines.set(event.path, [JSON.stringify(fields)])
    else own.push(JSON.stringify(fields))
  }
  return lines
}

const isGone = (lines: ReadonlyArray<string>): boolean =>
  /"_tag":"(StepFailed|CompensationSucceeded)"/.test(lines.at(-1)!)

const summaryOfCause = (cause: Cause.Cause<unknown>): ReadonlyArray<unknown> =>
  cause.reasons.map((reason) => {
    if (reason._tag === "Interrupt") return "interrupted"
    const error = reason._tag === "Fail" ? reason.error : reason.defect
    if (error instanceof Saga.CompensationFailed) {
      return [
        reason._tag,
        error._tag,
        summaryOfCause(error.reason),
        error.failures.map(({ cause, step }) => [step, summaryOfCause(cause)])
      ]
    }
    if (error instanceof Saga.CommittedIncomplete) return [reason._tag, error._tag, summaryOfCause(error.reason)]
    return [reason._tag, error instanceof Error ? error.message : error]
  })

/** A result, for comparison. */
export const summaryOf = (exit: Exit.Exit<unknown, unknown> | undefined): string =>
  exit === undefined
    ? "none"
    : JSON.stringify(Exit.isSuccess(exit) ? ["Success", exit.value] : ["Failure", summaryOfCause(exit.cause)])

/** How the run `crashed` differs from the run `whole`, which was not interrupted, as it must not. */
export const differences = (whole: Observation, crashed: Observation): ReadonlyArray<string> => {
  const found: Array<string> = []
  const differ = (what: string, one: unknown, other: unknown) => {
    if (JSON.stringify(one) !== JSON.stringify(other)) {
      found.push(`${what}: ${JSON.stringify(one)} became ${JSON.stringify(other)}`)
    }
  }
  differ("result", summaryOf(whole.exit), summaryOf(crashed.exit))
  const concurrent = isConcurrent(whole.scenario.saga)
  const completed = whole.journals.get("Root/0")?.record.status === "Completed"
  if (!concurrent || completed) {
    differ("executions", Array.from(whole.journals.keys()).toSorted(), Array.from(crashed.journals.keys()).toSorted())
  }
  for (const [id, { events, record }] of whole.journals) {
    const other = crashed.journals.get(id)
    // What a child has done by the time at which a branch beside it fails may differ, and stays.
    if (other === undefined || (concurrent && !completed && record.parent !== null)) continue
    differ(`status of ${id}`, record.status, other.record.status)
    if (!concurrent) {
      const lines = linesOf(events)
      const otherLines = linesOf(other.events)
      const first = lines.findIndex((line, index) => line !== otherLines[index])
      differ(`event ${first + 1} of ${id}`, lines[first], otherLines[first])
      differ(`length of the journal of ${id}`, lines.length, otherLines.length)
      continue
    }
    const lines = linesOfSteps(events)
    const otherLines = linesOfSteps(other.events)
    for (const path of new Set([...lines.keys(), ...otherLines.keys()])) {
      const one = lines.get(path)
      const two = otherLines.get(path)
      if (one !== undefined && two !== undefined) differ(`"${path}" of ${id}`, one, two)
      else if (!isGone((one ?? two)!) && (completed || canBeUndone(whole.places, path))) {
        differ(`"${path}" of ${id}`, one ?? null, two ?? null)
      }
    }
  }
  if (concurrent) {
    const there = (observation: Observation) =>
      thereOutside(observation).filter((key) =>
        completed || (key.startsWith("Root/0") && canBeUndone(whole.places, key))
      )
    differ("what is there outside", there(whole), there(crashed))
  } else {
    const effects = ({ outside }: Observation) => outside.effects.map(({ key, what }) => `${what} ${key}`)
    differ("effects", effects(whole), effects(crashed))
  }
  return found
}

/** The keys of what was done outside and not undone. */
export const thereOutside = ({ outside }: Observation): ReadonlyArray<string> =>
  Array.from(outside.accounts).flatMap(([key, { done, undone }]) => done && !undone ? [key] : []).toSorted()
