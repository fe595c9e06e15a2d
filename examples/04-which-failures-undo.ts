/*
 * Two steps add 30 to two counters. Where the second fails after its addition has taken effect, it has to be undone as
 * well as the first: that is `stepExit`. `compensateWhen` chooses which failures undo the saga at all.
 */
import { Cause, Console, Data, Effect } from "effect"
import { Saga } from "effect-saga"

class OsError extends Data.TaggedError("OsError") {}
class UnexpectedError extends Data.TaggedError("UnexpectedError")<{ readonly message: string }> {}

const amount = 30

const raised = (...tags: ReadonlyArray<string>) => (cause: Cause.Cause<unknown>) =>
  cause.reasons.some((reason) =>
    Cause.isFailReason(reason) && reason.error instanceof Error && tags.includes(reason.error.name)
  )

const run = Effect.fnUntraced(function*(title: string, options: {
  readonly error?: OsError | UnexpectedError
  readonly compensateWhen: (cause: Cause.Cause<unknown>) => boolean
}) {
  const counter = [10, 20] as [number, number]
  const add = (index: 0 | 1) =>
    Effect.sync(() => {
      counter[index] += amount
    })
  const decrement = (index: 0 | 1) =>
    Effect.sync(() => {
      counter[index] -= amount
    })
  const fail = options.error === undefined ? Effect.void : Effect.fail(options.error)

  const outcome = yield* Effect.gen(function*() {
    yield* Saga.stepExit(add(0), () => decrement(0), { name: "add-0" })
    yield* Saga.stepExit(Effect.andThen(add(1), fail), () => decrement(1), { name: "add-1" })
  }).pipe(
    Saga.transact({ name: "counters", compensateWhen: options.compensateWhen }),
    Effect.match({ onSuccess: () => "completed", onFailure: (error) => `failed with ${error._tag}` })
  )
  yield* Console.log(`${title}: ${outcome}, counter = [${counter.join(", ")}]`)
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const error = new UnexpectedError({ message: "error occurred" })

  yield* run("no failure", { compensateWhen: raised("OsError") })
  yield* run("a failure that undoes", { error, compensateWhen: raised("OsError", "UnexpectedError") })
  yield* run("a failure that does not", { error, compensateWhen: raised("OsError") })
})

if (import.meta.main) await Effect.runPromise(program)
