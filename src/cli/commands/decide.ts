import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BulkAction } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import { decideMany } from "../decisions/decideMany.ts"
import { decideOne } from "../decisions/decideOne.ts"
import type { Targets } from "../decisions/many.ts"
import { noTargets, skipNeedsReason } from "../decisions/texts.ts"
import * as Failure from "../failure.ts"
import * as By from "../input/by.ts"
import * as Filter from "../input/filter.ts"
import * as Flags from "../input/flags.ts"
import { idsIn } from "../input/ids.ts"
import { standardInput } from "../input/text.ts"
import { Output } from "../output.ts"

/* What an operator decides on one execution, or on many. */

const flags = {
  ids: Argument.String("id").pipe(
    Argument.withDescription("Ids of executions; - reads them from standard input, one in a line"),
    Argument.variadic()
  ),
  ...Filter.flags,
  limit: Flags.count("limit", "How many of them at most, the oldest first (default all)", 1_000_000_000).pipe(
    Flag.withAlias("n"),
    Flag.optional
  ),
  dryRun: Flags.dryRun,
  yes: Flags.yes,
  wait: Flags.wait,
  ...By.flags
} satisfies Command.Command.Config

type Input = Command.Command.Config.Infer<typeof flags>

export const retry = Cli.make(
  "retry",
  { ...flags, path: Flags.path },
  ({ path, ...input }) => decide("retry", input, Option.getOrUndefined(path))
).pipe(
  Command.withDescription(
    "Has parked executions try again what they are parked for: one, several, or all that a filter finds."
  ),
  Command.withShortDescription("Has parked executions try again: one, several, or all that a filter finds."),
  Command.withExamples([
    { command: "effect-saga retry Booking/42", description: "The hotel is back: cancel its room again" },
    { command: "effect-saga retry --error HotelDown --dry-run", description: "Which would be tried again" },
    { command: "effect-saga list --parked --ids | effect-saga retry - --yes", description: "Try all again" }
  ])
)

export const skip = Cli.make(
  "skip",
  { ...flags, path: Flags.path },
  ({ path, ...input }) => decide("skip", input, Option.getOrUndefined(path))
).pipe(
  Command.withDescription(
    "Gives up what executions are parked for. It stays undone, so the reason has to be said: it is kept as long as the " +
      "execution is."
  ),
  Command.withShortDescription("Gives up what executions are parked for; the reason is kept."),
  Command.withExamples([
    {
      command: `effect-saga skip Booking/42 --reason "the hotel is bankrupt"`,
      description: "Leave the room, and undo the rest"
    }
  ])
)

export const cancel = Cli.make("cancel", flags, (input) => decide("cancel", input, undefined)).pipe(
  Command.withDescription(
    "Has executions undone, at their next step or wait, and their children with them. One that failed after its pivot " +
      "ends as it is."
  ),
  Command.withShortDescription("Has executions undone, at their next step or wait."),
  Command.withExamples([
    { command: `effect-saga cancel Booking/42 --reason "the customer has called"`, description: "Undo a booking" }
  ])
)

const decide = Effect.fnUntraced(function*(action: BulkAction, input: Input, path: string | undefined) {
  if (action === "skip" && Option.isNone(input.reason)) return yield* Failure.usage(skipNeedsReason)
  const by = yield* By.decidedBy(input)
  const targets = yield* targetsOf(action, input)
  const isOne = targets._tag === "Ids" && !input.ids.includes("-") && input.ids.length === 1 && !input.dryRun
  if (isOne) {
    const id = targets.ids[0]!
    return yield* decideOne(
      { decision: action, id, path },
      (operator) => operator[action](id, path === undefined ? by : { ...by, path }),
      input.wait
    )
  }
  if (path !== undefined) {
    return yield* Failure.usage("--path is about one execution: give just its id, and no --dry-run.")
  }
  if (Option.isSome(input.wait)) {
    return yield* Failure.usage("--wait is about one execution: give just its id, and no --dry-run.")
  }
  return yield* connected(decideMany({ action, targets, by }, input))
})

const targetsOf = Effect.fnUntraced(function*(action: BulkAction, input: Input) {
  const filter = yield* Filter.make(input)
  const isFiltered = Filter.words(filter).length > 0 || Option.isSome(input.limit)
  if (input.ids.length === 0) {
    if (!isFiltered) return yield* Failure.usage(noTargets((yield* Output).program, action))
    return { _tag: "Filter", filter, limit: Option.getOrUndefined(input.limit) } satisfies Targets
  }
  if (isFiltered) return yield* Failure.usage("Ids and filters are two ways to choose executions: give one of them.")
  const piped = input.ids.includes("-") ? yield* idsIn(yield* standardInput) : []
  return { _tag: "Ids", ids: [...input.ids.filter((id) => id !== "-"), ...piped] } satisfies Targets
})
