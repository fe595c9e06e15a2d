import { memory, postgres, sqlite } from "./support/durable/storage.ts"
import { suite } from "./support/durable/versions.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
suite("in PostgreSQL", postgres)
