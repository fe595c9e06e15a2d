import * as Effect from "effect/Effect"

/** Lets effects of one id run one at a time, in the order in which they came. */
export class Locks {
  private readonly queues = new Map<string, Array<() => void>>()

  isHeld(id: string): boolean {
    return this.queues.has(id)
  }

  exclusively<A, E>(id: string, self: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const queue = this.queues.get(id)
      if (queue !== undefined) {
        return Effect.andThen(
          Effect.callback<void>((resume) => {
            queue.push(() => resume(Effect.void))
          }),
          this.exclusively(id, self)
        )
      }
      this.queues.set(id, [])
      return Effect.ensuring(self, Effect.sync(() => this.release(id)))
    })
  }

  private release(id: string): void {
    const queue = this.queues.get(id)!
    this.queues.delete(id)
    for (const resume of queue) resume()
  }
}
