import { suite } from "./support/durable/laws.ts"
import { memory } from "./support/durable/storage.ts"

suite("in memory", memory, 150)
