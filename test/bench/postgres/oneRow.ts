import { PgConnection } from "@effect/sql-pg"
import { Effect } from "effect"
import { counts, type Variant } from "./load.ts"

/* What the disk gives: one row in one transaction, which is one statement. */
export const oneRow: Variant = {
  start: (url) =>
    Effect.gen(function*() {
      const connection = yield* PgConnection.make({ url })
      yield* connection.query("CREATE TABLE numbers (number bigint PRIMARY KEY)", [], false)
      return (number) =>
        Effect.as(Effect.orDie(connection.query("INSERT INTO numbers VALUES ($1)", [String(number)])), true)
    }),
  found: counts("SELECT 'rows' AS name FROM numbers"),
  expected: (sagas) => ({ rows: sagas })
}
