import { Context, Effect, Fiber, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { TestClock } from "effect/testing"

/** Makes the caller the owner of the store although it has one, as after a pause of that one. */
export class TakeOver extends Context.Service<
  TakeOver,
  (owner: string) => Effect.Effect<SagaStore.Ownership, SagaStore.SagaStoreError, Scope.Scope>
>()("effect-saga/test/TakeOver") {}

/** Opens the storage of the store once more, until the scope closes, as another process does. */
export class OpenAgain extends Context.Service<
  OpenAgain,
  Effect.Effect<SagaStore.SagaStore["Service"], SagaStore.SagaStoreError, Scope.Scope>
>()("effect-saga/test/OpenAgain") {}

export const recordOf = (key: number, fields?: Partial<SagaStore.ExecutionRecord>): SagaStore.ExecutionRecord => ({
  key,
  id: `Trip/${key}`,
  definition: "Trip",
  version: 1,
  status: "Running",
  cancelled: false,
  reason: null,
  error: null,
  attributes: {},
  parent: null,
  createdAt: 1000 + key,
  updatedAt: 1000 + key,
  ...fields
})

/** The first append of an execution, with one event. */
export const started = (key: number, fields?: Partial<SagaStore.ExecutionRecord>): SagaStore.Append => ({
  key,
  record: recordOf(key, fields),
  firstSequence: 1,
  events: [`{"started":${key}}`]
})

/** An append of one event that leaves the record as it is. */
export const appended = (key: number, sequence: number): SagaStore.Append => ({
  key,
  record: undefined,
  firstSequence: sequence,
  events: [`{"event":${sequence}}`]
})

/** The reason of the error that the effect fails with; it dies where the effect succeeds. */
export const reasonOf = <A, R>(self: Effect.Effect<A, SagaStore.SagaStoreError, R>) =>
  Effect.map(Effect.orDie(Effect.flip(self)), (error) => error.reason)

/** Acquires at once or not at all, in terms of the clock of the test. */
export const acquire = (owner: string) =>
  Effect.flatMap(SagaStore.SagaStore, (store) => store.acquire({ owner, standby: false }))

/** Lets time pass until the fiber is done. A store may work in another thread, for which the clock of the test can't wait. */
export const inTime = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> =>
  TestClock.adjust("100 millis").pipe(
    Effect.andThen(TestClock.withLive(Effect.sleep("1 millis"))),
    Effect.repeat({ until: () => fiber.pollUnsafe() !== undefined }),
    Effect.andThen(Fiber.join(fiber))
  )

export const signal = (execution: string, event: string): SagaStore.EarlySignal => ({ execution, event })

export const keysOf = (records: ReadonlyArray<SagaStore.ExecutionRecord>) => records.map((record) => record.key)

export const request = (id: string, execution: string): SagaStore.Request => ({
  id,
  execution,
  request: `{"asked":"${id}"}`
})
