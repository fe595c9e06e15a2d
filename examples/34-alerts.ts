/*
 * A refund that fails parks its saga, and nobody looks at the log at night. So the alert is posted, signed, to where people
 * are told, which is away at first and is tried again. What it posts is all that they need to decide.
 */
import { Console, Effect, Layer, Logger, Queue, Redacted, Schedule, Schema } from "effect"
import { DurableSaga, SagaAlerts, SagaEngine, SagaStore, Step } from "effect-saga"
import { FetchHttpClient } from "effect/http"
import { createHmac, timingSafeEqual } from "node:crypto"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"

class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", {}) {}
class BankClosed extends Schema.TaggedError<BankClosed>()("BankClosed", {}) {}

const reserve = Step.make("reserve", { action: () => Effect.void, compensate: () => Effect.void })

const charge = Step.make("charge", {
  compensationError: BankClosed,
  action: () => Effect.void,
  compensate: () => new BankClosed()
})

const ship = Step.make("ship", { error: NoCourier, action: () => new NoCourier() })

const Order = DurableSaga.make("Order", { payload: Schema.String, error: NoCourier, idempotencyKey: (order) => order })

const OrderLayer = Order.toLayer(Effect.fnUntraced(function*() {
  yield* reserve()
  yield* charge()
  yield* ship()
}))

/* From the configuration, in a real program. */
const secret = "bm9ib2R5IGVsc2Uga25vd3MgdGhpcw=="

const readAlert = Schema.decodeEffect(Schema.fromJsonString(SagaAlerts.Alert))

/** What the receiver does first: whether the request comes from somebody who knows the secret. */
const isSigned = (headers: IncomingHttpHeaders, body: string): boolean => {
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`
  const expected = `v1,${createHmac("sha256", Buffer.from(secret, "base64")).update(signed).digest("base64")}`
  const actual = String(headers["webhook-signature"])
  return actual.length === expected.length && timingSafeEqual(Buffer.from(actual), Buffer.from(expected))
}

/** A receiver that is away when it is told for the first time. */
const startReceiver = Effect.fnUntraced(function*() {
  const requests = yield* Queue.unbounded<
    { readonly status: number; readonly isSigned: boolean; readonly body: string }
  >()
  let isAway = true
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (part: string) => body += part).on("end", () => {
      const status = isAway ? 503 : 204
      isAway = false
      Queue.offerUnsafe(requests, { status, isSigned: isSigned(request.headers, body), body })
      response.writeHead(status).end()
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.sync(() => server.close())
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts`, requests }
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const receiver = yield* startReceiver()
  const lines = yield* Queue.unbounded<string>()

  const alerts = SagaAlerts.layerWebhook({
    url: receiver.url,
    secret: Redacted.make(`whsec_${secret}`),
    retry: Schedule.spaced("10 millis")
  }).pipe(
    Layer.provide([SagaAlerts.layer(SagaAlerts.log), FetchHttpClient.layer])
  )
  // The lines of a log have the time. Here are their messages alone.
  const logger = Logger.layer([Logger.make(({ message }) => Queue.offerUnsafe(lines, String(message)))])
  const engine = SagaEngine.layer().pipe(Layer.provide([SagaStore.layerMemory, alerts]))

  yield* Effect.gen(function*() {
    yield* Order.start("order-1")

    yield* Console.log("In the log:")
    yield* Console.log(`  ${yield* Queue.take(lines)}`)

    yield* Console.log("Posted:")
    for (const _ of ["first", "second"]) {
      const { body, isSigned, status } = yield* Queue.take(receiver.requests)
      yield* Console.log(`  ${isSigned ? "signed" : "forged"}, answered ${status}`)
      if (status !== 204) continue
      const alert = yield* readAlert(body)
      yield* Console.log(`  ${alert._tag} ${alert.id}: step ${alert.step}, left to undo: ${alert.remaining.join(", ")}`)
    }
  }).pipe(
    Effect.provide(OrderLayer.pipe(Layer.provideMerge(engine), Layer.provide(logger)))
  )
}).pipe(Effect.scoped, Effect.orDie)

if (import.meta.main) await Effect.runPromise(program)
