import { Command, Flag } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ExecutionFilter, ExecutionRecord, ListOptions } from "../../internal/store.ts"
import { duration, escaped, line, wholeLine } from "../../internal/timelineText.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import * as Filter from "../input/filter.ts"
import * as Flags from "../input/flags.ts"
import * as Ids from "../input/ids.ts"
import { Output } from "../output.ts"
import { type Cell, note, reasonOf, seconds, statusStyle, table } from "../print/table.ts"
import { Counted, Listed } from "../schemas.ts"

const defaultLimit = 50
const maxLimit = 10_000

export const list = Cli.make(
  "list",
  {
    ...Filter.flags,
    oldest: Flags.toggle("oldest", "Show the oldest first, not the newest"),
    limit: Flags.count("limit", `How many to show at most (default ${defaultLimit}; with --ids all)`, maxLimit).pipe(
      Flag.withAlias("n"),
      Flag.optional
    ),
    after: Flag.String("after").pipe(
      Flag.withMetavar("ID"),
      Flag.withDescription("Go on after this execution: the last one of the page before"),
      Flag.optional
    ),
    count: Flags.toggle("count", "Print only how many there are"),
    ids: Flags.toggle("ids", "Print only ids, one in a line, for other commands")
  },
  Effect.fnUntraced(function*(input) {
    const output = yield* Output
    if (input.count && (input.ids || Option.isSome(input.limit) || Option.isSome(input.after))) {
      return yield* Failure.usage("--count counts all of them: leave out --ids, --limit and --after.")
    }
    if (input.ids && output.json) return yield* Failure.usage("--ids and --json are two forms: give one of them.")
    const filter = yield* Filter.make(input)
    return yield* connected(input.count ? count(filter) : listing(filter, input))
  })
).pipe(
  Command.withDescription("Lists executions: with --parked those that wait for you."),
  Command.withExamples([
    { command: "effect-saga list --parked", description: "What waits for a decision" },
    {
      command: "effect-saga list --status Failed --since 1d",
      description: "What failed of all that was started today"
    },
    {
      command: "effect-saga list --definition Booking --attribute customer=alice",
      description: "The bookings of Alice"
    },
    { command: "effect-saga list --parked --error HotelDown --count", description: "How many are parked for one error" }
  ])
)

const count = Effect.fnUntraced(function*(filter: ExecutionFilter) {
  const output = yield* Output
  const count = yield* Effect.flatMap(SagaOperator, (operator) => operator.count(filter))
  yield* output.json ? output.document(Counted, { v: 1, count }) : output.text(String(count))
})

const listing = Effect.fnUntraced(function*(filter: ExecutionFilter, { after, ids, limit, oldest }: {
  readonly after: Option.Option<string>
  readonly ids: boolean
  readonly limit: Option.Option<number>
  readonly oldest: boolean
}) {
  const operator = yield* SagaOperator
  const last = Option.isNone(after) ? undefined : yield* operator.get(after.value)
  const options: ListOptions = { ...filter, order: oldest ? "oldest" : "newest", after: last }
  yield* ids
    ? printIds(options, Option.getOrUndefined(limit))
    : printPage(options, Option.getOrElse(limit, () => defaultLimit))
})

const printIds = Effect.fnUntraced(function*(options: ListOptions, limit: number | undefined) {
  const operator = yield* SagaOperator
  const output = yield* Output
  // Programs need ids that they can give back; a terminal would obey what is in them.
  const shown = ({ id }: ExecutionRecord) => output.isTerminal ? escaped(id) : Ids.lineOf(id)
  yield* operator.listAll({ ...options, limit: Math.min(1000, limit ?? 1000) }).pipe(
    Stream.take(limit ?? Infinity),
    Stream.runForEachArray((records) => output.text(records.map(shown).join("\n")))
  )
})

const printPage = Effect.fnUntraced(function*(options: ListOptions, limit: number) {
  const output = yield* Output
  // One more tells whether there are more.
  const found = yield* Effect.flatMap(SagaOperator, (operator) => operator.list({ ...options, limit: limit + 1 }))
  const shown = found.slice(0, limit)
  const next = found.length > limit ? shown.at(-1)!.id : null
  if (output.json) return yield* output.document(Listed, { v: 1, executions: shown, next })
  if (shown.length === 0) return yield* output.lines([line(["plain", emptyText(options)])])
  const now = yield* Clock.currentTimeMillis
  yield* output.lines([
    ...table(
      ["ID", "STATUS", "SINCE", "STARTED", "REASON"],
      shown.map((record) => rowOf(record, now)),
      output.width
    ),
    ...(next === null ? [] : [
      note(`${shown.length} are shown, and there are more. The next page:`),
      wholeLine(["cyan", `  ${nextCommand(output.program, options, limit, next)}`])
    ])
  ])
})

const rowOf = (record: ExecutionRecord, now: number): ReadonlyArray<Cell> => [
  ["plain", record.id],
  [statusStyle[record.status], record.status],
  ["plain", duration(Math.max(0, now - record.updatedAt))],
  ["plain", seconds(record.createdAt)],
  ["plain", reasonOf(record)]
]

const emptyText = (options: ListOptions): string => {
  const { after, order: _, ...filter } = options
  if (after !== undefined) return "There are no more."
  const words = Filter.words(filter)
  return words.length === 0
    ? "There are no executions in this store."
    : words.length === 1 && words[0] === "--status=Parked"
    ? "Nothing is parked: no execution waits for a decision."
    : `There are no such executions.${
      filter.definition === undefined && filter.error === undefined
        ? ""
        : " Names of definitions and errors are case-sensitive."
    }`
}

const nextCommand = (program: string, options: ListOptions, limit: number, next: string): string =>
  [
    `${program} list`,
    ...Filter.words(options),
    ...(options.order === "oldest" ? ["--oldest"] : []),
    ...(limit === defaultLimit ? [] : [`--limit=${limit}`]),
    ...Filter.option("after", next)
  ].join(" ")
