import { Context, Effect, Layer, Schema } from "effect"
import { makeStock, type StockOptions } from "./stock.ts"

export class Car extends Schema.Class<Car>("examples/travel/Car")({
  id: Schema.String
}) {}

export class NoCar extends Schema.TaggedError<NoCar>()("NoCar", { reason: Schema.String }) {
  override get message(): string {
    return `no car: ${this.reason}`
  }
}

export class Cars extends Context.Service<Cars, {
  /** Books a car under `id`. A second booking with the same id is the first one. */
  readonly book: (id: string) => Effect.Effect<Car, NoCar>
  /** Cancels the booking, where there is one. */
  readonly cancel: (id: string) => Effect.Effect<void>
  readonly available: Effect.Effect<number>
}>()("examples/travel/Cars") {
  static readonly layerMemory = (options: StockOptions): Layer.Layer<Cars> =>
    Layer.effect(
      Cars,
      Effect.map(makeStock(options, (reason) => new NoCar({ reason })), (stock) => ({
        ...stock,
        book: (id) => Effect.as(stock.book(id), new Car({ id }))
      }))
    )
}
