/** What the benchmarks compute from their samples. */

export const median = (values: ReadonlyArray<number>): number => {
  if (values.length === 0) throw new RangeError("median: there is no value")
  const sorted = values.toSorted((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How many times `baseline` the samples are, round by round. */
export interface Ratio {
  readonly median: number
  readonly min: number
  readonly max: number
}

/*
 * A machine gets slower and faster while a benchmark runs. What was measured in one round was measured side by side, so
 * the ratio is taken within each round and only then over all of them.
 */
export const ratio = (samples: ReadonlyArray<number>, baseline: ReadonlyArray<number>): Ratio => {
  if (samples.length !== baseline.length) throw new RangeError("ratio: both have to have one sample in each round")
  const ratios = samples.map((sample, round) => sample / baseline[round]!)
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
}

/** The value that this part of all values does not exceed: 0.99 for the 99th percentile. */
export const quantile = (values: ReadonlyArray<number>, part: number): number => {
  if (values.length === 0) throw new RangeError("quantile: there is no value")
  const sorted = Float64Array.from(values).toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}
