import { Command } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { isFinished } from "../../internal/store.ts"
import { runningChildren } from "../../internal/timelineRender.ts"
import { shellWord } from "../../internal/timelineText.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import * as SagaTimeline from "../../SagaTimeline.ts"
import * as Cli from "../command.ts"
import { connected } from "../connection.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import { noEngine } from "../print/silence.ts"

export const show = Cli.make(
  "show",
  {
    id: Flags.id,
    redact: Flags.toggle("redact", Flags.redacted)
  },
  Effect.fnUntraced(function*({ id, redact }) {
    const output = yield* Output
    const operator = yield* SagaOperator
    const timeline = yield* operator.timeline(id, { redact })
    if (output.json) return yield* output.document(SagaTimeline.SagaTimeline, timeline)
    const now = yield* Clock.currentTimeMillis
    const width = Number.isFinite(output.width) ? output.width : undefined
    yield* output.text(
      SagaTimeline.render(timeline, { now, width, colors: output.colors, program: output.program })
    )
    if (isFinished(timeline.execution.status)) return
    yield* Effect.forEach(runningChildren(timeline), (child) =>
      Effect.flatMap(
        operator.get(child),
        (record) => record.status === "Parked" ? output.error(parkedChild(record.id)) : Effect.void
      ).pipe(
        // It has not been started yet.
        Effect.catchTag("SagaEngineError", () => Effect.void)
      ))
    const { owner } = yield* operator.inspect
    if (owner?.isAlive !== true) yield* output.error(noEngine)
  }, connected)
).pipe(
  Command.withDescription("Shows what happened to an execution, what is left to undo, and what you can do."),
  Command.withExamples([
    { command: "effect-saga show Booking/42", description: "Why a booking is parked, and the commands that apply" },
    { command: "effect-saga show Booking/42 --redact", description: "The same without what customers entered" }
  ])
)

const parkedChild = (id: string): string =>
  `It waits for its child ${shellWord(id)}, which is parked until an operator decides.`
