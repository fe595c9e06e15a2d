import * as Check from "./check.ts"
import { type ExecutionFilter, finishedStatuses, type ListOptions, Status } from "./store.ts"

/* Checks of what executions are looked for by. */

const filterKeys = [
  "statuses",
  "definition",
  "idPrefix",
  "createdFrom",
  "createdBefore",
  "updatedBefore",
  "error",
  "attributes"
] as const satisfies ReadonlyArray<keyof ExecutionFilter>

export const filter = (where: string, filter: ExecutionFilter | undefined): void => {
  Check.options(where, filter)
  if (filter === undefined) return
  Check.keys(where, filter, filterKeys)
  parts(where, filter)
}

export const list = (where: string, options: ListOptions | undefined): void => {
  Check.options(where, options)
  if (options === undefined) return
  Check.keys(where, options, [...filterKeys, "order", "after", "limit"])
  parts(where, options)
  Check.oneOf(`${where}: order`, options.order, ["newest", "oldest"])
  Check.integer(`${where}: limit`, options.limit)
  if (options.after !== undefined) {
    Check.requiredOptions(`${where}: after`, options.after)
    Check.wholeNumber(`${where}: after.createdAt`, options.after.createdAt)
    Check.wholeNumber(`${where}: after.key`, options.after.key)
  }
}

/** What may be pruned. */
export const finished = (where: string, value: unknown): void => oneOfThese(where, value, finishedStatuses)

const parts = (where: string, filter: ExecutionFilter): void => {
  oneOfThese(`${where}: statuses`, filter.statuses, Status.literals)
  for (const name of ["definition", "idPrefix", "error"] as const) {
    if (filter[name] !== undefined) Check.storableText(`${where}: ${name}`, filter[name])
  }
  for (const name of ["createdFrom", "createdBefore", "updatedBefore"] as const) {
    if (filter[name] !== undefined) Check.wholeNumber(`${where}: ${name}`, filter[name])
  }
  if (filter.attributes !== undefined) {
    Check.requiredOptions(`${where}: attributes`, filter.attributes)
    for (const [name, value] of Object.entries(filter.attributes)) {
      Check.storable(`${where}: attributes`, name)
      Check.storable(`${where}: attributes.${name}`, value)
    }
  }
}

const oneOfThese = (where: string, value: unknown, allowed: ReadonlyArray<string>): void => {
  if (value === undefined) return
  Check.array(where, value)
  for (const one of value as ReadonlyArray<unknown>) {
    // `oneOf` takes what is left out.
    Check.oneOf(where, one ?? null, allowed)
  }
}
