/*
 * What the suites of durable sagas make their sagas of: a definition with a plain payload, and steps that keep a ledger of
 * what they really did.
 */
import { Deferred, Effect, Latch, Schema } from "effect"
import { DurableSaga, Signal, Step } from "effect-saga"

/** A saga whose payload is its id. It may return any JSON, and fail with a text. */
export const Trip = DurableSaga.make("Trip", {
  payload: Schema.String,
  success: Schema.Json,
  error: Schema.String,
  idempotencyKey: (id) => id
})

/** As `Trip`. Does not wait for an operator when it can't be undone. */
export const Careless = DurableSaga.make("Careless", {
  payload: Schema.String,
  success: Schema.Json,
  error: Schema.String,
  idempotencyKey: (id) => id,
  onCompensationFailure: "fail"
})

export const Go = Signal.make("go", Schema.String)

/** Keeps a line for each effect, in the order in which they took place. */
export const makeLedger = Effect.sync(() => {
  const lines: Array<string> = []
  const note = (line: string) =>
    Effect.sync(() => {
      lines.push(line)
    })
  return {
    /** As it is now, in this very array. */
    lines: lines as ReadonlyArray<string>,
    note,
    /** A step that notes its name, and `undo <name>` when it is compensated. It succeeds with its name. */
    step: (name: string) =>
      Step.make(name, {
        success: Schema.String,
        action: () => Effect.as(note(name), name),
        compensate: () => note(`undo ${name}`)
      })(),
    /** A step that notes its name, and fails. */
    failing: (name: string, error: string = `${name} failed`) =>
      Step.make(name, {
        error: Schema.String,
        action: () => Effect.andThen(note(name), Effect.fail(error)),
        compensate: () => note(`undo ${name}`)
      })(),
    /** As `step`. Its action waits at a gate. */
    slow: (gate: Effect.Effect<void>, name = "slow") =>
      Step.make(name, {
        success: Schema.String,
        action: () => note(name).pipe(Effect.andThen(gate), Effect.as(name)),
        compensate: () => note(`undo ${name}`)
      })(),
    /** As `step`. Its compensation waits at a gate. */
    slowlyUndone: (gate: Effect.Effect<void>, name = "slow") =>
      Step.make(name, {
        success: Schema.String,
        action: () => Effect.as(note(name), name),
        compensate: () => Effect.andThen(note(`undo ${name}`), gate)
      })(),
    /** A step that can't be undone: each attempt notes `undo <name>`, and fails as long as `isBroken` says so. */
    stubborn: (name: string, isBroken: () => boolean = () => true) =>
      Step.make(name, {
        success: Schema.String,
        compensationError: Schema.String,
        action: () => Effect.as(note(name), name),
        compensate: () =>
          Effect.andThen(
            note(`undo ${name}`),
            Effect.suspend(() => isBroken() ? Effect.fail(`${name} is stuck`) : Effect.void)
          )
      })()
  }
})

export type Ledger = Effect.Success<typeof makeLedger>

/** A place where what passes it waits until the test lets it go on. */
export const makeGate = Effect.gen(function*() {
  const arrived = yield* Deferred.make<void>()
  const latch = yield* Latch.make()
  let isOpen = false
  return {
    pass: Effect.suspend(() =>
      Effect.andThen(Deferred.succeed(arrived, undefined), isOpen ? Effect.void : latch.await)
    ),
    /** Waits until somebody stands before it. */
    arrived: Deferred.await(arrived),
    open: Effect.suspend(() => {
      isOpen = true
      return latch.open
    }),
    /** Lets those pass who come from now on. Who waits does so for ever, as in a process that has died. */
    openToOthers: Effect.sync(() => {
      isOpen = true
    })
  }
})
