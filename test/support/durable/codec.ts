/*
 * What is stored of payloads.
 */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Option, Schema } from "effect"
import { DurableSaga, SagaEngine, Signal, Step } from "effect-saga"
import { causeOf } from "../results.ts"
import { start, testsOn } from "./engine.ts"
import { makeGate, Trip } from "./sagas.ts"
import { endingOf } from "./scenario.ts"
import { type StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const test = testsOn(storage)

  describe(`${name}: a payload codec`, () => {
    /** Turns JSON into hexadecimal digits of its bytes, each of them changed. */
    const codec = (secret: number): SagaEngine.PayloadCodec => ({
      encode: (json) =>
        Effect.sync(() => {
          const bytes = Buffer.from(JSON.stringify(json)).map((byte) => byte ^ secret)
          return `${secret}:${Buffer.from(bytes).toString("hex")}`
        }),
      decode: (stored) =>
        Effect.try({
          try: () => {
            const [key, hex] = String(stored).split(":")
            if (key !== String(secret)) throw new Error("this key is not known")
            return JSON.parse(Buffer.from(Buffer.from(hex!, "hex").map((byte) => byte ^ secret)).toString())
          },
          catch: (error) => error as Error
        })
    })

    const Secret = DurableSaga.make("Secret", {
      payload: Schema.Struct({ id: Schema.String, name: Schema.String }),
      success: Schema.String,
      error: Schema.String,
      idempotencyKey: ({ id }) => id,
      onCompensationFailure: "fail"
    })
    const secrets = ["Alice", "Berlin", "Carla", "Dresden", "Essen", "Frieda", "Gera"] as const
    const [payload, input, value, failure, signal, undoing, last] = secrets

    const secretSaga = (gate: Effect.Effect<void>) => {
      const Note = Signal.make("note", Schema.String)
      const step = Step.make("step", {
        input: Schema.String,
        success: Schema.String,
        compensationError: Schema.String,
        action: () => Effect.succeed(value),
        compensate: (value, { input }) => Effect.fail(`${undoing} of ${value} for ${input}`)
      })
      const fails = Step.make("fails", { error: Schema.String, action: () => Effect.fail(failure) })
      const wait = Step.make("wait", { action: () => gate })
      const seen: Array<string> = []
      const definitions = Secret.toLayer(({ name }) =>
        Effect.gen(function*() {
          seen.push(name)
          seen.push(yield* step(input))
          yield* Effect.catch(fails(), (error) => Effect.sync(() => seen.push(error)))
          seen.push(yield* Note.await)
          yield* wait()
          return yield* Effect.fail(last)
        })
      )
      return { Note, definitions, seen }
    }

    test(
      "keeps everything that is stored of payloads, inputs, values, failures, signals and results unreadable",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { Note, definitions, seen } = secretSaga(gate.pass)
        const first = yield* start(definitions, { codec: codec(17) })
        yield* first.use(Secret.signal("Secret/early", Note, signal))
        yield* first.use(Secret.start({ id: "early", name: payload }))
        yield* gate.arrived
        yield* first.crash
        yield* gate.openToOthers

        const second = yield* start(definitions, { codec: codec(17) })
        const exit = yield* second.exit(Secret.await("Secret/early"))

        assert.deepStrictEqual(seen, [payload, value, failure, signal, payload, value, failure, signal])
        assert.strictEqual(
          endingOf(exit),
          "CompensationFailed step: CompensationFailed, fails: Failed, wait: NoCompensation"
        )
        assert.include((Cause.squash(causeOf(exit)) as Error).message, `${undoing} of ${value} for ${input}`)
        const stored = JSON.stringify(yield* second.history("Secret/early"))
        for (const secret of secrets) assert.notInclude(stored, secret)
        const again = yield* second.exit(Secret.execute({ id: "early", name: payload }))
        assert.deepStrictEqual(endingOf(again), endingOf(exit))
      })
    )

    test(
      "that can't read what is stored parks the execution, which goes on with the right one",
      Effect.gen(function*() {
        const gate = yield* makeGate
        const { Note, definitions, seen } = secretSaga(gate.pass)
        const first = yield* start(definitions, { codec: codec(17) })
        yield* first.use(Secret.start({ id: "1", name: payload }))
        yield* first.reaches("Secret/1", "Waiting")
        yield* first.stop
        const before = [...seen]

        const second = yield* start(definitions, { codec: codec(18) })
        const record = yield* second.reaches("Secret/1", "Parked")
        yield* second.stop
        assert.deepStrictEqual(seen, before)
        const third = yield* start(definitions, { codec: codec(17) })
        yield* third.use(Secret.signal("Secret/1", Note, signal))
        yield* gate.arrived
        yield* gate.open
        yield* third.exit(Secret.await("Secret/1"))

        assert.include(record.reason, "The payload can't be read by the payload codec")
        assert.include(record.reason, "this key is not known")
        assert.deepStrictEqual(seen, [payload, value, failure, payload, value, failure, signal])
        assert.deepStrictEqual(yield* third.use(Secret.poll("Secret/1")).pipe(Effect.map(Option.isSome)), true)
      })
    )

    test(
      "that gives what JSON can't hold parks the execution that it was for and no other, which goes on with the right one",
      Effect.gen(function*() {
        const step = Step.make("step", { input: Schema.String, action: () => Effect.void })
        const definitions = Trip.toLayer((id) => Effect.as(step(`input of ${id}`), id))
        const broken: SagaEngine.PayloadCodec = {
          encode: (json) => Effect.succeed(json === "input of 1" ? (1n as never) : json),
          decode: Effect.succeed
        }
        const first = yield* start(definitions, { codec: broken })
        yield* first.use(Trip.start("1"))

        const { reason } = yield* first.reaches("Trip/1", "Parked")
        const other = yield* first.use(Trip.execute("2"))
        yield* first.stop
        const second = yield* start(definitions)

        assert.strictEqual(
          reason,
          "Execution Trip/1 can't go on. StepSucceeded can't be written: it holds what JSON has no place for, or is nested " +
            "too deep. Nothing is lost. Change the code or the payload codec that made it, and it goes on."
        )
        assert.strictEqual(other, "2")
        assert.strictEqual(yield* second.use(Trip.await("Trip/1")), "1")
      })
    )

    for (
      const [what, encoded] of [
        ["fails", Effect.die(new Error("no key"))],
        ["gives what JSON can't hold", Effect.succeed(1n as never)]
      ] as const
    ) {
      test(
        `that ${what} for the end of an execution parks it, and it goes on with a codec that works`,
        Effect.gen(function*() {
          let broken = true
          const codec: SagaEngine.PayloadCodec = {
            encode: (json) => broken && JSON.stringify(json).includes("the end") ? encoded : Effect.succeed(json),
            decode: Effect.succeed
          }
          const engine = yield* start(
            Trip.toLayer((id) => id === "fails" ? Effect.fail("the end") : Effect.succeed("the end")),
            { codec }
          )
          for (const id of ["fails", "completes"]) {
            yield* engine.use(Trip.start(id))
            yield* engine.reaches(`Trip/${id}`, "Parked")
          }
          broken = false

          // Whoever looks at it has it go on.
          for (const id of ["fails", "completes"]) yield* Effect.ignore(engine.service.retry(`Trip/${id}`))

          assert.strictEqual(endingOf(yield* engine.exit(Trip.await("Trip/fails"))), "Fail the end")
          assert.strictEqual(yield* engine.use(Trip.await("Trip/completes")), "the end")
        })
      )
    }

    test(
      "that can't read a result says so to whoever asks for it",
      Effect.gen(function*() {
        const definitions = Trip.toLayer(() => Effect.succeed("done"))
        const first = yield* start(definitions, { codec: codec(17) })
        yield* first.use(Trip.execute("1"))
        yield* first.stop

        const second = yield* start(definitions, { codec: codec(18) })
        const error = yield* second.use(Effect.flip(Trip.await("Trip/1")))

        assert.instanceOf(error, SagaEngine.SagaEngineError)
        assert.include((error as Error).message, "this key is not known")
      })
    )
  })
}
