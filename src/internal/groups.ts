import { type Counts, Status } from "./store.ts"

type Group = Counts["groups"][number]

/** The order of groups of executions, the same in all stores, whatever the order of texts in their database is. */
export const byGroup = (one: Group, other: Group): number =>
  one.definition === other.definition
    ? Status.literals.indexOf(one.status) - Status.literals.indexOf(other.status)
    : one.definition < other.definition
    ? -1
    : 1
