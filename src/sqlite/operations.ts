/// <reference types="node" />
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import {
  type Answer,
  type Append,
  type EarlySignal,
  type ExecutionRecord,
  finishedStatuses,
  type ListOptions,
  type Request,
  Status,
  unfinishedStatuses
} from "../internal/store.ts"
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

/** A part of the keys in which finished executions are deleted, and where the next part begins. */
export interface Pruned {
  readonly count: number
  readonly next: number | undefined
}

export interface Operations {
  readonly commit: (epoch: number, appends: ReadonlyArray<Append>, now: number) => Fenced
  readonly keepSignal: (epoch: number, signal: EarlySignal, answer: Answer | undefined, now: number) => Fenced
  readonly answer: (epoch: number, answers: ReadonlyArray<Answer>, now: number) => Fenced
  /** Deletes some of the requests that were answered before this time, and returns whether there may be more. */
  readonly deleteAnswered: (epoch: number, before: number) => boolean
  readonly earlySignals: () => ReadonlyArray<Row>
  readonly owner: () => Row
  /** The highest key of an execution so far, or `undefined` where the owner is not as it was seen. */
  readonly takeOver: (seen: Seen, candidate: Candidate, now: number) => number | undefined
  readonly beat: (epoch: number, now: number) => Fenced
  readonly release: (epoch: number, now: number) => void
  readonly find: (id: string) => Journal | undefined
  readonly unfinished: (after: number, limit: number) => ReadonlyArray<Journal>
  readonly list: (options: ListOptions) => ReadonlyArray<Row>
  readonly prune: (from: number, finishedBefore: number, statuses: ReadonlyArray<string>) => Pruned
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

/* Keys per transaction of `prune`, so that it holds the lock for some milliseconds only. */
const keysPerPrune = 200

/* Requests per transaction of `deleteAnswered`, likewise. */
const requestsPerDelete = 500

export const makeOperations = (database: DatabaseSync): Connection => {
  const prepare = (sql: string): StatementSync => database.prepare(sql)
  const beginRead = prepare("BEGIN")
  const begin = prepare("BEGIN IMMEDIATE")
  const end = prepare("COMMIT")
  const selectOwner = prepare("SELECT * FROM owner")
  const selectEpoch = prepare("SELECT epoch FROM owner")
  const insertExecution = prepare("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
  const updateExecution = prepare(
    "UPDATE executions SET version = ?, status = ?, cancelled = ?, reason = ?, updated_at = ? WHERE key = ?"
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
  const selectLastKey = prepare(
    "SELECT max(last_key, coalesce((SELECT max(key) FROM executions), 0)) AS last_key FROM owner"
  )
  const updateBeat = prepare("UPDATE owner SET beats = beats + 1, heartbeat_at = ? WHERE epoch = ?")
  const updateReleased = prepare("UPDATE owner SET beats = beats + 1, released_at = ? WHERE epoch = ?")
  const selectById = prepare("SELECT * FROM executions WHERE id = ?")
  const selectExists = prepare("SELECT 1 FROM executions WHERE id = ?")
  const selectByKey = prepare("SELECT * FROM executions WHERE key = ?")
  const selectEnded = prepare(
    `SELECT * FROM executions WHERE id = ? AND status IN (${
      finishedStatuses.map((status) => `'${status}'`).join(", ")
    })`
  )
  const selectLast = prepare("SELECT event FROM events WHERE execution = ? ORDER BY seq DESC LIMIT 1")
  const selectDataVersion = prepare("PRAGMA data_version")
  const selectEvents = prepare("SELECT seq, event FROM events WHERE execution = ? ORDER BY seq")
  const selectPage = prepare("SELECT * FROM executions WHERE key < ? ORDER BY key DESC LIMIT ?")
  const selectDefinitions = prepare(`
    WITH RECURSIVE found (definition) AS (
      SELECT min(definition) FROM executions WHERE status = ?
      UNION ALL
      SELECT (SELECT min(definition) FROM executions WHERE status = ? AND definition > found.definition)
      FROM found WHERE found.definition IS NOT NULL
    )
    SELECT definition FROM found WHERE definition IS NOT NULL`)
  const selectOlder = prepare(
    "SELECT key FROM executions WHERE status = ? AND definition = ? AND key < ? ORDER BY key DESC LIMIT ?"
  )
  const selectNewer = prepare(
    "SELECT key FROM executions WHERE status = ? AND definition = ? AND key > ? ORDER BY key LIMIT ?"
  )
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
    const { cancelled, createdAt, definition, id, key, parent, reason, status, updatedAt, version } = record
    const flag = cancelled ? 1 : 0
    if (isNew) {
      insertExecution.run(key, id, definition, version, status, flag, reason, parent, createdAt, updatedAt)
      if (signalled!.has(id)) deleteSignals.run(id)
    } else if (updateExecution.run(version, status, flag, reason, updatedAt, key).changes === 0) {
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

  const byKey = (key: number): Row => selectByKey.get(key)!

  /* Each pair has its keys in order in the index, so a page of them is enough to make a page of all. */
  const keysOfPairs = (
    statuses: ReadonlyArray<string>,
    definition: string | undefined,
    page: (status: string, definition: string) => ReadonlyArray<Row>
  ): Array<number> =>
    statuses.flatMap((status) => {
      const definitions = definition === undefined
        ? selectDefinitions.all(status, status).map((row) => row["definition"] as string)
        : [definition]
      return definitions.flatMap((definition) => page(status, definition).map((row) => row["key"] as number))
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
      return changes === 0 ? undefined : Number(selectLastKey.get()!["last_key"])
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
    unfinished: (after, limit) =>
      snapshot(() =>
        keysOfPairs(
          unfinishedStatuses,
          undefined,
          (status, definition) => selectNewer.all(status, definition, after, limit)
        ).toSorted((one, other) => one - other).slice(0, limit).map((key) => journal(byKey(key)))
      ),
    list: ({ before = Number.MAX_SAFE_INTEGER, definition, limit = 100, statuses }) =>
      statuses === undefined && definition === undefined
        ? selectPage.all(before, limit)
        : snapshot(() =>
          keysOfPairs(
            statuses === undefined ? Status.literals : Array.from(new Set(statuses)),
            definition,
            (status, definition) => selectOlder.all(status, definition, before, limit)
          ).toSorted((one, other) => other - one).slice(0, limit).map(byKey)
        ),
    prune: (from, finishedBefore, statuses) => {
      const last = prepare("SELECT key FROM executions WHERE key >= ? ORDER BY key LIMIT 1 OFFSET ?")
        .get(from, keysPerPrune - 1)
      const to = last === undefined ? Number.MAX_SAFE_INTEGER : last["key"] as number
      const keys = prepare(`
        SELECT key FROM executions NOT INDEXED
        WHERE key BETWEEN ? AND ? AND updated_at < ? AND status IN (${marks(statuses)}) AND NOT EXISTS (
          SELECT 1 FROM executions AS parents
          WHERE parents.id = executions.parent AND parents.status IN (${marks(unfinishedStatuses)})
        )`)
        .all(from, to, finishedBefore, ...statuses, ...unfinishedStatuses)
        .map((row) => row["key"] as number)
      const next = last === undefined ? undefined : to + 1
      if (keys.length === 0) return { count: 0, next }
      begin.run()
      // A key is never given again, not even that of the newest execution.
      prepare("UPDATE owner SET last_key = max(last_key, (SELECT max(key) FROM executions))").run()
      prepare(`DELETE FROM events WHERE execution IN (${marks(keys)})`).run(...keys)
      const { changes } = prepare(`DELETE FROM executions WHERE key IN (${marks(keys)})`).run(...keys)
      end.run()
      return { count: Number(changes), next }
    },
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

const marks = (values: ReadonlyArray<unknown>): string => values.map(() => "?").join(", ")
