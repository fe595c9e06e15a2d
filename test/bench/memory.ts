import type { MemoryJob } from "./child.ts"
import type { Settings } from "./settings.ts"
import { measure } from "./spawn.ts"
import { decimal, integer, table } from "./table.ts"
import { type EffectVariant, effectVariants } from "./variants.ts"

export const memory = (settings: Settings): void => {
  const variants = Object.keys(effectVariants) as ReadonlyArray<EffectVariant>
  const inFlight = settings.quick ? 1000 : 10_000
  if (settings.selects("memory/in-flight")) {
    const rows = variants.flatMap((variant) =>
      linearity(settings, variant, inFlight, settings.quick ? [0, 10] : [0, 1, 10, 50])
    )
    console.log(
      `memory/in-flight: ${integer(inFlight)} at once, bytes of heap, medians of ${rounds(settings)} rounds\n${
        bytes(rows)
      }\n`
    )
  }
  if (settings.selects("memory/long")) {
    const rows = variants.flatMap((variant) =>
      linearity(settings, variant, 10, settings.quick ? [0, 1000] : [0, 1000, 10_000])
    )
    console.log(`memory/long: 10 at once, bytes of heap, medians of ${rounds(settings)} rounds\n${bytes(rows)}\n`)
  }
}

const rounds = (settings: Settings): number => settings.quick ? 1 : 3

interface Row {
  readonly variant: EffectVariant
  readonly steps: number
  readonly inFlight: number
  readonly perStep: number | undefined
  readonly perAddedStep: number | undefined
  readonly held: number
  readonly left: number
}

const linearity = (
  settings: Settings,
  variant: EffectVariant,
  sagas: number,
  sizes: ReadonlyArray<number>
): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  for (const steps of sizes) {
    const job: MemoryJob = { task: "memory", variant, kind: "service", sagas, steps, rounds: rounds(settings) }
    const { inFlight, left } = measure(job)
    const [empty, before] = [rows[0], rows[rows.length - 1]]
    rows.push({
      variant,
      steps,
      inFlight,
      perStep: empty === undefined ? undefined : (inFlight - empty.inFlight) / steps,
      perAddedStep: before === undefined ? undefined : (inFlight - before.inFlight) / (steps - before.steps),
      held: inFlight * sagas,
      left
    })
  }
  return rows
}

const bytes = (rows: ReadonlyArray<Row>): string =>
  table(
    ["", "open steps", "per saga", "per open step", "per added step", "all (MiB)", "left (MiB)"],
    rows.map((row, index) => [
      row.variant === rows[index - 1]?.variant ? "" : row.variant,
      integer(row.steps),
      integer(row.inFlight),
      row.perStep === undefined ? "" : decimal(row.perStep, 1),
      row.perAddedStep === undefined ? "" : decimal(row.perAddedStep, 1),
      decimal(row.held / 2 ** 20, 2),
      decimal(row.left / 2 ** 20, 2)
    ])
  )
