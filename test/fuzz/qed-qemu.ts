/** The damaged QED images in QEMU. */

import { qedDriver } from "@coblock/qed";
import type { FuzzCase } from "./fuzz-case.ts";
import { backingBytes } from "./qed-bases.ts";
import { qedBytes } from "./qed-fuzz.ts";
import { compareInQemu, type KnownDifference } from "./qemu-comparison.ts";

const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  { about: "QEMU makes images with tables of one cluster, and refuses them", refuses: "QEMU", words: /table offset is invalid/ },
  { about: "QEMU takes a header of no clusters, and so the header itself for data", refuses: "Coblock", words: /header size 0 clusters/ },
  {
    about: "of a run of clusters QEMU looks at the first alone, and reads zeros where the others are past the end of the file",
    refuses: "Coblock",
    words: /L2 entry \d+ .* past the end of the file/,
  },
];

/** Answers which known difference there is; throws for others, and where the bytes are not the same. */
export function compareWithQemu(fuzzCase: FuzzCase): Promise<string | undefined> {
  const bytes = qedBytes(fuzzCase);
  const header = Buffer.alloc(64);
  bytes.read(0, header);
  const diskSize = header.readBigUInt64LE(48);
  return compareInQemu({ driver: qedDriver, bytes, diskSize, backing: backingBytes(fuzzCase.base), known: KNOWN_DIFFERENCES });
}
