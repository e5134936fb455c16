/** The formats that are fuzzed; another one is one more entry. */

import type { FuzzFormat } from "./fuzz-case.ts";
import { makeQedCase, runQedCase } from "./qed-fuzz.ts";
import { compareWithQemu } from "./qed-qemu.ts";

export const FORMATS: readonly FuzzFormat[] = [{ name: "qed", makeCase: makeQedCase, run: runQedCase, compare: compareWithQemu }];
