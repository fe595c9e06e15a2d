/*
 * Connections to a server for which this thread waits: a statement that is sent has been answered when the call returns. To
 * those who test with a clock of their own, a database is then like a file: no time passes, and nothing else runs, while it
 * is used. What the server says unasked (notifications, and that it has closed a connection) comes later, as ever.
 */
import { EventEmitter } from "node:events"
import type { Duplex } from "node:stream"
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads"
import type { Order, Report } from "./syncSocketWorker.ts"

/* How long a server may take to answer, in milliseconds. */
const patience = 20_000

class Network {
  private readonly reports = new Int32Array(new SharedArrayBuffer(4))
  private readonly port: MessagePort
  private readonly sockets = new Map<number, SyncSocket>()
  /** What came in for others while somebody waited. */
  private later: Array<Report> = []
  private lastId = 0

  constructor() {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(new URL("syncSocketWorker.ts", import.meta.url), {
      workerData: { port: port2, reports: this.reports.buffer },
      transferList: [port2],
      execArgv: []
    })
    this.port = port1.on("message", (report: Report) => this.deliver(report))
    port1.unref()
    worker.unref()
  }

  open(socket: SyncSocket): number {
    this.sockets.set(++this.lastId, socket)
    return this.lastId
  }

  close(id: number): void {
    this.sockets.delete(id)
  }

  order(order: Order): void {
    this.port.postMessage(order, [])
  }

  /** Waits until the server waits for this connection, or has closed it. */
  wait(id: number): void {
    const own = this.later.filter((report) => report.id === id)
    this.later = this.later.filter((report) => report.id !== id)
    for (const report of own) this.deliver(report)
    while (true) {
      const seen = Atomics.load(this.reports, 0)
      const received: { readonly message: Report } | undefined = receiveMessageOnPort(this.port)
      if (received === undefined) {
        if (Atomics.wait(this.reports, 0, seen, patience) === "timed-out") throw new Error("The server does not answer")
        continue
      }
      const report = received.message
      if (report.id !== id) {
        if (this.later.push(report) === 1) setImmediate(() => this.flush())
        continue
      }
      this.deliver(report)
      if (report._tag === "Closed" || report.isTurn) return
    }
  }

  private flush(): void {
    for (const report of this.later.splice(0)) this.deliver(report)
  }

  private deliver(report: Report): void {
    this.sockets.get(report.id)?.receive(report)
  }
}

let network: Network | undefined

/* As much of a socket as a client of PostgreSQL uses. */
class SyncSocket extends EventEmitter {
  private readonly id: number
  private readonly network: Network
  private paused: Array<Uint8Array> | undefined
  writable = true

  constructor(network: Network, host: string, port: number) {
    super()
    this.network = network
    this.id = network.open(this)
    network.order({ _tag: "Connect", id: this.id, host, port })
  }

  write(bytes: Uint8Array): boolean {
    if (!this.writable) return false
    this.network.order({ _tag: "Write", id: this.id, bytes: new Uint8Array(bytes) })
    this.network.wait(this.id)
    return true
  }

  end(bytes: Uint8Array): void {
    if (this.writable) this.network.order({ _tag: "Write", id: this.id, bytes: new Uint8Array(bytes) })
    this.destroy()
  }

  destroy(): void {
    if (!this.writable) return
    this.writable = false
    this.network.close(this.id)
    this.network.order({ _tag: "End", id: this.id })
  }

  pause(): void {
    this.paused ??= []
  }

  resume(): void {
    const { paused } = this
    this.paused = undefined
    for (const bytes of paused ?? []) this.emit("data", Buffer.from(bytes))
  }

  receive(report: Report): void {
    if (report._tag === "Data") {
      if (this.paused === undefined) this.emit("data", Buffer.from(report.bytes))
      else this.paused.push(report.bytes)
      return
    }
    this.writable = false
    if (report.error !== undefined) this.emit("error", report.error)
    this.emit("close")
  }
}

/** The connections of one client. */
export interface Sockets {
  readonly open: () => Duplex
  /** Ends them all, as the end of a process does. */
  readonly sever: () => void
}

/** Makes connections to a server for one client. */
export const makeSockets = (host: string, port: number): Sockets => {
  const sockets = new Set<SyncSocket>()
  return {
    open: () => {
      const socket = new SyncSocket(network ??= new Network(), host, port)
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
      // A client of PostgreSQL uses no more of a socket than there is.
      return socket as unknown as Duplex
    },
    sever: () => {
      for (const socket of sockets) {
        socket.destroy()
        socket.emit("close")
      }
    }
  }
}
