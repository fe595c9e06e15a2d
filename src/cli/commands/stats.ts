import { Command, Flag } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Status } from "../../internal/store.ts"
import { commandLine, duration, emptyLine, type Line, line, wholeLine } from "../../internal/timelineText.ts"
import { SagaOperator, type Stats as Counted } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import { type Cell, seconds, statusStyle, table } from "../print/table.ts"
import { Stats } from "../schemas.ts"

export const stats = Cli.make(
  "stats",
  {
    window: Flags.duration("window", "For how long back rates are counted (default 1h)").pipe(
      Flag.withDefault(Duration.hours(1))
    )
  },
  ({ window }) =>
    Duration.toMillis(window) < 1
      ? Effect.fail(Failure.usage("--window has to be 1ms at least."))
      : connected(print(window))
).pipe(
  Command.withDescription("Counts executions by definition and status, and how many start and end a minute."),
  Command.withExamples([
    { command: "effect-saga stats", description: "How things are" },
    { command: "effect-saga stats --window 24h", description: "The rates of the last day" }
  ])
)

const print = Effect.fnUntraced(function*(window: Duration.Duration) {
  const output = yield* Output
  const stats = yield* Effect.flatMap(SagaOperator, (operator) => operator.stats({ window }))
  if (output.json) return yield* output.document(Stats, { v: 1, ...stats, oldestParked: stats.oldestParked ?? null })
  const now = yield* Clock.currentTimeMillis
  yield* output.lines(
    stats.groups.length === 0
      ? [line(["plain", "There are no executions in this store."])]
      : [
        ...groupTable(stats, output.width),
        emptyLine,
        ...rateTable(stats, output.width),
        emptyLine,
        ...parkedLines(stats, now, output.program)
      ]
  )
})

/* Only the statuses that there are. */
const groupTable = ({ groups }: Counted, width: number): ReadonlyArray<Line> => {
  const statuses = Status.literals.filter((status) => groups.some((group) => group.status === status))
  const definitions = Array.from(new Set(groups.map(({ definition }) => definition)))
  const sum = (definition: string | undefined, status: Status | undefined) =>
    groups.reduce(
      (sum, group) =>
        (definition ?? group.definition) === group.definition && (status ?? group.status) === group.status
          ? sum + group.count
          : sum,
      0
    )
  const heads = [...statuses.map((status) => status.toUpperCase()), "TOTAL"]
  const widths = heads.map((head, index) => Math.max(head.length, String(sum(undefined, statuses[index])).length))
  const right = (text: string, column: number): string => text.padStart(widths[column]!)
  const row = (title: string, definition: string | undefined): ReadonlyArray<Cell> => [
    ["plain", title],
    ...statuses.map((status, column): Cell => {
      const count = sum(definition, status)
      return [count === 0 ? "dim" : statusStyle[status], right(String(count), column)]
    }),
    ["plain", right(String(sum(definition, undefined)), statuses.length)]
  ]
  return table(["DEFINITION", ...heads.map(right)], [
    ...definitions.map((definition) => row(definition, definition)),
    ...(definitions.length > 1 ? [row("", undefined)] : [])
  ], width)
}

const parkedLines = ({ oldestParked }: Counted, now: number, program: string): ReadonlyArray<Line> =>
  oldestParked === undefined
    ? [line(["plain", "Nothing is parked."])]
    : [
      wholeLine(
        ["plain", "Parked for the longest time: "],
        ["red", oldestParked.id],
        [
          "plain",
          `, for ${duration(Math.max(0, now - oldestParked.updatedAt))} (since ${seconds(oldestParked.updatedAt)})`
        ]
      ),
      wholeLine(["cyan", `  ${commandLine(program, "show", oldestParked.id)}`])
    ]

const rateTable = ({ ended, started, windowMillis }: Counted, width: number): ReadonlyArray<Line> => {
  const counts = { started, completed: ended.Completed, compensated: ended.Compensated, failed: ended.Failed }
  const rows = Object.entries(counts).map(([what, count]): ReadonlyArray<Cell> => [
    ["plain", what],
    ["plain", String(count).padStart(5)],
    ["plain", perMinute(count, windowMillis).padStart(8)]
  ])
  return table([`LAST ${duration(windowMillis).toUpperCase()}`, "COUNT", "A MINUTE"], rows, width)
}

const perMinute = (count: number, windowMillis: number): string => {
  const rate = count / (windowMillis / 60_000)
  return rate === 0 ? "0" : rate < 0.01 ? "< 0.01" : rate < 10 ? rate.toFixed(2) : String(Math.round(rate))
}
