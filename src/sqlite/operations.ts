/// <reference types="node" />
import { statSync } from "node:fs"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import {
  type Answer,
  type Append,
  type EarlySignal,
  type ExecutionFilter,
  type ExecutionRecord,
  finishedStatuses,
  type ListOptions,
  type Position,
  type Request
} from "../internal/store.ts"
import { type CountRows, makeLists } from "./lists.ts"
import { makePrune, type Pruned, type PrunedTo } from "./prune.ts"
import { makeRequests, type Row } from "./requests.ts"

/*
 * All that is done with the tables, as plain functions that throw what node:sqlite throws. They take and return only what
 * can be sent to another thread, and rows are returned as they are: whoever receives them decodes them.
 */

export type { Row } from "./requests.ts"

/** An execution with its events, both as rows. */
export interface Journal {
  readonly execution: Row
  readonly events: ReadonlyArray<Row>
}

/** An execution that has ended, and its last event, both as rows. */
export interface Ended {
  readonly execution: Row
  readonly last: Row | undefined
}

/** The process that owns the store or wants to. */
export interface Candidate {
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly process: string
}

/** What was seen of the owner. It has to be so still when the store is taken over. */
export interface Seen {
  readonly epoch: number
  readonly beats: number
}

/** The row of the owner where that is not the caller any more. */
export type Fenced = Row | undefined

/** What a store says of itself, with the row of its last owner. */
export interface Inspected {
  readonly version: number
  readonly owner: Row
  readonly unanswered: number
  readonly bytes: number
}

/** The highest key of an execution, and the latest time at which one was changed; 0 where there is none. */
export interface Last {
  readonly key: number
  readonly change: number
}

export interface Operations {
  readonly commit: (epoch: number, appends: ReadonlyArray<Append>, now: number) => Fenced
  readonly keepSignal: (epoch: number, signal: EarlySignal, answer: Answer | undefined, now: number) => Fenced
  readonly answer: (epoch: number, answers: ReadonlyArray<Answer>, now: number) => Fenced
  /** Deletes some of the requests that were answered before this time, and returns whether there may be more. */
  readonly deleteAnswered: (epoch: number, before: number) => boolean
  readonly earlySignals: () => ReadonlyArray<Row>
  readonly owner: () => Row
  /** What is last so far, or `undefined` where the owner is not as it was seen. */
  readonly takeOver: (seen: Seen, candidate: Candidate, now: number) => Last | undefined
  readonly beat: (epoch: number, now: number) => Fenced
  readonly release: (epoch: number, now: number) => void
  readonly find: (id: string) => Journal | undefined
  readonly unfinished: (after: Position | undefined, limit: number) => ReadonlyArray<Journal>
  readonly list: (options: ListOptions) => ReadonlyArray<Row>
  readonly count: (filter: ExecutionFilter) => number
  readonly counts: (since: number) => CountRows
  /** Those whose `updatedAt` is `from` and whose key is greater, and those whose `updatedAt` is later. */
  readonly changed: (from: number, key: number, limit: number) => ReadonlyArray<Row>
  readonly inspect: () => Inspected
  readonly prune: (from: PrunedTo | undefined, finishedBefore: number, statuses: ReadonlyArray<string>) => Pruned
  readonly existing: (ids: ReadonlyArray<string>) => ReadonlyArray<string>
  readonly ended: (ids: ReadonlyArray<string>) => ReadonlyArray<Ended>
  readonly ask: (requests: ReadonlyArray<Request>) => void
  readonly requests: (execution: string | undefined, limit: number | undefined) => ReadonlyArray<Row>
  readonly answers: (ids: ReadonlyArray<string>) => ReadonlyArray<Row>
  /** Changes with each commit of another connection, and with none of this one. */
  readonly dataVersion: () => number
}

export interface Connection extends Operations {
  /** Ends the transaction that an operation which threw has left open. */
  readonly rollback: () => void
  readonly close: () => void
}

const rowsPerInsert = 8

/* Requests per transaction of `deleteAnswered`, so that it holds the lock for some milliseconds only. */
const requestsPerDelete = 500

export const makeOperations = (database: DatabaseSync, filename: string): Connection => {
  const prepare = (sql: string): StatementSync => database.prepare(sql)
  const beginRead = prepare("BEGIN")
  const begin = prepare("BEGIN IMMEDIATE")
  const end = prepare("COMMIT")
  const selectOwner = prepare("SELECT * FROM owner")
  const selectEpoch = prepare("SELECT epoch FROM owner")
  const insertExecution = prepare(`
    INSERT INTO executions
      (key, id, definition, version, status, cancelled, reason, error, attributes, parent, created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const insertAttribute = prepare("INSERT INTO attributes (name, value, created_at, execution) VALUES (?, ?, ?, ?)")
  const updateExecution = prepare(
    "UPDATE executions SET version = ?, status = ?, cancelled = ?, reason = ?, error = ?, updated_at = ? WHERE key = ?"
  )
  const insertEvent = prepare("INSERT INTO events VALUES (?, ?, ?)")
  const insertEvents = prepare(`INSERT INTO events VALUES ${Array(rowsPerInsert).fill("(?, ?, ?)").join(", ")}`)
  const insertSignal = prepare("INSERT INTO early_signals (execution, event) VALUES (?, ?)")
  const deleteSignals = prepare("DELETE FROM early_signals WHERE execution = ?")
  const selectSignals = prepare("SELECT execution, event FROM early_signals ORDER BY position")
  const updateOwner = prepare(`
    UPDATE owner SET epoch = epoch + 1, beats = beats + 1, name = ?, host = ?, pid = ?, process = ?,
      acquired_at = ?, heartbeat_at = ?, released_at = NULL
    WHERE epoch = ? AND beats = ?`)
  const selectLastOnes = prepare(`
    SELECT max(last_key, coalesce((SELECT max(key) FROM executions), 0)) AS key,
      min(coalesce((SELECT max(updated_at) FROM executions), 0), ${Number.MAX_SAFE_INTEGER}) AS change
    FROM owner`)
  const updateBeat = prepare("UPDATE owner SET beats = beats + 1, heartbeat_at = ? WHERE epoch = ?")
  const updateReleased = prepare("UPDATE owner SET beats = beats + 1, released_at = ? WHERE epoch = ?")
  const selectById = prepare("SELECT * FROM executions WHERE id = ?")
  const selectExists = prepare("SELECT 1 FROM executions WHERE id = ?")
  const selectEnded = prepare(
    `SELECT * FROM executions WHERE id = ? AND status IN (${
      finishedStatuses.map((status) => `'${status}'`).join(", ")
    })`
  )
  const selectLast = prepare("SELECT event FROM events WHERE execution = ? ORDER BY seq DESC LIMIT 1")
  const selectDataVersion = prepare("PRAGMA data_version")
  const selectEvents = prepare("SELECT seq, event FROM events WHERE execution = ? ORDER BY seq")
  const selectInspected = prepare(`
    SELECT (SELECT max(number) FROM migrations) AS version,
      (SELECT count(*) FROM requests INDEXED BY requests_unanswered WHERE answer IS NULL) AS unanswered,
      (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size) AS bytes`)
  const lists = makeLists(database)
  const prune = makePrune(database)
  const requests = makeRequests(database)

  /*
   * The executions for whose ids there are early signals; some more do no harm. Only the owner adds signals, so it knows
   * for which new executions there is nothing to delete: for nearly all.
   */
  let signalled: Set<unknown> | undefined
  const readSignalled = () => new Set(selectSignals.all().map((row) => row["execution"]))

  const fenced = (epoch: number): Fenced => selectEpoch.get()!["epoch"] === epoch ? undefined : selectOwner.get()!

  /** Runs `write` in a transaction, unless another owner has a higher epoch. */
  const transaction = (epoch: number, write: () => void): Fenced => {
    begin.run()
    const owner = fenced(epoch)
    if (owner === undefined) write()
    end.run()
    return owner
  }

  /** Runs `read` on one state of the tables, whatever other processes write meanwhile. */
  const snapshot = <A>(read: () => A): A => {
    beginRead.run()
    const result = read()
    end.run()
    return result
  }

  const writeRecord = (record: ExecutionRecord, isNew: boolean): void => {
    const { cancelled, createdAt, definition, error, id, key, parent, reason, status, updatedAt, version } = record
    const flag = cancelled ? 1 : 0
    if (isNew) {
      const attributes = Object.entries(record.attributes)
      const text = attributes.length === 0 ? null : JSON.stringify(record.attributes)
      insertExecution
        .run(key, id, definition, version, status, flag, reason, error, text, parent, createdAt, updatedAt)
      for (const [name, value] of attributes) insertAttribute.run(name, value, createdAt, key)
      if (signalled!.has(id)) deleteSignals.run(id)
    } else if (updateExecution.run(version, status, flag, reason, error, updatedAt, key).changes === 0) {
      throw new Error(`There is no execution ${key}`)
    }
  }

  const writeEvents = (appends: ReadonlyArray<Append>): void => {
    let values: Array<SQLInputValue> = []
    for (const { events, firstSequence, key } of appends) {
      for (let index = 0; index < events.length; index++) {
        values.push(key, firstSequence + index, events[index]!)
        if (values.length < 3 * rowsPerInsert) continue
        insertEvents.run(...values)
        values = []
      }
    }
    for (let index = 0; index < values.length; index += 3) {
      insertEvent.run(values[index]!, values[index + 1]!, values[index + 2]!)
    }
  }

  /* Mostly there are none, and nothing is done for them. */
  const writeAnswers = (appends: ReadonlyArray<Append>, now: number): void => {
    for (const { answer } of appends) if (answer !== undefined) requests.answer([answer], now)
  }

  const journal = (execution: Row): Journal => ({
    execution,
    events: selectEvents.all(execution["key"] as number)
  })

  return {
    commit: (epoch, appends, now) => {
      signalled ??= readSignalled()
      const owner = transaction(epoch, () => {
        for (const { firstSequence, key, record } of appends) {
          if (record !== undefined) writeRecord(record, firstSequence === 1)
          else if (firstSequence === 1) throw new Error(`Execution ${key} is new and has no record`)
        }
        writeEvents(appends)
        writeAnswers(appends, now)
      })
      if (owner === undefined && signalled.size > 0) {
        for (const { firstSequence, record } of appends) if (firstSequence === 1) signalled.delete(record!.id)
      }
      return owner
    },
    keepSignal: (epoch, { event, execution }, answer, now) => {
      signalled ??= readSignalled()
      signalled.add(execution)
      return transaction(epoch, () => {
        insertSignal.run(execution, event)
        if (answer !== undefined) requests.answer([answer], now)
      })
    },
    answer: (epoch, answers, now) => transaction(epoch, () => requests.answer(answers, now)),
    deleteAnswered: (epoch, before) => {
      let count = 0
      transaction(epoch, () => {
        count = requests.deleteAnswered(before, requestsPerDelete)
      })
      return count === requestsPerDelete
    },
    earlySignals: () => selectSignals.all(),
    owner: () => selectOwner.get()!,
    takeOver: ({ beats, epoch }, { host, name, pid, process }, now) => {
      signalled = undefined
      const { changes } = updateOwner.run(name, host, pid, process, now, now, epoch, beats)
      return changes === 0 ? undefined : selectLastOnes.get() as unknown as Last
    },
    beat: (epoch, now) => updateBeat.run(now, epoch).changes === 0 ? selectOwner.get()! : undefined,
    release: (epoch, now) => {
      updateReleased.run(now, epoch)
    },
    find: (id) =>
      snapshot(() => {
        const execution = selectById.get(id)
        return execution === undefined ? undefined : journal(execution)
      }),
    unfinished: (after, limit) => snapshot(() => lists.unfinished(after, limit).map(journal)),
    list: (options) => snapshot(() => lists.list(options)),
    count: (filter) => snapshot(() => lists.count(filter)),
    counts: (since) => snapshot(() => lists.counts(since)),
    changed: lists.changed,
    inspect: () =>
      snapshot(() => {
        const { bytes, unanswered, version } = selectInspected.get()!
        const log = statSync(`${filename}-wal`, { throwIfNoEntry: false })?.size ?? 0
        return {
          version: Number(version),
          owner: selectOwner.get()!,
          unanswered: Number(unanswered),
          bytes: Number(bytes) + log
        }
      }),
    prune,
    existing: (ids) => ids.filter((id) => selectExists.get(id) !== undefined),
    ended: (ids) =>
      snapshot(() =>
        ids.flatMap((id) => {
          const execution = selectEnded.get(id)
          return execution === undefined ? [] : [{ execution, last: selectLast.get(execution["key"]!) }]
        })
      ),
    ask: (asked) => {
      begin.run()
      requests.ask(asked)
      end.run()
    },
    requests: requests.unanswered,
    answers: requests.answers,
    dataVersion: () => Number(selectDataVersion.get()!["data_version"]),
    rollback: () => database.exec("ROLLBACK"),
    close: () => database.close()
  }
}
