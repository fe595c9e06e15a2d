/*
 * An undone saga fails with its own typed error, so it is handled like that of any effect. One that could not be undone
 * fails with `CompensationFailed`: a handler for `CardDeclined` can't take it for undone, and the compiler asks for one.
 */
import { Console, Data, Effect } from "effect"
import { Saga } from "effect-saga"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {}
class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly card: string }> {}
class WarehouseClosed extends Data.TaggedError("WarehouseClosed")<{ readonly opensAt: string }> {}

interface Order {
  readonly item: string
  readonly card: string
  readonly warehouseOpen?: boolean
}

const reserve = ({ item }: Order) => item === "unicorn" ? Effect.fail(new OutOfStock({ item })) : Effect.void

const release = ({ warehouseOpen = true }: Order) =>
  warehouseOpen ? Effect.void : Effect.fail(new WarehouseClosed({ opensAt: "08:00" }))

const charge = ({ card }: Order) => card === "expired" ? Effect.fail(new CardDeclined({ card })) : Effect.void

const placeOrder = Saga.fn("order")(function*(order: Order) {
  yield* Saga.step(reserve(order), () => release(order), { name: "reserve" })
  yield* Saga.step(charge(order), Saga.noCompensation, { name: "charge" })
  return `${order.item} is on its way`
})

const answer = (order: Order): Effect.Effect<string> =>
  placeOrder(order).pipe(Effect.catchTags({
    OutOfStock: ({ item }) => Effect.succeed(`sorry, we have no ${item}`),
    CardDeclined: ({ card }) => Effect.succeed(`your card is ${card}, please take another`),
    CompensationFailed: ({ failures }) =>
      Effect.forEach(failures, ({ cause, step }) =>
        Effect.failCause(cause).pipe(
          Effect.catchTag("WarehouseClosed", ({ opensAt }) => Effect.succeed(`undo "${step}" by hand, from ${opensAt}`))
        )).pipe(Effect.map((todo) => `we are sorry, and somebody has to ${todo.join(", ")}`))
  }))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* Console.log(yield* answer({ item: "teapot", card: "valid" }))
  yield* Console.log(yield* answer({ item: "unicorn", card: "valid" }))
  yield* Console.log(yield* answer({ item: "teapot", card: "expired" }))
  yield* Console.log(yield* answer({ item: "teapot", card: "expired", warehouseOpen: false }))
})

if (import.meta.main) await Effect.runPromise(program)
