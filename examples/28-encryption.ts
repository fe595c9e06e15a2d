/*
 * What sagas are given, return and fail with is stored through a codec: here AES-GCM, with a key from the configuration. The
 * file has the names of steps and the ids of executions, so an idempotency key must not be a secret; but nothing of what is
 * in a payload. With another key nothing is lost, either: the saga is parked until the right one is back.
 */
import { Config, ConfigProvider, Console, Effect, Layer, Logger, Redacted, Schema } from "effect"
import { DurableSaga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

const Payment = Schema.Struct({ id: Schema.String, card: Schema.String })

const charge = Step.make("charge", {
  input: Payment,
  success: Schema.String,
  action: ({ card }) => Effect.succeed(`receipt for ${card}`),
  compensate: (receipt) => Console.log(`  refund, ${receipt}`)
})

const ship = Step.make("ship", {
  input: Schema.String,
  error: Refused,
  action: (address) => new Refused({ why: `nobody lives at ${address}` })
})

const Address = Signal.make("address", Schema.String)

const Order = DurableSaga.make("Order", { payload: Payment, error: Refused, idempotencyKey: ({ id }) => id })

const OrderLayer = Order.toLayer(Effect.fnUntraced(function*(payment) {
  yield* charge(payment)
  yield* ship(yield* Address.await)
}))

/** Encrypts JSON to `iv.ciphertext`, both in base64. */
const aesGcm = Effect.fnUntraced(function*(secret: Redacted.Redacted) {
  const bytes = Buffer.from(Redacted.value(secret), "base64")
  const key = yield* Effect.promise(() =>
    crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"])
  )
  const codec: SagaEngine.PayloadCodec = {
    encode: (json) =>
      Effect.promise(async () => {
        const iv = crypto.getRandomValues(new Uint8Array(12))
        const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, Buffer.from(JSON.stringify(json)))
        return `${Buffer.from(iv).toString("base64")}.${Buffer.from(sealed).toString("base64")}`
      }),
    decode: (stored) =>
      Effect.tryPromise({
        try: async () => {
          const [iv, sealed] = String(stored).split(".").map((part) => Buffer.from(part, "base64"))
          const opened = await crypto.subtle.decrypt({ name: "AES-GCM", iv: iv! }, key, sealed!)
          return JSON.parse(Buffer.from(opened).toString())
        },
        catch: () => new Error("this key does not open it")
      })
  }
  return codec
})

const Engine = Layer.unwrap(Effect.gen(function*() {
  const secret = yield* Config.Redacted("SAGA_KEY")
  return SagaEngine.layer({ codec: yield* aesGcm(secret) })
}))

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const makeKey = (seed: string) => Buffer.alloc(32, seed).toString("base64")

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  const withKey = (key: string) =>
    Effect.provide(OrderLayer.pipe(
      Layer.provideMerge(Engine),
      Layer.provide([
        SagaStore.layerSqlite({ filename: join(folder, "sagas.db") }),
        ConfigProvider.layer(ConfigProvider.fromUnknown({ SAGA_KEY: key }))
      ])
    ))
  const find = (text: string) =>
    Effect.suspend(() => {
      const files = readdirSync(folder).map((file) => readFileSync(join(folder, file)))
      return Console.log(`  "${text}" is ${files.some((file) => file.includes(text)) ? "" : "not "}in the file`)
    })

  yield* Console.log("An order waits for its address")
  const id = yield* Order.start({ id: "order-7", card: "4111 1111" }).pipe(withKey(makeKey("right")))

  yield* Console.log("Another key")
  yield* Effect.gen(function*() {
    const engine = yield* SagaEngine.SagaEngine
    const { reason } = yield* Effect.repeat(engine.get(id), { until: ({ status }) => status === "Parked" })
    yield* Console.log(`  ${reason}`)
  }).pipe(withKey(makeKey("wrong")))

  yield* Console.log("The right key")
  yield* Effect.gen(function*() {
    yield* Order.signal(id, Address, "12 Elm Street")
    yield* Order.await(id).pipe(Effect.catchTag("Refused", ({ why }) => Console.log(`  = ${why}`)))
    yield* Effect.forEach([id, "charge", "address", "4111 1111", "receipt for", "12 Elm Street", "nobody lives"], find)
  }).pipe(withKey(makeKey("right")))
}).pipe(
  // The engine logs that a saga is parked, too: with the time, so not here.
  Effect.provide(Logger.layer([])),
  Effect.scoped,
  Effect.orDie
)

if (import.meta.main) await Effect.runPromise(program)
