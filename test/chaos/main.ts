/*
 * npm run chaos -- --kills 1000 --sagas 10000 --seed 1
 *
 * Kills the main job that often with SIGKILL while it books that many trips, and reports what became of them. Ends with
 * exit code 1 if anything is lost, doubled or left, and keeps the files then.
 */
import { Clock, Console, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { campaign, type Figures } from "./campaign.ts"

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "1000" },
    sagas: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "60" }
  }
})

const whole = (name: "kills" | "sagas" | "minutes"): number => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`--${name} has to be a whole number of at least 1, but is ${values[name]}`)
  }
  return value
}

const kills = whole("kills")
const sagas = whole("sagas")
const minutes = whole("minutes")
const rounds = Math.ceil(kills / 50)

const line = (figures: Figures, seconds: number): string =>
  `${String(Math.round(seconds)).padStart(5)} s  ${figures.kills} kills (${figures.hits} with bookings under way), ` +
  `${figures.sagas} sagas: lost ${figures.lost}, doubled ${figures.doubled}, open ${figures.open}`

const program = Effect.gen(function*() {
  const folder = mkdtempSync(join(tmpdir(), "effect-saga-chaos-"))
  const startedAt = yield* Clock.currentTimeMillis
  const seconds = Effect.map(Clock.currentTimeMillis, (now) => (now - startedAt) / 1000)

  const figures = yield* campaign({
    folder,
    rounds,
    sagas: Math.ceil(sagas / rounds),
    kills: Math.ceil(kills / rounds),
    seed: values.seed,
    onRound: (figures) => Effect.flatMap(seconds, (elapsed) => Console.log(line(figures, elapsed)))
  }).pipe(
    Effect.timeout(`${minutes} minutes`),
    Effect.tapCause(() => Console.log(`The files are kept in ${folder}`))
  )

  yield* Console.log(
    [
      "",
      `kills                ${figures.kills}, of which ${figures.hits} with bookings under way`,
      `starts               ${figures.starts}`,
      `sagas                ${figures.sagas}: ${figures.confirmed} confirmed, ${figures.undone} undone`,
      `recovered sagas      ${figures.recovered}`,
      `calls made again     ${figures.repeated}`,
      `lost                 ${figures.lost}`,
      `doubled              ${figures.doubled}`,
      `time                 ${Math.round(yield* seconds)} s, seed ${values.seed}`,
      ...figures.problems
    ].join("\n")
  )
  if (figures.problems.length === 0 && figures.kills >= kills) return rmSync(folder, { recursive: true })
  yield* Console.log(`The files are kept in ${folder}`)
  process.exitCode = 1
})

await Effect.runPromise(program)
