import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

type Waiter<A, E> = (exit: Exit.Exit<A, E>) => void

/** Those who wait for something of an id, until somebody tells them. */
export class Waiters<A, E> {
  private readonly byId = new Map<string, Waiter<A, E> | Set<Waiter<A, E>>>()

  await(id: string): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      const waiters = this.byId.get(id)
      // Mostly there is one.
      if (waiters === undefined) this.byId.set(id, resume)
      else if (typeof waiters === "function") this.byId.set(id, new Set([waiters, resume]))
      else waiters.add(resume)
      return Effect.sync(() => this.remove(id, resume))
    })
  }

  private remove(id: string, waiter: Waiter<A, E>): void {
    const waiters = this.byId.get(id)
    if (waiters === waiter) this.byId.delete(id)
    else if (typeof waiters === "object" && waiters.delete(waiter) && waiters.size === 0) this.byId.delete(id)
  }

  tell(id: string, exit: Exit.Exit<A, E>): void {
    const waiters = this.byId.get(id)
    if (waiters === undefined) return
    this.byId.delete(id)
    if (typeof waiters === "function") waiters(exit)
    else for (const waiter of waiters) waiter(exit)
  }

  tellAll(exit: Exit.Exit<A, E>): void {
    for (const id of Array.from(this.byId.keys())) this.tell(id, exit)
  }
}
