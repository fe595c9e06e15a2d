import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { millisOf, parseDuration, parseTime } from "../src/cli/input/times.ts"

describe("a duration", () => {
  for (
    const [text, millis] of [
      ["250ms", 250],
      ["90s", 90_000],
      ["15m", 900_000],
      ["1.5h", 5_400_000],
      ["7d", 604_800_000],
      ["2w", 1_209_600_000],
      ["1h30m", 5_400_000],
      [" 2d 4h ", 187_200_000],
      ["0s", 0]
    ] as const
  ) {
    it(`may be written ${JSON.stringify(text)}`, () => {
      assert.strictEqual(Duration.toMillis(parseDuration(text)!), millis)
    })
  }

  for (const text of ["", "h", "1", "1 hour", "-1h", "1h-", "1y", "1e3s", "99999999999999999d", "1h 30"]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.isUndefined(parseDuration(text))
    })
  }
})

describe("a time", () => {
  for (
    const [text, expected] of [
      ["2026-01-31", "2026-01-31T00:00:00.000Z"],
      ["2028-02-29", "2028-02-29T00:00:00.000Z"],
      ["2026-01-31T09:30", "2026-01-31T09:30:00.000Z"],
      ["2026-01-31 09:30:15", "2026-01-31T09:30:15.000Z"],
      ["2026-01-31T09:30:15.250Z", "2026-01-31T09:30:15.250Z"],
      ["2026-01-31T09:30+0200", "2026-01-31T07:30:00.000Z"],
      ["2026-01-31t09:30:00-05:30", "2026-01-31T15:00:00.000Z"],
      ["2h", "2026-01-31T10:00:00.000Z"],
      ["1.5ms", "2026-01-31T11:59:59.998Z"]
    ] as const
  ) {
    it(`may be written ${text}`, () => {
      assert.strictEqual(new Date(millisOf(parseTime(text)!, Date.UTC(2026, 0, 31, 12))).toISOString(), expected)
    })
  }

  for (
    const text of [
      "",
      "yesterday",
      "2026",
      "2026-13-01",
      "2026-01-32",
      "2026-02-30",
      "2026-04-31T09:30",
      "2025-02-29",
      "09:30",
      "2026-01-31T25:00",
      "1767225600000"
    ]
  ) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.isUndefined(parseTime(text))
    })
  }
})
