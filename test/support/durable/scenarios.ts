/*
 * What holds for a saga in memory holds for one that is kept.
 */
import { describe } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Saga, Step } from "effect-saga"
import { scenariosOn } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

export const suite = (name: string, storage: StorageLayer): void => {
  const scenario = scenariosOn(storage)

  describe(`${name}: a sequence of steps`, () => {
    scenario(
      "returns their results in order, and undoes none of them",
      ({ step }) => Effect.all([step("flight"), step("hotel"), step("car")]),
      { ends: `Success ["flight","hotel","car"]`, lines: ["flight", "hotel", "car"] }
    )

    scenario("may be empty", () => Effect.succeed("nothing to do"), { ends: `Success "nothing to do"`, lines: [] })

    scenario(
      "of one that fails reports its error, and nothing else runs, not even its own compensation",
      ({ failing, step }) => Effect.andThen(failing("charge", "declined"), step("ship")),
      { ends: "Fail declined", lines: ["charge"] }
    )

    scenario(
      "is undone in reverse where one fails, and those after that one never start",
      ({ failing, step }) => Effect.as(Effect.all([step("a"), step("b"), failing("c"), step("d")]), null),
      { ends: "Fail c failed", lines: ["a", "b", "c", "undo b", "undo a"] }
    )

    scenario(
      "is undone where code between two steps fails",
      ({ step }) => step("a").pipe(Effect.andThen(Effect.fail("no price")), Effect.andThen(step("b"))),
      { ends: "Fail no price", lines: ["a", "undo a"] }
    )

    scenario(
      "is undone where code between two steps throws",
      ({ step }) =>
        Effect.map(step("a"), () => {
          throw new Error("a bug")
        }),
      { ends: "Die a bug", lines: ["a", "undo a"] }
    )

    scenario(
      "is undone where an action dies, and the defect is kept",
      ({ note, step }) => {
        const dying = Step.make("b", {
          action: () => Effect.andThen(note("b"), Effect.die(new Error("a bug in b"))),
          compensate: () => note("undo b")
        })
        return Effect.as(Effect.andThen(step("a"), dying()), null)
      },
      { ends: "Die a bug in b", lines: ["a", "b", "undo a"] }
    )

    scenario(
      "may have one without a compensation between two others, which are both undone",
      ({ failing, note, step }) => {
        const look = Step.make("look", { action: () => note("look") })
        return Effect.as(Effect.all([step("a"), look(), step("b"), failing("c")]), null)
      },
      { ends: "Fail c failed", lines: ["a", "look", "b", "c", "undo b", "undo a"] }
    )

    scenario(
      "may have actions that are effects, promises and plain functions",
      ({ failing, note }) => {
        const sync = Step.make("sync", {
          success: Schema.Number,
          action: () => Effect.sync(() => 1),
          compensate: (value) => note(`undo ${value}`)
        })
        const promise = Step.make("promise", {
          success: Schema.Number,
          action: () => Effect.promise(() => Promise.resolve(2)),
          compensate: (value) => Effect.promise(() => Promise.resolve()).pipe(Effect.andThen(note(`undo ${value}`)))
        })
        const yielding = Step.make("yielding", {
          success: Schema.Number,
          action: () => Effect.as(Effect.yieldNow, 3),
          compensate: (value) => Effect.andThen(Effect.yieldNow, note(`undo ${value}`))
        })
        return Effect.andThen(Effect.all([sync(), promise(), yielding()]), Effect.as(failing("last"), null))
      },
      { ends: "Fail last failed", lines: ["last", "undo 3", "undo 2", "undo 1"] }
    )

    scenario(
      "is one stack, whichever combinator put it together",
      ({ failing, step }) =>
        Effect.map(step("a"), (name) => name.length).pipe(
          Effect.flatMap(() => Effect.zip(step("b"), step("c"))),
          Effect.flatMap(() => Effect.flatten(Effect.succeed(step("d")))),
          Effect.flatMap(() => Effect.forEach(["e", "f"], step)),
          Effect.andThen(failing("g")),
          Effect.as(null)
        ),
      {
        ends: "Fail g failed",
        lines: ["a", "b", "c", "d", "e", "f", "g", "undo f", "undo e", "undo d", "undo c", "undo b", "undo a"]
      }
    )

    scenario(
      "undoes what happened, and not what a condition says by then",
      ({ failing, note, step }) => {
        let isMember = true
        const leave = Step.make("leave", {
          action: () =>
            Effect.sync(() => {
              isMember = false
            }),
          compensate: () => note("rejoin")
        })
        return Effect.suspend(() => isMember ? step("discount") : step("full price")).pipe(
          Effect.andThen(leave()),
          Effect.andThen(Effect.when(step("refund"), Effect.sync(() => isMember))),
          Effect.andThen(failing("ship")),
          Effect.as(null)
        )
      },
      { ends: "Fail ship failed", lines: ["discount", "ship", "rejoin", "undo discount"] }
    )

    scenario(
      "may end early, and then nothing is undone",
      ({ step }) =>
        Effect.gen(function*() {
          const found = yield* step("look")
          if (found === "look") return "there already"
          return yield* step("create")
        }),
      { ends: `Success "there already"`, lines: ["look"] }
    )

    scenario(
      "goes on with the fallback of a step that failed, and not with one for another step",
      ({ failing, step }) =>
        Effect.gen(function*() {
          yield* Effect.catch(step("a"), () => step("instead of a"))
          yield* Effect.catch(failing("b"), () => step("instead of b"))
          yield* failing("c")
          return null
        }),
      { ends: "Fail c failed", lines: ["a", "b", "instead of b", "c", "undo instead of b", "undo a"] }
    )
  })

  describe(`${name}: a step that is compensated whatever its outcome`, () => {
    const charge = (note: (line: string) => Effect.Effect<void>, error?: string) =>
      Step.make("charge", {
        success: Schema.String,
        error: Schema.String,
        action: () =>
          Effect.andThen(note("charge"), error === undefined ? Effect.succeed("receipt") : Effect.fail(error)),
        compensateExit: (exit) => note(`undo charge that ${Exit.isSuccess(exit) ? exit.value : "failed"}`)
      })()

    scenario(
      "is the first to be undone where it fails itself",
      ({ note, step }) => Effect.andThen(step("a"), charge(note, "declined")),
      { ends: "Fail declined", lines: ["a", "charge", "undo charge that failed", "undo a"] }
    )

    scenario(
      "is undone with its value where a later one fails",
      ({ failing, note }) => Effect.as(Effect.andThen(charge(note), failing("ship")), null),
      { ends: "Fail ship failed", lines: ["charge", "ship", "undo charge that receipt"] }
    )

    scenario(
      "may act on one of the two only",
      ({ failing, note }) => {
        const step = (name: string, on: "Success" | "Failure", fails: boolean) =>
          Step.make(name, {
            error: Schema.String,
            action: () => Effect.andThen(note(name), fails ? Effect.fail(`${name} failed`) : Effect.void),
            compensateExit: (exit) => exit._tag === on ? note(`undo ${name} on ${on}`) : Effect.void
          })()
        return Effect.gen(function*() {
          yield* step("a", "Success", false)
          yield* step("b", "Failure", false)
          yield* Effect.ignore(step("c", "Success", true))
          yield* Effect.ignore(step("d", "Failure", true))
          yield* failing("e")
          return null
        })
      },
      { ends: "Fail e failed", lines: ["a", "b", "c", "d", "e", "undo d on Failure", "undo a on Success"] }
    )
  })

  describe(`${name}: branches`, () => {
    const slow = (note: (line: string) => Effect.Effect<void>) => (name: string, seconds: number, error?: string) =>
      Step.make(name, {
        success: Schema.String,
        error: Schema.String,
        action: () =>
          note(name).pipe(
            Effect.andThen(Effect.sleep(seconds * 1000)),
            Effect.andThen(note(`${name} ended`)),
            Effect.andThen(error === undefined ? Effect.succeed(name) : Effect.fail(error))
          ),
        compensate: () => note(`undo ${name}`)
      })()

    scenario(
      "overlap in time, and give their results in the order of declaration",
      ({ note }) => Saga.all([slow(note)("a", 2), slow(note)("b", 1)], { concurrency: "unbounded" }),
      { ends: `Success ["a","b"]`, lines: ["a", "b", "b ended", "a ended"] }
    )

    scenario(
      "of which one fails wait for the one that runs, which is undone",
      ({ note }) => Saga.all([slow(note)("a", 1, "no room"), slow(note)("b", 2)], { concurrency: "unbounded" }),
      { ends: "Fail no room", lines: ["a", "b", "a ended", "b ended", "undo b"] }
    )

    scenario(
      "that both fail have both failures in the cause",
      ({ note }) =>
        Saga.all([slow(note)("a", 2, "no room"), slow(note)("b", 1, "no seat")], { concurrency: "unbounded" }),
      { ends: "Fail no seat; Fail no room", lines: ["a", "b", "b ended", "a ended"] }
    )

    scenario(
      "are undone in the reverse of the order in which they completed",
      ({ failing, note }) =>
        Saga.all([slow(note)("a", 3), slow(note)("b", 1), slow(note)("c", 2)], { concurrency: "unbounded" }).pipe(
          Effect.andThen(failing("last")),
          Effect.as(null)
        ),
      {
        ends: "Fail last failed",
        lines: ["a", "b", "c", "b ended", "c ended", "a ended", "last", "undo a", "undo c", "undo b"]
      }
    )

    scenario(
      "of four of which one fails have each of the others undone once",
      ({ note }) =>
        Saga.all([
          slow(note)("a", 1),
          slow(note)("b", 2),
          slow(note)("c", 3, "no car"),
          slow(note)("d", 4)
        ], { concurrency: "unbounded" }),
      {
        ends: "Fail no car",
        lines: ["a", "b", "c", "d", "a ended", "b ended", "c ended", "d ended", "undo d", "undo b", "undo a"]
      }
    )

    scenario(
      "that are queued never start after a failure",
      ({ note }) =>
        Saga.forEach([1, 2, 3, 4], (n) => slow(note)(`s${n}`, n, n === 1 ? "full" : undefined), { concurrency: 2 }),
      { ends: "Fail full", lines: ["s1", "s2", "s1 ended", "s2 ended", "undo s2"] }
    )

    scenario(
      "are undone as a whole before what preceded them",
      ({ failing, note, step }) =>
        step("before").pipe(
          Effect.andThen(Saga.all({ a: slow(note)("a", 1), b: slow(note)("b", 2) }, { concurrency: "unbounded" })),
          Effect.andThen(failing("after")),
          Effect.as(null)
        ),
      {
        ends: "Fail after failed",
        lines: ["before", "a", "b", "a ended", "b ended", "after", "undo b", "undo a", "undo before"]
      }
    )

    scenario(
      "may be undone side by side, each in its own reverse order",
      ({ failing, note, step }) => {
        const undoneSlowly = (name: string, seconds: number) =>
          Step.make(name, {
            action: () => note(name),
            compensate: () =>
              note(`undo ${name}`).pipe(
                Effect.andThen(Effect.sleep(seconds * 1000)),
                Effect.andThen(note(`${name} undone`))
              )
          })()
        return Effect.gen(function*() {
          yield* step("before")
          yield* Saga.all([
            Effect.andThen(undoneSlowly("a1", 1), undoneSlowly("a2", 2)),
            undoneSlowly("b", 1)
          ], { compensation: "parallel" })
          yield* failing("last")
          return null
        })
      },
      {
        ends: "Fail last failed",
        lines: [
          ["before", "a1", "a2", "b", "last"],
          ["undo b", "undo a2", "b undone", "a2 undone", "undo a1", "a1 undone", "undo before"]
        ].flat()
      }
    )

    scenario(
      "may wait for each other, and one whose predecessor failed is never run",
      ({ failing, step }) =>
        Effect.gen(function*() {
          const a = yield* Deferred.make<void>()
          const b = yield* Deferred.make<void>()
          return yield* Saga.all([
            Effect.andThen(Effect.all([Deferred.await(a), Deferred.await(b)]), step("c")),
            Effect.tap(step("a"), () => Deferred.succeed(a, undefined)),
            Effect.tap(Effect.as(failing("b"), "b"), () => Deferred.succeed(b, undefined))
          ], { concurrency: "unbounded" })
        }),
      { ends: "Fail b failed", lines: ["a", "b", "undo a"] }
    )
  })

  describe(`${name}: a compensation that fails`, () => {
    scenario(
      "keeps no other from being attempted",
      ({ failing, step, stubborn }) => Effect.all([step("a"), stubborn("b"), step("c"), Effect.as(failing("d"), "d")]),
      {
        ends: "CompensationFailed a: Compensated, b: CompensationFailed, c: Compensated, d: Failed",
        lines: ["a", "b", "c", "d", "undo c", "undo b", "undo a"]
      }
    )

    scenario(
      "is one of many where all fail",
      ({ failing, stubborn }) => Effect.all([stubborn("a"), stubborn("b"), Effect.as(failing("c"), "c")]),
      {
        ends: "CompensationFailed a: CompensationFailed, b: CompensationFailed, c: Failed",
        lines: ["a", "b", "c", "undo b", "undo a"]
      }
    )

    scenario(
      "may die, and the others still run",
      ({ failing, note, step }) => {
        const bug = Step.make("b", { action: () => note("b"), compensate: () => Effect.die(new Error("a bug")) })
        return Effect.as(Effect.all([step("a"), bug(), failing("c")]), null)
      },
      {
        ends: "CompensationFailed a: Compensated, b: CompensationFailed, c: Failed",
        lines: ["a", "b", "c", "undo a"]
      }
    )

    scenario(
      "may do so by succeeding with an error",
      ({ failing, note, step }) => {
        const odd = Step.make("b", { action: () => note("b"), compensate: () => Effect.succeed(new Error("refused")) })
        return Effect.as(Effect.all([step("a"), odd(), failing("c")]), null)
      },
      {
        ends: "CompensationFailed a: Compensated, b: CompensationFailed, c: Failed",
        lines: ["a", "b", "c", "undo a"]
      }
    )

    scenario(
      "and succeeds when it is tried again leaves the original error alone",
      ({ failing, note, step }) => {
        const twice = Step.make("b", {
          compensationError: Schema.String,
          action: () => note("b"),
          compensate: (_, { attempt }) =>
            Effect.andThen(note(`undo b, attempt ${attempt}`), attempt < 3 ? Effect.fail("stuck") : Effect.void),
          compensationRetry: Schedule.recurs(2)
        })
        return Effect.as(Effect.all([step("a"), twice(), failing("c")]), null)
      },
      {
        ends: "Fail c failed",
        lines: ["a", "b", "c", "undo b, attempt 1", "undo b, attempt 2", "undo b, attempt 3", "undo a"]
      }
    )

    scenario(
      "and hangs is ended by its own time limit, and the next one runs",
      ({ failing, note, step }) => {
        const hanging = Step.make("b", {
          action: () => note("b"),
          compensate: () => Effect.andThen(note("undo b"), Effect.never),
          compensationTimeout: "5 seconds"
        })
        return Effect.as(Effect.all([step("a"), hanging(), failing("c")]), null)
      },
      {
        ends: "CompensationFailed a: Compensated, b: CompensationFailed, c: Failed",
        lines: ["a", "b", "c", "undo b", "undo a"]
      }
    )

    scenario(
      "under \"stop\" in a saga of its own leaves the rest, which is listed as remaining",
      ({ failing, step, stubborn }) =>
        step("a").pipe(
          Effect.andThen(
            Effect.all([step("b"), stubborn("c"), Effect.as(failing("d"), "d")]).pipe(
              Saga.transact({ name: "inner", onCompensationFailure: "stop" })
            )
          )
        ),
      {
        ends: "CompensationFailed inner/b: Remaining, inner/c: CompensationFailed, inner/d: Failed",
        lines: ["a", "b", "c", "d", "undo c", "undo a"]
      }
    )
  })

  describe(`${name}: a saga within a saga`, () => {
    scenario(
      "that succeeded as a savepoint is undone within the one around it",
      ({ failing, step }) =>
        Effect.gen(function*() {
          yield* step("a")
          yield* Saga.savepoint(Effect.all([step("b"), step("c")]))
          yield* step("d")
          yield* failing("e")
          return null
        }),
      { ends: "Fail e failed", lines: ["a", "b", "c", "d", "e", "undo d", "undo c", "undo b", "undo a"] }
    )

    scenario(
      "that failed as a savepoint is undone once where its error is handled, and the rest goes on",
      ({ failing, step }) =>
        Effect.gen(function*() {
          yield* step("a")
          yield* Effect.ignore(Saga.savepoint(Effect.all([step("b"), failing("c")])))
          yield* step("d")
          return "done"
        }),
      { ends: `Success "done"`, lines: ["a", "b", "c", "undo b", "d"] }
    )

    scenario(
      "is undone and redone by a retry, and what was done before it is kept",
      ({ failing, note, step }) => {
        let attempts = 0
        const card = Step.make("charge", {
          error: Schema.String,
          action: () => Effect.andThen(note("charge"), ++attempts < 3 ? Effect.fail("declined") : Effect.void),
          compensate: () => note("refund")
        })
        return Effect.gen(function*() {
          yield* step("a")
          yield* Effect.all([step("b"), card()]).pipe(Saga.savepoint, Effect.retry({ times: 2 }))
          yield* failing("c")
          return null
        })
      },
      {
        ends: "Fail c failed",
        lines: [
          ["a", "b", "charge", "undo b", "b", "charge", "undo b", "b", "charge"],
          ["c", "refund", "undo b", "undo a"]
        ].flat()
      }
    )

    scenario(
      "whose compensation died is not taken for one that was undone",
      ({ note, step }) => {
        const bug = Step.make("b", { action: () => note("b"), compensate: () => Effect.die(new Error("a bug")) })
        return step("a").pipe(
          Effect.andThen(Saga.transact(Effect.andThen(bug(), Effect.fail("stop")), { name: "inner" })),
          Effect.as(null)
        )
      },
      { ends: "CompensationFailed inner/b: CompensationFailed", lines: ["a", "b", "undo a"] }
    )

    scenario(
      "that committed on its own is not undone with the one around it",
      ({ failing, step }) =>
        step("a").pipe(
          Effect.andThen(Saga.transact(step("b"), { name: "inner" })),
          Effect.andThen(failing("c")),
          Effect.as(null)
        ),
      { ends: "Fail c failed", lines: ["a", "b", "c", "undo a"] }
    )

    scenario(
      "may say for which causes it is undone",
      ({ failing, step }) =>
        step("a").pipe(
          Effect.andThen(
            Effect.as(Effect.andThen(step("b"), failing("c", "keep it")), null).pipe(
              Saga.transact({ name: "inner", compensateWhen: (cause) => !Cause.pretty(cause).includes("keep it") })
            )
          )
        ),
      { ends: "Fail keep it", lines: ["a", "b", "c", "undo a"] }
    )

    scenario(
      "has its forked steps waited for",
      ({ failing, step }) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(step("forked"))
          yield* step("a")
          yield* Fiber.join(fiber)
          yield* failing("b")
          return null
        }),
      { ends: "Fail b failed", lines: ["a", "forked", "b", "undo forked", "undo a"] }
    )
  })

  describe(`${name}: a pivot`, () => {
    scenario(
      "keeps everything before it from being undone, and a later failure says that the saga counts as done",
      ({ failing, step }) =>
        Effect.gen(function*() {
          yield* step("a")
          yield* Saga.pivot(step("tickets"))
          yield* step("b")
          yield* failing("c")
          return null
        }),
      {
        ends: "CommittedIncomplete a: Committed, tickets: Committed, pivot: Committed, b: Committed, c: Failed",
        lines: ["a", "tickets", "b", "c"]
      }
    )

    scenario(
      "that is not reached leaves the saga to be undone",
      ({ failing, step }) => step("a").pipe(Effect.andThen(failing("b")), Effect.andThen(Saga.pivot(step("tickets")))),
      { ends: "Fail b failed", lines: ["a", "b", "undo a"] }
    )

    scenario(
      "that fails leaves the saga to be undone",
      ({ failing, step }) => Effect.as(Effect.andThen(step("a"), Saga.pivot(failing("tickets"))), null),
      { ends: "Fail tickets failed", lines: ["a", "tickets", "undo a"] }
    )

    scenario(
      "lets later steps be tried again",
      ({ note, step }) => {
        const mail = Step.make("mail", {
          error: Schema.String,
          action: (_, { attempt }) => Effect.andThen(note("mail"), attempt < 3 ? Effect.fail("busy") : Effect.void),
          retry: Schedule.recurs(5)
        })
        return step("a").pipe(
          Effect.andThen(Saga.pivot(step("tickets"))),
          Effect.andThen(mail()),
          Effect.as("sent")
        )
      },
      { ends: `Success "sent"`, lines: ["a", "tickets", "mail", "mail", "mail"] }
    )
  })

  describe(`${name}: tries of an action`, () => {
    const busyFor =
      (times: number) => (note: (line: string) => Effect.Effect<void>, retry: Schedule.Schedule<unknown, string>) =>
        Step.make("charge", {
          error: Schema.String,
          action: (_, { attempt }) =>
            Effect.andThen(note(`charge ${attempt}`), attempt <= times ? Effect.fail("busy") : Effect.void),
          compensate: () => note("refund"),
          retry
        })()

    scenario(
      "that fail twice and then succeed leave one compensation",
      ({ failing, note, step }) =>
        step("a").pipe(
          Effect.andThen(busyFor(2)(note, Schedule.recurs(3))),
          Effect.andThen(failing("b")),
          Effect.as(null)
        ),
      { ends: "Fail b failed", lines: ["a", "charge 1", "charge 2", "charge 3", "b", "refund", "undo a"] }
    )

    scenario(
      "that all fail fail the saga with the last error",
      ({ note, step }) => Effect.as(Effect.andThen(step("a"), busyFor(9)(note, Schedule.recurs(2))), null),
      { ends: "Fail busy", lines: ["a", "charge 1", "charge 2", "charge 3", "undo a"] }
    )

    scenario(
      "end with an error that the schedule excludes",
      ({ note, step }) =>
        Effect.as(
          Effect.andThen(
            step("a"),
            busyFor(9)(
              note,
              Schedule.recurs(9).pipe(
                Schedule.setInputType<string>(),
                Schedule.while(({ input }) => input !== "busy")
              )
            )
          ),
          null
        ),
      { ends: "Fail busy", lines: ["a", "charge 1", "undo a"] }
    )

    scenario(
      "that take too long fail with a timeout, and are undone where that is so whatever the outcome",
      ({ note, step }) => {
        const slow = Step.make("slow", {
          action: () => Effect.andThen(note("slow"), Effect.never),
          compensateExit: (exit) => note(`undo slow after ${endingTag(exit)}`),
          timeout: "30 seconds"
        })
        return step("a").pipe(
          Effect.andThen(slow()),
          Effect.catchTag("TimeoutError", (error) => Effect.fail(error.message)),
          Effect.as(null)
        )
      },
      {
        ends: "Fail Step \"slow\" did not end within 30s.",
        lines: ["a", "slow", "undo slow after TimeoutError", "undo a"]
      }
    )

    scenario(
      "whose outcome is unknown may be undone by looking first, without harm where nothing had happened",
      ({ note, step }) => {
        const seats = new Set<string>()
        const reserve = Step.make("reserve", {
          error: Schema.String,
          action: () => Effect.fail("connection lost"),
          compensateExit: () => seats.delete("12A") ? note("seat given back") : note("no seat was taken")
        })
        return Effect.as(Effect.andThen(step("a"), reserve()), null)
      },
      { ends: "Fail connection lost", lines: ["a", "no seat was taken", "undo a"] }
    )

    scenario(
      "that arrive after their compensation are refused by their key",
      ({ note, step }) => {
        const undone = new Set<string>()
        let late: Effect.Effect<void> = Effect.void
        const reserve = Step.make("reserve", {
          error: Schema.String,
          action: (_, { idempotencyKey }) => {
            late = Effect.suspend(() => undone.has(idempotencyKey) ? note("refused") : note("took a seat"))
            return Effect.fail("connection lost")
          },
          compensateExit: (_, { idempotencyKey }) => {
            undone.add(idempotencyKey)
            return Effect.andThen(note("undo reserve"), Effect.suspend(() => late))
          }
        })
        return Effect.as(Effect.andThen(step("a"), reserve()), null)
      },
      { ends: "Fail connection lost", lines: ["a", "undo reserve", "refused", "undo a"] }
    )
  })
}

const endingTag = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) &&
    exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof Cause.TimeoutError)
    ? "TimeoutError"
    : exit._tag
