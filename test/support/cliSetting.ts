import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { SagaEngine } from "effect-saga"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Cli from "./cli.ts"
import { layer, Order, settled, Tour, Trip, Visa } from "./cliSagas.ts"
import { expectTranscript } from "./cliTranscript.ts"
import { folder as temporary } from "./sqliteFile.ts"

export const tripIds = Array.from({ length: 6 }, (_, index) => String(index + 1))

/** All executions with their journals. Requests and signs of life do not count. */
export const journals = (filename: string): string => {
  const database = new DatabaseSync(filename, { readOnly: true })
  const rows = ["executions", "events", "early_signals"].map((table) =>
    database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all()
  )
  database.close()
  return JSON.stringify(rows)
}

/** A file with an engine that runs: trips and a tour whose hotels are down, an order without a courier, and a visa. */
export const setting = Effect.gen(function*() {
  const folder = yield* temporary
  const filename = join(folder, "sagas.db")
  writeFileSync(join(folder, "hotel-is-down"), "")
  const engine = Context.get(yield* Layer.build(layer(filename, folder)), SagaEngine.SagaEngine)
  yield* Effect.gen(function*() {
    yield* Effect.forEach(tripIds, (id) => Trip.start({ id, customer: Number(id) % 2 === 0 ? "Ada" : "Grace" }))
    yield* Tour.start("1")
    yield* Order.start("1")
    yield* Visa.start("1")
    yield* settled
  }).pipe(Effect.provideService(SagaEngine.SagaEngine, engine))
  const names = { [folder]: "/var/lib" }
  return {
    folder,
    filename,
    engine,
    hotelIsBack: Effect.sync(() => rmSync(join(folder, "hotel-is-down"))),
    run: (args: ReadonlyArray<string>, stdin?: string) => Cli.run(["--db", filename, ...args], { stdin }),
    /** Runs a command, and compares what comes of it with a golden file. */
    expect: (name: string, args: ReadonlyArray<string>, stdin?: string) =>
      Effect.tap(
        Cli.run(["--db", filename, ...args], { stdin }),
        (ran) => expectTranscript(name, args, ran, names)
      ),
    /** As `expect`, of a command that changes nothing. */
    refuses: Effect.fnUntraced(function*(name: string, args: ReadonlyArray<string>, stdin?: string) {
      const before = journals(filename)
      const ran = yield* Cli.run(["--db", filename, ...args], { stdin })
      yield* expectTranscript(name, args, ran, names)
      assert.strictEqual(journals(filename), before)
      return ran
    }),
    ended: (id: string) => Effect.map(engine.await(id), ({ status }) => status),
    status: (id: string) => Effect.map(engine.get(id), ({ status }) => status),
    decisions: (id: string) =>
      Effect.map(
        engine.history(id),
        (events) =>
          events.flatMap((event) =>
            "operator" in event ? [{ event: event._tag, by: event.operator, why: event.reason }] : []
          )
      )
  }
})
