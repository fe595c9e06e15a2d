import type { SagaStore } from "effect-saga"
import { statSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { migrate } from "../../../src/sqlite/schema.ts"
import { quantile } from "../statistics.ts"
import * as Found from "./found.ts"

/*
 * The limit: node:sqlite alone, which writes the rows that the engine writes, into the same tables, with prepared
 * statements and as many rows per transaction. Nothing runs between them.
 */

export interface RawJob {
  readonly task: "raw"
  readonly file: string
  /** All that one saga appends. */
  readonly sample: ReadonlyArray<SagaStore.Append>
  readonly inFlight: number
  readonly appendsPerCommit: number
  /** Milliseconds. */
  readonly warmUp: number
  readonly measure: number
}

export interface RawResult {
  /** Sagas per second. */
  readonly rate: number
  /** Milliseconds from before the first to after the last append of a saga. */
  readonly p50: number
  readonly p99: number
  readonly commits: number
  readonly rows: number
  readonly cpu: number
  readonly bytes: number
}

const rowsPerInsert = 8

export const raw = (job: RawJob): RawResult => {
  const database = new DatabaseSync(job.file, { enableForeignKeyConstraints: false })
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = full; PRAGMA cache_size = -16000")
  migrate(database, 0)
  const writer = makeWriter(database)
  const perSaga = {
    events: job.sample.reduce((sum, { events }) => sum + events.length, 0),
    records: job.sample.filter(({ record }) => record !== undefined).length
  }
  let sagas = 0
  let commits = 0

  /*
   * As many sagas as are in flight, all at the same append: the first one of each, then the second one of each. What they
   * append is spread evenly over the commits.
   */
  const perGroup = job.sample.length * job.inFlight
  const commitsPerGroup = Math.max(1, Math.round(perGroup / job.appendsPerCommit))
  const writeGroup = (): void => {
    const firstKey = sagas + 1
    sagas += job.inFlight
    const target = commits + commitsPerGroup
    let batch: Array<SagaStore.Append> = []
    let left = perGroup
    for (const append of job.sample) {
      for (let key = firstKey; key <= sagas; key++) {
        const record = append.record === undefined ? undefined : { ...append.record, key, id: `Trip/trip-${key}` }
        batch.push({ ...append, key, record })
        if (batch.length < Math.floor(left / (target - commits))) continue
        writer.commit(batch)
        commits++
        left -= batch.length
        batch = []
      }
    }
  }

  const runFor = (milliseconds: number): ReadonlyArray<number> => {
    const latencies: Array<number> = []
    const end = performance.now() + milliseconds
    for (let start = performance.now(); start < end;) {
      writeGroup()
      const now = performance.now()
      latencies.push(now - start)
      start = now
    }
    return latencies
  }

  runFor(job.warmUp)
  const before = { sagas, commits }
  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  const latencies = runFor(job.measure)
  const seconds = (performance.now() - start) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  database.close()

  const found = Found.inFile(job.file)
  const written = Object.values(found.statuses).reduce((sum, count) => sum + count, 0)
  if (written !== sagas || found.events !== sagas * perSaga.events) {
    throw new Error(`Expected ${sagas} executions with ${perSaga.events} events each, found ${JSON.stringify(found)}`)
  }
  const measured = sagas - before.sagas
  return {
    rate: measured / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    commits: (commits - before.commits) / measured,
    rows: perSaga.events + perSaga.records,
    cpu: (cpu.user + cpu.system) / measured,
    bytes: statSync(job.file).size / sagas
  }
}

const makeWriter = (database: DatabaseSync) => {
  const begin = database.prepare("BEGIN IMMEDIATE")
  const end = database.prepare("COMMIT")
  const insert = database.prepare(
    `INSERT INTO executions
      (key, id, definition, version, status, cancelled, reason, error, parent, created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
  )
  const update = database.prepare(
    "UPDATE executions SET version = ?, status = ?, cancelled = ?, reason = ?, error = ?, updated_at = ? WHERE key = ?"
  )
  const insertEvent = database.prepare("INSERT INTO events VALUES (?, ?, ?)")
  const insertEvents = database.prepare(
    `INSERT INTO events VALUES ${Array(rowsPerInsert).fill("(?, ?, ?)").join(", ")}`
  )
  return {
    commit: (appends: ReadonlyArray<SagaStore.Append>): void => {
      begin.run()
      let values: Array<string | number> = []
      for (const { events, firstSequence, key, record } of appends) {
        if (record !== undefined) {
          const { cancelled, createdAt, definition, error, id, parent, reason, status, updatedAt, version } = record
          const flag = cancelled ? 1 : 0
          if (firstSequence === 1) {
            insert.run(key, id, definition, version, status, flag, reason, error, parent, createdAt, updatedAt)
          } else update.run(version, status, flag, reason, error, updatedAt, key)
        }
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
      end.run()
    }
  }
}
