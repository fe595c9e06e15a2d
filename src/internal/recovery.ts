import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Definitions } from "./definitions.ts"
import type { Executions } from "./executions.ts"
import type { Idle } from "./idle.ts"
import type { Journals } from "./journals.ts"
import { head } from "./journalText.ts"
import type { Loader } from "./loader.ts"
import { type ExecutionRecord, type SagaStore, type StoredExecution, unfinishedStatuses } from "./store.ts"

const pageSize = 500

/** Goes on with what is unfinished in the store, and from then on parks what no definition is registered for. */
export class Recovery {
  private readonly store: SagaStore["Service"]
  private readonly journals: Journals
  private readonly definitions: Definitions
  private readonly executions: Executions
  private readonly loader: Loader
  private readonly idle: Idle
  private readonly registrationTimeout: Duration.Duration
  private readonly clock: Clock.Clock

  constructor(options: {
    readonly store: SagaStore["Service"]
    readonly journals: Journals
    readonly definitions: Definitions
    readonly executions: Executions
    readonly loader: Loader
    readonly idle: Idle
    readonly registrationTimeout: Duration.Duration
    readonly clock: Clock.Clock
  }) {
    this.store = options.store
    this.journals = options.journals
    this.definitions = options.definitions
    this.executions = options.executions
    this.loader = options.loader
    this.idle = options.idle
    this.registrationTimeout = options.registrationTimeout
    this.clock = options.clock
  }

  readonly run: Effect.Effect<never, SagaStoreError> = Effect.suspend(() =>
    Effect.retry(
      Effect.tapError(
        this.recover,
        (error) => Effect.logError(`Unfinished executions could not be read. ${error.message}`)
      ),
      { while: (error) => error.isTransient, schedule: Schedule.spaced("1 second") }
    )
  )

  private readonly recover: Effect.Effect<never, SagaStoreError> = Effect.gen({ self: this }, function*() {
    let after = 0
    const { lastKey } = this.executions
    while (after < lastKey) {
      const page = yield* Effect.catchIf(
        this.store.unfinished({ after, limit: pageSize }),
        (error) => error.reason._tag === "Corrupt",
        () => this.readOneByOne(after)
      )
      if (page.length === 0) break
      for (const { events, record } of page) {
        after = record.key
        if (after > lastKey) break
        if (this.executions.isSettled(record.id)) continue
        // Whoever has it open may leave it without running it.
        if (this.journals.isHeld(record.id)) yield* Effect.forkChild(this.loader.loadOrLog(record.id))
        else yield* this.loader.resume(record, events)
      }
      // Others are to be started meanwhile.
      yield* Effect.yieldNow
    }
    this.executions.setRecovered()
    return yield* Effect.forever(Effect.suspend(() =>
      this.executions.hasIdle
        ? Effect.andThen(Effect.sleep(this.registrationTimeout), this.parkUnregistered)
        : this.executions.awaitIdle
    ))
  })

  /* A journal that can't be read does not keep the others from going on. */
  private readOneByOne(after: number): Effect.Effect<ReadonlyArray<StoredExecution>, SagaStoreError> {
    return Effect.gen({ self: this }, function*() {
      const readable: Array<StoredExecution> = []
      let before: number | undefined
      while (true) {
        const page = yield* this.store.list({ statuses: unfinishedStatuses, before })
        for (const record of page) {
          if (record.key <= after) continue
          const found = yield* Effect.catch(this.store.find(record.id), (error) => {
            this.executions.setIdle(record)
            return Effect.as(Effect.logError(`${error.message} Execution ${record.id} stays as it is.`), undefined)
          })
          if (found !== undefined) readable.push(found)
        }
        if (page.length === 0 || page.at(-1)!.key <= after) break
        before = page.at(-1)!.key
      }
      return readable.toReversed()
    })
  }

  private readonly parkUnregistered: Effect.Effect<void, SagaStoreError> = Effect.suspend(() =>
    Effect.forEach(this.executions.allIdle, (record) => {
      const isEarly = this.now - record.updatedAt < Duration.toMillis(this.registrationTimeout)
      if (isEarly || record.status === "Parked" || this.definitions.of(record) !== undefined) return Effect.void
      const reason = unregistered(record, this.definitions.versionsOf(record.definition))
      return this.idle.use(
        record.id,
        ({ found, progress }) =>
          found === undefined || progress.finished !== undefined || this.definitions.of(record) !== undefined
            ? Effect.void
            : Effect.andThen(
              this.idle.append(found.record, progress, [{
                ...head("Parked", this.now),
                kind: "NotRegistered",
                path: "",
                steps: [],
                attempt: 0,
                reason,
                cause: null
              }]),
              Effect.logError(`Execution ${record.id} is parked. ${reason}`)
            )
      )
    }, { discard: true })
  )

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }
}

const unregistered = ({ definition, version }: ExecutionRecord, versions: ReadonlyArray<number>): string =>
  versions.length === 0
    ? `No definition "${definition}" is registered. Register it, and the execution goes on.`
    : `It began with version ${version} of "${definition}", and registered is ` +
      `${versions.map((version) => `version ${version}`).join(", ")}. ` +
      `Register version ${version} beside it, and the execution goes on.`
