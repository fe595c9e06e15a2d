import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule, Schema } from "effect"
import { Durable, DurableSaga, SagaEngine, SagaStore, Signal, Step } from "effect-saga"

/*
 * Wrong literals, as a caller without types may write them: each throws where it was written.
 */
const makeStep = Step.make as (...args: ReadonlyArray<unknown>) => any
const makeSaga = DurableSaga.make as (...args: ReadonlyArray<unknown>) => any
const makeSignal = Signal.make as (...args: ReadonlyArray<unknown>) => any
const engineLayer = SagaEngine.layer as (...args: ReadonlyArray<unknown>) => any
const makeEngine = SagaEngine.make as (...args: ReadonlyArray<unknown>) => any
const layerSqlite = SagaStore.layerSqlite as (...args: ReadonlyArray<unknown>) => any
const sleep = Durable.sleep as (...args: ReadonlyArray<unknown>) => any

const action = () => Effect.void
const idempotencyKey = () => "1"

type Call = readonly [where: string, call: (options: object) => unknown]

const step: Call = ["Step.make", (options) => makeStep("a", { action, ...options })]
const saga: Call = ["DurableSaga.make", (options) => makeSaga("A", { idempotencyKey, ...options })]
const engine: Call = ["SagaEngine.layer", (options) => engineLayer(options)]
const engineMake: Call = ["SagaEngine.make", (options) => makeEngine(options)]
const sqlite: Call = ["SagaStore.layerSqlite", (options) => layerSqlite({ filename: "sagas.db", ...options })]

const shown = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : typeof value === "function"
    ? "a function"
    : Duration.isDuration(value)
    ? Duration.format(value)
    : Array.isArray(value)
    ? "an array"
    : typeof value === "object" && value !== null
    ? "an object"
    : String(value)

const thrownBy = (call: () => unknown): Error => {
  try {
    call()
  } catch (error) {
    assert.instanceOf(error, Error)
    return error
  }
  return assert.fail("Nothing was thrown.")
}

/** Checks that each value throws a `RangeError` that names the function, the option and the value. */
const rejects = ([where, call]: Call, option: string, values: ReadonlyArray<unknown>, expected = "") => {
  it(`${where} rejects ${option}: ${values.map(shown).join(", ")}`, () => {
    for (const value of values) {
      const error = thrownBy(() => call({ [option]: value }))

      assert.instanceOf(error, RangeError)
      assert.include(error.message, `${where}: ${option} has to be ${expected}`)
      assert.isTrue(error.message.endsWith(`, but is ${shown(value)}`), error.message)
    }
  })
}

/** As `rejects`, for what is given by its place. */
const rejectsArgument = (where: string, call: (value: unknown) => unknown, values: ReadonlyArray<unknown>) => {
  it(`${where} has to be something else than ${values.map(shown).join(", ")}`, () => {
    for (const value of values) {
      const error = thrownBy(() => call(value))

      assert.instanceOf(error, RangeError)
      assert.include(error.message, `${where} has to be `)
      assert.isTrue(error.message.endsWith(`, but is ${shown(value)}`), error.message)
    }
  })
}

const noNames = ["", "  ", "\n", 1, 0, true, null, undefined, ["a"], { a: 1 }, Symbol("a"), 1n, () => "a"]
const noFunctions = [null, "undo", 1, {}, [], Effect.void, Promise.resolve()]
const noSchemas = [null, "String", String, {}, [], 1, () => Schema.String]
const noDurations = [
  -1,
  -0.5,
  NaN,
  Infinity,
  -Infinity,
  -1n,
  "",
  "soon",
  "1",
  "second",
  "1 apple",
  "-1 seconds",
  "NaN seconds",
  "Infinity",
  true,
  null,
  {},
  { seconds: -1 },
  { second: 5 },
  [],
  Duration.infinity,
  () => "1 second"
]
const noLimits = [...noDurations, 0, -0, 0n, "0 seconds", Duration.zero]
const someDurations = [1, 0.5, 1n, "1 second", "0.5 seconds", { seconds: 1 }, [1, 0], Duration.millis(1)]

const noOptions = [undefined, null, "a", 1, true, []]

describe("Step.make", () => {
  rejectsArgument("Step.make: name", (name) => makeStep(name, { action }), noNames)
  rejectsArgument("Step.make: options", (options) => makeStep("a", options), noOptions)
  for (const schema of ["input", "success", "error", "compensationError"]) rejects(step, schema, noSchemas, "a Schema")
  rejects(step, "action", [undefined, ...noFunctions], "a function that returns an Effect")
  rejects(step, "compensate", noFunctions, "a function that returns an Effect")
  rejects(step, "compensateExit", noFunctions, "a function that returns an Effect")
  for (const schedule of ["retry", "compensationRetry"]) {
    rejects(step, schedule, [null, 3, "1 second", {}, [], () => Schedule.forever], "a Schedule")
  }
  rejects(step, "timeout", noLimits, "a positive and finite duration")
  rejects(step, "compensationTimeout", noLimits, "a positive and finite duration")
  rejects(step, "ambiguous", [null, "yes", 1, 0, {}], "true or false")

  it("rejects options that it does not have", () => {
    const error = thrownBy(() => makeStep("a", { action, compensation: action }))

    assert.instanceOf(error, RangeError)
    assert.include(error.message, "Step.make: options has to be an object of input, success, error,")
    assert.include(error.message, "but is \"one with compensation\"")
  })

  it("rejects two compensations", () => {
    const error = thrownBy(() => makeStep("a", { action, compensate: action, compensateExit: action }))

    assert.instanceOf(error, RangeError)
    assert.include(error.message, "Step.make: compensateExit, beside compensate, has to be left out")
  })

  it("takes options that are undefined, and any duration, schedule and name", () => {
    for (const timeout of [undefined, ...someDurations]) {
      makeStep("Zahlung / 支払い #1\n🎫", {
        input: undefined,
        success: undefined,
        error: undefined,
        compensationError: undefined,
        action,
        compensate: undefined,
        compensateExit: undefined,
        retry: undefined,
        compensationRetry: Schedule.forever,
        timeout,
        compensationTimeout: timeout,
        ambiguous: undefined
      })
    }
  })
})

describe("a call of a step", () => {
  const called = makeStep("a", { action })

  rejectsArgument(
    "Step \"a\": name",
    (name) => called(undefined, { name }),
    noNames.filter((name) => name !== undefined)
  )
  rejectsArgument("Step \"a\": options", (options) => called(undefined, options), noOptions.slice(1))

  it("may have another name, or none", () => {
    called(undefined, { name: "b" })
    called(undefined, { name: undefined })
    called(undefined, {})
    called(undefined, undefined)
    called()
  })
})

describe("DurableSaga.make", () => {
  rejectsArgument("DurableSaga.make: name", (name) => makeSaga(name, { idempotencyKey }), [
    ...noNames,
    "A/B",
    "/",
    "A\u0000",
    "\uD800"
  ])
  it("rejects a name of more than 200 characters, which not all stores can list by", () => {
    makeSaga("x".repeat(200), { idempotencyKey })
    const error = thrownBy(() => makeSaga("x".repeat(201), { idempotencyKey }))

    assert.instanceOf(error, RangeError)
    assert.strictEqual(
      error.message,
      "DurableSaga.make: name has to be a string of at most 200 characters, but has 201"
    )
  })
  rejectsArgument("DurableSaga.make: options", (options) => makeSaga("A", options), noOptions)
  rejects(saga, "version", [0, -1, 1.5, NaN, Infinity, "1", null, 1n, {}], "a whole number of at least 1")
  for (const schema of ["payload", "success", "error"]) rejects(saga, schema, noSchemas, "a Schema")
  rejects(saga, "idempotencyKey", [undefined, ...noFunctions], "a function from the payload to a text")
  rejects(saga, "attributes", [null, "customer", 1, {}, ["customer"]], "a function from the payload to an object")
  rejects(saga, "onCompensationFailure", ["", "stop", "Park", "park ", 1, true, null, {}], "\"park\" or \"fail\"")

  it("rejects options that it does not have", () => {
    const error = thrownBy(() => makeSaga("A", { idempotencyKey, errors: Schema.String }))

    assert.instanceOf(error, RangeError)
    assert.include(error.message, "DurableSaga.make: options has to be an object of version, payload, success, error,")
    assert.include(error.message, "but is \"one with errors\"")
  })

  it("takes options that are undefined", () => {
    makeSaga("A #1 🎫", {
      version: undefined,
      payload: undefined,
      success: undefined,
      error: undefined,
      idempotencyKey,
      onCompensationFailure: undefined
    })
  })

  rejectsArgument(
    "DurableSaga \"A\": body",
    (body) => makeSaga("A", { idempotencyKey }).toLayer(body),
    [undefined, ...noFunctions]
  )
})

describe("Signal.make", () => {
  rejectsArgument("Signal.make: name", (name) => makeSignal(name, Schema.String), noNames)
  rejectsArgument("Signal.make: schema", (schema) => makeSignal("a", schema), [undefined, ...noSchemas])
})

describe("Durable.sleep", () => {
  rejectsArgument("Durable.sleep: duration", (duration) => sleep(duration), [undefined, ...noDurations])
  rejectsArgument("Durable.sleep: name", (name) => sleep(1, { name }), noNames.filter((name) => name !== undefined))
  rejectsArgument("Durable.sleep: options", (options) => sleep(1, options), noOptions.slice(1))

  it("takes any duration, and none", () => {
    for (const duration of [0, "0 seconds", Duration.zero, ...someDurations]) sleep(duration, { name: undefined })
  })
})

for (const call of [engine, engineMake]) {
  describe(call[0], () => {
    rejectsArgument(`${call[0]}: options`, call[1] as (options: unknown) => unknown, noOptions.slice(1))
    rejects(call, "owner", noNames.filter((name) => name !== undefined), "a string that is not empty")
    rejects(call, "standby", [null, "yes", 1, 0, {}], "true or false")
    rejects(
      call,
      "codec",
      [null, "aes", 1, {}, { encode: Effect.succeed }, { decode: Effect.succeed }, { encode: 1, decode: 1 }],
      "an object with the functions encode and decode"
    )
    for (const duration of ["shutdownTimeout", "registrationTimeout", "replayTimeout"]) {
      rejects(call, duration, noLimits.filter((limit) => limit !== null), "a positive and finite duration")
    }

    it("rejects options that it does not have", () => {
      const error = thrownBy(() => call[1]({ stanby: true }))

      assert.instanceOf(error, RangeError)
      assert.include(error.message, `${call[0]}: options has to be an object of owner, standby,`)
      assert.include(error.message, "but is \"one with stanby\"")
    })

    it("takes options that are undefined, and any duration", () => {
      for (const duration of [undefined, ...someDurations]) {
        call[1]({
          owner: undefined,
          standby: undefined,
          codec: undefined,
          shutdownTimeout: duration,
          registrationTimeout: duration,
          replayTimeout: duration
        })
      }
    })
  })
}

describe("SagaStore.layerSqlite", () => {
  rejectsArgument("SagaStore.layerSqlite: options", layerSqlite, noOptions)
  rejects(sqlite, "worker", [null, "yes", 1, 0, {}], "true or false")
  rejects(sqlite, "synchronous", ["", "off", "FULL", 1, true, null, {}], "\"full\" or \"normal\"")

  it("rejects what is not the path of a file, and options that it does not have", () => {
    for (const filename of ["", ":memory:", "file:sagas.db", undefined, null, 1, {}, new URL("file:///sagas.db")]) {
      const error = thrownBy(() => sqlite[1]({ filename }))

      assert.instanceOf(error, RangeError)
      assert.include(error.message, "SagaStore.layerSqlite: filename has to be the path of a file")
    }
    assert.include(thrownBy(() => sqlite[1]({ file: "sagas.db" })).message, "but is \"one with file\"")
  })
})

it("a wrong value that is long is cut in the message", () => {
  const error = thrownBy(() => makeSaga("A", { idempotencyKey, onCompensationFailure: "x".repeat(1_000_000) }))

  assert.instanceOf(error, RangeError)
  assert.isBelow(error.message.length, 1_000)
})
