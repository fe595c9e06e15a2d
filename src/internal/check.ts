import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

/*
 * Checks of literal arguments. A wrong one is a mistake in the program, so it throws where it was written, naming the
 * function, the option and the value.
 */

const reject = (where: string, expected: string, actual: unknown): never => {
  throw new RangeError(`${where} has to be ${expected}, but is ${show(actual)}`)
}

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80))
  if (typeof value === "function") return "a function"
  if (typeof value !== "object" || value === null) return String(value)
  if (Duration.isDuration(value)) return Duration.format(value)
  return Array.isArray(value) ? "an array" : "an object"
}

const anEffect = "an Effect (wrap a promise in Effect.tryPromise)"

export const effect = (where: string, value: unknown): void => {
  if (!Effect.isEffect(value)) reject(where, anEffect, value)
}

export const noPromise = (where: string, value: unknown): void => {
  if (value instanceof Promise) reject(where, anEffect, value)
}

export const options = (where: string, options: unknown): void => {
  if (options !== undefined) requiredOptions(where, options)
}

export const requiredOptions = (where: string, options: unknown): void => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    reject(`${where}: options`, "an object", options)
  }
}

export const keys = (where: string, options: object, allowed: ReadonlyArray<string>): void => {
  const unknown = Object.keys(options).find((key) => !allowed.includes(key))
  if (unknown !== undefined) reject(`${where}: options`, `an object of ${allowed.join(", ")}`, `one with ${unknown}`)
}

export const name = (where: string, name: unknown): void => {
  if (name !== undefined) requiredName(where, name)
}

export const requiredName = (where: string, name: unknown): void => text(`${where}: name`, name)

export const text = (where: string, value: unknown): void => {
  if (typeof value !== "string" || value.trim() === "") reject(where, "a string that is not empty", value)
}

/* PostgreSQL takes 2704 bytes of what it has in an index, with all that stands beside it there. */
const maxIndexedName = 200

/** A name that stores keep as it is, and have in their indexes. */
export const indexedName = (where: string, name: unknown): void => {
  requiredName(where, name)
  const { length } = name as string
  if (length > maxIndexedName) {
    throw new RangeError(`${where}: name has to be a string of at most ${maxIndexedName} characters, but has ${length}`)
  }
  storable(`${where}: name`, name)
}

/** The name of what is in the ids of executions, where a slash ends it. */
export const definitionName = (where: string, name: unknown): void => {
  indexedName(where, name)
  if ((name as string).includes("/")) reject(`${where}: name`, "a string without a slash", name)
}

/** Whether databases keep a text as it is: not zero characters, nor half of what takes two in UTF-16. */
export const isStorable = (text: string): boolean => !/[\0\p{Surrogate}]/u.test(text)

/** A text that stores keep as it is, so that it can be looked for. */
export const storable = (where: string, value: unknown): void => {
  if (typeof value !== "string" || !isStorable(value)) reject(where, "a string without zero and half characters", value)
}

export const storableText = (where: string, value: unknown): void => {
  text(where, value)
  storable(where, value)
}

export const string = (where: string, value: unknown): void => {
  if (value !== undefined && typeof value !== "string") reject(where, "a string", value)
}

export const schema = (where: string, value: unknown): void => {
  if (value !== undefined) requiredSchema(where, value)
}

export const requiredSchema = (where: string, value: unknown): void => {
  if (!Schema.isSchema(value)) reject(where, "a Schema", value)
}

export const schedule = (where: string, value: unknown): void => {
  if (value !== undefined && !Schedule.isSchedule(value)) reject(where, "a Schedule", value)
}

export const integer = (where: string, value: unknown): void => {
  if (value !== undefined && (!Number.isSafeInteger(value) || (value as number) < 1)) {
    reject(where, "a whole number of at least 1", value)
  }
}

export const wholeNumber = (where: string, value: unknown): void => {
  if (!Number.isSafeInteger(value)) reject(where, "a whole number", value)
}

export const array = (where: string, value: unknown): void => {
  if (!Array.isArray(value)) reject(where, "an array", value)
}

export const callback = (where: string, value: unknown, expected: string): void => {
  if (typeof value !== "function") reject(where, expected, value)
}

export const codec = (where: string, value: unknown): void => {
  const { decode, encode } = Object(value) as Record<string, unknown>
  if (typeof encode !== "function" || typeof decode !== "function") {
    reject(where, "an object with the functions encode and decode", value)
  }
}

export const absent = (where: string, value: unknown): void => {
  if (value !== undefined) reject(where, "left out", value)
}

export const flag = (where: string, value: unknown): void => {
  if (value !== undefined && typeof value !== "boolean") reject(where, "true or false", value)
}

export const oneOf = (where: string, value: unknown, allowed: ReadonlyArray<string>): void => {
  if (value !== undefined && !allowed.includes(value as string)) {
    reject(where, allowed.map((one) => JSON.stringify(one)).join(" or "), value)
  }
}

export const concurrency = (where: string, value: unknown): void => {
  if (value === undefined || value === "unbounded") return
  if (typeof value !== "number" || !(value >= 1)) {
    reject(`${where}: concurrency`, "\"unbounded\" or a number of at least 1", value)
  }
}

/** A duration that may be 0. */
export const delay = (where: string, value: unknown): Duration.Duration => {
  const duration = Duration.fromInput(value as Duration.Input)
  if (
    duration._tag === "None" || Duration.isNegative(duration.value) || !Duration.isFinite(duration.value) ||
    (Duration.isZero(duration.value) && !saysZero(value))
  ) {
    return reject(where, "a finite duration, such as \"30 seconds\"", value)
  }
  return duration.value
}

/* What Effect can't read a number from, as `NaN` or an object with misspelt units, is no time at all to it. */
const saysZero = (value: unknown): boolean => {
  if (typeof value === "number") return value === 0
  if (typeof value !== "object" || value === null || Duration.isDuration(value)) return true
  const numbers = Object.values(value)
  return numbers.length > 0 && numbers.every((number) => number === 0)
}

export const duration = (where: string, value: unknown): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  const duration = Duration.fromInput(value as Duration.Input)
  if (duration._tag === "None" || !Duration.isPositive(duration.value) || !Duration.isFinite(duration.value)) {
    return reject(where, "a positive and finite duration, such as \"30 seconds\"", value)
  }
  return duration.value
}
