/*
 * A network between clients and a server, whose verbs are the faults of networks. Most of them concern one statement: the
 * next one whose text contains something, or the nth of them. The connection on which it passes is cut, or held,
 *
 * - before the request: the server has not heard of the statement;
 * - after the request: nobody knows how far the server is;
 * - before the reply: the server has executed the statement, and committed it if it was to, and the client does not know.
 */
import { Deferred, Effect, Redacted, type Scope } from "effect"
import * as net from "node:net"
import { type CutOptions, type Fault, join, type Network } from "./link.ts"
import { freePort } from "./port.ts"

export type { CutOptions } from "./link.ts"

/** Which statement: the first or the nth whose text contains this, or matches it. */
export type Target = string | RegExp | { readonly statement: string | RegExp; readonly nth: number }

/** A fault to come. */
export interface Aim {
  /** Returns once it has happened. */
  readonly happened: Effect.Effect<void>
}

export interface Hold extends Aim {
  /** Lets the connection go on, with whatever its two sides have sent meanwhile. */
  readonly release: Effect.Effect<void>
}

export interface Proxy {
  /** The address of the server, through the proxy. */
  readonly url: Redacted.Redacted
  readonly port: number
  /** How many connections there are. */
  readonly connections: Effect.Effect<number>
  /** The texts of all statements that clients have sent so far. */
  readonly statements: Effect.Effect<ReadonlyArray<string>>
  /** Resets all connections at once. */
  readonly cut: (options?: CutOptions) => Effect.Effect<void>
  /** Cuts a connection when clients have sent so many bytes more. The server gets these, be it half a message. */
  readonly cutAfterBytes: (count: number, options?: CutOptions) => Effect.Effect<Aim>
  readonly cutBeforeRequest: (target: Target, options?: CutOptions) => Effect.Effect<Aim>
  readonly cutAfterRequest: (target: Target, options?: CutOptions) => Effect.Effect<Aim>
  readonly cutBeforeReply: (target: Target, options?: CutOptions) => Effect.Effect<Aim>
  /** Keeps the request from the server, for which it may arrive late, even if the client has left. */
  readonly holdRequest: (target: Target) => Effect.Effect<Hold>
  /** Keeps the reply from the client. */
  readonly holdReply: (target: Target) => Effect.Effect<Hold>
  /** Lets nothing pass in either direction, on old and new connections. */
  readonly freeze: Effect.Effect<void>
  /** Lets everything pass again. Nothing is lost. */
  readonly thaw: Effect.Effect<void>
  /** Refuses new connections. */
  readonly refuse: Effect.Effect<void>
  /** Accepts them again. */
  readonly accept: Effect.Effect<void>
}

const matcherOf = (target: Target): (text: string) => boolean => {
  const { nth, statement } = typeof target === "string" || target instanceof RegExp
    ? { nth: 1, statement: target }
    : target
  let left = nth
  return (text) =>
    (typeof statement === "string" ? text.includes(statement) : text.search(statement) !== -1) && --left === 0
}

/** Opens a proxy to a server, on a port of its own, until the scope closes. */
export const open = Effect.fnUntraced(function*(
  serverUrl: Redacted.Redacted
): Effect.fn.Return<Proxy, never, Scope.Scope> {
  const port = yield* freePort
  const url = new URL(Redacted.value(serverUrl))
  const to = { host: url.hostname, port: Number(url.port || 5432), noDelay: true }

  const sockets = new Set<net.Socket>()
  let frozen = false
  let entrance: net.Server | undefined

  const keep = (socket: net.Socket): net.Socket => {
    sockets.add(socket)
    // What matters is that it closes, which another event tells.
    return socket.on("error", () => {}).on("close", () => sockets.delete(socket))
  }

  const network: Network = {
    links: new Set(),
    faults: new Set(),
    statements: [],
    limit: undefined,
    refuse: () => {
      entrance?.close()
      entrance = undefined
    }
  }

  const accept = Effect.callback<void>((resume) => {
    if (entrance !== undefined) return resume(Effect.void)
    entrance = net.createServer({ noDelay: true }, (client) => {
      const link = join(network, keep(client), keep(net.connect(to)))
      network.links.add(link)
      if (frozen) link.freeze()
    })
    entrance.once("error", (error) => resume(Effect.die(error)))
    entrance.listen(port, "127.0.0.1", () => resume(Effect.void))
  })

  const everyLink = (verb: "freeze" | "thaw") =>
    Effect.sync(() => {
      frozen = verb === "freeze"
      for (const link of network.links) link[verb]()
    })

  const aim = (target: Target, at: Fault["at"], cut: CutOptions | undefined): Effect.Effect<Hold> =>
    Effect.sync(() => {
      const happened = Deferred.makeUnsafe<void>()
      const fault: Fault = { at, matches: matcherOf(target), cut, happened, release: () => {} }
      network.faults.add(fault)
      return {
        happened: Deferred.await(happened),
        release: Effect.andThen(Deferred.await(happened), Effect.sync(() => fault.release()))
      }
    })

  yield* Effect.acquireRelease(accept, () =>
    Effect.sync(() => {
      network.refuse()
      for (const socket of sockets) socket.destroy()
    }))

  url.hostname = "127.0.0.1"
  url.port = String(port)
  return {
    url: Redacted.make(url.href),
    port,
    connections: Effect.sync(() => network.links.size),
    statements: Effect.sync(() => [...network.statements]),
    cut: (options = {}) =>
      Effect.sync(() => {
        for (const link of network.links) link.cut(options)
      }),
    cutAfterBytes: (count, cut = {}) =>
      Effect.sync(() => {
        const happened = Deferred.makeUnsafe<void>()
        network.limit = { left: count, cut, happened }
        return { happened: Deferred.await(happened) }
      }),
    cutBeforeRequest: (target, options = {}) => aim(target, "before request", options),
    cutAfterRequest: (target, options = {}) => aim(target, "after request", options),
    cutBeforeReply: (target, options = {}) => aim(target, "before reply", options),
    holdRequest: (target) => aim(target, "before request", undefined),
    holdReply: (target) => aim(target, "before reply", undefined),
    freeze: everyLink("freeze"),
    thaw: everyLink("thaw"),
    refuse: Effect.sync(network.refuse),
    accept
  }
})
