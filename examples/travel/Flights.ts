import { Context, Effect, Layer, Schema } from "effect"
import type { CancelFailed } from "./CancelFailed.ts"
import { makeStock, type Stock, type StockOptions } from "./stock.ts"

export class Flight extends Schema.Class<Flight>("examples/travel/Flight")({
  id: Schema.String
}) {}

export class NoSeat extends Schema.TaggedError<NoSeat>()("NoSeat", { reason: Schema.String }) {
  override get message(): string {
    return `no seat: ${this.reason}`
  }
}

export class Flights extends Context.Service<Flights, {
  /** Books a seat for a trip under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string, trip: string) => Effect.Effect<Flight, NoSeat>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void, CancelFailed>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Flights") {
  static readonly fromStock = (stock: Stock<NoSeat>): typeof Flights.Service => ({
    ...stock,
    book: (id, trip) => Effect.as(stock.book(id, trip), new Flight({ id }))
  })

  static readonly layerMemory = (options: StockOptions): Layer.Layer<Flights> =>
    Layer.effect(Flights, Effect.map(makeStock(options, (reason) => new NoSeat({ reason })), Flights.fromStock))
}
