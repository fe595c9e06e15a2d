import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { CurrentFrame, currentFrame, Frame, type ParallelGroup } from "./run.ts"

/** Puts an effect on the branch of this name. */
export type Branch = <A, E, R>(self: Effect.Effect<A, E, R>, key: string | number) => Effect.Effect<A, E, R>

/**
 * Opens a group of branches in the saga in force. Every branch has a frame of its own, so that its steps have paths of
 * their own; where compensation is parallel, the group unwinds branch by branch, side by side.
 */
export const withBranches = <A, E, R>(
  name: string,
  compensation: "sequential" | "parallel",
  use: (branch: Branch) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const around = currentFrame(Fiber.getCurrent()!.context)
    // Outside a saga there is nothing to group: the steps themselves refuse to start.
    if (around === undefined) return use((self) => self)
    const path = around.claimFrame(name)
    const group: ParallelGroup | undefined = compensation === "parallel" ? { _tag: "ParallelGroup" } : undefined
    if (group !== undefined) around.run.hasParallelGroups = true
    return use((self, key) =>
      Effect.suspend(() =>
        Effect.provideService(self, CurrentFrame, new Frame(around.run, around, `${path}[${key}]`, group))
      )
    )
  })
