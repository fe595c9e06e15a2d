import { assert, it } from "@effect/vitest"
import { kindOfCause } from "../src/internal/storedKind.ts"
import * as attributes from "./support/durable/attributes.ts"
import * as errorKinds from "./support/durable/errorKinds.ts"
import { memory, postgres, sqlite } from "./support/durable/storage.ts"

for (const { suite } of [attributes, errorKinds]) {
  suite("in memory", memory)
  suite("in SQLite", sqlite)
  suite("in PostgreSQL", postgres)
}

it("the kind of a cause is that of its first failure or, where there is none, of its first defect", () => {
  const interrupt = { _tag: "Interrupt" }
  const die = { _tag: "Die", defect: { name: "TypeError", message: "a bug", stack: "TypeError: a bug" } }
  const fail = { _tag: "Fail", error: { _tag: "CardDeclined" } }
  const other = { _tag: "Fail", error: { _tag: "HotelClosed" } }

  assert.strictEqual(kindOfCause([interrupt, die, fail, other]), "CardDeclined")
  assert.strictEqual(kindOfCause([interrupt, die]), "TypeError")
  assert.strictEqual(kindOfCause([interrupt]), null)
  assert.strictEqual(kindOfCause([{ _tag: "Fail", error: { name: "Ann", message: "a user's" } }]), null)
  assert.strictEqual(kindOfCause("c2VhbGVk"), null)
})
