import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

/** Tells on standard error how far long work has come. */
export interface Progress {
  /** Shows a line in place of the last one, or now and then a line more where that is no terminal. */
  readonly show: (line: string) => Effect.Effect<void>
  /** Takes the line away, where it can be. */
  readonly clear: Effect.Effect<void>
}

/* How often lines are shown, in milliseconds. */
const onTerminal = 100
const elsewhere = 5000

const eraseLine = "\r\u001b[2K"

/** For one piece of work, which begins now. */
export const make: Effect.Effect<Progress, never, Stdio.Stdio> = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  const isTerminal = yield* stdio.stderrIsTerminal
  const interval = isTerminal ? onTerminal : elsewhere
  // Nobody has to read what it says.
  const write = (text: string) => Effect.ignore(Stream.run(Stream.succeed(text), stdio.stderr({ endOnDone: false })))
  let next = (yield* Clock.currentTimeMillis) + interval
  let isShown = false
  return {
    show: Effect.fnUntraced(function*(line) {
      const now = yield* Clock.currentTimeMillis
      if (now < next) return
      next = now + interval
      isShown = isTerminal
      yield* write(isTerminal ? `${eraseLine}${line}` : `${line}\n`)
    }),
    clear: Effect.suspend(() => isShown ? write(eraseLine) : Effect.void)
  }
})
