import { Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Failure from "./failure.ts"

/** Creates a command. Whatever finds that it was not called as it has to be, its help is named besides. */
export const make = <Name extends string, const Config extends Command.Command.Config, E, R>(
  name: Name,
  config: Config,
  handler: (input: Command.Command.Config.Infer<Config>) => Effect.Effect<void, E, R>
) =>
  Command.make(name, config, (input) =>
    Effect.mapError(
      handler(input),
      (error) =>
        error instanceof Failure.Failure && error.code === 2
          ? Failure.usage(Failure.withHelp(error.message, ["effect-saga", name]))
          : error
    ))
