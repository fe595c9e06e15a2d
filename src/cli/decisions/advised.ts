import * as Effect from "effect/Effect"
import { commandLine, escaped, shellWord } from "../../internal/timelineText.ts"
import type { SagaEngineError } from "../../SagaEngineError.ts"
import type { BulkAction, Error } from "../../SagaOperator.ts"
import * as Failure from "../failure.ts"
import { Output } from "../output.ts"
import { seeAlso } from "../print/words.ts"

export type Decision = BulkAction | "resolve" | "signal"

/** Says besides why a decision on one execution was refused which command to go on with. */
export const advised =
  (decision: Decision) =>
  <A, R>(self: Effect.Effect<A, Error, R>): Effect.Effect<A, Error | Failure.Failure, R | Output> =>
    Effect.catchTag(self, "SagaEngineError", (error) =>
      Effect.flatMap(Output, ({ program }) => {
        const advice = adviceOn(program, decision, error.reason)
        return Effect.fail(
          advice === undefined
            ? error
            : Failure.failed(error.reason._tag, `${escaped(Failure.messageOf(error))}\n${advice}`)
        )
      }))

const adviceOn = (
  program: string,
  decision: Decision,
  reason: SagaEngineError["reason"]
): string | undefined => {
  switch (reason._tag) {
    case "WrongStep":
      return reason.parked.map((path) => command(program, decision, reason.execution, path)).join("\n")
    case "AlreadyFinished":
    case "NotParked":
    case "NotApplicable":
    case "InvalidValue":
    case "Unanswered":
      return seeAlso(program, reason.execution)
    default:
      return undefined
  }
}

/* An option has its value in the same word, as that may begin with a dash. */
const command = (program: string, decision: string, id: string, path: string): string => {
  const reason = decision === "skip" || decision === "resolve" ? [`--reason "..."`] : []
  return `  ${commandLine(program, decision, id, [`--path=${shellWord(path)}`, ...reason])}`
}
