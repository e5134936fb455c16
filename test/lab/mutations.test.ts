/** Every protection that a mutation takes out is still where the mutation looks for it. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MUTATIONS } from "./mutations.ts";
import { SCENARIOS } from "./scenarios.ts";

const PACKAGES = new URL("../../packages/", import.meta.url);

test("no two mutations have one name", () => {
  expect(new Set(MUTATIONS.map(({ name }) => name)).size).toBe(MUTATIONS.length);
});

describe("a mutation fits the sources", () => {
  for (const { name, edits, scenario } of MUTATIONS) {
    test(name, () => {
      expect(SCENARIOS.map((each) => each.name)).toContain(scenario);
      for (const { file, find } of edits) {
        const places = readFileSync(new URL(file, PACKAGES), "utf8").split(find).length - 1;
        expect(places, `${file}: ${find}`).toBe(1);
      }
    });
  }
});
