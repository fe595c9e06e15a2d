import { Context, Effect, Layer, type Redacted } from "effect"
import { SagaStore } from "effect-saga"
import { PostgresStore } from "effect-saga/postgres"
import { databaseUrl, freshSchema, query } from "./postgres/database.ts"
import { OpenAgain, TakeOver } from "./storeValues.ts"

export interface Place {
  readonly url: Redacted.Redacted
  readonly schema: string
}

/** Where the store of a test may be: a schema that does not exist yet, and is dropped with the scope. */
export const place = Effect.all({ url: databaseUrl, schema: freshSchema })

/** Opens a store until the scope closes, as a process does that starts. */
export const open = (options: PostgresStore.Options) =>
  Effect.map(Layer.build(Layer.fresh(PostgresStore.layer(options))), Context.get(SagaStore.SagaStore))

/** Makes it look as if the owner had given the store back. */
export const forgetOwner = ({ schema, url }: Place) =>
  Effect.orDie(query(url, `UPDATE ${schema}.owner SET released_at = 0`))

/** A store in a schema of its own. */
export const layer = (options?: Partial<PostgresStore.Options>) =>
  Layer.unwrap(
    Effect.map(place, (place) => {
      const takeOver = Layer.effect(
        TakeOver,
        Effect.map(SagaStore.SagaStore, (store) => (owner) =>
          Effect.andThen(forgetOwner(place), store.acquire({ owner, standby: false })))
      )
      return takeOver.pipe(
        Layer.provideMerge(PostgresStore.layer({ ...place, ...options })),
        Layer.merge(Layer.succeed(OpenAgain, open({ ...place, ...options })))
      )
    })
  )

/** Opens a store and acquires it. */
export const owned = Effect.fnUntraced(function*(options: PostgresStore.Options) {
  const store = yield* open(options)
  return { store, ...yield* store.acquire({ owner: "engine", standby: false }) }
})

/** Has the server fail the next statements that insert into a table, each with one of these codes. */
export const failNext = Effect.fnUntraced(
  function*({ schema, url }: Place, table: string, ...codes: ReadonlyArray<string>) {
    yield* query(url, `CREATE SEQUENCE ${schema}.failures`)
    yield* query(
      url,
      `CREATE FUNCTION ${schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      code text := ('{${codes.join(",")}}'::text[])[nextval('${schema}.failures')];
    BEGIN
      IF code IS NOT NULL THEN RAISE EXCEPTION 'injected' USING ERRCODE = code; END IF;
      RETURN NULL;
    END $$`
    )
    yield* query(
      url,
      `CREATE TRIGGER fail BEFORE INSERT ON ${schema}.${table} EXECUTE FUNCTION ${schema}.fail()`
    )
  }
)

/** What the tables have, as text. */
export const rowsOf = ({ schema, url }: Place, columns: string, table: string) =>
  Effect.map(
    query<{ readonly row: string }>(
      url,
      `SELECT concat_ws(' ', ${columns}) AS row FROM ${schema}.${table} ORDER BY ${columns}`
    ),
    (rows) => rows.map(({ row }) => row)
  )
