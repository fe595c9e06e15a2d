import { matches } from "./executionFilter.ts"
import { byGroup } from "./groups.ts"
import {
  byPosition,
  type Counts,
  type ExecutionFilter,
  type ExecutionRecord,
  isFinished,
  type ListOptions,
  type Position
} from "./store.ts"

/* What the store in memory tells of its executions, as the contract of stores has it. */

type Records = Iterable<ExecutionRecord>

export const list = (
  records: Records,
  { after, limit = 100, order = "newest", ...filter }: ListOptions
): Array<ExecutionRecord> => {
  const compare = order === "oldest" ? byPosition : (one: Position, other: Position) => byPosition(other, one)
  return Array.from(records)
    .filter((record) => (after === undefined || compare(record, after) > 0) && matches(filter, record))
    .toSorted(compare)
    .slice(0, limit)
}

export const count = (records: Records, filter: ExecutionFilter): number => {
  let count = 0
  for (const record of records) if (matches(filter, record)) count++
  return count
}

export const counts = (records: Records, since: number): Counts => {
  const groups = new Map<string, Counts["groups"][number]>()
  let oldestParked: ExecutionRecord | undefined
  let started = 0
  const ended = { Completed: 0, Compensated: 0, Failed: 0 }
  for (const record of records) {
    const { createdAt, definition, status, updatedAt } = record
    const name = `${status}/${definition}`
    groups.set(name, { definition, status, count: (groups.get(name)?.count ?? 0) + 1 })
    if (status === "Parked" && (oldestParked === undefined || byChange(record, oldestParked) < 0)) {
      oldestParked = record
    }
    if (createdAt >= since) started++
    if (isFinished(status) && updatedAt >= since) ended[status]++
  }
  return { groups: Array.from(groups.values()).toSorted(byGroup), oldestParked, started, ended }
}

export const changed = (
  records: Records,
  { after, from, limit }: { readonly from: number; readonly after?: Change | undefined; readonly limit: number }
): Array<ExecutionRecord> =>
  Array.from(records)
    .filter((record) => record.updatedAt >= from && (after === undefined || byChange(record, after) > 0))
    .toSorted(byChange)
    .slice(0, limit)

type Change = Pick<ExecutionRecord, "updatedAt" | "key">

const byChange = (one: Change, other: Change): number => one.updatedAt - other.updatedAt || one.key - other.key
