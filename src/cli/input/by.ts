/// <reference types="node" />
import { Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { userInfo } from "node:os"
import type { DecisionOptions } from "../../SagaEngine.ts"
import * as Failure from "../failure.ts"

/* Who decides, and why. Both are kept in the journal. */

export const flags = {
  reason: Flag.String("reason").pipe(
    Flag.withMetavar("TEXT"),
    Flag.optional,
    Flag.withDescription("Why: kept in the history of the execution")
  ),
  operator: Flag.String("operator").pipe(
    Flag.withMetavar("NAME"),
    Flag.optional,
    Flag.withDescription("Who decides: kept with it (default: your name on this system)")
  )
}

/** The decision as it is kept. */
export const decidedBy = Effect.fnUntraced(function*(input: {
  readonly reason: Option.Option<string>
  readonly operator: Option.Option<string>
}): Effect.fn.Return<DecisionOptions, Failure.Failure> {
  const reason = Option.getOrUndefined(input.reason)
  if (reason?.trim() === "") return yield* Failure.usage("--reason is empty: say why, or leave it out.")
  const operator = Option.isSome(input.operator) ? input.operator.value : yield* userName
  if (operator?.trim() === "") return yield* Failure.usage("--operator is empty: say who decides, or leave it out.")
  return { reason, operator }
})

/* A user of a container may have no name. */
const userName: Effect.Effect<string | undefined> = Effect.orElseSucceed(
  Effect.try(() => userInfo().username),
  () => undefined
)
