import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

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
  if (options !== undefined && (typeof options !== "object" || options === null || Array.isArray(options))) {
    reject(`${where}: options`, "an object", options)
  }
}

export const keys = (where: string, options: object, allowed: ReadonlyArray<string>): void => {
  const unknown = Object.keys(options).find((key) => !allowed.includes(key))
  if (unknown !== undefined) reject(`${where}: options`, `an object of ${allowed.join(", ")}`, `one with ${unknown}`)
}

export const name = (where: string, name: unknown): void => {
  if (name !== undefined && (typeof name !== "string" || name.trim() === "")) {
    reject(`${where}: name`, "a string that is not empty", name)
  }
}

export const callback = (where: string, value: unknown, expected: string): void => {
  if (typeof value !== "function") reject(where, expected, value)
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

export const duration = (where: string, value: unknown): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  const duration = Duration.fromInput(value as Duration.Input)
  if (duration._tag === "None" || !Duration.isPositive(duration.value) || !Duration.isFinite(duration.value)) {
    return reject(where, "a positive and finite duration, such as \"30 seconds\"", value)
  }
  return duration.value
}
