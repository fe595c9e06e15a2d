import { suite } from "./support/durable/cancelling.ts"
import { memory, sqlite } from "./support/durable/storage.ts"

suite("in memory", memory)
suite("in SQLite", sqlite)
