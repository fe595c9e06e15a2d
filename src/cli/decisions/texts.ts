import { headline } from "../../internal/timelineRender.ts"
import { commandLine, cut, escaped } from "../../internal/timelineText.ts"
import type { BulkAction, Error } from "../../SagaOperator.ts"
import * as Failure from "../failure.ts"
import { counted as executionsOf, seeAlso } from "../print/words.ts"
import type { Decision } from "./advised.ts"
import type { Outcome } from "./outcome.ts"
import type { Tally } from "./tally.ts"

/* What is said of decisions: of one as a sentence, of many in numbers. */

const done: Record<BulkAction, string> = { retry: "Retried", skip: "Skipped", cancel: "Cancelled" }

const capital: Record<BulkAction, string> = { retry: "Retry", skip: "Skip", cancel: "Cancel" }

const effects: Record<Decision, string> = {
  retry: "tries again what it was parked for.",
  skip:
    "goes on without what it was parked for. That stays undone: its history says who decided so, and why, as long as the execution is kept.",
  cancel: "is cancelled: at its next step or wait it stops, and what it has done is undone.",
  resolve: "goes on: what it was parked for counts as done by hand."
}

/** What was decided on one execution. */
export const decided = (decision: Decision, id: string, path: string | undefined): string => {
  const step = path === undefined ? "" : ` (step "${escaped(path)}")`
  return `Execution "${escaped(id)}"${step} ${effects[decision]}`
}

/** What came of it. */
export const became = (program: string, outcome: Outcome): string =>
  `${sentence(program, outcome)}\n${seeAlso(program, outcome.timeline.execution.id)}`

const maxReason = 500

const sentence = (program: string, outcome: Outcome): string => {
  const { timeline } = outcome
  const { id, status } = timeline.execution
  switch (outcome._tag) {
    case "ParkedAgain":
      return `It is parked again: ${cut(outcome.reason, maxReason)}`
    case "StillParked":
      return `It stays parked: ${cut(outcome.reason, maxReason)}`
    case "Ended":
      return headline(timeline, "It")
    case "GoesOn": {
      const what = status === "Parked"
        ? "That is still under way, and it is parked for something else."
        : headline(timeline, "It")
      return `${what} To see what comes of it: ${commandLine(program, "watch", id)}`
    }
  }
}

/** Why nothing more can be said of a decision. */
export const unknownOutcome = (message: string): string =>
  `The decision is made, but what comes of it is not known. ${message}`

export const signalled = (program: string, id: string, name: string): string =>
  `Execution "${escaped(id)}" has received signal "${escaped(name)}".\n${seeAlso(program, id)}`

const counted = ({ decisions, executions }: Count, tense: "are" | "were" = "are"): string => {
  const count = executionsOf(executions)
  return decisions === executions ? count : `${count}, which ${tense} parked for ${decisions} steps`
}

type Count = Pick<Tally, "decisions" | "executions">

/* What can't be taken back. */
const consequence: Record<BulkAction, string> = {
  retry: "",
  skip: " What they are parked for stays undone.",
  cancel: " What they have done is undone."
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
    ...unansweredIds.map((id) => `  ${commandLine(program, "show", id)}`),
    ...more(unanswered - unansweredIds.length)
  ])
]

const were = (count: number): string => count === 1 ? "1 was" : `${count} were`

const more = (count: number): ReadonlyArray<string> => count > 0 ? [`  ... and ${count} more.`] : []

/** Why it stopped half way, and how far it had come. */
export const stopped = ({ decisions, notAsked, unanswered }: Tally, error: Error): string => {
  const why = error.reason._tag === "NoEngine"
    ? `No engine runs on ${escaped(error.reason.store)} any more.`
    : Failure.shown(error.message)
  return `${why} ${were(decisions)} done, ${unanswered} may still be done, and ${were(notAsked)} not asked. ` +
    `Before you ask again, look at those that may still be done.`
}

export const skipNeedsReason =
  "skip gives up what an execution is parked for: nobody will undo it, and money may stay where it should not be. " +
  `Say why, with --reason "...".`

export const noTargets = (program: string, action: BulkAction): string =>
  `Which executions? Give ids, or a filter${action === "cancel" ? "" : ", such as --parked"}:\n` +
  `  ${program} ${action} Booking/42\n` +
  `  ${program} ${action} --definition Booking --since 2h --dry-run`
