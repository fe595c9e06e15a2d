import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, Schedule, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { quantile } from "../statistics.ts"
import type { Job, Result } from "./job.ts"
import { usedBy } from "./processor.ts"
import { done } from "./trip.ts"

/*
 * Runs sagas as fast as they go, always so many at once, and looks at the database before, after, and in the end.
 */

/** What is found in the tables, and what should be: names and counts. */
export type Found = Readonly<Record<string, number>>

/** One of the things that are measured. */
export interface Variant {
  /** Starts it on an empty database, and succeeds with how to run a saga: true where that succeeded. */
  readonly start: (
    url: Redacted.Redacted,
    job: Job
  ) => Effect.Effect<(number: number) => Effect.Effect<boolean>, unknown, Scope.Scope>
  /** What its tables have, when it has been closed. */
  readonly found: Effect.Effect<Found, SqlError, PgClient.PgClient>
  readonly expected: (sagas: number, fails: boolean) => Found
}

/** Measures as the first argument says, on the database at `DATABASE_URL`, and prints the result as JSON. */
export const main = (variant: Variant): Promise<void> => {
  const job: Job = JSON.parse(process.argv[2]!)
  const url = Redacted.make(process.env["DATABASE_URL"]!)
  return Effect.runPromise(
    Effect.provide(measure(variant, url, job), PgClient.layer({ url, maxConnections: 1 }))
  ).then((result) => void process.stdout.write(JSON.stringify(result)))
}

const measure = Effect.fnUntraced(function*(variant: Variant, url: Redacted.Redacted, job: Job) {
  let started = 0
  const measured = yield* Effect.scoped(Effect.gen(function*() {
    const run = yield* variant.start(url, job)
    const one = Effect.suspend(() => run(++started)).pipe(
      Effect.flatMap((succeeded) =>
        succeeded === job.fails
          ? Effect.die(new Error(`${job.variant}: a saga ${succeeded ? "succeeded" : "failed"}`))
          : Effect.void
      )
    )

    const runFor = Effect.fnUntraced(function*(milliseconds: number, inFlight: number) {
      const latencies: Array<number> = []
      const end = performance.now() + milliseconds
      const client = Effect.gen(function*() {
        for (let start = performance.now(); start < end;) {
          yield* one
          const now = performance.now()
          latencies.push(now - start)
          start = now
        }
      })
      yield* Effect.all(Array.from({ length: inFlight }, () => client), { concurrency: "unbounded", discard: true })
      return latencies
    })

    yield* one
    yield* runFor(job.warmUp, job.warmUpInFlight)
    const writtenBefore = yield* written
    const serverBefore = usedBy(job.server)
    const clientBefore = process.cpuUsage()
    const start = performance.now()
    const latencies = yield* runFor(job.measure, job.inFlight)
    const seconds = (performance.now() - start) / 1000
    const client = process.cpuUsage(clientBefore)
    const server = usedBy(job.server)
    const writtenAfter = yield* written
    const sagas = latencies.length
    return {
      rate: sagas / seconds,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      commits: (writtenAfter.commits - writtenBefore.commits) / sagas,
      log: (writtenAfter.log - writtenBefore.log) / sagas,
      client: (client.user + client.system) / sagas,
      server: server === undefined || serverBefore === undefined ? undefined : (server - serverBefore) / sagas
    }
  }))
  // Only what a connection did that has been closed is counted for sure.
  yield* alone
  yield* verify(variant, job, started)
  return { ...measured, rows: (yield* rows) / started } satisfies Result
})

const numbers = Effect.fnUntraced(function*(query: string) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql.unsafe<Record<string, number>>(query)
  return row!
})

/* A transaction gets a number when it writes. All of it is known at once, unlike the statistics. */
const written = Effect.map(
  numbers(
    "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS commits, " +
      "(pg_current_wal_insert_lsn() - '0/0')::float8 AS log"
  ),
  ({ commits, log }) => ({ commits: commits!, log: log! })
)

const rows = Effect.map(
  numbers("SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0)::float8 AS rows FROM pg_stat_user_tables"),
  ({ rows }) => rows!
)

const alone = numbers(
  "SELECT count(*)::float8 AS others FROM pg_stat_activity " +
    "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
).pipe(Effect.repeat({ until: ({ others }) => others === 0, schedule: Schedule.spaced("10 millis") }))

/** How many rows a query finds for each name. */
export const counts = (query: string): Effect.Effect<Found, SqlError, PgClient.PgClient> =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    const rows = yield* sql.unsafe<{ readonly name: string; readonly count: number }>(
      `SELECT name, count(*)::float8 AS count FROM (${query}) AS found GROUP BY name`
    )
    return Object.fromEntries(rows.map(({ count, name }) => [name, count]))
  })

/* A number that comes from less work than there was to do would be worse than none. */
const verify = Effect.fnUntraced(function*(variant: Variant, { fails, variant: name }: Job, sagas: number) {
  const isSaga = name !== "one row"
  // Those that are written without being run are not counted.
  const isRun = isSaga && name !== "raw"
  const expected = {
    ...variant.expected(sagas, fails),
    actions: isRun ? 3 * sagas : 0,
    compensations: isRun && fails ? 2 * sagas : 0
  }
  const actual = { ...yield* variant.found, ...done }
  const sorted = (found: Found) =>
    JSON.stringify(Object.entries(found).toSorted(([one], [other]) => one < other ? -1 : 1))
  if (sorted(actual) !== sorted(expected)) {
    yield* Effect.die(new Error(`${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(actual)}`))
  }
})
