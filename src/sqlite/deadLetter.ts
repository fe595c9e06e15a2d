/*
 * The view of what somebody has to look at. It belongs to the third migration, so it is never changed.
 *
 * - It reads the journals of parked and failed executions only, which indexes find.
 * - Programs with an older SQLite read the file too, and can't even open one with a view that they do not understand: so
 *   it has no `->>`, and no order within an aggregate.
 */

const field = (event: string, name: string): string => `json_extract(${event}.event, '$.${name}')`

const has = (event: string, ...tags: ReadonlyArray<string>): string =>
  `${field(event, "_tag")} IN (${tags.map((tag) => `'${tag}'`).join(", ")})`

/* What is a text in the journal, as where a codec has sealed it, is a text in JSON here too. */
const json = (event: string, name: string): string =>
  // What has secrets is not shown at all: see redaction.ts.
  `CASE WHEN instr(${field(event, name)}, '"~redacted":') = 0 THEN nullif(json_quote(${
    field(event, name)
  }), 'null') END`

/* The paths that are still to be undone, in that order. */
const remaining = `(
  SELECT json_group_array(path) FROM (
    SELECT pending.value AS path
    FROM events AS unwind CROSS JOIN json_each(unwind.event, '$.pending') AS pending
    WHERE unwind.execution = executions.key AND unwind.seq = (
      SELECT max(started.seq) FROM events AS started
      WHERE started.execution = executions.key AND ${has("started", "UnwindStarted")} AND ${
  field("started", "scope")
} = ''
    ) AND NOT EXISTS (
      SELECT 1 FROM events AS undone
      WHERE undone.execution = executions.key AND undone.seq > unwind.seq
        AND ${has("undone", "CompensationSucceeded", "Resolved")} AND ${field("undone", "path")} = pending.value
    )
    ORDER BY pending.key
  )
)`

const letters = (columns: {
  readonly status: string
  readonly kind: string
  readonly path: string
  readonly reason: string
  readonly cause: string
  readonly where: string
}): string => `
  SELECT executions.id, executions.definition, executions.status, ${columns.kind}, ${columns.path}, ${columns.reason},
    executions.error, ${columns.cause}, ${remaining}, ${field("letter", "at")}
  FROM executions CROSS JOIN events AS letter ON letter.execution = executions.key
  WHERE executions.status = '${columns.status}' AND ${columns.where}`

const parked = letters({
  status: "Parked",
  kind: field("letter", "kind"),
  path: field("letter", "path"),
  reason: field("letter", "reason"),
  cause: json("letter", "cause"),
  where: `${has("letter", "Parked")} AND NOT EXISTS (
    SELECT 1 FROM events AS later
    WHERE later.execution = letter.execution AND later.seq > letter.seq AND (
      (${has("later", "Parked", "Retried", "Skipped", "Resolved", "CompensationSucceeded", "CompensationFailed")} AND ${
    field("later", "path")
  } = ${field("letter", "path")})
      OR (${has("later", "Resumed")} AND ${field("letter", "path")} = '')
    )
  )`
})

const notUndone = letters({
  status: "Failed",
  kind: "'CompensationFailed'",
  path: field("letter", "path"),
  reason: "NULL",
  cause: json("letter", "cause"),
  where: has("letter", "CompensationFailed")
})

const failedAfterPivot = letters({
  status: "Failed",
  kind: "'FailedAfterPivot'",
  path: "''",
  reason: "NULL",
  cause: json("letter", "result"),
  where: `${has("letter", "ExecutionFailed")} AND EXISTS (
    SELECT 1 FROM events AS pivot WHERE pivot.execution = executions.key AND ${has("pivot", "SagaCommitted")}
  )`
})

export const deadLetter = `
CREATE VIEW dead_letter (execution, definition, status, kind, path, reason, error, cause, remaining, at) AS
${[parked, notUndone, failedAfterPivot].join("\n  UNION ALL\n")};`
