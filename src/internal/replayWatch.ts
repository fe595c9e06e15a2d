import * as Effect from "effect/Effect"
import type { Execution } from "./execution.ts"

/** Looks now and then whether replays that were not done at once have moved. */
export class ReplayWatch {
  private readonly stallMillis: number
  private readonly replaying = new Set<Execution>()
  private whenReplaying: (() => void) | undefined = undefined

  constructor(stallMillis: number) {
    this.stallMillis = stallMillis
  }

  add(execution: Execution): void {
    this.replaying.add(execution)
    this.whenReplaying?.()
  }

  readonly run: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(Effect.suspend(() =>
      this.replaying.size === 0
        ? Effect.callback<void>((resume) => {
          this.whenReplaying = () => resume(Effect.void)
        })
        : Effect.andThen(
          Effect.sleep(this.stallMillis),
          Effect.sync(() => {
            for (const execution of this.replaying) {
              if (execution.isReplaying && !execution.halted) execution.checkReplay()
              else this.replaying.delete(execution)
            }
          })
        )
    ))
  )
}
