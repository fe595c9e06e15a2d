/*
 * A receiver of webhooks on the loopback address, which answers as a test says.
 */
import { Effect, Queue } from "effect"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"

export interface Received {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Listens until the scope closes. Answers come one after another, the last one for ever; `"never"` is none. */
export const makeReceiver = Effect.fnUntraced(function*(...answers: ReadonlyArray<Answer | "never">) {
  const received = yield* Queue.unbounded<Received>()
  let count = 0
  let unanswered = 0
  const server = createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.on("end", () => {
      const { headers, method, url } = request
      Queue.offerUnsafe(received, { method, path: url, headers, body: Buffer.concat(parts).toString("utf8") })
      const answer = answers[Math.min(count++, answers.length - 1)]!
      if (answer === "never") {
        unanswered++
        response.on("close", () => unanswered--)
      } else {
        response.writeHead(answer.status, answer.headers).end("thank you")
      }
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    next: Queue.take(received),
    /** How many requests have arrived that nobody has taken. */
    waiting: Queue.size(received),
    requests: Effect.sync(() => count),
    /** How many clients wait in vain. */
    unanswered: () => unanswered
  }
})
