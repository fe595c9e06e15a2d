/// <reference types="node" />
import * as Effect from "effect/Effect"
import { realpath, stat, statfs } from "node:fs/promises"
import type { Disk } from "./checks.ts"

/** The disk of a file of SQLite. Undefined where the system does not tell. */
export const diskOf = (filename: string): Effect.Effect<Disk | undefined> =>
  Effect.orElseSucceed(
    Effect.gen(function*() {
      // What `FileSystem` of Effect knows of files does not include their disks.
      const disk = yield* Effect.tryPromise(() => statfs(filename))
      const file = yield* sizeOf(filename)
      // Where the name is a link, the log is beside what it leads to.
      const target = yield* Effect.tryPromise(() => realpath(filename))
      const log = yield* Effect.orElseSucceed(sizeOf(`${target}-wal`), () => 0)
      return { file, log, free: disk.bavail * disk.bsize, total: disk.blocks * disk.bsize }
    }),
    () => undefined
  )

const sizeOf = (filename: string) => Effect.map(Effect.tryPromise(() => stat(filename)), ({ size }) => size)
