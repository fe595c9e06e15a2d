import { Argument, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Cli from "../command.ts"
import { decideOne } from "../decisions/decideOne.ts"
import * as Failure from "../failure.ts"
import * as By from "../input/by.ts"
import * as Flags from "../input/flags.ts"
import * as Input from "../input/text.ts"

export const signal = Cli.make(
  "signal",
  {
    id: Flags.id,
    name: Argument.String("name").pipe(Argument.withDescription("The name of the signal")),
    value: Argument.String("json").pipe(
      Argument.withDescription("Its value as JSON; @FILE reads it from a file, - from standard input; default null"),
      Argument.withDefault("null")
    ),
    wait: Flags.wait,
    ...By.flags
  },
  Effect.fnUntraced(function*({ id, name, value, wait, ...by }) {
    if (name.trim() === "") {
      return yield* Failure.usage("The name of the signal is empty: which does the execution wait for?")
    }
    const decidedBy = yield* By.decidedBy(by)
    const json = yield* Input.json("The value of the signal", value)
    yield* decideOne(
      { decision: "signal", id, path: undefined, signal: name },
      (operator) => operator.signal(id, name, json, decidedBy),
      wait
    )
  })
).pipe(
  Command.withDescription(
    "Sends a signal to an execution. It is kept until the execution waits for it. A value that does not fit the schema " +
      "of the signal is refused where the execution waits for it; else the saga fails when it does, also of the null of a " +
      "value that was forgotten. It is stored as it is given, and can be seen in the history, even where the schema marks " +
      "it as Redacted."
  ),
  Command.withShortDescription("Sends a signal to an execution."),
  Command.withExamples([
    { command: `effect-saga signal Booking/42 approved '{"by": "Ada"}'`, description: "Approve a booking" }
  ])
)
