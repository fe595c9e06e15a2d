import { Effect, Layer } from "effect"
import { SagaStore } from "effect-saga"
import { suite, TakeOver } from "./support/storeSuite.ts"

suite(
  "SagaStore.makeMemory",
  Layer.unwrap(
    Effect.map(SagaStore.makeMemory, ({ layer, takeOver }) => Layer.merge(layer, Layer.succeed(TakeOver, takeOver)))
  )
)
