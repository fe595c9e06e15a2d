import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Alerts } from "./alerts.ts"
import type { RequestAnswer } from "./desk.ts"
import type { Executions } from "./executions.ts"
import type { Journals } from "./journals.ts"
import { decodeEvents, progressOf } from "./journalText.ts"
import * as Progress from "./progress.ts"
import { recordAfter } from "./recordAfter.ts"
import type { ExecutionRecord, StoredExecution } from "./store.ts"

/** What an execution is that nobody runs: its journal, if there is one. */
export type Found =
  | { readonly found: undefined; readonly progress: undefined }
  | { readonly found: StoredExecution; readonly progress: Progress.Progress }

/** Reads and changes the journals of executions that nobody runs. */
export class Idle {
  private readonly journals: Journals
  private readonly executions: Executions
  private readonly clock: Clock.Clock
  private readonly alerts: Alerts | undefined

  constructor(journals: Journals, executions: Executions, clock: Clock.Clock, alerts: Alerts | undefined) {
    this.journals = journals
    this.executions = executions
    this.clock = clock
    this.alerts = alerts
  }

  /** Reads the journal of an execution, which nobody else starts, loads or changes meanwhile. */
  use<A>(id: string, use: (read: Found) => Effect.Effect<A, SagaStoreError>): Effect.Effect<A, SagaStoreError> {
    return this.journals.exclusively(
      id,
      // Nothing may be appended to a journal before all that is on its way to it is there.
      Effect.flatMap(this.journals.readWritten(id), (found) => {
        if (found === undefined) return use({ found, progress: undefined })
        const progress = progressOf(decodeEvents(found.events))
        return progress === undefined ? Effect.fail(this.journals.unreadable(id)) : use({ found, progress })
      })
    )
  }

  /** Appends to the journal of an execution, in `use`. Returns when that is durable. */
  append(
    record: ExecutionRecord,
    progress: Progress.Progress,
    events: ReadonlyArray<JournalEvent>,
    answer?: RequestAnswer
  ): Effect.Effect<void, SagaStoreError> {
    return Effect.callback((resume) => {
      const firstSequence = progress.sequence + 1
      for (const event of events) Progress.apply(progress, event)
      const changed = recordAfter(record, progress, this.clock.currentTimeMillisUnsafe(), true)
      this.journals.write({
        take: () => ({
          key: record.key,
          record: changed,
          firstSequence,
          events: events.map((event) => JSON.stringify(event)),
          answer: answer?.take()
        }),
        written: () => {
          if (progress.finished === undefined) this.executions.setIdle(changed)
          else this.executions.end(record.id, { ...progress.finished, cancelled: progress.cancelled })
          events.forEach((event, index) => this.alerts?.whenWritten(record.id, firstSequence + index, event)?.())
          resume(Effect.void)
        },
        lost: (error) => resume(Effect.fail(error)),
        refused: (error) => resume(Effect.fail(error)),
        isVoid: false
      })
    })
  }
}
