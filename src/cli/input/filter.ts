import { Flag } from "effect/cli"
import type { Command } from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type ExecutionFilter, Status } from "../../internal/store.ts"
import { escaped, instant, shellWord } from "../../internal/timelineText.ts"
import * as Failure from "../failure.ts"
import * as Flags from "./flags.ts"
import { millisOf } from "./times.ts"

/* The flags that choose executions, and the filter that they make. */

export const flags = {
  status: Flags.statuses(Status.literals),
  parked: Flags.toggle("parked", "Only those that wait for a decision: short for --status Parked"),
  definition: Flags.text("definition", "NAME", "Only executions of this definition").pipe(
    Flag.withAlias("d"),
    Flag.optional
  ),
  idPrefix: Flags.text("id", "PREFIX", "Only those whose id begins with this").pipe(Flag.optional),
  error: Flags.text("error", "TAG", "Only those that failed, or are parked, with this error").pipe(
    Flag.withAlias("e"),
    Flag.optional
  ),
  attribute: Flag.String("attribute").pipe(
    Flag.withAlias("a"),
    Flag.withMetavar("NAME=VALUE"),
    Flag.withDescription("Only those with this search attribute (repeat it for several)"),
    Flag.filterMap(
      (text): Option.Option<readonly [string, string]> => {
        const equals = text.indexOf("=")
        return equals < 1 ? Option.none() : Option.some([text.slice(0, equals), text.slice(equals + 1)])
      },
      () => "Expected NAME=VALUE, such as customer=alice"
    ),
    Flag.atLeast(0)
  ),
  since: Flags.time("since", "Only those started at this time or later: 2h (so long ago), or a date and time of UTC")
    .pipe(
      Flag.optional
    ),
  until: Flags.time("until", "Only those started before this time").pipe(Flag.optional)
} satisfies Command.Config

export type Input = Command.Config.Infer<typeof flags>

/** The filter that the flags make, as of now. */
export const make = Effect.fnUntraced(function*(input: Input) {
  const now = yield* Clock.currentTimeMillis
  const twice = input.attribute.find(([name], index) => input.attribute.findIndex(([other]) => other === name) < index)
  if (twice !== undefined) {
    return yield* Failure.usage(
      `--attribute names "${escaped(twice[0])}" twice, and an execution has one value of it: give it once.`
    )
  }
  if (input.parked && input.status.length > 0) {
    return yield* Failure.usage("--parked is short for --status Parked: give it, or --status with all that you want.")
  }
  const statuses = [...input.status.flat(), ...(input.parked ? ["Parked" as const] : [])]
  const filter: ExecutionFilter = {
    statuses: statuses.length === 0 ? undefined : Array.from(new Set(statuses)),
    definition: Option.getOrUndefined(input.definition),
    idPrefix: Option.getOrUndefined(input.idPrefix),
    error: Option.getOrUndefined(input.error),
    attributes: input.attribute.length === 0 ? undefined : Object.fromEntries(input.attribute),
    createdFrom: Option.getOrUndefined(Option.map(input.since, (time) => millisOf(time, now))),
    createdBefore: Option.getOrUndefined(Option.map(input.until, (time) => millisOf(time, now)))
  }
  return filter
})

/** The words of a shell that make this filter again, at any time. */
export const words = (filter: ExecutionFilter): ReadonlyArray<string> => [
  ...(filter.statuses === undefined ? [] : [`--status=${filter.statuses.join(",")}`]),
  ...option("definition", filter.definition),
  ...option("id", filter.idPrefix),
  ...option("error", filter.error),
  ...Object.entries(filter.attributes ?? {}).flatMap(([name, value]) => option("attribute", `${name}=${value}`)),
  ...option("since", filter.createdFrom === undefined ? undefined : instant(filter.createdFrom)),
  ...option("until", filter.createdBefore === undefined ? undefined : instant(filter.createdBefore))
]

/** In one word, as a value may begin with a dash. */
export const option = (name: string, value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : [`--${name}=${shellWord(value)}`]
