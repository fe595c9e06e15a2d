import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"

/*
 * Where the files of stores are while they are measured: in a folder of its own, which goes with the process. It has to be
 * on a disk, as nothing is synced in a file system in memory.
 */

export interface Folder {
  /** The folder that it is in. */
  readonly place: string
  readonly fileSystem: string
  /** The path of a file that does not exist. */
  readonly newFile: () => string
  /** Removes a file of SQLite, and what belongs to it. */
  readonly remove: (file: string) => void
}

/* As Linux numbers them. */
const fileSystems: Record<number, string> = {
  0x0102_1994: "tmpfs",
  0x8584_58f6: "ramfs",
  0xef53: "ext4",
  0x5846_5342: "xfs",
  0x9123_683e: "btrfs",
  0x2fc1_2fc1: "zfs",
  0x794c_7630: "overlayfs"
}

/** What the system calls the file system of a path. */
export const fileSystemOf = (path: string): string => {
  const { type } = statfsSync(path)
  return fileSystems[type] ?? `file system 0x${type.toString(16)}`
}

export const make = (): Folder => {
  const places = [tmpdir(), process.cwd(), homedir()]
  const place = places.find((path) => !["tmpfs", "ramfs"].includes(fileSystemOf(path)))
  if (place === undefined) throw new Error(`None of ${places.join(", ")} is on a disk: nothing would be synced`)
  const path = mkdtempSync(join(place, "effect-saga-bench-"))
  process.once("exit", () => rmSync(path, { recursive: true, force: true }))
  let files = 0
  return {
    place,
    fileSystem: fileSystemOf(path),
    newFile: () => join(path, `${++files}.db`),
    remove: (file) => {
      for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true })
    }
  }
}
