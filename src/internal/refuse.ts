import * as Effect from "effect/Effect"
import {
  AlreadyFinished,
  ExecutionNotFound,
  InvalidValue,
  NotApplicable,
  NotParked,
  SagaEngineError,
  WrongStep
} from "../SagaEngineError.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Refusal } from "./decisions.ts"

/* How callers are told what was refused. */

export const refuse = (execution: string, refusal: Refusal): Effect.Effect<never, SagaEngineError> =>
  Effect.fail(new SagaEngineError({ reason: reasonOf(execution, refusal) }))

const reasonOf = (execution: string, refusal: Refusal): SagaEngineError["reason"] => {
  switch (refusal._tag) {
    case "NotFound":
      return new ExecutionNotFound({ execution })
    case "AlreadyFinished":
      return new AlreadyFinished({ execution, status: refusal.status })
    case "NotParked":
      return new NotParked({ execution, status: refusal.status })
    case "WrongStep": {
      const { parked, path } = refusal
      return new WrongStep({ execution, parked, ...(path === undefined ? undefined : { path }) })
    }
    case "InvalidValue":
      return new InvalidValue({ execution, path: refusal.path, detail: refusal.detail })
    case "NotApplicable":
      return new NotApplicable({ execution, detail: refusal.detail })
  }
}

export const found = <A>(
  id: string,
  effect: Effect.Effect<A | undefined, SagaStoreError>
): Effect.Effect<A, SagaStoreError | SagaEngineError> =>
  Effect.flatMap(effect, (value) => value === undefined ? refuse(id, { _tag: "NotFound" }) : Effect.succeed(value))

export const accepted = (
  id: string,
  effect: Effect.Effect<Refusal | undefined, SagaStoreError>
): Effect.Effect<void, SagaStoreError | SagaEngineError> =>
  Effect.flatMap(effect, (refusal) => refusal === undefined ? Effect.void : refuse(id, refusal))
