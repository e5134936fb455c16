import { defineConfig } from "vitest/config";

const conditions = ["@coblock/source", "node", "import", "module", "default"];

/** Tests run from the sources: no build is needed. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
