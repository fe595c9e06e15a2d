import type { SagaStore } from "effect-saga"
import { createdAt, day, now } from "./fill.ts"

/** What lists are asked for, in the words of the store and in SQL that needs no index to be right. */
export interface Case {
  readonly name: string
  readonly filter: SagaStore.ExecutionFilter
  readonly where: string
}

const attribute = (name: string, value: string): string => `attributes ->> '${name}' = '${value}'`

export const cases = (executions: number): ReadonlyArray<Case> => {
  const hour = now - 3_600_000
  const week = now - 7 * day
  const middle = createdAt(executions, executions / 2)
  const region = { attributes: { region: "eu" } }
  const isRegion = attribute("region", "eu")
  return [
    { name: "all", filter: {}, where: "true" },
    { name: "completed", filter: { statuses: ["Completed"] }, where: "status = 'Completed'" },
    { name: "parked", filter: { statuses: ["Parked"] }, where: "status = 'Parked'" },
    {
      name: "unfinished",
      filter: { statuses: ["Running", "Waiting", "Compensating", "Parked"] },
      where: "status IN ('Running', 'Waiting', 'Compensating', 'Parked')"
    },
    { name: "definition of half", filter: { definition: "Order" }, where: "definition = 'Order'" },
    { name: "definition of few", filter: { definition: "Definition07" }, where: "definition = 'Definition07'" },
    {
      name: "definition, completed",
      filter: { definition: "Order", statuses: ["Completed"] },
      where: "definition = 'Order' AND status = 'Completed'"
    },
    {
      name: "definition, parked",
      filter: { definition: "Order", statuses: ["Parked"] },
      where: "definition = 'Order' AND status = 'Parked'"
    },
    { name: "error", filter: { error: "Error7" }, where: "error = 'Error7'" },
    {
      name: "error, parked",
      filter: { error: "Error7", statuses: ["Parked"] },
      where: "error = 'Error7' AND status = 'Parked'"
    },
    {
      name: "error, definition",
      filter: { error: "Error7", definition: "Definition07" },
      where: "error = 'Error7' AND definition = 'Definition07'"
    },
    {
      name: "customer",
      filter: { attributes: { customer: "customer-00042" } },
      where: attribute("customer", "customer-00042")
    },
    { name: "region", filter: region, where: isRegion },
    {
      name: "region, customer",
      filter: { attributes: { region: "eu", customer: "customer-00042" } },
      where: `${isRegion} AND ${attribute("customer", "customer-00042")}`
    },
    { name: "region, parked", filter: { ...region, statuses: ["Parked"] }, where: `${isRegion} AND status = 'Parked'` },
    { name: "region, failed", filter: { ...region, statuses: ["Failed"] }, where: `${isRegion} AND status = 'Failed'` },
    {
      name: "region, definition",
      filter: { ...region, definition: "Definition07" },
      where: `${isRegion} AND definition = 'Definition07'`
    },
    { name: "region, error", filter: { ...region, error: "Error7" }, where: `${isRegion} AND error = 'Error7'` },
    { name: "id", filter: { idPrefix: "Order/260004" }, where: "id GLOB 'Order/260004*'" },
    { name: "ids of 300,000 in order", filter: { idPrefix: "Order/3" }, where: "id GLOB 'Order/3*'" },
    { name: "ids of 20,000", filter: { idPrefix: "Definition07/" }, where: "id GLOB 'Definition07/*'" },
    { name: "ids of 5,000", filter: { idPrefix: "Definition07/1" }, where: "id GLOB 'Definition07/1*'" },
    { name: "ids of 200,000 in order", filter: { idPrefix: "Order/2" }, where: "id GLOB 'Order/2*'" },
    { name: "ids of 50,000 in order", filter: { idPrefix: "Order/27" }, where: "id GLOB 'Order/27*'" },
    { name: "ids without a slash", filter: { idPrefix: "Definition0" }, where: "id GLOB 'Definition0*'" },
    {
      name: "ids, failed",
      filter: { idPrefix: "Order/3", statuses: ["Failed"] },
      where: "id GLOB 'Order/3*' AND status = 'Failed'"
    },
    { name: "ids, region", filter: { idPrefix: "Order/3", ...region }, where: `id GLOB 'Order/3*' AND ${isRegion}` },
    { name: "created in the last hour", filter: { createdFrom: hour }, where: `created_at >= ${hour}` },
    { name: "created before the middle", filter: { createdBefore: middle }, where: `created_at < ${middle}` },
    {
      name: "created in a day, failed",
      filter: { createdFrom: middle, createdBefore: middle + day, statuses: ["Failed"] },
      where: `created_at >= ${middle} AND created_at < ${middle + day} AND status = 'Failed'`
    },
    {
      name: "created in a day, region",
      filter: { createdFrom: middle, createdBefore: middle + day, ...region },
      where: `created_at >= ${middle} AND created_at < ${middle + day} AND ${isRegion}`
    },
    { name: "unchanged for a week", filter: { updatedBefore: week }, where: `updated_at < ${week}` },
    {
      name: "unchanged for a week, waiting",
      filter: { updatedBefore: week, statuses: ["Waiting"] },
      where: `updated_at < ${week} AND status = 'Waiting'`
    },
    {
      name: "unchanged for an hour, unfinished",
      filter: { updatedBefore: hour, statuses: ["Running", "Waiting", "Compensating"] },
      where: `updated_at < ${hour} AND status IN ('Running', 'Waiting', 'Compensating')`
    },
    {
      name: "unchanged for a week, region",
      filter: { updatedBefore: week, ...region },
      where: `updated_at < ${week} AND ${isRegion}`
    }
  ]
}
