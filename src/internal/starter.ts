import * as Effect from "effect/Effect"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Creator } from "./creator.ts"
import type { RequestAnswer } from "./desk.ts"
import type { Ending } from "./ending.ts"
import type { Execution } from "./execution.ts"
import type { Executions } from "./executions.ts"
import type { Journals } from "./journals.ts"
import type { Loader } from "./loader.ts"
import type { Finished, StartCall } from "./runner.ts"
import { isFinished } from "./store.ts"

/** Starts executions, or joins those that there are, and waits for their ends. */
export class Starter {
  private readonly ending: Ending
  private readonly journals: Journals
  private readonly executions: Executions
  private readonly loader: Loader
  private readonly creator: Creator

  constructor(ending: Ending, journals: Journals, executions: Executions, loader: Loader, creator: Creator) {
    this.ending = ending
    this.journals = journals
    this.executions = executions
    this.loader = loader
    this.creator = creator
  }

  start(call: StartCall, answer?: RequestAnswer): Effect.Effect<void, SagaStoreError> {
    return Effect.flatMap(this.ending.ready, () => {
      const live = this.executions.getLive(call.id)
      if (live !== undefined) return this.join(live, call)
      return Effect.flatten(this.journals.exclusively(
        call.id,
        Effect.suspend((): Effect.Effect<Effect.Effect<void, SagaStoreError>, SagaStoreError> => {
          const live = this.executions.getLive(call.id)
          if (live !== undefined) return Effect.succeed(this.join(live, call))
          // It may be on its way to the store.
          if (this.executions.isIdle(call.id)) {
            return Effect.succeed(Effect.andThen(
              this.journals.flushed,
              Effect.suspend(() => this.executions.isIdle(call.id) ? Effect.void : this.start(call, answer))
            ))
          }
          return Effect.flatMap(
            this.journals.readIfExists(call.id),
            (found) =>
              found === undefined
                ? Effect.succeed(this.creator.create(call, answer))
                : Effect.as(this.loader.resumeFound(found), Effect.void)
          )
        })
      ))
    })
  }

  /* Where the one who started it was refused by the store, this one tries by itself. */
  private join({ journal }: Execution, call: StartCall): Effect.Effect<void, SagaStoreError> {
    return journal.isStored ?
      Effect.void :
      Effect.callback((resume) => journal.whenWritten(1, (written) => resume(written ? Effect.void : this.start(call))))
  }

  run(call: StartCall): Effect.Effect<Finished, SagaStoreError> {
    const { id } = call
    return Effect.flatMap(this.ending.ready, () =>
      this.executions.isLive(id)
        ? this.executions.awaitEnd(id)
        : Effect.flatten(this.journals.exclusively(
          id,
          Effect.suspend((): Effect.Effect<Effect.Effect<Finished, SagaStoreError>, SagaStoreError> => {
            if (this.executions.has(id)) return Effect.succeed(this.executions.awaitEnd(id))
            return Effect.flatMap(this.journals.readIfExists(id), (found) => {
              if (found !== undefined && isFinished(found.record.status)) {
                return Effect.succeed(this.journals.finishedOf(found))
              }
              const ended = this.executions.expectEnd(id)
              if (found !== undefined) return Effect.as(this.loader.resumeFound(found), ended)
              this.creator.create(call)
              return Effect.succeed(ended)
            })
          })
        )))
  }

  awaitFinished(id: string): Effect.Effect<Finished | undefined, SagaStoreError> {
    return Effect.flatMap(this.ending.ready, () => {
      if (this.executions.has(id)) return this.executions.awaitEnd(id)
      return Effect.flatMap(this.journals.read(id), (found): Effect.Effect<Finished | undefined, SagaStoreError> => {
        if (found === undefined) return Effect.succeed(undefined)
        if (isFinished(found.record.status)) return this.journals.finishedOf(found)
        return Effect.andThen(this.loader.load(id), this.awaitFinished(id))
      })
    })
  }

  poll(id: string): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> {
    return Effect.flatMap(
      this.ending.ready,
      () =>
        Effect.flatMap(
          this.journals.readSoon(id),
          (found): Effect.Effect<Finished | "Unfinished" | undefined, SagaStoreError> =>
            found === undefined
              ? Effect.succeed(undefined)
              : isFinished(found.record.status)
              ? this.journals.finishedOf(found)
              : Effect.succeed("Unfinished")
        )
    )
  }
}
