import { headline } from "../../internal/timelineRender.ts"
import { commandLine, cut, escaped } from "../../internal/timelineText.ts"
import type { BulkAction, Error } from "../../SagaOperator.ts"
import * as Failure from "../failure.ts"
import { counted as executionsOf, seeAlso } from "../print/words.ts"
import type { Decision } from "./advised.ts"
import type { Decided, Outcome } from "./outcome.ts"
import type { Tally } from "./tally.ts"

/* What is said of decisions: of one as a sentence, of many in numbers. */

const done: Record<BulkAction, string> = { retry: "Retried", skip: "Skipped", cancel: "Cancelled" }

const capital: Record<BulkAction, string> = { retry: "Retry", skip: "Skip", cancel: "Cancel" }

const effects: Record<Exclude<Decision, "signal">, string> = {
  retry: "tries again what it was parked for.",
  skip:
    "goes on without what it was parked for. That stays undone: its history says who decided so, and why, as long as the execution is kept.",
  cancel:
    "is cancelled: at its next step or wait it stops, and what it has done is undone, unless its pivot has succeeded. " +
    "Then it ends as it is.",
  resolve: "goes on: what it was parked for counts as done by hand."
}

/** What was decided on one execution. */
export const decided = ({ decision, id, path, signal = "" }: Decided): string => {
  const step = path === undefined ? "" : ` (step "${escaped(path)}")`
  const effect = decision === "signal" ? `has received signal "${escaped(signal)}".` : effects[decision]
  return `Execution "${escaped(id)}"${step} ${effect}`
}

export const alreadyCancelled = (id: string): string =>
  `Execution "${escaped(id)}" is already cancelled, so nothing was asked.`

/** What came of it. */
export const became = (program: string, outcome: Outcome): string =>
  `${sentence(program, outcome)}\n${seeAlso(program, outcome.timeline.execution.id)}`

const maxReason = 500

const sentence = (program: string, outcome: Outcome): string => {
  const { timeline } = outcome
  const { id, status } = timeline.execution
  switch (outcome._tag) {
    case "ParkedAgain":
      return `It is parked${outcome.isFirst ? "" : " again"}: ${cut(outcome.reason, maxReason)}`
    case "StillParked":
      return `It stays parked: ${cut(outcome.reason, maxReason)}${until(outcome)}`
    case "Ended":
    case "Waits":
      return headline(timeline, "It")
    case "Kept":
      return `${headline(timeline, "It")} It does not wait for that signal now: it is kept until it does.`
    case "Stalled":
      return `No engine runs on the store any more, so nothing comes of it until the service is started. ` +
        `To see it then: ${commandLine(program, "watch", id)}`
    case "GoesOn": {
      const what = status !== "Parked"
        ? headline(timeline, "It")
        : outcome.decision === "cancel"
        ? "That is still under way."
        : "That is still under way, and it is parked for something else."
      return `${what} To see what comes of it: ${commandLine(program, "watch", id)}`
    }
  }
}

/* When a cancellation is done that has left it parked. */
const until = ({ decision, timeline: { parked } }: Extract<Outcome, { readonly _tag: "StillParked" }>): string => {
  if (decision !== "cancel") return ""
  return parked.some(({ kind }) => kind === "Mismatch" || kind === "NotRegistered")
    ? " It is undone when its code is there, unless its pivot has succeeded."
    : " It is undone when that has been decided on, unless its pivot has succeeded."
}

/** Why nothing more can be said of a decision. */
export const unknownOutcome = (message: string): string =>
  `The decision is made, but what comes of it is not known. ${message}`

const counted = ({ decisions, executions }: Count, tense: "are" | "were" = "are"): string => {
  const count = executionsOf(executions)
  return decisions === executions ? count : `${count}, which ${tense} parked for ${decisions} steps`
}

type Count = Pick<Tally, "decisions" | "executions">

/* What can't be taken back. */
const consequence: Record<BulkAction, string> = {
  retry: "",
  skip: " What they are parked for stays undone.",
  cancel: " What they have done is undone. Those whose pivot has succeeded end as they are."
}

export const question = (action: BulkAction, planned: Count): string =>
  `${capital[action]} ${counted(planned)}?${consequence[action]}`

export const unasked = (action: BulkAction, planned: Count): string =>
  `This would ${action} ${counted(planned)}, and there is nobody to ask whether it should. Nothing was done: ` +
  `add --yes to do it, or --dry-run to see which they are.`

export const nothingToDo = (action: BulkAction): string =>
  `There is nothing to ${action}: no such execution ${
    action === "cancel" ? "is unfinished and not cancelled yet" : "is parked"
  }.`

export const planned = (action: BulkAction, planned: Count): string =>
  `This would ${action} ${counted(planned)}. Nothing was done.`

export const progress = (action: BulkAction, { decisions, refused, unanswered }: Tally, of: number): string =>
  [
    `${done[action]} ${decisions} of ${of}`,
    ...(refused === 0 ? [] : [`${refused} refused`]),
    ...(unanswered === 0 ? [] : [`${unanswered} not answered`])
  ].join(", ")

/** The end of it. Nobody waits for what comes of so many. */
export const summary = (program: string, action: BulkAction, tally: Tally): string =>
  [
    `${done[action]} ${counted(tally, "were")}.`,
    ...others(program, tally),
    `See ${program} list --parked for what gets parked${action === "cancel" ? "" : " again"}.`
  ].join("\n")

/** Those that were not done, or not for certain. */
export const others = (
  program: string,
  { reasons, refused, unanswered, unansweredIds }: Tally
): ReadonlyArray<string> => [
  ...(refused === 0 ? [] : [
    `${were(refused)} refused, and left as ${refused === 1 ? "it is" : "they are"}:`,
    ...reasons.map((reason) => `  ${cut(reason, 300)}`),
    ...more(refused - reasons.length)
  ]),
  ...(unanswered === 0 ? [] : [
    `${were(unanswered)} not answered, and may still be done: look at ${unanswered === 1 ? "it" : "them"} before you ` +
    `ask again.`,
    ...open(program, { unanswered, unansweredIds })
  ])
]

const open = (program: string, { unanswered, unansweredIds }: Pick<Tally, "unanswered" | "unansweredIds">) => [
  ...unansweredIds.map((id) => `  ${commandLine(program, "show", id)}`),
  ...more(unanswered - unansweredIds.length)
]

const were = (count: number): string => count === 1 ? "1 was" : `${count} were`

const more = (count: number): ReadonlyArray<string> => count > 0 ? [`  ... and ${count} more.`] : []

/** Why it stopped half way, and how far it had come. */
export const stopped = (tally: Tally, error: Error): string => {
  const why = error.reason._tag === "NoEngine"
    ? `No engine runs on ${escaped(error.reason.store)} any more.`
    : Failure.messageOf(error)
  return `${why} ${soFar(tally)}`
}

const soFar = ({ decisions, notAsked, refused, unanswered }: Tally): string => {
  const numbers = [
    `${were(decisions)} done`,
    ...(refused === 0 ? [] : [`${were(refused)} refused`]),
    ...(unanswered === 0 ? [] : [`${unanswered} may still be done`])
  ]
  const look = unanswered === 0
    ? ""
    : ` Before you ask again, look at ${unanswered === 1 ? "the one" : "those"} that may still be done.`
  return `${numbers.join(", ")}, and ${were(notAsked)} not asked.${look}`
}

/** How far it had come when it was interrupted. */
export const interrupted = (program: string, tally: Tally): string =>
  [`Interrupted. ${soFar(tally)}`, ...open(program, tally)].join("\n")

export const nothingDone = "Interrupted. Nothing was done."

/** What is known of a decision that was interrupted. */
export const maybeDecided = (program: string, id: string): string =>
  `Interrupted. It may have been asked, and may still be done: look at it before you ask again.\n${
    seeAlso(program, id)
  }`

export const decidedAndLeft = (program: string, id: string): string =>
  `Interrupted. That was done; what comes of it was not waited for.\n${seeAlso(program, id)}`

export const skipNeedsReason =
  "skip gives up what an execution is parked for: nobody will undo it, and money may stay where it should not be. " +
  `Say why, with --reason "...".`

export const noTargets = (program: string, action: BulkAction): string =>
  `Which executions? Give ids, or a filter${action === "cancel" ? "" : ", such as --parked"}:\n` +
  `  ${program} ${action} Booking/42\n` +
  `  ${program} ${action} --definition Booking --since 2h --dry-run`
