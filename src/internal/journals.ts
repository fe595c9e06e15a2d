import * as Effect from "effect/Effect"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { Locks } from "./locks.ts"
import { LookUps } from "./lookUps.ts"
import { type Finished, finishedFrom, unreadable } from "./runner.ts"
import type { SagaStore, StoredExecution } from "./store.ts"
import type { Ticket, Writer } from "./writer.ts"

/** What an engine reads of single executions, and who may change what nobody runs. */
export class Journals {
  private readonly store: SagaStore["Service"]
  private readonly writer: Writer
  /** Nobody starts, loads or decides on an execution while another one does. */
  private readonly locks = new Locks()
  private readonly lookUps: LookUps

  constructor(store: SagaStore["Service"], writer: Writer) {
    this.store = store
    this.writer = writer
    this.lookUps = new LookUps(store)
  }

  /** What is stored now of an execution that may be new, as most are that somebody starts. */
  readIfExists(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return Effect.flatMap(this.lookUps.exists(id), (exists) => exists ? this.read(id) : Effect.undefined)
  }

  /** What is stored now. More may be on its way. */
  read(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return this.store.find(id)
  }

  /** What is stored after all that was queued before has been written. */
  readWritten(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return Effect.andThen(this.writer.flushed, this.store.find(id))
  }

  /** As `readWritten`, but does not wait for a store that can't be written. */
  readSoon(id: string): Effect.Effect<StoredExecution | undefined, SagaStoreError> {
    return Effect.andThen(this.writer.flushedUnlessStalled, this.store.find(id))
  }

  /** Waits until everything queued so far has been written, or never will be. */
  get flushed(): Effect.Effect<void> {
    return this.writer.flushed
  }

  write(ticket: Ticket): void {
    this.writer.write(ticket)
  }

  /** Runs `self` while nobody else does so with this id. */
  exclusively<A, E>(id: string, self: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.locks.exclusively(id, self)
  }

  isHeld(id: string): boolean {
    return this.locks.isHeld(id)
  }

  /** How an execution ended that has. */
  finishedOf({ events, record }: StoredExecution): Effect.Effect<Finished, SagaStoreError> {
    return finishedFrom(this.store.name, record, events.at(-1))
  }

  unreadable(id: string): SagaStoreError {
    return unreadable(this.store.name, id)
  }
}
