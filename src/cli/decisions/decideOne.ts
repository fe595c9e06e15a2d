import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Error, SagaOperator } from "../../SagaOperator.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import { Output } from "../output.ts"
import { seeAlso } from "../print/words.ts"
import { Decided } from "../schemas.ts"
import { advised } from "./advised.ts"
import * as Outcome from "./outcome.ts"
import * as Texts from "./texts.ts"

const defaultWait = Duration.seconds(5)

/** Decides on one execution, says so, and then what comes of it within `wait`. */
export const decideOne = Effect.fnUntraced(function*(
  decided: Outcome.Decided,
  decide: (operator: SagaOperator["Service"]) => Effect.Effect<void, Error>,
  wait: Option.Option<Duration.Duration>
) {
  const { decision, id, path } = decided
  const operator = yield* SagaOperator
  const output = yield* Output
  yield* output.workOn
  const time = Option.getOrElse(wait, () => defaultWait)
  yield* advised(decision)(decide(operator))
  // At once, as what comes of it may take its time.
  if (!output.json) yield* output.text(Texts.decided(decision, id, path))
  if (!output.json && Duration.isZero(time)) return yield* output.text(seeAlso(output.program, id))
  const outcome = yield* Effect.mapError(
    Outcome.outcome(operator, decided, time),
    (error) => Failure.failed(error.reason._tag, Texts.unknownOutcome(Failure.shown(error.message)))
  )
  if (output.json) {
    yield* output.document(Decided, {
      v: 1,
      decision,
      path: path ?? null,
      outcome: outcome._tag,
      execution: outcome.record
    })
  } else if (outcome._tag !== "ParkedAgain") return yield* output.text(Texts.became(output.program, outcome))
  // In a document, all has been said.
  if (outcome._tag === "ParkedAgain") {
    return yield* Failure.failed("ParkedAgain", output.json ? "" : Texts.became(output.program, outcome))
  }
}, connected)
