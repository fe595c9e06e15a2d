import { TerminalCapabilities } from "effect/cli"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { type Line, paint } from "../internal/timelineText.ts"
import { jsonText } from "./print/jsonText.ts"

/* Where commands write to: results to standard output, messages and errors to standard error. */

export class Output extends Context.Service<Output, {
  /** Whether programs read it. */
  readonly json: boolean
  readonly colors: boolean
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
  /** How many columns there are; any number, where standard output is no terminal. */
  readonly width: number
  /** What the commands begin with that are suggested. */
  readonly program: string
  /** Prints lines for people. Nothing of theirs gets by unescaped. */
  readonly lines: (lines: ReadonlyArray<Line>) => Effect.Effect<void>
  /** Prints a text as it is, and ends its line. It has to be safe for a terminal. */
  readonly text: (text: string) => Effect.Effect<void>
  /** Prints a value as JSON, over several lines. */
  readonly document: <S extends Encodable>(schema: S, value: S["Type"]) => Effect.Effect<void>
  /** Prints a value as JSON in one line. */
  readonly record: <S extends Encodable>(schema: S, value: S["Type"]) => Effect.Effect<void>
  /** Prints a message on standard error. It has to be safe for a terminal. */
  readonly error: (text: string) => Effect.Effect<void>
  /** As `record`, on standard error. */
  readonly errorDocument: <S extends Encodable>(schema: S, value: S["Type"]) => Effect.Effect<void>
  /** From now on, that the results can't be written ends nothing: what is done, and the code it ends with, matter besides. */
  readonly workOn: Effect.Effect<void>
  /** Ends the command, as its output can't be written, unless it works on. */
  readonly lost: (error: NotWritten) => Effect.Effect<never>
  /**
   * Where a command has worked on, and somebody wanted to have results that could not be written, prints them on standard
   * error, and returns why they could not.
   */
  readonly rescue: Effect.Effect<NotWritten | undefined>
}>()("effect-saga/cli/Output") {}

/** The defect that the output can't be written any more, so that there is no use in going on. */
export class NotWritten {
  /** Whether that is because nobody reads it. */
  readonly isClosed: boolean
  readonly message: string

  constructor(cause: unknown) {
    const { code, message } = Object(cause) as { readonly code?: unknown; readonly message?: unknown }
    this.isClosed = code === "EPIPE"
    this.message = `The output could not be written: ${String(message)}`
  }
}

type Encodable = Schema.ConstraintEncoder<unknown>

/** Of a terminal that does not tell its own. */
const defaultWidth = 100

export const make = Effect.fnUntraced(function*(options: {
  readonly json: boolean
  readonly colors: boolean
  readonly program: string
}) {
  const stdio = yield* Stdio.Stdio
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const isTerminal = yield* stdio.stdoutIsTerminal
  const columns = yield* Effect.flatMap(Terminal.Terminal, (terminal) => terminal.columns)
  const width = !isTerminal ? Infinity : columns > 0 ? columns : defaultWidth
  const colors = options.colors && canColor

  let worksOn = false
  let unwritten: NotWritten | undefined
  // That it was not written may be known much later.
  const written: Array<string> = []

  const write = (sink: ReturnType<typeof stdio.stdout>, text: string) => Stream.run(Stream.succeed(`${text}\n`), sink)

  const text = (text: string) =>
    Effect.suspend(() => {
      if (worksOn) written.push(text)
      return Effect.catch(write(stdio.stdout(), text), ({ reason: { cause } }) => {
        const error = new NotWritten(cause)
        return worksOn ? keep(error) : Effect.die(error)
      })
    })
  const keep = (error: NotWritten) =>
    Effect.sync(() => {
      if (!error.isClosed) unwritten ??= error
    })
  // Nobody has to read messages, and there is nowhere to say that they could not be written: the code tells too.
  const error = (text: string) => Effect.ignore(write(stdio.stderr(), text))

  return Output.of({
    json: options.json,
    colors,
    isTerminal,
    width,
    program: options.program,
    lines: (lines) =>
      lines.length === 0 ? Effect.void : text(lines.map((line) => paint(line, width, colors)).join("\n")),
    text,
    document: (schema, value) => Effect.flatMap(json(schema, value, 2), text),
    record: (schema, value) => Effect.flatMap(json(schema, value, 0), text),
    error,
    errorDocument: (schema, value) => Effect.flatMap(json(schema, value, 0), error),
    workOn: Effect.sync(() => {
      worksOn = true
    }),
    lost: (error) => Effect.suspend(() => worksOn ? Effect.andThen(keep(error), Effect.never) : Effect.die(error)),
    rescue: Effect.suspend(() =>
      unwritten === undefined ? Effect.undefined : Effect.as(error(written.join("\n")), unwritten)
    )
  })
})

const json = <S extends Encodable>(schema: S, value: S["Type"], indent: number) =>
  Effect.map(Effect.orDie(Schema.encodeEffect(schema)(value)), (encoded) => jsonText(encoded, indent))
