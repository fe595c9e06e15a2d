/*
 * Runs a saga on a store that kills its process: at the n-th commit, just before or just after that is written, or
 * between any two tasks. Then the next process goes on, with the same store and the same services outside.
 */
import { Cause, Context, Effect, Exit, Layer, Option, Scope } from "effect"
import { type JournalEvent, SagaEngine, SagaStore } from "effect-saga"
import { type Fate, Outside } from "./crashOutside.ts"
import {
  answerOf,
  failsAfterEffect,
  layerOf,
  type Place,
  placesOf,
  type Repairs,
  rootOf,
  runsOf,
  type Scenario,
  signalAt,
  World,
  worldOf
} from "./crashSaga.ts"
import { hash, type Process, Simulation } from "./crashSimulation.ts"

type Event = JournalEvent.JournalEvent

/** When a process ends: at a commit, counted from 1, or before a task. */
export type When =
  | { readonly _tag: "Commit"; readonly number: number; readonly written: boolean }
  | { readonly _tag: "Task"; readonly number: number }

/**
 * How it ends:
 *
 * - `killed`: it does nothing any more, and what it had sent outside is `lost` or `late`,
 * - `fenced`: the store is somebody else's from then on, the process finds out and goes on as it may,
 * - `hung`: its commit is never answered, and the process goes on as it may.
 */
export interface Crash {
  readonly when: When
  readonly how: "killed" | "fenced" | "hung"
  readonly requests: Fate
  /** How late requests arrive, and how long there is no process, in milliseconds. */
  readonly lateness: number
  readonly downtime: number
}

export interface Journal {
  readonly record: SagaStore.ExecutionRecord
  readonly events: ReadonlyArray<Event>
}

export interface Observation {
  readonly scenario: Scenario
  readonly places: ReadonlyArray<Place>
  /** How the run of the test ended: with a result, or why there is none. */
  readonly ending: "done" | "idle" | "late"
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  /** By id of the execution. */
  readonly journals: ReadonlyMap<string, Journal>
  readonly outside: Outside
  /** What was wrong on the way. */
  readonly complaints: ReadonlyArray<string>
  /** How many commits, appends and tasks each process did. */
  readonly commits: ReadonlyArray<number>
  readonly writes: ReadonlyArray<Write>
  readonly steps: ReadonlyArray<number>
  /** When each process started. */
  readonly boots: ReadonlyArray<number>
  readonly log: ReadonlyArray<string>
}

/** Events that were written at one time, and the record of their execution since then. */
export interface Write {
  readonly record: SagaStore.ExecutionRecord
  readonly events: ReadonlyArray<string>
}

/** What is in the store when the first process starts: as much of a log as somebody left of it. */
export type Start = ReadonlyArray<Write>

const minute = 60_000

/** An event, if that is what it is: what is damaged is none. */
export const readable = (text: string): ReadonlyArray<Event> => {
  const event = Effect.runSyncExit(Effect.sync(() => JSON.parse(text) as Event))
  return Exit.isSuccess(event) ? [event.value] : []
}

const root = "Root/0"

export interface RunOptions {
  readonly crashes?: ReadonlyArray<Crash> | undefined
  readonly start?: Start | undefined
  /**
   * `whole` (default) commits what the engine commits. `single` commits one append after another, as if each batch had
   * begun before the next append came: with that, a process can end between any two appends.
   */
  readonly batching?: "whole" | "single" | undefined
}

export const run = (scenario: Scenario, options: RunOptions = {}): Observation => {
  const { batching = "whole", crashes = [], start = [] } = options
  const simulation = new Simulation()
  const places = placesOf(scenario.saga)
  const repairs: Repairs = { done: false }
  const complaints: Array<string> = []
  const journals = new Map<string, { record: SagaStore.ExecutionRecord; readonly events: Array<Event> }>()
  const keys = new Map<number, string>()
  const outside = new Outside(simulation, {
    answer: answerOf(scenario, repairs),
    delay: ({ attempt, key, what }) => 1 + hash(`${what} ${key} ${attempt}`) % 4
  })
  const memory = Effect.runSync(SagaStore.makeMemory)
  const acknowledged = new Set<string>()
  const commits: Array<number> = []
  const boots: Array<number> = []
  const writes: Array<Write> = []
  let exit: Exit.Exit<unknown, unknown> | undefined
  let current: Process | undefined

  const complain = (complaint: string) => {
    complaints.push(complaint)
  }

  /* What the store has taken. */
  const note = (written: ReadonlyArray<SagaStore.Append>) => {
    for (const { events, key, record } of written) {
      const decoded = events.flatMap(readable)
      const journal = journals.get(keys.get(key) ?? "")
      if (journal === undefined) {
        keys.set(key, record!.id)
        journals.set(record!.id, { record: record!, events: decoded })
      } else {
        journal.events.push(...decoded)
        if (record !== undefined) journal.record = record
      }
      writes.push({ record: journals.get(keys.get(key)!)!.record, events })
      for (const event of decoded) {
        if (event._tag === "Parked" && (event.kind === "Mismatch" || event.kind === "NotRegistered")) {
          complain(`parked: ${event.reason}`)
        }
      }
    }
  }

  const end = (process: Process, { downtime, how, lateness, requests }: Crash) => {
    current = undefined
    if (how === "killed") {
      process.kill()
      outside.abandon(process, requests, lateness)
    }
    simulation.after(downtime, boot)
  }

  /* The store as one process has it: it stops to answer where that process is to end. */
  const storeOf = (store: SagaStore.SagaStore["Service"], process: Process): SagaStore.SagaStore["Service"] => {
    const crash = crashes[process.number]
    const at = crash?.when._tag === "Commit" ? crash.when : undefined
    const gone: Effect.Effect<never, SagaStore.SagaStoreError> = crash?.how !== "fenced"
      ? Effect.never
      : Effect.fail(
        new SagaStore.SagaStoreError({
          reason: new SagaStore.OwnershipLost({ store: store.name, owner: "the next process" })
        })
      )
    let ends = false
    let ended = false
    const counted = (write: Effect.Effect<void, SagaStore.SagaStoreError>, written: () => void) =>
      Effect.suspend(() => {
        if (ends) return ended ? gone : Effect.never
        const number = commits[process.number] = (commits[process.number] ?? 0) + 1
        const writing = Effect.andThen(write, Effect.sync(written))
        const committed = scenario.commitMillis === 0
          ? writing
          : Effect.andThen(Effect.sleep(scenario.commitMillis), writing)
        if (at === undefined || number !== at.number) return committed
        ends = true
        return Effect.andThen(
          at.written ? committed : Effect.void,
          Effect.suspend(() => {
            ended = true
            end(process, crash!)
            return gone
          })
        )
      })
    const own = (ownership: SagaStore.Ownership): SagaStore.Ownership => ({
      ...ownership,
      isApart: scenario.commitMillis > 0,
      commit: (appends) =>
        batching === "whole"
          ? counted(ownership.commit(appends), () => note(appends))
          : Effect.forEach(appends, (one) => counted(ownership.commit([one]), () => note([one])), { discard: true }),
      keepSignal: (signal) => counted(ownership.keepSignal(signal), () => {})
    })
    return { ...store, acquire: ({ owner }) => Effect.map(memory.takeOver(owner), own) }
  }

  const clientOf = (engine: SagaEngine.SagaEngine["Service"]) => {
    const definition = rootOf(scenario)
    const withEngine = Effect.provideService(SagaEngine.SagaEngine, engine)
    const once = (what: string, self: Effect.Effect<unknown, unknown>) =>
      Effect.suspend(() =>
        acknowledged.has(what) ? Effect.void : Effect.matchCause(self, {
          onSuccess: () => {
            acknowledged.add(what)
          },
          onFailure: (cause) => {
            // Who is told that it has ended, or is being undone, does not insist.
            if (/has ended|already being undone/.test(Cause.pretty(cause))) acknowledged.add(what)
          }
        })
      )
    const atTime = (millis: number, self: Effect.Effect<unknown>) =>
      Effect.andThen(Effect.sleep(Math.max(0, 1_000_000 + millis - simulation.now)), self)

    const signal = (place: Place) =>
      Effect.forEach(
        Array.from({ length: runsOf(places, place) }, (_, index) => `${signalAt(place).name} #${index + 1}`),
        (number) => once(number, engine.signal(place.execution, signalAt(place).name, `approval ${place.id}`)),
        { discard: true }
      )
    const signals = places.filter(({ part }) => part._tag === "Signal")

    /* Looks once in a while whether something is parked, and decides. */
    const operator = Effect.forever(Effect.gen(function*() {
      yield* Effect.sleep(1000)
      for (const { id } of yield* engine.list({ statuses: ["Parked"] })) {
        const { events } = journals.get(id)!
        const [parked] = parkedIn(events)
        if (parked === undefined || parked.kind === "Mismatch" || parked.kind === "NotRegistered") continue
        const by = { operator: "ada", reason: "by the book", path: parked.path }
        // What fails again and again is given up in the end.
        const tries = retriesIn(journals)
        switch (tries >= scenario.retries + 4 ? "skip" : scenario.decision) {
          case "retry":
            repairs.done = tries + 1 >= scenario.retries
            yield* Effect.ignore(engine.retry(id, by))
            break
          case "skip":
            yield* Effect.ignore(engine.skip(id, by))
            break
          case "resolve":
            // Where there is nothing to give a value to, it is given up.
            yield* Effect.ignore(
              Effect.catch(
                engine.resolve(id, parked.kind === "FailedAfterPivot" ? "by hand" : null, by),
                () => engine.skip(id, by)
              )
            )
            break
          case "cancel":
            yield* Effect.ignore(engine.cancel(id, { operator: "ada" }))
        }
      }
    }))

    return Effect.gen(function*() {
      yield* Effect.forkChild(Effect.ignore(operator))
      for (const place of signals) {
        if (scenario.signalAt === "before the start") yield* signal(place)
        else yield* Effect.forkChild(atTime(scenario.signalAt, signal(place)))
      }
      if (scenario.cancelAt !== undefined) {
        yield* Effect.forkChild(atTime(scenario.cancelAt, once("cancel", engine.cancel(root))))
      }
      yield* Effect.exit(Effect.andThen(definition.start(0), definition.await(root)).pipe(withEngine))
      return yield* definition.poll(root).pipe(withEngine)
    })
  }

  /* Has what `start` holds in the store, and outside the effects that it tells of. */
  const load = () => {
    const filled = new Map<number, { record: SagaStore.ExecutionRecord; readonly events: Array<string> }>()
    for (const { events, record } of start) {
      const known = filled.get(record.key)
      if (known === undefined) filled.set(record.key, { record, events: [...events] })
      else {
        known.record = record
        known.events.push(...events)
      }
    }
    const appends = Array.from(filled, ([key, { events, record }]): SagaStore.Append => ({
      key,
      record,
      firstSequence: 1,
      events
    }))
    if (appends.length === 0) return
    note(appends)
    writes.length = 0
    writes.push(...start)
    Effect.runSync(Effect.scoped(Effect.flatMap(memory.takeOver("test"), ({ commit }) => commit(appends))))
    repairs.done = retriesIn(journals) >= scenario.retries
    const byHand = new Set<string>()
    const received = new Map<string, number>()
    for (const { events, record: { id } } of start) {
      for (const event of events.flatMap(readable)) {
        simulation.now = Math.max(simulation.now, event.at)
        const key = "path" in event ? `${id}/${event.path}` : ""
        if (event._tag === "StepSucceeded" || (event._tag === "StepFailed" && failsAfterEffect(scenario, key))) {
          outside.assume({ what: "do", key, attempt: 1 })
        }
        if (event._tag === "Resolved") byHand.add(key)
        if (event._tag === "CompensationSucceeded" && !byHand.has(key)) {
          outside.assume({ what: "undo", key, attempt: 1 })
        }
        if (event._tag === "SignalReceived") {
          const count = (received.get(event.name) ?? 0) + 1
          received.set(event.name, count)
          acknowledged.add(`${event.name} #${count}`)
        }
      }
    }
  }

  const boot = () => {
    const process = simulation.start()
    boots.push(simulation.now)
    current = process
    commits[process.number] = 0
    const crash = crashes[process.number]
    if (crash?.when._tag === "Task") {
      const { number } = crash.when
      process.beforeTask = () => {
        if (process.steps === number) end(process, crash)
      }
    }
    const world = worldOf(scenario, places, outside, process)
    const watched: World["Service"] = {
      ...world,
      ask: (request) =>
        Effect.suspend(() => {
          if (process === current) watch(request.what, request.key)
          return world.ask(request)
        })
    }
    const store = Layer.effect(
      SagaStore.SagaStore,
      Effect.map(SagaStore.SagaStore, (store) => storeOf(store, process))
    ).pipe(Layer.provide(memory.layer))
    const app = layerOf(scenario).pipe(
      Layer.provideMerge(SagaEngine.layer()),
      Layer.provide(Layer.merge(store, Layer.succeed(World, watched)))
    )
    // Its scope is never closed: a process that is killed closes nothing.
    const program = Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(app), scope)
      return yield* clientOf(Context.get(context, SagaEngine.SagaEngine))
    })
    process.run(program, (ended) => {
      if (process !== current) return
      if (Exit.isSuccess(ended)) exit = Option.getOrUndefined(ended.value)
      else complain(`the client failed: ${Cause.pretty(ended.cause)}`)
    })
  }

  /* What the process asks the services for has to fit what is in the journal then. */
  const watch = (what: "do" | "undo", key: string) => {
    const id = key.split("/").slice(0, 2).join("/")
    const path = key.slice(id.length + 1)
    const complaint = watchedBy(journals.get(id)?.events ?? [], what, path)
    if (complaint !== undefined) complain(`${what} ${key}: ${complaint}`)
  }

  load()
  boot()
  const ending = simulation.run(() => exit !== undefined || complaints.length > 0, simulation.now + 10 * minute)
  // Late requests arrive, and processes that only seemed dead find out.
  if (ending === "done") simulation.run(() => false, simulation.now + 2 * minute)
  return {
    scenario,
    places,
    ending,
    exit,
    journals,
    outside,
    complaints: [...complaints, ...outside.complaints],
    commits,
    writes,
    steps: simulation.processes.map(({ steps }) => steps),
    boots,
    log: simulation.processes.flatMap(({ log }) => log)
  }
}

/* How often the operator has decided to try again. */
const retriesIn = (journals: ReadonlyMap<string, Journal>): number =>
  Array.from(journals.values()).flatMap(({ events }) => events).filter(({ _tag }) => _tag === "Retried").length

/** What an execution is parked for. */
export const parkedIn = (events: ReadonlyArray<Event>): ReadonlyArray<Extract<Event, { readonly _tag: "Parked" }>> => {
  const parked = new Map<string, Extract<Event, { readonly _tag: "Parked" }>>()
  for (const event of events) {
    if (event._tag === "Parked") parked.set(event.path, event)
    if (event._tag === "Retried" || event._tag === "Skipped" || event._tag === "Resolved") parked.delete(event.path)
  }
  return Array.from(parked.values())
}

const isWithin = (scope: string, path: string): boolean => scope === "" || path.startsWith(`${scope}/`)

/* Why it is wrong to ask for this now, if it is. */
const watchedBy = (events: ReadonlyArray<Event>, what: "do" | "undo", path: string): string | undefined => {
  let started = false
  let acted: string | undefined
  let parked: Extract<Event, { readonly _tag: "Parked" }> | undefined
  let unwinding: ReadonlyArray<string> | undefined
  let settled: string | undefined
  let ended = false
  for (const event of events) {
    if (event.starts?.some(([start]) => start === path) === true) started = true
    switch (event._tag) {
      case "StepStarted":
        if (event.path === path) started = true
        break
      case "StepSucceeded":
      case "StepFailed":
        if (event.path === path) acted = event._tag
        break
      case "Parked":
        parked = event
        break
      case "Retried":
        if (parked?.kind === "FailedAfterPivot" && parked.steps.includes(path)) acted = undefined
        break
      case "UnwindStarted":
        if (isWithin(event.scope, path)) unwinding = event.pending
        break
      case "CompensationSucceeded":
      case "CompensationFailed":
      case "Skipped":
      case "Resolved":
        if (event.path === path) settled = event._tag
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
  if (ended) return "the execution has ended"
  if (!started) return "its start is not written down"
  if (what === "do") {
    if (acted !== undefined) return `the journal has ${acted} of it already`
    return unwinding === undefined ? undefined : "what it is in is being undone"
  }
  if (acted === undefined) return "the journal does not have it"
  if (settled !== undefined) return `the journal has ${settled} of it already`
  return unwinding?.includes(path) === true ? undefined : "nobody decided to undo it"
}
