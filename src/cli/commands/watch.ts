import { Argument, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ExecutionFilter, ExecutionRecord } from "../../internal/store.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import * as Filter from "../input/filter.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import { eventLine } from "../print/events.ts"
import { explain } from "../print/silence.ts"
import { type Cell, reasonOf, rowLine, seconds, statusStyle } from "../print/table.ts"
import { Changed, Happened } from "../schemas.ts"

export const watch = Cli.make(
  "watch",
  { id: Flags.id.pipe(Argument.optional), ...Filter.flags },
  Effect.fnUntraced(function*({ id, ...input }) {
    const filter = yield* Filter.make(input)
    if (Option.isNone(id)) return yield* connected(changes(filter))
    if (Filter.words(filter).length > 0) {
      return yield* Failure.usage("A filter chooses executions, and an id is one: give one of them.")
    }
    return yield* connected(events(id.value))
  })
).pipe(
  Command.withDescription("Prints what changes as it happens; with an id, in that execution until it ends."),
  Command.withExamples([
    { command: "effect-saga watch --parked", description: "A line for each execution that gets parked, from now on" },
    { command: "effect-saga watch Booking/42", description: "Whether the retry goes through" }
  ])
)

const changes = Effect.fnUntraced(function*(filter: ExecutionFilter) {
  const operator = yield* SagaOperator
  const output = yield* Output
  // Else it looks as if it had got stuck.
  if (output.isTerminal && !output.json) yield* output.error("What changes from now on is shown here. Ctrl-C ends it.")
  yield* Stream.runForEach(
    operator.watch(filter),
    (execution) =>
      output.json
        ? output.record(Changed, { v: 1, execution })
        : output.lines([rowLine(cellsOf(execution), widths, output.width)])
  ).pipe(Effect.raceFirst(explain(operator)))
})

/* Of a time, and of the longest status. The ids to come are not known, so the reasons stand right after them. */
const widths = [20, 12, 0]

const cellsOf = (record: ExecutionRecord): ReadonlyArray<Cell> => [
  ["dim", seconds(record.updatedAt)],
  [statusStyle[record.status], record.status],
  ["plain", record.id],
  ["plain", reasonOf(record)]
]

const events = Effect.fnUntraced(function*(id: string) {
  const operator = yield* SagaOperator
  const output = yield* Output
  yield* operator.follow(id).pipe(
    Stream.zipWithIndex,
    Stream.runForEach(([event, index]) =>
      output.json
        ? output.record(Happened, { v: 1, execution: id, sequence: index + 1, event })
        : output.lines([eventLine(event, index + 1, output.isTerminal)])
    ),
    Effect.raceFirst(explain(operator))
  )
})
