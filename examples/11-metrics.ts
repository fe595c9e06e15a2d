/*
 * An observer that feeds the five numbers to watch sagas by: completion rate, how often sagas are undone, failure rate
 * and duration of each step, and how many sagas are pending. They are Effect metrics, so any exporter shows them.
 */
import { Console, Data, Duration, Effect, Fiber, Metric } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { TestClock } from "effect/testing"

const completed = Metric.counter("saga_completed")
const undone = Metric.counter("saga_undone")
const pending = Metric.gauge("saga_pending")
const stepRuns = Metric.frequency("saga_step_runs")
const stepFailures = Metric.frequency("saga_step_failures")
const stepDuration = (step: string) => Metric.withAttributes(Metric.timer("saga_step_duration"), { step })

const metrics = SagaObserver.make((event) => {
  switch (event._tag) {
    case "SagaStarted":
      return Metric.modify(pending, 1)
    case "SagaCompleted":
      return Effect.andThen(Metric.update(completed, 1), Metric.modify(pending, -1))
    case "SagaCompensated":
    case "SagaFailed":
      return Effect.andThen(Metric.update(undone, 1), Metric.modify(pending, -1))
    case "StepSucceeded":
    case "StepFailed":
      return Effect.all([
        Metric.update(stepRuns, event.step),
        Metric.update(stepDuration(event.step), Duration.millis(event.at - (event.startedAt ?? event.at))),
        event._tag === "StepFailed" ? Metric.update(stepFailures, event.step) : Effect.void
      ])
    default:
      return Effect.void
  }
})

class NoCar extends Data.TaggedError("NoCar") {}

const bookTrip = Saga.fn("book-trip")(function*(carsLeft: boolean) {
  yield* Saga.step(Effect.sleep("2 seconds"), () => Effect.void, { name: "book-flight" })
  yield* Saga.step(Effect.sleep("1 second"), () => Effect.void, { name: "book-hotel" })
  yield* Saga.step(
    Effect.andThen(Effect.sleep("500 millis"), carsLeft ? Effect.void : Effect.fail(new NoCar())),
    () => Effect.void,
    { name: "book-car" }
  )
})

const percent = (count: number, of: number) => of === 0 ? "none ended" : `${Math.round(100 * count / of)} %`

const printMetrics = Effect.gen(function*() {
  const successes = (yield* Metric.value(completed)).count
  const failures = (yield* Metric.value(undone)).count
  yield* Console.log(`  completion rate         ${percent(successes, successes + failures)}`)
  yield* Console.log(`  compensation frequency  ${percent(failures, successes + failures)}`)
  yield* Console.log(`  pending                 ${(yield* Metric.value(pending)).value}`)

  const runs = (yield* Metric.value(stepRuns)).occurrences
  const runFailures = (yield* Metric.value(stepFailures)).occurrences
  for (const [step, count] of runs) {
    const { sum } = yield* Metric.value(stepDuration(step))
    yield* Console.log(
      `  ${step.padEnd(22)}  ${percent(runFailures.get(step) ?? 0, count)} of ${count} failed, ${
        sum / count
      } ms on average`
    )
  }
})

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const trips = yield* Effect.forkChild(
    Effect.forEach([true, true, false, true], (carsLeft) => Effect.exit(bookTrip(carsLeft)), { concurrency: 4 })
  )

  yield* TestClock.adjust("1 second")
  yield* Console.log("After one second")
  yield* printMetrics

  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(trips)
  yield* Console.log("After one minute")
  yield* printMetrics
}).pipe(
  Effect.provideService(SagaObserver.SagaObserver, metrics),
  // Metrics of its own, and a clock that needn't be waited for.
  Effect.provideService(Metric.MetricRegistry, new Map()),
  Effect.provide(TestClock.layer())
)

if (import.meta.main) await Effect.runPromise(program)
