/*
 * The same steps, orchestrated and choreographed. Orchestrated, one saga runs them in turn. Choreographed, nobody leads:
 * each service has a saga of its own, which starts on one event and is undone on another. When any of them fails, the
 * events run back and undo all the earlier ones.
 */
import { Console, Data, Effect, Fiber, PubSub } from "effect"
import { Saga } from "effect-saga"

class Unavailable extends Data.TaggedError("Unavailable")<{ readonly service: string }> {}
class UndoneElsewhere extends Data.TaggedError("UndoneElsewhere") {}

interface Service {
  readonly name: string
  readonly step: Effect.Effect<void, Unavailable, Saga.CompensationStack<never>>
}

const makeService = (name: string, action: string, compensation: string, available: boolean): Service => ({
  name,
  step: Saga.step(
    available ? Console.log(`  ${name}: ${action}`) : Effect.fail(new Unavailable({ service: name })),
    () => Console.log(`  ${name}: ${compensation}`),
    { name }
  )
})

const orchestrate = (services: ReadonlyArray<Service>) =>
  Effect.forEach(services, ({ step }) => step).pipe(
    Saga.transact({ name: "order" }),
    Effect.match({ onSuccess: () => "order completed", onFailure: () => "order rejected" })
  )

type Event = "order placed" | "order completed" | "order rejected" | `${string} done` | `${string} undone`

const waitFor = (events: PubSub.Subscription<Event>, ...wanted: ReadonlyArray<Event>) =>
  Effect.repeat(PubSub.take(events), { until: (event) => wanted.includes(event) })

/** One service: it knows on which events it starts and is undone, and none of the other services. */
const participate = Effect.fnUntraced(function*(
  { name, step }: Service,
  bus: PubSub.PubSub<Event>,
  on: { readonly start: Event; readonly undo: Event }
) {
  const events = yield* PubSub.subscribe(bus)
  const say = (event: Event) => PubSub.publish(bus, event)

  const saga = Effect.gen(function*() {
    yield* step
    yield* say(`${name} done`)
    const event = yield* waitFor(events, on.undo, "order completed")
    if (event === on.undo) return yield* new UndoneElsewhere()
  }).pipe(
    Saga.transact({ name }),
    Effect.catch(() => say(`${name} undone`))
  )

  return yield* Effect.forkChild(Effect.gen(function*() {
    const event = yield* waitFor(events, on.start, "order rejected")
    if (event === on.start) yield* saga
  }))
})

const choreograph = Effect.fnUntraced(function*(services: ReadonlyArray<Service>) {
  const bus = yield* PubSub.unbounded<Event>()
  const events = yield* PubSub.subscribe(bus)
  const names = services.map(({ name }) => name)

  const participants = yield* Effect.forEach(services, (service, index) =>
    participate(service, bus, {
      start: index === 0 ? "order placed" : `${names[index - 1]} done`,
      undo: `${names[index + 1]} undone`
    }))

  yield* PubSub.publish(bus, "order placed")
  const event = yield* waitFor(events, `${names.at(-1)} done`, `${names[0]} undone`)
  const outcome = event.endsWith("undone") ? "order rejected" : "order completed"
  yield* PubSub.publish(bus, outcome)
  yield* Fiber.joinAll(participants)
  return outcome
}, Effect.scoped)

export const program: Effect.Effect<void> = Effect.gen(function*() {
  for (const courierAvailable of [true, false]) {
    const services = [
      makeService("stock", "reserve", "release", true),
      makeService("payment", "charge", "refund", true),
      makeService("courier", "pick up", "bring back", courierAvailable)
    ]

    yield* Console.log(`Orchestrated, courier ${courierAvailable ? "available" : "unavailable"}`)
    yield* Console.log(`  = ${yield* orchestrate(services)}`)

    yield* Console.log(`Choreographed, courier ${courierAvailable ? "available" : "unavailable"}`)
    yield* Console.log(`  = ${yield* choreograph(services)}`)
  }
})

if (import.meta.main) await Effect.runPromise(program)
