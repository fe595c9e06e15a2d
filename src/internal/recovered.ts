import * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { Haltable } from "./haltable.ts"
import { Replay, type ResultEvent, type Unfinished } from "./replay.ts"

/*
 * What an execution has from before it was recovered: what it is given again, until its replay is done, and what its
 * compensations were given, which is asked for later, too.
 */

export class Recovered {
  private readonly execution: Haltable
  private replay: Replay | undefined
  private readonly inCompensations: ReadonlyMap<string, ResultEvent> | undefined
  private readonly unfinishedInCompensations: ReadonlyMap<string, Unfinished> | undefined
  private moved = -1

  /** With `decodes`, results have to be decoded by an effect, and `settled` says that the last one has been. */
  constructor(
    execution: Haltable,
    events: ReadonlyArray<JournalEvent>,
    decodes: boolean,
    whenDone: (given: number) => void
  ) {
    this.execution = execution
    const replay = this.replay = new Replay(events, decodes)
    this.inCompensations = replay.inCompensations.size > 0 ? replay.inCompensations : undefined
    this.unfinishedInCompensations = replay.unfinishedInCompensations.size > 0
      ? replay.unfinishedInCompensations
      : undefined
    replay.onDone(() => {
      this.replay = undefined
      whenDone(replay.given)
    })
  }

  get isReplaying(): boolean {
    return this.replay !== undefined
  }

  /** How many results have been given again; undefined when all have. */
  get given(): number | undefined {
    return this.replay?.given
  }

  /** Whether there is a result under `key`. */
  has(key: string): boolean {
    return this.replay?.get(key) !== undefined || this.inCompensations?.has(key) === true
  }

  /** What had started before and has no result. */
  unfinished(path: string): Unfinished | undefined {
    return this.replay?.unfinishedAt(path) ?? this.unfinishedInCompensations?.get(path)
  }

  /** What is recorded under `key`, when it is its turn; undefined where nothing is. */
  take(key: string): Effect.Effect<ResultEvent> | undefined {
    const inCompensation = this.inCompensations?.get(key)
    if (inCompensation !== undefined) return Effect.succeed(inCompensation)
    if (this.replay?.get(key) === undefined) return undefined
    // Not by closures over the replay, which would keep it in memory for as long as the saga waits for something else.
    return this.execution.wait((resume) => {
      const asked = this.replay?.get(key)
      if (asked === undefined) return
      this.replay!.ask(asked, () => resume(asked.event))
      return () => {
        asked.handOut = undefined
      }
    })
  }

  /** Says that the result that was handed out last has been decoded. */
  settled(): void {
    this.replay?.settled()
  }

  /** Says that what had been running when the process ended runs again. */
  askUnfinished(key: string): void {
    this.replay?.askUnfinished(key)
  }

  /** Waits until everything recorded has been handed out. */
  awaitReplay(path: string): Effect.Effect<void> {
    return this.replay === undefined ? Effect.void : this.execution.wait<void>((resume) => {
      if (this.replay !== undefined) return this.replay.hold(path, () => resume(undefined))
      return resume(undefined)
    })
  }

  /** Waits until everything has been handed out that came before the decision to undo `scope`. */
  awaitUnwind(scope: string): Effect.Effect<void> {
    const { replay } = this
    return replay === undefined
      ? Effect.void
      : this.execution.wait<void>((resume) => replay.onUnwind(scope, () => resume(undefined)))
  }

  /** Calls `f` once the body has been given all that it had. */
  onBodyDone(f: () => void): void {
    if (this.replay === undefined) f()
    else this.replay.onBodyDone(f)
  }

  /** What a body that has ended now has not asked for; undefined where that is nothing. */
  get missing(): ReadonlyArray<string> | undefined {
    return this.replay === undefined || this.replay.bodyDone ? undefined : this.replay.unasked
  }

  /** What nobody has asked for since this was called before, and what waits for it; undefined where the replay has moved. */
  stalled(): Pick<Replay, "unasked" | "held"> | undefined {
    const { replay } = this
    if (replay === undefined) return undefined
    const moved = replay.asked + replay.given
    const before = this.moved
    this.moved = moved
    return moved !== before || replay.unasked.length === 0 ? undefined : replay
  }

  /** How the saga had failed, where an operator has resolved the step at `path` since. */
  failureBeforeResolution(path: string): Json | undefined {
    return this.replay?.get(path)?.resolved?.saga
  }
}
