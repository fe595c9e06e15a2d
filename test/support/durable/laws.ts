/*
 * Random sagas, which do the same whether they are kept or not. Every action and every compensation takes a time of its own,
 * so what happens when depends on nothing but the saga.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Schema } from "effect"
import { Saga, Step } from "effect-saga"
import { TestClock } from "effect/testing"
import { arbitrarySaga, oneOf, type Tree } from "../tree.ts"
import { start } from "./engine.ts"
import { Careless } from "./sagas.ts"
import { type Body, endingOf } from "./scenario.ts"
import type { StorageLayer } from "./storage.ts"

type StepTree = Extract<Tree, { readonly _tag: "Step" }>

/** Between 1 ms and about 12 days. */
const timeOf = (id: number): number => 1 + (Math.imul(id + 1, 2654435761) >>> 0) % 1_000_000_007

/* So much time passes that nothing may happen every now and then. */
const patient = { registrationTimeout: "10000 days", replayTimeout: "10000 days" } as const

const arbitraryCancellation = Arbitrary.map(
  Arbitrary.all({
    cancels: oneOf([false, false, true]),
    at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000 })))
  }),
  ({ at, cancels }) => cancels ? at : undefined
)

/** The saga of a tree, and the lines of what it does. */
const grow = (tree: Tree): { readonly body: Body; readonly lines: ReadonlyArray<string> } => {
  const lines: Array<string> = []
  const note = (line: string) =>
    Effect.sync(() => {
      lines.push(line)
    })
  let ids = 0

  const end = (ending: StepTree["action"], what: string) =>
    ending === "succeed"
      ? Effect.succeed(what)
      : ending === "fail"
      ? Effect.fail(`${what} failed`)
      : Effect.die(`${what} died`)

  const stepOf = ({ action, compensation, kind }: StepTree, id: number): Body => {
    const name = `s${id}`
    const undo = () =>
      note(`undo ${name}`).pipe(
        Effect.andThen(Effect.sleep(timeOf(1000 + id))),
        Effect.andThen(note(`end of undo ${name}`)),
        Effect.andThen(end(compensation, `undo ${name}`))
      )
    return Step.make(name, {
      success: Schema.String,
      error: Schema.String,
      compensationError: Schema.String,
      action: () =>
        note(name).pipe(
          Effect.andThen(Effect.sleep(timeOf(id))),
          Effect.andThen(note(`end of ${name}`)),
          Effect.andThen(end(action, name))
        ),
      ...(kind === "stepExit" ? { compensateExit: undo } : { compensate: undo })
    })()
  }

  const build = (tree: Tree): Body => {
    switch (tree._tag) {
      case "Step":
        return stepOf(tree, ids++)
      case "Sequence":
        return Effect.as(Effect.all(tree.children.map(build)), null)
      case "Branches":
        return Effect.as(
          Saga.all(tree.children.map(build), { concurrency: tree.concurrency, compensation: tree.compensation }),
          null
        )
      case "Savepoint":
      case "Nested": {
        const body = build(tree.child)
        const scope: Body = tree._tag === "Savepoint"
          ? Saga.savepoint(body)
          : Saga.transact(body, { name: "nested" })
        return tree.caught === "nothing"
          ? scope
          : tree.caught === "failures"
          ? Effect.catch(scope, () => Effect.succeed(null))
          : Effect.catchCause(scope, () => Effect.succeed(null))
      }
    }
  }

  return { body: build(tree), lines }
}

/** What a saga does, when it is interrupted or cancelled at a time, and how it ends. */
const observe = Effect.fnUntraced(function*<E>(
  lines: ReadonlyArray<string>,
  saga: Effect.Effect<unknown, E>,
  stop: (fiber: Fiber.Fiber<unknown, E>) => Effect.Effect<unknown, unknown>,
  at: number | undefined
) {
  const fiber = yield* Effect.forkChild(saga, { startImmediately: true })
  if (at !== undefined) {
    yield* Effect.forkScoped(Effect.delay(Effect.ignore(stop(fiber)), at), { startImmediately: true })
  }
  yield* Effect.forkScoped(Effect.forever(TestClock.adjust("1000 days")))
  const exit = yield* Fiber.await(fiber)
  const ending = endingOf(exit)
  // Who is interrupted and who is cancelled are told so in words of their own.
  const isClean = Exit.isFailure(exit) && !/CompensationFailed|CommittedIncomplete/.test(ending)
  return { ending: at !== undefined && isClean ? "Undone" : ending, lines: [...lines] }
})

const show = ({ ending, lines }: { readonly ending: string; readonly lines: ReadonlyArray<string> }): string =>
  [...lines, ending].map((line) => `  ${line}`).join("\n")

export const suite = (name: string, storage: StorageLayer, runs: number): void => {
  describe(`${name}: a random saga`, () => {
    it.effect.prop(
      "does the same in the same order whether it is kept or not, also where it is cancelled",
      { tree: arbitrarySaga, at: arbitraryCancellation },
      Effect.fnUntraced(
        function*({ at, tree }) {
          const plain = grow(tree)
          const expected = yield* Effect.scoped(
            observe(plain.lines, Saga.transact(plain.body), Fiber.interrupt, at)
          )

          const kept = grow(tree)
          const definitions = Careless.toLayer(() => kept.body)
          const engine = yield* start(definitions, patient)
          const actual = yield* Effect.scoped(
            observe(
              kept.lines,
              engine.use(Careless.execute("1")),
              () => engine.use(Careless.cancel("Careless/1")),
              at
            )
          )
          yield* engine.stop
          const later = yield* start(definitions, patient)
          const again = yield* later.exit(Careless.await("Careless/1"))

          assert.deepStrictEqual(actual, expected, `in memory:\n${show(expected)}\nkept:\n${show(actual)}`)
          if (at === undefined) assert.strictEqual(endingOf(again), expected.ending)
          assert.deepStrictEqual(kept.lines, expected.lines, "nothing happens when its result is read")
        },
        Effect.scoped,
        Effect.provide(storage)
      ),
      { arbitrary: { runs }, timeout: 60_000 }
    )
  })
}
