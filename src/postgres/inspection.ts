import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import * as process from "../internal/process.ts"
import type { Inspection } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { lease, readOwner } from "./ownership.ts"
import { decode, type OwnerRow } from "./rows.ts"
import type { Session } from "./session.ts"
import type { Settings } from "./settings.ts"

/*
 * What a store says of itself.
 */

const State = Schema.Struct({ version: Schema.Int, unanswered: Schema.Int, bytes: Schema.NullOr(Schema.Int) })

const decodeState = decode(State)

export const inspect = Effect.fnUntraced(function*(
  settings: Settings,
  session: Session
): Effect.fn.Return<Inspection, SqlError | SagaStoreError> {
  const owner = yield* readOwner(settings, session)
  const [row] = yield* session.query(
    `SELECT (SELECT coalesce(max(number), 0) FROM "${settings.schema}".migrations)::integer AS version,
      (SELECT count(*) FROM "${settings.schema}".requests WHERE answer IS NULL)::float8 AS unanswered,
      (
        SELECT sum(pg_total_relation_size(oid)) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
      )::float8 AS bytes`,
    [settings.schema]
  )
  const { bytes, unanswered, version } = yield* decodeState(settings.store, row)
  return { version, owner: ownerOf(owner), unanswered, bytes: bytes ?? undefined }
})

const ownerOf = (owner: OwnerRow): Inspection["owner"] => {
  if (owner.epoch === 0 || owner.isReleased) return undefined
  const { acquiredAt, host, name, pid } = owner
  // The clock of the server may have been set back since.
  const silence = Math.max(0, Math.round(owner.silence))
  return { name, host, pid, acquiredAt, silence, isAlive: silence < lease && !process.isDead(owner) }
}
