import { Effect, Ref } from "effect"
import { Saga } from "effect-saga"

/** Keeps a line for each effect, in the order in which they took place. */
export const makeLedger = Effect.map(Ref.make<ReadonlyArray<string>>([]), (entries) => {
  const note = (line: string) => Ref.update(entries, (lines) => [...lines, line])
  return {
    lines: Ref.get(entries),
    note,
    /** A step that notes its name, succeeds with it, and notes `undo <name>` when it is compensated. */
    step: (name: string) => Saga.step(Effect.as(note(name), name), () => note(`undo ${name}`), { name })
  }
})
