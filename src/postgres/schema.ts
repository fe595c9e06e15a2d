import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { corrupt, denied, incompatible, mayNotCreateSchema, mayNotCreateTables } from "./failure.ts"
import { migrations, relations as expected, version } from "./migrations.ts"
import { decode } from "./rows.ts"
import type { Session } from "./session.ts"
import type { Settings } from "./settings.ts"
import { isSqlError, stateOf } from "./sqlFailure.ts"

/*
 * Whether a schema is a store of this version, and how it becomes one.
 */

/** What says of the table of migrations that its schema is a store of sagas. */
export const program = "effect-saga"

/** The oldest version of the server that has all that is used here. */
const oldestServer = 140_000

const Found = Schema.Struct({
  server: Schema.Int,
  encoding: Schema.String,
  exists: Schema.Boolean,
  relations: Schema.Array(Schema.String),
  /** Whether its table of migrations is like ours. */
  isLikeOurs: Schema.Boolean
})

const decodeFound = decode(Found)

const Applied = Schema.Struct({ number: Schema.NullOr(Schema.Int), isOurs: Schema.NullOr(Schema.Boolean) })

const decodeApplied = decode(Applied)

/** What a schema is: not there, empty, a store with the number of its last migration, or something else. */
type Content =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Store"; readonly version: number; readonly missing: string | undefined }
  | { readonly _tag: "Foreign" }

/* Catalogs can be read without any right to the schema. */
const select = `
  SELECT current_setting('server_version_num')::integer AS server, current_setting('server_encoding') AS encoding,
    EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS exists,
    ARRAY(
      SELECT relname::text FROM pg_class
      WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    ) AS relations,
    3 = (
      SELECT count(*) FROM pg_attribute
      WHERE attname IN ('number', 'applied_at', 'program') AND NOT attisdropped AND attrelid = (
        SELECT oid FROM pg_class
        WHERE relname = 'migrations' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
      )
    ) AS "isLikeOurs"`

const inspect = Effect.fnUntraced(function*(
  settings: Settings,
  session: Session
): Effect.fn.Return<Content, SqlError | SagaStoreError> {
  const [row] = yield* session.queryOnce(select, [settings.schema])
  const { encoding, exists, isLikeOurs, relations, server } = yield* decodeFound(settings.store, row)
  if (server < oldestServer) {
    return yield* incompatible(settings, `its server is older than PostgreSQL ${oldestServer / 10_000}`)
  }
  if (encoding !== "UTF8" && encoding !== "SQL_ASCII") {
    return yield* incompatible(settings, `its database has the encoding ${encoding}, and UTF8 is needed`)
  }
  if (!exists) return { _tag: "Absent" }
  if (relations.length === 0) return { _tag: "Empty" }
  if (!isLikeOurs) return { _tag: "Foreign" }
  const [applied] = yield* session.queryOnce(
    `SELECT max(number)::integer AS number, bool_and(program = $1) AS "isOurs" FROM "${settings.schema}".migrations`,
    [program]
  )
  const { isOurs, number } = yield* decodeApplied(settings.store, applied)
  if (number === null || isOurs !== true) return { _tag: "Foreign" }
  return { _tag: "Store", version: number, missing: expected.find((name) => !relations.includes(name)) }
})

/** Makes sure that the schema is a store of this version. Where it is, nothing has to be allowed but to read. */
export const prepare = Effect.fnUntraced(function*(
  settings: Settings,
  session: Session,
  now: number
): Effect.fn.Return<void, SqlError | SagaStoreError> {
  const content = yield* inspect(settings, session)
  if (yield* isUpToDate(settings, content)) return
  if (!settings.migrate) return yield* outOfDate(settings, content)
  yield* Effect.onError(
    Effect.gen(function*() {
      yield* session.queryOnce("BEGIN")
      yield* migrate(settings, session, now)
      yield* session.queryOnce("COMMIT")
    }),
    () => Effect.ignore(session.queryOnce("ROLLBACK"))
  )
})

const isUpToDate = (settings: Settings, content: Content): Effect.Effect<boolean, SagaStoreError> => {
  if (content._tag === "Foreign") return incompatible(settings, "the schema belongs to another program")
  if (content._tag !== "Store" || content.version < version) return Effect.succeed(false)
  if (content.version > version) {
    const versions = `its tables have version ${content.version}, and this one knows them up to ${version}`
    return incompatible(settings, `a later version of effect-saga has written it: ${versions}`)
  }
  return content.missing === undefined
    ? Effect.succeed(true)
    : corrupt(settings, `the table ${content.missing} is missing`)
}

const outOfDate = (settings: Settings, content: Content): Effect.Effect<never, SagaStoreError> =>
  incompatible(
    settings,
    content._tag === "Store"
      ? `its tables have version ${content.version}, and version ${version} is needed. ` +
        `A service with this version of effect-saga upgrades them when it starts`
      : `there is no store in it${content._tag === "Absent" ? ", as the schema does not exist" : " yet"}. ` +
        `Check the name of the schema and of the database, or start the service, which creates it`
  )

const migrate = Effect.fnUntraced(function*(settings: Settings, session: Session, now: number) {
  // Several may come to this at once. "SAGA", and a number for the schema.
  yield* session.queryOnce("SELECT pg_advisory_xact_lock(1396786497, hashtext($1))", [settings.schema])
  const content = yield* inspect(settings, session)
  if (yield* isUpToDate(settings, content)) return
  const schema = `"${settings.schema}"`
  const create = (statement: string, parameters?: ReadonlyArray<unknown>) =>
    Effect.catch(session.queryOnce(statement, parameters), (error) => refused(settings, content, error))

  if (content._tag === "Absent") yield* create(`CREATE SCHEMA ${schema}`)
  if (content._tag !== "Store") {
    yield* create(
      `CREATE TABLE ${schema}.migrations (number integer PRIMARY KEY, applied_at bigint NOT NULL, program text NOT NULL)`
    )
  }
  const applied = content._tag === "Store" ? content.version : 0
  for (const [index, statements] of migrations(schema).entries()) {
    if (index < applied) continue
    for (const statement of statements) yield* create(statement)
    yield* create(`INSERT INTO ${schema}.migrations VALUES ($1, $2, $3)`, [index + 1, String(now), program])
  }
})

/* The right that is missing where something is created is not the one to use it. */
const refused = (
  settings: Settings,
  content: Content,
  error: SqlError
): Effect.Effect<never, SqlError | SagaStoreError> => {
  if (!isSqlError(error) || stateOf(error) !== "42501") return Effect.fail(error)
  const why = content._tag === "Absent" ? mayNotCreateSchema(settings) : mayNotCreateTables(settings)
  return denied(settings, "right", why)
}
