import { Context, Effect, Layer } from "effect"
import { SagaStore } from "effect-saga"
import { OpenAgain, suite, TakeOver } from "./support/storeSuite.ts"

suite(
  "SagaStore.makeMemory",
  Layer.unwrap(
    Effect.map(SagaStore.makeMemory, ({ layer, takeOver }) =>
      Layer.mergeAll(
        layer,
        Layer.succeed(TakeOver, takeOver),
        Layer.succeed(OpenAgain, Effect.map(Layer.build(layer), Context.get(SagaStore.SagaStore)))
      ))
  )
)
