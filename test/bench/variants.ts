import { Effect, Exit, Scope } from "effect"
import { Saga } from "effect-saga"
import { SagaBuilder } from "node-sagas"
import type { EffectActions, PromiseActions } from "./actions.ts"

/*
 * One saga in several forms. Each takes `size` steps; `fails` says whether the last of them does, in which case all
 * others are undone in reverse order and the whole fails as the step did.
 *
 * Whatever can be made once is made once: a run makes no generator function and no function expression that an
 * application would not make for each run too.
 */

/** What is done after the last step. */
export type End = Effect.Effect<void>

/** The forms that are effects. `plain` is the baseline of all others: it can't know what to undo, it is told. */
export const effectVariants = {
  plain: ({ refuse, release, reserve }: EffectActions, size: number, fails: boolean, end: End) => {
    const succeeding = fails ? size - 1 : size
    return Effect.gen(function*() {
      for (let item = 0; item < succeeding; item++) yield* reserve(item)
      yield* end
      if (fails) {
        for (let item = succeeding - 1; item >= 0; item--) yield* release(item)
        yield* refuse()
      }
    })
  },

  saga: ({ refuse, release, reserve }: EffectActions, size: number, fails: boolean, end: End) => {
    const succeeding = fails ? size - 1 : size
    return Saga.transact(Effect.gen(function*() {
      for (let item = 0; item < succeeding; item++) yield* Saga.step(reserve(item), release)
      yield* end
      if (fails) yield* Saga.step(refuse(), release)
    }))
  },

  floor: ({ refuse, release, reserve }: EffectActions, size: number, fails: boolean, end: End) => {
    const succeeding = fails ? size - 1 : size
    const steps = Effect.fnUntraced(function*(undo: Array<() => Effect.Effect<void>>) {
      for (let item = 0; item < succeeding; item++) {
        yield* Effect.uninterruptible(Effect.onExitPrimitive(reserve(item), (exit) => {
          if (Exit.isSuccess(exit)) undo.push(() => release(exit.value))
          return undefined
        }))
      }
      yield* end
      if (fails) yield* refuse()
    })
    return unwound(steps)
  },

  scope: ({ refuse, release, reserve }: EffectActions, size: number, fails: boolean, end: End) => {
    const succeeding = fails ? size - 1 : size
    return Effect.scoped(Effect.gen(function*() {
      const scope = yield* Effect.scope
      for (let item = 0; item < succeeding; item++) {
        const reserved = yield* reserve(item)
        yield* Scope.addFinalizerExit(scope, (exit) => Exit.isSuccess(exit) ? Effect.void : release(reserved))
      }
      yield* end
      if (fails) yield* refuse()
    }))
  },

  list: ({ refuse, release, reserve }: EffectActions, size: number, fails: boolean, end: End) => {
    const succeeding = fails ? size - 1 : size
    const steps = Effect.fnUntraced(function*(undo: Array<() => Effect.Effect<void>>) {
      for (let item = 0; item < succeeding; item++) {
        const reserved = yield* reserve(item)
        undo.push(() => release(reserved))
      }
      yield* end
      if (fails) yield* refuse()
    })
    return unwound(steps)
  }
}

/* Runs `steps` with a list for what undoes them, and runs that list backwards where they fail. */
const unwound = (steps: (undo: Array<() => Effect.Effect<void>>) => Effect.Effect<void, unknown>) =>
  Effect.gen(function*() {
    const undo: Array<() => Effect.Effect<void>> = []
    const exit = yield* Effect.exit(steps(undo))
    if (Exit.isFailure(exit)) {
      for (let index = undo.length - 1; index >= 0; index--) yield* undo[index]!()
    }
    return yield* exit
  })

export type EffectVariant = keyof typeof effectVariants

/** The forms without Effect. */
export const promiseVariants = {
  async: ({ refuse, release, reserve }: PromiseActions, size: number, fails: boolean) => {
    const succeeding = fails ? size - 1 : size
    return async (): Promise<void> => {
      const undo: Array<() => void | Promise<void>> = []
      try {
        for (let item = 0; item < succeeding; item++) {
          const reserved = await reserve(item)
          undo.push(() => release(reserved))
        }
        if (fails) await refuse()
      } catch (error) {
        for (let index = undo.length - 1; index >= 0; index--) await undo[index]!()
        throw error
      }
    }
  },

  // A saga of this library can run once, so building it belongs to each run. Values travel in the parameters.
  "node-sagas": ({ refuse, release, reserve }: PromiseActions, size: number, fails: boolean) => {
    const succeeding = fails ? size - 1 : size
    const actions = Array.from({ length: succeeding }, (_, item) => ({
      reserve: async (reserved: Array<number>) => {
        reserved.push(await reserve(item))
      },
      release: (reserved: Array<number>) => release(reserved[item]!)
    }))
    return async (): Promise<void> => {
      const builder = new SagaBuilder<Array<number>>()
      for (const action of actions) builder.step("step").invoke(action.reserve).withCompensation(action.release)
      if (fails) builder.step("step").invoke(refuse)
      await builder.build().execute([])
    }
  }
}

export type PromiseVariant = keyof typeof promiseVariants

export type Variant = EffectVariant | PromiseVariant
