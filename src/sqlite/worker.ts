/// <reference types="node" />
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { parentPort, workerData } from "node:worker_threads"
import { SagaStoreError } from "../SagaStoreError.ts"
import * as driver from "./driver.ts"
import type { Operations } from "./operations.ts"

/*
 * The thread in which a database is used where it has one of its own. It opens the file, answers the requests in their
 * order, and ends when it is told to close.
 */

export type Request =
  | { readonly name: keyof Operations; readonly parameters: Parameters<Operations[keyof Operations]> }
  | "close"

export type Reply =
  | { readonly _tag: "Success"; readonly value: unknown }
  | { readonly _tag: "Failure"; readonly error: typeof SagaStoreError.Encoded }
  | { readonly _tag: "Death"; readonly text: string }

const encodeError = Schema.encodeSync(SagaStoreError)

/* What crosses is data: an error would lose its class and its fields. */
const toReply = (exit: Exit.Exit<unknown, SagaStoreError>): Reply => {
  if (Exit.isSuccess(exit)) return { _tag: "Success", value: exit.value }
  const error = Cause.findError(exit.cause)
  return Result.isSuccess(error)
    ? { _tag: "Failure", error: encodeError(error.success) }
    : { _tag: "Death", text: Cause.pretty(exit.cause) }
}

const port = parentPort!

const answer = (reply: Reply): void => port.postMessage(reply)

Effect.runFork(
  Effect.gen(function*() {
    // The options come from the side that started this thread.
    const { call } = yield* driver.make(workerData as driver.Options)
    answer({ _tag: "Success", value: undefined })
    yield* Effect.callback<void>((resume) => {
      port.on("message", (request: Request) => {
        if (request === "close") resume(Effect.void)
        else answer(toReply(Effect.runSyncExit(call(request.name, ...request.parameters))))
      })
    })
  }).pipe(
    Effect.scoped,
    Effect.exit,
    Effect.map((exit) => {
      answer(toReply(exit))
      port.close()
    })
  )
)
