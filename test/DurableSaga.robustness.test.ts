/*
 * Values, names and code that nobody should write, and somebody will. Whatever they do, nothing hangs, nothing is lost, and
 * the journal stays readable: the engine runs other sagas, and a restart on the same store finds the same result.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schedule, Schema } from "effect"
import { Durable, DurableSaga, Saga, SagaStore, Signal, Step } from "effect-saga"
import { settle, start, type TestEngine, testsOn, whileTimePasses } from "./support/durable/engine.ts"
import { makeGate } from "./support/durable/sagas.ts"
import { endingOf } from "./support/durable/scenario.ts"
import { memory, postgres, sqlite, Storage, type StorageLayer } from "./support/durable/storage.ts"

const Healthy = DurableSaga.make("Healthy", {
  payload: Schema.String,
  success: Schema.String,
  idempotencyKey: (id) => id
})
const healthyStep = Step.make("step", {
  input: Schema.String,
  success: Schema.String,
  action: (id) => Effect.succeed(`${id} is fine`)
})
const HealthyLayer = Healthy.toLayer((id) => healthyStep(id))

/** The engine still runs sagas. */
const assertHealthy = Effect.fnUntraced(function*(engine: TestEngine, id: string) {
  assert.strictEqual(yield* engine.use(Healthy.execute(id)), `${id} is fine`)
})

const Odd = DurableSaga.make("Odd", {
  payload: Schema.String,
  success: Schema.Unknown,
  error: Schema.String,
  idempotencyKey: (id) => id,
  onCompensationFailure: "fail"
})
const oddLayer = (body: () => unknown) => Odd.toLayer(body as () => Effect.Effect<unknown>)
/* What a caller without types may write. */
type Mistake = any

const fails = Step.make("fails", { error: Schema.String, action: () => Effect.fail("out of stock") })

const hostile = (): object =>
  new Proxy({}, {
    get: () => {
      throw new Error("hostile get")
    },
    has: () => {
      throw new Error("hostile has")
    },
    ownKeys: () => {
      throw new Error("hostile ownKeys")
    },
    getPrototypeOf: () => {
      throw new Error("hostile getPrototypeOf")
    },
    getOwnPropertyDescriptor: () => {
      throw new Error("hostile getOwnPropertyDescriptor")
    }
  })

const withGetter = (): object =>
  Object.defineProperty({}, "field", {
    enumerable: true,
    get: () => {
      throw new Error("hostile getter")
    }
  })

class HostileError extends Error {
  override get message(): string {
    throw new Error("hostile message")
  }
  override get stack(): string {
    throw new Error("hostile stack")
  }
}

const circular = (): object => {
  const value: Record<string, unknown> = {}
  value.self = value
  return value
}

/* From the inside to the outside, as a call for each level would be too many. */
const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown => {
  let value: unknown = "bottom"
  for (let level = 0; level < levels; level++) value = wrap(value)
  return value
}

/** What is no plain data, or no Error where one is expected. */
const oddities: ReadonlyArray<readonly [what: string, make: () => unknown]> = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["an empty text", () => ""],
  ["a number", () => 7],
  ["NaN", () => NaN],
  ["a bigint", () => 7n],
  ["a symbol", () => Symbol("odd")],
  ["a function", () => () => "odd"],
  ["a date", () => new Date(NaN)],
  ["a map", () => new Map([[1, { a: 1 }]])],
  ["a promise", () => Promise.resolve("odd")],
  ["a frozen error", () => Object.freeze(new Error("frozen"))],
  ["an error with an error as cause", () => new Error("outer", { cause: new Error("inner") })],
  ["an error that is its own cause", () => {
    const error = new Error("self")
    error.cause = error
    return error
  }],
  ["an error that can't be read", () => new HostileError()],
  ["an object without prototype", () => Object.create(null)],
  ["a circular object", circular],
  ["an object whose getter throws", withGetter],
  ["an object whose toJSON throws", () => ({
    toJSON: () => {
      throw new Error("hostile toJSON")
    }
  })],
  ["a proxy that throws at every touch", hostile],
  ["a revoked proxy", () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }],
  ["a list nested deep", () => nested(20_000, (inner) => [inner])],
  ["a list nested less deep", () => nested(2000, (inner) => [inner])],
  ["an error with a field nested deep", () => Object.assign(new Error(), { field: nested(5000, (inner) => [inner]) })],
  ["an error with a long line of causes", () => nested(2000, (cause) => new Error("caused", { cause }))],
  ["a text of 1 MB", () => "x".repeat(1_000_000)],
  ["an error with a message of 1 MB", () => new Error("x".repeat(1_000_000))],
  ["a half character", () => "\uD800"]
]

/* What does not depend on the store. */
const codeSuite = (storage: StorageLayer): void => {
  const test = testsOn(storage)

  /**
   * Runs a saga, stops the engine, and starts another one on the same store. The saga ends, has the same result after the
   * restart, its journal can be read, and other sagas run all the time.
   */
  const survives = (
    sentence: string,
    body: () => unknown,
    check: (exit: Exit.Exit<unknown, unknown>) => void
  ) =>
    test(
      sentence,
      Effect.gen(function*() {
        const definitions = Layer.merge(oddLayer(body), HealthyLayer)
        const first = yield* start(definitions)
        const exit = yield* whileTimePasses(first.exit(Odd.execute("1")))
        check(exit)
        yield* assertHealthy(first, "a")
        yield* first.stop

        const second = yield* start(definitions)
        const again = yield* second.exit(Odd.execute("1"))
        assert.strictEqual(endingOf(again), endingOf(exit))
        yield* assertHealthy(second, "a")
        yield* assertHealthy(second, "b")
        assert.isNotEmpty(yield* second.history("Odd/1"))
      })
    )

  /** As `survives`, with a crash after the saga has done what `before` says, and before it goes on with `after`. */
  const recovers = (
    sentence: string,
    before: Effect.Effect<unknown, unknown, Mistake>,
    after: Effect.Effect<unknown, unknown, Mistake>,
    check: (exit: Exit.Exit<unknown, unknown>) => void
  ) =>
    test(
      sentence,
      Effect.gen(function*() {
        const gate = yield* makeGate
        const wait = Step.make("wait", { action: () => gate.pass })
        const definitions = Layer.merge(
          oddLayer(() => before.pipe(Effect.andThen(wait()), Effect.andThen(after))),
          HealthyLayer
        )
        const first = yield* start(definitions)
        yield* first.use(Odd.start("1"))
        yield* gate.arrived
        yield* assertHealthy(first, "a")
        yield* first.crash
        yield* gate.open

        const second = yield* start(definitions)
        const exit = yield* whileTimePasses(second.exit(Odd.await("Odd/1")))
        check(exit)
        yield* assertHealthy(second, "a")
        yield* assertHealthy(second, "b")
        yield* second.stop

        const third = yield* start(definitions)
        assert.strictEqual(endingOf(yield* third.exit(Odd.await("Odd/1"))), endingOf(exit))
        assert.isNotEmpty(yield* third.history("Odd/1"))
      })
    )

  const undone = (log: Array<string>) => (exit: Exit.Exit<unknown, unknown>) => {
    assert.isTrue(Exit.isFailure(exit))
    assert.deepStrictEqual(log.splice(0), ["undo reserve"])
  }

  /** A step that notes when it is undone. */
  const makeReserve = () => {
    const log: Array<string> = []
    const reserve = Step.make("reserve", {
      action: () => Effect.void,
      compensate: () =>
        Effect.sync(() => {
          log.push("undo reserve")
        })
    })
    return { log, reserve }
  }

  describe(`a step succeeds with`, () => {
    for (const [what, make] of oddities) {
      const { log, reserve } = makeReserve()
      const succeeds = Step.make("succeeds", { success: Schema.String, action: () => Effect.succeed(make() as string) })
      const isText = what.includes("text") || what.includes("character")
      survives(
        `${what} instead of a text`,
        () => Effect.andThen(reserve(), succeeds()),
        isText ? (exit) => assert.deepStrictEqual(exit, Exit.succeed(make())) : undone(log)
      )
      const anything = Step.make("anything", { success: Schema.Unknown, action: () => Effect.succeed(make()) })
      survives(`${what}, which may be anything`, () => Effect.as(anything(), "done"), () => {})
      const any = Step.make("any", {
        input: Schema.Any,
        success: Schema.Any,
        error: Schema.Any,
        action: () => Effect.succeed(make())
      })
      survives(`${what}, which is not looked at`, () => Effect.as(any(null), "done"), () => {})
      survives(`what is given ${what}`, () => Effect.as(any(make()), "done"), () => {})
    }

    for (const [what, make] of [["hostile", hostile], ["without end", circular]] as const) {
      const { log, reserve } = makeReserve()
      const misfit = Step.make("misfit", {
        success: Schema.Any,
        action: () => Effect.succeed(make()),
        compensate: () => Effect.sync(() => log.push("undo misfit"))
      })
      survives(
        `what is ${what}, which is undone at once`,
        () => reserve().pipe(Effect.andThen(Effect.exit(misfit())), Effect.andThen(fails())),
        (exit) => {
          assert.strictEqual(endingOf(exit), "Fail out of stock")
          assert.deepStrictEqual(log.splice(0), ["undo misfit", "undo reserve"])
        }
      )
    }
  })

  describe(`a step fails with`, () => {
    for (const [what, make] of oddities) {
      const one = makeReserve()
      const failing = Step.make("failing", {
        error: Schema.String,
        retry: Schedule.recurs(1),
        action: () => Effect.fail(make() as string)
      })
      survives(`${what} instead of a text`, () => Effect.andThen(one.reserve(), failing()), undone(one.log))
      const two = makeReserve()
      const dying = Step.make("dying", { action: () => Effect.die(make()) })
      survives(`the defect ${what}`, () => Effect.andThen(two.reserve(), dying()), undone(two.log))
    }
  })

  describe(`a step that failed before a crash with`, () => {
    for (const [what, make] of oddities) {
      const failing = Step.make("failing", { error: Schema.String, action: () => Effect.fail(make() as string) })
      const dying = Step.make("dying", { action: () => Effect.die(make()) })
      recovers(
        `${what} has failed after it`,
        Effect.andThen(Effect.exit(failing()), Effect.exit(dying())),
        Effect.succeed("done"),
        (exit) => assert.deepStrictEqual(exit, Exit.succeed("done"))
      )
    }
  })

  describe(`a compensation fails with`, () => {
    for (const [what, make] of oddities) {
      const stuck = Step.make("stuck", {
        compensationError: Schema.String,
        compensationRetry: Schedule.recurs(1),
        action: () => Effect.void,
        compensate: () => Effect.fail(make() as string)
      })
      const dying = Step.make("dying", { action: () => Effect.void, compensate: () => Effect.die(make()) })
      const { log, reserve } = makeReserve()
      survives(
        what,
        () => reserve().pipe(Effect.andThen(stuck()), Effect.andThen(dying()), Effect.andThen(fails())),
        (exit) => {
          assert.strictEqual(
            endingOf(exit),
            "CompensationFailed reserve: Compensated, stuck: CompensationFailed, dying: CompensationFailed, fails: Failed"
          )
          assert.deepStrictEqual(log.splice(0), ["undo reserve"])
        }
      )
    }
  })

  describe(`a saga`, () => {
    for (const [what, make] of oddities) {
      survives(`that returns ${what}`, () => Effect.succeed(make()), () => {})
      const one = makeReserve()
      survives(
        `that fails with ${what}`,
        () => Effect.andThen(one.reserve(), Effect.fail(make() as string)),
        undone(one.log)
      )
      const two = makeReserve()
      survives(`that dies of ${what}`, () => Effect.andThen(two.reserve(), Effect.die(make())), undone(two.log))
    }
  })

  describe(`code that is none`, () => {
    const notEffects: ReadonlyArray<readonly [what: string, make: () => unknown]> = [
      ["returns nothing", () => undefined],
      ["returns null", () => null],
      ["returns a text", () => "done"],
      ["returns a promise", () => Promise.resolve("done")],
      ["returns a promise that rejects", () => Promise.reject(new Error("too late"))],
      ["returns a function", () => () => Effect.void],
      ["is a generator function", function*() {}],
      ["is an async function that throws", async () => {
        throw new Error("too late")
      }],
      ["throws", () => {
        throw new Error("thrown")
      }],
      ["throws undefined", () => {
        throw undefined
      }],
      ["returns a proxy that throws at every touch", hostile],
      ["interrupts itself", () => Effect.interrupt]
    ]

    for (const [what, code] of notEffects) {
      const one = makeReserve()
      const misbehaves = Step.make("misbehaves", { action: code as Mistake, retry: Schedule.recurs(2) })
      survives(`an action that ${what}`, () => Effect.andThen(one.reserve(), misbehaves()), undone(one.log))

      const two = makeReserve()
      const stuck = Step.make("stuck", { action: () => Effect.void, compensate: code as Mistake })
      survives(
        `a compensation that ${what}`,
        () => two.reserve().pipe(Effect.andThen(stuck()), Effect.andThen(fails())),
        (exit) => {
          assert.strictEqual(
            endingOf(exit),
            "CompensationFailed reserve: Compensated, stuck: CompensationFailed, fails: Failed"
          )
          assert.deepStrictEqual(two.log.splice(0), ["undo reserve"])
        }
      )

      survives(`a body that ${what}`, code, (exit) => assert.isTrue(Exit.isFailure(exit)))
    }

    const three = makeReserve()
    const broken = Step.make("broken", {
      error: Schema.String,
      action: () => Effect.fail("again"),
      retry: Schedule.recurs(2).pipe(Schedule.while(() => {
        throw new Error("the schedule is broken")
      }))
    })
    survives(
      "a schedule that throws",
      () => Effect.andThen(three.reserve(), broken()),
      (exit) => {
        undone(three.log)(exit)
        assert.include(endingOf(exit), "the schedule is broken")
      }
    )
  })
}

const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a payload`, () => {
    const Picky = DurableSaga.make("Picky", {
      payload: Schema.Struct({ id: Schema.String }),
      success: Schema.String,
      idempotencyKey: ({ id }) => {
        if (id === "throws") throw new Error("no key")
        return id === "number" ? 7 as Mistake : id === "nothing" ? undefined as Mistake : id
      }
    })
    const definitions = Layer.merge(Picky.toLayer(({ id }) => Effect.succeed(id)), HealthyLayer)

    test(
      "that does not fit its schema, or has no id, is refused, and nothing is started",
      Effect.gen(function*() {
        const engine = yield* start(definitions)
        const payloads = [
          ...oddities.map(([, make]) => make()),
          { id: 7 },
          { id: "" },
          { id: "number" },
          { id: "nothing" },
          { id: "throws" },
          { id: "a\u0000" },
          { id: "\uD800" }
        ]

        for (const payload of payloads as ReadonlyArray<Mistake>) {
          for (const call of [Picky.execute, Picky.start]) {
            const exit = yield* engine.exit(call(payload))
            assert.isTrue(Exit.isFailure(exit))
          }
        }

        assert.deepStrictEqual(yield* engine.service.list(), [])
        yield* assertHealthy(engine, "a")
      })
    )

    test(
      "of a child, or a signal, that does not fit its schema is refused",
      Effect.gen(function*() {
        const Note = Signal.make("note", Schema.String)
        const engine = yield* start(Layer.merge(
          definitions,
          Odd.toLayer(() => Effect.exit(Picky.execute({ id: 7 } as Mistake)).pipe(Effect.as("done")))
        ))

        for (const [, make] of oddities.filter(([what]) => !what.includes("text") && !what.includes("character"))) {
          assert.isTrue(Exit.isFailure(yield* engine.exit(Odd.signal("Odd/1", Note, make() as string))))
        }

        assert.strictEqual(yield* engine.use(Odd.execute("1")), "done")
        yield* assertHealthy(engine, "a")
      })
    )
  })

  const long = "x".repeat(10_000)
  const names = [
    "a/b",
    "/",
    "a#2",
    "a",
    "a/undo",
    "a/undo#2",
    "undo\na",
    "undo\n",
    "\na",
    "a\r\n\tb",
    "🎫",
    "支払い",
    "e\u0301",
    "\u00e9",
    "\u0000",
    "a\u0000b",
    "\uD800",
    "\"quoted\" 'twice' `thrice`",
    "'; DROP TABLE execution; --",
    "%_\\",
    "__proto__",
    "constructor",
    "toString",
    long
  ]

  /* Zero and half characters are refused there. */
  const ids = names.filter((name) => !/[\0\uD800]/u.test(name))

  describe(`${name}: names and ids`, () => {
    test(
      "may be anything, also where a path is made of them: each step keeps its own result, and is undone once",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const log: Array<string> = []
        const wait = Step.make("wait", { action: () => gate.pass })
        const stepOf = (name: string) =>
          Step.make(name, {
            success: Schema.Int,
            action: () => Effect.sync(() => log.push(`do ${name}`)),
            compensate: (value) => Effect.sync(() => log.push(`undo ${name} ${value}`))
          })
        const results: Array<ReadonlyArray<unknown>> = []
        const definitions = Layer.merge(
          Odd.toLayer(() =>
            Effect.gen(function*() {
              const one = yield* Effect.forEach(names, (name) => stepOf(name)())
              const two = yield* Effect.forEach(names, (name) => Saga.savepoint(stepOf("a")(), { name }))
              const three = yield* Effect.forEach(names, (name) => stepOf("a")(undefined, { name }))
              const four = yield* Effect.forEach(
                names,
                (name) => Effect.andThen(Durable.sleep(0, { name }), Signal.make(name, Schema.String).await)
              )
              results.push([...one, ...two, ...three, ...four])
              yield* wait()
              return yield* Effect.fail("out of stock")
            })
          ),
          HealthyLayer
        )
        const count = names.length
        const first = yield* start(definitions)
        for (const name of names) yield* first.use(Odd.signal("Odd/1", Signal.make(name, Schema.String), `to ${name}`))
        yield* first.use(Odd.start("1"))
        yield* whileTimePasses(gate.arrived)
        yield* first.crash
        yield* gate.open
        const done = log.splice(0)

        const second = yield* start(definitions)
        const exit = yield* whileTimePasses(second.exit(Odd.await("Odd/1")))

        assert.strictEqual(endingOf(exit), "Fail out of stock")
        assert.lengthOf(done, 3 * count)
        assert.deepStrictEqual(results[0]!.slice(3 * count), names.map((name) => `to ${name}`))
        assert.deepStrictEqual(results[1], results[0])
        assert.deepStrictEqual(
          log,
          done.map((line, index) => `un${line} ${index + 1}`).toReversed()
        )
        yield* assertHealthy(second, "a")
      })
    )

    test(
      "may be anything, also where a crash comes while they are undone",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const log: Array<string> = []
        const stepOf = (name: string) =>
          Step.make(name, {
            action: () => Effect.void,
            compensate: () =>
              Durable.uuid.pipe(
                Effect.andThen(name === "a#2" ? gate.pass : Effect.void),
                Effect.andThen(Durable.uuid),
                Effect.andThen(Effect.sync(() => log.push(name)))
              )
          })
        const definitions = Layer.merge(
          oddLayer(() =>
            Saga.savepoint(Durable.uuid, { name: "a/undo" }).pipe(
              Effect.andThen(Effect.forEach(names, (name) => stepOf(name)())),
              Effect.andThen(fails())
            )
          ),
          HealthyLayer
        )
        const first = yield* start(definitions)
        yield* first.use(Odd.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions)
        const exit = yield* second.exit(Odd.await("Odd/1"))

        assert.strictEqual(endingOf(exit), "Fail out of stock")
        assert.deepStrictEqual(log, names.toReversed())
        yield* assertHealthy(second, "a")
      })
    )

    test(
      "of executions may be anything: each is found again, and no other one",
      Effect.gen(function*() {
        const first = yield* start(HealthyLayer)
        yield* Effect.forEach(ids, (id) => assertHealthy(first, id), { concurrency: "unbounded" })
        yield* first.stop

        const second = yield* start(HealthyLayer)
        yield* Effect.forEach(ids, (id) => assertHealthy(second, id), { concurrency: "unbounded" })
        for (const id of ids) {
          const record = yield* second.service.get(Healthy.executionId(id))
          assert.strictEqual(record.id, `Healthy/${id}`)
          assert.lengthOf(yield* second.history(record.id), 3)
        }
        assert.lengthOf(yield* second.service.list(), ids.length)
      })
    )

    test(
      "of definitions may be anything but a slash, up to 200 characters",
      Effect.gen(function*() {
        const definitions = ids.filter((name) => !name.includes("/")).map((name) =>
          DurableSaga.make(name.slice(0, 200), { success: Schema.String, idempotencyKey: () => "1" })
        )
        const layers = Layer.mergeAll(
          HealthyLayer,
          ...definitions.map((one) => one.toLayer(() => Effect.succeed(one.name)))
        )
        const first = yield* start(layers)
        for (const one of definitions) assert.strictEqual(yield* first.use(one.execute()), one.name)
        yield* first.stop

        const second = yield* start(layers)
        for (const one of definitions) {
          assert.strictEqual(yield* second.use(one.execute()), one.name)
          assert.deepStrictEqual(
            (yield* second.service.list({ definition: one.name })).map(({ id }) => id),
            [`${one.name}/1`]
          )
        }
        yield* assertHealthy(second, "a")
      })
    )
  })

  /** Schemas with values that JSON has no words for. */
  const kept: ReadonlyArray<readonly [what: string, schema: Step.Storable, value: unknown]> = [
    ["NaN", Schema.Number, NaN],
    ["-0", Schema.Number, -0],
    ["Infinity", Schema.Number, -Infinity],
    ["the largest number", Schema.Number, Number.MAX_VALUE],
    ["undefined", Schema.Undefined, undefined],
    ["undefined or a text", Schema.UndefinedOr(Schema.String), undefined],
    ["null or a text", Schema.NullOr(Schema.String), null],
    ["a bigint", Schema.BigInt, 2n ** 100n],
    ["a date", Schema.Date, new Date(0)],
    ["a map", Schema.ReadonlyMap(Schema.String, Schema.Number), new Map([["a", NaN]])],
    ["a set", Schema.ReadonlySet(Schema.BigInt), new Set([1n])],
    ["an option", Schema.Option(Schema.Undefined), Option.some(undefined)],
    ["bytes", Schema.Uint8Array, new Uint8Array([0, 255])],
    ["a symbol", Schema.Symbol, Symbol.for("kept")],
    ["a key that is left out", Schema.Struct({ a: Schema.optionalKey(Schema.String) }), {}],
    ["a key that is undefined", Schema.Struct({ a: Schema.optional(Schema.String) }), { a: undefined }],
    [
      "keys of every object",
      Schema.Record(Schema.String, Schema.Number),
      JSON.parse("{\"__proto__\": 1, \"toString\": 2}")
    ],
    ["an empty text", Schema.String, ""],
    ["a half character", Schema.String, "\uD800"],
    ["a zero character", Schema.String, "a\u0000b"],
    ["1 MB", Schema.String, "🎫".repeat(262_144)],
    ["an array of 1 MB", Schema.Array(Schema.Number), Array.from({ length: 150_000 }, (_, index) => index)],
    ["deeply nested arrays", Schema.Json, JSON.parse(`${"[".repeat(500)}${"]".repeat(500)}`)]
  ]

  describe(`${name}: a value that is kept`, () => {
    for (const [what, schema, value] of kept) {
      test(
        `as payload, input, value, failure, signal and result: ${what}`,
        Effect.gen(function*() {
          const gate = yield* makeGate
          const seen: Array<unknown> = []
          const see = (one: unknown) =>
            Effect.sync(() => {
              seen.push(one)
            })
          const returns = Step.make("returns", {
            input: schema,
            success: schema,
            action: Effect.succeed,
            compensate: (given, { input }) => Effect.andThen(see(given), see(input))
          })
          const failing = Step.make("failing", { input: schema, error: schema, action: Effect.fail })
          const wait = Step.make("wait", { action: () => gate.pass })
          const Sent = Signal.make("sent", schema)
          const Keeps = DurableSaga.make("Keeps", {
            payload: schema,
            success: schema,
            error: schema,
            idempotencyKey: () => "1"
          })
          const Fails = DurableSaga.make("Fails", {
            payload: schema,
            success: schema,
            error: schema,
            idempotencyKey: () => "1"
          })
          const definitions = Layer.mergeAll(
            Keeps.toLayer((payload) =>
              Effect.gen(function*() {
                yield* see(payload)
                yield* see(yield* returns(value))
                yield* see(yield* Effect.flip(failing(value)))
                yield* see(yield* Sent.await)
                yield* wait()
                return value
              })
            ),
            Fails.toLayer((payload) => Effect.andThen(returns(payload), Effect.fail(value))),
            HealthyLayer
          )
          const first = yield* start(definitions)
          const id = yield* first.use(Keeps.start(value))
          yield* first.use(Keeps.signal(id, Sent, value))
          yield* gate.arrived
          yield* first.crash
          yield* gate.open

          const second = yield* start(definitions)
          yield* see(yield* second.use(Keeps.await(id)))
          const error = yield* second.use(Effect.flip(Fails.execute(value)))
          yield* see(error)
          yield* second.stop
          const third = yield* start(definitions)
          yield* see(yield* third.use(Keeps.await(id)))
          yield* see(yield* third.use(Effect.flip(Fails.execute(value))))

          assert.lengthOf(seen, 14)
          // JSON knows one zero.
          for (const one of seen) assert.deepEqual(one, Object.is(value, -0) && !Object.is(one, -0) ? 0 : value)
          yield* assertHealthy(third, "a")
        })
      )
    }
  })

  describe(`${name}: a payload codec`, () => {
    const poisoned = (encode: (text: string) => Effect.Effect<string>) => ({
      encode: (json: Schema.Json) => encode(JSON.stringify(json)),
      decode: (stored: Schema.Json) => Effect.sync(() => JSON.parse(String(stored)))
    })

    for (
      const [what, poison] of [
        ["dies", () => Effect.die(new Error("no key"))],
        ["throws", () => {
          throw new Error("no key")
        }]
      ] as const
    ) {
      for (const where of ["input", "value", "failure", "result"]) {
        test(
          `that ${what} while it encodes the ${where} has the saga wait until it does not`,
          Effect.gen(function*() {
            const codec = poisoned((text) => text.includes(where) ? poison() : Effect.succeed(text))
            const log: Array<string> = []
            const work = Step.make("work", {
              input: Schema.String,
              success: Schema.String,
              action: (_, { idempotencyKey }) => Effect.sync(() => `value ${log.push(idempotencyKey) > 0}`)
            })
            const failing = Step.make("failing", { error: Schema.String, action: () => Effect.fail("failure") })
            const definitions = Layer.merge(
              oddLayer(() => work("input").pipe(Effect.andThen(Effect.exit(failing())), Effect.as("result"))),
              HealthyLayer
            )
            const first = yield* start(definitions, { codec })
            yield* first.use(Odd.start("1"))
            const record = yield* first.reaches("Odd/1", "Parked")
            yield* assertHealthy(first, "a")
            yield* first.stop

            const second = yield* start(definitions, { codec: poisoned(Effect.succeed) })
            assert.strictEqual(yield* second.use(Odd.await("Odd/1")), "result")

            assert.include(record.reason, "no key")
            assert.lengthOf(new Set(log), 1)
            assert.lengthOf(log, where === "value" ? 2 : 1)
            yield* assertHealthy(second, "b")
          })
        )
      }
    }

    test(
      "keeps what is in payloads out of the reasons that everybody can read",
      Effect.gen(function*() {
        const secret = "4111 1111"
        const codec = poisoned((text) => Effect.succeed(Buffer.from(text).toString("base64")))
        const decode = (stored: Schema.Json) =>
          Effect.sync(() => JSON.parse(Buffer.from(String(stored), "base64").toString()))
        const Secret = DurableSaga.make("Secret", { payload: Schema.String, idempotencyKey: (id) => id })
        let input = secret
        const work = Step.make("work", { input: Schema.String, action: () => Effect.void })
        const stuck = Step.make("stuck", {
          action: () => Effect.void,
          compensate: () => Effect.die(new TypeError(`no refund of ${secret}`))
        })
        const dies = Step.make("dies", { action: () => Effect.die(new TypeError(`no courier for ${secret}`)) })
        const definitions = Secret.toLayer((id) =>
          Effect.gen(function*() {
            yield* work(input)
            if (id === "stuck") yield* stuck()
            if (id === "pivot") yield* Saga.pivot(work(""))
            if (id === "waits") yield* Durable.sleep("1 day")
            yield* dies()
          })
        )
        const first = yield* start(definitions, { codec: { ...codec, decode } })
        const reasons: Array<string | null> = []
        for (const id of ["stuck", "pivot"]) {
          yield* first.use(Secret.start(id))
          reasons.push((yield* first.reaches(`Secret/${id}`, "Parked")).reason)
        }
        yield* first.use(Secret.start("waits"))
        yield* first.reaches("Secret/waits", "Waiting")
        yield* first.stop
        input = `${secret}, too`
        const second = yield* start(definitions, { codec: { ...codec, decode } })
        reasons.push((yield* second.reaches("Secret/waits", "Parked")).reason)

        assert.match(reasons[0]!, /^Step "stuck" could not be undone: TypeError\.$/)
        assert.match(reasons[1]!, /^It failed after its pivot: TypeError$/)
        assert.match(reasons[2]!, /Step "work" had another input/)
        for (const id of ["stuck", "pivot", "waits"]) {
          const stored = JSON.stringify([
            yield* second.service.get(`Secret/${id}`),
            yield* second.history(`Secret/${id}`)
          ])
          assert.notInclude(stored, secret)
        }
      })
    )

    test(
      "takes the value of a step that an operator resolves",
      Effect.gen(function*() {
        const late = Step.make("late", {
          success: Schema.String,
          error: Schema.String,
          action: () => Effect.fail("out of stock")
        })
        const Strict = DurableSaga.make("Strict", {
          success: Schema.String,
          error: Schema.String,
          idempotencyKey: () => "1"
        })
        const engine = yield* start(
          Strict.toLayer(() => Effect.andThen(Saga.pivot(healthyStep("it")), late())),
          { codec: poisoned(Effect.succeed) }
        )
        const id = yield* engine.use(Strict.start())
        yield* engine.reaches(id, "Parked")

        yield* engine.service.resolve(id, "sent by hand")

        assert.strictEqual(yield* engine.use(Strict.await(id)), "sent by hand")
      })
    )

    test(
      "does not change why a saga was undone",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const log: Array<string> = []
        let isSlow = false
        const work = Step.make("work", {
          action: () => Effect.void,
          compensate: (_, { cause }) =>
            Effect.andThen(gate.pass, Effect.sync(() => log.push(endingOf(Exit.failCause(cause)))))
        })
        // The second time its body is stopped before it fails, since it is known that it is undone.
        const definitions = oddLayer(() =>
          Effect.andThen(work(), Effect.suspend(() => isSlow ? Effect.never : Effect.fail("out of stock")))
        )
        const codec = {
          encode: (json: Schema.Json) => Effect.succeed({ sealed: json }),
          decode: (stored: Schema.Json) =>
            Effect.as(Effect.yieldNow, (stored as { readonly sealed: Schema.Json }).sealed)
        }
        const first = yield* start(definitions, { codec })
        yield* first.use(Odd.start("1"))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers
        isSlow = true

        const second = yield* start(definitions, { codec })
        const exit = yield* second.exit(Odd.await("Odd/1"))

        assert.strictEqual(endingOf(exit), "Fail out of stock")
        assert.deepStrictEqual(log, ["Fail out of stock"])
      })
    )

    test(
      "that takes its time does not keep a saga from being cancelled",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const codec = poisoned(Effect.succeed)
        const engine = yield* start(
          oddLayer(() => Durable.sleep("1 day")),
          { codec: { ...codec, decode: (stored) => Effect.andThen(gate.pass, codec.decode(stored)) } }
        )
        yield* engine.use(Odd.start("1"))
        yield* gate.arrived

        yield* engine.use(Odd.cancel("Odd/1"))
        yield* gate.open

        assert.instanceOf(yield* engine.use(Effect.flip(Odd.await("Odd/1"))), DurableSaga.Cancelled)
      })
    )
  })

  describe(`${name}: a client that is faster than the recovery`, () => {
    /** A store that takes its time to read what is unfinished. */
    const slowly = (gate: Effect.Effect<void>) =>
      Layer.effect(
        Storage,
        Effect.map(Storage, (storage) => ({
          ...storage,
          layer: Layer.provide(
            Layer.effect(
              SagaStore.SagaStore,
              Effect.map(SagaStore.SagaStore, (store) => ({
                ...store,
                unfinished: (options) => Effect.tap(store.unfinished(options), () => gate)
              } satisfies SagaStore.SagaStore["Service"]))
            ),
            storage.layer
          )
        }))
      )
    const Go = Signal.make("go", Schema.String)

    for (
      const [what, call] of [
        ["signal", () => Odd.signal("Odd/1", Go, "go")],
        ["start", () => Effect.andThen(Odd.start("1"), Odd.signal("Odd/1", Go, "go"))],
        ["poll", () => Effect.andThen(Odd.poll("Odd/1"), Odd.signal("Odd/1", Go, "go"))]
      ] as const
    ) {
      test(
        `finds the saga that it wants to ${what}, which goes on once`,
        Effect.gen(function*() {
          const log: Array<string> = []
          const note = Step.make("note", { input: Schema.String, action: (line) => Effect.sync(() => log.push(line)) })
          const definitions = Layer.merge(
            oddLayer(() =>
              note("before").pipe(Effect.andThen(Go.await), Effect.flatMap((line) => note(line)), Effect.as("done"))
            ),
            HealthyLayer
          )
          const first = yield* start(definitions)
          yield* first.use(Odd.start("1"))
          yield* first.reaches("Odd/1", "Waiting")
          yield* first.stop
          const gate = yield* makeGate
          const second = yield* Effect.provide(start(definitions), slowly(gate.pass))
          yield* gate.arrived

          yield* second.use(call())
          const exit = yield* second.exit(Odd.await("Odd/1"))
          yield* gate.open
          yield* settle

          assert.isTrue(Exit.isSuccess(exit))
          assert.deepStrictEqual(yield* second.exit(Odd.execute("1")), exit)
          assert.deepStrictEqual(log, ["before", "go"])
          yield* assertHealthy(second, "a")
        })
      )
    }
  })
}

codeSuite(memory)
suite("in memory", memory)
suite("in SQLite", sqlite)
suite("in PostgreSQL", postgres)
