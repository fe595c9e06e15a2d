import { DBOS } from "@dbos-inc/dbos-sdk"
import { Effect, Redacted } from "effect"
import { counts, main, type Variant } from "../load.ts"
import { bookFlight, cardDeclined, chargeCard, type Payload, payloadOf, reserveHotel, undo } from "../trip.ts"

/*
 * DBOS. It knows no compensations: they are steps in a `catch`, as its users write them.
 */

const registerTrip = (fails: boolean) =>
  DBOS.registerWorkflow(async (_payload: typeof Payload.Type) => {
    const compensations: Array<() => Promise<void>> = []
    try {
      const hotel = await DBOS.runStep(async () => reserveHotel(), { name: "reserve-hotel" })
      compensations.push(() => DBOS.runStep(async () => undo(), { name: "cancel-hotel" }))
      const flight = await DBOS.runStep(async () => bookFlight(), { name: "book-flight" })
      compensations.push(() => DBOS.runStep(async () => undo(), { name: "cancel-flight" }))
      const charge = await DBOS.runStep(async () => {
        const booking = chargeCard()
        if (fails) throw cardDeclined
        return booking
      }, { name: "charge-card" })
      return { hotel, flight, charge }
    } catch (error) {
      for (const compensate of compensations.toReversed()) await compensate()
      throw error
    }
  }, { name: "trip" })

/* It would write each failed workflow to the console. */
const silent = { info() {}, debug() {}, warn() {}, error() {} }

const dbos: Variant = {
  start: (url, { fails }) =>
    Effect.gen(function*() {
      DBOS.setConfig({
        name: "trips",
        systemDatabaseUrl: Redacted.value(url),
        logger: silent
      })
      const trip = registerTrip(fails)
      yield* Effect.acquireRelease(Effect.promise(() => DBOS.launch()), () => Effect.promise(() => DBOS.shutdown()))
      const run = async (number: number) => {
        const payload = payloadOf(number)
        const handle = await DBOS.startWorkflow(trip, { workflowID: payload.id })(payload)
        return handle.getResult().then(() => true, (error) => {
          if (error === cardDeclined) return false
          throw error
        })
      }
      return (number) => Effect.promise(() => run(number))
    }),
  found: counts(
    "SELECT status AS name FROM dbos.workflow_status UNION ALL SELECT function_name FROM dbos.operation_outputs"
  ),
  expected: (sagas, fails) => ({
    [fails ? "ERROR" : "SUCCESS"]: sagas,
    "reserve-hotel": sagas,
    "book-flight": sagas,
    "charge-card": sagas,
    ...fails ? { "cancel-hotel": sagas, "cancel-flight": sagas } : undefined
  })
}

await main(dbos)
