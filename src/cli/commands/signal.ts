import { Argument, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import { advised } from "../decisions/advised.ts"
import { signalled } from "../decisions/texts.ts"
import * as Failure from "../failure.ts"
import * as By from "../input/by.ts"
import * as Flags from "../input/flags.ts"
import * as Input from "../input/text.ts"
import { Output } from "../output.ts"
import { Signalled } from "../schemas.ts"

export const signal = Cli.make(
  "signal",
  {
    id: Flags.id,
    name: Argument.String("name").pipe(Argument.withDescription("The name of the signal")),
    value: Argument.String("json").pipe(
      Argument.withDescription("Its value as JSON; @FILE reads it from a file, - from standard input"),
      Argument.withDefault("null")
    ),
    ...By.flags
  },
  Effect.fnUntraced(function*({ id, name, value, ...by }) {
    if (name.trim() === "") {
      return yield* Failure.usage("The name of the signal is empty: which does the execution wait for?")
    }
    const decidedBy = yield* By.decidedBy(by)
    const json = yield* Input.json("The value of the signal", value)
    const output = yield* Output
    yield* Effect.flatMap(SagaOperator, (operator) => operator.signal(id, name, json, decidedBy)).pipe(
      advised("signal"),
      connected
    )
    yield* output.json
      ? output.document(Signalled, { v: 1, execution: id, signal: name })
      : output.text(signalled(output.program, id, name))
  })
).pipe(
  Command.withDescription(
    "Sends a signal to an execution. It is kept until the execution waits for it. Its value is stored as it is given, " +
      "and can be seen in the history, even where its schema marks it as Redacted."
  ),
  Command.withShortDescription("Sends a signal to an execution."),
  Command.withExamples([
    { command: `effect-saga signal Booking/42 approved '{"by": "Ada"}'`, description: "Approve a booking" }
  ])
)
