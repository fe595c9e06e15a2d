import { Context, Effect, Layer, Schema } from "effect"
import type { CancelFailed } from "./CancelFailed.ts"
import { makeStock, type Stock, type StockOptions } from "./stock.ts"

export class Car extends Schema.Class<Car>("examples/travel/Car")({
  id: Schema.String
}) {}

export class NoCar extends Schema.TaggedError<NoCar>()("NoCar", { reason: Schema.String }) {
  override get message(): string {
    return `no car: ${this.reason}`
  }
}

export class Cars extends Context.Service<Cars, {
  /** Books a car for a trip under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string, trip: string) => Effect.Effect<Car, NoCar>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void, CancelFailed>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Cars") {
  static readonly fromStock = (stock: Stock<NoCar>): typeof Cars.Service => ({
    ...stock,
    book: (id, trip) => Effect.as(stock.book(id, trip), new Car({ id }))
  })

  static readonly layerMemory = (options: StockOptions): Layer.Layer<Cars> =>
    Layer.effect(Cars, Effect.map(makeStock(options, (reason) => new NoCar({ reason })), Cars.fromStock))
}
