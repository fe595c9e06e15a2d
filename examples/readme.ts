import { Console, Data, Effect } from "effect"
import { Saga } from "effect-saga"

class NoCarLeft extends Data.TaggedError("NoCarLeft")<{ readonly city: string }> {}
class HotelUnreachable extends Data.TaggedError("HotelUnreachable")<{ readonly status: number }> {}

const flight = Saga.step(Console.log("flight booked"), () => Console.log("flight cancelled"), { name: "flight" })
const hotel = Saga.step(Console.log("hotel booked"), () => new HotelUnreachable({ status: 503 }), { name: "hotel" })
const car = Saga.step(new NoCarLeft({ city: "Lisbon" }), () => Console.log("car cancelled"), { name: "car" })

const bookTrip = Saga.fn("book-trip")(function*() {
  yield* flight
  yield* Saga.all([hotel, car], { concurrency: "unbounded" })
})

export const program = bookTrip().pipe(
  Effect.catchTag("NoCarLeft", ({ city }) => Console.log(`undone, as there is no car left in ${city}`)),
  Effect.catchTag("CompensationFailed", (error) => Console.log(error.message))
)

if (import.meta.main) await Effect.runPromise(program)
