import { deadLetterView } from "./deadLetterView.ts"
import { outboxMigration } from "./outboxMigration.ts"

/*
 * The tables of a store, as docs/schema.md explains them.
 *
 * - Lists are in order of time. A filter is a number of pairs of status and definition, and within a pair an index is in that
 *   order; another one is so for each error. What else is looked for has an index of its own.
 * - Ids may be of any length, which an index in order can't have. They are found by their hash, and the constraint compares
 *   the ids themselves. What they begin with is found by their first characters.
 * - Attributes are in rows of their own, as an index can be in order of time for each name and value.
 * - A commit locks the row of the owner against changes of `epoch` and `term`, which are keys for that. A beat changes no
 *   key, so they don't wait for each other.
 * - Requests are answered soon, and their answers stay for a while: each index has only the requests of one kind.
 */

/** In order, numbered from 1. A migration that was released is never changed. */
export const migrations = (schema: string): ReadonlyArray<ReadonlyArray<string>> => [
  [
    `CREATE TABLE ${schema}.executions (
      key bigint PRIMARY KEY,
      id text COLLATE "C" NOT NULL,
      definition text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      status text COLLATE "C" NOT NULL,
      cancelled boolean NOT NULL,
      reason text,
      parent text COLLATE "C",
      created_at bigint NOT NULL,
      updated_at bigint NOT NULL,
      CONSTRAINT executions_id EXCLUDE USING hash (id WITH =)
    )`,
    `CREATE INDEX executions_by_status ON ${schema}.executions (status, definition, key)`,
    `CREATE TABLE ${schema}.events (
      execution bigint NOT NULL,
      seq integer NOT NULL,
      event text NOT NULL,
      PRIMARY KEY (execution, seq)
    )`,
    `CREATE TABLE ${schema}.early_signals (
      position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      id text COLLATE "C" NOT NULL UNIQUE,
      execution text COLLATE "C" NOT NULL,
      event text NOT NULL
    )`,
    `CREATE INDEX early_signals_by_execution ON ${schema}.early_signals USING hash (execution)`,
    `CREATE TABLE ${schema}.requests (
      position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      id text COLLATE "C" NOT NULL UNIQUE,
      execution text COLLATE "C" NOT NULL,
      request text NOT NULL,
      answer text,
      answered_at bigint
    )`,
    `CREATE INDEX requests_unanswered ON ${schema}.requests (position) WHERE answer IS NULL`,
    `CREATE INDEX requests_unanswered_by_execution ON ${schema}.requests USING hash (execution) WHERE answer IS NULL`,
    `CREATE INDEX requests_answered ON ${schema}.requests (answered_at) WHERE answered_at IS NOT NULL`,
    `CREATE TABLE ${schema}.transactions (
      execution bigint NOT NULL,
      key text COLLATE "C" NOT NULL,
      value text NOT NULL,
      at bigint NOT NULL,
      PRIMARY KEY (execution, key)
    )`,
    // Beats leave old versions of the row behind; with room on its page they are cleared away by the next ones.
    `CREATE TABLE ${schema}.owner (
      one boolean NOT NULL UNIQUE CHECK (one),
      epoch bigint PRIMARY KEY,
      term bigint NOT NULL UNIQUE,
      store uuid NOT NULL,
      claim uuid NOT NULL,
      name text NOT NULL,
      host text NOT NULL,
      pid integer NOT NULL,
      process text NOT NULL,
      acquired_at bigint NOT NULL,
      heartbeat_at bigint NOT NULL,
      beats bigint NOT NULL,
      released_at bigint,
      last_key bigint NOT NULL
    ) WITH (fillfactor = 10)`,
    `INSERT INTO ${schema}.owner
      VALUES (true, 0, 0, gen_random_uuid(), gen_random_uuid(), '', '', 0, '', 0, 0, 0, NULL, 0)`,
    ...outboxMigration(schema)
  ],
  [
    `ALTER TABLE ${schema}.executions ADD COLUMN error text COLLATE "C", ADD COLUMN attributes text`,
    `DROP INDEX ${schema}.executions_by_status`,
    `CREATE INDEX executions_by_status ON ${schema}.executions (status, definition, created_at, key)`,
    `CREATE INDEX executions_by_time ON ${schema}.executions (created_at, key)`,
    `CREATE INDEX executions_by_error ON ${schema}.executions (error, status, definition, created_at, key)
      WHERE error IS NOT NULL`,
    `CREATE INDEX executions_by_change ON ${schema}.executions (updated_at, key) INCLUDE (status)`,
    `CREATE INDEX executions_by_prefix ON ${schema}.executions (left(id, 200))`,
    `CREATE TABLE ${schema}.attributes (
      name text COLLATE "C" NOT NULL,
      value text COLLATE "C" NOT NULL,
      created_at bigint NOT NULL,
      key bigint NOT NULL,
      PRIMARY KEY (name, value, created_at, key)
    )`,
    deadLetterView(schema)
  ]
]

/** The tables and views of this version. */
export const relations = [
  "attributes",
  "dead_letter",
  "early_signals",
  "events",
  "executions",
  "migrations",
  "outbox",
  "owner",
  "requests",
  "transactions"
]

/** The number of the last migration. */
export const version = migrations("").length
