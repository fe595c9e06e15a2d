import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Cli from "../command.ts"
import { decideOne } from "../decisions/decideOne.ts"
import * as By from "../input/by.ts"
import * as Flags from "../input/flags.ts"
import * as Input from "../input/text.ts"

export const resolve = Cli.make(
  "resolve",
  {
    id: Flags.id,
    path: Flags.path,
    value: Flag.String("value").pipe(
      Flag.withMetavar("JSON|@FILE|-"),
      Flag.optional,
      Flag.withDescription("What a step after the pivot succeeded with, as JSON; @FILE reads a file, - standard input")
    ),
    wait: Flags.wait,
    ...By.flags
  },
  Effect.fnUntraced(function*({ id, path, value, wait, ...by }) {
    const decidedBy = yield* By.decidedBy(by)
    const json = Option.isSome(value) ? yield* Input.json("--value", value.value) : null
    const step = Option.getOrUndefined(path)
    const options = { ...decidedBy, path: step }
    yield* decideOne(
      { decision: "resolve", id, path: step },
      (operator) => operator.resolve(id, json, options),
      wait
    )
  })
).pipe(
  Command.withDescription(
    "Says that what an execution is parked for was done by hand: a compensation counts as done, and a step after the " +
      "pivot has succeeded with --value. The value is stored as it is given, and can be seen in the history, even where " +
      "its schema marks it as Redacted."
  ),
  Command.withShortDescription("Says that what an execution is parked for was done by hand."),
  Command.withExamples([
    {
      command: `effect-saga resolve Booking/42 --reason "cancelled by phone"`,
      description: "The room was cancelled by hand, so the rest is undone"
    }
  ])
)
