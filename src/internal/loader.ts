import * as Effect from "effect/Effect"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Definitions } from "./definitions.ts"
import { Execution } from "./execution.ts"
import type { Executions } from "./executions.ts"
import type { Host } from "./host.ts"
import type { Journals } from "./journals.ts"
import { decodeEvents, progressOf } from "./journalText.ts"
import type { Launcher } from "./launcher.ts"
import { type ExecutionRecord, isFinished, type StoredExecution } from "./store.ts"

/** Makes executions that are in the store live, or idle where they have to wait for what they need. */
export class Loader {
  private readonly host: Host
  private readonly journals: Journals
  private readonly definitions: Definitions
  private readonly executions: Executions
  private readonly launcher: Launcher

  constructor(
    host: Host,
    journals: Journals,
    definitions: Definitions,
    executions: Executions,
    launcher: Launcher
  ) {
    this.host = host
    this.journals = journals
    this.definitions = definitions
    this.executions = executions
    this.launcher = launcher
  }

  /** Makes an unfinished execution live or idle. */
  load(id: string): Effect.Effect<void, SagaStoreError> {
    return this.journals.exclusively(
      id,
      Effect.suspend(() =>
        this.executions.isLive(id) ? Effect.void : Effect.flatMap(
          this.journals.readWritten(id),
          (found) => found === undefined ? Effect.void : this.resumeFound(found)
        )
      )
    )
  }

  /** As `load`, where nobody could do anything about a store that can't be read. */
  loadOrLog(id: string): Effect.Effect<void> {
    return Effect.catch(
      this.load(id),
      (error) => Effect.logError(`Execution ${id} could not be read. ${error.message}`)
    )
  }

  resumeFound({ events, record }: StoredExecution): Effect.Effect<void> {
    return isFinished(record.status) ? Effect.void : this.resume(record, events)
  }

  /** Runs an unfinished execution, or lets it wait for what it needs. */
  resume(record: ExecutionRecord, texts: ReadonlyArray<string>): Effect.Effect<void> {
    const definition = this.definitions.of(record)
    if (definition === undefined) return Effect.sync(() => this.executions.setIdle(record))
    return Effect.suspend(() => {
      const events = decodeEvents(texts)
      const progress = events === undefined ? undefined : progressOf(events)
      if (this.executions.isLive(record.id)) return Effect.void
      this.executions.setIdle(record)
      if (events === undefined || progress === undefined) {
        return Effect.logError(`${this.journals.unreadable(record.id).message} It stays as it is.`)
      }
      // After its pivot nothing but a decision changes what became of it.
      const isDecided = Array.from(progress.parked?.values() ?? []).some(({ kind }) => kind === "FailedAfterPivot")
      if (!isDecided) {
        this.launcher.launch(new Execution({ record, definition, events, stored: true, host: this.host }))
      }
      return Effect.void
    })
  }
}
