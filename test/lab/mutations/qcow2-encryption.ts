/** Protections of encrypted qcow2 images. */

import type { Mutation } from "../mutations.ts";

const COPY_ON_WRITE = "core/src/mapping/copy-on-write.ts";
const WRITER = "core/src/mapping/writer.ts";
const CIPHER = "qcow2/src/encryption/guest-cipher.ts";

export const QCOW2_ENCRYPTION_MUTATIONS: readonly Mutation[] = [
  {
    name: "qcow2-encrypted-by-guest",
    about: "sectors are enciphered by where the guest has them, and not by where they lie",
    scenario: "qcow2-encrypted-fresh",
    by: "random",
    edits: [
      {
        file: CIPHER,
        find: "encode: ({ childOffset }, from, into) => cipher.encrypt(childOffset / SECTOR_LENGTH, from, into),",
        replace: "encode: ({ guestOffset }, from, into) => cipher.encrypt(guestOffset / SECTOR_LENGTH, from, into),",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-encrypted-copied-plain",
    about: "a cluster of which parts are kept is written as the guest has it",
    scenario: "qcow2-encrypted-copies",
    by: "random",
    edits: [
      {
        file: COPY_ON_WRITE,
        find: "return writeOut(allocation, span.offset, bytes);",
        replace: "return writeOut(needed.length > 1 ? { ...allocation, transform: undefined } : allocation, span.offset, bytes);",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-encrypted-holes",
    about: "new space at the end of the file counts as zeros, which deciphered it is not",
    scenario: "qcow2-encrypted-fresh",
    by: "random",
    edits: [
      {
        file: COPY_ON_WRITE,
        find: "return !allocation.readsZero || allocation.transform !== undefined;",
        replace: "return !allocation.readsZero;",
      },
    ],
    found: /at offset \d+ there is/u,
  },
  {
    name: "qcow2-encrypted-in-place",
    about: "what the guest gave to be written is enciphered where it is",
    scenario: "qcow2-encrypted-fresh",
    by: "random",
    edits: [{ file: WRITER, find: "const encoded = new Uint8Array(from.length);", replace: "const encoded = from;" }],
    found: /the bytes that were given to be written are no longer what they were/u,
  },
];
