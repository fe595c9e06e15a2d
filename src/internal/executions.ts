import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Execution } from "./execution.ts"
import type { Finished } from "./runner.ts"
import type { ExecutionRecord } from "./store.ts"
import { Waiters } from "./waiters.ts"

/*
 * The unfinished executions of an engine, and who waits for their ends.
 *
 * 1. An unfinished execution is either live (a fiber runs it here) or idle (it waits for its definition or for an
 *    operator). What an idle one has to know is in its journal alone.
 * 2. One that has ended stays live until its last event is durable. Then it is gone, and those who wait are told.
 * 3. Until the recovery is done, there may be more of them in the store.
 */

export class Executions {
  private readonly live = new Map<string, Execution>()
  /** Unfinished, and not live. */
  private readonly idle = new Map<string, ExecutionRecord>()
  private readonly waiters = new Waiters<Finished, SagaStoreError>()
  private whenIdle: (() => void) | undefined = undefined
  private isRecovered = false
  private readonly whenRecovered: Array<() => void> = []
  /** What has ended before the recovery came to it, which may have read it before that. */
  private readonly endedEarly = new Set<string>()
  private key: number
  /** Why nobody can be told of ends any more. */
  private ended: SagaStoreError | undefined = undefined

  constructor(lastKey: number) {
    this.key = lastKey
  }

  /** The number that was given last in this store. */
  get lastKey(): number {
    return this.key
  }

  nextKey(): number {
    return ++this.key
  }

  /* ------------------------------------------------------------------------------------------------ which there are */

  /** Whether it is known that there is an unfinished one of this id. */
  has(id: string): boolean {
    return this.live.has(id) || this.idle.has(id)
  }

  isLive(id: string): boolean {
    return this.live.has(id)
  }

  isIdle(id: string): boolean {
    return this.idle.has(id)
  }

  getLive(id: string): Execution | undefined {
    return this.live.get(id)
  }

  get allLive(): ReadonlyArray<Execution> {
    return Array.from(this.live.values())
  }

  get allIdle(): ReadonlyArray<ExecutionRecord> {
    return Array.from(this.idle.values())
  }

  /** The live ones that this one has started. */
  childrenOf(parent: string): ReadonlyArray<string> {
    return this.allLive.filter(({ progress }) => progress.started.parent === parent).map(({ id }) => id)
  }

  get hasIdle(): boolean {
    return this.idle.size > 0
  }

  /** Waits until one becomes idle. */
  readonly awaitIdle: Effect.Effect<void> = Effect.callback((resume) => {
    this.whenIdle = () => resume(Effect.void)
  })

  /* ------------------------------------------------------------------------------------------------ what they become */

  setLive(execution: Execution): void {
    this.idle.delete(execution.id)
    this.live.set(execution.id, execution)
  }

  setIdle(record: ExecutionRecord): void {
    this.idle.set(record.id, record)
    this.whenIdle?.()
  }

  /** Nobody runs it any more. What it has to know is in its journal, if it has got that far. */
  rest(execution: Execution): void {
    // Another one may run in its place by now, and one that has ended is told of when that is durable.
    if (this.live.get(execution.id) !== execution) return
    const { isLost, isStored, progress, record } = execution.journal
    if (progress.finished !== undefined && !isLost) return
    this.live.delete(execution.id)
    // One whose start was refused is not there.
    if (isStored || !isLost) this.setIdle(record)
  }

  /** It has ended, and that is durable. */
  end(id: string, finished: Finished): void {
    if (!this.live.delete(id)) this.idle.delete(id)
    if (!this.isRecovered) this.endedEarly.add(id)
    this.waiters.tell(id, Exit.succeed(finished))
  }

  /** The store does not take anything any more, from any of them. */
  loseAll(): void {
    for (const { journal } of this.live.values()) journal.lose()
  }

  /** Forgets an idle one whose start was refused by the store. */
  forget(id: string): void {
    this.idle.delete(id)
  }

  /* ------------------------------------------------------------------------------------------------ waiting for ends */

  /** Waits until one has ended. */
  awaitEnd(id: string): Effect.Effect<Finished, SagaStoreError> {
    return Effect.suspend(() => this.ended === undefined ? this.waiters.await(id) : Effect.fail(this.ended))
  }

  /** As `awaitEnd`, for one that may end before that is run. */
  expectEnd(id: string): Effect.Effect<Finished, SagaStoreError> {
    return this.ended === undefined ? this.waiters.expect(id) : Effect.fail(this.ended)
  }

  /** Tells those who wait for one that it can't be run. */
  tellRefused(id: string, error: SagaStoreError): void {
    this.waiters.tell(id, Exit.fail(error))
  }

  /** Tells all who wait that the engine has ended. */
  tellAll(error: SagaStoreError): void {
    this.ended = error
    this.waiters.tellAll(Exit.fail(error))
  }

  /* ------------------------------------------------------------------------------------------------ recovery */

  /** Whether the recovery has nothing to do for this one. Whoever opened it meanwhile has read a later state. */
  isSettled(id: string): boolean {
    return this.has(id) || this.endedEarly.has(id)
  }

  /** All unfinished executions have been found. */
  setRecovered(): void {
    this.isRecovered = true
    this.endedEarly.clear()
    for (const resume of this.whenRecovered.splice(0)) resume()
  }

  /** Waits until all unfinished executions have been found. */
  readonly recovered: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isRecovered) return resume(Effect.void)
    this.whenRecovered.push(() => resume(Effect.void))
  })
}
