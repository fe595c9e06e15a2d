import { parseArgs } from "node:util"

export interface Settings {
  readonly quick: boolean
  readonly rounds: number
  readonly runner: "promise" | "sync"
  /** Whether the section of this name was asked for. */
  readonly selects: (name: string) => boolean
}

/** Reads the command line. A wrong one throws a `RangeError` or a `TypeError`. */
export const parse = (args: ReadonlyArray<string>): Settings => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      sync: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string", multiple: true, default: [] }
    }
  })
  const rounds = values.rounds === undefined ? values.quick ? 1 : 5 : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(`--rounds has to be a whole number of at least 1, but is ${values.rounds}`)
  }
  const { only } = values
  return {
    quick: values.quick,
    rounds,
    runner: values.sync ? "sync" : "promise",
    selects: (name) => only.length === 0 || only.some((part) => name.includes(part))
  }
}
