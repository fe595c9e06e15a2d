/* The network of `syncSocket.ts`, in a thread that runs while the other one waits. */
import { connect, type Socket } from "node:net"
import { type MessagePort, workerData } from "node:worker_threads"
import { makeSplitter } from "./wire.ts"

export type Order =
  | { readonly _tag: "Connect"; readonly id: number; readonly host: string; readonly port: number }
  | { readonly _tag: "Write"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly _tag: "End"; readonly id: number }

export type Report =
  /** Bytes of whole messages. With `isTurn`, the server waits for the client now. */
  | { readonly _tag: "Data"; readonly id: number; readonly bytes: Uint8Array; readonly isTurn: boolean }
  | { readonly _tag: "Closed"; readonly id: number; readonly error: Error | undefined }

const sockets = new Map<number, Socket>()
const { port, reports: counter } = workerData as { readonly port: MessagePort; readonly reports: SharedArrayBuffer }
const reports = new Int32Array(counter)

const report = (report: Report): void => {
  port.postMessage(report)
  Atomics.add(reports, 0, 1)
  Atomics.notify(reports, 0)
}

/* Ready for a query, an error while the session begins, or the next question of an authentication. */
const isTurn = (type: string, bytes: Buffer, isReady: boolean): boolean =>
  type === "Z" || (type === "E" && !isReady) || (type === "R" && ![0, 12].includes(bytes.readInt32BE(5)))

const open = (id: number, host: string, port: number): void => {
  const socket = connect({ host, port, noDelay: true })
  const messages = makeSplitter("server")
  let isReady = false
  let error: Error | undefined
  sockets.set(id, socket)
  socket.on("data", (chunk: Buffer) => {
    messages.push(chunk)
    const whole: Array<Buffer> = []
    let turn = false
    for (let message = messages.next(); message !== undefined; message = messages.next()) {
      whole.push(message.bytes)
      turn ||= isTurn(message.type, message.bytes, isReady)
      isReady ||= message.type === "Z"
    }
    if (whole.length > 0) report({ _tag: "Data", id, bytes: new Uint8Array(Buffer.concat(whole)), isTurn: turn })
  })
  socket.on("error", (cause) => {
    error = cause
  })
  socket.on("close", () => {
    sockets.delete(id)
    report({ _tag: "Closed", id, error })
  })
}

port.on("message", (order: Order) => {
  switch (order._tag) {
    case "Connect":
      return open(order.id, order.host, order.port)
    case "Write":
      return sockets.get(order.id)?.write(order.bytes)
    case "End":
      return sockets.get(order.id)?.end()
  }
})
