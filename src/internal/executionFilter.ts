import type { ExecutionFilter, ExecutionRecord } from "./store.ts"

/** Whether all that is given is so of an execution. */
export const matches = (filter: ExecutionFilter, record: ExecutionRecord): boolean =>
  (filter.statuses === undefined || filter.statuses.includes(record.status)) &&
  (filter.definition === undefined || record.definition === filter.definition) &&
  (filter.idPrefix === undefined || record.id.startsWith(filter.idPrefix)) &&
  (filter.createdFrom === undefined || record.createdAt >= filter.createdFrom) &&
  (filter.createdBefore === undefined || record.createdAt < filter.createdBefore) &&
  (filter.updatedBefore === undefined || record.updatedAt < filter.updatedBefore) &&
  (filter.error === undefined || record.error === filter.error) &&
  Object.entries(filter.attributes ?? {}).every(([name, value]) =>
    // Not what every object has, as `constructor`.
    Object.hasOwn(record.attributes, name) && record.attributes[name] === value
  )
