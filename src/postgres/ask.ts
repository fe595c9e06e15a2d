import * as Effect from "effect/Effect"
import type { Request } from "../internal/store.ts"
import type { Attempt } from "./attempts.ts"
import { channels } from "./listener.ts"
import { texts } from "./session.ts"
import type { Settings } from "./settings.ts"

/** Leaves requests that are not there yet, and wakes the engine where there are any. */
export const ask = (settings: Settings, requests: ReadonlyArray<Request>): Attempt<void> => {
  const sql = `
    WITH asked AS (
      INSERT INTO "${settings.schema}".requests (id, execution, request)
      SELECT given.* FROM unnest($1::text[], $2::text[], $3::text[]) AS given ON CONFLICT (id) DO NOTHING RETURNING 1
    )
    SELECT pg_notify('${channels(settings).requested}', '') IS NULL AS told WHERE EXISTS (SELECT FROM asked)`
  const parameters = [
    texts(requests.map(({ id }) => id)),
    texts(requests.map(({ execution }) => execution)),
    texts(requests.map(({ request }) => request))
  ]
  return (session) => Effect.asVoid(session.query(sql, parameters))
}
