import { suite } from "./support/durable/cancelling.ts"
import { memory, postgres, sqlite } from "./support/durable/storage.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
suite("in PostgreSQL", postgres)
