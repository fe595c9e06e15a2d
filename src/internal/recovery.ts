import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Alerts } from "./alerts.ts"
import type { Definitions } from "./definitions.ts"
import type { Executions } from "./executions.ts"
import type { Idle } from "./idle.ts"
import type { Journals } from "./journals.ts"
import { head } from "./journalText.ts"
import type { Loader } from "./loader.ts"
import {
  byPosition,
  type ExecutionRecord,
  type Position,
  type SagaStore,
  type StoredExecution,
  unfinishedStatuses
} from "./store.ts"

const pageSize = 500

/** Unfinished executions, and where the ones that follow begin. */
interface Page {
  readonly found: ReadonlyArray<StoredExecution>
  readonly last: Position | undefined
}

/** Goes on with what is unfinished in the store, and from then on parks what no definition is registered for. */
export class Recovery {
  private readonly store: SagaStore["Service"]
  private readonly journals: Journals
  private readonly definitions: Definitions
  private readonly executions: Executions
  private readonly loader: Loader
  private readonly idle: Idle
  private readonly alerts: Alerts | undefined
  private readonly registrationTimeout: Duration.Duration
  private readonly clock: Clock.Clock
  /** What this engine starts has higher keys, also where the store has to be read again. */
  private readonly lastKey: number

  constructor(options: {
    readonly store: SagaStore["Service"]
    readonly journals: Journals
    readonly definitions: Definitions
    readonly executions: Executions
    readonly loader: Loader
    readonly idle: Idle
    readonly alerts: Alerts | undefined
    readonly registrationTimeout: Duration.Duration
    readonly clock: Clock.Clock
  }) {
    this.store = options.store
    this.journals = options.journals
    this.definitions = options.definitions
    this.executions = options.executions
    this.loader = options.loader
    this.idle = options.idle
    this.alerts = options.alerts
    this.registrationTimeout = options.registrationTimeout
    this.clock = options.clock
    this.lastKey = options.executions.lastKey
  }

  readonly run: Effect.Effect<never, SagaStoreError> = Effect.suspend(() =>
    Effect.retry(
      Effect.tapError(
        this.recover(),
        (error) => Effect.logError(`Unfinished executions could not be read. ${error.message}`)
      ),
      { while: (error) => error.isTransient, schedule: Schedule.spaced("1 second") }
    )
  )

  private readonly recover = Effect.fnUntraced({ self: this }, function*(
    this: Recovery
  ): Effect.fn.Return<never, SagaStoreError> {
    // What is started meanwhile comes after it, unless the clock was set back.
    const [end] = yield* this.store.list({ statuses: unfinishedStatuses, limit: 1 })
    let after: Position | undefined
    let isRead = end === undefined
    while (!isRead) {
      const page: Page = yield* this.readPage(after)
      after = page.last
      isRead = end === undefined || after === undefined || byPosition(after, end) >= 0
      for (const { events, record } of page.found) {
        if (record.key <= this.lastKey) this.alerts?.repeat(record, events.length)
        // This owner started it. The clock was set back where an older one comes after it, so it ends nothing.
        if (record.key > this.lastKey || this.executions.isSettled(record.id)) continue
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

  private readPage(after: Position | undefined): Effect.Effect<Page, SagaStoreError> {
    return Effect.catchIf(
      Effect.map(
        this.store.unfinished({ after, limit: pageSize }),
        (found) => ({ found, last: found.at(-1)?.record })
      ),
      (error: SagaStoreError) => error.reason._tag === "Corrupt",
      () => this.readOneByOne(after)
    )
  }

  /* A journal that can't be read does not keep the others from going on. */
  private readOneByOne(after: Position | undefined): Effect.Effect<Page, SagaStoreError> {
    return Effect.gen({ self: this }, function*() {
      const found: Array<StoredExecution> = []
      const page = yield* this.store.list({ statuses: unfinishedStatuses, order: "oldest", after, limit: pageSize })
      for (const record of page) {
        if (record.key > this.lastKey) continue
        const readable = yield* Effect.catch(this.store.find(record.id), (error) => {
          this.executions.setIdle(record)
          return Effect.as(Effect.logError(`${error.message} Execution ${record.id} stays as it is.`), undefined)
        })
        if (readable !== undefined) found.push(readable)
      }
      return { found, last: page.at(-1) }
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
              this.alerts?.isLogged === true
                ? Effect.void
                : Effect.logError(`Execution ${record.id} is parked. ${reason}`)
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
