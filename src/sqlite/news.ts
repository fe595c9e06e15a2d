import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Bell } from "../internal/bell.ts"
import type { Driver } from "./driver.ts"

/*
 * Wakes those who listen for what is written to a file.
 *
 * - What others commit changes `PRAGMA data_version`. It is looked at ten times a second while somebody listens, which
 *   takes a look at the memory that all who have the file open share. It does not count what this connection writes:
 *   whoever does that rings.
 * - Nothing is missed. The version that a look compares with was read before anybody began to listen since, so before they
 *   read the tables for the first time. A look that fails is made again, and compares with the same version. A commit of
 *   this connection between two looks does not hide what others have written before it.
 * - So no second bell is needed for the news: whoever waits for them and can't read the tables tries again. But an engine
 *   that could not read its requests looks at the next ring, so it is rung for now and then.
 */

const pause = "100 millis"

/* Between two rings for requests, in looks. */
const looksPerRing = 50

export interface Bells {
  /** Rings for those who wait for requests, */
  readonly requested: Bell
  /** and for those who wait for ends and answers. */
  readonly news: Bell
}

export const make = Effect.fnUntraced(function*(
  { call }: Driver
): Effect.fn.Return<Bells, never, Scope.Scope> {
  let begin: (() => void) | undefined
  const requested = new Bell(() => begin?.())
  const news = new Bell(() => begin?.())
  const heard = Effect.callback<void>((resume) => {
    if (requested.isHeard || news.isHeard) return resume(Effect.void)
    begin = () => resume(Effect.void)
  })

  // Where it can't be read, the first look rings.
  let seen = yield* Effect.orElseSucceed(call("dataVersion"), () => -1)
  let looks = 0
  const look = Effect.map(call("dataVersion"), (version) => {
    const isChanged = version !== seen
    seen = version
    if (isChanged) news.ring()
    if (isChanged || looks % looksPerRing === 0) requested.ring()
  })

  yield* heard.pipe(
    Effect.andThen(Effect.sleep(pause)),
    Effect.andThen(Effect.suspend(() => {
      looks += 1
      return Effect.exit(look)
    })),
    Effect.forever,
    Effect.forkScoped
  )
  return { requested, news }
})
