import { Command } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { finishedStatuses } from "../../internal/store.ts"
import { duration } from "../../internal/timelineText.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Failure from "../failure.ts"
import { confirm } from "../input/confirm.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import * as Progress from "../print/progress.ts"
import { counted } from "../print/words.ts"
import { Pruned } from "../schemas.ts"

export const prune = Cli.make(
  "prune",
  {
    olderThan: Flags.duration("older-than", "Only executions that ended at least that long ago, such as 30d"),
    statuses: Flags.statuses(finishedStatuses, ": what has not ended is never deleted"),
    dryRun: Flags.dryRun,
    yes: Flags.yes
  },
  Effect.fnUntraced(function*({ dryRun, olderThan, statuses: given, yes }) {
    const operator = yield* SagaOperator
    const output = yield* Output
    yield* output.workOn
    const statuses = given.length === 0 ? finishedStatuses : Array.from(new Set(given.flat()))
    // Once, as somebody may take long to answer.
    const finishedBefore = Math.floor((yield* Clock.currentTimeMillis) - Duration.toMillis(olderThan))
    const counts = yield* Effect.forEach(
      statuses,
      (status) =>
        Effect.map(
          operator.count({ statuses: [status], updatedBefore: finishedBefore }),
          (count) => ({ status, count })
        )
    )
    const count = counts.reduce((sum, { count }) => sum + count, 0)
    const what = `${counted(count)} that ended at least ${duration(Duration.toMillis(olderThan))} ago`
    if (dryRun || count === 0) {
      return yield* output.json
        ? output.document(Pruned, { v: 1, dryRun, deleted: count, counts })
        : output.text(
          count === 0
            ? `There is nothing to delete: there are ${what}.`
            : `This would delete up to ${what}: ${each(counts)}. Those whose parents have not ended stay.\n` +
              `${lost}\n` +
              `Nothing was done.`
        )
    }
    const isWanted = yield* confirm({
      yes,
      question: `Delete ${what} (${each(counts)})? ${lost}`,
      unasked: `This would delete ${what}, and there is nobody to ask whether it should. Nothing was done: ` +
        `add --yes to do it. ${lost}`
    })
    if (!isWanted) return yield* output.text("Nothing was done.")
    const progress = yield* Progress.make
    let soFar = 0
    const tell = Effect.suspend(() => progress.show(`Deleted ${soFar} of ${count}`))
    const deleted = yield* operator.prune({
      finishedBefore,
      statuses,
      onProgress: (deleted) => {
        soFar = deleted
      }
    }).pipe(
      Effect.raceFirst(Effect.andThen(Effect.repeat(tell, Schedule.spaced("100 millis")), Effect.never)),
      Effect.ensuring(progress.clear),
      Failure.onInterrupt(() => interrupted(soFar, count))
    )
    if (output.json) return yield* output.document(Pruned, { v: 1, dryRun, deleted })
    // Somebody else may have deleted some of them, too. What was deleted is said whether or not that can be counted.
    const stayed = yield* Effect.orElseSucceed(operator.count({ statuses, updatedBefore: finishedBefore }), () => 0)
    yield* output.text(`Deleted ${counted(deleted)}.${stayed === 0 ? "" : kept(stayed)}`)
  }, connected)
).pipe(
  Command.withDescription(
    "Deletes executions that ended long ago, with their histories, which say who decided what. Never one that has not " +
      "ended, nor one whose parent has not. An id whose execution is deleted can be started, and so run, again: keep " +
      "executions for longer than anything may deliver their payload again."
  ),
  Command.withShortDescription("Deletes executions that ended long ago."),
  Command.withExamples([
    { command: "effect-saga prune --older-than 30d --dry-run", description: "How many would be deleted" },
    { command: "effect-saga prune --older-than 30d --status Completed --yes", description: "From a nightly job" }
  ])
)

const kept = (count: number): string => ` ${counted(count)} stayed, whose parents have not ended.`

/* A part is deleted at a time, and told when it is. */
const interrupted = (deleted: number, count: number): string =>
  `Interrupted. ${deleted} of ${counted(count)} ${
    deleted === 1 ? "was" : "were"
  } deleted, and a part more may have been. ` +
  `The same command deletes the others.`

const each = (counts: ReadonlyArray<{ readonly status: string; readonly count: number }>): string =>
  counts.flatMap(({ count, status }) => count === 0 ? [] : [`${count} ${status}`]).join(", ")

const lost =
  "Their histories, with who decided what, are deleted with them, and an id can be started, and so run, again: " +
  "keep them for longer than anything may deliver their payload again."
