import * as Effect from "effect/Effect"
import type { SagaOperator } from "../../SagaOperator.ts"
import type { SagaStoreError } from "../../SagaStoreError.ts"
import * as Failure from "../failure.ts"
import { Output } from "../output.ts"
import { Noticed } from "../schemas.ts"

/* Why nothing is shown: who watches can't tell a quiet store from one that is away. */

type State = "Unavailable" | "NoEngine" | "Back"

const interval = "3 seconds"
const patience = "5 seconds"

/** Says on standard error that the store does not answer, or that no engine runs, once; and when that is over. */
export const explain = Effect.fnUntraced(function*(operator: SagaOperator["Service"]) {
  const output = yield* Output
  let last: State = "Back"
  const tell = Effect.fnUntraced(function*(state: State, message: string) {
    if (state === last) return
    last = state
    yield* output.json
      ? output.errorDocument(Noticed, { v: 1, notice: { _tag: state, message } })
      : output.error(message)
  })
  const look = operator.inspect.pipe(
    Effect.map(({ owner }) => owner?.isAlive === true),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(undefined) }),
    Effect.matchEffect({
      onFailure: (error) => tell("Unavailable", unavailable(error)),
      onSuccess: (isAlive) =>
        isAlive === undefined
          ? tell("Unavailable", unavailable(undefined))
          : isAlive
          ? tell("Back", "The store answers, and an engine runs on it again.")
          : tell("NoEngine", noEngine)
    })
  )
  // What has ended is shown at once, and needs no engine.
  return yield* Effect.forever(Effect.andThen(Effect.sleep(interval), look))
})

const unavailable = (error: SagaStoreError | undefined): string =>
  `${error === undefined ? "The store does not answer." : Failure.messageOf(error)} Nothing is shown until it is back.`

export const noEngine = "No engine runs on this store now, so nothing changes until the service is started."
