import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Layer, Logger } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import { Digest } from "effect/crypto"
import { Activity, Workflow } from "effect/workflow"
import { counts, type Variant } from "./load.ts"
import {
  bookFlight,
  Booking,
  CardDeclined,
  cardDeclined,
  chargeCard,
  Payload,
  payloadOf,
  reserveHotel,
  undo
} from "./trip.ts"

/*
 * Effect Cluster's workflow engine with one runner. Its compensations are activities, so that they are recorded as the
 * others record theirs.
 */

const Trip = Workflow.make("Trip", { payload: Payload, error: CardDeclined, idempotencyKey: ({ id }) => id })

/* Made once, although its users make them in the body: that is faster. */
const activities = {
  reserveHotel: Activity.make({ name: "reserve-hotel", success: Booking, execute: Effect.sync(reserveHotel) }),
  cancelHotel: Activity.make({ name: "cancel-hotel", execute: Effect.sync(undo) }),
  bookFlight: Activity.make({ name: "book-flight", success: Booking, execute: Effect.sync(bookFlight) }),
  cancelFlight: Activity.make({ name: "cancel-flight", execute: Effect.sync(undo) }),
  chargeCard: Activity.make({ name: "charge-card", success: Booking, execute: Effect.sync(chargeCard) }),
  decline: Activity.make({
    name: "charge-card",
    error: CardDeclined,
    execute: Effect.andThen(Effect.sync(chargeCard), Effect.fail(cardDeclined))
  })
}

const tripLayer = (fails: boolean) =>
  Trip.toLayer(Effect.fnUntraced(function*() {
    yield* activities.reserveHotel.pipe(Trip.withCompensation(() => activities.cancelHotel))
    yield* activities.bookFlight.pipe(Trip.withCompensation(() => activities.cancelFlight))
    yield* fails ? activities.decline : activities.chargeCard
  }))

export const cluster: Variant = {
  start: (url, { fails }) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        tripLayer(fails).pipe(
          Layer.provideMerge(ClusterWorkflowEngine.layer),
          Layer.provide(SingleRunner.layer({
            // One that has the database for itself needs no locks in it, which would be looked at for each message.
            runnerStorage: "memory",
            // What it does to notice in tests what could not be sent to another runner.
            shardingConfig: { simulateRemoteSerialization: false }
          })),
          Layer.provide([Digest.layerWebCrypto, PgClient.layer({ url, maxConnections: 20 })]),
          Layer.provide(Logger.layer([]))
        )
      )
      return (number) =>
        Effect.exit(Trip.execute(payloadOf(number))).pipe(
          Effect.map(Exit.isSuccess),
          Effect.provideContext(context)
        )
    }),
  found: counts(
    "SELECT tag || CASE WHEN processed THEN ' processed' ELSE '' END AS name FROM cluster_messages " +
      "UNION ALL SELECT 'reply to ' || tag FROM cluster_replies r JOIN cluster_messages m ON r.request_id = m.id " +
      "UNION ALL SELECT CASE WHEN r.payload LIKE '%CardDeclined%' THEN 'declined' ELSE 'succeeded' END " +
      "FROM cluster_replies r JOIN cluster_messages m ON r.request_id = m.id WHERE m.tag = 'run'"
  ),
  expected: (sagas, fails) => {
    const activities = fails ? 5 : 3
    return {
      "run processed": sagas,
      "activity processed": activities * sagas,
      "reply to run": sagas,
      "reply to activity": activities * sagas,
      [fails ? "declined" : "succeeded"]: sagas
    }
  }
}
