import * as Exit from "effect/Exit"
import type { Json } from "effect/Schema"
import { decodeStored } from "./codec.ts"

/* Which kinds of errors there are in causes as they are stored, whatever schemas they have. */

export type JsonObject = { readonly [key: string]: Json }

export const isObject = (json: Json): json is JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json)

/** The tag of an error, or the name of its class. */
export const tagOf = ({ _tag, message, name }: JsonObject): string | null =>
  typeof _tag === "string" ? _tag : typeof message === "string" && typeof name === "string" ? name : null

/** As `tagOf`, and nothing of what the error holds. */
export const kindOf = (error: Json): string | null =>
  // A name is that of a class where a stack comes with it, and may be a field of an error that is a plain object.
  isObject(error) && (typeof error._tag === "string" || typeof error.stack === "string") ? tagOf(error) : null

/** The kind of the first failure in a cause or, where there is none, of the first defect. `null` where it is sealed. */
export const kindOfCause = (cause: Json): string | null => kindOf(firstError(cause))

/** As `kindOfCause`, and of a saga that failed after its pivot, why it did. */
export const kindOfReason = (cause: Json): string | null => {
  const error = firstError(cause)
  return isObject(error) && error._tag === "CommittedIncomplete" && typeof error.saga === "string" &&
      error.reason !== undefined
    ? kindOfCause(error.reason)
    : kindOf(error)
}

const firstError = (cause: Json): Json => {
  const reasons = decodeStored(cause)
  if (Exit.isFailure(reasons)) return null
  const first = reasons.value.find(({ _tag }) => _tag === "Fail") ?? reasons.value.find(({ _tag }) => _tag === "Die")
  return first?._tag === "Fail" ? first.error : first?._tag === "Die" ? first.defect : null
}
