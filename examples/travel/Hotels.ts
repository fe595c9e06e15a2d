import { Context, Effect, Layer, Schema } from "effect"
import type { CancelFailed } from "./CancelFailed.ts"
import { makeStock, type Stock, type StockOptions } from "./stock.ts"

export class Room extends Schema.Class<Room>("examples/travel/Room")({
  id: Schema.String
}) {}

export class NoRoom extends Schema.TaggedError<NoRoom>()("NoRoom", { reason: Schema.String }) {
  override get message(): string {
    return `no room: ${this.reason}`
  }
}

export class Hotels extends Context.Service<Hotels, {
  /** Books a room for a trip under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string, trip: string) => Effect.Effect<Room, NoRoom>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void, CancelFailed>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Hotels") {
  static readonly fromStock = (stock: Stock<NoRoom>): typeof Hotels.Service => ({
    ...stock,
    book: (id, trip) => Effect.as(stock.book(id, trip), new Room({ id }))
  })

  static readonly layerMemory = (options: StockOptions): Layer.Layer<Hotels> =>
    Layer.effect(Hotels, Effect.map(makeStock(options, (reason) => new NoRoom({ reason })), Hotels.fromStock))
}
