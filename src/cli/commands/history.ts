import { Command } from "effect/cli"
import * as Effect from "effect/Effect"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import { eventLine } from "../print/events.ts"
import { History } from "../schemas.ts"

export const history = Cli.make(
  "history",
  { id: Flags.id, redact: Flags.toggle("redact", Flags.redacted) },
  Effect.fnUntraced(function*({ id, redact }) {
    const output = yield* Output
    const operator = yield* SagaOperator
    const { events } = yield* operator.export(id, { redact })
    yield* output.json
      ? output.document(History, { v: 1, execution: id, events })
      : output.lines(events.map((event, index) => eventLine(event, index + 1, output.isTerminal)))
  }, connected)
).pipe(
  Command.withDescription("Prints the journal of an execution: all that happened, and who decided what."),
  Command.withExamples([
    { command: "effect-saga history Booking/42", description: "All that was written down, with who decided what" }
  ])
)
