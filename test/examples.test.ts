import { ConfigProvider, Effect, Redacted } from "effect"
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { expectGolden, recordOutput } from "./support/golden.ts"
import { databaseUrl } from "./support/postgres/database.ts"

const examples = new URL("../examples/", import.meta.url)
const names = readdirSync(examples)
  .filter((file) => /^(\d\d-.*|readme)\.ts$/.test(file))
  .map((file) => file.replace(/\.ts$/, ""))

const load = async (name: string): Promise<Effect.Effect<void>> =>
  (await import(new URL(`${name}.ts`, examples).href)).program

const withConfig = (config: Readonly<Record<string, string>>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(config))

/* Only those that ask for it get a database, which may have to be started. */
const needsDatabase = async (name: string): Promise<boolean> =>
  (await readFile(new URL(`${name}.ts`, examples), "utf8")).includes("./postgres/database.ts")

describe("examples", () => {
  it.each(names)("%s prints its golden output", { timeout: 60_000 }, async (name) => {
    const program = await load(name)
    const url = await needsDatabase(name) ? Redacted.value(await Effect.runPromise(databaseUrl)) : undefined

    const output = await Effect.runPromise(
      recordOutput(url === undefined ? program : withConfig({ DATABASE_URL: url })(program))
    )

    await expectGolden(new URL(`${name}.out`, examples), output)
  })

  it("one that needs a database says how to get one", async () => {
    const program = await load("33-transactional-step")

    const output = await Effect.runPromise(recordOutput(withConfig({})(program)))

    expect(output).toMatch(/^This example needs PostgreSQL: set DATABASE_URL .* `npm run postgres` starts a server/)
  })

  it("every golden file belongs to an example", () => {
    const golden = readdirSync(examples).filter((file) => file.endsWith(".out")).map((file) => file.slice(0, -4))

    expect(golden.toSorted()).toStrictEqual([...names, "main"].toSorted())
  })

  it("the README shows the program of readme.ts and what it prints", async () => {
    const readme = await readFile(new URL("../README.md", examples), "utf8")
    const source = await readFile(new URL("readme.ts", examples), "utf8")
    const output = await readFile(new URL("readme.out", examples), "utf8")

    expect(readme).toContain(`\`\`\`ts\n${source}\`\`\`\n`)
    expect(readme).toContain(`\`\`\`text\n${output}\`\`\`\n`)
  })

  it("the main job prints its golden output, and the same when it is started again", async () => {
    const main = fileURLToPath(new URL("main.ts", examples))
    const folder = await mkdtemp(join(tmpdir(), "effect-saga-main-"))
    const start = () =>
      promisify(execFile)(process.execPath, ["--conditions=effect-saga-source", main], { cwd: folder })

    try {
      const first = await start()
      const again = await start()

      expect(first.stderr).toBe("")
      expect(again).toStrictEqual(first)
      await expectGolden(new URL("main.out", examples), first.stdout)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
