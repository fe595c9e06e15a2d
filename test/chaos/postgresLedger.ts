/*
 * What the services sold, which is what counts: neither the sagas nor the database know of it. A service knows a booking
 * by its key. Booking or cancelling it again changes nothing, and one that was cancelled is not booked any more.
 */
import { Array as Arrays, Clock, Effect, Random } from "effect"
import { type Call, type Kind, kinds, type Outcome, refusedBy, type Services } from "./postgresTrip.ts"

/** All that a service has been told of one booking. */
export interface Booking {
  readonly key: string
  readonly trip: string
  readonly kind: Kind
  readonly ticket: number
  status: "asked for" | "booked" | "cancelled" | "refused"
  /** When calls came in, in milliseconds since the epoch. */
  readonly books: Array<number>
  readonly cancels: Array<number>
}

export interface Ledger extends Context {
  readonly call: Services["Service"]["call"]
}

interface Context {
  readonly bookings: ReadonlyMap<string, Booking>
  /** What makes no sense, in sentences. */
  readonly problems: ReadonlyArray<string>
}

/** A time in which a process may have been lost, with calls of it under way, or may have come back with some. */
export interface Loss {
  readonly from: number
  readonly to: number
}

/** Services that take up to `callMillis` for a call. */
export const makeLedger = (callMillis: number): Ledger => {
  const bookings = new Map<string, Booking>()
  const problems: Array<string> = []

  const bookingOf = ({ key, kind, trip }: Call): Booking => {
    const known = bookings.get(key)
    if (known !== undefined) {
      if (known.trip !== trip || known.kind !== kind) problems.push(`The key ${key} was used for two bookings.`)
      return known
    }
    const ticket = bookings.size + 1
    const booking: Booking = { key, trip, kind, ticket, status: "asked for", books: [], cancels: [] }
    bookings.set(key, booking)
    return booking
  }

  const book = (booking: Booking) => {
    if (booking.status === "asked for") booking.status = refusedBy(booking.trip) === booking.kind ? "refused" : "booked"
    return booking.status === "booked" ? booking.ticket : null
  }

  const cancel = (booking: Booking, ticket: number) => {
    if (booking.status === "booked") booking.status = "cancelled"
    if (booking.status !== "cancelled" || booking.ticket !== ticket) {
      problems.push(`${booking.key} is to be cancelled with ticket ${ticket}, but it is ${JSON.stringify(booking)}.`)
    }
    return ticket
  }

  return {
    bookings,
    problems,
    call: Effect.fnUntraced(function*(call) {
      const booking = bookingOf(call)
      const { books, cancels } = booking
      const times = call._tag === "Book" ? books : cancels
      times.push(yield* Clock.currentTimeMillis)
      const way = (yield* Random.next) * callMillis
      const part = yield* Random.next
      yield* Effect.sleep(way * part)
      const reply = call._tag === "Book" ? book(booking) : cancel(booking, call.ticket)
      yield* Effect.sleep(way * (1 - part))
      return reply
    })
  }
}

export interface Audit {
  readonly booked: number
  readonly undone: number
  /** Trips that callers were told an error of. */
  readonly errors: number
  /** Trips that have less than they should. */
  readonly lost: number
  /** Trips that have more than they should, or for which a call was made again without a reason. */
  readonly doubled: number
  /** Calls that were made again. */
  readonly repeated: number
  readonly problems: ReadonlyArray<string>
}

/** Compares what the services sold with what callers were told. */
export const audit = (
  ledger: Context,
  outcomes: ReadonlyMap<string, Outcome>,
  losses: ReadonlyArray<Loss> = []
): Audit => {
  const problems = [...ledger.problems]
  const figures = { booked: 0, undone: 0, errors: 0, lost: 0, doubled: 0, repeated: 0 }
  const bookingsOf = Arrays.groupBy(ledger.bookings.values(), ({ trip }) => trip)

  /** How often a call was made again, and whether losses explain that. */
  const again = (times: ReadonlyArray<number>): readonly [count: number, isExplained: boolean] => {
    const [first = 0, last = 0] = [times[0], times.at(-1)]
    const explained = losses.filter(({ from, to }) => from <= last && to >= first).length
    const count = Math.max(0, times.length - 1)
    return [count, count <= explained]
  }

  for (const [trip, outcome] of outcomes) {
    const bookings = bookingsOf[trip] ?? []
    const refusing = refusedBy(trip)
    const tell = (figure: "errors" | "lost" | "doubled", what: string) => {
      figures[figure]++
      problems.push(`${trip} ${what}.`)
    }

    if (outcome._tag === "Error") {
      tell("errors", `failed: ${outcome.message}`)
      continue
    }
    figures[outcome._tag === "Booked" ? "booked" : "undone"]++
    const statuses = kinds.map((kind) => bookings.filter((one) => one.kind === kind).map(({ status }) => status))
    const expected = kinds.map((kind) => {
      if (refusing === undefined) return ["booked"]
      const distance = kinds.indexOf(kind) - kinds.indexOf(refusing)
      return distance < 0 ? ["cancelled"] : distance === 0 ? ["refused"] : []
    })
    const told = outcome._tag === "Booked" ? undefined : outcome.kind
    const tickets = kinds.flatMap((kind) => bookings.filter((one) => one.kind === kind).map(({ ticket }) => ticket))
    if (told !== refusing) tell("lost", `should have been refused by ${refusing}, but was told: ${told}`)
    else if (String(statuses) !== String(expected)) {
      const isMore = statuses.some((one, index) =>
        one.length > expected[index]!.length || (one[0] === "booked" && expected[index]![0] === "cancelled")
      )
      tell(isMore ? "doubled" : "lost", `has ${statuses.join(" + ")} instead of ${expected.join(" + ")}`)
    } else if (outcome._tag === "Booked" && String(outcome.tickets) !== String(tickets)) {
      tell("lost", `was told of the tickets ${outcome.tickets} instead of ${tickets}`)
    }

    for (const { books, cancels, key } of bookings) {
      for (const times of [books, cancels]) {
        const [count, isExplained] = again(times)
        figures.repeated += count
        if (!isExplained) tell("doubled", `had ${key} called at ${times.join(", ")}`)
      }
    }
  }
  for (const trip of Object.keys(bookingsOf)) {
    if (!outcomes.has(trip)) problems.push(`${trip} was booked, and nobody was told of it.`)
  }
  return { ...figures, problems }
}
