import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { createServer } from "node:net"

const isFree = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/**
 * A port on which nobody listens. It lies below those that a system hands out by itself, so that nobody takes it while
 * its owner is down for a while.
 */
export const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const port = 15_000 + randomBytes(2).readUInt16BE() % 15_000
  return Effect.flatMap(isFree(port), (free) => free ? Effect.succeed(port) : freePort)
})
