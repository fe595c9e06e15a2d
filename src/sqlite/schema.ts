/// <reference types="node" />
import type { DatabaseSync } from "node:sqlite"
import { deadLetter } from "./deadLetter.ts"

/*
 * The tables of a store, as docs/schema.md explains them.
 */

/** "SAGA": says of a file of SQLite that it is a store of sagas. */
export const applicationId = 0x53414741

/*
 * In order, numbered from 1. A migration that was released is never changed.
 *
 * - Events are rows in order of arrival, found by an index. Were they in order of their executions, a commit for many of
 *   them would write as many pages as it has events, not a few.
 * - A filter is a number of pairs of status and definition, and within a pair the index is in the order of lists, as each
 *   index ends in the key of the row. So are those of errors, of all executions, and of attributes.
 * - An execution without attributes or error costs nothing in their indexes. Nor does one in `executions_set_back`, unless
 *   it seems to have changed before it was created.
 * - Requests are answered soon, and their answers stay for a while: each index has only the requests of one kind.
 */
const migrations: ReadonlyArray<string> = [
  `
  CREATE TABLE executions (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    cancelled INTEGER NOT NULL,
    reason TEXT,
    parent TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX executions_by_status ON executions (status, definition);

  CREATE TABLE events (
    execution INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,
    UNIQUE (execution, seq)
  ) STRICT;

  CREATE TABLE early_signals (
    position INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    event TEXT NOT NULL
  ) STRICT;

  CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    acquired_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    beats INTEGER NOT NULL,
    released_at INTEGER,
    last_key INTEGER NOT NULL
  ) STRICT;
  INSERT INTO owner VALUES (1, 0, '', '', 0, '', 0, 0, 0, 0, 0);
  `,
  `
  CREATE TABLE requests (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    execution TEXT NOT NULL,
    request TEXT NOT NULL,
    answer TEXT,
    answered_at INTEGER
  ) STRICT;
  CREATE INDEX requests_unanswered ON requests (execution) WHERE answer IS NULL;
  CREATE INDEX requests_answered ON requests (answered_at) WHERE answered_at IS NOT NULL;
  `,
  `
  ALTER TABLE executions ADD COLUMN error TEXT;
  ALTER TABLE executions ADD COLUMN attributes TEXT;
  DROP INDEX executions_by_status;
  CREATE INDEX executions_by_status ON executions (status, definition, created_at);
  CREATE INDEX executions_by_creation ON executions (created_at);
  CREATE INDEX executions_by_change ON executions (updated_at, status);
  CREATE INDEX executions_by_error ON executions (error, status, definition, created_at) WHERE error IS NOT NULL;
  CREATE INDEX executions_set_back ON executions (created_at) WHERE updated_at < created_at;

  CREATE TABLE attributes (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    execution INTEGER NOT NULL,
    PRIMARY KEY (name, value, created_at, execution)
  ) STRICT, WITHOUT ROWID;
  ${deadLetter}
  `
]

export const version = migrations.length

/** What a file is: empty, a store with the number of its last migration, or something else. */
export type Content =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Store"; readonly version: number }
  | { readonly _tag: "Foreign" }

export const inspect = (database: DatabaseSync): Content => {
  const pragma = (name: string) => database.prepare(`PRAGMA ${name}`).get()![name]
  const id = pragma("application_id")
  if (id === applicationId) {
    const row = database.prepare("SELECT max(number) AS version FROM migrations").get()!
    return { _tag: "Store", version: Number(row["version"]) }
  }
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()!["count"]
  return id === 0 && pragma("user_version") === 0 && tables === 0 ? { _tag: "Empty" } : { _tag: "Foreign" }
}

/** Applies the missing migrations in one transaction. The caller rolls back where it throws. */
export const migrate = (database: DatabaseSync, now: number): void => {
  database.exec("BEGIN IMMEDIATE")
  // Looked at again under the lock: another process may have done it meanwhile.
  const content = inspect(database)
  if (content._tag === "Empty") {
    database.exec(`
      PRAGMA application_id = ${applicationId};
      CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
    `)
  }
  const insert = database.prepare("INSERT INTO migrations (number, applied_at) VALUES (?, ?)")
  for (let number = content._tag === "Store" ? content.version + 1 : 1; number <= migrations.length; number++) {
    database.exec(migrations[number - 1]!)
    insert.run(number, now)
  }
  database.exec("COMMIT")
}
