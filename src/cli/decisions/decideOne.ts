import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isFinished } from "../../internal/store.ts"
import { type Error, SagaOperator } from "../../SagaOperator.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import { Output } from "../output.ts"
import { seeAlso } from "../print/words.ts"
import { Decided, Signalled } from "../schemas.ts"
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
  const { decision, id } = decided
  const operator = yield* SagaOperator
  const output = yield* Output
  yield* output.workOn
  const time = Option.getOrElse(wait, () => defaultWait)
  const isInVain = decision === "cancel" && (yield* isCancelled(operator, id))
  if (!isInVain) {
    yield* advised(decision)(decide(operator)).pipe(
      Failure.onInterrupt(() => Texts.maybeDecided(output.program, id))
    )
  }
  yield* Effect.gen(function*() {
    // At once, as what comes of it may take its time.
    if (!output.json) yield* output.text(isInVain ? Texts.alreadyCancelled(id) : Texts.decided(decided))
    if (!output.json && Duration.isZero(time)) return yield* output.text(seeAlso(output.program, id))
    const outcome = yield* Effect.mapError(
      Outcome.outcome(operator, decided, time),
      (error) => Failure.failed(error.reason._tag, Texts.unknownOutcome(Failure.messageOf(error)))
    )
    yield* tell(decided, outcome)
  }).pipe(Failure.onInterrupt(() => isInVain ? Texts.nothingDone : Texts.decidedAndLeft(output.program, id)))
}, connected)

/* To cancel twice changes nothing. */
const isCancelled = (operator: SagaOperator["Service"], id: string) =>
  Effect.map(operator.get(id), ({ cancelled, status }) => cancelled && !isFinished(status))

const tell = Effect.fnUntraced(function*({ decision, id, path, signal }: Outcome.Decided, outcome: Outcome.Outcome) {
  const output = yield* Output
  if (output.json) {
    const { _tag, record } = outcome
    yield* decision === "signal"
      ? output.document(Signalled, { v: 1, execution: id, signal: signal ?? "", outcome: _tag, status: record.status })
      : output.document(Decided, { v: 1, decision, path: path ?? null, outcome: _tag, execution: record })
  } else if (outcome._tag !== "ParkedAgain") {
    yield* output.text(Texts.became(output.program, outcome))
  }
  // In a document, all has been said.
  if (outcome._tag === "ParkedAgain") {
    return yield* Failure.failed("ParkedAgain", output.json ? "" : Texts.became(output.program, outcome))
  }
})
