import { Cause, Console, Effect } from "effect"
import { type SagaEvent, SagaObserver } from "effect-saga"

/** Prints what happens in sagas, one line for each step and compensation that ended. */
export const narrator: SagaObserver.SagaObserver = SagaObserver.make((event) => {
  const line = describe(event)
  return line === undefined ? Effect.void : Console.log(`  ${line}`)
})

const describe = (event: SagaEvent.SagaEvent): string | undefined => {
  switch (event._tag) {
    case "StepSucceeded":
      return `✓ ${event.step}`
    case "StepFailed":
      return `✗ ${event.step}: ${Cause.prettyErrors(event.cause).map((error) => error.message).join(", ")}`
    case "CompensationSucceeded":
      return `↩ ${event.step} undone`
    case "CompensationFailed":
      return `! ${event.step} NOT undone`
    case "SagaCompleted":
      return "completed"
    case "SagaCompensated":
      return "compensated"
    case "SagaFailed":
      return "FAILED"
    default:
      return undefined
  }
}
