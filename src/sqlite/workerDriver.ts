/// <reference types="node" />
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import { SagaStoreError } from "../SagaStoreError.ts"
import type { Driver, Options } from "./driver.ts"
import { unavailable } from "./errors.ts"
import type { Operations } from "./operations.ts"
import type { Reply, Request } from "./worker.ts"

/* Beside this file, in the sources as in what is built from them. */
const program = new URL(import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js", import.meta.url)

const decodeError = Schema.decodeUnknownEffect(SagaStoreError)

type Resume = (effect: Effect.Effect<unknown, SagaStoreError>) => void

/** Opens a file in a thread of its own, which closes it and ends with the scope. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Driver, SagaStoreError, Scope.Scope> {
  // The thread answers in the order in which it is asked.
  const waiting: Array<Resume> = []
  const ended = Deferred.makeUnsafe<void>()
  let isClosed = false
  const closed = unavailable(options.store, "closed", undefined)

  const settle = (effect: Effect.Effect<unknown, SagaStoreError>): void => {
    const resume = waiting.shift()
    if (waiting.length === 0 && !isClosed) worker.unref()
    resume?.(effect)
  }

  const ask = (post: (worker: Worker) => void): Effect.Effect<unknown, SagaStoreError> =>
    // What was sent will be done, whether or not somebody waits for it.
    Effect.uninterruptible(Effect.callback((resume) => {
      if (isClosed) return resume(closed)
      post(worker)
      // An idle thread does not keep the process alive; one at work does.
      if (waiting.length === 0) worker.ref()
      waiting.push(resume)
    }))

  const close = Effect.andThen(
    Effect.sync(() => {
      isClosed = true
      worker.ref()
      worker.postMessage("close" satisfies Request, [])
    }),
    Deferred.await(ended)
  )

  const worker = new Worker(program, {
    name: "effect-saga",
    workerData: options,
    // Flags of the program that uses the library may not suit a file of it.
    execArgv: []
  })
  worker.on("message", (reply: Reply) => settle(fromReply(reply)))
  worker.on("error", (error) => end(Effect.die(error)))
  worker.on("exit", () => end(closed))
  const end = (reason: Effect.Effect<never, SagaStoreError>): void => {
    isClosed = true
    while (waiting.length > 0) settle(reason)
    Deferred.doneUnsafe(ended, Effect.void)
  }

  yield* Effect.acquireRelease(ask(() => {}), () => close)

  return {
    call: <Name extends keyof Operations>(name: Name, ...parameters: Parameters<Operations[Name]>) =>
      // The reply to a request is the result of the operation that it names.
      ask((worker) => worker.postMessage({ name, parameters } satisfies Request, [])) as Effect.Effect<
        ReturnType<Operations[Name]>,
        SagaStoreError
      >
  }
})

const fromReply = (reply: Reply): Effect.Effect<unknown, SagaStoreError> => {
  switch (reply._tag) {
    case "Success":
      return Effect.succeed(reply.value)
    case "Failure":
      return Effect.flatMap(Effect.orDie(decodeError(reply.error)), Effect.fail)
    case "Death":
      return Effect.die(new Error(reply.text))
  }
}
