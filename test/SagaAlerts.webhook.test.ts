import { assert, describe, it } from "@effect/vitest"
import { Cause, type Duration, Effect, Fiber, Layer, Logger, Redacted, Schedule, Schema } from "effect"
import { DurableSaga, SagaAlerts, SagaEngine, SagaStore, Step } from "effect-saga"
import { FetchHttpClient, HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import { causeOf } from "./support/results.ts"
import { makeReceiver, type Received } from "./support/webhookServer.ts"

const base64 = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

const secret = Redacted.make(`whsec_${base64}`)

const parked: SagaAlerts.ParkedAlert = {
  _tag: "Parked",
  v: 1,
  id: "Order/7#12",
  execution: {
    key: 1,
    id: "Order/7",
    definition: "Order",
    version: 1,
    status: "Parked",
    cancelled: false,
    reason: "Step \"charge\" could not be undone: BankClosed.",
    error: "BankClosed",
    attributes: { customer: "ada" },
    parent: null,
    createdAt: 1,
    updatedAt: 2
  },
  at: 2,
  kind: "CompensationFailed",
  step: "charge",
  steps: [],
  reason: "Step \"charge\" could not be undone: BankClosed.",
  cause: { _tag: "Failures", failures: [] },
  isRepeated: false,
  remaining: ["charge", "réserve"]
}

const compensationFailed: SagaAlerts.CompensationFailedAlert = {
  _tag: "CompensationFailed",
  v: 1,
  id: "Order/7#14",
  execution: parked.execution,
  at: 3,
  isRepeated: false,
  step: "charge",
  attempt: 3,
  cause: { _tag: "Sealed" },
  isGivenUp: true,
  remaining: []
}

/** What a webhook does with an alert. */
const tell = (options: SagaAlerts.WebhookOptions, alert: SagaAlerts.Alert = parked) =>
  Effect.flatMap(
    SagaAlerts.webhook(options),
    ({ handlers: [handler] }) =>
      alert._tag === "Parked" ? handler!.onParked!(alert) : handler!.onCompensationFailed!(alert)
  ).pipe(
    Effect.provide(FetchHttpClient.layer)
  )

const signatureOf = ({ body, headers }: Received, key: Uint8Array | string) =>
  `v1,${
    createHmac("sha256", key).update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`).digest(
      "base64"
    )
  }`

/**
 * Lets time pass until `self` has ended. What is real gets time of its own: none passes while a request is on its way, unless
 * the receiver has got it and does not answer, nor for a while after that.
 */
const whileTimePasses = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { step = "1 second", unanswered = () => 0 }: { readonly step?: Duration.Input; readonly unanswered?: () => number } =
    {}
) =>
  Effect.gen(function*() {
    let requests = 0
    const fetching: typeof fetch = (...request) => {
      requests++
      return fetch(...request).finally(() => requests--)
    }
    const fiber = yield* Effect.forkChild(Effect.provideService(self, FetchHttpClient.Fetch, fetching))
    let quiet = 0
    while (fiber.pollUnsafe() === undefined) {
      yield* realTime
      quiet = requests === unanswered() ? quiet + 1 : 0
      if (quiet === 5) {
        quiet = 0
        yield* TestClock.adjust(step)
      }
    }
    return yield* Fiber.join(fiber)
  })

const realTime = Effect.callback<void>((resume) => {
  setTimeout(() => resume(Effect.void), 2)
})

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

describe("A webhook", () => {
  it.effect("posts the JSON of the alert, which its schema reads", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 204 })

      yield* tell({ url: `${receiver.url}/alerts?team=1`, secret })
      yield* tell({ url: new URL(receiver.url), secret }, compensationFailed)

      const [first, second] = [yield* receiver.next, yield* receiver.next]
      assert.deepInclude(first, { method: "POST", path: "/alerts?team=1" })
      assert.strictEqual(first.headers["content-type"], "application/json")
      const read = Schema.decodeUnknownSync(Schema.fromJsonString(SagaAlerts.Alert))
      assert.deepStrictEqual([read(first.body), read(second.body)], [parked, compensationFailed])
    }))

  it.effect("signs as Standard Webhooks says, with the bytes behind whsec_ or those of the text", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 200 })
      yield* TestClock.setTime(1_767_603_600_900)

      yield* tell({ url: receiver.url, secret })
      yield* tell({ url: receiver.url, secret: Redacted.make("plain s€cret") })

      const [first, second] = [yield* receiver.next, yield* receiver.next]
      assert.strictEqual(first.headers["webhook-id"], "Order/7#12")
      assert.strictEqual(first.headers["webhook-timestamp"], "1767603600")
      assert.strictEqual(first.headers["webhook-signature"], signatureOf(first, Buffer.from(base64, "base64")))
      assert.strictEqual(second.headers["webhook-signature"], signatureOf(second, "plain s€cret"))
    }))

  it.effect("encodes what a header can't hold in the id of the alert", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 200 })

      yield* tell({ url: receiver.url, secret }, { ...parked, id: "Order/ü.7\n#12" })

      const request = yield* receiver.next
      assert.strictEqual(request.headers["webhook-id"], "Order/%C3%BC%2E7%0A#12")
      assert.strictEqual(request.headers["webhook-signature"], signatureOf(request, Buffer.from(base64, "base64")))
    }))

  it.effect("tries again after errors that may pass, with the same id and a fresh timestamp", () =>
    Effect.gen(function*() {
      const statuses = [500, 503, 408, 425, 429, 200]
      const receiver = yield* makeReceiver(...statuses.map((status) => ({ status })))
      yield* TestClock.setTime(900)

      yield* whileTimePasses(tell({ url: receiver.url, secret }))

      const requests = yield* Effect.forEach(statuses, () => receiver.next)
      assert.strictEqual(yield* receiver.requests, statuses.length)
      assert.strictEqual(new Set(requests.map(({ headers }) => headers["webhook-id"])).size, 1)
      const times = requests.map(({ headers }) => Number(headers["webhook-timestamp"]))
      assert.strictEqual(new Set(times).size, statuses.length)
      // 1 + 2 + 4 + 8 + 16 seconds, each up to a fifth more or less, and what the requests take.
      assert.isAtLeast(times.at(-1)!, 25)
      assert.isAtMost(times.at(-1)!, 60)
      for (const request of requests) {
        assert.strictEqual(request.headers["webhook-signature"], signatureOf(request, Buffer.from(base64, "base64")))
      }
    }))

  it.effect("tries again where nobody answers in time", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver("never", { status: 200 })

      yield* whileTimePasses(tell({ url: receiver.url, secret, timeout: "3 seconds" }), receiver)

      assert.strictEqual(yield* receiver.requests, 2)
    }))

  it.effect("waits for as long as the answer says", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 429, headers: { "retry-after": "100" } }, { status: 200 })

      yield* whileTimePasses(tell({ url: receiver.url, secret }))

      const [first, second] = [yield* receiver.next, yield* receiver.next]
      const waited = Number(second.headers["webhook-timestamp"]) - Number(first.headers["webhook-timestamp"])
      assert.isAtLeast(waited, 100)
    }))

  it.effect("does not try again what the receiver refuses, and says what it answered", () =>
    Effect.gen(function*() {
      for (const status of [301, 400, 401, 404, 410]) {
        const receiver = yield* makeReceiver({ status })

        const error = yield* Effect.flip(whileTimePasses(tell({ url: receiver.url, secret })))

        assert.strictEqual(yield* receiver.requests, 1)
        const problem = status === 301
          ? "it was redirected; give the address that it was redirected to"
          : `it answered ${status}`
        assert.strictEqual(messageOf(error), `The webhook at ${receiver.host} was not told: ${problem}.`)
      }
    }))

  it.effect("follows no redirect, so nobody else gets what it sends", () =>
    Effect.gen(function*() {
      for (const status of [301, 302, 307, 308]) {
        const other = yield* makeReceiver({ status: 200 })
        const receiver = yield* makeReceiver({ status, headers: { location: other.url } })

        const error = yield* Effect.flip(
          tell({ url: receiver.url, secret, headers: { "x-key": Redacted.make("t0ken") } })
        )

        assert.include(messageOf(error), "it was redirected")
        assert.deepStrictEqual([yield* receiver.requests, yield* other.requests], [1, 0])
      }
    }))

  it.effect("asks fetch to follow no redirect, and otherwise as its user wants it", () =>
    Effect.gen(function*() {
      const asked: Array<RequestInit | undefined> = []
      const fetch: typeof globalThis.fetch = (_, init) => {
        asked.push(init)
        return Promise.resolve(new Response())
      }

      yield* tell({ url: "https://example.com", secret }).pipe(
        Effect.provideService(FetchHttpClient.Fetch, fetch),
        Effect.provideService(FetchHttpClient.RequestInit, { redirect: "follow", cache: "no-store" })
      )

      assert.lengthOf(asked, 1)
      assert.deepInclude(asked[0], { redirect: "manual", cache: "no-store" })
    }))

  it.effect("takes a redirect that its client follows for no success", () =>
    Effect.gen(function*() {
      const other = yield* makeReceiver({ status: 200 })
      const receiver = yield* makeReceiver({ status: 302, headers: { location: other.url } })
      const following = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.followRedirects())
      ).pipe(Layer.provide(FetchHttpClient.layer))

      const error = yield* Effect.flatMap(
        SagaAlerts.webhook({ url: receiver.url, secret }),
        ({ handlers: [handler] }) => Effect.flip(handler!.onParked!(parked))
      ).pipe(Effect.provide(following))

      assert.strictEqual(yield* other.requests, 1)
      assert.include(messageOf(error), "it was redirected")
    }))

  it.effect("tries as often as the schedule that it is given says", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 500 })
      const retry = Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(2)])

      const error = yield* Effect.flip(whileTimePasses(tell({ url: receiver.url, secret, retry })))

      assert.strictEqual(yield* receiver.requests, 3)
      assert.include(messageOf(error), "it answered 500")
    }))

  it.effect("gives up after a quarter of an hour", () =>
    Effect.gen(function*() {
      const { host, url } = yield* Effect.scoped(makeReceiver("never"))
      const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)

      const error = yield* Effect.flip(whileTimePasses(tell({ url, secret }), { step: "10 seconds" }))

      const passed = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - start
      assert.isAtLeast(passed, 13 * 60_000)
      assert.isAtMost(passed, 18 * 60_000)
      assert.strictEqual(
        messageOf(error),
        `The webhook at ${host} was not told: it could not be reached (ECONNREFUSED).`
      )
    }))

  it.effect("sends the headers that it was given, and the user and password of its address as one", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 200 })

      yield* tell({
        url: Redacted.make(`http://ada:p%40ss@${receiver.host}/`),
        secret,
        headers: { "X-Team": "one", "x-token": Redacted.make("t0ken") }
      })

      const { headers } = yield* receiver.next
      assert.deepInclude(headers, {
        "authorization": `Basic ${Buffer.from("ada:p@ss").toString("base64")}`,
        "x-team": "one",
        "x-token": "t0ken"
      })
    }))

  it.effect("shows neither its secret nor more than the host of its address, whatever goes wrong", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(makeReceiver("never"))
      const receiver = yield* makeReceiver({ status: 400 })
      const lines: Array<string> = []
      const logger = Logger.make((options) => {
        lines.push(Logger.formatJson.log(options), Logger.formatLogFmt.log(options))
      })
      const options = (host: string) => ({
        url: Redacted.make(`http://user:hunter2@${host}/T0KEN?key=K3Y`),
        secret,
        headers: { "x-key": Redacted.make("h3ader") },
        retry: Schedule.recurs(0)
      })
      const Order = DurableSaga.make("Order", {
        payload: Schema.String,
        error: Schema.String,
        idempotencyKey: (id) => id
      })
      const charge = Step.make("charge", {
        compensationError: Schema.String,
        action: () => Effect.void,
        compensate: () => Effect.fail("closed")
      })
      const layer = Order.toLayer(() => Effect.andThen(charge(), Effect.fail("stop"))).pipe(
        Layer.provideMerge(SagaEngine.layer()),
        Layer.provide([
          SagaStore.layerMemory,
          SagaAlerts.layerWebhook(options(gone.host)).pipe(
            Layer.provide(SagaAlerts.layerWebhook(options(receiver.host))),
            Layer.provide(FetchHttpClient.layer)
          )
        ]),
        Layer.provideMerge(Logger.layer([logger]))
      )

      yield* Effect.gen(function*() {
        yield* Order.start("7")
        while (lines.filter((line) => line.includes("The handler of alert")).length < 4) yield* realTime
      }).pipe(Effect.provide(layer))

      const text = lines.join("\n")
      assert.include(text, `The webhook at ${receiver.host} was not told: it answered 400.`)
      assert.include(text, `The webhook at ${gone.host} was not told: it could not be reached (ECONNREFUSED).`)
      for (const hidden of ["hunter2", "T0KEN", "K3Y", "h3ader", base64, Redacted.value(secret)]) {
        assert.notInclude(text, hidden)
      }
    }))

  it.effect("is not traced, as its address may hold secrets", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 200 })

      yield* Effect.withSpan(tell({ url: receiver.url, secret }), "outside")

      assert.isUndefined((yield* receiver.next).headers["traceparent"])
    }))

  it.effect("asks whatever client it is given", () =>
    Effect.gen(function*() {
      const receiver = yield* makeReceiver({ status: 404 })
      const strict = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.filterStatusOk)
      ).pipe(Layer.provide(FetchHttpClient.layer))

      const error = yield* Effect.flatMap(
        SagaAlerts.webhook({ url: receiver.url, secret }),
        ({ handlers: [handler] }) => Effect.flip(handler!.onParked!(parked))
      ).pipe(Effect.provide(strict))

      assert.include(messageOf(error), "it answered 404")
    }))

  it("refuses what can't be right, and never shows it", () => {
    const url = "https://example.com/T0KEN"
    const refusal = (options: object | undefined): string => {
      const exit = Effect.runSyncExit(Effect.sync(() => SagaAlerts.webhook(options as never)))
      const error = Cause.squash(causeOf(exit))
      assert.instanceOf(error, RangeError)
      return messageOf(error)
    }

    const address = "SagaAlerts.webhook: url has to be an address that begins with http: or https:"
    for (const wrong of ["T0KEN", "ftp://example.com/T0KEN", "", Redacted.make("T0KEN")]) {
      assert.strictEqual(refusal({ url: wrong, secret }), address)
    }
    for (const wrong of ["plain T0KEN", Redacted.make(""), Redacted.make("whsec_"), Redacted.make("whsec_T0KEN!")]) {
      assert.match(refusal({ url, secret: wrong }), /^SagaAlerts\.webhook: secret has to be a Redacted text/)
      assert.notInclude(refusal({ url, secret: wrong }), "T0KEN")
    }
    assert.include(refusal({ url, secret, headers: { "Webhook-Id": "1" } }), "headers can't have Webhook-Id")
    assert.include(refusal({ url, secret, timeout: 0 }), "SagaAlerts.webhook: timeout has to be a positive")
    assert.include(refusal({ url, secret, retry: 3 }), "SagaAlerts.webhook: retry has to be a Schedule")
    assert.include(refusal({ url, secret, retries: 3 }), "retries")
    assert.include(refusal(undefined), "SagaAlerts.webhook: options has to be an object")
  })
})
