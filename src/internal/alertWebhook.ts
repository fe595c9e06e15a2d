import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Alert, type Handler } from "./alertModel.ts"
import { guarded } from "./guard.ts"

/*
 * Alerts as signed POST requests (standardwebhooks.com).
 *
 * The address may hold secrets in any part but its host, and so may the errors of a client. So what is said of a request
 * that failed is said here, and nothing is traced.
 */

export interface Settings {
  readonly url: URL
  readonly key: Uint8Array<ArrayBuffer>
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly timeout: Duration.Duration
  readonly headers: Readonly<Record<string, string>>
}

/** Headers that are part of the protocol. */
export const ownHeaders: ReadonlyArray<string> = [
  "content-type",
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature"
]

/** The bytes of a secret: what is behind `whsec_` in base64, or else the text itself. Undefined where there are none. */
export const keyOf = (secret: string): Settings["key"] | undefined => {
  const key = secret.startsWith("whsec_")
    ? Result.getOrUndefined(Base64.decode(secret.slice("whsec_".length)))
    : utf8.encode(secret)
  return key === undefined || key.length === 0 ? undefined : Uint8Array.from(key)
}

/** As `fetch` takes no address with a user and a password, they become a header. */
export const addressOf = (text: string): Pick<Settings, "url" | "headers"> | undefined => {
  const url = guarded(() => new URL(text))
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined
  const { password, username } = url
  url.username = ""
  url.password = ""
  url.hash = ""
  if (username === "" && password === "") return { url, headers: {} }
  const credentials = `${percentDecoded(username)}:${percentDecoded(password)}`
  return { url, headers: { authorization: `Basic ${Base64.encode(credentials)}` } }
}

const percentDecoded = (text: string): string => guarded(() => decodeURIComponent(text)) ?? text

/** A request that had no success. */
class WebhookFailed extends Schema.TaggedError<WebhookFailed>("effect-saga/SagaAlerts/WebhookFailed")("WebhookFailed", {
  host: Schema.String,
  problem: Schema.String,
  isTransient: Schema.Boolean,
  retryAfterMillis: Schema.Number
}) {
  override get message(): string {
    return `The webhook at ${this.host} was not told: ${this.problem}.`
  }
}

export const make = Effect.fnUntraced(
  function*(settings: Settings): Effect.fn.Return<Handler, never, HttpClient.HttpClient> {
    // Whatever it answers, nobody reads it, so the request ends with its scope.
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const crypto = yield* WebCrypto
    const key = yield* Effect.promise(() =>
      crypto.subtle.importKey("raw", settings.key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
    )
    const { host, href } = settings.url

    const failed = (problem: string, isTransient: boolean, retryAfterMillis = 0) =>
      new WebhookFailed({ host, problem, isTransient, retryAfterMillis })

    const signed = (text: string): Effect.Effect<string> =>
      Effect.map(
        Effect.promise<ArrayBuffer>(() => crypto.subtle.sign("HMAC", key, Uint8Array.from(utf8.encode(text)))),
        (signature) => `v1,${Base64.encode(new Uint8Array(signature))}`
      )

    const post = Effect.fnUntraced(function*(id: string, body: string) {
      const now = yield* Clock.currentTimeMillis
      const timestamp = String(Math.floor(now / 1000))
      const signature = yield* signed(`${id}.${timestamp}.${body}`)
      const request = HttpClientRequest.post(href).pipe(
        HttpClientRequest.setHeaders(settings.headers),
        HttpClientRequest.setHeaders({
          "webhook-id": id,
          "webhook-timestamp": timestamp,
          "webhook-signature": signature
        }),
        HttpClientRequest.bodyText(body, "application/json")
      )
      const { headers, status, url } = yield* Effect.catch(unredirected(client.execute(request)), (error) =>
        // Of clients that fail on what is no success.
        error.response === undefined
          ? Effect.fail(failed(problemOf(error), error.reason._tag === "TransportError"))
          : Effect.succeed(error.response))
      if (url !== href || (status >= 300 && status < 400)) {
        return yield* failed("it was redirected; give the address that it was redirected to", false)
      }
      if (status >= 200 && status < 300) return
      const retryAfterMillis = Math.min(retryAfter(headers["retry-after"], now), maxRetryAfter)
      return yield* failed(`it answered ${status}`, isTransient(status), retryAfterMillis)
    })

    const { timeout } = settings
    const problem = `it did not answer within ${Duration.format(timeout)}`
    const schedule = obeying(settings.retry ?? byDefault)
    const tell = (alert: Alert): Effect.Effect<void, WebhookFailed> => {
      const id = headerOf(alert.id)
      return Effect.flatMap(Effect.orDie(encode(alert)), (body) =>
        Effect.scoped(post(id, body)).pipe(
          Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(failed(problem, true)) }),
          Effect.retry({ while: (error) => error.isTransient, schedule })
        )).pipe(Effect.provideService(HttpClient.TracerDisabledWhen, () => true))
    }
    return { onParked: tell, onCompensationFailed: tell }
  }
)

/* What is signed is for one receiver. The clients of Node follow nothing by themselves; fetch has to be told. */
const unredirected = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.provideService(self, FetchHttpClient.RequestInit, {
      ...Context.getOrUndefined(context, FetchHttpClient.RequestInit),
      redirect: "manual"
    })
  )

const utf8 = new TextEncoder()

const encode = Schema.encodeEffect(Schema.fromJsonString(Alert))

/* The ids of executions may hold anything. What would end a header, or a part of what is signed, is shown by its bytes. */
const headerOf = (id: string): string =>
  id.replaceAll(
    /[^\w\-/#:@+=~]/gu,
    (character) =>
      Array.from(utf8.encode(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")
  )

const isTransient = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

/* ---------------------------------------------------------------------------------------------------- when again */

const byDefault: Schedule.Schedule<unknown> = Schedule.exponential("1 second").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.minutes(2)))),
  Schedule.jittered,
  Schedule.upTo({ duration: "15 minutes" })
)

/* As the receiver asks for, where that is later. */
const obeying = (schedule: Schedule.Schedule<unknown, unknown>): Schedule.Schedule<unknown, WebhookFailed> =>
  Schedule.modifyDelay(
    schedule as Schedule.Schedule<unknown, WebhookFailed>,
    ({ duration, input }) => Effect.succeed(Duration.max(duration, Duration.millis(input.retryAfterMillis)))
  )

const maxRetryAfter = 300_000

/* Seconds, or a date. */
const retryAfter = (header: string | undefined, now: number): number => {
  if (header === undefined) return 0
  const millis = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return Number.isNaN(millis) ? 0 : Math.max(0, millis)
}

/* ---------------------------------------------------------------------------------------------------- what failed */

const problemOf = ({ reason }: HttpClientError.HttpClientError): string => {
  if (reason._tag !== "TransportError") return "the request could not be made"
  const code = codeIn(reason.cause, 5)
  return code === undefined ? "it could not be reached" : `it could not be reached (${code})`
}

/* The code of a system error: its message may hold the address. */
const codeIn = (error: unknown, depth: number): string | undefined => {
  if (depth === 0 || typeof error !== "object" || error === null) return undefined
  const { cause, code } = error as { readonly cause?: unknown; readonly code?: unknown }
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : codeIn(cause, depth - 1)
}
