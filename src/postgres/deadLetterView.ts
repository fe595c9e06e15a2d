/*
 * The view of all that somebody has to look at, as docs/schema.md explains it. It belongs to the second migration. It reads the journals of the executions that
 * are parked or have failed, and no others.
 *
 * The server can't take apart a JSON text with an escape of a zero character, or of half of what takes two in UTF-16, wherever
 * in it that is. In their place it reads what stands for an unknown character. A cause that has secrets (see redaction.ts) is
 * not shown at all.
 */

/* A backslash counts where it is not the second one of two. */
const readable = String.raw`regexp_replace(
  event, E'(?<!\\\\)((?:\\\\\\\\)*)\\\\u(?:0000|d[89a-f][0-9a-f]{2})', E'\\1\\\\ufffd', 'gi'
)::json`

export const deadLetterView = (schema: string): string => `
  CREATE VIEW ${schema}.dead_letter AS
  SELECT e.id AS execution, e.definition, e.status, letter.kind, letter.path, letter.reason, e.error,
    CASE WHEN json_typeof(letter.cause) <> 'null' AND strpos(letter.cause::text, '"~redacted":') = 0 THEN letter.cause END
      AS cause, letter.remaining, letter.at
  FROM ${schema}.executions AS e, LATERAL (
    WITH parsed AS MATERIALIZED (
      SELECT seq, ${readable} AS event FROM ${schema}.events WHERE execution = e.key
    ), journal AS MATERIALIZED (
      SELECT seq, event, event ->> '_tag' AS tag, event ->> 'path' AS path FROM parsed
    ), unwind AS MATERIALIZED (
      SELECT seq, event FROM journal WHERE tag = 'UnwindStarted' AND event ->> 'scope' = '' ORDER BY seq DESC LIMIT 1
    ), left_over AS MATERIALIZED (
      SELECT coalesce(json_agg(pending.path ORDER BY pending.number), '[]') AS remaining
      FROM unwind, json_array_elements_text(unwind.event -> 'pending') WITH ORDINALITY AS pending (path, number)
      WHERE NOT EXISTS (
        SELECT FROM journal AS done
        WHERE done.seq > unwind.seq AND done.tag IN ('CompensationSucceeded', 'Resolved') AND done.path = pending.path
      )
    ), letters AS (
      SELECT seq, event ->> 'kind' AS kind, path, event ->> 'reason' AS reason, event -> 'cause' AS cause
      FROM journal AS parked
      WHERE e.status = 'Parked' AND tag = 'Parked' AND NOT EXISTS (
        SELECT FROM journal AS later
        WHERE later.seq > parked.seq AND ((later.tag = 'Resumed' AND parked.path = '') OR (later.path = parked.path AND
          later.tag IN ('Parked', 'Retried', 'Skipped', 'Resolved', 'CompensationSucceeded', 'CompensationFailed')))
      )
      UNION ALL
      SELECT seq, 'CompensationFailed', path, NULL, event -> 'cause' FROM journal
      WHERE e.status = 'Failed' AND tag = 'CompensationFailed'
      UNION ALL
      SELECT seq, 'FailedAfterPivot', '', NULL, event -> 'result' FROM journal
      WHERE e.status = 'Failed' AND tag = 'ExecutionFailed' AND EXISTS (SELECT FROM journal WHERE tag = 'SagaCommitted')
    )
    SELECT letters.*, left_over.remaining, (journal.event ->> 'at')::float8::bigint AS at
    FROM letters JOIN journal USING (seq), left_over
  ) AS letter
  WHERE e.status IN ('Parked', 'Failed')`
