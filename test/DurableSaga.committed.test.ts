import { suite } from "./support/durable/committed.ts"
import { memory, sqlite } from "./support/durable/storage.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
