/** What every format's test of damaged images is. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { FuzzCase } from "./fuzz-case.ts";
import { formatOf } from "./formats.ts";

const CORPUS = new URL("corpus/", import.meta.url);

/** Tests the first `cases` seeds, and the images of that format that once showed a bug. `npm run fuzz` makes more of them. */
export function fuzzTests(name: string, cases: number): void {
  const format = formatOf(name);

  test(`${cases} damaged ${name} images are refused, or read and written right`, { timeout: 300_000 }, async () => {
    const outcomes = { opened: 0, refused: 0 };
    for (let seed = 1; seed <= cases; seed++) {
      const fuzzCase = format.makeCase(seed);
      try {
        outcomes[await format.run(fuzzCase)]++;
      } catch (error) {
        throw new Error(`seed ${seed}: ${JSON.stringify(fuzzCase)}: ${String(error)}`, { cause: error });
      }
    }
    // Damage that is seen at once, and damage that is met later.
    expect(Math.min(outcomes.opened, outcomes.refused)).toBeGreaterThan(cases / 6);
  });

  describe(`the corpus of ${name}`, () => {
    for (const file of readdirSync(CORPUS).filter((each) => each.startsWith(`${name}-`))) {
      const fuzzCase = JSON.parse(readFileSync(new URL(file, CORPUS), "utf8")) as FuzzCase;
      test(`${file}: ${fuzzCase.about ?? ""}`, async () => {
        expect(await format.run(fuzzCase)).toMatch(/opened|refused/);
      });
    }
  });
}
