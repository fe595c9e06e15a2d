import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import { CommittedIncomplete, CompensationFailed } from "../SagaError.ts"
import { thrown } from "./cause.ts"
import type { Ending } from "./ending.ts"
import type { Execution } from "./execution.ts"
import type { Executions } from "./executions.ts"
import { isInstance } from "./guard.ts"
import { Keeper } from "./keeper.ts"
import type * as Progress from "./progress.ts"
import { causeLine, causeSummary } from "./render.ts"
import type { ReplayWatch } from "./replayWatch.ts"
import { transactDurable } from "./transact.ts"

/** Runs executions, from their bodies to how they end. */
export class Launcher {
  private readonly ending: Ending
  private readonly executions: Executions
  private readonly replays: ReplayWatch

  constructor(ending: Ending, executions: Executions, replays: ReplayWatch) {
    this.ending = ending
    this.executions = executions
    this.replays = replays
  }

  launch(execution: Execution): void {
    // The next engine runs it, or does so already.
    if (this.ending.error !== undefined) return
    const { definition } = execution
    this.executions.setLive(execution)
    const keeper = new Keeper(execution)
    // The services of the body were taken when its definition was registered.
    const saga = transactDurable(
      Effect.interruptible(bodyOf(execution)),
      {
        name: definition.name,
        onCompensationFailure: "continue",
        compensationTimeout: undefined,
        unwindTimeout: undefined,
        compensateWhen: undefined
      },
      keeper
    ) as Effect.Effect<unknown, unknown>
    const program = Effect.uninterruptible(
      Effect.flatMap(
        Effect.exit(execution.isInClear ? saga : Effect.andThen(keeper.openReasons, saga)),
        (exit) =>
          Effect.ensuring(
            this.finish(keeper, exit),
            // Also where it has halted because its end could not be written.
            Effect.sync(() => {
              if (execution.halted) this.rest(execution)
            })
          )
      )
    )
    execution.attach(Effect.runForkWith(definition.context)(program))
    if (execution.isReplaying) this.replays.add(execution)
  }

  private finish(keeper: Keeper, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { execution } = keeper
    if (execution.halted) return Effect.void
    if (Exit.isFailure(exit)) return this.finishFailed(keeper, exit.cause)
    this.end(execution, { ...execution.journal.head("ExecutionCompleted"), result: exit.value as Json })
    return Effect.void
  }

  private finishFailed({ execution, outcome }: Keeper, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { definition, journal, progress } = execution
    const typed = asTyped(cause)
    // Of a saga that was only started, nobody else might hear of it. A logger may fail as well.
    const told = Cause.hasDies(typed)
      ? Effect.exit(Effect.logError(
        `Execution ${execution.id} failed with a mistake in its code: ${causeLine(typed, execution.isInClear)}.`
      ))
      : Effect.void
    return Effect.flatMap(Effect.andThen(told, execution.seal(definition.cause.encode(typed))), (result) => {
      if (outcome === "Compensated") {
        // What is not undone of a saga within it, or of a child, is not undone of it.
        const ended = journal.head(leavesSomething(cause) ? "ExecutionFailed" : "ExecutionCompensated")
        this.end(execution, { ...ended, result })
        return Effect.void
      }
      const incomplete = failureIn(cause)
      if (
        isInstance(incomplete, CommittedIncomplete) && definition.onCompensationFailure === "park" &&
        !progress.cancelled
      ) {
        const steps = incomplete.report.failedBy
        const parked = execution.park({
          kind: "FailedAfterPivot",
          path: steps.length === 1 ? steps[0]! : "",
          steps,
          reason: `It failed after its pivot: ${
            execution.isInClear ? causeSummary(incomplete.reason) : causeLine(incomplete.reason, false)
          }`,
          cause: result
        })
        // What its forked fibers wait for, they wait for again when somebody has decided.
        execution.halt()
        this.rest(execution)
        return parked
      }
      this.end(execution, { ...journal.head("ExecutionFailed"), result })
      return Effect.void
    })
  }

  /* From here on others write its journal: decisions are those on an execution that nobody runs. */
  private rest(execution: Execution): void {
    execution.journal.close()
    this.executions.rest(execution)
  }

  /* It is live until its last event is durable, and then gone. */
  private end({ id, journal }: Execution, event: Progress.FinishedEvent): void {
    journal.note(event, () => this.executions.end(id, { ...event, cancelled: journal.progress.cancelled }))
  }
}

/* The body, from the payload as stored to its result as stored. A result that can't be stored fails, and is undone. */
const bodyOf = (execution: Execution): Effect.Effect<Json, unknown> => {
  const { definition, progress } = execution
  return Effect.flatMap(execution.open(progress.started.payload, "The payload"), (opened) => {
    const payload = definition.payload.decode(opened)
    if (Exit.isFailure(payload)) {
      return execution.mismatch(
        `Its payload does not fit the schema any more: ${causeLine(payload.cause, execution.isInClear)}.`
      )
    }
    // Its services are in the context that it is run with.
    const body = Effect.suspend(() => {
      const returned: unknown = definition.body(payload.value as never)
      if (Effect.isEffect(returned)) return returned as Effect.Effect<unknown, unknown>
      if (isInstance(returned, Promise)) returned.catch(() => {})
      return Effect.die(
        new Error(`The body of "${definition.name}" returned no Effect. Wrap a promise in Effect.tryPromise.`)
      )
    })
    return Effect.flatMap(body, (value) => {
      const result = definition.success.encode(value)
      return Exit.isSuccess(result) ? execution.seal(result.value) : Effect.die(
        new Error(`The result of "${definition.name}" does not fit its schema: ${Cause.pretty(result.cause)}`)
      )
    })
  })
}

const isUndone = (reason: Cause.Reason<unknown>): boolean => {
  const error = reason._tag === "Interrupt" ? undefined : thrown(reason)
  return !(isInstance(error, CompensationFailed) || isInstance(error, CommittedIncomplete))
}

const leavesSomething = (cause: Cause.Cause<unknown>): boolean => !cause.reasons.every(isUndone)

/* A saga within it may have died with these, but the type of a durable saga names them. */
const asTyped = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  leavesSomething(cause)
    ? Cause.fromReasons(
      cause.reasons.map((reason) =>
        reason._tag === "Die" && !isUndone(reason) ? Cause.makeFailReason(reason.defect) : reason
      )
    )
    : cause

const failureIn = (cause: Cause.Cause<unknown>): unknown => {
  const reason = cause.reasons.find((reason) => reason._tag !== "Interrupt")
  return reason === undefined ? undefined : thrown(reason as Cause.Fail<unknown> | Cause.Die)
}
