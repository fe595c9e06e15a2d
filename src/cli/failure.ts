import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { escaped } from "../internal/timelineText.ts"
import { SagaEngineError } from "../SagaEngineError.ts"
import { SagaStoreError } from "../SagaStoreError.ts"
import { Output } from "./output.ts"
import { Failed } from "./schemas.ts"

/* How a command ends: with 0 where it is done, else with the code of its failure, which was printed then. */

/** What a command ends with: 1, it failed; 2, it was not called as it has to be; 3, what it is about is not there. */
export type ExitCode = 1 | 2 | 3

export class Failure extends Schema.TaggedError<Failure>("effect-saga/cli/Failure")("Failure", {
  /** What programs know it by. */
  kind: Schema.String,
  /** Printed as it is; nothing is, where it is empty, because all has been said. */
  message: Schema.String,
  code: Schema.Literals([1, 2, 3])
}) {}

export const failed = (kind: string, message: string): Failure => new Failure({ kind, message, code: 1 })

export const usage = (message: string): Failure => new Failure({ kind: "Usage", message, code: 2 })

/** A message about a wrong command line, and where it is said how it has to be. */
export const withHelp = (message: string, command: ReadonlyArray<string>): string =>
  `${message}\nSee ${command.join(" ")} --help`

export const notFound = (message: string): Failure => new Failure({ kind: "ExecutionNotFound", message, code: 3 })

/** An error as it is printed. Anything but an error of this library is a defect of it. */
export const fromError = (error: unknown): Failure | undefined => {
  if (error instanceof Failure) return error
  if (!(error instanceof SagaStoreError) && !(error instanceof SagaEngineError)) return undefined
  return error.reason._tag === "ExecutionNotFound"
    ? notFound(messageOf(error))
    : failed(error.reason._tag, messageOf(error))
}

/** What is said of an error, and what the system said where a store can't be reached. */
export const messageOf = ({ message, reason }: SagaStoreError | SagaEngineError): string => {
  const why = reason._tag === "Unanswered" ? reason.cause?.reason : reason
  const said = why?._tag === "Unavailable" ? systemSays(why.cause) : undefined
  return `${shown(message)}${said === undefined ? "" : ` The system says: ${said}.`}`
}

/* Only its code: anything else may hold the settings of a driver. */
const systemSays = (cause: unknown): string | undefined => {
  const { code, message } = Object(cause) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === "string" && /^E(?!RR_)[A-Z_]{2,20}$/.test(code)) return code
  return typeof message === "string" && /\btime(d )?-?out\b/i.test(message) ? "timeout" : undefined
}

/** Without what a terminal would obey: names of users are in messages of errors. */
export const shown = (message: string): string => message.split("\n").map(escaped).join("\n")

/** Has what runs say where it stands when it is interrupted. The process ends with 130 all the same. */
export const onInterrupt = (message: () => string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.onInterrupt(self, () => interrupted(message()))

/** Says, where a command was interrupted, how far it had come. */
export const interrupted = (message: string) =>
  Effect.asVoid(Effect.suspend(() => report(failed("Interrupted", message))))

/** Prints a failure on standard error, and returns its code. */
export const report = Effect.fnUntraced(function*({ code, kind, message }: Failure) {
  const output = yield* Output
  if (message === "") return code
  yield* output.json
    ? output.errorDocument(Failed, { v: 1, error: { _tag: kind, message } })
    : output.error(message)
  return code
})
