import { Console, Data, Effect } from "effect"
import { Saga } from "effect-saga"

class NoCar extends Data.TaggedError("NoCar")<{ readonly city: string }> {}
class HotelDown extends Data.TaggedError("HotelDown")<{ readonly status: number }> {}

const flight = Saga.step(Console.log("flight booked"), () => Console.log("flight cancelled"), { name: "flight" })
const room = Saga.step(Console.log("room booked"), () => Effect.fail(new HotelDown({ status: 503 })), { name: "room" })
const car = Saga.step(Effect.fail(new NoCar({ city: "Lisbon" })), () => Console.log("car cancelled"), { name: "car" })

const bookTrip = Saga.fn("book-trip")(function*() {
  yield* flight
  yield* Saga.all([room, car], { concurrency: "unbounded" })
})

export const program = bookTrip().pipe(
  Effect.catchTag("NoCar", ({ city }) => Console.log(`undone, as there is no car left in ${city}`)),
  Effect.catchTag("CompensationFailed", (error) => Console.log(error.message))
)

if (import.meta.main) await Effect.runPromise(program)
