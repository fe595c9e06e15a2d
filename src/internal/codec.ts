import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Json } from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { guarded } from "./guard.ts"
import * as PlainJson from "./plainJson.ts"
import { hasMarks } from "./redaction.ts"
import { causeLine, withMessage } from "./render.ts"
import { marking } from "./secrets.ts"

/*
 * From values to what is stored of them, and back. All of them are total on the way in: an error that fits no schema, or that
 * JSON can't hold, is kept as what people can read of it.
 */

/** What can be stored without services. */
export type Storable<A> = Schema.ConstraintCodec<A, unknown, never, never>

export interface Codec<A> {
  readonly encode: (value: A) => Exit.Exit<Json, Schema.SchemaError>
  readonly decode: (json: Json) => Exit.Exit<A, Schema.SchemaError>
}

/** What the schema calls `Redacted` is stored with a mark. It may be given without. */
export const make = <A>(schema: Storable<A>): Codec<A> => {
  const plain = makePlain(schema)
  let codec: Codec<A> | undefined
  // Not before it is used: what is suspended may not be there yet.
  const get = () => codec ??= withSecrets(schema, plain)
  return { encode: (value) => get().encode(value), decode: (json) => get().decode(json) }
}

const withSecrets = <A>(schema: Storable<A>, plain: Codec<A>): Codec<A> => {
  const marks = marking(schema)
  if (marks === undefined) return plain
  const { encode } = makePlain(marks.toEncode)
  const { decode } = makePlain(marks.toDecode)
  return {
    encode,
    decode: (json) => {
      const value = decode(json)
      return Exit.isSuccess(value) || hasMarks(json) ? value : plain.decode(json)
    }
  }
}

const makePlain = <A>(schema: Storable<A>): Codec<A> => {
  const json = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownExit(json)
  return {
    encode: (value) => {
      const encoded = encode(value)
      if (Exit.isFailure(encoded)) return Exit.failCause(encoded.cause)
      const kept = PlainJson.plain(encoded.value)
      return Result.isSuccess(kept)
        ? Exit.succeed(kept.success)
        : Exit.fail(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: `It ${kept.failure}` })))
    },
    decode: Schema.decodeUnknownExit(json) as Codec<A>["decode"]
  }
}

/*
 * Only name, message, stack and cause of an error are stored; fields that stand for a message are stored as one. It may be
 * anywhere in other failures, so it is cut where it is nested deep.
 */
export const AnyFailure = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.Defect({ includeStack: true }),
    SchemaTransformation.transform<Json, Json>({ decode: (json) => json, encode: PlainJson.cut })
  ),
  Schema.decodeTo(
    Schema.Unknown,
    SchemaTransformation.transform({ decode: (failure) => failure, encode: withMessage })
  )
)

export const TimeoutError = Schema.TaggedStruct("TimeoutError", { message: Schema.String }).pipe(Schema.decodeTo(
  Schema.instanceOf(Cause.TimeoutError),
  SchemaTransformation.transform({
    decode: ({ message }) => new Cause.TimeoutError(message),
    encode: ({ message }) => ({ _tag: "TimeoutError" as const, message })
  })
))

export interface CauseCodec {
  readonly encode: (cause: Cause.Cause<unknown>) => Json
  readonly decode: (json: Json) => Exit.Exit<Cause.Cause<unknown>, Schema.SchemaError>
}

const StoredCause = Schema.Array(Schema.Union([
  Schema.TaggedStruct("Fail", { error: Schema.Json }),
  Schema.TaggedStruct("Die", { defect: Schema.Json }),
  // Which fiber interrupted says nothing to another process.
  Schema.TaggedStruct("Interrupt", {})
]))

/** The reasons of a stored cause, whatever schemas its failures have. */
export const decodeStored = Schema.decodeUnknownExit(StoredCause)

const defects = make(AnyFailure as Storable<unknown>)

/** For causes whose failures are of one of `errors`, a timeout, or anything. */
export const makeCause = (errors: ReadonlyArray<Storable<unknown>>): CauseCodec => {
  const failures = orElse(make(Schema.Union([...errors, TimeoutError]) as Storable<unknown>), defects)
  const encodeReason = (reason: Cause.Reason<unknown>): (typeof StoredCause.Type)[number] => {
    switch (reason._tag) {
      case "Fail":
        return { _tag: "Fail", error: encodeAny(failures, reason.error) }
      case "Die":
        return { _tag: "Die", defect: encodeAny(defects, reason.defect) }
      case "Interrupt":
        return { _tag: "Interrupt" }
    }
  }
  return {
    // Without their fibers, one interruption is like another.
    encode: (cause) =>
      cause.reasons
        .filter((reason, index, all) => reason._tag !== "Interrupt" || all.findIndex(Cause.isInterruptReason) === index)
        .map(encodeReason),
    decode: (json): Exit.Exit<Cause.Cause<unknown>, Schema.SchemaError> => {
      const stored = decodeStored(json)
      if (Exit.isFailure(stored)) return Exit.failCause(stored.cause)
      const reasons: Array<Cause.Reason<unknown>> = []
      for (const reason of stored.value) {
        if (reason._tag === "Interrupt") {
          reasons.push(Cause.makeInterruptReason())
          continue
        }
        const value = reason._tag === "Fail" ? failures.decode(reason.error) : defects.decode(reason.defect)
        if (Exit.isFailure(value)) return Exit.failCause(value.cause)
        reasons.push(reason._tag === "Fail" ? Cause.makeFailReason(value.value) : Cause.makeDieReason(value.value))
      }
      return Exit.succeed(Cause.fromReasons(reasons))
    }
  }
}

const orElse = (one: Codec<unknown>, other: Codec<unknown>): Codec<unknown> => ({
  encode: (value) => {
    const encoded = one.encode(value)
    return Exit.isSuccess(encoded) ? encoded : other.encode(value)
  },
  decode: (json) => {
    const value = one.decode(json)
    return Exit.isSuccess(value) ? value : other.decode(json)
  }
})

/* What is thrown may be hostile to being looked at. */
const encodeAny = (codec: Codec<unknown>, value: unknown): Json => {
  const encoded = guarded(() => codec.encode(value))
  if (encoded !== undefined && Exit.isSuccess(encoded)) return encoded.value
  const why = encoded === undefined ? "it can't even be looked at" : causeLine(encoded.cause)
  return { name: "Error", message: `The failure could not be stored: ${why}` }
}
