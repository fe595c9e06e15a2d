/*
 * A limited stock, booked by id: booking twice with one id is one booking, cancelling is idempotent, and an id that was
 * cancelled can't be booked any more. So both may be repeated safely, whatever became of the first call.
 */
import { Effect, Random, Ref } from "effect"
import type { CancelFailed } from "./CancelFailed.ts"

export interface StockOptions {
  readonly capacity: number
  /** How often a booking fails although there is something left, from 0 to 1. */
  readonly failureRate?: number
}

/** What a service does with its stock, whatever it books. */
export interface Stock<E> {
  /** Books one piece for a trip under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string, trip: string) => Effect.Effect<void, E>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void, CancelFailed>
  readonly available: Effect.Effect<number>
}

type Bookings = ReadonlyMap<string, "booked" | "cancelled">

/** `busy` passes, and so may be worth another call. */
export type Refusal = "sold out" | "unavailable" | "busy" | "cancelled before"

export const makeStock = Effect.fnUntraced(function*<E>(
  { capacity, failureRate = 0 }: StockOptions,
  refuse: (reason: Refusal) => E
) {
  const bookings = yield* Ref.make<Bookings>(new Map())
  const free = (all: Bookings) => capacity - Array.from(all.values()).filter((status) => status === "booked").length

  // One transaction of the service: it decides and books at once.
  const decide = (id: string, reachable: boolean) => (all: Bookings): readonly [Refusal | undefined, Bookings] => {
    const status = all.get(id)
    if (!reachable) return ["unavailable", all]
    if (status === "booked") return [undefined, all]
    if (status === "cancelled") return ["cancelled before", all]
    return free(all) === 0 ? ["sold out", all] : [undefined, new Map(all).set(id, "booked")]
  }

  const stock: Stock<E> = {
    available: Effect.map(Ref.get(bookings), free),
    book: Effect.fnUntraced(function*(id: string) {
      yield* Effect.yieldNow // the way to the service, where others get in between
      const reachable = (yield* Random.next) >= failureRate
      const refusal = yield* Ref.modify(bookings, decide(id, reachable))
      if (refusal !== undefined) return yield* Effect.fail(refuse(refusal))
    }),
    cancel: (id: string) => Ref.update(bookings, (all) => new Map(all).set(id, "cancelled"))
  }
  return stock
})
