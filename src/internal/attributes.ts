import * as Check from "./check.ts"

/* What lists look for. Stores keep it beside the journal, as texts, so it is small. */

/**
 * Search attributes of an execution, by name. What is `undefined` is left out.
 *
 * @category models
 * @since 0.1.0
 */
export type Attributes = { readonly [name: string]: string | number | boolean | undefined }

/** As they are stored. */
export type Stored = { readonly [name: string]: string }

const maxCount = 20
const maxName = 100
const maxValue = 500

/** What is wrong with what a definition gave for a payload; undefined where that can be stored. */
export const problemWith = (given: unknown): string | undefined => {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return "its attributes have to be an object of names and values"
  }
  const entries = entriesOf(given)
  if (entries.length > maxCount) return `it has ${entries.length} attributes, and may have ${maxCount}`
  for (const [name, value] of entries) {
    if (name === "" || name.length > maxName || !Check.isStorable(name)) {
      return `the names of attributes have to be texts of 1 to ${maxName} characters, none of them zero or half`
    }
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
      return `its attribute "${name}" has to be a text, a number, or true or false`
    }
    const { length } = String(value)
    if (length > maxValue) return `its attribute "${name}" has ${length} characters, and may have ${maxValue}`
    if (!Check.isStorable(String(value))) return `its attribute "${name}" has zero or half characters`
  }
  return undefined
}

/** What is stored; undefined where that is nothing. */
export const stored = (given: Attributes): Stored | undefined => {
  const entries = entriesOf(given)
  return entries.length === 0 ? undefined : Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

const entriesOf = (given: object): ReadonlyArray<[name: string, value: unknown]> =>
  Object.entries(given).filter(([, value]) => value !== undefined)
