/*
 * Kills the main job again and again with SIGKILL, starts it again each time, lets it end in peace at last, and has its
 * books checked. What is measured is the world of the services, not what the job says of itself.
 *
 * A kill falls at a random moment: one in six while the process still loads and opens its files, the others after it has
 * begun to book. How long it may book before is adapted as the campaign goes on, so that the bookings last as long as the
 * kills. The moments are drawn from the seed; where in the job they fall depends on the machine.
 */
import { Clock, Data, Deferred, Effect, Random, Result, type Scope } from "effect"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { audit } from "../../examples/travel/audit.ts"
import { World } from "../../examples/travel/World.ts"

const mainJob = fileURLToPath(new URL("../../examples/main.ts", import.meta.url))

export interface CampaignOptions {
  /** Where the files are kept. */
  readonly folder: string
  /** How many worlds are booked and killed, one after the other. */
  readonly rounds: number
  /** In each round. */
  readonly sagas: number
  /** In each round. */
  readonly kills: number
  readonly seed: string
  /** The program that books, if not the main job. */
  readonly program?: string
  /** Called after each round, with the figures of all so far. */
  readonly onRound?: (figures: Figures) => Effect.Effect<void>
}

export interface Figures {
  readonly sagas: number
  /** Processes that were killed while they ran. */
  readonly kills: number
  /** Kills that left seats, rooms or cars taken which were not confirmed yet. */
  readonly hits: number
  readonly starts: number
  /** Open sagas that processes found when they were started, in all. */
  readonly recovered: number
  /** Calls that had taken effect before: their process was killed between the effect and its record. */
  readonly repeated: number
  readonly confirmed: number
  readonly undone: number
  readonly open: number
  readonly lost: number
  readonly doubled: number
  /** What is wrong, in sentences. */
  readonly problems: ReadonlyArray<string>
}

/** The job did something that no kill explains. */
export class CampaignError extends Data.TaggedError("CampaignError")<{ readonly message: string }> {}

const none: Figures = {
  sagas: 0,
  kills: 0,
  hits: 0,
  starts: 0,
  recovered: 0,
  repeated: 0,
  confirmed: 0,
  undone: 0,
  open: 0,
  lost: 0,
  doubled: 0,
  problems: []
}

const add = (one: Figures, other: Figures): Figures => ({
  sagas: one.sagas + other.sagas,
  kills: one.kills + other.kills,
  hits: one.hits + other.hits,
  starts: one.starts + other.starts,
  recovered: one.recovered + other.recovered,
  repeated: one.repeated + other.repeated,
  confirmed: one.confirmed + other.confirmed,
  undone: one.undone + other.undone,
  open: one.open + other.open,
  lost: one.lost + other.lost,
  doubled: one.doubled + other.doubled,
  problems: [...one.problems, ...other.problems]
})

export const campaign = Effect.fnUntraced(
  function*(options: CampaignOptions) {
    const { folder, onRound, program = mainJob, rounds, seed } = options
    // A process that ends in peace leaves its compiled modules there, and those that are killed start faster.
    const environment = { ...process.env, NODE_COMPILE_CACHE: join(folder, "modules") }
    yield* settle(yield* start(program, ["--help"], environment))

    let figures = none
    for (let round = 1; round <= rounds; round++) {
      figures = add(figures, yield* runRound({ ...options, program, environment, seed: `${seed}-${round}` }, round))
      if (onRound !== undefined) yield* onRound(figures)
      if (figures.problems.length > 0) break
    }
    return figures
  },
  Effect.scoped,
  (effect, { seed }) => Random.withSeed(effect, seed)
)

interface RoundOptions extends CampaignOptions {
  readonly program: string
  readonly environment: NodeJS.ProcessEnv
}

const runRound = Effect.fnUntraced(function*(options: RoundOptions, round: number) {
  const { environment, folder, program, sagas, seed } = options
  const db = join(folder, `round-${round}-sagas.db`)
  const world = join(folder, `round-${round}-world.db`)
  const args = ["--db", db, "--world", world, "--bookings", `${sagas}`, "--seed", seed]

  let kills = 0
  let hits = 0
  let starts = 0
  let recovered = 0
  let loading = 500
  let booking = 50
  const problems: Array<string> = []

  while (kills < options.kills && problems.length === 0 && starts < 2 * options.kills + 10) {
    const early = (yield* Random.next) < 1 / 6
    const delay = (yield* Random.next) * (early ? loading : booking)
    const life = yield* Effect.scoped(Effect.gen(function*() {
      const child = yield* start(program, args, environment)
      if (!early) yield* Effect.raceFirst(Deferred.await(child.began), Deferred.await(child.ended))
      yield* Effect.raceFirst(Effect.sleep(delay), Deferred.await(child.ended))
      child.kill()
      return yield* settle(child)
    }))

    starts++
    if (life.killed) kills++
    else if (life.code !== 0) problems.push(`Round ${round}, after kill ${kills}: the job failed: ${life.output}`)
    if (life.began !== undefined) {
      recovered += life.began.open
      loading = life.began.after
      booking *= life.began.ended * options.kills > kills * sagas ? 0.8 : 1.25
    }
    const ledger = yield* Effect.result(World.read(world))
    if (Result.isSuccess(ledger)) {
      const found = audit(ledger.success)
      if (life.killed && found.open > 0) hits++
      problems.push(...found.problems.map((problem) => `Round ${round}, after kill ${kills}: ${problem}`))
    }
  }

  const last = yield* Effect.scoped(Effect.flatMap(start(program, args, environment), settle))
  starts++
  recovered += last.began?.open ?? 0
  const check = yield* Effect.scoped(
    Effect.flatMap(start(program, ["--db", db, "--world", world, "--check"], environment), settle)
  )
  const found = audit(yield* World.read(world))
  problems.push(...found.problems.map((problem) => `Round ${round}, at its end: ${problem}`))
  if (found.open > 0) problems.push(`Round ${round}, at its end: ${found.open} bookings are open.`)
  if (last.code !== 0 || check.code !== 0) {
    problems.push(
      `Round ${round}, at its end: the job ended with ${last.code}, its check with ${check.code}: ${check.output}`
    )
  }
  const { confirmed, doubled, lost, open, repeated, undone } = found
  return { sagas, kills, hits, starts, recovered, repeated, confirmed, undone, open, lost, doubled, problems }
})

interface Child {
  /** Completes with the first line that the job prints: it has opened its files and begins to book. */
  readonly began: Deferred.Deferred<Began>
  readonly ended: Deferred.Deferred<Ended>
  readonly kill: () => void
  /** What it has printed so far. */
  readonly output: () => string
}

interface Began {
  /** Milliseconds since the start of the process. */
  readonly after: number
  /** Sagas that had ended before. */
  readonly ended: number
  /** Sagas that were open. */
  readonly open: number
}

interface Ended {
  readonly began: Began | undefined
  readonly killed: boolean
  readonly code: number | null
  readonly output: string
}

const start = (
  program: string,
  args: ReadonlyArray<string>,
  environment: NodeJS.ProcessEnv
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(Clock.currentTimeMillis, (startedAt) => {
      const began = Deferred.makeUnsafe<Began>()
      const ended = Deferred.makeUnsafe<Ended>()
      const child = spawn(process.execPath, ["--conditions=effect-saga-source", program, ...args], {
        env: environment,
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      let seen: Began | undefined
      child.stderr.setEncoding("utf8").on("data", (text) => output += text)
      child.stdout.setEncoding("utf8").on("data", (text) => {
        output += text
        const counts = /(\d+) have ended, (\d+) are open/.exec(output)
        if (seen !== undefined || counts === null) return
        seen = { after: Date.now() - startedAt, ended: Number(counts[1]), open: Number(counts[2]) }
        Deferred.doneUnsafe(began, Effect.succeed(seen))
      })
      child.on("close", (code, signal) => {
        Deferred.doneUnsafe(ended, Effect.succeed({ began: seen, killed: signal === "SIGKILL", code, output }))
      })
      return { began, ended, kill: () => child.kill("SIGKILL"), output: () => output }
    }),
    (child) => Effect.andThen(Effect.sync(child.kill), Deferred.await(child.ended))
  )

/** Waits until the process has ended. It has to within a minute. */
const settle = (child: Child): Effect.Effect<Ended, CampaignError> =>
  Deferred.await(child.ended).pipe(
    Effect.timeoutOrElse({
      duration: "1 minute",
      orElse: () =>
        Effect.fail(
          new CampaignError({ message: `A process has not ended for a minute. It printed: ${child.output()}` })
        )
    })
  )
