import { Data, Effect } from "effect"
import { parseArgs } from "node:util"

export interface Book {
  readonly _tag: "Book"
  readonly world: string
  readonly db: string
  readonly bookings: number
  readonly seed: string
  /** Whether the files are those that are kept in the working directory. */
  readonly isDefault: boolean
}

export interface Check {
  readonly _tag: "Check"
  readonly world: string
  readonly db: string | undefined
}

export interface Help {
  readonly _tag: "Help"
}

/** What the main job is asked to do. */
export type Job = Book | Check | Help

export const folder = ".travel"

export const help =
  `Books trips as durable sagas. Kill it whenever you like, kill -9 included: started again with the same
arguments, it finishes or undoes each booking that was open.

  npm start                                        five trips, kept in ${folder}
  npm start -- --bookings 500 --seed 7 --db sagas.db --world world.db
  npm start -- --world world.db --check            whether every seat, room and car balances with the bookings
  npm start -- --world world.db --db sagas.db --check

  --db FILE      where the sagas are kept (SQLite)
  --world FILE   where the airline, the hotel, the car rental and the agency keep what they sold (SQLite)
  --bookings N   how many trips to book, from 1 to 100000 (default 5)
  --seed S       decides which calls to the services fail (default 355)
  --check        books nothing; with --db it also compares with how the sagas ended
  --help         this text

It ends with exit code 0 if all balances, 1 if it does not or if it can't go on, and 2 if the arguments are wrong.`

export class WrongArguments extends Data.TaggedError("WrongArguments")<{ readonly message: string }> {}

const defaults = { world: `${folder}/world.db`, db: `${folder}/sagas.db`, bookings: "5", seed: "355" }

/** Reads the command line. */
export const parse = (args: ReadonlyArray<string>): Effect.Effect<Job, WrongArguments> =>
  Effect.try({
    try: () =>
      parseArgs({
        args: [...args],
        options: {
          db: { type: "string" },
          world: { type: "string" },
          bookings: { type: "string" },
          seed: { type: "string" },
          check: { type: "boolean", default: false },
          help: { type: "boolean", short: "h", default: false }
        }
      }).values,
    catch: (error) => new WrongArguments({ message: error instanceof Error ? error.message : String(error) })
  }).pipe(Effect.flatMap((values) => {
    const job = toJob(values)
    return typeof job === "string" ? Effect.fail(new WrongArguments({ message: job })) : Effect.succeed(job)
  }))

interface Values {
  readonly db?: string | undefined
  readonly world?: string | undefined
  readonly bookings?: string | undefined
  readonly seed?: string | undefined
  readonly check: boolean
  readonly help: boolean
}

/** The job, or what is wrong. */
const toJob = ({ bookings, check, db, help, seed, world }: Values): Job | string => {
  if (help) return { _tag: "Help" }
  if (db === "" || world === "") return "--db and --world need the name of a file."
  if (db !== undefined && db === world) return "--db and --world have to be two files."
  if (check) {
    if (bookings !== undefined || seed !== undefined) {
      return "--check takes --world and --db alone: the world knows its bookings and its seed."
    }
    if (world === undefined) return { _tag: "Check", world: defaults.world, db: db ?? defaults.db }
    return { _tag: "Check", world, db }
  }

  if ((db === undefined) !== (world === undefined)) {
    return "--db and --world belong together: give both, or none of them."
  }
  const count = Number(bookings ?? defaults.bookings)
  if (!Number.isInteger(count) || count < 1 || count > 100_000) {
    return `--bookings has to be a whole number from 1 to 100000, but is "${bookings}".`
  }
  return {
    _tag: "Book",
    world: world ?? defaults.world,
    db: db ?? defaults.db,
    bookings: count,
    seed: seed ?? defaults.seed,
    isDefault: world === undefined
  }
}
