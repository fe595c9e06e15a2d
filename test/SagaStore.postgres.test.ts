import { layer } from "./support/postgresStore.ts"
import { suite } from "./support/storeSuite.ts"

suite("PostgresStore.layer", layer())
