import { Effect } from "effect"
import { Saga } from "effect-saga"

/** Keeps a line for each effect, in the order in which they took place. `lines` grows as they do. */
export const makeLedgerUnsafe = () => {
  const lines: Array<string> = []
  const note = (line: string) =>
    Effect.sync(() => {
      lines.push(line)
    })
  return {
    lines,
    note,
    /** A step that notes its name, and notes `undo <name>` when it is compensated. */
    step: (name: string) => Saga.step(note(name), () => note(`undo ${name}`), { name })
  }
}

/** As `makeLedgerUnsafe`, with the lines so far as an effect, and with steps that succeed with their name. */
export const makeLedger = Effect.sync(() => {
  const { lines, note, step } = makeLedgerUnsafe()
  return {
    lines: Effect.sync((): ReadonlyArray<string> => [...lines]),
    note,
    step: (name: string) => Effect.as(step(name), name)
  }
})
