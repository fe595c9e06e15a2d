/*
 * What a schema marks as `Redacted`: it is stored, as sagas need it, and nobody who looks at a saga sees it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Option, Redacted, Schema, SchemaGetter } from "effect"
import type { SagaStore } from "effect-saga"
import * as Codec from "../src/internal/codec.ts"
import { hasMarks, mask, maskedText, withoutMarks } from "../src/internal/redaction.ts"
import { suite } from "./support/durable/redacted.ts"
import { memory, sqlite } from "./support/durable/storage.ts"
import { query } from "./support/postgres/database.ts"
import { owned, place } from "./support/postgresStore.ts"
import { file, open, select } from "./support/sqliteFile.ts"
import { recordOf } from "./support/storeValues.ts"
import { oneOf } from "./support/tree.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)

type Storable = Schema.Codec<unknown, unknown>

const successOf = <A>(exit: Exit.Exit<A, unknown>): A => Option.getOrThrow(Exit.getSuccess(exit))

const plainJson = (schema: Storable, value: unknown): Schema.Json =>
  successOf(Schema.encodeUnknownExit(Schema.toCodecJson(schema))(value)) as Schema.Json

const encode = (schema: Storable, value: unknown): Schema.Json => successOf(Codec.make(schema).encode(value))

const asRead = (json: Schema.Json): Schema.Json => JSON.parse(JSON.stringify(json))

const secret = Redacted.make("SECRET")

const marked = { "~redacted": "SECRET" }

const { Redacted: Hidden, RedactedFromValue, String: Text } = Schema

class Card extends Schema.Class<Card>("Card")({ owner: Text, number: Hidden(Text), code: RedactedFromValue(Text) }) {}

class Refused extends Schema.TaggedError<Refused>()("Refused", { card: Hidden(Text), at: Schema.Date }) {}

class Note extends Schema.Class<Note>("Note")({ text: Schema.optionalKey(Text) }) {}

const unlocked = Schema.Struct({ user: Text, password: Text }).pipe(
  Schema.decodeTo(Schema.Struct({ user: Text, password: Hidden(Text) }), {
    decode: SchemaGetter.transform(({ password, user }) => ({ user, password: Redacted.make(password) })),
    encode: SchemaGetter.transform(({ password, user }) => ({ user, password: Redacted.value(password) }))
  })
)

interface Tree {
  readonly secret: Redacted.Redacted<string>
  readonly children: ReadonlyArray<Tree>
}

const Tree = Schema.Struct({
  secret: RedactedFromValue(Text),
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
})

describe("what is Redacted", () => {
  const card = new Card({ owner: "ann", number: secret, code: secret })
  const refused = new Refused({ card: secret, at: new Date(0) })
  const user = { user: "ann", password: secret }
  const cases: ReadonlyArray<readonly [string, Storable, unknown, Schema.Json]> = [
    ["alone", Hidden(Text), secret, marked],
    ["made from a plain value", RedactedFromValue(Text), secret, marked],
    ["with a label", Hidden(Text, { label: "pin" }), Redacted.make("SECRET", { label: "pin" }), marked],
    [
      "with a label, made from a plain value",
      RedactedFromValue(Text, { label: "pin" }),
      Redacted.make("SECRET", { label: "pin" }),
      marked
    ],
    ["under a key that is there or not", Schema.Struct({ a: Schema.optionalKey(Hidden(Text)) }), { a: secret }, {
      a: marked
    }],
    ["under a key that is not there", Schema.Struct({ a: Schema.optionalKey(RedactedFromValue(Text)) }), {}, {}],
    ["or undefined", Schema.Struct({ a: Schema.optional(Hidden(Text)) }), { a: undefined }, { a: null }],
    ["or null", Schema.NullOr(RedactedFromValue(Text)), null, null],
    [
      "with a default",
      Schema.Struct({
        a: RedactedFromValue(Text).pipe(Schema.withDecodingDefaultKey(Effect.succeed("none")))
      }),
      { a: secret },
      { a: marked }
    ],
    ["a struct", Hidden(Schema.Struct({ at: Schema.Date })), Redacted.make({ at: new Date(0) }), {
      "~redacted": { at: "1970-01-01T00:00:00.000Z" }
    }],
    ["what is Redacted", Hidden(Hidden(Text)), Redacted.make(secret), marked],
    ["in a tuple", Schema.Tuple([Text, Hidden(Text)]), ["a", secret], ["a", marked]],
    ["in an option", Schema.Option(RedactedFromValue(Text)), Option.some(secret), { _tag: "Some", value: marked }],
    ["in a map", Schema.ReadonlyMap(Text, Hidden(Text)), new Map([["a", secret]]), [["a", marked]]],
    ["in a class", Card, card, { owner: "ann", number: marked, code: marked }],
    ["in an instance of a class", Schema.toType(Card), card, { owner: "ann", number: marked, code: marked }],
    ["in a class under an optional key", Schema.Struct({ card: Schema.optionalKey(Card) }), { card }, {
      card: { owner: "ann", number: marked, code: marked }
    }],
    ["in an error", Refused, refused, { _tag: "Refused", card: marked, at: "1970-01-01T00:00:00.000Z" }],
    ["in a union", Schema.Union([Card, Refused]), refused, {
      _tag: "Refused",
      card: marked,
      at: "1970-01-01T00:00:00.000Z"
    }],
    ["in a union with what accepts any object", Schema.Union([Note, Schema.Number, Hidden(Text)]), secret, marked],
    ["in a union with any JSON", Schema.Union([Schema.Json, Schema.NullOr(Hidden(Text))]), secret, marked],
    ["beside a text in a union", Schema.Union([RedactedFromValue(Text), Text]), "open", "open"],
    ["in a tree", Tree, { secret, children: [{ secret, children: [] }] }, {
      secret: marked,
      children: [{ secret: marked, children: [] }]
    }],
    ["behind a transformation, which may have put it anywhere", unlocked, user, {
      "~redacted": { user: "ann", password: "SECRET" }
    }],
    [
      "behind a transformation in an option",
      Schema.Struct({ user: Schema.Option(unlocked), at: Text }),
      { user: Option.some(user), at: "x" },
      { user: { _tag: "Some", value: { "~redacted": { user: "ann", password: "SECRET" } } }, at: "x" }
    ],
    ["in JSON as a text", Schema.fromJsonString(Schema.Struct({ a: RedactedFromValue(Text) })), { a: secret }, {
      "~redacted": "{\"a\":\"SECRET\"}"
    }],
    ["under another key", Schema.Struct({ a: Hidden(Text) }).pipe(Schema.encodeKeys({ a: "b" })), { a: secret }, {
      "~redacted": { b: "SECRET" }
    }]
  ]

  for (const [where, schema, value, stored] of cases) {
    it(`${where}: is stored with a mark, and read with and without one`, () => {
      const codec = Codec.make(schema)
      const isSame = Schema.toEquivalence(schema)

      const json = encode(schema, value)

      assert.deepStrictEqual(json, stored)
      assert.isTrue(isSame(successOf(codec.decode(asRead(json))), value))
      assert.notInclude(JSON.stringify(mask(json)), "SECRET")
    })
  }

  it("in what is only defined later is found", () => {
    const codec = Codec.make(Schema.Array(Schema.suspend((): Schema.Codec<unknown, unknown> => Later)))
    const Later = Schema.Struct({ pin: Hidden(Text) })

    assert.deepStrictEqual(successOf(codec.encode([{ pin: secret }])), [{ pin: marked }])
  })

  it("and may not be encoded is refused", () => {
    const codec = Codec.make(Schema.Struct({ pin: Hidden(Text, { label: "the pin", disallowJsonEncode: true }) }))
    const [reason] =
      Option.getOrThrow(Exit.getCause(codec.encode({ pin: Redacted.make("SECRET", { label: "the pin" }) })))
        .reasons

    assert.include(String(reason), "Cannot serialize Redacted with label: \"the pin\"")
    assert.notInclude(String(reason), "SECRET")
  })

  it("is not quoted where it does not fit", () => {
    const hidden = Schema.Struct({ a: Hidden(Schema.Number), b: RedactedFromValue(Schema.Literals(["x", "y"])) })
    const broken: ReadonlyArray<Schema.Json> = [
      { a: { "~redacted": "SECRET" }, b: { "~redacted": "x" } },
      { a: { "~redacted": 1 }, b: { "~redacted": "SECRET" } },
      { a: 1, b: "SECRET" },
      "SECRET",
      { a: { "~redacted": 1, other: "SECRET" } }
    ]
    for (const json of broken) {
      const exit = Codec.make(Schema.Union([hidden, Schema.Array(hidden)])).decode(json)

      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(String(exit), "SECRET")
      assert.notInclude(JSON.stringify(exit), "SECRET")
    }
    assert.notInclude(
      String(Codec.make(hidden).encode({ a: Redacted.make("SECRET") as never, b: secret as never })),
      "SECRET"
    )
  })

  it("in a failure of no known kind is shown as that", () => {
    const causes = Codec.makeCause([])
    class Unknown extends Schema.TaggedError<Unknown>()("Unknown", { card: Hidden(Text) }) {}
    for (const error of [new Unknown({ card: secret }), { _tag: "Plain", card: secret }, secret, [secret]]) {
      const [reason] = Option.getOrThrow(Exit.getCause(Exit.fail(error))).reasons
      const json = causes.encode(Option.getOrThrow(Exit.getCause(Exit.fail(error))))

      assert.isDefined(reason)
      assert.notInclude(JSON.stringify(json), "SECRET")
    }
  })
})

describe("the view dead_letter", () => {
  const parked = (key: number, error: Schema.Json): SagaStore.Append => ({
    key,
    record: recordOf(key, { status: "Parked" }),
    firstSequence: 1,
    events: [
      JSON.stringify({ _tag: "Parked", v: 1, at: 1, kind: "Other", path: "", cause: [{ _tag: "Fail", error }] })
    ]
  })
  const appends = [parked(1, { _tag: "Refused", card: marked }), parked(2, { text: "\"~redacted\": is a word" })]
  const expectMasked = ([first, second]: ReadonlyArray<Record<string, unknown>>) => {
    assert.strictEqual(first!.cause, null)
    assert.include(String(second!.cause), "is a word")
  }

  it.effect("has no cause that has secrets, in SQLite", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const store = yield* open({ filename })
      const { commit } = yield* store.acquire({ owner: "engine", standby: false })
      yield* commit(appends)

      expectMasked(yield* select(filename, "SELECT cause FROM dead_letter ORDER BY execution"))
    }))

  it.live("has no cause that has secrets, in PostgreSQL", () =>
    Effect.gen(function*() {
      const at = yield* place
      const { commit } = yield* owned(at)
      yield* commit(appends)

      expectMasked(
        yield* query(at.url, `SELECT cause::text AS cause FROM ${at.schema}.dead_letter ORDER BY execution`)
      )
    }))
})

/* ------------------------------------------------------------------------------------------------- any schema */

interface Sample {
  readonly schema: Storable
  readonly value: unknown
}

const leaves: ReadonlyArray<Sample> = [
  { schema: Text, value: "open" },
  { schema: Schema.Date, value: new Date(0) },
  { schema: Hidden(Text), value: secret },
  { schema: RedactedFromValue(Text), value: secret },
  { schema: Card, value: new Card({ owner: "open", number: secret, code: secret }) },
  { schema: unlocked, value: { user: "any", password: secret } }
]

const wrappers: ReadonlyArray<(inner: Sample) => Sample> = [
  ({ schema, value }) => ({ schema: Schema.Struct({ a: schema, b: Text }), value: { a: value, b: "open" } }),
  ({ schema, value }) => ({ schema: Schema.Struct({ a: Schema.optionalKey(schema) }), value: { a: value } }),
  ({ schema, value }) => ({ schema: Schema.Array(schema), value: [value, value] }),
  ({ schema, value }) => ({ schema: Schema.Tuple([Schema.Number, schema]), value: [1, value] }),
  ({ schema, value }) => ({ schema: Schema.Record(Text, schema), value: { any: value } }),
  ({ schema, value }) => ({ schema: Schema.Option(schema), value: Option.some(value) }),
  ({ schema, value }) => ({ schema: Schema.NullOr(schema), value }),
  ({ schema, value }) => ({ schema: Schema.suspend(() => schema), value }),
  ({ schema, value }) => ({ schema: Hidden(schema), value: Redacted.make(value) }),
  ({ schema, value }) => ({ schema: RedactedFromValue(schema), value: Redacted.make(value) }),
  ({ schema, value }) => {
    class Holder extends Schema.Class<Holder>("Holder")({ held: schema }) {}
    return { schema: Holder, value: new Holder({ held: value }) }
  },
  ({ schema, value }) => ({
    schema: schema.pipe(Schema.decodeTo(Schema.Struct({ in: Schema.toType(schema) }), {
      decode: SchemaGetter.transform((inner) => ({ in: inner })),
      encode: SchemaGetter.transform((outer) => outer.in)
    })),
    value: { in: value }
  })
]

const arbitrarySample: Arbitrary.Arbitrary<Sample> = Arbitrary.map(
  Arbitrary.all({ leaf: oneOf(leaves), around: Arbitrary.array(oneOf(wrappers), { maxLength: 5 }) }),
  ({ around, leaf }) => around.reduce((inner, wrap) => wrap(inner), leaf)
)

describe("a value of any schema", () => {
  it.effect.prop(
    "comes back, with its secrets in marks and all else as ever",
    { sample: arbitrarySample },
    ({ sample }) =>
      Effect.sync(() => {
        const { schema, value } = sample
        const codec = Codec.make(schema)
        const plain = plainJson(schema, value)
        const json = encode(schema, value)

        assert.deepStrictEqual(withoutMarks(json), plain)
        assert.notInclude(JSON.stringify(mask(json)), "SECRET")
        assert.notInclude(maskedText(json), "SECRET")
        if (!hasMarks(json)) assert.deepStrictEqual(json, plain)
        for (const stored of [json, plain]) {
          assert.deepStrictEqual(encode(schema, successOf(codec.decode(asRead(stored)))), json)
        }
      })
  )
})
