/** The formats that are fuzzed; another one is one more entry. */

import type { FuzzFormat } from "./fuzz-case.ts";
import { makeQcow2Case, runQcow2Case } from "./qcow2-fuzz.ts";
import { compareQcow2 } from "./qcow2-qemu.ts";
import { makeQedCase, runQedCase } from "./qed-fuzz.ts";
import { compareWithQemu } from "./qed-qemu.ts";

export const FORMATS: readonly FuzzFormat[] = [
  { name: "qed", cases: 50_000, makeCase: makeQedCase, run: runQedCase, compare: compareWithQemu },
  { name: "qcow2", cases: 100_000, makeCase: makeQcow2Case, run: runQcow2Case, compare: compareQcow2 },
];

/** Throws where there is none of that name. */
export function formatOf(name: string): FuzzFormat {
  const found = FORMATS.find((format) => format.name === name);
  if (found === undefined) throw new Error(`no format '${name}' is fuzzed; there are: ${FORMATS.map((format) => format.name).join(", ")}`);
  return found;
}
