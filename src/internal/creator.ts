import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { JournalEvent } from "../JournalEvent.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Definitions } from "./definitions.ts"
import type { RequestAnswer } from "./desk.ts"
import type { EarlySignals } from "./earlySignals.ts"
import { Execution } from "./execution.ts"
import type { Executions } from "./executions.ts"
import type { Host } from "./host.ts"
import { decodeEvents, head } from "./journalText.ts"
import type { Launcher } from "./launcher.ts"
import * as PlainJson from "./plainJson.ts"
import type { StartCall } from "./runner.ts"
import type { ExecutionRecord } from "./store.ts"

/** Makes executions that are not in the store. */
export class Creator {
  private readonly host: Host
  private readonly definitions: Definitions
  private readonly executions: Executions
  private readonly earlySignals: EarlySignals
  private readonly launcher: Launcher

  constructor(
    host: Host,
    definitions: Definitions,
    executions: Executions,
    earlySignals: EarlySignals,
    launcher: Launcher
  ) {
    this.host = host
    this.definitions = definitions
    this.executions = executions
    this.earlySignals = earlySignals
    this.launcher = launcher
  }

  /*
   * The body may begin before the start is durable: it does nothing that has an effect before. Gives the wait for that.
   */
  create(call: StartCall, answer?: RequestAnswer): Effect.Effect<void, SagaStoreError> {
    const { attributes, definition, id, parent, version } = call
    const payload = Result.getOrThrowWith(
      PlainJson.plain(call.payload),
      (problem) => new Error(`Execution ${id} was not started: its payload ${problem}.`)
    )
    const at = this.host.clock.currentTimeMillisUnsafe()
    const started: JournalEvent = {
      ...head("ExecutionStarted", at),
      id,
      definition,
      version,
      payload,
      ...(parent === undefined ? undefined : { parent }),
      ...(attributes === undefined ? undefined : { attributes })
    }
    const record: ExecutionRecord = {
      key: this.executions.nextKey(),
      id,
      definition,
      version,
      status: "Running",
      cancelled: false,
      reason: null,
      error: null,
      attributes: attributes ?? {},
      parent: parent ?? null,
      createdAt: at,
      updatedAt: at
    }
    const early = this.earlySignals.take(id)
    const found = this.definitions.of(record)
    const execution = found === undefined ? undefined : new Execution({
      record,
      definition: found,
      events: early.length === 0 ? [started] : [started, ...decodeEvents(early)!],
      stored: false,
      host: this.host
    })
    let state: "Queued" | "Written" | SagaStoreError = "Queued"
    let wake: (() => void) | undefined
    const written = () => {
      state = "Written"
      wake?.()
    }
    const failed = (error: SagaStoreError) => {
      this.earlySignals.putBack(id, early)
      execution?.journal.lose()
      this.executions.forget(id)
      state = error
      wake?.()
      this.executions.tellRefused(id, error)
    }
    if (execution !== undefined) {
      execution.journal.begin(early, { written, failed }, answer)
      this.launcher.launch(execution)
    } else {
      this.executions.setIdle(record)
      this.host.write({
        take: () => ({
          key: record.key,
          record,
          firstSequence: 1,
          events: [JSON.stringify(started), ...early],
          answer: answer?.take()
        }),
        written,
        lost: failed,
        refused: failed,
        isVoid: false
      })
    }
    return Effect.callback<void, SagaStoreError>((resume) => {
      wake = () => {
        if (state !== "Queued") resume(state === "Written" ? Effect.void : Effect.fail(state))
      }
      wake()
    })
  }
}
