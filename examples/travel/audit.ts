/*
 * Compares what the services hold with what is confirmed, and with how each saga ended where that is given: a confirmed
 * trip has one seat, one room and one car, and of any other trip nothing is left.
 */
import { Array } from "effect"
import { tripIds } from "./trips.ts"
import type { Kind, Ledger } from "./World.ts"

/** How the saga of a trip ended, or that it has not ended. */
export type Ending = "booked" | "undone" | "open"

export interface Audit {
  readonly trips: number
  readonly confirmed: number
  /** Trips of which nothing is left. */
  readonly undone: number
  /** Trips that hold something before they are confirmed, and those whose saga has not ended. */
  readonly open: number
  /** Trips that have less than they should. */
  readonly lost: number
  /** Trips that have more than they should. */
  readonly doubled: number
  /** How often a call was made that had taken effect before. */
  readonly repeated: number
  readonly stocks: ReadonlyArray<{
    readonly kind: Kind
    readonly capacity: number
    readonly free: number
    readonly taken: number
  }>
  /** One sentence for each thing that is wrong. */
  readonly problems: ReadonlyArray<string>
}

type Verdict = readonly [state: "confirmed" | "undone" | "open" | "lost" | "doubled", problem?: string]

export const audit = (ledger: Ledger, endings?: ReadonlyMap<string, Ending>): Audit => {
  const booked = ledger.reservations.filter(({ status }) => status === "booked")
  const held = Array.groupBy(booked, ({ trip }) => trip ?? "a trip without a name")
  const bookings = Array.groupBy(ledger.bookings, ({ trip }) => trip)
  const problems: Array<string> = []

  const judge = (trip: string): Verdict => {
    const ending = endings?.get(trip)
    const taken = held[trip] ?? []
    const [booking, ...more] = bookings[trip] ?? []
    const twice = (["seats", "rooms", "cars"] as const).find((kind) =>
      taken.filter((one) => one.kind === kind).length > 1
    )
    if (twice !== undefined) return ["doubled", `has more than one of the ${twice}`]
    if (more.length > 0) return ["doubled", `is confirmed ${more.length + 1} times`]

    if (booking !== undefined) {
      const ids = [booking.flight, booking.room, booking.car]
      if (!ids.every((id) => taken.some((one) => one.id === id))) {
        return ["lost", "is confirmed, but does not have the seat, the room and the car that it was confirmed with"]
      }
      if (ending === "undone") return ["doubled", "is confirmed, although its saga was undone"]
      if (ending === undefined && endings !== undefined) return ["lost", "is confirmed, but its saga is unknown"]
      return [ending === "open" ? "open" : "confirmed"]
    }
    if (ending === "booked") return ["lost", "is not confirmed, although its saga completed"]
    if (taken.length > 0 && ending === "undone") return ["doubled", `was undone, but ${taken.length} of it is left`]
    if (taken.length > 0 && ending === undefined && endings !== undefined) {
      return ["doubled", `holds ${taken.length}, but its saga is unknown`]
    }
    return [taken.length > 0 || (endings !== undefined && ending !== "undone") ? "open" : "undone"]
  }

  const figures = { confirmed: 0, undone: 0, open: 0, lost: 0, doubled: 0 }
  const trips = new Set([...tripIds(ledger.trips), ...Object.keys(held), ...Object.keys(bookings)])
  for (const trip of trips) {
    const [state, problem] = judge(trip)
    figures[state]++
    if (problem !== undefined) problems.push(`${trip} ${problem}.`)
  }

  const stocks = ledger.stocks.map(({ capacity, free, kind }) => {
    const taken = booked.filter((one) => one.kind === kind).length
    if (free < 0 || free + taken !== capacity) {
      problems.push(`Of ${capacity} ${kind} ${free} are free and ${taken} are taken.`)
    }
    return { kind, capacity, free, taken }
  })

  const repeated = [...ledger.reservations, ...ledger.bookings].reduce((sum, one) => sum + one.repeated, 0)
  return { trips: ledger.trips, ...figures, repeated, stocks, problems }
}

export const balances = ({ open, problems }: Audit): boolean => open === 0 && problems.length === 0

/** The audit as lines for people. */
export const render = (audit: Audit): ReadonlyArray<string> => [
  `${audit.confirmed} of ${audit.trips} trips booked`,
  ...audit.stocks.map(({ capacity, free, kind, taken }) => `  ${kind}: ${free} of ${capacity} free, ${taken} taken`),
  `confirmed ${audit.confirmed}, undone ${audit.undone}, open ${audit.open}, lost ${audit.lost}, doubled ${audit.doubled}`,
  ...audit.problems.slice(0, 20),
  ...audit.problems.length > 20 ? [`... and ${audit.problems.length - 20} more problems`] : [],
  balances(audit)
    ? "The inventory balances."
    : audit.problems.length > 0
    ? "The inventory does NOT balance."
    : `The inventory balances once the ${audit.open} open bookings have ended: start again with the same arguments.`
]
