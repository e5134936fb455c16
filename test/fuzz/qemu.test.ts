/** Some of the damaged images, in QEMU as well. */

import { expect, test } from "vitest";
import { FORMATS } from "./formats.ts";

const CASES = 50;

for (const { name, makeCase, compare } of FORMATS) {
  test(`${CASES} damaged ${name} images read in QEMU as they do here`, async () => {
    const differences = new Map<string, number>();
    for (let seed = 1; seed <= CASES; seed++) {
      const difference = (await compare(makeCase(seed))) ?? "the same";
      differences.set(difference, (differences.get(difference) ?? 0) + 1);
    }
    expect(differences.get("the same")).toBeGreaterThan(CASES / 4);
  });
}
