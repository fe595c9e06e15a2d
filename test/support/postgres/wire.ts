/*
 * As much of PostgreSQL's protocol as it takes to see which statements pass, and when each has been answered. What a client
 * sends is a list of statements, in groups that end with a `Sync`: the server answers each statement, and each group with
 * `ReadyForQuery`. Only then has a group that is a transaction of its own been committed.
 */

/** A message: its type (empty for the first ones of a client, which have none) and all its bytes. */
export interface Message {
  readonly type: string
  readonly bytes: Buffer
}

/** Cuts what arrives into messages. */
export interface Splitter {
  readonly push: (chunk: Buffer) => void
  /** The next message that has arrived wholly. */
  readonly next: () => Message | undefined
  /** The bytes of which nobody has taken a message. */
  readonly rest: () => Buffer
}

/** A splitter for one direction of a connection. Only what a client sends starts with messages without a type. */
export const makeSplitter = (from: "client" | "server"): Splitter => {
  let typed = from === "server"
  let buffer = Buffer.alloc(0)
  let chunks: Array<Buffer> = []
  let size = 0
  const join = () => {
    if (chunks.length > 0) buffer = Buffer.concat([buffer, ...chunks])
    chunks = []
  }
  return {
    push: (chunk) => {
      chunks.push(chunk)
      size += chunk.length
    },
    next: () => {
      const start = typed ? 1 : 0
      if (size < start + 4) return undefined
      if (buffer.length < start + 4) join()
      const length = start + buffer.readUInt32BE(start)
      if (size < length) return undefined
      join()
      const bytes = buffer.subarray(0, length)
      buffer = buffer.subarray(length)
      size -= length
      const type = typed ? String.fromCharCode(bytes[0]!) : ""
      // Version 3 of the protocol: the start. What has another number there asks for encryption, or to cancel.
      if (!typed) typed = bytes.readUInt16BE(4) === 3
      return { type, bytes }
    },
    rest: () => {
      join()
      return buffer
    }
  }
}

/** Whether a client asks for encryption before it starts. */
export const asksForEncryption = ({ bytes, type }: Message): boolean =>
  type === "" && bytes.length === 8 && [80_877_103, 80_877_104].includes(bytes.readUInt32BE(4))

/** What a message of a client means to those who follow its statements. */
export type Request =
  | { readonly _tag: "Statement"; readonly text: string; readonly endsGroup: boolean }
  | { readonly _tag: "GroupEnd" }
  | { readonly _tag: "Other" }

/** Whether the server answers with `ReadyForQuery`. */
export const endsGroup = (request: Request): boolean =>
  request._tag === "GroupEnd" || (request._tag === "Statement" && request.endsGroup)

/** Whether a message of the server is `ReadyForQuery`. */
export const isReady = ({ type }: Message): boolean => type === "Z"

/* Texts that end with a zero byte. */
const textsOf = (bytes: Buffer, count: number): ReadonlyArray<string> => bytes.toString("utf8", 5).split("\0", count)

const other: Request = { _tag: "Other" }

/**
 * Reads the messages of one client. A statement comes with its text (`Query`), or is prepared (`Parse`), bound to values
 * (`Bind`) and executed (`Execute`) by names, of which the reader keeps track.
 */
export const makeRequestReader = (): (message: Message) => Request => {
  const statements = new Map<string, string>()
  const portals = new Map<string, string>()
  return ({ bytes, type }) => {
    switch (type) {
      case "Q":
        return { _tag: "Statement", text: textsOf(bytes, 1)[0]!, endsGroup: true }
      case "P": {
        const [name, text] = textsOf(bytes, 2)
        statements.set(name!, text!)
        return other
      }
      case "B": {
        const [portal, name] = textsOf(bytes, 2)
        portals.set(portal!, statements.get(name!) ?? "")
        return other
      }
      case "E":
        return { _tag: "Statement", text: portals.get(textsOf(bytes, 1)[0]!) ?? "", endsGroup: false }
      case "F":
        return { _tag: "Statement", text: "", endsGroup: true }
      case "S":
        return { _tag: "GroupEnd" }
      default:
        return other
    }
  }
}

/** Follows which statements of a connection have been answered, with a value of type `A` for each. */
export interface Answers<A> {
  readonly asked: (request: Request, value: A) => void
  /** Takes a message of the server into account, and returns the values of the statements that it answers, if any. */
  readonly answered: (message: Message) => ReadonlyArray<A>
}

/** Follows the answers on one connection. */
export const makeAnswers = <A>(): Answers<A> => {
  const pending: Array<{ readonly value: A } | "group end"> = []
  const restOfGroup = () => {
    const end = pending.indexOf("group end")
    return end === -1 ? pending.length : end
  }
  const valuesOf = (entries: typeof pending) => entries.flatMap((entry) => entry === "group end" ? [] : [entry.value])
  return {
    asked: (request, value) => {
      if (request._tag === "Statement") pending.push({ value })
      if (endsGroup(request)) pending.push("group end")
    },
    answered: (message) => {
      const { type } = message
      if (isReady(message)) return valuesOf(pending.splice(0, restOfGroup() + 1))
      // ErrorResponse: the server does not execute the rest of the group.
      if (type === "E") return valuesOf(pending.splice(0, restOfGroup()))
      const first = pending.slice(0, 1)
      // CommandComplete, EmptyQueryResponse, PortalSuspended, FunctionCallResponse
      if ("CIsV".includes(type) && restOfGroup() > 0) pending.shift()
      return valuesOf(first)
    }
  }
}
