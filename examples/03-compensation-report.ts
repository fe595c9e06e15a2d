/*
 * A step fails, and what was done before is undone with the result that it had returned. The report lists each step and
 * what became of it, why the saga failed, with an indented trace, and, in the second run, why a compensation failed and
 * what is left to undo.
 */
import { Console, Data, Effect, Option } from "effect"
import { Saga, SagaReport } from "effect-saga"

class RuntimeError extends Data.TaggedError("RuntimeError")<{ readonly message: string }> {}

const action1 = Console.log("async_action_1()").pipe(Effect.as("result_1"))
const compensation1 = (result: string) => Console.log(`async_compensation_1(${result})`)
const brokenCompensation1 = (result: string) =>
  Effect.andThen(compensation1(result), new RuntimeError({ message: "the service is down" }))

const action2 = Effect.gen(function*() {
  yield* Console.log("async_action_2()")
  return yield* new RuntimeError({ message: "test" })
})

const clean = Effect.gen(function*() {
  yield* Saga.step(action1, compensation1, { name: "action_1" })
  yield* Saga.step(action2, Saga.noCompensation, { name: "action_2" })
}).pipe(Saga.transact({ name: "orchestration" }))

const dirty = Effect.gen(function*() {
  yield* Saga.step(action1, brokenCompensation1, { name: "action_1" })
  yield* Saga.step(action2, Saga.noCompensation, { name: "action_2" })
}).pipe(Saga.transact({ name: "orchestration" }))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  // Undone: the saga fails with its own error, and the report is attached to the cause.
  yield* clean.pipe(
    Effect.catchCause((cause) => Console.log("\n" + SagaReport.render(Option.getOrThrow(Saga.report(cause)))))
  )

  yield* Console.log("\n----\n")

  // Not undone: the saga fails with `CompensationFailed`, whose message is the report.
  yield* dirty.pipe(
    Effect.catchTag("CompensationFailed", (error) => Console.log("\n" + error.message)),
    Effect.catchTag("RuntimeError", (error) => Console.log(error.message))
  )
})

if (import.meta.main) await Effect.runPromise(program)
