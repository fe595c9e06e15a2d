/*
 * The stores that the suites of durable sagas run on. A store outlives the engines that a test starts on it, one after
 * another or at once.
 */
import { PgConnection } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { SagaStore } from "effect-saga"
import { fromOptions } from "../../../src/postgres/settings.ts"
import { make } from "../../../src/postgres/store.ts"
import { makeSockets, type Sockets } from "../postgres/syncSocket.ts"
import * as Postgres from "../postgresStore.ts"
import { file, forgetOwner } from "../sqliteFile.ts"

export class Storage extends Context.Service<Storage, {
  /** Opens the store, as a process does that starts. */
  readonly layer: Layer.Layer<SagaStore.SagaStore, SagaStore.SagaStoreError>
  /** Makes the caller the owner although there may be one, which was paused for too long or has died. */
  readonly takeOver: (
    owner: string
  ) => Effect.Effect<SagaStore.Ownership, SagaStore.SagaStoreError, Scope.Scope>
}>()("effect-saga/test/Storage") {}

export type StorageLayer = Layer.Layer<Storage>

export const memory: StorageLayer = Layer.effect(Storage, SagaStore.makeMemory)

export const sqlite: StorageLayer = Layer.effect(
  Storage,
  Effect.map(file, (filename) => {
    const layer = Layer.fresh(SagaStore.layerSqlite({ filename }))
    return {
      layer,
      takeOver: Effect.fnUntraced(function*(owner: string) {
        yield* forgetOwner(filename)
        const store = Context.get(yield* Layer.build(layer), SagaStore.SagaStore)
        return yield* store.acquire({ owner, standby: false })
      })
    }
  })
)

/*
 * A server is like a file to the tests, which have a clock of their own: see `syncSocket.ts`. An engine that crashes in a
 * test goes on holding its connections. The next owner ends them, as there are not so many.
 */
export const postgres: StorageLayer = Layer.effect(
  Storage,
  Effect.map(Effect.orDie(Postgres.place), (place) => {
    const settings = fromOptions("storage", place)
    const { hostname, port } = new URL(Redacted.value(place.url))
    const makeClient = () => makeSockets(hostname, Number(port || 5432))
    const own = makeClient()
    const owners = new Set<Sockets>()
    let last: { readonly client: Sockets; readonly store: SagaStore.SagaStore["Service"] } | undefined

    const open = Effect.suspend(() => {
      const client = makeClient()
      return Effect.map(
        make({ ...settings, connection: { ...settings.connection, stream: client.open } }),
        (store): SagaStore.SagaStore["Service"] => {
          last = { client, store }
          return {
            ...store,
            acquire: (options) => Effect.tap(store.acquire(options), Effect.sync(() => owners.add(client)))
          }
        }
      )
    })

    return {
      layer: Layer.fresh(Layer.effect(SagaStore.SagaStore, open)),
      takeOver: Effect.fnUntraced(function*(owner: string) {
        const { client, store } = last!
        for (const other of owners) if (other !== client) other.sever()
        owners.clear()
        owners.add(client)
        yield* Effect.orDie(Effect.scoped(Effect.flatMap(
          PgConnection.make({ url: place.url, stream: own.open }),
          (connection) => connection.query(`UPDATE ${place.schema}.owner SET released_at = 0`)
        )))
        return yield* store.acquire({ owner, standby: false })
      })
    }
  })
)
