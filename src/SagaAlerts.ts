/**
 * Who is told when a durable execution can't go on without a decision, or goes on without having undone a step.
 *
 * Alerts come from the engine: provide them to its layer. Ready-made are a log and a webhook.
 *
 * **Details**
 *
 * - An alert is told when what it is about is durable. It is read from the store, so it says the same of executions that
 *   run, that nobody runs, and that were parked before the engine started. What has been decided on by then needs nobody,
 *   and is not told.
 * - What a handler does never touches a saga: nobody waits for it, and where it fails, dies or does not end within 30 minutes,
 *   that is logged as a warning.
 * - Each handler has up to 16 alerts at once, those of one execution one after another, in the order of its journal. Handlers
 *   don't wait for each other.
 * - So that none is lost where a process dies between the commit and the alert, the next engine tells again, with
 *   `isRepeated` and the same `id`: what is parked still, when its `registrationTimeout` is over; and each compensation that
 *   failed, unless an operator gave it up, in the 30 minutes before the store was last written to. What failed earlier is in
 *   the view `dead_letter` of the store.
 * - When an engine closes, handlers get its `shutdownTimeout` to end. Then they are interrupted.
 * - What a payload codec has sealed stays sealed.
 * - Without a handler, nothing is read and nothing is made.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import * as internalLog from "./internal/alertLog.ts"
import type { Handler } from "./internal/alertModel.ts"
import * as internalWebhook from "./internal/alertWebhook.ts"
import * as Check from "./internal/check.ts"

export { Alert, CompensationFailedAlert, type Handler, ParkedAlert } from "./internal/alertModel.ts"

/**
 * The handlers of alerts.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaAlerts {
  readonly handlers: ReadonlyArray<Handler>
}

/**
 * The handlers in force, by default none. An engine takes them when it is made.
 *
 * **Example** (Telling somebody)
 *
 * ```ts
 * import { Effect, Layer, Queue, Schema } from "effect"
 * import { DurableSaga, SagaAlerts, SagaEngine, SagaStore, Step } from "effect-saga"
 *
 * const charge = Step.make("charge", {
 *   compensationError: Schema.String,
 *   action: () => Effect.void,
 *   compensate: () => Effect.fail("the bank is closed")
 * })
 *
 * const Order = DurableSaga.make("Order", { payload: Schema.String, error: Schema.String, idempotencyKey: (id) => id })
 *
 * const OrderLayer = Order.toLayer(() => Effect.andThen(charge(), Effect.fail("out of stock")))
 *
 * const program = Effect.gen(function*() {
 *   const told = yield* Queue.unbounded<SagaAlerts.ParkedAlert>()
 *   const alerts = SagaAlerts.make({ onParked: (alert) => Queue.offer(told, alert) })
 *   const engine = SagaEngine.layer().pipe(Layer.provide([SagaStore.layerMemory, SagaAlerts.layer(alerts)]))
 *
 *   const { id, reason } = yield* Effect.andThen(Order.start("7"), Queue.take(told)).pipe(
 *     Effect.provide(Layer.provideMerge(OrderLayer, engine))
 *   )
 *   return `${id.split("#")[0]}: ${reason}`
 * })
 *
 * await Effect.runPromise(program) // => "Order/7: Step \"charge\" could not be undone: Error: the bank is closed."
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const SagaAlerts: Context.Reference<SagaAlerts> = Context.Reference<SagaAlerts>(
  "effect-saga/SagaAlerts",
  { defaultValue: () => none }
)

/**
 * No handlers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: SagaAlerts = { handlers: [] }

/**
 * Creates alerts from the functions that handle them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (handler: Handler): SagaAlerts => {
  const where = "SagaAlerts.make"
  Check.requiredOptions(where, handler)
  Check.keys(where, handler, ["onParked", "onCompensationFailed"])
  for (const name of ["onParked", "onCompensationFailed"] as const) {
    if (handler[name] !== undefined) {
      Check.callback(`${where}: ${name}`, handler[name], "a function that returns an Effect")
    }
  }
  return { handlers: [handler] }
}

/**
 * Writes each alert to the log, as one line: what happened, what is left to undo, and the command that shows more.
 *
 * **Details**
 *
 * The lines are errors, but for what is told again and what an operator gave up, which are warnings. They are annotated
 * with `alert`, `execution`, `definition`, `step` and `kind`, and stand for those that an engine logs by itself when it
 * parks an execution.
 *
 * @category constructors
 * @since 0.1.0
 */
export const log: SagaAlerts = { handlers: [internalLog.handler] }

/**
 * Choices for a webhook.
 *
 * @category options
 * @since 0.1.0
 */
export interface WebhookOptions {
  /** Where to: `http:` or `https:`. A user and a password in it are sent as the header `authorization`. */
  readonly url: string | URL | Redacted.Redacted<string>
  /** What requests are signed with: `whsec_` and base64, or any text. */
  readonly secret: Redacted.Redacted<string>
  /** When to try again. Default: after 1 second, twice as long each time, up to 2 minutes, for 15 minutes, jittered. */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** How long one request may take. Default 15 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** Headers to send with it. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
}

/**
 * Creates alerts that are sent as signed POST requests, whose body is the JSON of an `Alert`.
 *
 * **Details**
 *
 * - Requests are signed as standardwebhooks.com says: the header `webhook-signature` is `v1,` and the HMAC-SHA256, in
 *   base64, of `webhook-id`, `webhook-timestamp` (in seconds) and the body, with dots between. There are libraries that
 *   verify them.
 * - `webhook-id` is the `id` of the alert, the same for each attempt and when it is told again. What a header can't hold in
 *   it is percent-encoded, dots too.
 * - Any answer of 200 to 299 is a success. What fails on the network or by the time limit, and 408, 425, 429 and 500 to 599,
 *   is tried again, not before the answer says in `retry-after`, if that is within 5 minutes. Anything else is not.
 * - What was not told in the end is logged as a warning, with the host and what went wrong. The rest of the address, the
 *   secret and the headers appear nowhere, and requests are not traced.
 *
 * @category constructors
 * @since 0.1.0
 */
export const webhook = (options: WebhookOptions): Effect.Effect<SagaAlerts, never, HttpClient.HttpClient> => {
  const settings = check("SagaAlerts.webhook", options)
  return Effect.map(internalWebhook.make(settings), (handler) => ({ handlers: [handler] }))
}

/**
 * Creates alerts that are told to the handlers of both.
 *
 * @category combinators
 * @since 0.1.0
 */
export const both = (first: SagaAlerts, second: SagaAlerts): SagaAlerts => ({
  handlers: [...first.handlers, ...second.handlers]
})

/**
 * Layer that adds alerts to those already in force.
 *
 * **Gotchas**
 *
 * Layers that are built beside each other, as by `Layer.mergeAll`, don't see each other, and the last one counts. Provide
 * one after another, or combine the alerts with `both`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (alerts: SagaAlerts): Layer.Layer<never> => Layer.effectContext(added(alerts))

/**
 * Layer that adds a webhook to the alerts already in force, as `layer` does.
 *
 * @see {@link webhook} for what it sends
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWebhook = (options: WebhookOptions): Layer.Layer<never, never, HttpClient.HttpClient> => {
  const settings = check("SagaAlerts.layerWebhook", options)
  return Layer.effectContext(
    Effect.flatMap(internalWebhook.make(settings), (handler) => added({ handlers: [handler] }))
  )
}

const added = (alerts: SagaAlerts): Effect.Effect<Context.Context<never>> =>
  Effect.map(Effect.service(SagaAlerts), (current) => Context.make(SagaAlerts, both(current, alerts)))

/* What may be a secret is not shown. */
const check = (where: string, options: WebhookOptions): internalWebhook.Settings => {
  Check.requiredOptions(where, options)
  Check.keys(where, options, ["url", "secret", "retry", "timeout", "headers"])
  const { headers = {}, retry, secret, url } = options
  Check.requiredOptions(`${where}: headers`, headers)
  const address = internalWebhook.addressOf(Redacted.isRedacted(url) ? Redacted.value(url) : String(url))
  if (address === undefined) throw new RangeError(`${where}: url has to be an address that begins with http: or https:`)
  const key = Redacted.isRedacted(secret) ? internalWebhook.keyOf(String(Redacted.value(secret))) : undefined
  if (key === undefined) {
    throw new RangeError(
      `${where}: secret has to be a Redacted text that is not empty, with base64 behind whsec_ where it begins with that`
    )
  }
  Check.schedule(`${where}: retry`, retry)
  const own = Object.keys(headers).find((name) => internalWebhook.ownHeaders.includes(name.toLowerCase()))
  if (own !== undefined) throw new RangeError(`${where}: headers can't have ${own}, which is set for each request`)
  const plain = Object.entries(headers).map(([name, value]) =>
    [name, Redacted.isRedacted(value) ? Redacted.value(value) : String(value)] as const
  )
  return {
    url: address.url,
    key,
    retry,
    timeout: Check.duration(`${where}: timeout`, options.timeout ?? "15 seconds")!,
    headers: { ...address.headers, ...Object.fromEntries(plain) }
  }
}
