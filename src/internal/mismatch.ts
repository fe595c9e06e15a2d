/* How code may differ from the journal that it is to go on with, in sentences. */

export const notAsked = (unasked: ReadonlyArray<string>, held: ReadonlyArray<string>, millis: number): string =>
  `The journal has a result of ${quoted(unasked)}, ` +
  `which the code did not ask for within ${millis / 1000} s` +
  (held.length === 0 ? "." : `; it asks for ${quoted(held)}.`)

export const endedEarly = (unasked: ReadonlyArray<string>, failure: string | undefined): string =>
  `The body ended without asking for ${quoted(unasked)}, which the journal has` +
  (failure === undefined ? "." : `: it failed with ${failure}.`)

export const otherPending = (
  scope: string,
  recorded: ReadonlyArray<string>,
  pending: ReadonlyArray<string>
): string => `The journal has ${quoted(recorded)} to undo in ${scopeName(scope)}, the code ${quoted(pending)}.`

export const scopeName = (scope: string): string => scope === "" ? "the saga" : `"${scope}"`

const quoted = (paths: ReadonlyArray<string>): string =>
  paths.length === 0 ? "nothing" : paths.slice(0, 5).map((path) => `"${path}"`).join(", ") +
    (paths.length > 5 ? ` and ${paths.length - 5} more` : "")
