import { emptyLine, paint, type Style, wholeLine } from "../../internal/timelineText.ts"
import type { Check, Checkup } from "../schemas.ts"

const styles: Record<Check["state"], Style> = { ok: "green", warn: "yellow", fail: "red" }

/** The checks for people, a line each, and a line that sums them up. */
export const render = ({ checks }: Checkup, colors: boolean): string =>
  [
    ...checks.map(({ check, detail, state }) =>
      wholeLine([styles[state], state.padEnd(6)], ["bold", check.padEnd(10)], ["plain", detail])
    ),
    emptyLine,
    wholeLine(summary(checks))
  ].map((line) => paint(line, Infinity, colors)).join("\n")

const summary = (checks: ReadonlyArray<Check>): readonly [Style, string] => {
  const count = (wanted: Check["state"]) => checks.filter(({ state }) => state === wanted).length
  const [failed, warned] = [count("fail"), count("warn")]
  if (failed + warned === 0) return ["green", "All is well."]
  const warnings = warned === 0 ? "" : `${warned === 1 ? "1 warning" : `${warned} warnings`}`
  if (failed === 0) return ["yellow", `No check failed; ${warnings}.`]
  return ["red", `${failed === 1 ? "1 check" : `${failed} checks`} failed${warnings === "" ? "" : `; ${warnings}`}.`]
}
