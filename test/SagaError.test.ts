import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Latch, Logger, Option, Result, Schema } from "effect"
import { Saga, SagaReport } from "effect-saga"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { card: Schema.String }) {}

class RefundRefused extends Schema.TaggedError<RefundRefused>()("RefundRefused", {
  charge: Schema.Number,
  message: Schema.String
}) {}

const compensationFailed = Saga.CompensationFailed.schema({ error: CardDeclined, compensationError: RefundRefused })

const committedIncomplete = Saga.CommittedIncomplete.schema({ error: CardDeclined })

/** Encodes a value as JSON text and decodes it again, as if it had been stored or sent. */
const send = <A>(schema: Schema.Codec<A, unknown>, value: A) => {
  const codec = Schema.toCodecJson(schema)
  return Schema.encodeEffect(codec)(value).pipe(
    Effect.map((json) => JSON.stringify(json)),
    Effect.flatMap((text) => Schema.decodeUnknownEffect(codec)(JSON.parse(text)))
  )
}

const bug = new TypeError("x is not a function")

/** A saga that fails in `ship`, where `charge` refuses to be undone and the compensation of `mail` has a bug. */
const order = Effect.gen(function*() {
  yield* Saga.step(Effect.void, () => Effect.void, { name: "reserve" })
  yield* Saga.step(
    Effect.void,
    () => Effect.fail(new RefundRefused({ charge: 17, message: "the bank said no" })),
    { name: "charge" }
  )
  yield* Saga.step(Effect.void, () => Effect.die(bug), { name: "mail" })
  yield* Saga.step(Effect.fail(new CardDeclined({ card: "4242" })), () => Effect.void, { name: "ship" })
})

const dirty = Effect.flip(Saga.transact(order, { name: "order" })).pipe(
  Effect.flatMap((error) =>
    error._tag === "CompensationFailed" ? Effect.succeed(error) : Effect.die("the saga was undone")
  )
)

const incomplete = Effect.gen(function*() {
  yield* Saga.step(Effect.void, () => Effect.void, { name: "charge" })
  yield* Saga.pivot(Effect.void, { name: "confirm" })
  yield* Saga.step(Effect.fail(new CardDeclined({ card: "4242" })), () => Effect.void, { name: "tip" })
}).pipe(
  (body) => Saga.transact(body, { name: "order" }),
  Effect.flip,
  Effect.flatMap((error) =>
    error._tag === "CommittedIncomplete" ? Effect.succeed(error) : Effect.die("the saga was undone")
  )
)

const failuresOf = <E>(cause: Cause.Cause<E>) => cause.reasons.filter(Cause.isFailReason).map((reason) => reason.error)

const defectsOf = (cause: Cause.Cause<unknown>) =>
  cause.reasons.filter(Cause.isDieReason).map((reason) => reason.defect)

const originsOf = (cause: Cause.Cause<unknown>) =>
  cause.reasons.map((reason) => Context.getUnsafe(Cause.reasonAnnotations(reason), Saga.FailureOrigin))

/** What a report says of its steps, apart from causes. */
const stepsOf = (report: SagaReport.SagaReport) =>
  report.steps.map(({ cause: _cause, compensationCause: _compensationCause, ...step }) => step)

const withoutFrames = (message: string) =>
  message.split("\n").filter((line) => !line.replace("│", "").trimStart().startsWith("at ")).join("\n")

describe("CompensationFailed, stored and read back", () => {
  it.effect("is an instance of its class again, which a handler for its tag catches", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)
      const caught = yield* Effect.catchTag(
        Effect.fail(restored),
        "CompensationFailed",
        (error) => Effect.succeed(error)
      )

      assert.instanceOf(restored, Saga.CompensationFailed)
      assert.instanceOf(restored, Error)
      assert.notStrictEqual(restored, error)
      assert.strictEqual(caught, restored)
      assert.strictEqual(restored.saga, "order")
    }))

  it.effect("is JSON in between, down to the last field", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const json = yield* Schema.encodeEffect(Schema.toCodecJson(compensationFailed))(error)

      assert.deepStrictEqual(JSON.parse(JSON.stringify(json)), json)
    }))

  it.effect("has the typed failures of saga and compensations as instances of their classes", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      const reasons = failuresOf(restored.reason)
      const refusals = restored.failures.flatMap((failure) => failuresOf(failure.cause))
      assert.deepStrictEqual(reasons.map((reason) => reason.card), ["4242"])
      assert.isTrue(reasons.every((reason) => reason instanceof CardDeclined))
      assert.deepStrictEqual(refusals.map(({ charge, message }) => ({ charge, message })), [
        { charge: 17, message: "the bank said no" }
      ])
      assert.isTrue(refusals.every((refusal) => refusal instanceof RefundRefused))
    }))

  it.effect("has the failures of its compensations in the order in which they ran", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      assert.deepStrictEqual(
        restored.failures.map(({ cause, step }) => [step, cause.reasons.map((reason) => reason._tag)]),
        [["mail", ["Die"]], ["charge", ["Fail"]]]
      )
    }))

  it.effect("has its defects with name, message and stack", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      const defects = restored.failures.flatMap((failure) => defectsOf(failure.cause))
      assert.strictEqual(defects.length, 1)
      const [defect] = defects
      assert.instanceOf(defect, Error)
      assert.strictEqual(defect.name, "TypeError")
      assert.strictEqual(defect.message, "x is not a function")
      assert.strictEqual(defect.stack, bug.stack)
    }))

  it.effect.each<readonly [what: string, defect: unknown]>([
    ["a string", "boom"],
    ["a number", 42],
    ["null", null],
    ["an object", { code: 17, nested: { deep: true } }]
  ])("has a defect that is no Error unchanged: %s", ([, defect]) =>
    Effect.gen(function*() {
      const error = yield* Effect.andThen(Saga.step(Effect.void, () => Effect.die(defect)), Effect.die(defect)).pipe(
        (body) => Saga.transact(body),
        Effect.sandbox,
        Effect.flip,
        Effect.map(Cause.squash)
      )
      assert.instanceOf(error, Saga.CompensationFailed)

      const restored = yield* send(
        Saga.CompensationFailed.schema({ error: Schema.Never, compensationError: Schema.Never }),
        error
      )

      assert.deepStrictEqual(defectsOf(restored.reason), [defect])
      assert.deepStrictEqual(defectsOf(restored.failures[0]!.cause), [defect])
    }))

  it.effect("has the interruption that was the reason", () =>
    Effect.gen(function*() {
      const waiting = yield* Latch.make()
      const saga = Effect.gen(function*() {
        yield* Saga.step(Effect.void, () => Effect.fail("refused"), { name: "charge" })
        yield* waiting.open
        yield* Effect.never
      }).pipe((body) => Saga.transact(body), Effect.provide(Logger.layer([])))
      const fiber = yield* Effect.forkChild(saga)
      yield* waiting.await
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      const error = Option.getOrThrow(Exit.findErrorOption(exit))

      const restored = yield* send(
        Saga.CompensationFailed.schema({ error: Schema.Never, compensationError: Schema.String }),
        error
      )

      assert.isTrue(Cause.hasInterruptsOnly(restored.reason))
      assert.deepStrictEqual(Cause.interruptors(restored.reason), Cause.interruptors(error.reason))
      assert.deepStrictEqual(restored.failures.map(({ cause }) => failuresOf(cause)), [["refused"]])
    }))

  it.effect("has its report, with all it says of each step", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      assert.instanceOf(restored.report, SagaReport.SagaReport)
      assert.isTrue(restored.report.steps.every((step) => step instanceof SagaReport.StepReport))
      assert.strictEqual(restored.report.saga, "order")
      assert.strictEqual(restored.report.status, "Failed")
      assert.strictEqual(restored.report.pivot, undefined)
      assert.strictEqual(restored.report.startedAt, error.report.startedAt)
      assert.strictEqual(restored.report.endedAt, error.report.endedAt)
      assert.deepStrictEqual(stepsOf(restored.report), stepsOf(error.report))
      assert.deepStrictEqual(restored.report.steps.map((step) => step.outcome), [
        "Compensated",
        "CompensationFailed",
        "CompensationFailed",
        "Failed"
      ])
    }))

  it.effect("has the causes in its report with name, message and stack", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      const causes = restored.report.steps.map((step) => step.compensationCause ?? step.cause)
      const [reserve, charge, mail, ship] = causes.map((cause) => cause === undefined ? undefined : Cause.squash(cause))
      assert.strictEqual(reserve, undefined)
      assert.instanceOf(charge, Error)
      assert.deepStrictEqual([charge.name, charge.message], ["RefundRefused", "the bank said no"])
      assert.instanceOf(mail, Error)
      assert.deepStrictEqual([mail.name, mail.message, mail.stack], [bug.name, bug.message, bug.stack])
      assert.instanceOf(ship, Error)
      assert.strictEqual(ship.name, "CardDeclined")
      assert.include(ship.stack, "SagaError.test.ts")
    }))

  it.effect("has the message it had before", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      assert.strictEqual(restored.message, error.message)
    }))

  it.effect("has the origin of each failure in its combined cause", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)

      assert.deepStrictEqual(originsOf(restored.cause), [
        { step: "ship", phase: "action" },
        { step: "mail", phase: "compensation" },
        { step: "charge", phase: "compensation" }
      ])
    }))

  it.effect("can be stored again, with nothing lost in the second round", () =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(compensationFailed)
      const error = yield* dirty

      const restored = yield* send(compensationFailed, error)
      const again = yield* send(compensationFailed, restored)

      assert.deepStrictEqual(yield* Schema.encodeEffect(codec)(again), yield* Schema.encodeEffect(codec)(restored))
    }))

  it.effect("takes errors of any schema, not only classes", () =>
    Effect.gen(function*() {
      const error = yield* Saga.step(Effect.void, () => Effect.fail({ refusedAt: 17 }), { name: "charge" }).pipe(
        Effect.andThen(Effect.fail("out of stock" as const)),
        (body) => Saga.transact(body),
        Effect.flip
      )
      assert.instanceOf(error, Saga.CompensationFailed)
      const schema = Saga.CompensationFailed.schema({
        error: Schema.Literal("out of stock"),
        compensationError: Schema.Struct({ refusedAt: Schema.Number })
      })

      const restored = yield* send(schema, error)

      assert.deepStrictEqual(failuresOf(restored.reason), ["out of stock"])
      assert.deepStrictEqual(restored.failures.map(({ cause }) => failuresOf(cause)), [[{ refusedAt: 17 }]])
    }))

  it.effect("is not stored with an error that its schema does not know", () =>
    Effect.gen(function*() {
      const error: unknown = yield* dirty
      const schema = Saga.CompensationFailed.schema({ error: Schema.Number, compensationError: RefundRefused })

      const result = yield* Effect.result(Schema.encodeUnknownEffect(Schema.toCodecJson(schema))(error))

      assert.isTrue(Result.isFailure(result))
    }))

  it.effect("is not read from JSON that is something else", () =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(compensationFailed)
      const { report: _report, ...json } = Object(yield* Schema.encodeEffect(codec)(yield* dirty))

      const withoutReport = yield* Effect.result(Schema.decodeUnknownEffect(codec)(json))
      const nothing = yield* Effect.result(Schema.decodeUnknownEffect(codec)(null))

      assert.isTrue(Result.isFailure(withoutReport))
      assert.isTrue(Result.isFailure(nothing))
    }))
})

describe("CommittedIncomplete, stored and read back", () => {
  it.effect("is an instance of its class again, with its typed failure", () =>
    Effect.gen(function*() {
      const error = yield* incomplete

      const restored = yield* send(committedIncomplete, error)

      assert.instanceOf(restored, Saga.CommittedIncomplete)
      assert.notStrictEqual(restored, error)
      assert.strictEqual(restored._tag, "CommittedIncomplete")
      assert.strictEqual(restored.saga, "order")
      const reasons = failuresOf(restored.reason)
      assert.deepStrictEqual(reasons.map((reason) => reason.card), ["4242"])
      assert.isTrue(reasons.every((reason) => reason instanceof CardDeclined))
    }))

  it.effect("has its defect with name, message and stack", () =>
    Effect.gen(function*() {
      const error = yield* Effect.andThen(Saga.pivot(Effect.void), Effect.die(bug)).pipe(
        (body) => Saga.transact(body),
        Effect.flip
      )

      const restored = yield* send(Saga.CommittedIncomplete.schema({ error: Schema.Never }), error)

      const [defect] = defectsOf(restored.reason)
      assert.instanceOf(defect, Error)
      assert.strictEqual(defect.name, "TypeError")
      assert.strictEqual(defect.message, "x is not a function")
      assert.strictEqual(defect.stack, bug.stack)
    }))

  it.effect("has its report, with the pivot that committed it", () =>
    Effect.gen(function*() {
      const error = yield* incomplete

      const restored = yield* send(committedIncomplete, error)

      assert.instanceOf(restored.report, SagaReport.SagaReport)
      assert.strictEqual(restored.report.pivot, "confirm")
      assert.strictEqual(restored.report.status, "Failed")
      assert.deepStrictEqual(stepsOf(restored.report), stepsOf(error.report))
      assert.deepStrictEqual(restored.report.steps.map((step) => step.outcome), ["Committed", "Committed", "Failed"])
    }))

  it.effect("has the message it had before", () =>
    Effect.gen(function*() {
      const error = yield* incomplete

      const restored = yield* send(committedIncomplete, error)

      assert.strictEqual(restored.message, error.message)
    }))
})

describe("the message of CompensationFailed", () => {
  it.effect("tells what became of each step, why the saga and each compensation failed, and what is left", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const message = withoutFrames(error.message)

      assert.strictEqual(
        message,
        [
          "Saga \"order\" failed and could not be undone completely.",
          "",
          "  1  reserve  compensated",
          "  2  charge   COMPENSATION FAILED",
          "  3  mail     COMPENSATION FAILED",
          "  4  ship     failed",
          "",
          "It failed because of \"ship\":",
          "  │ CardDeclined: {\"card\":\"4242\"}",
          "",
          "Compensation of \"charge\" failed:",
          "  │ RefundRefused: the bank said no",
          "",
          "Compensation of \"mail\" failed:",
          "  │ TypeError: x is not a function (a defect)",
          "",
          "Left to undo: charge, mail."
        ].join("\n")
      )
    }))

  it.effect("has the indented trace of each failure that is an Error", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const lines = error.message.split("\n")

      const header = lines.findIndex((line) => line.startsWith("  │ CardDeclined"))
      assert.match(lines[header + 1]!, /^ {2}│ {5}at .*SagaError\.test\.ts:\d+:\d+\)?$/)
    }))

  it.effect("names the steps that were never tried because undoing stopped", () =>
    Effect.gen(function*() {
      const error = yield* Saga.transact(order, { name: "order", onCompensationFailure: "stop" }).pipe(
        Effect.sandbox,
        Effect.flip,
        Effect.map(Cause.squash)
      )

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(
        withoutFrames(error.message),
        [
          "Saga \"order\" failed and could not be undone completely.",
          "",
          "  1  reserve  NOT UNDONE",
          "  2  charge   NOT UNDONE",
          "  3  mail     COMPENSATION FAILED",
          "  4  ship     failed",
          "",
          "It failed because of \"ship\":",
          "  │ CardDeclined: {\"card\":\"4242\"}",
          "",
          "Compensation of \"mail\" failed:",
          "  │ TypeError: x is not a function (a defect)",
          "",
          "Left to undo: reserve, charge, mail."
        ].join("\n")
      )
    }))

  it.effect("shows failures that are no Error whole, and the places of branches", () =>
    Effect.gen(function*() {
      const error = yield* Effect.gen(function*() {
        yield* Saga.all({
          hotel: Saga.step(Effect.void, () => Effect.fail({ code: 17, hint: "call them" }), { name: "book" }),
          car: Saga.step(Effect.void, Saga.noCompensation, { name: "look up" })
        })
        return yield* Effect.fail("out of stock")
      }).pipe((body) => Saga.transact(body), Effect.flip)

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(
        error.message,
        [
          "Saga \"saga\" failed and could not be undone completely.",
          "",
          "  1  all[hotel]/book   COMPENSATION FAILED",
          "  2  all[car]/look up  done, has no compensation",
          "",
          "It failed between steps, because of:",
          "  │ \"out of stock\"",
          "",
          "Compensation of \"all[hotel]/book\" failed:",
          "  │ {\"code\":17,\"hint\":\"call them\"}",
          "",
          "Left to undo: all[hotel]/book."
        ].join("\n")
      )
    }))

  it.effect("shows every line of a message, and what an Error was caused by", () =>
    Effect.gen(function*() {
      const refusal = new Error("refused:\nno such charge", { cause: new RangeError("17 is out of range") })
      const error = yield* Saga.step(Effect.void, () => Effect.fail(refusal), { name: "charge" }).pipe(
        Effect.andThen(Effect.fail("out of stock")),
        (body) => Saga.transact(body, { name: "order" }),
        Effect.flip
      )

      assert.instanceOf(error, Saga.CompensationFailed)
      assert.strictEqual(
        withoutFrames(error.message),
        [
          "Saga \"order\" failed and could not be undone completely.",
          "",
          "  1  charge  COMPENSATION FAILED",
          "",
          "It failed between steps, because of:",
          "  │ \"out of stock\"",
          "",
          "Compensation of \"charge\" failed:",
          "  │ Error: refused:",
          "  │ no such charge",
          "  │ caused by RangeError: 17 is out of range",
          "",
          "Left to undo: charge."
        ].join("\n")
      )
    }))

  it.effect("stands behind the tag where the error is shown as text", () =>
    Effect.gen(function*() {
      const error = yield* dirty

      const text = String(error)

      assert.strictEqual(text, `CompensationFailed: ${error.message}`)
    }))
})

describe("the message of CommittedIncomplete", () => {
  it.effect("tells that the saga counts as done, and why it failed after that", () =>
    Effect.gen(function*() {
      const error = yield* incomplete

      const message = withoutFrames(error.message)

      assert.strictEqual(
        message,
        [
          "Saga \"order\" failed after its pivot \"confirm\": it counts as done and was not undone.",
          "",
          "  1  charge   committed",
          "  2  confirm  committed",
          "  3  tip      failed",
          "",
          "It failed because of \"tip\":",
          "  │ CardDeclined: {\"card\":\"4242\"}"
        ].join("\n")
      )
    }))

  it.effect("stands behind the tag where the error is shown as text", () =>
    Effect.gen(function*() {
      const error = yield* incomplete

      const text = String(error)

      assert.strictEqual(text, `CommittedIncomplete: ${error.message}`)
    }))
})
