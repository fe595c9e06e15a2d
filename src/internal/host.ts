import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { JournalEvent } from "../JournalEvent.ts"
import type { Alerts } from "./alerts.ts"
import type { PayloadCodec } from "./definition.ts"
import type * as Progress from "./progress.ts"
import type { ChildCall } from "./runner.ts"
import type { Ownership } from "./store.ts"
import type { Ticket } from "./writer.ts"

/** What an execution needs of its engine. */
export interface Host {
  readonly clock: Clock.Clock
  readonly codec: PayloadCodec | undefined
  readonly ownership: Ownership
  /** Undefined where nobody is to be told. */
  readonly alerts: Alerts | undefined
  /** Queues an append. */
  readonly write: (ticket: Ticket) => void
  /** Starts a child, or joins it, and waits for its end. */
  readonly runChild: (child: ChildCall, parent: Parent) => Effect.Effect<ResultOfChild>
  readonly cancelChild: (id: string, parent: Parent) => Effect.Effect<void>
  /** Cancels the children of an execution that run, and waits for their ends. */
  readonly cancelChildren: (parent: Parent) => Effect.Effect<void>
  /** How long a replay may wait for what the code does not ask for. */
  readonly stallMillis: number
}

/** The execution that starts a child. */
export interface Parent {
  readonly id: string
  readonly progress: Progress.Progress
  /** What is stored of `json`. */
  readonly seal: (json: Json) => Effect.Effect<Json>
}

export type ResultOfChild = Pick<
  Extract<JournalEvent, { readonly _tag: "ChildFinished" }>,
  "status" | "cancelled" | "result"
>
