import { Argument, Flag } from "effect/cli"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { parseDuration, parseTime } from "./times.ts"

/* Arguments and flags that several commands have. */

/** The id of an execution. */
export const id = Argument.String("id").pipe(
  Argument.withDescription("The id of the execution, such as Booking/42 (after -- where it begins with a dash)"),
  Argument.filter((id) => id !== "", () => "Expected the id of an execution")
)

/** A flag that is given or not. It takes no value, and has no `--no-` form. */
export const toggle = (name: string, description: string) =>
  Flag.Boolean(name).pipe(
    Flag.withoutNegation,
    // A word after it is no value of it, even where it could be.
    Flag.withOptionalValue("true"),
    Flag.withDefault(false),
    Flag.withDescription(description)
  )

/** A flag whose value is a text that is not empty. */
export const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.filter((text) => text.trim() !== "", () => "Expected a text that is not empty")
  )

/** A flag whose value is a duration. */
export const duration = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.withDescription(description),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(parseDuration(text)),
      () => `Expected a duration, such as 30s, 15m, 2h, 7d or 1h30m`
    )
  )

/** A flag whose value is a time. */
export const time = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(description),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(parseTime(text)),
      () => `Expected a time, such as 2h (so long ago), 2026-01-31 or 2026-01-31T09:30:00Z`
    )
  )

/** A flag whose value is a number, from 1 on. */
export const count = (name: string, description: string, max: number) =>
  Flag.String(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.filterMap(
      (text) => /^\d+$/.test(text) && +text >= 1 && +text <= max ? Option.some(+text) : Option.none(),
      () => `Expected a whole number from 1 to ${max}`
    )
  )

/** A flag that chooses among statuses: one, or several with commas. Case does not matter, and it may be repeated. */
export const statuses = <S extends string>(all: ReadonlyArray<S>, why = "") => {
  const names = all.join(", ")
  const statusOf = (text: string) => all.find((status) => status.toLowerCase() === text.trim().toLowerCase())
  return Flag.String("status").pipe(
    Flag.withAlias("s"),
    Flag.withMetavar("STATUS"),
    Flag.withDescription(`Only those with this status, or one of several with commas: ${names}`),
    Flag.filterMap(
      (text): Option.Option<ReadonlyArray<S>> => {
        const statuses = text.split(",").map(statusOf)
        return statuses.every((status) => status !== undefined) ? Option.some(statuses) : Option.none()
      },
      () => `Expected one of ${names}${why}`
    ),
    Flag.atLeast(0)
  )
}

/** Which step a decision is about. */
export const path = Flag.String("path").pipe(
  Flag.withMetavar("STEP"),
  Flag.optional,
  Flag.withDescription("The step that it is about, where the execution is parked for several")
)

/** How long to wait for what comes of a decision. */
export const wait = Flag.String("wait").pipe(
  Flag.withMetavar("DURATION"),
  Flag.withDescription("How long to wait for what comes of it, with one execution (default 5s; 0 not at all)"),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(text.trim() === "0" ? Duration.zero : parseDuration(text)),
    () => "Expected a duration, such as 30s, or 0"
  ),
  Flag.optional
)

/** What `--redact` does. */
export const redacted = "Leave out payloads, inputs, values, all of errors but their kinds, and what operators wrote"

export const yes = toggle("yes", "Do it without asking").pipe(Flag.withAlias("y"))

export const dryRun = toggle("dry-run", "Only show what would be done")
