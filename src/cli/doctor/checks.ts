import type { Inspection } from "../../internal/store.ts"
import { commandLine, duration, escaped, instant, shellWord } from "../../internal/timelineText.ts"
import { counted } from "../print/words.ts"
import type { Check, Checkup } from "../schemas.ts"

/** The disk that a file of SQLite is on, in bytes. */
export interface Disk {
  readonly file: number
  /** The file beside it that has what was written last. */
  readonly log: number
  readonly free: number
  readonly total: number
}

/** An execution that nothing has happened to for long, although it waits for nothing. */
export interface Stale {
  readonly id: string
  /** When something happened last, in milliseconds since the epoch. */
  readonly at: number
}

export interface Facts {
  readonly now: number
  readonly store: string
  /** What the commands begin with that are suggested. */
  readonly program: string
  readonly readMillis: number
  readonly inspection: Inspection
  readonly parked: number
  readonly oldestParked: { readonly id: string; readonly updatedAt: number } | undefined
  /** How many have not ended, parked ones among them. */
  readonly unfinished: number
  readonly staleAfter: number
  readonly stale: ReadonlyArray<Stale>
  /** How many of those that may be stale were not looked at. */
  readonly unseen: number
  readonly disk: Disk | undefined
}

export const checkup = (checks: ReadonlyArray<Check>): Checkup => ({
  v: 1,
  ok: checks.every(({ state }) => state !== "fail"),
  checks
})

/** The checks of a store that can't be used. */
export const unusable = (message: string): ReadonlyArray<Check> => [{ check: "store", state: "fail", detail: message }]

export const checksOf = (facts: Facts): ReadonlyArray<Check> => [
  store(facts),
  {
    check: "schema",
    state: "ok",
    detail: `Its tables have version ${facts.inspection.version}, as this program needs.`
  },
  owner(facts),
  requests(facts),
  parked(facts),
  stale(facts),
  ...disk(facts)
]

const slow = 1000

const store = ({ readMillis, store }: Facts): Check =>
  readMillis <= slow
    ? { check: "store", state: "ok", detail: `${store} answers: a read took ${duration(readMillis)}.` }
    : {
      check: "store",
      state: "warn",
      detail: `${store} answers slowly: a read took ${duration(readMillis)}. ` +
        `Look at what else uses its disk or its server, and at the network between.`
    }

const owner = ({ inspection: { owner }, now, unfinished }: Facts): Check => {
  if (owner?.isAlive === true) {
    return {
      check: "owner",
      state: "ok",
      detail: `${named(owner)} runs its executions since ${instant(owner.acquiredAt)}. ` +
        `Its last sign of life was ${duration(owner.silence)} ago.`
    }
  }
  const waiting = unfinished === 0 ? "Nothing has to go on." : `${counted(unfinished)} can't go on.`
  return {
    check: "owner",
    state: unfinished === 0 ? "warn" : "fail",
    detail: owner === undefined
      ? `No engine runs its executions. ${waiting} Start the service that runs the sagas.`
      : `${named(owner)} has given no sign of life for ${duration(owner.silence)}, ` +
        `since ${instant(now - owner.silence)}. ${waiting} ` +
        `Start the service that runs the sagas: it takes the store over by itself.`
  }
}

const named = ({ host, name, pid }: { readonly name: string; readonly host: string; readonly pid: number }): string =>
  `Engine "${escaped(name)}" (process ${pid} on ${escaped(host)})`

const requests = ({ inspection: { owner, unanswered } }: Facts): Check => {
  if (unanswered === 0) return { check: "requests", state: "ok", detail: "No request waits for an answer." }
  const wait = unanswered === 1 ? "1 request waits for an answer" : `${unanswered} requests wait for an answer`
  return {
    check: "requests",
    state: "warn",
    detail: owner?.isAlive === true
      ? `${wait}. An engine takes a request within a second: look again, and if it is no less then, restart the engine.`
      : `${wait}, until an engine runs.`
  }
}

const parked = ({ now, oldestParked, parked, program }: Facts): Check =>
  parked === 0 || oldestParked === undefined
    ? { check: "parked", state: "ok", detail: "No execution is parked." }
    : {
      check: "parked",
      state: "warn",
      detail: `${counted(parked)} ${parked === 1 ? "waits" : "wait"} for a decision, ` +
        `${parked === 1 ? "" : "the oldest "}for ${duration(now - oldestParked.updatedAt)}: ` +
        `see ${program} list --parked, and ${commandLine(program, "show", oldestParked.id)}.`
    }

const shownStale = 3

const stale = ({ now, program, stale, staleAfter, unseen }: Facts): Check => {
  const more = unseen === 0 ? "" : ` ${unseen} more may stand still, too.`
  const [first] = stale
  if (first === undefined) {
    return {
      check: "stale",
      state: unseen === 0 ? "ok" : "warn",
      detail: `No execution has stood still for ${duration(staleAfter)}.${more}`
    }
  }
  const names = stale.slice(0, shownStale).map(({ at, id }) => `${shellWord(id)} for ${duration(now - at)}`).join(", ")
  const others = stale.length <= shownStale ? "" : `, and ${stale.length - shownStale} more`
  return {
    check: "stale",
    state: "warn",
    detail: `${counted(stale.length)} ${stale.length === 1 ? "has" : "have"} stood still, and ` +
      `${stale.length === 1 ? "waits" : "wait"} for nothing: ${names}${others}.${more} See ${
        commandLine(program, "show", first.id)
      }: an action that hangs needs a timeout.`
  }
}

const scarce = 1_000_000_000
const spent = 100_000_000
const longLog = 1_000_000_000

const disk = ({ disk, inspection: { bytes }, program }: Facts): ReadonlyArray<Check> => {
  if (disk === undefined) {
    return bytes === undefined ? [] : [{ check: "disk", state: "ok", detail: `Its tables take ${size(bytes)}.` }]
  }
  const sizes = `The file takes ${size(disk.file)} and its log ${size(disk.log)}; ` +
    `the disk has ${size(disk.free)} of ${size(disk.total)} free.`
  if (disk.free < scarce) {
    return [{
      check: "disk",
      state: disk.free < spent ? "fail" : "warn",
      detail: `${sizes} On a full disk nothing goes on: make room. ` +
        `${program} prune deletes executions that have ended, and their room is used again.`
    }]
  }
  if (disk.log > longLog) {
    return [{
      check: "disk",
      state: "warn",
      detail: `${sizes} The log is long: a program that reads the file without an end keeps it from being cut.`
    }]
  }
  return [{ check: "disk", state: "ok", detail: sizes }]
}

/** Bytes, as people read them. */
export const size = (bytes: number): string => {
  const units = ["kB", "MB", "GB", "TB"]
  if (bytes < 1000) return `${bytes} bytes`
  let value = bytes / 1000
  let unit = 0
  for (; value >= 999.95 && unit < units.length - 1; unit++) value /= 1000
  return `${value.toFixed(1)} ${units[unit]}`
}
