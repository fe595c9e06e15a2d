/* One connection through a proxy, and the faults that wait for its statements. */
import { Deferred, Effect } from "effect"
import type { Socket } from "node:net"
import {
  asksForEncryption,
  endsGroup,
  isReady,
  makeAnswers,
  makeRequestReader,
  makeSplitter,
  type Message,
  type Request
} from "./wire.ts"

export interface CutOptions {
  /** Refuses new connections from the moment of the cut on. */
  readonly refuse?: boolean
  /** The server does not notice: its session stays, with its locks, until the proxy closes. */
  readonly unnoticed?: boolean
}

/** A fault that waits for its statement. */
export interface Fault {
  readonly at: "before request" | "after request" | "before reply"
  readonly matches: (text: string) => boolean
  /** `undefined` for a fault that holds the connection. */
  readonly cut: CutOptions | undefined
  readonly happened: Deferred.Deferred<void>
  /** Lets a connection go on that is held. */
  release: () => void
}

/** What all connections of a proxy share. */
export interface Network {
  readonly links: Set<Link>
  readonly faults: Set<Fault>
  /** The texts of all statements so far. */
  readonly statements: Array<string>
  /** How many bytes may still come from clients, and what happens then. */
  limit: { left: number; readonly cut: CutOptions; readonly happened: Deferred.Deferred<void> } | undefined
  readonly refuse: () => void
}

/** A connection. */
export interface Link {
  readonly cut: (options: CutOptions) => void
  readonly freeze: () => void
  readonly thaw: () => void
}

const happen = (happened: Deferred.Deferred<void>): void => {
  Deferred.doneUnsafe(happened, Effect.void)
}

/* The fault that has waited for this statement. */
const faultOf = (network: Network, text: string): Fault | undefined => {
  network.statements.push(text)
  // Each of them counts, also when another one is first.
  const [fault] = [...network.faults].filter(({ matches }) => matches(text))
  if (fault !== undefined) network.faults.delete(fault)
  return fault
}

/** Joins the two sides of a connection. */
export const join = (network: Network, client: Socket, server: Socket): Link => {
  const requests = makeSplitter("client")
  const replies = makeSplitter("server")
  const read = makeRequestReader()
  const answers = makeAnswers<Fault | undefined>()

  /* Requests wait here, until a fault is released or for good. */
  let requestsWait = false
  /* The cut whose statement has passed, in a group that has not passed wholly. */
  let pendingCut: Fault | undefined
  /* The fault of the reply that arrives, with what is kept of it. */
  let withheld: { readonly fault: Fault; readonly kept: Array<Buffer> } | undefined
  let clientLeft = false
  let serverLeft = false

  const cut = (options: CutOptions) => {
    if (options.refuse === true) network.refuse()
    network.links.delete(link)
    requestsWait = true
    client.resetAndDestroy()
    server.removeAllListeners("data").resume()
    // What has been passed on still reaches the server.
    if (options.unnoticed !== true) server.end()
  }

  const nextRequest = () => requestsWait ? undefined : requests.next()

  const passRequest = (message: Message, request: Request, fault?: Fault) => {
    answers.asked(request, fault)
    server.write(message.bytes)
    if (fault?.cut !== undefined) pendingCut = fault
    if (pendingCut?.cut === undefined || !endsGroup(request)) return
    // The server gets nothing that comes later.
    requestsWait = true
    if (pendingCut.at === "after request") {
      cut(pendingCut.cut)
      happen(pendingCut.happened)
    }
  }

  const holdBack = (message: Message, request: Request, fault: Fault) => {
    requestsWait = true
    fault.release = () => {
      requestsWait = false
      passRequest(message, request)
      passRequests()
    }
    if (fault.cut !== undefined) cut(fault.cut)
    happen(fault.happened)
  }

  const passRequests = () => {
    for (let message = nextRequest(); message !== undefined; message = nextRequest()) {
      if (asksForEncryption(message)) {
        client.write("N")
        continue
      }
      const request = read(message)
      const fault = request._tag === "Statement" ? faultOf(network, request.text) : undefined
      if (fault?.at === "before request") holdBack(message, request, fault)
      else passRequest(message, request, fault)
    }
    if (clientLeft && !requestsWait) server.end()
  }

  const withhold = (fault: Fault) => {
    const kept: Array<Buffer> = []
    withheld = { fault, kept }
    fault.release = () => {
      withheld = undefined
      client.write(Buffer.concat(kept))
      if (serverLeft) client.end()
    }
  }

  const passReply = (message: Message) => {
    const fault = answers.answered(message).find((fault) => fault?.at === "before reply")
    if (fault !== undefined && withheld === undefined) withhold(fault)
    if (withheld === undefined) {
      client.write(message.bytes)
      return
    }
    withheld.kept.push(message.bytes)
    if (!isReady(message)) return
    if (withheld.fault.cut !== undefined) cut(withheld.fault.cut)
    happen(withheld.fault.happened)
  }

  client.on("data", (chunk: Buffer) => {
    const { limit } = network
    if (limit !== undefined && limit.left <= chunk.length) {
      network.limit = undefined
      server.write(Buffer.concat([requests.rest(), chunk.subarray(0, limit.left)]))
      cut(limit.cut)
      happen(limit.happened)
      return
    }
    if (limit !== undefined) limit.left -= chunk.length
    requests.push(chunk)
    passRequests()
  })
  server.on("data", (chunk: Buffer) => {
    replies.push(chunk)
    for (let message = replies.next(); message !== undefined; message = replies.next()) passReply(message)
  })
  client.on("close", () => {
    clientLeft = true
    network.links.delete(link)
    if (!requestsWait) server.end()
  })
  server.on("close", (failed) => {
    serverLeft = true
    if (failed) client.resetAndDestroy()
    // The client still gets a reply that is only held.
    else if (withheld === undefined || withheld.fault.cut !== undefined) client.end()
  })

  const link: Link = {
    cut,
    freeze: () => {
      client.pause()
      server.pause()
    },
    thaw: () => {
      client.resume()
      server.resume()
    }
  }
  return link
}
