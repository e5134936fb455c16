/** How tests run: from the sources, so that no build is needed. */

import { defineConfig } from "vitest/config";

const conditions = ["@coblock/source", "node", "import", "module", "default"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    chaiConfig: { truncateThreshold: 0 },
    maxWorkers: "100%",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
