/**
 * How a store of journals fails.
 *
 * There is one error, `SagaStoreError`, whose `reason` says what is wrong and whose message says what to do. A store that
 * fails never undoes a saga: executions stop where their journal stands, and go on from there when the cause is gone.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Another engine owns the store. `owner` names it: host, process and what it calls itself.
 *
 * @category errors
 * @since 0.1.0
 */
export class Owned extends Schema.TaggedError<Owned>("effect-saga/SagaStoreError/Owned")("Owned", {
  store: Schema.String,
  owner: Schema.String,
  /** Milliseconds since the epoch. */
  since: Schema.Number
}) {
  override get message(): string {
    return `${this.store} is owned by ${this.owner} since ${new Date(this.since).toISOString()}. ` +
      `Stop that process, give this engine a store of its own, or let it wait with SagaEngine.layer({ standby: true }).`
  }
}

/**
 * Another engine took the store over, because this one had given no sign of life for longer than its lease. Nothing that
 * this engine had not written by then can be written any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class OwnershipLost
  extends Schema.TaggedError<OwnershipLost>("effect-saga/SagaStoreError/OwnershipLost")("OwnershipLost", {
    store: Schema.String,
    owner: Schema.String
  })
{
  override get message(): string {
    return `${this.store} was taken over by ${this.owner}, which runs its executions now. ` +
      `This engine has stopped; nothing is lost. Was its process paused, or its event loop blocked?`
  }
}

/**
 * The store could not be read or written for now: it is locked, full or read-only, its server is away, or input and output
 * failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable
  extends Schema.TaggedError<Unavailable>("effect-saga/SagaStoreError/Unavailable")("Unavailable", {
    store: Schema.String,
    problem: Schema.Literals([
      "busy",
      "full",
      "read-only",
      "input-output",
      "can't be opened",
      "missing",
      "can't be reached",
      "closed"
    ]),
    cause: Schema.Defect()
  })
{
  override get message(): string {
    return `${this.store} is not available: ${explanations[this.problem]}`
  }
}

const explanations = {
  busy: "another program holds its lock. Executions wait, and go on when the lock is free.",
  full: "the disk is full. Executions wait, and go on when there is room.",
  "read-only":
    "it can't be written. Check the rights of the file and of its folder, as files are made beside it; or, where " +
    "it is on a server, whether that is a standby, or is set to be read only.",
  "input-output": "reading or writing failed. Executions wait, and go on when it works again.",
  "can't be opened": "the file can't be opened or created. Check that its folder exists, and its rights.",
  missing: "there is no such file. Check the path, or start the service that makes it.",
  "can't be reached":
    "its server does not answer, takes no more connections, or has ended this one. Executions wait, and go on when it is back.",
  closed: "it was closed."
}

/**
 * The server does not let this client in, or not do what a store needs. `detail` says what is missing, and how to give it.
 *
 * @category errors
 * @since 0.1.0
 */
export class AccessDenied
  extends Schema.TaggedError<AccessDenied>("effect-saga/SagaStoreError/AccessDenied")("AccessDenied", {
    store: Schema.String,
    missing: Schema.Literals(["password", "user", "database", "right", "encryption"]),
    detail: Schema.String
  })
{
  override get message(): string {
    return `${this.store} can't be used: ${this.detail}`
  }
}

/**
 * What is stored can't be read: the file is damaged, or is no database at all.
 *
 * @category errors
 * @since 0.1.0
 */
export class Corrupt extends Schema.TaggedError<Corrupt>("effect-saga/SagaStoreError/Corrupt")("Corrupt", {
  store: Schema.String,
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `${this.store} is damaged or is no store of sagas: ${this.detail}. Nothing was changed; ` +
      `restore it from a backup, or choose another place.`
  }
}

/**
 * What is stored belongs to another program, or to a later version of this library.
 *
 * @category errors
 * @since 0.1.0
 */
export class Incompatible
  extends Schema.TaggedError<Incompatible>("effect-saga/SagaStoreError/Incompatible")("Incompatible", {
    store: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `${this.store} can't be used: ${this.detail}. Nothing was changed.`
  }
}

/**
 * The error of every function that reads or writes a store.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaStoreError extends Schema.TaggedError<SagaStoreError>("effect-saga/SagaStoreError")("SagaStoreError", {
  reason: Schema.Union([Owned, OwnershipLost, Unavailable, AccessDenied, Corrupt, Incompatible])
}) {
  override get message(): string {
    return this.reason.message
  }

  /** Whether the same call may succeed later, with nothing done to this process. */
  get isTransient(): boolean {
    return this.reason._tag === "Unavailable" && this.reason.problem !== "closed"
  }
}

/**
 * Whether what failed for this reason may have been done all the same: it has to be done again, as it was, until that is
 * known.
 *
 * @category guards
 * @since 0.1.0
 */
export const isUnknown = (reason: SagaStoreError["reason"]): boolean =>
  reason._tag === "Unavailable" && reason.problem === "can't be reached"
