import type { Ownership } from "../internal/store.ts"

/*
 * What proves in a transaction of business data that its engine still owns the store: the row of the owner has this epoch.
 */

export interface Fence {
  /** The schema of the store. Its database is that of the transaction. */
  readonly schema: string
  readonly epoch: number
  /** The id of the store, which no other one has, whatever it is called. */
  readonly store: string
}

/** The property of an ownership that has its fence. It is copied with the others. */
export const FenceId = "~effect-saga/postgres/Fence"

/** An ownership of a store in PostgreSQL. */
export interface FencedOwnership extends Ownership {
  readonly [FenceId]: Fence
}

/** The fence of an ownership; `undefined` where its store is not in PostgreSQL. */
export const fenceOf = (ownership: Ownership): Fence | undefined => isFenced(ownership) ? ownership[FenceId] : undefined

const isFenced = (ownership: Ownership): ownership is FencedOwnership => FenceId in ownership
