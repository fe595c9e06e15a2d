import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"

/*
 * What is measured beside this library, and is needed for that alone. It is a package of its own, so that nobody who
 * only tests the library has to install it.
 */

const folder = join(import.meta.dirname, "peers")

/** Installs what is missing, and returns what there is, with versions. */
export const install = (): string => {
  const wanted: string = readJson(join(folder, "package.json")).dependencies["@dbos-inc/dbos-sdk"]
  if (installed() !== wanted) {
    console.log(`Installing @dbos-inc/dbos-sdk ${wanted} in test/bench/postgres/peers\n`)
    const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    const { status } = spawnSync("npm", ["ci", ...options], {
      cwd: folder,
      stdio: ["ignore", "ignore", "inherit"],
      shell: process.platform === "win32"
    })
    if (status !== 0) throw new Error("npm could not install what this library is compared with (see above)")
  }
  return [
    `@dbos-inc/dbos-sdk ${installed()}`,
    ...["effect", "@effect/sql-pg"].map((name) => `${name} ${require(`${name}/package.json`).version}`)
  ].join(", ")
}

const require = createRequire(import.meta.url)

const readJson = (file: string) => JSON.parse(readFileSync(file, "utf8"))

const installed = (): string | undefined => {
  try {
    return readJson(join(folder, "node_modules", "@dbos-inc", "dbos-sdk", "package.json")).version
  } catch {
    return undefined
  }
}
