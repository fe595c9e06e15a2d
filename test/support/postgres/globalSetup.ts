/*
 * Gives all test files of a run one server: that of DATABASE_URL, or one that starts when the first of them asks for it.
 * A run in which none does has nothing to wait for, so even what starts a server is loaded only then.
 */
import * as fs from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import type { startShared } from "./shared.ts"

/** Where a test file gets the address of the server from: it is known, or told to whoever connects to a socket. */
export type Source = { readonly url: string } | { readonly socket: string }

declare module "vitest" {
  interface ProvidedContext {
    readonly postgres: Source
  }
}

export default async ({ provide }: TestProject): Promise<(() => Promise<void>) | void> => {
  const url = process.env["DATABASE_URL"]
  if (url !== undefined && url !== "") return provide("postgres", { url })

  // Others can't look into this folder, and so can't ask for the password.
  const folder = fs.mkdtempSync(join(tmpdir(), "effect-saga-socket-"))
  const socket = join(folder, "postgres")
  let shared: ReturnType<typeof startShared> | undefined
  const broker = createServer(async (client) => {
    client.on("error", () => {})
    shared ??= import("./shared.ts").then(({ startShared }) => startShared())
    client.end(JSON.stringify((await shared).answer))
  })
  await new Promise<void>((resolve) => broker.listen(socket, resolve))
  provide("postgres", { socket })

  return async () => {
    broker.close()
    fs.rmSync(folder, { recursive: true })
    await (await shared)?.end()
  }
}
