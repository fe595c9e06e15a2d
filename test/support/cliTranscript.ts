import { Effect } from "effect"
import { golden, type Ran, transcript } from "./cli.ts"
import { expectGolden } from "./golden.ts"

/** Compares what came of a command with its golden file, in which names of the machine are replaced by others. */
export const expectTranscript = (
  name: string,
  args: ReadonlyArray<string>,
  ran: Ran,
  names: Readonly<Record<string, string>> = {}
): Effect.Effect<void> => {
  const text = Object.entries(names).reduce(
    (text, [name, other]) => text.replaceAll(name, other),
    transcript(args, ran)
  )
  return Effect.promise(() => expectGolden(golden(name), text))
}
