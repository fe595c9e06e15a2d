import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { line } from "../../internal/timelineText.ts"
import { type BulkAction, type Error, SagaOperator } from "../../SagaOperator.ts"
import * as Failure from "../failure.ts"
import { confirm } from "../input/confirm.ts"
import { Output } from "../output.ts"
import * as Progress from "../print/progress.ts"
import { note, reasonOf, statusStyle, table } from "../print/table.ts"
import { DecidedMany } from "../schemas.ts"
import * as Many from "./many.ts"
import { Counter, type Tally } from "./tally.ts"
import * as Texts from "./texts.ts"

/** Says what would be done, asks whether it should be, does it, and says what became of it. */
export const decideMany = Effect.fnUntraced(function*(
  request: Many.Request,
  { dryRun, yes }: { readonly dryRun: boolean; readonly yes: boolean }
) {
  const { action } = request
  const operator = yield* SagaOperator
  const output = yield* Output
  yield* output.workOn
  const plan = yield* planned(operator, request).pipe(Failure.onInterrupt(() => Texts.nothingDone))
  if (dryRun || plan.tally.decisions === 0) return yield* tell(action, dryRun, plan)
  const { decisions } = plan.tally
  const isWanted = yield* confirm({
    yes,
    question: Texts.question(action, plan.tally),
    unasked: Texts.unasked(action, plan.tally)
  })
  if (!isWanted) return yield* output.text("Nothing was done.")
  const progress = yield* Progress.make
  const tally = new Counter()
  const { error, results } = yield* Many.perform(operator, request, plan.results, {
    onResult: (result) =>
      Effect.suspend(() => {
        tally.add(result)
        return progress.show(Texts.progress(action, tally, decisions))
      }),
    onInterrupt: (results) =>
      Effect.andThen(progress.clear, Effect.provideService(interrupted(action, results), Output, output))
  }).pipe(Effect.ensuring(progress.clear))
  return yield* tell(action, dryRun, { tally, results, error })
})

interface Told {
  readonly tally: Tally
  readonly results: ReadonlyArray<Many.Result>
  /** Why some were not asked. */
  readonly error: Error | undefined
}

const maxRows = 100

/* All of it, so that what is done is what was asked for; records, only as many as are shown. */
const planned = Effect.fnUntraced(function*(operator: SagaOperator["Service"], request: Many.Request) {
  const tally = new Counter()
  const results: Array<Many.Result> = []
  yield* Stream.runForEach(Many.plan(operator, request), (result) =>
    Effect.sync(() => {
      tally.add(result)
      results.push(tally.decisions <= maxRows ? result : { ...result, record: undefined })
    }))
  return { tally, results, error: undefined } satisfies Told
})

const tell = Effect.fnUntraced(function*(action: BulkAction, dryRun: boolean, { error, results, tally }: Told) {
  const output = yield* Output
  if (output.json) {
    yield* showDocument(action, dryRun, results)
  } else if (tally.decisions === 0) {
    const others = Texts.others(output.program, tally)
    if (others.length > 0) yield* output.text(others.join("\n"))
    else if (error === undefined) yield* output.text(Texts.nothingToDo(action))
  } else if (dryRun) {
    yield* showPlan(results, tally)
    yield* output.text([Texts.planned(action, tally), ...Texts.others(output.program, tally)].join("\n"))
  } else {
    yield* output.text(Texts.summary(output.program, action, tally))
  }
  if (error !== undefined) return yield* stopped(error, tally)
  // All has been said.
  if (tally.refused > 0) return yield* Failure.failed("Refused", "")
  if (tally.unanswered > 0) return yield* Failure.failed("Unanswered", "")
})

const stopped = (error: Error, tally: Tally) =>
  tally.decisions + tally.unanswered === 0
    ? Effect.fail(error)
    : Effect.fail(Failure.failed(error.reason._tag, Texts.stopped(tally, error)))

/* What was on its way then may be done by now, so the numbers are those of the moment before. */
const interrupted = Effect.fnUntraced(function*(action: BulkAction, results: ReadonlyArray<Many.Result>) {
  const output = yield* Output
  const tally = new Counter()
  for (const result of results) tally.add(result)
  if (output.json) yield* showDocument(action, false, results)
  yield* Failure.interrupted(Texts.interrupted(output.program, tally))
})

const showDocument = Effect.fnUntraced(function*(
  decision: BulkAction,
  dryRun: boolean,
  results: ReadonlyArray<Many.Result>
) {
  const output = yield* Output
  yield* output.document(DecidedMany, { v: 1, decision, dryRun, results: results.map(encoded) })
})

const showPlan = Effect.fnUntraced(function*(results: ReadonlyArray<Many.Result>, tally: Tally) {
  const { lines, width } = yield* Output
  const planned = results.filter(({ outcome }) => outcome._tag === "Planned").slice(0, maxRows)
  yield* lines([
    ...table(
      ["ID", "STATUS", "STEP", "REASON"],
      planned.map(({ id, path, record }) => [
        ["plain", id],
        record === undefined ? ["plain", ""] : [statusStyle[record.status], record.status],
        ["plain", path ?? ""],
        ["plain", record === undefined ? "" : reasonOf(record)]
      ]),
      width
    ),
    ...(tally.decisions > planned.length ? [note(`... and ${tally.decisions - planned.length} more`)] : []),
    line(["plain", ""])
  ])
})

const encoded = ({ id, outcome, path }: Many.Result): (typeof DecidedMany.Type)["results"][number] => ({
  execution: id,
  path,
  outcome: outcome._tag,
  error: "error" in outcome && outcome.error !== undefined
    ? { _tag: outcome.error.reason._tag, message: outcome.error.message }
    : null
})
