import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { decode } from "../internal/decode.ts"
import * as process from "../internal/process.ts"
import type { Inspection } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import type { Row } from "./operations.ts"

/* What the row of the owner says at one look. */

/** Without a beat for this long, an owner counts as dead. With the time between two looks it stays below 5 seconds. */
export const lease = 4000

const OwnerRow = Schema.Struct({
  epoch: Schema.Int,
  name: Schema.String,
  host: Schema.String,
  pid: Schema.Int,
  process: Schema.String,
  acquired_at: Schema.Int,
  heartbeat_at: Schema.Int,
  beats: Schema.Int,
  released_at: Schema.NullOr(Schema.Int)
})

export type OwnerRow = typeof OwnerRow.Type

export const decodeOwner = decode(OwnerRow)

/** Who has the store, or had it last and did not give it back. It is looked at once, so the time of the last beat counts. */
export const inspect = (store: string, row: Row, now: number): Effect.Effect<Inspection["owner"], SagaStoreError> =>
  Effect.map(decodeOwner(store, row), (owner) => {
    if (owner.epoch === 0 || owner.released_at !== null) return undefined
    const { acquired_at: acquiredAt, heartbeat_at: heartbeatAt, host, name, pid } = owner
    const silence = Math.max(0, now - heartbeatAt)
    return { name, host, pid, acquiredAt, silence, isAlive: silence <= lease && !process.isDead(owner) }
  })
