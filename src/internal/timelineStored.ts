import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import { decodeStored } from "./codec.ts"
import { mask } from "./redaction.ts"
import { isObject, kindOf, tagOf } from "./storedKind.ts"
import type { Cause, Failure, Result, Stored } from "./timelineModel.ts"

/*
 * What can be shown of what is stored, without the schemas of the definition and without its payload codec.
 *
 * Nothing stored says that a codec was used, so that is told by what the journal holds: a cause that is none was sealed,
 * and with it all the rest.
 */

/** Reads what a journal stores. */
export interface Reader {
  readonly redacts: boolean
  readonly stored: (json: Json) => Stored
  /** For what is never sealed. */
  readonly clear: (json: Json) => Stored
  readonly cause: (json: Json) => Cause
  readonly result: (isSuccess: boolean, json: Json) => Result
}

export const makeReader = (
  events: ReadonlyArray<JournalEvent>,
  { redact, sealed = isSealed(events) }: { readonly redact: boolean; readonly sealed?: boolean | undefined }
): Reader => {
  const clear = (json: Json): Stored => redact ? { _tag: "Redacted" } : { _tag: "Json", json: mask(json) }
  const stored = (json: Json): Stored => sealed ? { _tag: "Sealed" } : clear(json)
  const cause = (json: Json): Cause =>
    (sealed ? undefined : causeOf(mask(json), redact ? kindsOf : failureOf)) ?? { _tag: "Sealed" }
  return {
    redacts: redact,
    stored,
    clear,
    cause,
    result: (isSuccess, json) =>
      isSuccess ? { _tag: "Succeeded", value: stored(json) } : { _tag: "Failed", cause: cause(json) }
  }
}

/* ------------------------------------------------------------------------------------------------- causes */

/* Errors are nested no deeper than people can follow. */
const maxDepth = 5

type Read = (kind: "Fail" | "Die", error: Json, depth: number) => Failure

const causeOf = (json: Json, read: Read): Cause | undefined => {
  const failures = failuresIn(json, read, 0)
  return failures === undefined ? undefined : { _tag: "Failures", failures }
}

const failuresIn = (json: Json, read: Read, depth: number): ReadonlyArray<Failure> | undefined => {
  const reasons = decodeStored(json)
  if (Exit.isFailure(reasons)) return undefined
  return reasons.value.map((reason) =>
    reason._tag === "Interrupt"
      ? { kind: "Interrupt", ...nothing }
      : read(reason._tag, reason._tag === "Fail" ? reason.error : reason.defect, depth)
  )
}

const nothing = { tag: null, message: null, fields: null, stack: [], because: [], compensations: [] }

const failureOf: Read = (kind, error, depth) => {
  if (typeof error === "string") return { kind, ...nothing, message: error }
  if (!isObject(error)) return { kind, ...nothing, fields: error }
  if (depth >= maxDepth) return { kind, ...nothing, tag: tagOf(error) }
  const incomplete = notUndone(kind, error, failureOf, depth)
  if (incomplete !== undefined) return { ...incomplete, fields: { saga: error.saga! } }
  const { _tag, cause, message, name, stack, ...rest } = error
  const isError = typeof message === "string"
  const fields = {
    // What is no part of the error itself is a field like any other.
    ...(typeof _tag === "string" ? undefined : optional("_tag", _tag)),
    ...(isError && typeof _tag !== "string" && typeof name === "string" ? undefined : optional("name", name)),
    ...(isError ? undefined : optional("message", message)),
    ...(isError && typeof stack === "string" ? undefined : optional("stack", stack)),
    ...(isError ? undefined : optional("cause", cause)),
    ...rest
  }
  return {
    kind,
    ...nothing,
    tag: tagOf(error),
    message: isError ? message : null,
    fields: Object.keys(fields).length === 0 ? null : fields,
    stack: isError && typeof stack === "string" ? framesOf(stack) : [],
    because: isError && cause !== undefined && cause !== null ? [failureOf("Fail", cause, depth + 1)] : []
  }
}

/* What kind of error it is, and nothing of what it holds. */
const kindsOf: Read = (kind, error, depth) => {
  if (!isObject(error)) return { kind, ...nothing }
  const incomplete = depth >= maxDepth ? undefined : notUndone(kind, error, kindsOf, depth)
  return incomplete ?? { kind, ...nothing, tag: kindOf(error) }
}

/* `CompensationFailed` and `CommittedIncomplete`. Their reports tell what the timeline itself tells. */
const notUndone = (
  kind: "Fail" | "Die",
  error: { readonly [key: string]: Json },
  read: Read,
  depth: number
): Failure | undefined => {
  const { _tag, failures, reason, saga } = error
  if ((_tag !== "CompensationFailed" && _tag !== "CommittedIncomplete") || typeof saga !== "string") return undefined
  const because = reason === undefined ? undefined : failuresIn(reason, read, depth + 1)
  if (because === undefined) return undefined
  const compensations = (Array.isArray(failures) ? failures : []).flatMap((one: Json) =>
    isObject(one) && typeof one.step === "string" && one.cause !== undefined
      ? [{ step: one.step, failures: failuresIn(one.cause, read, depth + 1) ?? [] }]
      : []
  )
  return { kind, ...nothing, tag: _tag, because, compensations }
}

const framesOf = (stack: string): ReadonlyArray<string> =>
  stack.split("\n").flatMap((line) => /^\s+at /.test(line) ? [line.trim()] : [])

const optional = (key: string, json: Json | undefined): { readonly [key: string]: Json } | undefined =>
  json === undefined ? undefined : { [key]: json }

/* ------------------------------------------------------------------------------------------------- sealed or not */

const isSealed = (events: ReadonlyArray<JournalEvent>): boolean => {
  const values: Array<Json> = []
  for (const event of events) {
    const cause = causeIn(event)
    if (cause !== undefined) return Exit.isFailure(decodeStored(cause))
    values.push(...valuesIn(event))
  }
  // Where nothing has failed yet: what a codec makes of `null`, too, is a text that says nothing.
  return values.length > 0 && values.every((value) => typeof value === "string" && looksSealed(value))
}

const causeIn = (event: JournalEvent): Json | undefined => {
  switch (event._tag) {
    case "AttemptFailed":
    case "StepFailed":
    case "UnwindStarted":
    case "CompensationAttemptFailed":
    case "CompensationFailed":
      return event.cause
    case "Parked":
      return event.kind === "Mismatch" || event.kind === "NotRegistered" ? undefined : event.cause
    case "ExecutionCompensated":
    case "ExecutionFailed":
      return event.result
    case "ChildFinished":
      return event.status === "Completed" ? undefined : event.result
    default:
      return undefined
  }
}

const valuesIn = (event: JournalEvent): ReadonlyArray<Json> => {
  switch (event._tag) {
    case "ExecutionStarted":
      return [event.payload]
    case "StepSucceeded":
      return [event.input, event.value]
    case "SignalReceived":
      return [event.value]
    case "ExecutionCompleted":
    case "ChildFinished":
      return [event.result]
    default:
      return []
  }
}

/* Long enough for a nonce and a tag, in the letters of base64 or hexadecimal digits; ids are no sealed values. */
const looksSealed = (text: string): boolean =>
  /^[A-Za-z0-9+/_=.:$-]{28,}$/.test(text) && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
