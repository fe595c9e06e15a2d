import { suite } from "./support/durable/compensations.ts"
import { memory, postgres, sqlite } from "./support/durable/storage.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
suite("in PostgreSQL", postgres)
