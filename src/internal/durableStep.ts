import { runStep } from "./step.ts"
import { act } from "./stepAction.ts"
import { compensate } from "./stepCompensation.ts"
import type { AnyEffect, StepSpec } from "./stepSpec.ts"

/*
 * A step whose result can be kept: what its action and its compensation do, in memory and in a durable saga.
 *
 * In a durable saga an attempt that failed is written down with the time of the next one before anybody waits for that,
 * so a crash changes neither how often nor when something is tried again. How the last attempt ended is kept by the
 * core, which puts the step on the stack and into the journal in one go.
 */

export const call = (spec: StepSpec, input: unknown, name: string): AnyEffect =>
  runStep((entry, restore) => act(spec, input, entry, restore), {
    name,
    kind: spec.compensatesExit ? "stepExit" : "step",
    compensate: spec.compensate === undefined
      ? undefined
      : (given, cause, entry) => compensate(spec, input, given, cause, entry),
    interruptible: false,
    durable: true
  })
