import { defineConfig } from "vitest/config"

const conditions = ["effect-saga-source"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    coverage: { include: ["src/**"] }
  }
})
