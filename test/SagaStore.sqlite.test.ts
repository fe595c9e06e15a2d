import { layer } from "./support/sqliteFile.ts"
import { suite } from "./support/storeSuite.ts"

suite("SagaStore.layerSqlite", layer())
suite("SagaStore.layerSqlite in a thread of its own", layer({ worker: true }))
