import * as Effect from "effect/Effect"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { type DecisionBy, decisionBy } from "./decisions.ts"
import type { Ending } from "./ending.ts"
import type { Executions } from "./executions.ts"
import type { Parent, ResultOfChild } from "./host.ts"
import * as Progress from "./progress.ts"
import type { ChildCall, Runner } from "./runner.ts"

/** What executions do with others that they start: their children. */
export class Children {
  private readonly ending: Ending
  private readonly executions: Executions
  private readonly runner: Pick<Runner, "start" | "awaitFinished" | "cancel">

  constructor(ending: Ending, executions: Executions, runner: Pick<Runner, "start" | "awaitFinished" | "cancel">) {
    this.ending = ending
    this.executions = executions
    this.runner = runner
  }

  /** Starts a child, or joins it, and waits for its end. */
  run(call: ChildCall, parent: Parent): Effect.Effect<ResultOfChild> {
    const run: Effect.Effect<ResultOfChild, SagaStoreError> = Effect.flatMap(
      Effect.andThen(
        Effect.flatMap(
          parent.seal(call.payload),
          (payload) => this.runner.start({ ...call, payload, parent: parent.id })
        ),
        Effect.andThen(
          Effect.suspend(() =>
            parent.progress.cancelled ? Effect.asVoid(this.runner.cancel(call.id, whoCancelled(parent))) : Effect.void
          ),
          this.runner.awaitFinished(call.id)
        )
      ),
      (finished) =>
        finished === undefined ? run : Effect.succeed({
          status: Progress.statusOfFinished(finished),
          cancelled: finished.cancelled,
          result: finished.result
        })
    )
    return this.surely(run, `Execution ${parent.id} waits for its child ${call.id}.`)
  }

  /** Cancels a child, and waits for its end. */
  cancel(id: string, parent: Parent): Effect.Effect<void> {
    return Effect.asVoid(this.surely(
      Effect.andThen(
        Effect.suspend(() => this.runner.cancel(id, whoCancelled(parent))),
        this.runner.awaitFinished(id)
      ),
      `Execution ${id} is not cancelled yet.`
    ))
  }

  /*
   * Whoever has children waits for the store as for all else, and is not undone by it. Where the engine has ended, all
   * executions have halted.
   */
  private surely<A>(self: Effect.Effect<A, SagaStoreError>, what: string): Effect.Effect<A> {
    return Effect.catch(self, (error) => {
      if (this.ending.error !== undefined) return Effect.interrupt
      return Effect.logError(`${what} ${error.message}`).pipe(
        Effect.andThen(Effect.sleep(error.isTransient ? "1 second" : "10 seconds")),
        Effect.andThen(this.surely(self, what))
      )
    })
  }

  /** Cancels all that an execution has started and that run, and waits for their ends. */
  cancelAll(parent: Parent): Effect.Effect<void> {
    return Effect.andThen(
      this.executions.recovered,
      Effect.suspend(() =>
        Effect.forEach(this.executions.childrenOf(parent.id), (id) => this.cancel(id, parent), { discard: true })
      )
    )
  }
}

/* Of one that was not cancelled itself, as where a deadline has passed, nobody. */
const whoCancelled = ({ progress }: Parent): DecisionBy => decisionBy(progress.cancelledBy)
