import { Context, Effect, Layer, Schema } from "effect"
import { makeStock, type StockOptions } from "./stock.ts"

export class Room extends Schema.Class<Room>("examples/travel/Room")({
  id: Schema.String
}) {}

export class NoRoom extends Schema.TaggedError<NoRoom>()("NoRoom", { reason: Schema.String }) {
  override get message(): string {
    return `no room: ${this.reason}`
  }
}

export class Hotels extends Context.Service<Hotels, {
  /** Books a room under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string) => Effect.Effect<Room, NoRoom>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Hotels") {
  static readonly layerMemory = (options: StockOptions): Layer.Layer<Hotels> =>
    Layer.effect(
      Hotels,
      Effect.map(makeStock(options, (reason) => new NoRoom({ reason })), (stock) => ({
        ...stock,
        book: (id) => Effect.as(stock.book(id), new Room({ id }))
      }))
    )
}
