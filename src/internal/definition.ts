import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Json } from "effect/Schema"
import type { CauseCodec, Codec } from "./codec.ts"

/**
 * How payloads, inputs, values and causes are stored: the place for encryption and compression.
 *
 * @category models
 * @since 0.1.0
 */
export interface PayloadCodec {
  /** From JSON to what is stored, which is JSON too: a text, for instance. */
  readonly encode: (json: Json) => Effect.Effect<Json>
  /** The other way. Where it fails, the execution is parked, and says why. */
  readonly decode: (stored: Json) => Effect.Effect<Json, Error>
}

/** A definition with its body, as the engine runs it. */
export interface Definition {
  readonly name: string
  readonly version: number
  readonly onCompensationFailure: "park" | "fail"
  readonly payload: Codec<unknown>
  readonly success: Codec<unknown>
  /** For causes of the saga: its errors, those of this library, and any other. */
  readonly cause: CauseCodec
  readonly body: (payload: never) => Effect.Effect<unknown, unknown, unknown>
  /** The services of the body. */
  readonly context: Context.Context<never>
}
