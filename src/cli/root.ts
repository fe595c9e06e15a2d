import { Command } from "effect/cli"
import { cancel, retry, skip } from "./commands/decide.ts"
import { doctor } from "./commands/doctor.ts"
import { exportCommand } from "./commands/export.ts"
import { history } from "./commands/history.ts"
import { init } from "./commands/init.ts"
import { list } from "./commands/list.ts"
import { prune } from "./commands/prune.ts"
import { resolve } from "./commands/resolve.ts"
import { show } from "./commands/show.ts"
import { signal } from "./commands/signal.ts"
import { stats } from "./commands/stats.ts"
import { watch } from "./commands/watch.ts"
import * as Completions from "./completions.ts"
import * as Settings from "./settings.ts"

/* All commands, in the order in which one needs them. */

export const root = Command.make("effect-saga").pipe(
  Command.withDescription(
    "Shows what the sagas in a store are doing, and decides on those that can't go on by themselves.\n\n" +
      "  An execution that could not be undone, or that failed after its point of no return, is parked: it waits for\n" +
      "  you, and nothing else happens to it. List what is parked, show one of them, and it tells you what happened,\n" +
      "  what is left to undo, and which commands apply. The engine of your service does what you decide."
  ),
  Command.withSubcommands([
    { group: "Look", commands: [list, show, history, watch, stats] },
    { group: "Decide", commands: [retry, skip, resolve, cancel, signal] },
    { group: "Keep", commands: [doctor, prune, exportCommand] },
    { group: "Begin", commands: [init] }
  ]),
  Command.withExamples([
    { command: "export EFFECT_SAGA_DB=./sagas.db", description: "Say once where the store is" },
    { command: "effect-saga list --parked", description: "Which executions wait for a decision, and why" },
    { command: "effect-saga show Booking/42", description: "What happened to one of them, and what you can do" },
    {
      command: "effect-saga retry Booking/42",
      description: "The hotel answers again: try what it is parked for once more"
    },
    {
      command: `effect-saga skip Booking/42 --reason "the hotel is bankrupt"`,
      description: "Or give up undoing that step, and say why"
    },
    { command: "effect-saga watch Booking/42", description: "See how it goes on" }
  ]),
  Command.withGlobalFlags([...Settings.all, Completions.flag])
)
