import { assert, layer as sharing } from "@effect/vitest"
import * as pty from "@lydell/node-pty"
import { Context, Effect, Layer } from "effect"
import { join } from "node:path"
import * as process from "node:process"
import { stripVTControlCharacters } from "node:util"
import { program } from "./support/cli.ts"
import { start, type Started } from "./support/cliProcess.ts"

interface Session {
  /** Waits until this was written. */
  readonly sees: (text: string) => Effect.Effect<void>
  readonly types: (text: string) => Effect.Effect<void>
  /** All that was written, once the command has ended. */
  readonly ended: Effect.Effect<{ readonly screen: string; readonly code: number }>
}

const columns = 80

/** Runs a command line in a terminal, until the scope closes. */
const open = Effect.fnUntraced(function*(args: ReadonlyArray<string>, env: Record<string, string>) {
  let screen = ""
  let code: number | undefined
  let look = () => {}
  const terminal = yield* Effect.acquireRelease(
    Effect.sync(() =>
      pty.spawn(process.execPath, ["--conditions=effect-saga-source", program, ...args], {
        cols: columns,
        rows: 24,
        env: { PATH: process.env.PATH, TERM: "xterm-256color", ...env }
      })
    ),
    (terminal) => Effect.sync(() => code === undefined && terminal.kill("SIGKILL"))
  )
  terminal.onData((data) => {
    screen += data
    look()
  })
  terminal.onExit(({ exitCode }) => {
    code = exitCode
    look()
  })
  const until = <A>(found: () => A | undefined) =>
    Effect.callback<A>((resume) => {
      look = () => {
        const value = found()
        if (value !== undefined) resume(Effect.succeed(value))
      }
      look()
    })
  const session: Session = {
    sees: (text) =>
      until(() => screen.includes(text) ? true : code === undefined ? undefined : false).pipe(
        Effect.map((seen) => assert.isTrue(seen, `It ended without "${text}": ${screen}`))
      ),
    types: (text) => Effect.sync(() => terminal.write(text)),
    ended: until(() => code === undefined ? undefined : { screen, code })
  }
  return session
})

const club = 400

class Place extends Context.Service<Place, Started>()("Place") {}

const inTerminal = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.flatMap(Place, ({ folder }) => open(args, { EFFECT_SAGA_DB: join(folder, "sagas.db"), ...env }))

const started = start((folder) => join(folder, "sagas.db"), 2 + club)

const escape = "\u001b["

// One engine for all of them: each has trips of its own.
sharing(Layer.effect(Place, started), { excludeTestServices: true, timeout: "60 seconds" })("in a terminal", (it) => {
  it.effect(
    "there are colours, and lines as long as it is wide; with NO_COLOR there are none",
    () =>
      Effect.gen(function*() {
        const args = ["list", "--parked", "--id", "Trip/1"]

        const [{ screen }, plain] = yield* Effect.all([
          Effect.flatMap(inTerminal(args), ({ ended }) => ended),
          Effect.flatMap(inTerminal(args, { NO_COLOR: "1" }), ({ ended }) => ended)
        ], { concurrency: 2 })

        assert.include(screen, `${escape}31mParked`)
        assert.notInclude(plain.screen, escape)
        const withoutAge = (text: string) => text.replaceAll(/\d+(\.\d+)?m?s +/g, "")
        assert.strictEqual(withoutAge(stripVTControlCharacters(screen)), withoutAge(plain.screen))
        assert.isAtMost(Math.max(...plain.screen.split("\r\n").map(({ length }) => length)), columns)
      }),
    30_000
  )

  it.effect(
    "it asks before it decides on many, takes no for an answer, and shows how far it has come",
    () =>
      Effect.gen(function*() {
        const { hotelIsBack, run } = yield* Place
        yield* hotelIsBack
        const args = ["retry", "--attribute", "customer=the club"]
        const question = `Retry ${club} executions?`

        const first = yield* inTerminal(args)
        yield* first.sees(question)
        yield* first.types("n")
        const no = yield* first.ended
        const parked = yield* run("list", "--parked", "--count", ...args.slice(1))

        const second = yield* inTerminal(args)
        yield* second.sees(question)
        yield* second.types("y")
        const yes = yield* second.ended

        assert.include(no.screen, "Nothing was done.")
        assert.strictEqual(parked.stdout, `${club}\n`)
        const cleared = yes.screen.split(`\r${escape}2K`)
        assert.match(cleared.at(-2)!, new RegExp(`^Retried \\d+ of ${club}$`))
        assert.match(cleared.at(-1)!, new RegExp(`^Retried ${club} executions\\.`))
        assert.deepStrictEqual([no.code, yes.code], [0, 0])
      }),
    60_000
  )

  it.effect(
    "Ctrl-C at the question does nothing, and gives the cursor back; and it ends watch",
    () =>
      Effect.gen(function*() {
        const { run } = yield* Place

        const [question, watch] = yield* Effect.all([
          inTerminal(["retry", "Trip/1", "Trip/2"]),
          inTerminal(["watch", "Trip/1"])
        ], { concurrency: 2 })
        yield* question.sees("Retry 2 executions?")
        yield* question.types("\u0003")
        yield* watch.sees("Parked")
        yield* watch.types("\u0003")
        const { code, screen } = yield* question.ended

        assert.deepStrictEqual([code, (yield* watch.ended).code], [130, 130])
        assert.isAbove(screen.lastIndexOf(`${escape}?25h`), screen.lastIndexOf(`${escape}?25l`))
        for (const id of ["Trip/1", "Trip/2"]) {
          const { stdout } = yield* run("show", id, "--json")
          assert.strictEqual(JSON.parse(stdout).execution.status, "Parked")
        }
      }),
    30_000
  )
})
