import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Option, Ref } from "effect"
import { Saga, SagaObserver, SagaReport } from "effect-saga"
import { inspect } from "node:util"
import { makeLedger } from "./support/ledger.ts"
import { compensationFailedIn } from "./support/results.ts"

/* What a caller without types may write. */
const step = Saga.step as (...args: ReadonlyArray<unknown>) => any
const stepExit = Saga.stepExit as (...args: ReadonlyArray<unknown>) => any
const pivot = Saga.pivot as (...args: ReadonlyArray<unknown>) => any
const savepoint = Saga.savepoint as (...args: ReadonlyArray<unknown>) => any
const all = Saga.all as (...args: ReadonlyArray<unknown>) => any
const forEach = Saga.forEach as (...args: ReadonlyArray<unknown>) => any
const transact = Saga.transact as (...args: ReadonlyArray<unknown>) => any
const fn = Saga.fn as (...args: ReadonlyArray<unknown>) => any

const never = Effect.die("started although its options are wrong")
const undo = () => Effect.void

type Call = readonly [written: string, where: string, call: (options: unknown) => unknown]

const steps: ReadonlyArray<Call> = [
  ["step with the action first", "Saga.step", (options) => step(never, undo, options)],
  ["step with the action last", "Saga.step", (options) => never.pipe(step(undo, options))],
  ["stepExit with the action first", "Saga.stepExit", (options) => stepExit(never, undo, options)],
  ["stepExit with the action last", "Saga.stepExit", (options) => never.pipe(stepExit(undo, options))]
]

const sagas: ReadonlyArray<Call> = [
  ["transact with the effect first", "Saga.transact", (options) => transact(never, options)],
  ["transact with the effect last", "Saga.transact", (options) => never.pipe(transact(options))],
  ["fn", "Saga.fn", (options) => fn("order", options)]
]

const branches: ReadonlyArray<Call> = [
  ["all of a tuple", "Saga.all", (options) => all([never], options)],
  ["all of a struct", "Saga.all", (options) => all({ never }, options)],
  ["forEach with the iterable first", "Saga.forEach", (options) => forEach([1], () => never, options)],
  ["forEach with the iterable last", "Saga.forEach", (options) => forEach(() => never, options)([1])]
]

const named: ReadonlyArray<Call> = [
  ...steps,
  ...sagas.slice(0, 2),
  ["fn", "Saga.fn", (options) => fn((options as { name: unknown }).name)],
  ["pivot with the action first", "Saga.pivot", (options) => pivot(never, options)],
  ["pivot with the action last", "Saga.pivot", (options) => never.pipe(pivot(options))],
  ["savepoint with the effect first", "Saga.savepoint", (options) => savepoint(never, options)],
  ["savepoint with the effect last", "Saga.savepoint", (options) => never.pipe(savepoint(options))]
]

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : typeof value === "function"
    ? "a function"
    : Duration.isDuration(value)
    ? Duration.format(value)
    : Array.isArray(value)
    ? "an array"
    : typeof value === "object" && value !== null
    ? "an object"
    : String(value)

/** Checks that each call with each value throws a `RangeError` that names function, option and value. */
const rejects = (calls: ReadonlyArray<Call>, option: string, values: ReadonlyArray<unknown>) => {
  for (const [written, where, call] of calls) {
    it(`${written} rejects ${option}: ${values.map(shown).join(", ")}`, () => {
      for (const value of values) {
        const error = thrownBy(() => call({ [option]: value }))

        assert.instanceOf(error, RangeError)
        assert.include(error.message, `${where}: ${option} has to be `)
        assert.isTrue(error.message.endsWith(`, but is ${shown(value)}`), error.message)
      }
    })
  }
}

const thrownBy = (call: () => unknown): Error => {
  try {
    call()
  } catch (error) {
    assert.instanceOf(error, Error)
    return error
  }
  return assert.fail("Nothing was thrown.")
}

describe("names", () => {
  rejects(named, "name", ["", "  ", "\n", 1, 0, true, null, ["a"], { a: 1 }, Symbol("a"), 1n, () => "a"])

  it("may be undefined, and hold any characters", () => {
    for (const [, , call] of named.filter(([written]) => written !== "fn")) {
      call({})
      call(undefined)
      call({ name: undefined })
      call({ name: "Zahlung / 支払い #1" })
    }
  })

  it("that are long are cut in the message", () => {
    const error = thrownBy(() => transact(never, { onCompensationFailure: "x".repeat(1_000_000) }))

    assert.instanceOf(error, RangeError)
    assert.isBelow(error.message.length, 1_000)
  })
})

describe("interruptible", () => {
  rejects(steps, "interruptible", ["yes", "", 0, 1, null, {}])
})

describe("compensations", () => {
  const compensations = [undefined, null, "undo", 1, {}, [], Effect.void, Promise.resolve()]
  const calls: ReadonlyArray<Call> = [
    ["step with the action first", "Saga.step", (compensate) => step(never, compensate)],
    ["step with the action last", "Saga.step", (compensate) => step(compensate)(never)],
    ["stepExit with the action first", "Saga.stepExit", (compensate) => stepExit(never, compensate)],
    ["stepExit with the action last", "Saga.stepExit", (compensate) => stepExit(compensate)(never)]
  ]

  const actions = [Promise.resolve(), async () => {}, 1, {}, null, undefined]

  for (const [where, make] of [["Saga.step", step], ["Saga.stepExit", stepExit]] as const) {
    it(`${where} rejects an action that is no effect, and says how to make it one`, () => {
      for (const action of actions) {
        const error = thrownBy(() => make(action, () => Effect.void))

        assert.instanceOf(error, RangeError)
        assert.include(error.message, `${where}: action has to be an Effect (wrap a promise in Effect.tryPromise)`)
      }
    })
  }

  it("Saga.transact rejects options that it does not have", () => {
    const options = { name: "order", compensationTimeOut: "1 second" }

    const error = thrownBy(() => (Saga.transact as (options: unknown) => unknown)(options))

    assert.instanceOf(error, RangeError)
    assert.include(error.message, "Saga.transact: options has to be an object of name, onCompensationFailure,")
    assert.include(error.message, "compensationTimeOut")
  })

  it("Saga.transact does not take an argument of Effect.fn for options", () => {
    const order = Effect.fn("order")(function*(user: { readonly id: string }) {
      return user.id
    }, Saga.transact as <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>)

    const error = thrownBy(() => order({ id: "ada" }))

    assert.instanceOf(error, RangeError)
    assert.include(error.message, "one with id")
  })

  for (const [where, make] of [["Saga.transact", Saga.transact], ["Saga.savepoint", Saga.savepoint]] as const) {
    it(`${where} rejects a promise`, () => {
      const error = thrownBy(() => (make as (effect: unknown) => unknown)(Promise.resolve()))

      assert.instanceOf(error, RangeError)
      assert.include(error.message, `${where}: effect has to be an Effect (wrap a promise in Effect.tryPromise)`)
    })
  }

  for (const [written, where, call] of calls) {
    it(`${written} rejects a compensation that is no function`, () => {
      // An effect in the first place is the action.
      for (const compensate of compensations.filter((one) => !written.endsWith("last") || !Effect.isEffect(one))) {
        const error = thrownBy(() => call(compensate))

        assert.instanceOf(error, RangeError)
        assert.include(error.message, `${where}: compensate has to be a function that returns an Effect`)
        assert.isTrue(error.message.endsWith(`, but is ${shown(compensate)}`), error.message)
      }
    })
  }
})

describe("time limits", () => {
  const wrong = [
    -1,
    0,
    -0,
    NaN,
    Infinity,
    -Infinity,
    -1n,
    0n,
    "",
    "soon",
    "1",
    "second",
    "1 apple",
    "0 seconds",
    "-1 seconds",
    "NaN seconds",
    "Infinity",
    "-Infinity",
    true,
    null,
    {},
    { seconds: -1 },
    [],
    [-1, 0],
    Duration.zero,
    Duration.infinity,
    () => "1 second"
  ]

  rejects(sagas, "compensationTimeout", wrong)
  rejects(sagas, "unwindTimeout", wrong)

  it("may be any positive and finite duration, or undefined", () => {
    for (const [, , call] of sagas) {
      for (
        const limit of [undefined, 1, 0.5, 1n, "1 second", "0.5 seconds", { seconds: 1 }, [1, 0], Duration.millis(1)]
      ) {
        call({ compensationTimeout: limit, unwindTimeout: limit })
      }
    }
  })
})

describe("onCompensationFailure", () => {
  rejects(sagas, "onCompensationFailure", ["", "park", "Continue", "stop ", 1, true, null, {}])
})

describe("compensateWhen", () => {
  rejects(sagas, "compensateWhen", [true, "always", 1, null, {}, []])
})

describe("concurrency", () => {
  rejects(branches, "concurrency", [0, -1, NaN, -Infinity, 0.5, "2", "", "Unbounded", "inherit", true, null, {}])

  it("may be unbounded or a number of at least 1", () => {
    for (const [, , call] of branches) {
      for (const concurrency of [undefined, 1, 2, 1_000, "unbounded"]) call({ concurrency })
    }
  })
})

describe("compensation of branches", () => {
  rejects(branches, "compensation", ["", "both", "Parallel", "unbounded", 1, true, null, {}])
})

describe("mode", () => {
  rejects(branches.slice(0, 2), "mode", ["", "either", "validate", 1, null])
})

describe("options", () => {
  for (
    const [written, where, call] of [...named.filter(([written]) => written !== "fn"), ...sagas.slice(2), ...branches]
  ) {
    it(`${written} rejects options that are no object`, () => {
      for (const options of ["order", 1, true, null]) {
        const error = thrownBy(() => call(options))

        assert.instanceOf(error, RangeError)
        assert.include(error.message, where)
        assert.include(error.message, shown(options))
      }
    })
  }
})

describe("a compensation that returns no Effect", () => {
  const results: ReadonlyArray<readonly [string, () => unknown]> = [
    ["nothing", () => undefined],
    ["null", () => null],
    ["a promise", () => Promise.resolve()],
    ["a function", () => () => Effect.void],
    ["a generator", function*() {}],
    ["a string", () => "undone"]
  ]

  for (const [result, compensate] of results) {
    it.effect(`counts as failed and says what to do where it returns ${result}`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const saga = Effect.gen(function*() {
          yield* ledger.step("reserve")
          yield* step(Effect.void, compensate, { name: "charge" })
          yield* ledger.step("ship")
          return yield* Effect.fail("out of stock")
        }).pipe(Saga.transact) as Effect.Effect<never, unknown>

        const cause = yield* Effect.flip(Effect.sandbox(saga))

        const error = compensationFailedIn(cause)
        const defect = Cause.squash(error.failures[0]!.cause) as Error
        assert.deepStrictEqual(error.failures.map((failure) => failure.step), ["charge"])
        assert.isFalse(Cause.hasFails(cause))
        assert.include(defect.message, "The compensation of step \"charge\" returned no Effect")
        assert.include(defect.message, "Effect.tryPromise")
        assert.include(defect.message, "Effect.sync")
        assert.include(error.message, defect.message.slice(0, 100))
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "ship", "undo ship", "undo reserve"])
      }))
  }

  it.effect("has the rejection of its promise handled, which would end the process", () =>
    Effect.gen(function*() {
      const promise = Promise.reject(new Error("too late"))
      let handled = false
      Object.assign(promise, {
        then: (...handlers: ReadonlyArray<never>) => {
          handled = true
          return Promise.prototype.then.call(promise, ...handlers)
        }
      })
      const saga = step(Effect.void, () => promise).pipe(Effect.andThen(Effect.fail("out of stock")), Saga.transact)

      yield* Effect.exit(saga as Effect.Effect<never, unknown>)

      Promise.prototype.then.call(promise, undefined, () => {})
      assert.isTrue(handled)
    }))

  it.effect("counts as failed with what it threw where it throws", () =>
    Effect.gen(function*() {
      const thrown = new TypeError("id of undefined")
      const saga = step(Effect.void, () => {
        throw thrown
      }).pipe(Effect.andThen(Effect.fail("out of stock")), Saga.transact) as Effect.Effect<never, unknown>

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const failure = compensationFailedIn(cause).failures[0]!
      assert.strictEqual(Cause.squash(failure.cause), thrown)
    }))
})

const circular = () => {
  const object: Record<string, unknown> = { name: "circular" }
  object.self = object
  object.list = [object]
  return object
}

const circularError = () => {
  const error = new Error("outer")
  error.cause = new Error("inner", { cause: error })
  return error
}

const chainOfErrors = Array.from({ length: 100_000 }).reduce<Error>(
  (cause, _, index) => new Error(`error ${index}`, { cause }),
  new Error("innermost")
)

const nested = Array.from({ length: 100_000 }).reduce<unknown>((object) => ({ object }), "innermost")

const refuse = () => {
  throw new Error("don't look at me")
}

const withGetter = (error: object, ...names: ReadonlyArray<string>) => {
  for (const name of names) Object.defineProperty(error, name, { get: refuse, enumerable: true })
  return error
}

const hostileProxy = (target: object) =>
  new Proxy(target, {
    apply: refuse,
    construct: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
    get: refuse,
    getOwnPropertyDescriptor: refuse,
    getPrototypeOf: refuse,
    has: refuse,
    isExtensible: refuse,
    ownKeys: refuse,
    preventExtensions: refuse,
    set: refuse,
    setPrototypeOf: refuse
  })

const revokedProxy = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const hugeError = () => {
  const error = new Error("x".repeat(1_000_000))
  error.stack = `Error: huge\n${"    at book (file:///trip.js:1:1)\n".repeat(100_000)}`
  return error
}

class Secretive {
  toString = refuse
  toJSON = refuse
  readonly [Symbol.toPrimitive] = refuse
}

const failures: ReadonlyArray<readonly [string, () => unknown]> = [
  ["a string", () => "out of stock"],
  ["an empty string", () => ""],
  ["a string of a megabyte", () => "x".repeat(1_000_000)],
  ["a string of 100,000 lines", () => "line\n".repeat(100_000)],
  ["null", () => null],
  ["undefined", () => undefined],
  ["a number", () => 42],
  ["not a number", () => NaN],
  ["false", () => false],
  ["a bigint", () => 42n],
  ["a symbol", () => Symbol("out of stock")],
  ["a function", () => undo],
  ["a class", () => Secretive],
  ["a plain object", () => ({ code: 42 })],
  ["an object without prototype", () => Object.assign(Object.create(null), { code: 42 })],
  ["a frozen object", () => Object.freeze({ code: 42 })],
  ["a circular object", circular],
  ["an object nested 100,000 deep", () => nested],
  [
    "an object of 100,000 keys",
    () => Object.fromEntries(Array.from({ length: 100_000 }, (_, key) => [`key${key}`, key]))
  ],
  ["an array of 100,000 elements", () => Array.from({ length: 100_000 }, (_, index) => index)],
  ["a map", () => new Map<unknown, unknown>([["code", 42], [{}, []]])],
  ["a set", () => new Set([1, "a"])],
  ["an invalid date", () => new Date(NaN)],
  ["a promise", () => Promise.resolve("out of stock")],
  ["an object whose conversions throw", () => new Secretive()],
  ["an object whose getters throw", () => withGetter({}, "message", "_tag", "name", "stack", "cause")],
  ["a tagged object", () => ({ _tag: "OutOfStock", message: "none left" })],
  ["an object that says it is a timeout", () => ({ _tag: "TimeoutError" })],
  ["an error", () => new Error("out of stock")],
  ["an error without message", () => new Error("")],
  ["an error without stack", () => Object.assign(new Error("out of stock"), { stack: undefined })],
  [
    "an error with name and message of other types",
    () => Object.assign(new Error(), { name: 42, message: { code: 42 } })
  ],
  ["a frozen error", () => Object.freeze(new Error("out of stock"))],
  ["an error with a circular chain of causes", circularError],
  ["an error with a chain of 100,000 causes", () => chainOfErrors],
  ["an error whose getters throw", () => withGetter(new Error("x"), "message", "name", "stack", "cause", "_tag")],
  ["an error whose conversions throw", () => Object.assign(new Error("x"), { toString: refuse, toJSON: refuse })],
  ["an error with a message of a megabyte and a stack of 100,000 lines", hugeError],
  ["an error with a hostile cause", () => new Error("x", { cause: hostileProxy({}) })],
  ["an error of many errors", () => new AggregateError([new Error("a"), hostileProxy({})], "both failed")],
  ["a proxy of an object that throws on every trap", () => hostileProxy({})],
  ["a proxy of a function that throws on every trap", () => hostileProxy(() => {})],
  ["a proxy of an error that throws on every trap", () => hostileProxy(new Error("x"))],
  ["a revoked proxy", revokedProxy]
]

const maxLength = 20_000

/** Looks at the result of a saga in every way that people do: all has to be short, and nothing may throw. */
const assertReadable = (cause: Cause.Cause<unknown>, error?: Error): void => {
  const report = Option.getOrThrow(Saga.report(cause))
  const texts = [SagaReport.render(report), SagaReport.summarize(report)]
  if (error !== undefined) texts.push(error.message, String(error), inspect(error))

  for (const text of texts) {
    assert.isString(text)
    assert.isBelow(text.length, maxLength)
  }
}

const errorsOf = (cause: Cause.Cause<unknown>): ReadonlyArray<unknown> =>
  cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : reason)

/* Not `strictEqual`, whose message would look at what can't be looked at. */
const assertHolds = (cause: Cause.Cause<unknown>, failure: unknown): void => {
  assert.isTrue(errorsOf(cause).some((error) => Object.is(error, failure)), "The failure is not in the cause.")
}

describe("a step that fails with", () => {
  for (const [label, make] of failures) {
    it.effect(`${label} ends a saga that is undone, and fails with it`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const failure = make()
        const saga = ledger.step("reserve").pipe(
          Effect.andThen(Saga.step(Effect.fail(failure), () => ledger.note("undo charge"), { name: "charge" })),
          Saga.transact
        )

        const cause = yield* Effect.flip(Effect.sandbox(saga))

        assertHolds(cause, failure)
        assertReadable(cause)
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
      }))
  }
})

describe("a step that dies with", () => {
  for (const [label, make] of failures) {
    it.effect(`${label} ends a saga that is undone, and dies with it`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const defect = make()
        const saga = ledger.step("reserve").pipe(
          Effect.andThen(Saga.stepExit(Effect.die(defect), () => ledger.note("undo charge"), { name: "charge" })),
          Saga.transact
        )

        const cause = yield* Effect.flip(Effect.sandbox(saga))

        assertHolds(cause, defect)
        assertReadable(cause)
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo charge", "undo reserve"])
      }))
  }
})

describe("a compensation that fails with", () => {
  for (const [label, make] of failures) {
    it.effect(`${label} is reported, and the others run`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const failure = make()
        const saga = Effect.gen(function*() {
          yield* ledger.step("reserve")
          yield* Saga.step(Effect.void, () => Effect.fail(failure), { name: "charge" })
          return yield* Effect.fail(failure)
        }).pipe(Saga.transact)

        const cause = yield* Effect.flip(Effect.sandbox(saga)) as Effect.Effect<Cause.Cause<unknown>>

        const error = compensationFailedIn(cause)
        assertHolds(error.reason, failure)
        assertHolds(error.failures[0]!.cause, failure)
        assert.isTrue(errorsOf(error.cause).every((one) => Object.is(one, failure)))
        assertReadable(cause, error)
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
      }))
  }
})

describe("under an observer and time limits, a compensation that dies with", () => {
  for (const [label, make] of failures) {
    it.effect(`${label} is reported, and the others run`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const seen = yield* Ref.make<ReadonlyArray<string>>([])
        const observer = SagaObserver.make((event) => Ref.update(seen, (tags) => [...tags, event._tag]))
        const defect = make()
        const saga = Effect.gen(function*() {
          yield* ledger.step("reserve")
          yield* Saga.step(Effect.void, () => Effect.die(defect), { name: "charge" })
          return yield* Effect.die(defect)
        }).pipe(
          Saga.transact({ compensationTimeout: "1 second", unwindTimeout: "1 minute" }),
          Effect.provideService(SagaObserver.SagaObserver, observer)
        )

        const cause = yield* Effect.flip(Effect.sandbox(saga)) as Effect.Effect<Cause.Cause<unknown>>

        const error = compensationFailedIn(cause)
        assertHolds(error.failures[0]!.cause, defect)
        assertReadable(cause, error)
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
        assert.deepStrictEqual((yield* Ref.get(seen)).slice(-3), [
          "CompensationSucceeded",
          "UnwindFinished",
          "SagaFailed"
        ])
      }))
  }
})

describe("a step and its compensation that succeed with", () => {
  for (
    const [label, make] of failures.filter(([label]) =>
      !/^an? (frozen )?error|error that|AggregateError|^a promise/.test(label)
    )
  ) {
    it.effect(`${label} hand it on unchanged`, () =>
      Effect.gen(function*() {
        const value = make()
        const given = yield* Ref.make<ReadonlyArray<unknown>>([])
        const saga = Saga.step(
          Effect.sync(() => value),
          (one) => Effect.as(Ref.update(given, (values) => [...values, one]), value)
        ).pipe(
          Effect.andThen(Effect.fail("out of stock")),
          Saga.transact
        )

        const error = yield* Effect.flip(saga)

        assert.strictEqual(error, "out of stock")
        assert.isTrue(Object.is((yield* Ref.get(given))[0], value))
      }))
  }
})

describe("a compensation that succeeds with a promise", () => {
  it.effect("counts as failed, and says what to do", () =>
    Effect.gen(function*() {
      const saga = Saga.step(Effect.void, () => Effect.sync(() => Promise.reject(new Error("refused")))).pipe(
        Effect.andThen(Effect.fail("out of stock")),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga)) as Effect.Effect<Cause.Cause<unknown>>

      assert.include(compensationFailedIn(cause).message, "wrap it in Effect.tryPromise")
    }))
})

describe("report", () => {
  for (const [label, make] of failures) {
    it(`finds nothing in a cause of no saga that failed with ${label}`, () => {
      const failure = make()

      assert.isTrue(Option.isNone(Saga.report(Cause.fail(failure))))
      assert.isTrue(Option.isNone(Saga.report(Cause.die(failure))))
    })
  }
})

const times = (count: number) => Array.from({ length: count }, (_, index) => index)

const longError = () => new Error(`${"x".repeat(10_000)}\n`.repeat(100))

describe("large sagas", () => {
  it.effect("a cause of 10,000 reasons stays whole, and is rendered short", () =>
    Effect.gen(function*() {
      const reason = Cause.fromReasons(
        times(10_000).map((index) => Cause.makeFailReason(new Error(`failure ${index}`)))
      )
      const saga = Saga.step(
        Effect.void,
        () => Effect.failCause(reason)
      ).pipe(
        Effect.andThen(Saga.step(Effect.failCause(reason), () => Effect.void)),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = compensationFailedIn(cause)
      assert.strictEqual(error.cause.reasons.length, 20_000)
      assert.strictEqual(error.reason.reasons.length, 10_000)
      assert.strictEqual(error.failures[0]!.cause.reasons.length, 10_000)
      assertReadable(cause, error)
    }))

  it.effect("a saga of 10,000 steps is undone in reverse", () =>
    Effect.gen(function*() {
      const undone: Array<number> = []
      const saga = Effect.forEach(times(10_000), (index) =>
        Saga.step(Effect.succeed(index), (value) => Effect.sync(() => undone.push(value)))).pipe(
          Effect.andThen(Effect.fail("out of stock")),
          Saga.transact
        )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assert.deepStrictEqual(undone, times(10_000).toReversed())
      assert.strictEqual(Option.getOrThrow(Saga.report(cause)).steps.length, 10_000)
      assertReadable(cause)
    }))

  it.effect("a saga of 10,000 steps none of which can be undone names each of them and is rendered short", () =>
    Effect.gen(function*() {
      const saga = Effect.forEach(
        times(10_000),
        (index) => Saga.step(Effect.void, () => Effect.fail(`failure ${index}`), { name: `book-${index}` })
      ).pipe(
        Effect.andThen(Effect.fail("out of stock")),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = compensationFailedIn(cause)
      assert.strictEqual(error.failures.length, 10_000)
      assertReadable(cause, error)
    }))

  it.effect("30 compensations that fail with long errors are rendered short", () =>
    Effect.gen(function*() {
      const saga = Effect.forEach(times(30), () => Saga.step(Effect.void, () => Effect.fail(longError()))).pipe(
        Effect.andThen(Effect.fail(longError())),
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assertReadable(cause, compensationFailedIn(cause))
    }))

  it.effect("a cause of 100 reasons with long errors is rendered short", () =>
    Effect.gen(function*() {
      const saga = Effect.failCause(Cause.fromReasons(times(100).map(() => Cause.makeFailReason(longError())))).pipe(
        Saga.transact
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      assertReadable(cause)
    }))

  it.effect("names of a megabyte are kept whole, and rendered short", () =>
    Effect.gen(function*() {
      const name = "x".repeat(1_000_000)
      const saga = Saga.step(Effect.void, () => Effect.fail("refused"), { name }).pipe(
        Effect.andThen(Saga.step(Effect.fail("out of stock"), () => Effect.void, { name })),
        Saga.transact({ name })
      )

      const cause = yield* Effect.flip(Effect.sandbox(saga))

      const error = compensationFailedIn(cause)
      assert.isTrue(error.saga === name && error.failures[0]!.step === name)
      assertReadable(cause, error)
    }))
})

describe("compensateWhen", () => {
  for (const [label, make] of failures.slice(-12)) {
    it.effect(`that throws ${label} unwinds, and the saga keeps both failures`, () =>
      Effect.gen(function*() {
        const ledger = yield* makeLedger
        const thrown = make()
        const saga = ledger.step("reserve").pipe(
          Effect.andThen(Effect.fail("out of stock")),
          Saga.transact({
            compensateWhen: () => {
              throw thrown
            }
          })
        )

        const exit = yield* Effect.exit(saga)

        assert.isTrue(Exit.isFailure(exit))
        const cause = (exit as Exit.Failure<never, string>).cause
        assertHolds(cause, "out of stock")
        assertHolds(cause, thrown)
        assertReadable(cause)
        assert.deepStrictEqual(yield* ledger.lines, ["reserve", "undo reserve"])
      }))
  }
})
