import { Context, Effect, Layer, Schema } from "effect"
import { makeStock, type StockOptions } from "./stock.ts"

export class Flight extends Schema.Class<Flight>("examples/travel/Flight")({
  id: Schema.String
}) {}

export class NoSeat extends Schema.TaggedError<NoSeat>()("NoSeat", { reason: Schema.String }) {
  override get message(): string {
    return `no seat: ${this.reason}`
  }
}

export class Flights extends Context.Service<Flights, {
  /** Books a seat under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string) => Effect.Effect<Flight, NoSeat>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Flights") {
  static readonly layerMemory = (options: StockOptions): Layer.Layer<Flights> =>
    Layer.effect(
      Flights,
      Effect.map(makeStock(options, (reason) => new NoSeat({ reason })), (stock) => ({
        ...stock,
        book: (id) => Effect.as(stock.book(id), new Flight({ id }))
      }))
    )
}
