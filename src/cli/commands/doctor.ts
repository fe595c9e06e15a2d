import { Command, Flag } from "effect/cli"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { escaped } from "../../internal/timelineText.ts"
import { SagaOperator } from "../../SagaOperator.ts"
import { SagaStore } from "../../SagaStore.ts"
import * as Cli from "../command.ts"
import * as Connection from "../connection.ts"
import { checksOf, checkup, unusable } from "../doctor/checks.ts"
import { gather } from "../doctor/facts.ts"
import { render } from "../doctor/render.ts"
import * as Failure from "../failure.ts"
import * as Flags from "../input/flags.ts"
import { Output } from "../output.ts"
import { Checkup } from "../schemas.ts"

export const doctor = Cli.make(
  "doctor",
  {
    staleAfter: Flags.duration(
      "stale",
      "How long nothing may happen to an execution that waits for nothing (default 1h)"
    )
      .pipe(Flag.withDefault(Duration.hours(1)))
  },
  Effect.fnUntraced(function*({ staleAfter }) {
    const output = yield* Output
    yield* output.workOn
    const checks = yield* check(Math.ceil(Duration.toMillis(staleAfter))).pipe(
      Effect.provide(Connection.operator),
      // Whatever is wrong with a store is what somebody wants to know who asks this.
      Effect.catchTag("SagaStoreError", (error) => Effect.succeed(unusable(Failure.messageOf(error))))
    )
    const result = checkup(checks)
    yield* output.json ? output.document(Checkup, result) : output.text(render(result, output.colors))
    if (!result.ok) return yield* Failure.failed("CheckFailed", "")
  })
).pipe(
  Command.withDescription(
    "Checks the store, the engine that runs its executions, what is parked or stands still, and the disk. " +
      "Each finding says what to do. Ends with 1 where a check failed."
  ),
  Command.withShortDescription("Checks the store, the engine that runs its executions, and what stands still."),
  Command.withExamples([
    { command: "effect-saga doctor", description: "Is all well?" },
    { command: "effect-saga doctor --json --stale 15m", description: "From a monitor" }
  ])
)

const check = Effect.fnUntraced(function*(staleAfter: number) {
  const operator = yield* SagaOperator
  const { name } = yield* SagaStore
  const { program } = yield* Output
  const database = Option.getOrUndefined(yield* Connection.database)
  const filename = database?._tag === "File" ? database.filename : undefined
  return checksOf(yield* gather(operator, { store: escaped(name), program, filename, staleAfter }))
})
