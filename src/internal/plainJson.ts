import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import { isInstance } from "./guard.ts"

/*
 * What JSON gives back of a value, and so what is kept of it. A copy, so that nothing that is done to the value later
 * changes what is written, or keeps it from being written: all executions share a store.
 */

/* How many levels of lists and objects a value may have: few enough for all that goes through it level by level. */
const maxLevels = 500

/*
 * How many characters and other values there may be in one. Whatever they are, two of them, as are in one event, are not too
 * long for a text in JavaScript.
 */
const maxSize = 2 ** 25

/** Fails with what is wrong with the value, in words that follow what it is. */
export const plain = (value: unknown): Result.Result<Json, string> =>
  // What a schema does not look at may be hostile to being looked at.
  Result.flatMap(Result.try({ try: () => copyOf(value), catch: problemOf }), ({ copy, problem }) => {
    if (problem !== undefined) return Result.fail(problem)
    return copy === undefined ? throughText(value) : Result.succeed(copy)
  })

/** JSON without what is nested deeper than a fifth of what a value may be. */
export const cut = (json: Json, levels = maxLevels / 5): Json => {
  if (typeof json !== "object" || json === null) return json
  if (levels === 0) return "(nested too deep)"
  if (Array.isArray(json)) return json.map((part: Json) => cut(part, levels - 1))
  return Object.fromEntries(Object.entries(json).map(([key, part]) => [key, cut(part, levels - 1)]))
}

interface Copied {
  /** Undefined where the value is not JSON as it is. */
  readonly copy: Json | undefined
  /** Why JSON can't make anything of it, either. */
  readonly problem: string | undefined
}

const copyOf = (value: unknown): Copied => {
  let room = maxSize
  let problem: string | undefined
  const copied = (value: unknown, levels: number): Json | undefined => {
    switch (typeof value) {
      case "string":
        room -= value.length
        return value
      case "number":
        // JSON has no -0.
        return Number.isFinite(value) && !Object.is(value, -0) ? value : undefined
      case "boolean":
        return value
      case "object":
        if (value === null) return null
        if (levels > 0) return partsOf(value, levels - 1)
        problem = tooDeep
    }
    return undefined
  }
  const partsOf = (value: object, levels: number): Json | undefined => {
    const copy = shallowCopy(value)
    if (copy === undefined) return undefined
    for (const key of Object.keys(copy)) {
      // A number may be that long.
      room -= key.length + 8
      const part = room < 0 ? undefined : copied(copy[key], levels)
      if (part === undefined) return undefined
      copy[key] = part
    }
    return copy
  }
  const copy = copied(value, maxLevels)
  return room < 0 ? { copy, problem: tooLong } : { copy, problem }
}

/* Its parts are those of `value` until they are replaced. Undefined where JSON may see something else in it. */
const shallowCopy = (value: object): { [key: string]: Json } | undefined => {
  // Lists, too, have their elements under keys.
  if (Array.isArray(value)) return Array.from(value) as never
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? { ...value } as never : undefined
}

const throughText = (value: unknown): Result.Result<Json, string> =>
  Result.flatMap(
    // In a list, what JSON has nothing for is null.
    Result.try({ try: () => JSON.parse(JSON.stringify([value]))[0] as Json, catch: problemOf }),
    (json) => {
      const { problem } = copyOf(json)
      return problem === undefined ? Result.succeed(json) : Result.fail(problem)
    }
  )

const tooDeep = `is nested deeper than ${maxLevels} levels, or within itself`

const tooLong = `is longer than ${maxSize} characters`

const problemOf = (error: unknown): string => {
  // Of the stack, or of the length of a text.
  if (isInstance(error, RangeError)) return /string length/i.test(error.message) ? tooLong : tooDeep
  return `can't be made JSON${isInstance(error, Error) ? `: ${error.message.replaceAll(/\s*\n\s*/g, " ")}` : ""}`
}
