import type { DatabaseSync } from "node:sqlite"

/** When the last execution was created. One was created each second before it. */
export const now = Date.UTC(2026, 0, 1)

export const day = 86_400_000

export const createdAt = (executions: number, key: number): number => now - (executions - key) * 1000

/*
 * Executions as a service may have them after some days:
 *
 * - half of them are orders, with numbers for ids; the others are of 19 definitions, with ids in no order;
 * - of 10,000, 9,300 have completed, 300 were compensated, 100 have failed, 200 wait, 65 run, 30 are being undone, and 5 are
 *   parked. What has finished has done so within ten minutes, and what runs has begun at any time;
 * - what has failed, was compensated or is parked has one of 10 errors;
 * - each has a customer, of whom there are 100,000, and one of 4 regions.
 */
export const fill = (database: DatabaseSync, executions: number): void => {
  // `mix` gives numbers without order, the same ones each time, all different.
  const mix = (factor: number) => `((key * ${factor} + 12345) % 1000003)`
  database.exec(`
    PRAGMA synchronous = OFF; PRAGMA cache_size = -400000;
    BEGIN;
    INSERT INTO executions
      (key, id, definition, version, status, cancelled, reason, error, attributes, parent, created_at, updated_at)
    WITH RECURSIVE
      keys (key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM keys WHERE key < ${executions}),
      mixed AS (
        SELECT key, ${mix(7919)} % 10000 AS chance, ${mix(104729)} AS number, ${mix(611953)} % 600000 AS duration,
          CASE WHEN key % 2 = 0 THEN 'Order' ELSE format('Definition%02d', ${mix(1299709)} % 19) END AS definition,
          format('customer-%05d', ${mix(15485863)} % 100000) AS customer,
          substr('eu us asmeaf', 1 + 3 * (${mix(32452843)} % 4), 2) AS region,
          ${now} - (${executions} - key) * 1000 AS created_at
        FROM keys
      ),
      known AS (
        SELECT *,
          CASE
            WHEN chance < 5 THEN 'Parked' WHEN chance < 35 THEN 'Compensating' WHEN chance < 100 THEN 'Running'
            WHEN chance < 300 THEN 'Waiting' WHEN chance < 400 THEN 'Failed' WHEN chance < 700 THEN 'Compensated'
            ELSE 'Completed'
          END AS status
        FROM mixed
      )
    SELECT key, definition || '/' || CASE WHEN definition = 'Order' THEN 2600000 + key ELSE format('%06d-%d', number, key) END,
      definition, 1, status, 0, CASE status WHEN 'Parked' THEN 'Step "charge" could not be undone: NoRoute.' END,
      CASE WHEN status IN ('Parked', 'Failed', 'Compensated') THEN 'Error' || (number % 10) END,
      json_object('customer', customer, 'region', region), NULL, created_at, min(created_at + duration, ${now})
    FROM known;
    INSERT INTO attributes (name, value, created_at, execution)
      SELECT 'customer', attributes ->> 'customer', created_at, key FROM executions ORDER BY 2, 3, 4;
    INSERT INTO attributes (name, value, created_at, execution)
      SELECT 'region', attributes ->> 'region', created_at, key FROM executions ORDER BY 2, 3, 4;
    INSERT INTO events (execution, seq, event) SELECT key, 1, '{}' FROM executions WHERE status IN ('Parked', 'Running');
    UPDATE owner SET last_key = ${executions};
    COMMIT;
    PRAGMA wal_checkpoint(TRUNCATE);
  `)
}
