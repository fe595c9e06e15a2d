import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** Wakes all who listen to it. */
export class Bell {
  private readonly listeners = new Set<Queue.Queue<void>>()
  private readonly whenHeard: (() => void) | undefined

  /** Calls `whenHeard` when somebody listens after a time in which nobody did. */
  constructor(whenHeard?: () => void) {
    this.whenHeard = whenHeard
  }

  get isHeard(): boolean {
    return this.listeners.size > 0
  }

  ring(): void {
    for (const listener of this.listeners) Queue.offerUnsafe(listener, undefined)
  }

  /** Emits at once, and when it rings. What rings while a listener is busy is one to it, and takes nothing from others. */
  readonly rings: Stream.Stream<void> = Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(Effect.suspend(() => this.enter), (listener) => this.leave(listener)),
      Stream.fromQueue
    )
  )

  private readonly enter: Effect.Effect<Queue.Queue<void>> = Effect.map(Queue.sliding<void>(1), (listener) => {
    Queue.offerUnsafe(listener, undefined)
    this.listeners.add(listener)
    if (this.listeners.size === 1) this.whenHeard?.()
    return listener
  })

  private leave(listener: Queue.Queue<void>): Effect.Effect<void> {
    return Effect.sync(() => {
      this.listeners.delete(listener)
    })
  }
}
