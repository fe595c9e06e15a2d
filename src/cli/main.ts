#!/usr/bin/env node
/// <reference types="node" />
import process from "node:process"

/* Loads the rest by hand: what it needs may not be there. */

const fail = (message: string): void => {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}

const explain = (error: unknown): void => {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown }
  const missing = code === "ERR_MODULE_NOT_FOUND"
    ? ["@effect/platform-node", "effect"].find((name) => String(message).includes(`package '${name}'`))
    : undefined
  if (missing === undefined) throw error
  fail(`effect-saga needs the package ${missing}, which is not installed: npm install ${missing}`)
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 13)) {
  fail(`effect-saga needs Node 22.13 or later, and this is Node ${process.versions.node}.`)
} else {
  // Node warns of its SQLite on each start.
  process.removeAllListeners("warning")
  await import("./run.ts").then(({ main }) => main(), explain)
}
