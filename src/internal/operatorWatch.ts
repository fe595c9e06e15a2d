import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaEngineError } from "../SagaEngineError.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { matches } from "./executionFilter.ts"
import { decodeEvents } from "./journalText.ts"
import { masked } from "./operatorEvents.ts"
import { refuse } from "./refuse.ts"
import { unreadable } from "./runner.ts"
import { type ExecutionFilter, type ExecutionRecord, isFinished, type SagaStore } from "./store.ts"

/*
 * What happens in a store, for those who are no engine: they look again and again. Where looking takes long they look less
 * often, and a store that can't be read for a while is waited for once they have seen it.
 */

const interval = 200

/* Most of the time a store is left to its engine. */
const rest = 5

/* Changes are written in nearly the order of their times. How much later one may come, in milliseconds. */
const overlap = 10_000

const pageSize = 1000

/** Emits records that have changed, from now on. */
export const watch = (
  store: SagaStore["Service"],
  filter: ExecutionFilter
): Stream.Stream<ExecutionRecord, SagaStoreError> =>
  Stream.unwrap(
    Effect.map(watching(store), (look) =>
      Stream.paginate(undefined, () =>
        Effect.map(
          look,
          (changed) => [changed.filter((record) => matches(filter, record)), Option.some(undefined)] as const
        )))
  )

/* What has changed since it was run last. */
const watching = (store: SagaStore["Service"]) =>
  Effect.clockWith((clock) => {
    /* The last change of each execution that may be read again. */
    const known = new Map<number, { readonly updatedAt: number; readonly change: string }>()
    let newest = clock.currentTimeMillisUnsafe()
    /* When the last look began that came to its end. */
    let looked = newest

    const take = (read: ReadonlyArray<ExecutionRecord>): ReadonlyArray<ExecutionRecord> => {
      const changed = read.filter((record) => {
        const change = changeOf(record)
        if (known.get(record.key)?.change === change) return false
        known.set(record.key, { updatedAt: record.updatedAt, change })
        return true
      })
      newest = Math.max(newest, read.at(-1)?.updatedAt ?? 0)
      const from = start()
      for (const [key, { updatedAt }] of known) if (updatedAt < from) known.delete(key)
      return changed
    }
    // What has a time to come does not keep the rest from being seen. Where nothing has changed for long, only what is later
    // than the newest may still be written, however long its writing was held up.
    const start = () =>
      Math.max(
        Math.min(newest, clock.currentTimeMillisUnsafe()) - overlap,
        Math.min(newest, looked - 2 * overlap)
      )

    const look = Effect.suspend(() => {
      const begun = clock.currentTimeMillisUnsafe()
      return Effect.map(changedFrom(store, start()), (read) => {
        const changed = take(read)
        looked = begun
        return changed
      })
    })
    return Effect.map(
      Effect.timed(look),
      ([first]) => {
        let took = first
        return Effect.suspend(() =>
          Effect.delay(
            Effect.map(patiently(Effect.timed(look)), ([duration, changed]) => {
              took = duration
              return changed
            }),
            pauseAfter(took)
          )
        )
      }
    )
  })

const changedFrom = Effect.fnUntraced(function*(store: SagaStore["Service"], from: number) {
  const all: Array<ExecutionRecord> = []
  while (true) {
    const page: ReadonlyArray<ExecutionRecord> = yield* store.changed({ from, after: all.at(-1), limit: pageSize })
    all.push(...page)
    if (page.length < pageSize) return all
  }
})

const changeOf = ({ cancelled, reason, status, updatedAt }: ExecutionRecord): string =>
  JSON.stringify([updatedAt, status, reason, cancelled])

/** Emits the events of an execution until it has ended, or is no longer there. */
export const follow = (
  store: SagaStore["Service"],
  id: string
): Stream.Stream<JournalEvent, SagaStoreError | SagaEngineError> => {
  const find = store.find(id)
  const first: Look = { key: undefined, seen: 0, took: undefined }
  return Stream.paginate(first, ({ key, seen, took }) =>
    Effect.flatMap(
      took === undefined ? Effect.timed(find) : Effect.delay(patiently(Effect.timed(find)), pauseAfter(took)),
      ([duration, found]): Effect.Effect<Page, SagaStoreError | SagaEngineError> => {
        if (found === undefined) {
          return took === undefined ? refuse(id, { _tag: "NotFound" }) : Effect.succeed([[], Option.none()])
        }
        // One of the same id that was started when this one had been pruned.
        if (key !== undefined && key !== found.record.key) return Effect.succeed([[], Option.none()])
        const events = decodeEvents(found.events.slice(seen))
        if (events === undefined) return Effect.fail(unreadable(store.name, id))
        return Effect.succeed([
          events.map(masked),
          isFinished(found.record.status)
            ? Option.none()
            : Option.some({ key: found.record.key, seen: found.events.length, took: duration })
        ])
      }
    ))
}

interface Look {
  readonly key: number | undefined
  /** How many events were emitted. */
  readonly seen: number
  /** How long reading took the last time. */
  readonly took: Duration.Duration | undefined
}

type Page = readonly [ReadonlyArray<JournalEvent>, Option.Option<Look>]

const pauseAfter = (took: Duration.Duration): number => Math.max(interval, rest * Duration.toMillis(took))

const patiently = <A>(self: Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> =>
  Effect.retry(self, {
    while: (error) => error.isTransient,
    schedule: Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")])
  })
