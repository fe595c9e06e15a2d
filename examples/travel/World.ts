/*
 * The airline, the hotel, the car rental and the agency, as services outside of the process that books: they live in a
 * SQLite file of their own, whatever happens to that process. Each call is one transaction, takes a moment before it and
 * after it, and is known by the id that the caller gives it, so that repeating a call changes nothing.
 *
 * Whether a call fails follows from the seed of the world and the id of the call, so it fails again when it is repeated.
 * Only `busy` passes.
 */
import { Context, Data, Effect, Layer, Random, Schema, type Scope } from "effect"
import { createHash } from "node:crypto"
import { DatabaseSync } from "node:sqlite"
import { Bookings, Declined, Itinerary } from "./Bookings.ts"
import { CancelFailed } from "./CancelFailed.ts"
import { Cars, NoCar } from "./Cars.ts"
import { Flights, NoSeat } from "./Flights.ts"
import { Hotels, NoRoom } from "./Hotels.ts"
import type { Refusal, Stock } from "./stock.ts"

export const Kind = Schema.Literals(["seats", "rooms", "cars"])
export type Kind = typeof Kind.Type

/** How many there are for a number of trips: not enough cars for everyone. */
const capacities = { seats: 2, rooms: 1, cars: 0.6 }

/** How often a call fails. */
const rates = { seats: 0.10, rooms: 0.15, cars: 0.30, declined: 0.05, busyOnce: 0.15, busyTwice: 0.05 }

const Reservation = Schema.Struct({
  kind: Kind,
  id: Schema.String,
  /** Unknown where it was cancelled before it was booked. */
  trip: Schema.NullOr(Schema.String),
  status: Schema.Literals(["booked", "cancelled"]),
  /** How many calls found that they had been made before. */
  repeated: Schema.Int
})

const Booking = Schema.Struct({ id: Schema.String, ...Itinerary.fields, repeated: Schema.Int })

/** All that a world knows. */
export const Ledger = Schema.Struct({
  seed: Schema.String,
  trips: Schema.Int,
  stocks: Schema.Array(Schema.Struct({ kind: Kind, capacity: Schema.Int, free: Schema.Int })),
  reservations: Schema.Array(Reservation),
  bookings: Schema.Array(Booking)
})
export type Ledger = typeof Ledger.Type

export class WorldError extends Data.TaggedError("WorldError")<{ readonly message: string }> {}

export interface WorldOptions {
  readonly file: string
  /** How many trips it is made for. */
  readonly trips: number
  readonly seed: string
}

export class World extends Context.Service<World, {
  readonly ledger: Effect.Effect<Ledger>
}>()("examples/travel/World") {
  /** Opens the world in a file, and makes it where there is none. A world is made for one number of trips and one seed. */
  static readonly layer = (
    options: WorldOptions
  ): Layer.Layer<World | Flights | Hotels | Cars | Bookings, WorldError> =>
    Layer.effectContext(Effect.gen(function*() {
      const db = yield* open(options.file, false)
      if (yield* Effect.sync(() => belongsToOthers(db))) {
        return yield* new WorldError({ message: `${options.file} holds something else than a world.` })
      }
      yield* Effect.sync(() => transaction(db, () => create(db, options)))
      const { seed, trips } = yield* Effect.sync(() => readSettings(db))
      if (seed !== options.seed || trips !== options.trips) {
        return yield* new WorldError({
          message: `The world in ${options.file} was made for ${trips} bookings with seed ${seed}, ` +
            `not for ${options.trips} with seed ${options.seed}. Give it the same arguments again, or choose another file.`
        })
      }
      return Context.make(World, { ledger: Effect.sync(() => readLedger(db)) }).pipe(
        Context.add(Flights, Flights.fromStock(makeStock(db, seed, "seats", (reason) => new NoSeat({ reason })))),
        Context.add(Hotels, Hotels.fromStock(makeStock(db, seed, "rooms", (reason) => new NoRoom({ reason })))),
        Context.add(Cars, Cars.fromStock(makeStock(db, seed, "cars", (reason) => new NoCar({ reason })))),
        Context.add(Bookings, makeBookings(db, seed))
      )
    }))

  /** Reads a world and changes nothing, also while another process books in it. */
  static readonly read = (file: string): Effect.Effect<Ledger, WorldError> =>
    Effect.scoped(Effect.flatMap(open(file, true), (db) =>
      Effect.try({
        try: () => readLedger(db),
        catch: () => new WorldError({ message: `There is no world in ${file}.` })
      })))
}

const open = (file: string, readOnly: boolean): Effect.Effect<DatabaseSync, WorldError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const db = new DatabaseSync(file, { readOnly, timeout: 10_000 })
        // A service that has answered has kept it, whatever happens to its machine.
        if (!readOnly) db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        return db
      },
      catch: () => new WorldError({ message: `The world in ${file} can't be opened.` })
    }),
    (db) => Effect.sync(() => db.close())
  )

const transaction = <A>(db: DatabaseSync, body: () => A): A => {
  db.exec("BEGIN IMMEDIATE")
  try {
    const result = body()
    db.exec("COMMIT")
    return result
  } catch (error) {
    db.exec("ROLLBACK")
    throw error
  }
}

const belongsToOthers = (db: DatabaseSync): boolean => {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(({ name }) => name)
  return tables.length > 0 && !tables.includes("world")
}

const create = (db: DatabaseSync, { seed, trips }: WorldOptions): void => {
  db.exec(`
    CREATE TABLE IF NOT EXISTS world (one INTEGER PRIMARY KEY CHECK (one = 1), seed TEXT, trips INTEGER) STRICT;
    CREATE TABLE IF NOT EXISTS stock (kind TEXT PRIMARY KEY, capacity INTEGER, free INTEGER) STRICT;
    CREATE TABLE IF NOT EXISTS reservation (
      kind TEXT, id TEXT, trip TEXT, status TEXT, repeated INTEGER DEFAULT 0, PRIMARY KEY (kind, id)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS booking (
      id TEXT PRIMARY KEY, trip TEXT, flight TEXT, room TEXT, car TEXT, repeated INTEGER DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS busy (call TEXT PRIMARY KEY, times INTEGER) STRICT;
  `)
  const { changes } = db.prepare("INSERT OR IGNORE INTO world VALUES (1, ?, ?)").run(seed, trips)
  if (changes === 0) return
  const insert = db.prepare("INSERT INTO stock VALUES (?, ?, ?)")
  for (const kind of Kind.literals) {
    const capacity = Math.ceil(capacities[kind] * trips)
    insert.run(kind, capacity, capacity)
  }
}

const Settings = Schema.Struct({ seed: Schema.String, trips: Schema.Int })
const readSettings = (db: DatabaseSync) =>
  Schema.decodeUnknownSync(Settings)(db.prepare("SELECT seed, trips FROM world").get())

const readLedger = (db: DatabaseSync): Ledger => {
  db.exec("BEGIN") // one view of all tables
  try {
    return Schema.decodeUnknownSync(Ledger)({
      ...readSettings(db),
      stocks: db.prepare("SELECT kind, capacity, free FROM stock ORDER BY rowid").all(),
      reservations: db.prepare("SELECT kind, id, trip, status, repeated FROM reservation").all(),
      bookings: db.prepare("SELECT id, trip, flight, room, car, repeated FROM booking").all()
    })
  } finally {
    db.exec("COMMIT")
  }
}

/** A number from 0 to 1 that follows from the seed and the call, and from nothing else. */
const draw = (seed: string, ...call: ReadonlyArray<string>): number =>
  createHash("sha256").update(JSON.stringify([seed, ...call])).digest().readUInt32BE() / 2 ** 32

/** Whether a call finds the service busy. It does so once or twice, then no more. */
const isBusy = (db: DatabaseSync, seed: string, ...call: ReadonlyArray<string>): boolean => {
  const chance = draw(seed, "busy", ...call)
  const limit = chance < rates.busyTwice ? 2 : chance < rates.busyTwice + rates.busyOnce ? 1 : 0
  if (limit === 0) return false
  const { changes } = db.prepare(
    "INSERT INTO busy VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 WHERE times < ?"
  ).run(call.join(" "), limit)
  return changes > 0
}

/** A call on its way to the service and back, with one transaction of the service between. */
const call = <A>(db: DatabaseSync, body: () => A): Effect.Effect<A> =>
  moment.pipe(
    Effect.andThen(Effect.sync(() => transaction(db, body))),
    Effect.tap(moment)
  )

const moment = Effect.flatMap(Random.nextIntBetween(0, 3), (milliseconds) => Effect.sleep(milliseconds))

const makeStock = <E>(db: DatabaseSync, seed: string, kind: Kind, refuse: (reason: Refusal) => E): Stock<E> => {
  const statusOf = db.prepare("SELECT status FROM reservation WHERE kind = ? AND id = ?")
  const reserve = db.prepare("INSERT INTO reservation (kind, id, trip, status) VALUES (?, ?, ?, 'booked')")
  const cancel = db.prepare(
    "INSERT INTO reservation (kind, id, status) VALUES (?, ?, 'cancelled') ON CONFLICT DO UPDATE SET status = 'cancelled'"
  )
  const repeat = db.prepare("UPDATE reservation SET repeated = repeated + 1 WHERE kind = ? AND id = ?")
  const free = db.prepare("SELECT free FROM stock WHERE kind = ?")
  const take = db.prepare("UPDATE stock SET free = free - 1 WHERE kind = ? AND free > 0")
  const giveBack = db.prepare("UPDATE stock SET free = free + 1 WHERE kind = ?")

  const status = (id: string) => statusOf.get(kind, id)?.status

  return {
    available: Effect.sync(() => Number(free.get(kind)?.free)),
    book: Effect.fnUntraced(function*(id: string, trip: string) {
      const refusal = yield* call(db, (): Refusal | undefined => {
        if (draw(seed, kind, id) < rates[kind]) return "unavailable"
        if (isBusy(db, seed, "book", kind, id)) return "busy"
        switch (status(id)) {
          case "booked":
            repeat.run(kind, id)
            return undefined
          case "cancelled":
            return "cancelled before"
        }
        if (take.run(kind).changes === 0) return "sold out"
        reserve.run(kind, id, trip)
        return undefined
      })
      if (refusal !== undefined) return yield* Effect.fail(refuse(refusal))
    }),
    cancel: Effect.fnUntraced(function*(id: string) {
      const busy = yield* call(db, () => {
        if (isBusy(db, seed, "cancel", kind, id)) return true
        const before = status(id)
        if (before === "booked") giveBack.run(kind)
        if (before === "cancelled") repeat.run(kind, id)
        cancel.run(kind, id)
        return false
      })
      if (busy) return yield* new CancelFailed({ id, reason: "busy" })
    })
  }
}

const makeBookings = (db: DatabaseSync, seed: string): typeof Bookings.Service => {
  const write = db.prepare(`
    INSERT INTO booking (id, trip, flight, room, car) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET repeated = repeated + 1
  `)
  return {
    confirm: Effect.fnUntraced(function*(id, { car, flight, room, trip }) {
      const declined = yield* call(db, () => {
        if (draw(seed, "bookings", id) < rates.declined) return true
        write.run(id, trip, flight, room, car)
        return false
      })
      if (declined) return yield* new Declined({ reason: "no funds" })
    })
  }
}
