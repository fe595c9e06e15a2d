/*
 * The smallest saga: two steps that run one after another. A step is an action and what undoes it; these two have
 * nothing to undo.
 */
import { Console, Effect } from "effect"
import { Saga } from "effect-saga"

const action1 = Console.log("action_1()").pipe(Effect.as("result_1"))

// An action is any effect: here an async function.
const action2 = Console.log("async_action_2()").pipe(Effect.andThen(Effect.promise(async () => "result_2")))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  yield* Saga.step(action1, Saga.noCompensation)
  yield* Saga.step(action2, Saga.noCompensation)
}).pipe(Saga.transact)

if (import.meta.main) await Effect.runPromise(program)
