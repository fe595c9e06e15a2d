import { Effect, Exit, Redacted, Scope } from "effect"
import { start } from "./server.ts"

/** The address of a server, or why there is none. */
export type Answer = { readonly url: string } | { readonly failure: string }

/** Starts the server that the test files of a run share. */
export const startShared = async (): Promise<{ readonly answer: Answer; readonly end: () => Promise<void> }> => {
  const scope = Scope.makeUnsafe()
  const answer = await start().pipe(
    Scope.provide(scope),
    Effect.match({
      onFailure: ({ message }): Answer => ({ failure: message }),
      onSuccess: ({ url }): Answer => ({ url: Redacted.value(url) })
    }),
    Effect.runPromise
  )
  return { answer, end: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}
