/*
 * Owners that take a store from each other while all that came before still write: what was written by whom, and when.
 */
import { PgConnection } from "@effect/sql-pg"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Random, type Redacted, Scope } from "effect"
import { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { recordOf } from "./storeValues.ts"

export interface Result {
  /** The commits that returned, and those that are in the tables. */
  readonly accepted: number
  readonly written: number
  /** The owners that were told that they are none any more. */
  readonly refused: number
  /** The epochs after whose beginning something was written under an earlier one. */
  readonly stale: ReadonlyArray<number>
}

/** Takes a store over so many times, with two stores in turn. */
export const takeOvers = Effect.fnUntraced(function*(
  at: { readonly url: Redacted.Redacted; readonly schema: string },
  times: number
) {
  const open = Effect.map(Layer.build(Layer.fresh(PostgresStore.layer(at))), Context.get(SagaStore.SagaStore))
  const stores = [yield* open, yield* open] as const
  const connection = yield* PgConnection.make({ url: at.url })
  const writtenBefore = (epoch: number) =>
    Effect.map(
      connection.query(
        `SELECT count(*)::integer AS count FROM ${at.schema}.events WHERE (event::jsonb ->> 'epoch')::integer < $1`,
        [epoch]
      ),
      ({ rows }) => Number(rows[0]!["count"])
    )

  let key = 0
  let accepted = 0
  /* Commits for as long as it can. */
  const write = ({ commit, epoch }: SagaStore.Ownership, begun: Deferred.Deferred<void>) =>
    Effect.flip(Effect.forever(Effect.gen(function*() {
      key += 1
      yield* commit([{ key, record: recordOf(key), firstSequence: 1, events: [`{"epoch":${epoch}}`] }])
      accepted += 1
      yield* Deferred.succeed(begun, undefined)
    })))

  const counts = new Map<number, number>()
  const writers: Array<Fiber.Fiber<SagaStore.SagaStoreError>> = []
  for (let index = 0; index <= times; index++) {
    yield* connection.query(`UPDATE ${at.schema}.owner SET released_at = 0`)
    const scope = yield* Scope.make()
    const ownership = yield* Scope.provide(
      stores[index % 2]!.acquire({ owner: `owner ${index}`, standby: false }),
      scope
    )
    counts.set(ownership.epoch, yield* writtenBefore(ownership.epoch))
    if (index === times) {
      yield* Scope.close(scope, Exit.void)
      break
    }
    const begun = yield* Deferred.make<void>()
    writers.push(yield* Effect.forkChild(Effect.ensuring(write(ownership, begun), Scope.close(scope, Exit.void))))
    yield* Deferred.await(begun)
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 5))
  }
  const errors = yield* Effect.forEach(writers, Fiber.join)

  const stale: Array<number> = []
  for (const [epoch, count] of counts) if ((yield* writtenBefore(epoch)) !== count) stale.push(epoch)
  return {
    accepted,
    written: yield* writtenBefore(2 ** 30),
    refused: errors.filter(({ reason }) => reason._tag === "OwnershipLost").length,
    stale
  } satisfies Result
})
