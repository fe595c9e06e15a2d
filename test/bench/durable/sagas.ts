import { Duration, Effect, Layer, Schema } from "effect"
import { Durable, DurableSaga, type SagaEngine, Signal, Step } from "effect-saga"

/*
 * The durable sagas that are measured. Their steps do nothing, and count what they did, so that an engine that skips work
 * is found out.
 */

/** What the steps, and those that wait, have done since the process started. */
export const done = { actions: 0, compensations: 0, waiting: 0, woken: 0 }

const idle = (name: string) =>
  Step.make(name, {
    action: () =>
      Effect.sync(() => {
        done.actions++
      }),
    compensate: () =>
      Effect.sync(() => {
        done.compensations++
      })
  })

const steps = [idle("reserve-hotel"), idle("book-flight"), idle("charge-card")] as const

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {}) {}

/* One for all sagas: what is measured is not how long the runtime takes to capture a stack trace. */
const outOfStock = new OutOfStock()

const payload = Schema.Struct({ id: Schema.String })

export const Trip = DurableSaga.make("Trip", { payload, error: OutOfStock, idempotencyKey: ({ id }) => id })

/** So many steps; where it fails, it does so after the last one, and all are undone. */
export const tripLayer = (size: number, fails: boolean): Layer.Layer<never, never, SagaEngine.SagaEngine> =>
  Trip.toLayer(Effect.fnUntraced(function*() {
    for (let index = 0; index < size; index++) yield* steps[index % steps.length]!()
    if (fails) yield* outOfStock
  }))

export const Go = Signal.make("go", Schema.Void)

export const SignalledTrip = DurableSaga.make("SignalledTrip", { payload, idempotencyKey: ({ id }) => id })

export const DelayedTrip = DurableSaga.make("DelayedTrip", {
  payload: Schema.Struct({ id: Schema.String, millis: Schema.Number }),
  idempotencyKey: ({ id }) => id
})

/** Both wait after one step. */
export const waitingLayer: Layer.Layer<never, never, SagaEngine.SagaEngine> = Layer.mergeAll(
  SignalledTrip.toLayer(Effect.fnUntraced(function*() {
    yield* steps[0]()
    done.waiting++
    yield* Go.await
    done.woken++
  })),
  DelayedTrip.toLayer(Effect.fnUntraced(function*({ millis }) {
    yield* steps[0]()
    done.waiting++
    yield* Durable.sleep(Duration.millis(millis))
    done.woken++
  }))
)
