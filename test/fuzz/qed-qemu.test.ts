/** Some of the damaged images, in QEMU as well. */

import { expect, test } from "vitest";
import { makeQedCase } from "./qed-fuzz.ts";
import { compareWithQemu } from "./qed-qemu.ts";

const CASES = 50;

test(`${CASES} damaged images read in QEMU as they do here`, async () => {
  const differences = new Map<string, number>();
  for (let seed = 1; seed <= CASES; seed++) {
    const difference = (await compareWithQemu(makeQedCase(seed))) ?? "the same";
    differences.set(difference, (differences.get(difference) ?? 0) + 1);
  }
  expect(differences.get("the same")).toBeGreaterThan(CASES / 4);
});
