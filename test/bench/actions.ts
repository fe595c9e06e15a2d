import { Data, Effect } from "effect"

/*
 * The work of the steps, three kinds of it. All count what they did, so that a variant that skips work is found out.
 *
 * `service`: a method as Effect's documentation recommends to write it, with `Effect.fnUntraced`, and synchronous.
 * `sync`: the smallest effect there is.
 * `async`: a promise that has already been resolved, so a turn of the microtask queue and nothing to wait for.
 */

export const kinds = ["service", "sync", "async"] as const

export type Kind = typeof kinds[number]

export class OutOfStock extends Data.TaggedError("OutOfStock")<{}> {}

/* One for all runs: what is measured is not how long the runtime takes to capture a stack trace. */
const outOfStock = new OutOfStock()

/** What the steps have done since the process started. */
export const done = { reserved: 0, released: 0 }

const reserveOne = (item: number): number => {
  done.reserved++
  return item
}

const releaseOne = (): void => {
  done.released++
}

export interface EffectActions {
  readonly reserve: (item: number) => Effect.Effect<number>
  readonly release: (item: number) => Effect.Effect<void>
  readonly refuse: () => Effect.Effect<number, OutOfStock>
}

export const effectActions: Record<Kind, EffectActions> = {
  service: {
    reserve: Effect.fnUntraced(function*(item: number) {
      return yield* Effect.sync(() => reserveOne(item))
    }),
    release: Effect.fnUntraced(function*(_item: number) {
      yield* Effect.sync(releaseOne)
    }),
    refuse: Effect.fnUntraced(function*() {
      return yield* Effect.fail(outOfStock)
    })
  },
  sync: {
    reserve: (item) => Effect.sync(() => reserveOne(item)),
    release: () => Effect.sync(releaseOne),
    refuse: () => Effect.fail(outOfStock)
  },
  async: {
    reserve: (item) => Effect.promise(() => Promise.resolve(reserveOne(item))),
    release: () => Effect.promise(() => Promise.resolve(releaseOne())),
    refuse: () => Effect.tryPromise({ try: () => Promise.reject<number>(outOfStock), catch: () => outOfStock })
  }
}

export interface PromiseActions {
  readonly reserve: (item: number) => number | Promise<number>
  readonly release: (item: number) => void | Promise<void>
  readonly refuse: () => number | Promise<number>
}

/* The same for code without Effect: an async method that awaits, a plain function, a resolved promise. */
export const promiseActions: Record<Kind, PromiseActions> = {
  service: {
    reserve: async (item) => await reserveOne(item),
    release: async () => {
      await releaseOne()
    },
    refuse: async () => {
      throw outOfStock
    }
  },
  sync: {
    reserve: reserveOne,
    release: releaseOne,
    refuse: () => {
      throw outOfStock
    }
  },
  async: {
    reserve: (item) => Promise.resolve(reserveOne(item)),
    release: () => Promise.resolve(releaseOne()),
    refuse: () => Promise.reject(outOfStock)
  }
}
