/*
 * The main job: trips of a flight, a hotel and a car are booked as durable sagas in a SQLite file, while the services
 * fail now and then (10, 15 and 30 % of the calls). Killed at any moment and started again, it finishes or undoes each
 * booking that was open, exactly once in effect. `npm start -- --help` tells the rest.
 */
import { Array, Console, Effect, Layer } from "effect"
import { SagaEngine, SagaStore } from "effect-saga"
import { existsSync, mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { type Book, type Check, folder, help, parse, WrongArguments } from "./travel/arguments.ts"
import { audit, balances, type Ending, render } from "./travel/audit.ts"
import { BookTrip, BookTripLayer } from "./travel/durableBookTrip.ts"
import { makeTrips, type Trip } from "./travel/trips.ts"
import { Kind, type Ledger, World } from "./travel/World.ts"

/** Books one trip, or joins the execution that books it or has booked it before. Says how it ended. */
const bookTrip = (trip: Trip) =>
  Effect.raceFirst(
    Effect.as(BookTrip.execute(trip), "booked"),
    untilParked(BookTrip.executionId(trip))
  ).pipe(
    Effect.catch((error) =>
      error._tag === "SagaStoreError" || error._tag === "SagaEngineError"
        ? Effect.fail(error)
        : Effect.succeed(error.message)
    )
  )

/** A parked execution waits for the decision of an operator, and nobody is here to decide. */
const untilParked = Effect.fnUntraced(function*(id: string) {
  const engine = yield* SagaEngine.SagaEngine
  while (true) {
    yield* Effect.sleep("1 second")
    const { reason, status } = yield* engine.get(id)
    if (status === "Parked") return `needs a decision: ${reason}`
  }
})

const endings = Effect.fnUntraced(function*(count: number) {
  const store = yield* SagaStore.SagaStore
  const executions = yield* store.list({ definition: BookTrip.name, limit: count })
  return new Map(executions.map(({ id, status }): [string, Ending] => [
    id.slice(BookTrip.name.length + 1),
    status === "Completed" ? "booked" : status === "Compensated" || status === "Failed" ? "undone" : "open"
  ]))
})

const book = Effect.fnUntraced(function*({ bookings, isDefault }: Book) {
  const trips = makeTrips(bookings)
  const isLong = bookings > 20
  const before = yield* endings(bookings)
  const open = Array.countBy(before.values(), (ending) => ending === "open")
  if (isLong) yield* Console.log(`${bookings} bookings: ${before.size - open} have ended, ${open} are open and go on`)
  else if (open > 0) yield* Console.log(`${open} bookings are open and go on`)

  let ended = 0
  const outcomes = yield* Effect.forEach(trips, (trip) =>
    bookTrip(trip).pipe(
      Effect.tap(() => ++ended % 1000 === 0 ? Console.log(`${ended} have ended`) : Effect.void)
    ), { concurrency: 16 }).pipe(
      Effect.provide(BookTripLayer.pipe(Layer.provideMerge(SagaEngine.layer())))
    )

  const ledger = yield* (yield* World).ledger
  yield* Effect.forEach(isLong ? summary(outcomes) : details(trips, outcomes, ledger), (line) => Console.log(line))
  const result = audit(ledger, yield* endings(bookings))
  yield* Effect.forEach(render(result), (line) => Console.log(line))
  if (isDefault) {
    yield* Console.log(
      `Kept in ${folder}: started again, it reads the same results. Without that folder it begins anew.`
    )
  }
  return balances(result)
})

const summary = (outcomes: ReadonlyArray<string>): ReadonlyArray<string> =>
  Object.entries(Array.groupBy(outcomes, (outcome) => outcome))
    .toSorted(([, one], [, other]) => other.length - one.length)
    .map(([outcome, all]) => `${String(all.length).padStart(6)} ${outcome}`)

const details = (trips: ReadonlyArray<Trip>, outcomes: ReadonlyArray<string>, { reservations }: Ledger) =>
  trips.map(({ id, traveller }, index) => {
    const undone = reservations.filter(({ status, trip }) => trip === id && status === "cancelled")
    const kinds = Kind.literals.filter((kind) => undone.some((one) => one.kind === kind))
    return `${id}, ${traveller}: ${outcomes[index]}${kinds.length === 0 ? "" : `; undone: ${kinds.join(", ")}`}`
  })

const check = Effect.fnUntraced(function*({ db, world }: Check) {
  if (db !== undefined && !existsSync(db)) return yield* new WrongArguments({ message: `There is no file ${db}.` })
  const ledger = yield* World.read(world)
  const result = db === undefined
    ? audit(ledger)
    : audit(ledger, yield* endings(ledger.trips).pipe(Effect.provide(SagaStore.layerSqlite({ filename: db }))))
  yield* Effect.forEach(render(result), (line) => Console.log(line))
  return balances(result)
})

const makeFolders = (files: ReadonlyArray<string>) =>
  Effect.try({
    try: () => files.forEach((file) => mkdirSync(dirname(file), { recursive: true })),
    catch: () => new WrongArguments({ message: `The folders of ${files.join(" and ")} can't be created.` })
  })

const run = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const job = yield* parse(args)
  switch (job._tag) {
    case "Help":
      yield* Console.log(help)
      return true
    case "Check":
      return yield* check(job)
    case "Book":
      yield* makeFolders([job.db, job.world])
      return yield* book(job).pipe(Effect.provide([
        World.layer({ file: job.world, trips: job.bookings, seed: job.seed }),
        SagaStore.layerSqlite({ filename: job.db })
      ]))
  }
})

/** Does what the arguments say, and gives back the exit code. */
export const main = (args: ReadonlyArray<string>): Effect.Effect<number> =>
  run(args).pipe(
    Effect.map((isBalanced) => isBalanced ? 0 : 1),
    Effect.catchTags({
      SagaStoreError: (error) => Effect.as(Console.error(error.message), 1),
      SagaEngineError: (error) => Effect.as(Console.error(error.message), 1),
      WorldError: (error) => Effect.as(Console.error(error.message), 2),
      WrongArguments: (error) =>
        Effect.as(Console.error(`${error.message}\nnpm start -- --help tells what is possible.`), 2)
    })
  )

if (import.meta.main) process.exitCode = await Effect.runPromise(main(process.argv.slice(2)))
