import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import { head } from "./journalText.ts"
import { plain } from "./plainJson.ts"
import * as Progress from "./progress.ts"

/* What operators may decide on an execution that is parked. */

/** Why an operator's decision was not taken. */
export type Refusal =
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "AlreadyFinished"; readonly status: string }
  | { readonly _tag: "NotParked"; readonly status: string }
  /** `parked` are the paths of all that it is parked for. */
  | { readonly _tag: "WrongStep"; readonly path?: string; readonly parked: ReadonlyArray<string> }
  | { readonly _tag: "InvalidValue"; readonly path: string; readonly detail: string }
  | { readonly _tag: "NotApplicable"; readonly detail: string }

/** How an operator decided on what an execution is parked for. */
export type DecisionKind = "Retried" | "Skipped" | "Resolved"

/** Who decided, and why. */
export interface DecisionBy {
  readonly operator?: string
  readonly reason?: string
}

/** As it is stored: without what was not given. */
export const decisionBy = (
  by: { readonly operator?: string | undefined; readonly reason?: string | undefined } | undefined
): DecisionBy => ({
  ...(by?.operator === undefined ? undefined : { operator: by.operator }),
  ...(by?.reason === undefined ? undefined : { reason: by.reason })
})

export interface DecisionOptions {
  /** The step that the decision is about; where it is undefined, the only thing that the execution is parked for. */
  readonly path?: string | undefined
  readonly value?: Json | undefined
  /** Whether somebody has given a value: a codec makes something of `null`, too. */
  readonly hasValue?: boolean | undefined
  readonly by: DecisionBy
}

/** What a decision is for an execution in this state, or why it is none. */
export const decisionOn = (
  progress: Progress.Progress,
  kind: DecisionKind,
  options: DecisionOptions,
  at: number
): Refusal | Progress.Decision => {
  const parked = Array.from(progress.parked?.values() ?? [])
  const chosen = options.path === undefined ? parked : parked.filter(({ path }) => path === options.path)
  if (parked.length === 0) return { _tag: "NotParked", status: Progress.statusOf(progress) }
  if (chosen.length !== 1) {
    const paths = parked.map(({ path }) => path).toSorted()
    return { _tag: "WrongStep", parked: paths, ...(options.path === undefined ? undefined : { path: options.path }) }
  }
  const [{ kind: why, path }] = chosen as [(typeof chosen)[0]]
  if (kind !== "Retried" && (why === "Mismatch" || why === "NotRegistered")) {
    const otherwise = Progress.isBeingUndone(progress) ? "" : ", or cancel it"
    return notApplicable(`its code does not fit: register the code that it began with${otherwise}`)
  }
  if (kind !== "Skipped" && why === "FailedAfterPivot" && chosen[0]!.steps.some((step) => isUndone(progress, step))) {
    return notApplicable("it failed in a part that has been undone, which is not done again: skip it, or cancel")
  }
  if (kind === "Resolved" && why === "CompensationFailed" && options.hasValue === true) {
    return notApplicable("a compensation has no value: resolve it without one")
  }
  if (kind === "Resolved" && why === "FailedAfterPivot" && path === "") {
    return notApplicable("it did not fail because of one step, so there is nothing to give a value to")
  }
  const by = { path, ...options.by }
  if (kind !== "Resolved") return { ...head(kind, at), ...by }
  const value = givenValue(options.value ?? null)
  return Result.isFailure(value) ? value.failure : { ...head("Resolved", at), value: value.success, ...by }
}

/** What somebody gives as a value, as it is kept, or why it can't be. */
export const givenValue = (value: Json): Result.Result<Json, Refusal> =>
  Result.mapError(plain(value), (problem) => notApplicable(`the value that was given ${problem}`))

const isUndone = ({ unwinds }: Progress.Progress, path: string): boolean =>
  Array.from(unwinds?.keys() ?? []).some((scope) => path.startsWith(`${scope}/`))

/** Why what is being undone can't be cancelled. */
export const alreadyBeingUndone = "it is already being undone"

export const notApplicable = (detail: string): Refusal => ({ _tag: "NotApplicable", detail })

export const alreadyFinished = (finished: Progress.FinishedEvent): Refusal => ({
  _tag: "AlreadyFinished",
  status: Progress.statusOfFinished(finished)
})
