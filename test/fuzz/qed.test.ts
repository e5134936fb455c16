/** Damaged QED images: by seed, and those that once showed a bug. `npm run fuzz` makes more of them. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { FuzzCase } from "./fuzz-case.ts";
import { makeQedCase, runQedCase } from "./qed-fuzz.ts";

const CASES = 2000;
const CORPUS = new URL("corpus/", import.meta.url);

test(`${CASES} damaged images are refused, or read and written right`, { timeout: 300_000 }, async () => {
  const outcomes = { opened: 0, refused: 0 };
  for (let seed = 1; seed <= CASES; seed++) {
    const fuzzCase = makeQedCase(seed);
    try {
      outcomes[await runQedCase(fuzzCase)]++;
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(fuzzCase)}: ${String(error)}`, { cause: error });
    }
  }
  // Damage that is seen at once, and damage that is met later.
  expect(Math.min(outcomes.opened, outcomes.refused)).toBeGreaterThan(CASES / 5);
});

describe("the corpus", () => {
  for (const name of readdirSync(CORPUS).filter((file) => /^qed-.*\.json$/.test(file))) {
    const fuzzCase = JSON.parse(readFileSync(new URL(name, CORPUS), "utf8")) as FuzzCase;
    test(`${name}: ${fuzzCase.about ?? ""}`, async () => {
      expect(await runQedCase(fuzzCase)).toMatch(/opened|refused/);
    });
  }
});
