import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { audit, balances, type Ending } from "../examples/travel/audit.ts"
import { Bookings, Itinerary } from "../examples/travel/Bookings.ts"
import { Flights } from "../examples/travel/Flights.ts"
import { Kind, type Ledger, World } from "../examples/travel/World.ts"

/** A world in which the calls of these tests don't fail. */
const worldFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-travel-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "world.db")
)
const process = (file: string) => Effect.provide(World.layer({ file, trips: 1, seed: "calm" }), { local: true })

describe("the services of the travel example", () => {
  it.live("keep one seat for a call that is made again, also by the next process", () =>
    Effect.gen(function*() {
      const file = yield* worldFile
      const book = Flights.use((flights) => flights.book("call", "trip-1"))

      const first = yield* book.pipe(process(file))
      const second = yield* book.pipe(Effect.andThen(book), process(file))

      const { reservations, stocks } = yield* World.read(file)
      assert.deepStrictEqual(second, first)
      assert.deepStrictEqual(reservations, [
        { kind: "seats", id: "call", trip: "trip-1", status: "booked", repeated: 2 }
      ])
      assert.deepInclude(stocks, { kind: "seats", capacity: 2, free: 1 })
    }))

  it.live("keep two seats for two calls, though the trip is one", () =>
    Effect.gen(function*() {
      const file = yield* worldFile

      yield* Flights.use((flights) => Effect.all([flights.book("call", "trip-1"), flights.book("another", "trip-1")]))
        .pipe(
          process(file)
        )

      const ledger = yield* World.read(file)
      assert.deepInclude(ledger.stocks, { kind: "seats", capacity: 2, free: 0 })
      assert.deepInclude(audit(ledger), { doubled: 1, problems: ["trip-1 has more than one of the seats."] })
    }))

  it.live("are busy for a call or two, and then no more", () =>
    Effect.gen(function*() {
      const file = yield* worldFile
      const book = Flights.use((flights) => flights.book("other", "trip-1"))

      const error = yield* Effect.flip(book).pipe(process(file))
      yield* book.pipe(Effect.retry({ times: 1 }), process(file))

      const { reservations } = yield* World.read(file)
      assert.strictEqual(error.reason, "busy")
      assert.lengthOf(reservations, 1)
    }))

  it.live("refuse a call that arrives after it was cancelled", () =>
    Effect.gen(function*() {
      const file = yield* worldFile

      const error = yield* Flights.use((flights) =>
        Effect.andThen(flights.cancel("call"), Effect.flip(flights.book("call", "trip-1")))
      ).pipe(process(file))

      assert.strictEqual(error.reason, "cancelled before")
    }))

  it.live("give a seat back once, however often it is cancelled", () =>
    Effect.gen(function*() {
      const file = yield* worldFile

      yield* Flights.use((flights) =>
        Effect.all([flights.book("call", "trip-1"), flights.cancel("call"), flights.cancel("call")])
      ).pipe(process(file))

      const { stocks } = yield* World.read(file)
      assert.deepInclude(stocks, { kind: "seats", capacity: 2, free: 2 })
    }))

  it.live("confirm once what is confirmed twice", () =>
    Effect.gen(function*() {
      const file = yield* worldFile
      const itinerary = new Itinerary({ trip: "trip-1", flight: "f", room: "r", car: "c" })
      const confirm = Bookings.use((bookings) => bookings.confirm("call", itinerary))

      yield* confirm.pipe(process(file))
      yield* confirm.pipe(process(file))

      const { bookings } = yield* World.read(file)
      assert.deepStrictEqual(bookings, [{ id: "call", trip: "trip-1", flight: "f", room: "r", car: "c", repeated: 1 }])
    }))

  it.live("are those of one seed and one number of bookings", () =>
    Effect.gen(function*() {
      const file = yield* worldFile
      yield* Effect.void.pipe(process(file))

      const error = yield* Effect.void.pipe(
        Effect.provide(World.layer({ file, trips: 2, seed: "calm" }), { local: true }),
        Effect.flip
      )

      assert.include(error.message, "was made for 1 bookings with seed calm, not for 2 with seed calm")
    }))
})

/** The books of a world with one trip. */
const ledger = (reservations: ReadonlyArray<Kind>, bookings: number, room = "rooms"): Ledger => ({
  seed: "any",
  trips: 1,
  stocks: Kind.literals.map((kind) => ({
    kind,
    capacity: 5,
    free: 5 - reservations.filter((one) => one === kind).length
  })),
  reservations: reservations.map((kind, index) => ({
    kind,
    id: index < 3 ? kind : `${kind} ${index}`,
    trip: "trip-1",
    status: "booked",
    repeated: 0
  })),
  bookings: Array.from({ length: bookings }, (_, index) => ({
    id: `confirm ${index}`,
    trip: "trip-1",
    flight: "seats",
    room,
    car: "cars",
    repeated: 0
  }))
})

describe("the check of the bookings", () => {
  const all = Kind.literals

  it.each<[what: string, ledger: Ledger, ending: Ending | undefined, figures: object]>([
    ["a confirmed trip with all that it needs", ledger(all, 1), undefined, { confirmed: 1 }],
    ["a confirmed trip whose saga completed", ledger(all, 1), "booked", { confirmed: 1 }],
    ["a trip of which nothing is left", ledger([], 0), "undone", { undone: 1 }],
    ["a trip that is under way", ledger(["seats"], 0), undefined, { open: 1 }],
    ["a trip that holds nothing yet", ledger([], 0), "open", { open: 1 }],
    ["a trip whose saga has not noted its confirmation", ledger(all, 1), "open", { open: 1 }]
  ])("has no complaint about %s", (_, ledger, ending, figures) => {
    const result = audit(ledger, ending && new Map([["trip-1", ending]]))

    assert.deepInclude(result, { undone: 0, confirmed: 0, open: 0, lost: 0, doubled: 0, problems: [], ...figures })
    assert.strictEqual(balances(result), result.open === 0)
  })

  it.each<[what: string, ledger: Ledger, ending: Ending | undefined, figures: object]>([
    ["two rooms for one trip", ledger([...all, "rooms"], 1), undefined, { doubled: 1 }],
    ["two confirmations of one trip", ledger(all, 2), undefined, { doubled: 1 }],
    ["a confirmed trip without a car", ledger(["seats", "rooms"], 1), undefined, { lost: 1 }],
    ["a trip confirmed with another room", ledger(all, 1, "another"), undefined, { lost: 1 }],
    ["a seat that is left of an undone trip", ledger(["seats"], 0), "undone", { doubled: 1 }],
    ["a completed saga without a confirmation", ledger([], 0), "booked", { lost: 1 }],
    ["an undone saga with a confirmation", ledger(all, 1), "undone", { doubled: 1 }]
  ])("finds %s", (_, ledger, ending, figures) => {
    const result = audit(ledger, ending && new Map([["trip-1", ending]]))

    assert.deepInclude(result, { undone: 0, confirmed: 0, open: 0, lost: 0, doubled: 0, ...figures })
    assert.lengthOf(result.problems, 1)
    assert.isFalse(balances(result))
  })

  it("finds a trip that no saga knows", () => {
    assert.deepInclude(audit(ledger(all, 1), new Map()), { lost: 1 })
    assert.deepInclude(audit(ledger(["seats"], 0), new Map()), { doubled: 1 })
  })

  it("finds a stock that does not add up", () => {
    const result = audit({ ...ledger([], 0), stocks: [{ kind: "cars", capacity: 5, free: 4 }] })

    assert.deepStrictEqual(result.problems, ["Of 5 cars 4 are free and 0 are taken."])
  })
})
