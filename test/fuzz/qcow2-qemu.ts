/** The damaged qcow2 images in QEMU. */

import { qcow2Driver } from "@coblock/qcow2";
import type { FuzzCase } from "./fuzz-case.ts";
import { qcow2Backing } from "./qcow2-bases.ts";
import { qcow2Bytes } from "./qcow2-fuzz.ts";
import { compareInQemu, type KnownDifference } from "./qemu-comparison.ts";

const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    about: "QEMU ignores the reserved bits of L1 and L2 entries",
    refuses: "Coblock",
    words: /reserved bits are set|no place of an L2 table/,
  },
  {
    about: "QEMU takes what is past the end of the file for zeros, in tables too",
    refuses: "Coblock",
    words: /past the end of the file|too short for a qcow2 header/,
  },
  {
    about: "QEMU ends the name of a file at the first byte of zero",
    refuses: "Coblock",
    words: /as its backing file, which is no plain path/,
  },
  { about: "QEMU counts to 2^63 where we count to 2^53", refuses: "Coblock", words: /(larger than|past) 8 PiB/ },
  {
    about: "QEMU passes over a header that says that there are bitmaps, and not where",
    refuses: "Coblock",
    words: /that there are bitmaps, but not where/,
  },
  { about: "QEMU looks at the length of the mark that ends the header extensions", refuses: "QEMU", words: /Header extension too large/ },
];

/** Answers which known difference there is; throws for others, and where the bytes are not the same. */
export function compareQcow2(fuzzCase: FuzzCase): Promise<string | undefined> {
  const bytes = qcow2Bytes(fuzzCase);
  const header = Buffer.alloc(32);
  bytes.read(0, header);
  const diskSize = header.readBigUInt64BE(24);
  return compareInQemu({ driver: qcow2Driver, bytes, diskSize, backing: qcow2Backing(fuzzCase.base), known: KNOWN_DIFFERENCES });
}
