import type { Json } from "effect/Schema"

/* What a schema marks as `Redacted` is stored as `{"~redacted": …}`. All of these take JSON nested as deep as it can be. */

export interface Mark {
  readonly [key: string]: Json
  readonly "~redacted": Json
}

export const isMark = (json: unknown): json is Mark => {
  if (typeof json !== "object" || json === null || !Object.hasOwn(json, "~redacted")) return false
  return Object.keys(json).length === 1 && !Array.isArray(json)
}

/** What is stored, with `{"~redacted": null}` in the place of each secret. */
export const mask = (json: Json): Json => replaceMarks(json, () => ({ "~redacted": null }))

/** What is stored, with its secrets in clear and without their marks. */
export const withoutMarks = (json: Json): Json => replaceMarks(json, (secret, copied) => copied(secret))

/** JSON as people read it, without secrets. */
export const maskedText = (json: Json): string =>
  // Within a text, quotes are escaped.
  JSON.stringify(mask(json)).replaceAll(`{"~redacted":null}`, redacted)

/** How a secret is shown. */
export const redacted = "<redacted>"

export const hasMarks = (json: Json): boolean => {
  const parts = [json]
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (isMark(part)) return true
    if (typeof part === "object" && part !== null) { for (const inner of Object.values(part)) parts.push(inner) }
  }
  return false
}

const replaceMarks = (json: Json, change: (secret: Json, copied: (json: Json) => Json) => Json): Json => {
  const copies: Array<Copy> = []
  const copied = (json: Json): Json => {
    if (typeof json !== "object" || json === null) return json
    if (isMark(json)) return change(json["~redacted"], copied)
    const copy = Array.isArray(json) ? [...json] : { ...json }
    // Arrays, too, have their elements under keys.
    copies.push(copy as Copy)
    return copy
  }
  const masked = copied(json)
  for (let copy = copies.pop(); copy !== undefined; copy = copies.pop()) {
    for (const key of Object.keys(copy)) copy[key] = copied(copy[key]!)
  }
  return masked
}

type Copy = { [key: string]: Json }
