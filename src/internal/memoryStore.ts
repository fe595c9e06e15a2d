import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Scope from "effect/Scope"
import { Owned, OwnershipLost, SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import { Bell } from "./bell.ts"
import * as Lists from "./memoryLists.ts"
import {
  type Answer,
  answerRetention,
  type Append,
  type EarlySignal,
  type ExecutionRecord,
  finishedStatuses,
  type Inspection,
  isFinished,
  type Ownership,
  type Request,
  type SagaStore,
  type StoredExecution,
  unfinishedStatuses
} from "./store.ts"

export interface MemoryStore {
  /** Opens the store, until the scope closes. What is in it stays. */
  readonly open: Effect.Effect<SagaStore["Service"], never, Scope.Scope>
  /** Makes the caller the owner although there may be another, which thereby loses the store. */
  readonly takeOver: (owner: string) => Effect.Effect<Ownership, never, Scope.Scope>
}

/** Lets effects run as long as the store is open. */
type WhenOpen = <A, R>(self: Effect.Effect<A, SagaStoreError, R>) => Effect.Effect<A, SagaStoreError, R>

interface Given {
  readonly answer: string
  readonly at: number
}

interface Execution {
  record: ExecutionRecord
  readonly events: Array<string>
}

interface Owner {
  readonly name: string
  readonly epoch: number
  readonly since: number
  readonly lost: Deferred.Deferred<never, SagaStoreError>
  readonly gone: Deferred.Deferred<void>
}

const name = "The store in memory"

export const make: Effect.Effect<MemoryStore> = Effect.sync(() => {
  const executions = new Map<number, Execution>()
  const keys = new Map<string, number>()
  let signals: ReadonlyArray<EarlySignal> = []
  let owner: Owner | undefined
  let epoch = 0
  let lastKey = 0
  const unanswered = new Map<string, Request>()
  /* In the order in which the answers were given. */
  const answered = new Map<string, Given>()
  const requested = new Bell()
  const news = new Bell()

  const write = (by: Owner, f: (now: number) => void): Effect.Effect<void, SagaStoreError> =>
    Effect.clockWith((clock) => {
      if (by === owner) return Effect.sync(() => f(clock.currentTimeMillisUnsafe()))
      return Deferred.isDoneUnsafe(by.lost) ? Deferred.await(by.lost) : Effect.fail(closedError())
    })

  const answerAll = (answers: ReadonlyArray<Answer>, now: number): void => {
    if (answers.length === 0) return
    for (const { answer, request } of answers) {
      if (unanswered.delete(request) && answer !== undefined) answered.set(request, { answer, at: now })
    }
    for (const [request, { at }] of answered) {
      if (now - at < answerRetention) break
      answered.delete(request)
    }
    news.ring()
  }

  const commit = (appends: ReadonlyArray<Append>, now: number): void => {
    check(appends)
    for (const { events, firstSequence, key, record } of appends) {
      if (firstSequence === 1) {
        executions.set(key, { record: record!, events: [...events] })
        keys.set(record!.id, key)
        signals = signals.filter((signal) => signal.execution !== record!.id)
        lastKey = Math.max(lastKey, key)
      } else {
        const execution = executions.get(key)!
        execution.events.push(...events)
        execution.record = record ?? execution.record
      }
    }
    answerAll(appends.flatMap(({ answer }) => answer === undefined ? [] : [answer]), now)
    if (appends.some(({ record }) => record !== undefined && isFinished(record.status))) news.ring()
  }

  /* All of it before anything is written, so that a commit is atomic. */
  const check = (appends: ReadonlyArray<Append>): void => {
    const lengths = new Map<number, number>()
    const ids = new Set<string>()
    for (const { events, firstSequence, key, record } of appends) {
      const length = lengths.get(key) ?? executions.get(key)?.events.length ?? 0
      if (firstSequence !== length + 1) {
        throw new Error(`Execution ${key} has ${length} events, so the next is not number ${firstSequence}`)
      }
      lengths.set(key, length + events.length)
      if (firstSequence > 1) continue
      if (record === undefined) throw new Error(`Execution ${key} is new and has no record`)
      if (keys.has(record.id) || ids.has(record.id)) throw new Error(`There is an execution ${record.id} already`)
      ids.add(record.id)
    }
  }

  const take = (name: string): Effect.Effect<Owner> =>
    Effect.map(Clock.currentTimeMillis, (since) => {
      const replaced = owner
      epoch = epoch + 1
      owner = { name, epoch, since, lost: Deferred.makeUnsafe(), gone: Deferred.makeUnsafe() }
      if (replaced !== undefined) {
        Deferred.doneUnsafe(replaced.lost, Effect.fail(lostError(name)))
        Deferred.doneUnsafe(replaced.gone, Effect.void)
      }
      return owner
    })

  const release = (self: Owner): Effect.Effect<void> =>
    Effect.sync(() => {
      if (owner === self) owner = undefined
      Deferred.doneUnsafe(self.gone, Effect.void)
    })

  const own = (name: string, whenOpen: WhenOpen): Effect.Effect<Ownership, never, Scope.Scope> =>
    Effect.map(Effect.acquireRelease(take(name), release), (self) => ({
      epoch: self.epoch,
      lastKey,
      lastChange: Array.from(executions.values()).reduce((last, { record }) => Math.max(last, record.updatedAt), 0),
      lost: Deferred.await(self.lost),
      commit: (appends) => whenOpen(write(self, (now) => commit(appends, now))),
      keepSignal: (signal, answer) =>
        whenOpen(write(self, (now) => {
          signals = [...signals, signal]
          if (answer !== undefined) answerAll([answer], now)
        })),
      answer: (answers) => whenOpen(write(self, (now) => answerAll(answers, now))),
      earlySignals: whenOpen(Effect.sync(() => signals))
    }))

  const acquire = (
    options: { readonly owner: string; readonly standby: boolean },
    whenOpen: WhenOpen
  ): Effect.Effect<Ownership, SagaStoreError, Scope.Scope> =>
    whenOpen(Effect.suspend(() => {
      if (owner === undefined) return own(options.owner, whenOpen)
      return options.standby
        ? Effect.andThen(Deferred.await(owner.gone), acquire(options, whenOpen))
        : Effect.fail(ownedError(owner))
    }))

  const records = (): Array<ExecutionRecord> => Array.from(executions.values(), ({ record }) => record)

  const isKept = (record: ExecutionRecord): boolean => {
    const parent = record.parent === null ? undefined : keys.get(record.parent)
    return !isFinished(record.status) || (parent !== undefined && !isFinished(executions.get(parent)!.record.status))
  }

  const service = (whenOpen: WhenOpen): SagaStore["Service"] => ({
    name,
    acquire: (options) => acquire(options, whenOpen),
    find: (id) =>
      whenOpen(Effect.sync(() => {
        const key = keys.get(id)
        return key === undefined ? undefined : snapshot(executions.get(key)!)
      })),
    unfinished: ({ after, limit }) =>
      whenOpen(Effect.sync(() =>
        Lists.list(records(), { statuses: unfinishedStatuses, order: "oldest", after, limit })
          .map(({ key }) => snapshot(executions.get(key)!))
      )),
    list: (options = {}) => whenOpen(Effect.sync(() => Lists.list(records(), options))),
    count: (filter = {}) => whenOpen(Effect.sync(() => Lists.count(records(), filter))),
    counts: ({ since }) => whenOpen(Effect.sync(() => Lists.counts(records(), since))),
    changed: (options) => whenOpen(Effect.sync(() => Lists.changed(records(), options))),
    inspect: whenOpen(Effect.sync(() => ({
      version: 0,
      owner: owner === undefined ? undefined : inspected(owner),
      unanswered: unanswered.size,
      bytes: undefined
    }))),
    prune: ({ finishedBefore, onProgress, statuses = finishedStatuses }) =>
      whenOpen(Effect.sync(() => {
        const pruned = records().filter((record) =>
          record.updatedAt < finishedBefore && statuses.some((status) => status === record.status) && !isKept(record)
        )
        for (const { id, key } of pruned) {
          executions.delete(key)
          keys.delete(id)
        }
        onProgress?.(pruned.length)
        return pruned.length
      })),
    existing: (ids) => whenOpen(Effect.sync(() => ids.filter((id) => keys.has(id)))),
    ended: (ids) =>
      whenOpen(Effect.sync(() =>
        ids.flatMap((id) => {
          const key = keys.get(id)
          const execution = key === undefined ? undefined : executions.get(key)!
          return execution !== undefined && isFinished(execution.record.status)
            ? [{ record: execution.record, event: execution.events.at(-1)! }]
            : []
        })
      )),
    ask: (requests) =>
      whenOpen(Effect.sync(() => {
        for (const request of requests) {
          if (!unanswered.has(request.id) && !answered.has(request.id)) unanswered.set(request.id, request)
        }
        requested.ring()
      })),
    requests: ({ execution, limit } = {}) =>
      whenOpen(
        Effect.sync(() =>
          Array.from(unanswered.values())
            .filter((request) => execution === undefined || request.execution === execution)
            .slice(0, limit)
        )
      ),
    answers: (ids) =>
      whenOpen(Effect.sync(() =>
        ids.flatMap((request) => {
          const answer = answered.get(request)?.answer
          return answer === undefined ? [] : [{ request, answer }]
        })
      )),
    requested: requested.rings,
    news: news.rings
  })

  return {
    open: Effect.gen(function*() {
      let isOpen = true
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          isOpen = false
        })
      )
      return service((self) => Effect.suspend(() => isOpen ? self : Effect.fail(closedError())))
    }),
    takeOver: (name) => own(name, identity)
  }
})

const snapshot = ({ events, record }: Execution): StoredExecution => ({ record, events: [...events] })

/* It lives as long as this process, which is the only one that has the store. */
const inspected = ({ name, since }: Owner): Inspection["owner"] => ({
  name,
  host: "",
  pid: 0,
  acquiredAt: since,
  silence: 0,
  isAlive: true
})

const closedError = (): SagaStoreError =>
  new SagaStoreError({ reason: new Unavailable({ store: name, problem: "closed", cause: undefined }) })

const ownedError = ({ name: owner, since }: Owner): SagaStoreError =>
  new SagaStoreError({ reason: new Owned({ store: name, owner, since }) })

const lostError = (owner: string): SagaStoreError =>
  new SagaStoreError({ reason: new OwnershipLost({ store: name, owner }) })
