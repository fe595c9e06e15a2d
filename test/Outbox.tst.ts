import type { PgClient } from "@effect/sql-pg"
import { type Cause, Context, Effect, type Layer, type Option, Schedule, Schema } from "effect"
import { Outbox } from "effect-saga/postgres"
import type { SqlClient, SqlError } from "effect/sql"
import { describe, expect, test } from "tstyche"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
class Mailer extends Context.Service<Mailer, { readonly from: string }>()("Mailer") {}

const Booked = Schema.Struct({ trip: Schema.String, at: Schema.Date })
type Booked = typeof Booked.Type

const bookings = Outbox.make("bookings", { message: Booked, key: ({ trip }) => trip })

declare const mail: (booked: Booked) => Effect.Effect<void, Busy, Mailer>

describe("make", () => {
  test("takes messages of its schema", () => {
    expect(bookings).type.toBe<Outbox.Outbox<Booked>>()
    expect(bookings.send).type.toBe<(message: Booked) => Effect.Effect<void, SqlError.SqlError, SqlClient.SqlClient>>()
    expect(bookings.send).type.not.toBeCallableWith({ trip: "1" })
  })

  test("asks for the key of a message", () => {
    expect(Outbox.make).type.not.toBeCallableWith("bookings", { message: Booked })
    expect(Outbox.make).type.not.toBeCallableWith("bookings", { message: Booked, key: ({ at }: Booked) => at })
  })

  test("lists what is dead, and takes decisions on it", () => {
    expect(bookings.dead).type.toBe<
      Effect.Effect<ReadonlyArray<Outbox.Dead<Booked>>, SqlError.SqlError, SqlClient.SqlClient>
    >()
    expect<Outbox.Dead<Booked>["message"]>().type.toBe<Option.Option<Booked>>()
    expect(bookings.retry("id")).type.toBe<Effect.Effect<boolean, SqlError.SqlError, SqlClient.SqlClient>>()
    expect(bookings.skip("id")).type.toBe<Effect.Effect<boolean, SqlError.SqlError, SqlClient.SqlClient>>()
  })
})

describe("toLayer", () => {
  test("gives the handler the message, and what is known of its delivery", () => {
    bookings.toLayer((booked, delivery) => {
      expect(booked).type.toBe<Booked>()
      expect(delivery).type.toBe<Outbox.Delivery>()
      return Effect.void
    })
  })

  test("needs what the handler needs, but for its scope, and the pool", () => {
    expect(bookings.toLayer(mail)).type.toBe<Layer.Layer<never, never, PgClient.PgClient | Mailer>>()
    expect(bookings.toLayer(() => Effect.scope)).type.toBe<Layer.Layer<never, never, PgClient.PgClient>>()
  })

  test("gives the schedule the cause of the failure", () => {
    bookings.toLayer(mail, {
      retry: Schedule.spaced("1 second").pipe(
        Schedule.setInputType<Cause.Cause<Busy>>(),
        Schedule.while(({ input }) => input.reasons.length === 1)
      )
    })
    bookings.toLayer(mail, { retry: Schedule.recurs(3), onDead: "continue", concurrency: 4 })

    expect(bookings.toLayer).type.not.toBeCallableWith(mail, { onDead: "forget" })
  })
})
