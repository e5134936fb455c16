/** Every hazard of qcow2 is covered by tests that are there. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MUTATIONS } from "../lab/mutations.ts";
import { QCOW2_HAZARDS } from "./qcow2-hazards.ts";

const ROOT = new URL("../../", import.meta.url);
/** C5, C11, C15, C17 and C22 are of other formats; so are the numbers that are missing from the second row, or of core. */
const IDS =
  "C1 C2 C3 C4 C6 C7 C8 C9 C10 C12 C13 C14 C16 C18 C19 C20 C21 C23 C24 C25 " +
  "B5 B6 B7 B8 B9 B12 B13 B14 B15 B18 B20 B23 B24 B25 B26 B27 B30";

test("each has its row", () => {
  expect(QCOW2_HAZARDS.map(({ id }) => id)).toEqual(IDS.split(" "));
});

describe("what a row names is there", () => {
  test.each(QCOW2_HAZARDS)("$id: $what", ({ tests = [], mutations = [] }) => {
    expect(tests.length + mutations.length).toBeGreaterThan(0);
    for (const { file, titles } of tests) {
      const source = readFileSync(new URL(file, ROOT), "utf8");
      for (const title of titles) expect(isNamed(source, title), `${file}: ${title}`).toBe(true);
    }
    for (const mutation of mutations) expect(MUTATIONS.map(({ name }) => name)).toContain(mutation);
  });
});

/** `title` is a whole text of the source. */
function isNamed(source: string, title: string): boolean {
  return ['"', "`", "'"].some((quote) => source.includes(`${quote}${title}${quote}`));
}
