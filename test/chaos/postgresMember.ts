/*
 * A process of the takeover campaign: an engine, or a client that has trips booked. It is told which over the channel to
 * the process that started it, where its services are, too.
 */
import { Effect, Layer, Queue, Redacted } from "effect"
import { SagaEngine } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { schema } from "./postgresJournals.ts"
import type { FromMember, ToMember } from "./postgresProcess.ts"
import { execute, Services, TripLayer } from "./postgresTrip.ts"

const { CHAOS_NAME: name = "", CHAOS_ROLE: role = "", CHAOS_URL: url = "" } = process.env

const replies = new Map<number, (ticket: number | null) => void>()
const trips = Effect.runSync(Queue.unbounded<string>())

process.on("message", (message: ToMember) => {
  if (message._tag === "Execute") Queue.offerUnsafe(trips, message.trip)
  else {
    replies.get(message.call)?.(message.reply)
    replies.delete(message.call)
  }
})

// Nobody is left to end it.
process.on("disconnect", () => process.exit(1))

const tell = (message: FromMember) => Effect.sync(() => void process.send!(message))

let calls = 0

const services = Layer.succeed(Services, {
  call: (call) =>
    Effect.callback((resume) => {
      const number = ++calls
      replies.set(number, (reply) => resume(Effect.succeed(reply)))
      process.send!({ _tag: "Call", number, call } satisfies FromMember)
    })
})

const engine = role === "client"
  ? SagaEngine.layerClient()
  : TripLayer.pipe(Layer.provideMerge(SagaEngine.layer({ owner: name, standby: true })), Layer.provide(services))

const program = Effect.gen(function*() {
  yield* tell({ _tag: "Ready" })
  while (true) {
    const trip = yield* Queue.take(trips)
    yield* Effect.forkChild(Effect.flatMap(execute(trip), (outcome) => tell({ _tag: "Ended", trip, outcome })))
  }
})

await program.pipe(
  Effect.provide(engine),
  Effect.provide(PostgresStore.layer({ url: Redacted.make(url), schema, applicationName: name })),
  Effect.runPromise
)
