import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** What runs in a fiber until it halts, which ends all that waits in it, also where nothing can interrupt that. */
export class Haltable {
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private isHalted = false
  private waiting: Set<() => void> | undefined = undefined

  get halted(): boolean {
    return this.isHalted
  }

  halt(): void {
    if (this.isHalted) return
    this.isHalted = true
    this.fiber?.interruptUnsafe()
    for (const wake of Array.from(this.waiting ?? [])) wake()
  }

  /**
   * Waits for what calls `resume`. Ends with an interruption of its own when it halts, also where nothing else can
   * interrupt it. What `register` returns is called when nobody waits any more.
   */
  wait<A>(register: (resume: (value: A) => void) => (() => void) | void): Effect.Effect<A> {
    return Effect.callback((resume) => {
      if (this.isHalted) return resume(Effect.interrupt)
      const wake = () => {
        end()
        resume(Effect.interrupt)
      }
      const end = () => {
        waiting.delete(wake)
        cancel?.()
      }
      const waiting = this.waiting ??= new Set()
      waiting.add(wake)
      const cancel = register((value) => {
        waiting.delete(wake)
        resume(Effect.succeed(value))
      })
      return Effect.sync(end)
    })
  }

  /** Runs a wait where nothing can interrupt but a halt. */
  unlessHalted<A>(wait: Effect.Effect<A>): Effect.Effect<A> {
    return Effect.raceFirst(Effect.interruptible(wait), Effect.interruptible(this.wait<never>(() => {})))
  }
}
