import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { Bell } from "../internal/bell.ts"
import { open, type Session } from "./session.ts"
import type { Settings } from "./settings.ts"

/*
 * Wakes those who listen for what is written to a store, by notifications of the server on a connection of its own.
 *
 * - A bell that nobody hears is not listened for. One that was heard once is, as long as the connection lives.
 * - While there is no connection nothing is heard, so each new one rings. And all bells ring now and then, for what is lost
 *   without anybody noticing: a notification does not survive a crash of the server.
 */

export interface Bells {
  /** Rings for those who wait for requests, */
  readonly requested: Bell
  /** and for those who wait for ends and answers. */
  readonly news: Bell
}

/** The channels of a store. The name of a schema leaves room in theirs. */
export const channels = ({ schema }: Settings): { readonly [Name in keyof Bells]: string } => ({
  requested: `${schema}/requested`,
  news: `${schema}/news`
})

/* After a connection has ended, or could not be had. */
const pause = "500 millis"

/** Bells that ring until the scope closes. */
export const make = Effect.fnUntraced(function*(settings: Settings): Effect.fn.Return<Bells, never, Scope.Scope> {
  const requested = makeHeard()
  const news = makeHeard()
  const names = channels(settings)

  const relay = Effect.fnUntraced(function*(
    { bell, heard }: Heard,
    channel: string,
    listen: Effect.Success<Session["listener"]>
  ) {
    yield* heard
    const notifications = yield* listen(channel)
    bell.ring()
    return yield* Effect.forever(Effect.andThen(Queue.takeAll(notifications), Effect.sync(() => bell.ring())))
  })

  const listen = Effect.gen(function*() {
    yield* Effect.raceFirst(requested.heard, news.heard)
    const session = yield* open(settings)
    const listen = yield* session.listener
    return yield* Effect.raceFirst(relay(requested, names.requested, listen), relay(news, names.news, listen))
  })
  yield* Effect.scoped(listen).pipe(
    // Whoever can't do without the store finds out by itself.
    Effect.exit,
    Effect.andThen(Effect.sleep(pause)),
    Effect.forever,
    Effect.forkScoped
  )

  for (const [{ bell }, interval] of [[requested, "1 second"], [news, "5 seconds"]] as const) {
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.sync(() => bell.ring()), interval)))
  }
  return { requested: requested.bell, news: news.bell }
})

interface Heard {
  readonly bell: Bell
  /** Waits until somebody hears it. */
  readonly heard: Effect.Effect<void>
}

const makeHeard = (): Heard => {
  let begin: (() => void) | undefined
  const bell = new Bell(() => begin?.())
  return {
    bell,
    heard: Effect.callback<void>((resume) => {
      if (bell.isHeard) return resume(Effect.void)
      begin = () => resume(Effect.void)
    })
  }
}
