import * as Handlers from "./support/durable/alertHandlers.ts"
import * as Alerts from "./support/durable/alerts.ts"
import { memory, postgres, sqlite } from "./support/durable/storage.ts"

for (const { suite } of [Alerts, Handlers]) {
  suite("in memory", memory)
  suite("in SQLite", sqlite)
  suite("in PostgreSQL", postgres)
}
