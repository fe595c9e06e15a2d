-- A file as version 1 of the tables wrote it, with something in each of them.
PRAGMA application_id = 0x53414741;
CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
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
INSERT INTO migrations VALUES (1, 1000);
INSERT INTO executions VALUES (1, 'Trip/1', 'Trip', 1, 'Running', 0, NULL, NULL, 1001, 1001);
INSERT INTO executions VALUES (2, 'Trip/2', 'Trip', 1, 'Failed', 1, 'it''s late', 'Trip/1', 1002, 1002);
INSERT INTO events VALUES (1, 1, '{"started":1}');
INSERT INTO events VALUES (1, 2, '{"event":2}');
INSERT INTO events VALUES (2, 1, '{"started":2}');
INSERT INTO early_signals VALUES (1, 'Trip/3', '{}');
INSERT INTO owner VALUES (1, 1, 'engine', 'host', 1, '', 1000, 1000, 2, 2000, 7);
