import { type Kind, kinds } from "./actions.ts"
import type { TimeJob } from "./child.ts"
import type { Settings } from "./settings.ts"
import { measure } from "./spawn.ts"
import { median, ratio } from "./statistics.ts"
import { decimal, integer, table } from "./table.ts"
import { effectVariants, promiseVariants, type Variant } from "./variants.ts"

const goals = { ratio: 1.4, growth: 1.2 }

/** Times of one kind of steps and one end: nanoseconds per saga, by variant, size and round. */
interface Measured {
  readonly kind: Kind
  readonly fails: boolean
  readonly sizes: ReadonlyArray<number>
  readonly samples: ReadonlyMap<Variant, ReadonlyArray<ReadonlyArray<number>>>
}

export const time = (settings: Settings): void => {
  const measured: Array<Measured> = []
  for (const kind of settings.runner === "sync" ? kinds.filter((kind) => kind !== "async") : kinds) {
    for (const fails of [false, true]) {
      const name = `time/${kind}/${fails ? "failure" : "success"}`
      if (!settings.selects(name)) continue
      const result = measureKind(settings, kind, fails)
      measured.push(result)
      console.log(`${name}\n${ratios(settings, result)}\n`)
    }
  }
  if (measured.length > 0) console.log(`time per step in nanoseconds\n${perStep(settings, measured)}\n`)
}

const measureKind = (settings: Settings, kind: Kind, fails: boolean): Measured => {
  const effects = Object.keys(effectVariants) as ReadonlyArray<Variant>
  const promises = Object.keys(promiseVariants) as ReadonlyArray<Variant>
  const variants: ReadonlyArray<Variant> = kind !== "service"
    ? ["plain", "saga", "floor"]
    : settings.runner === "sync"
    ? effects
    : [...effects, ...promises]
  const sizes = settings.quick ? [3, 10, 100] : [3, 10, 100, 10_000]
  const samples = new Map<Variant, ReadonlyArray<Array<number>>>(
    variants.map((variant) => [variant, sizes.map(() => [])])
  )
  for (let round = 0; round < settings.rounds; round++) {
    for (const variant of variants) {
      const job: TimeJob = {
        task: "time",
        variant,
        kind,
        fails,
        runner: settings.runner,
        sizes,
        ...(settings.quick
          ? { warmUp: 30, warmUpEach: 5, measure: 10 }
          : { warmUp: 400, warmUpEach: 70, measure: 120 })
      }
      measure(job).forEach((nanoseconds, index) => samples.get(variant)![index]!.push(nanoseconds))
    }
  }
  return { kind, fails, sizes, samples }
}

const ratios = (settings: Settings, { fails, samples, sizes }: Measured): string => {
  const others = Array.from(samples.keys()).filter((variant) => variant !== "plain" && variant !== "saga")
  return table(
    ["steps", "plain", "saga", "min-max", "goal", "", ...others],
    sizes.map((size, index) => {
      const baseline = samples.get("plain")![index]!
      const saga = ratio(samples.get("saga")![index]!, baseline)
      const hasGoal = fails || size === 10
      return [
        integer(size),
        `${decimal(median(baseline) / 1000, 2)} µs`,
        times(saga.median),
        settings.rounds === 1 ? "" : `${decimal(saga.min, 2)}-${decimal(saga.max, 2)}`,
        hasGoal ? `<= ${times(goals.ratio)}` : "",
        hasGoal ? verdict(settings, saga.median <= goals.ratio) : "",
        ...others.map((variant) => times(ratio(samples.get(variant)![index]!, baseline).median))
      ]
    })
  )
}

const perStep = (settings: Settings, measured: ReadonlyArray<Measured>): string => {
  const sizes = measured[0]!.sizes
  const shown = sizes.filter((size) => size >= 10)
  const [first, last] = [shown[0]!, shown[shown.length - 1]!]
  const names = shown.map(integer)
  const growth = `${integer(last)}/${integer(first)}`
  return table(
    ["", ...names.map((name) => `plain ${name}`), growth, ...names.map((name) => `saga ${name}`), growth, "goal", ""],
    measured.map(({ fails, kind, samples }) => {
      const columns = (["plain", "saga"] as const).map((variant) => {
        const steps = shown.map((size) => median(samples.get(variant)![sizes.indexOf(size)]!) / size)
        return { cells: steps.map(integer), growth: steps[steps.length - 1]! / steps[0]! }
      })
      const saga = columns[1]!
      return [
        `${kind}/${fails ? "failure" : "success"}`,
        ...columns.flatMap((column) => [...column.cells, times(column.growth)]),
        `<= ${times(goals.growth)}`,
        verdict(settings, saga.growth <= goals.growth)
      ]
    })
  )
}

const times = (value: number): string => `${decimal(value, 2)}x`

/* A quick run measures code that is not optimised yet. */
const verdict = (settings: Settings, met: boolean): string => settings.quick ? "" : met ? "met" : "missed"
