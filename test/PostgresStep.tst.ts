import { type Cause, Context, Effect, type Exit, Schedule, Schema } from "effect"
import type { Step } from "effect-saga"
import { PostgresStep } from "effect-saga/postgres"
import { SqlClient, SqlError } from "effect/sql"
import { describe, expect, test } from "tstyche"

class Refused extends Schema.TaggedError<Refused>()("Refused", { reason: Schema.String }) {}
class StillThere extends Schema.TaggedError<StillThere>()("StillThere", {}) {}
class Clerk extends Context.Service<Clerk, { readonly name: string }>()("Clerk") {}
class Auditor extends Context.Service<Auditor, { readonly name: string }>()("Auditor") {}

const Transfer = Schema.Struct({ from: Schema.String, amount: Schema.FiniteFromString })
type Transfer = typeof Transfer.Type

declare const sql: Effect.Effect<ReadonlyArray<object>, SqlError.SqlError, SqlClient.SqlClient>
declare const move: (
  transfer: Transfer
) => Effect.Effect<number, Refused | SqlError.SqlError, SqlClient.SqlClient | Clerk>
declare const moveBack: (balance: number) => Effect.Effect<void, StillThere | SqlError.SqlError, Auditor>

describe("make", () => {
  test("infers as Step.make does, takes failures of SQL for its own, and needs a client", () => {
    const transfer = PostgresStep.make("transfer", {
      input: Transfer,
      success: Schema.Number,
      error: Refused,
      compensationError: StillThere,
      action: move,
      compensate: moveBack
    })

    expect(transfer).type.toBe<
      Step.Step<Transfer, number, Refused, StillThere, SqlClient.SqlClient | Clerk | Auditor>
    >()
  })

  test("needs a client whatever its action needs", () => {
    expect(PostgresStep.make("nothing", { action: () => Effect.void })).type.toBe<
      Step.Step<void, void, never, never, SqlClient.SqlClient>
    >()
    expect(PostgresStep.make("a statement", { action: () => Effect.asVoid(sql) })).type.toBe<
      Step.Step<void, void, never, never, SqlClient.SqlClient>
    >()
  })

  test("fails with failures of SQL where its error has them", () => {
    const step = PostgresStep.make("transfer", {
      error: Schema.Union([Refused, SqlError.SqlError]),
      action: () => Effect.asVoid(sql)
    })

    expect(step).type.toBe<Step.Step<void, void, Refused | SqlError.SqlError, never, SqlClient.SqlClient>>()
  })

  test("adds what time limits add", () => {
    const step = PostgresStep.make("transfer", {
      error: Refused,
      timeout: "5 seconds",
      compensationTimeout: "5 seconds",
      action: () => Effect.void,
      compensateExit: (exit) => {
        expect(exit).type.toBe<Exit.Exit<void, Refused | Cause.TimeoutError>>()
        return Effect.void
      }
    })

    expect(step).type.toBe<
      Step.Step<void, void, Refused | Cause.TimeoutError, Cause.TimeoutError, SqlClient.SqlClient>
    >()
  })

  test("gives action and compensation what Step.make gives them", () => {
    PostgresStep.make("transfer", {
      input: Transfer,
      success: Schema.Number,
      action: (transfer, context) => {
        expect(transfer).type.toBe<Transfer>()
        expect(context).type.toBe<Step.ActionContext>()
        return Effect.succeed(1)
      },
      compensate: (balance, context) => {
        expect(balance).type.toBe<number>()
        expect(context).type.toBe<Step.CompensationContext<Transfer>>()
        return Effect.void
      }
    })
  })

  test("retries its own errors", () => {
    PostgresStep.make("transfer", {
      error: Refused,
      action: () => Effect.void,
      retry: Schedule.exponential("10 millis").pipe(
        Schedule.setInputType<Refused>(),
        Schedule.while(({ input }) => input.reason === "busy")
      )
    })
  })

  test("has levels of isolation", () => {
    PostgresStep.make("transfer", { action: () => Effect.void, isolation: "serializable" })

    expect(PostgresStep.make).type.not.toBeCallableWith("transfer", {
      action: () => Effect.void,
      isolation: "read uncommitted"
    })
  })

  test("rejects errors that the action does not declare, values that it does not return, and being ambiguous", () => {
    expect(PostgresStep.make).type.not.toBeCallableWith("transfer", { input: Transfer, action: move })
    expect(PostgresStep.make).type.not.toBeCallableWith("transfer", {
      success: Schema.String,
      action: () => Effect.succeed(1)
    })
    expect(PostgresStep.make).type.not.toBeCallableWith("transfer", {
      ambiguous: true,
      action: () => Effect.void
    })
    expect(PostgresStep.make).type.not.toBeCallableWith("transfer", {
      action: () => Effect.void,
      compensate: () => Effect.void,
      compensateExit: () => Effect.void
    })
  })
})
