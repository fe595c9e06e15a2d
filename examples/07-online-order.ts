/*
 * An order: reserve the goods, charge the card, create the shipment, send the confirmation. A mail can't be unsent, so
 * it is the pivot: a failure before it undoes the order, a failure after it leaves the order done and says so.
 */
import { Console, Data, Effect } from "effect"
import { Saga } from "effect-saga"

class ServiceDown extends Data.TaggedError("ServiceDown")<{ readonly service: string }> {}

const send = (service: string, request: string) => Console.log(`  ${service}: ${request}`)

const placeOrder = Saga.fn("order")(function*(id: string, serviceDown?: string) {
  const call = (service: string, request: string): Effect.Effect<void, ServiceDown> =>
    service === serviceDown ? Effect.fail(new ServiceDown({ service })) : send(service, request)

  yield* Saga.step(call("stock", "reserve"), () => send("stock", "release"), { name: "reserve" })
  yield* Saga.step(call("payments", "charge"), () => send("payments", "refund"), { name: "charge" })
  yield* Saga.step(call("carrier", "pick up"), () => send("carrier", "cancel the pick-up"), { name: "ship" })
  yield* Saga.pivot(call("mail", `confirm ${id}`), { name: "confirm" })

  // From here on there is only forward: what fails is tried again, and nothing is undone.
  yield* Saga.step(
    Effect.retry(call("loyalty", "award points"), { times: 2 }),
    Saga.noCompensation,
    { name: "award-points" }
  )
})

const run = Effect.fnUntraced(function*(id: string, serviceDown?: string) {
  yield* Console.log(`${id}, ${serviceDown === undefined ? "all services up" : `${serviceDown} down`}`)
  yield* placeOrder(id, serviceDown).pipe(
    Effect.andThen(Console.log("  = placed")),
    Effect.catchTags({
      ServiceDown: () => Console.log("  = not placed, and nothing is left of it"),
      CommittedIncomplete: ({ report }) =>
        Console.log(`  = placed, with ${report.steps.find((step) => step.outcome === "Failed")?.name} still to do`)
    })
  )
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* run("order-1")
  yield* run("order-2", "carrier")
  yield* run("order-3", "mail")
  yield* run("order-4", "loyalty")
})

if (import.meta.main) await Effect.runPromise(program)
