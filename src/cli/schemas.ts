import * as Schema from "effect/Schema"
import { ExecutionRecord, Status } from "../internal/store.ts"
import { JournalEvent } from "../JournalEvent.ts"

/* What commands print with `--json`. A document says its version; fields may be added to it without a new one. */

/** On standard error, of any command that failed. */
export const Failed = Schema.Struct({
  v: Schema.Literal(1),
  error: Schema.Struct({ _tag: Schema.String, message: Schema.String })
})

/** Of `list`. */
export const Listed = Schema.Struct({
  v: Schema.Literal(1),
  executions: Schema.Array(ExecutionRecord),
  /** For `--after`, where there are more. */
  next: Schema.NullOr(Schema.String)
})

/** Of `list --count`. */
export const Counted = Schema.Struct({ v: Schema.Literal(1), count: Schema.Int })

/** Of `history`. Events are numbered from 1. */
export const History = Schema.Struct({
  v: Schema.Literal(1),
  execution: Schema.String,
  events: Schema.Array(JournalEvent)
})

/** A line of `watch`. */
export const Changed = Schema.Struct({ v: Schema.Literal(1), execution: ExecutionRecord })

/** A line of `watch ID`. */
export const Happened = Schema.Struct({
  v: Schema.Literal(1),
  execution: Schema.String,
  sequence: Schema.Int,
  event: JournalEvent
})

/** Of `stats`. */
export const Stats = Schema.Struct({
  v: Schema.Literal(1),
  windowMillis: Schema.Number,
  groups: Schema.Array(Schema.Struct({ definition: Schema.String, status: Status, count: Schema.Int })),
  oldestParked: Schema.NullOr(ExecutionRecord),
  /** In the window. */
  started: Schema.Int,
  ended: Schema.Struct({ Completed: Schema.Int, Compensated: Schema.Int, Failed: Schema.Int })
})

/** What became of a decision, as far as that is known. */
export const Outcome = Schema.Literals(["Ended", "ParkedAgain", "StillParked", "Waits", "Kept", "GoesOn", "Stalled"])

/** Of a decision on one execution. */
export const Decided = Schema.Struct({
  v: Schema.Literal(1),
  decision: Schema.Literals(["retry", "skip", "cancel", "resolve"]),
  /** The step that was named with `--path`. */
  path: Schema.NullOr(Schema.String),
  outcome: Outcome,
  /** As it is then. */
  execution: ExecutionRecord
})

/** What became of one of many, or of a step that it is parked for. */
export const Result = Schema.Struct({
  execution: Schema.String,
  path: Schema.NullOr(Schema.String),
  /**
   * `Planned` in a dry run. What was not answered may still be done; `NotAsked`: no engine was there any more, or the command
   * was interrupted.
   */
  outcome: Schema.Literals(["Planned", "Done", "Refused", "Unanswered", "NotAsked"]),
  /** Why it was refused, or not answered. */
  error: Schema.NullOr(Schema.Struct({ _tag: Schema.String, message: Schema.String }))
})

/** Of a decision on many. */
export const DecidedMany = Schema.Struct({
  v: Schema.Literal(1),
  decision: Schema.Literals(["retry", "skip", "cancel"]),
  dryRun: Schema.Boolean,
  results: Schema.Array(Result)
})

/** Of `signal`. */
export const Signalled = Schema.Struct({
  v: Schema.Literal(1),
  execution: Schema.String,
  signal: Schema.String,
  /** `Kept`: it does not wait for it yet; `Waits`: it has taken it, and waits for something else. */
  outcome: Outcome,
  /** Of the execution then. */
  status: Status
})

/** What a check of `doctor` found. */
export const Check = Schema.Struct({
  check: Schema.Literals(["store", "schema", "owner", "requests", "parked", "stale", "disk"]),
  /** `fail`: sagas do not go on, or soon won't. `warn`: somebody has to look. */
  state: Schema.Literals(["ok", "warn", "fail"]),
  /** What there is, and what to do. */
  detail: Schema.String
})

export type Check = typeof Check.Type

/** Of `doctor`. */
export const Checkup = Schema.Struct({
  v: Schema.Literal(1),
  /** Whether no check failed. */
  ok: Schema.Boolean,
  checks: Schema.Array(Check)
})

export type Checkup = typeof Checkup.Type

/** Of `prune`. */
export const Pruned = Schema.Struct({
  v: Schema.Literal(1),
  dryRun: Schema.Boolean,
  /** In a dry run, how many would be at most: those whose parents have not ended stay. */
  deleted: Schema.Int,
  /** The same for each status, where nothing was deleted. */
  counts: Schema.optionalKey(Schema.Array(Schema.Struct({ status: Status, count: Schema.Int })))
})

/** On standard error, of `watch`: why nothing may be shown, and that this is over. */
export const Noticed = Schema.Struct({
  v: Schema.Literal(1),
  notice: Schema.Struct({
    _tag: Schema.Literals(["Unavailable", "NoEngine", "Back"]),
    message: Schema.String
  })
})

/** Of `export`, with `--json` or without. */
export const Exported = Schema.Struct({
  v: Schema.Literal(1),
  execution: ExecutionRecord,
  events: Schema.Array(JournalEvent),
  redacted: Schema.Boolean
})

/** Of `export --output`. */
export const ExportedTo = Schema.Struct({
  v: Schema.Literal(1),
  execution: Schema.String,
  file: Schema.String,
  redacted: Schema.Boolean
})

/** Of `init`. */
export const Begun = Schema.Struct({
  v: Schema.Literal(1),
  folder: Schema.String,
  files: Schema.Array(Schema.String)
})
