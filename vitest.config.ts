import { defineConfig } from "vitest/config"

const conditions = ["effect-saga-source"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    // Modules are loaded once per worker, which saves a third of the time. So tests leave nothing changed behind.
    isolate: false,
    // Many tests wait for processes, servers and leases, so two files at once need no second core.
    maxWorkers: 2,
    globalSetup: ["test/support/postgres/globalSetup.ts"],
    coverage: { include: ["src/**"] }
  }
})
