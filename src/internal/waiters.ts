import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

type Waiter<A, E> = (exit: Exit.Exit<A, E>) => unknown

/** Those who wait for something of an id, until somebody tells them. */
export class Waiters<A, E> {
  private readonly byId = new Map<string, Waiter<A, E> | Set<Waiter<A, E>>>()

  get size(): number {
    return this.byId.size
  }

  get ids(): ReadonlyArray<string> {
    return Array.from(this.byId.keys())
  }

  /** Calls `waiting` as soon as what is told of `id` will be heard. */
  await(id: string, waiting?: () => void): Effect.Effect<A, E> {
    return Effect.callback((resume) => {
      this.add(id, resume)
      waiting?.()
      return Effect.sync(() => this.remove(id, resume))
    })
  }

  /** As `await`, but hears what is told from now on, not only from when it is run. */
  expect(id: string): Effect.Effect<A, E> {
    const told = Deferred.makeUnsafe<A, E>()
    const waiter = (exit: Exit.Exit<A, E>) => Deferred.doneUnsafe(told, exit)
    this.add(id, waiter)
    return Effect.onInterrupt(Deferred.await(told), () => Effect.sync(() => this.remove(id, waiter)))
  }

  private add(id: string, waiter: Waiter<A, E>): void {
    const waiters = this.byId.get(id)
    // Mostly there is one.
    if (waiters === undefined) this.byId.set(id, waiter)
    else if (typeof waiters === "function") this.byId.set(id, new Set([waiters, waiter]))
    else waiters.add(waiter)
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
