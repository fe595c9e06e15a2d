import * as Duration from "effect/Duration"
import { instant } from "../../internal/timelineText.ts"

/* Times and durations as people write them, and as this command line prints them. */

/** A time that is said by itself, or by how long ago it was. */
export type Time = { readonly _tag: "At"; readonly millis: number } | {
  readonly _tag: "Ago"
  readonly duration: Duration.Duration
}

export const millisOf = (time: Time, now: number): number =>
  time._tag === "At" ? time.millis : Math.floor(now - Duration.toMillis(time.duration))

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Such as `90s`, `1h30m` or, as it is printed, `2d 4h`. */
export const parseDuration = (text: string): Duration.Duration | undefined => {
  const trimmed = text.trim()
  if (!/^(\d+(\.\d+)?(ms|[smhdw])\s*)+$/.test(trimmed)) return undefined
  const millis = Array.from(trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g))
    .reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0)
  return Number.isSafeInteger(Math.ceil(millis)) ? Duration.millis(millis) : undefined
}

/** A date, a date with a time (of UTC, unless it says its zone), or a duration: so long ago. */
export const parseTime = (text: string): Time | undefined => {
  const duration = parseDuration(text)
  if (duration !== undefined) return { _tag: "Ago", duration }
  const [, date, time, zone] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text.trim()) ?? []
  if (date === undefined || !isDate(date)) return undefined
  const offset = zone === undefined ? "Z" : zone.toUpperCase().replace(/^(...):?(..)$/, "$1:$2")
  const millis = Date.parse(`${date}T${time ?? "00:00"}${offset}`)
  return Number.isNaN(millis) ? undefined : { _tag: "At", millis }
}

/* Else the 30th of February would be a day of March. */
const isDate = (date: string): boolean => {
  const millis = Date.parse(`${date}T00:00Z`)
  return !Number.isNaN(millis) && instant(millis).startsWith(date)
}
