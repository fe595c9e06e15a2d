/*
 * Each step gets the result of the one before as its first argument, and takes the others from their defaults: a saga
 * as a chain of functions.
 */
import { Console, Effect } from "effect"
import { Saga } from "effect-saga"

const print = (call: string, result: string) => Console.log(call).pipe(Effect.as(result))
const show = (value: unknown) => JSON.stringify(value)

const action1 = () => print("async_action_1()", "result_1")
const action2 = (a: number, b: number, ...args: ReadonlyArray<string>) =>
  print(`async_action_2(a=${a}, b=${b}, args=${show(args)})`, "result_2")
const action3 = (args: ReadonlyArray<string>, c: number, d: number) =>
  print(`async_action_3(args=${show(args)}, c=${c}, d=${d})`, "result_3")
const action4 = (a: number, b: number, args: ReadonlyArray<string>, c: number, d: number, rest: object) =>
  print(`async_action_4(a=${a}, b=${b}, args=${show(args)}, c=${c}, d=${d}, rest=${show(rest)})`, "result_4")

const step1 = () => Saga.step(action1(), Saga.noCompensation)
const step2 = (previous: string, a = 1, b = 2) => Saga.step(action2(a, b, previous), Saga.noCompensation)
const step3 = (previous: string, c = 3, d = 4) => Saga.step(action3([previous], c, d), Saga.noCompensation)
const step4 = (previous: string, a = 1, b = 2, c = 3, d = 4, e = 5, f = 6) =>
  Saga.step(action4(a, b, [previous], c, d, { e, f }), Saga.noCompensation)

export const program: Effect.Effect<void> = step1().pipe(
  Effect.flatMap((result) => step2(result)),
  Effect.flatMap((result) => step3(result)),
  Effect.flatMap((result) => step4(result)),
  Saga.transact,
  Effect.asVoid
)

if (import.meta.main) await Effect.runPromise(program)
