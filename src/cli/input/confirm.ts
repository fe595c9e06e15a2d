import { Prompt, TerminalCapabilities } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Failure from "../failure.ts"
import { Output } from "../output.ts"

/**
 * Asks before much is changed, unless the answer was given with `--yes`. Where nobody can be asked, it fails with
 * `unasked`, which says what would have been done.
 */
export const confirm = Effect.fnUntraced(function*(options: {
  readonly yes: boolean
  readonly question: string
  readonly unasked: string
}) {
  if (options.yes) return true
  const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
  const { colors, json } = yield* Output
  if (!canPrompt || json) return yield* Failure.usage(options.unasked)
  return yield* Prompt.run(Prompt.Confirm({ message: options.question, theme: { colors } }))
})
